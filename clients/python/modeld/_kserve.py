"""KServe's ModelInfer, by which several named tensors go in one message: bytes in, bytes out."""
from __future__ import annotations

from typing import List, Mapping, Optional, Sequence, Tuple

import numpy as np

from . import _dtypes
from . import _protobuf as pb
from ._results import Result, Timings
from .errors import ModeldError

PATH = "/inference.GRPCInferenceService/ModelInfer"
# Field numbers of ModelInferRequest and ModelInferResponse.
_RAW_INPUT, _RAW_OUTPUT = 7, 6


def pack(model: str, inputs: Mapping[str, Tuple[str, np.ndarray]], outputs: Optional[Sequence[str]],
         parameters: Mapping[str, str]) -> bytes:
    """A ModelInferRequest; model: "name" or "name:version"; outputs None: all."""
    name, _, version = model.partition(":")
    parts = [pb.text(1, name)]
    if version:
        parts.append(pb.text(2, version))
    for key, value in parameters.items():
        parts.append(pb.delimited(4, pb.text(1, key) + pb.delimited(2, pb.delimited(3, value.encode()))))
    for name, (kind, array) in inputs.items():
        parts.append(pb.delimited(5, pb.text(1, name) + pb.text(2, _dtypes.kserve_name(kind)) + pb.packed(3, array.shape)))
    for name in outputs or ():
        parts.append(pb.delimited(6, pb.text(1, name)))
    for kind, array in inputs.values():
        parts.append(pb.delimited(_RAW_INPUT, _dtypes.to_bytes(kind, array)))
    return b"".join(parts)


def unpack(reply: bytes) -> Result:
    """A ModelInferResponse. It does not say how long things took."""
    described: List[Tuple[str, str, Tuple[int, ...]]] = []
    contents: List[memoryview] = []
    for number, value in pb.fields(reply):
        if number == 5:
            described.append(_description(pb.chunk(value)))
        elif number == _RAW_OUTPUT:
            contents.append(pb.chunk(value))
    if not described or len(described) != len(contents):
        raise ModeldError("INTERNAL", f"the reply has {len(described)} tensors, and the data of {len(contents)}")
    result = Result()
    for (name, kind, shape), data in zip(described, contents):
        result[name] = _dtypes.from_memory(data, kind, shape)
    result.timings = Timings(0, 0, 0, 0, "")
    return result


def _description(data: memoryview) -> Tuple[str, str, Tuple[int, ...]]:
    name, kind = "", ""
    dims: List[int] = []
    for number, value in pb.fields(data):
        if number == 1:
            name = pb.string(value)
        elif number == 2:
            kind = _dtypes.name_of_kserve(pb.string(value))
        elif number == 3:
            dims += pb.integers(value)
    return name, kind, tuple(dims)
