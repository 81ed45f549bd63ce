"""What a request over the handoff is made of: where its inputs lie, and where its outputs are to go."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _dtypes
from ._memory import Block, Memory
from ._messages import Tensor
from ._results import Place
from .errors import ModeldError

Inputs = Union[np.ndarray, Sequence[Any], Mapping[str, Any]]
# One for all inputs, or by the input's name.
Dtypes = Union[str, Mapping[str, str], None]


def to_send(inputs: Inputs, dtype: Dtypes) -> Dict[str, Tuple[str, np.ndarray]]:
    """By the input's name ("": the first): modeld's name of the dtype, and the array."""
    values = {str(name): value for name, value in inputs.items()} if isinstance(inputs, Mapping) else {"": inputs}
    dtypes = dtype if isinstance(dtype, Mapping) else dict.fromkeys(values, dtype)
    for name in dtypes:
        if name not in values:
            raise ValueError(f"a dtype is given for input {name!r}, which is not sent")
    return {name: _dtypes.to_send(value, dtypes.get(name)) for name, value in values.items()}


def place(memory: Memory, name: str, kind: str, array: np.ndarray, blocks: List[Block],
          end: Optional[float]) -> Tensor:
    """A tensor that names the array's memory: where it lies, or a copy in ours, whose block is added to blocks."""
    number = _dtypes.number_of(kind)
    if kind == "bytes":
        data = _dtypes.pack_bytes(array)
        block = memory.take(len(data), end)
        block.bytes(len(data))[:] = data
        blocks.append(block)
        return Tensor(name, number, array.shape, block.region.number, block.offset, len(data))
    where = memory.find(array) if array.flags.c_contiguous else None
    if where:
        return Tensor(name, number, array.shape, where[0].number, where[1], array.nbytes)
    block = memory.take(array.nbytes, end)
    block.array(array.dtype, array.shape, array.nbytes)[...] = array
    blocks.append(block)
    return Tensor(name, number, array.shape, block.region.number, block.offset, array.nbytes)


def add_place(memory: Memory, places: Dict[str, Place], name: str, room: int, end: Optional[float]) -> None:
    """Where there is no memory for what is but a guess, the daemon finds out."""
    try:
        places[name] = Place(memory.take(room, end))
    except ModeldError as e:
        if e.code != "RESOURCE_EXHAUSTED":
            raise
