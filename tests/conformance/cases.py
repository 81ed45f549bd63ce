"""onnx's own tests: one operator each, small models, and what was once converted from PyTorch, as the onnx package
brings them; and each of them once more with a batch for a first dimension, where it has one size everywhere."""
import copy
import glob
import os
import warnings
from dataclasses import dataclass
from typing import Any, Dict

import numpy as np
import onnx
from onnx import numpy_helper

import onnx.backend.test

DATA = os.path.join(os.path.dirname(onnx.backend.test.__file__), "data")


@dataclass
class Case:
    name: str
    model: onnx.ModelProto
    feed: Dict[str, Any]  # arrays; lists where an input is a sequence, None where it is an optional without a value
    batched: bool = False


def as_array(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def inputs_of(model):
    """Those that a caller gives: initializers have a value already."""
    given = {t.name for t in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in given]


def from_package():
    from onnx.backend.test.case.model import collect_testcases as models
    from onnx.backend.test.case.node import collect_testcases as nodes
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = [*nodes(None), *models()]
    for case in found:
        if case.model is not None and case.data_sets:
            names = [i.name for i in inputs_of(case.model)]
            yield Case(case.name, case.model, dict(zip(names, map(as_array, case.data_sets[0][0]))))


def from_files():
    for folder in ("pytorch-converted", "pytorch-operator", "simple"):
        for path in sorted(glob.glob(os.path.join(DATA, folder, "*", "model.onnx"))):
            directory = os.path.dirname(path)
            model = onnx.load(path)
            feed = {}
            for k, value in enumerate(inputs_of(model)):
                part = os.path.join(directory, "test_data_set_0", f"input_{k}.pb")
                if value.type.WhichOneof("value") == "tensor_type" and os.path.exists(part):
                    with open(part, "rb") as f:
                        feed[value.name] = as_array(onnx.TensorProto.FromString(f.read()))
            yield Case(f"{folder}_{os.path.basename(directory)}", model, feed)


def first_dimension(value):
    """Of a declared tensor; 0: it has none, or is none."""
    if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        return 0
    dims = value.type.tensor_type.shape.dim
    return dims[0].dim_value if dims else 0


def with_batch(case):
    """The same with `batch` for a first dimension, or None."""
    inputs = inputs_of(case.model)
    sizes = {first_dimension(v) for v in [*inputs, *case.model.graph.output]}
    if len(sizes) != 1 or 0 in sizes or not inputs:
        return None
    if any(not isinstance(a, np.ndarray) or a.ndim == 0 for a in case.feed.values()):
        return None
    model = copy.deepcopy(case.model)
    for value in [*inputs_of(model), *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    return Case(case.name + ".batch", model, case.feed, batched=True)


def collect():
    cases = []
    for case in [*from_package(), *from_files()]:
        cases.append(case)
        batched = with_batch(case)
        if batched:
            cases.append(batched)
    return cases
