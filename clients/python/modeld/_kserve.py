"""KServe's ModelInfer, by which several named tensors go in one message."""
from __future__ import annotations

from typing import Mapping, Optional, Sequence, Tuple

import numpy as np

from . import _dtypes
from ._messages import InferInputTensor, InferParameter, InferRequestedOutputTensor, ModelInferRequest, ModelInferResponse
from ._results import Result, Timings
from .errors import ModeldError

PATH = "/inference.GRPCInferenceService/ModelInfer"
STREAM_PATH = "/inference.GRPCInferenceService/ModelStreamInfer"


def request(model: str, inputs: Mapping[str, Tuple[str, np.ndarray]], outputs: Optional[Sequence[str]],
            parameters: Mapping[str, str]) -> ModelInferRequest:
    """model: "name" or "name:version"; outputs None: all."""
    model_name, _, version = model.partition(":")
    return ModelInferRequest(
        model_name, version,
        parameters={key: InferParameter(string_param=value) for key, value in parameters.items()},
        inputs=[InferInputTensor(name, _dtypes.kserve_name(kind), array.shape) for name, (kind, array) in inputs.items()],
        outputs=[InferRequestedOutputTensor(name) for name in outputs or ()],
        raw_input_contents=[_dtypes.contents(kind, array) for kind, array in inputs.values()])


def result(reply: ModelInferResponse) -> Result:
    """It does not say how long things took."""
    described, contents = reply.outputs, reply.raw_output_contents
    if not described or len(described) != len(contents):
        raise ModeldError("INTERNAL", f"the reply has {len(described)} tensors, and the data of {len(contents)}")
    found = Result()
    for t, data in zip(described, contents):
        found[t.name] = _dtypes.from_memory(memoryview(data), _dtypes.name_of_kserve(t.datatype), tuple(t.shape))
    found.timings = Timings(0, 0, 0, 0, "")
    return found
