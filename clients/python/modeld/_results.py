"""Outputs: the memory that they are to go to, and the arrays that are made of them."""
from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _dtypes
from ._handoff import mapped
from ._memory import Block, Memory, Region
from ._messages import Inferred, InferResponse, Target, Tensor
from .errors import ConnectionLost, DecodeError, ModeldError

# Where results go: the one output's, or by the output's name.
Out = Union[np.ndarray, Mapping[str, np.ndarray], None]
# What is sent, by the input's name: modeld's name of its dtype, and the array.
Sent = Mapping[str, Tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Timings:
    """Microseconds in the daemon. batch_size: how many requests ran as one with this one; 0: nothing was said of it, nor
    of the times (several inputs or outputs over TCP)."""
    queue_us: int
    compute_us: int
    total_us: int
    batch_size: int
    worker: str


class Result(Dict[str, np.ndarray]):
    """Outputs by name, in the model's order, and where the time went."""
    timings: Timings


class Place:
    """Where an output is: a block, or what the caller gave."""

    def __init__(self, block: Optional[Block] = None, out: Optional[np.ndarray] = None,
                 where: Optional[Tuple[Region, int]] = None) -> None:
        self.block, self.out = block, out
        self.number, self.offset, self.room = 0, 0, 0
        if block:
            self.number, self.offset, self.room = block.region.number, block.offset, block.length
        elif where and out is not None:
            self.number, self.offset, self.room = where[0].number, where[1], out.nbytes

    def target(self, name: str) -> Target:
        return Target(name, self.number, self.offset, self.room)

    def holds(self, t: Tensor) -> bool:
        return (t.region, t.offset) == (self.number, self.offset) and t.length <= self.room


def out_places(memory: Memory, names: Sequence[str], sent: Sent, out: Out) -> Dict[str, Place]:
    places = {}
    for name, array in _named(names, out).items():
        where = memory.find(array) if array.flags.c_contiguous and array.flags.writeable else None
        if where is None:
            raise ValueError(f"out of output {name!r} must be a contiguous array that empty() of this client made, "
                             "or a part of one")
        if any(np.may_share_memory(array, given) for _, given in sent.values()):
            raise ValueError(f"out of output {name!r} overlaps an input")
        places[name] = Place(out=array, where=where)
    return places


def _named(names: Sequence[str], out: Out) -> Mapping[str, np.ndarray]:
    if out is None:
        return {}
    if not isinstance(out, Mapping):
        if len(names) != 1:
            raise ValueError(f"several outputs come, {', '.join(map(repr, names))}: out must be a dict of arrays")
        out = {names[0]: out}
    for name, array in out.items():
        if name not in names:
            raise ValueError(f"out is given for {name!r}, which is none of the outputs that come: "
                             f"{', '.join(map(repr, names))}")
        if not isinstance(array, np.ndarray):
            raise ValueError(f"out of output {name!r} is {type(array).__name__}, not an array")
    return out


def _into(out: np.ndarray, name: str, dtype: np.dtype, shape: Tuple[int, ...]) -> np.ndarray:
    """out itself where it is of that dtype and shape, else as much of it as the result takes."""
    n = math.prod(shape)
    if out.dtype != dtype or n > out.size:
        raise ValueError(f"output {name!r} is {dtype} {list(shape)}, out is {out.dtype} {list(out.shape)}")
    return out if out.shape == shape else out.reshape(-1)[:n].reshape(shape)


def adopt(memory: Memory, answer: Inferred, fds: List[int], places: Dict[str, Place]) -> None:
    """The region that the daemon made for outputs that found no room in their places."""
    try:
        if not answer.room:
            return
        region = mapped(answer.room[-1], fds)
        inside = [t for t in answer.outputs if t.region == region.number]
        for t, block in zip(inside, memory.adopt(region, [(t.offset, t.length) for t in inside])):
            out = places[t.name].out if t.name in places else None
            places[t.name] = Place(block, out)
            if block is None:
                places[t.name].number, places[t.name].offset = t.region, t.offset
    finally:
        for fd in fds:
            os.close(fd)


def _array(t: Tensor, place: Optional[Place]) -> np.ndarray:
    kind, dims = _dtypes.name_of_number(t.dtype), tuple(t.dims)
    if not t.region or t.data:
        return _dtypes.from_memory(memoryview(t.data), kind, dims)
    if place is None or not place.holds(t):
        raise ConnectionLost("the daemon's answer names memory that was not offered")
    if place.block is None:
        return _dtypes.from_memory(memoryview(b""), kind, dims)
    if kind == "bytes":
        return _dtypes.unpack_bytes(place.block.bytes(t.length), dims)
    n = _dtypes.n_elements(t.length, kind)
    place.block.trim(t.length)
    return _dtypes.shaped(place.block.array(_dtypes.numpy_of(kind), (n,), t.length), dims)


def collect(answer: Inferred, places: Mapping[str, Place]) -> Result:
    result = Result()
    for t in answer.outputs:
        place = places.get(t.name)
        out = place.out if place else None
        if out is None:
            result[t.name] = _array(t, place)
            continue
        assert place
        if t.region and not place.holds(t):
            raise ConnectionLost("the daemon's answer names memory that was not offered")
        kind, dims = _dtypes.name_of_number(t.dtype), tuple(t.dims)
        _dtypes.check_shape(dims)
        if kind == "bytes":
            raise ValueError(f"output {t.name!r} is made of strings, which cannot go to an out array")
        if t.region and math.prod(dims) != _dtypes.n_elements(t.length, kind):
            raise DecodeError(f"{t.length} bytes as a tensor of the shape {list(dims)}")
        result[t.name] = _into(out, t.name, _dtypes.numpy_of(kind), dims)
        if place.block or not t.region:
            np.copyto(result[t.name], _array(t, place))
    result.timings = Timings(answer.queue_ns // 1000, answer.compute_ns // 1000, answer.total_ns // 1000,
                             answer.batch_requests, answer.worker)
    return result


def copy_out(result: Result, out: Out) -> Result:
    """What came by gRPC."""
    for name, array in _named(list(result), out).items():
        if result[name].dtype == object:
            raise ValueError(f"output {name!r} is made of strings, which cannot go to an out array")
        target = _into(array, name, result[name].dtype, result[name].shape)
        np.copyto(target, result[name])
        result[name] = target
    return result


def of_reply(reply: InferResponse, name: str) -> Result:
    """Of ModelWorkerService."""
    t, metadata = reply.tensor_data, reply.metadata
    if t is None:
        raise ModeldError("INTERNAL", "the reply has no tensor")
    result = Result()
    result[name] = _dtypes.from_memory(memoryview(t.data), t.dtype, tuple(t.shape))
    result.timings = Timings(_digits(metadata.get("queue_us", "0")), _digits(metadata.get("compute_us", "0")),
                             _digits(metadata.get("total_us", "0")), _digits(metadata.get("batch_size", "1")),
                             metadata.get("worker", ""))
    return result


def _digits(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise DecodeError(f"{text[:40]!r} is no number")
    return int(text)
