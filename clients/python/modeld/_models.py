"""What a model declares."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from ._messages import ModelStatus, TensorStatus
from ._results import Sent


@dataclass(frozen=True)
class TensorInfo:
    """An input or output as the model declares it: -1 is any size, shape None any shape, dtype "any" any."""
    name: str
    dtype: str
    shape: Optional[Tuple[int, ...]]


@dataclass(frozen=True)
class ModelInfo:
    name: str
    version: str
    backend: str
    state: str
    detail: str
    max_batch_size: int
    inputs: Tuple[TensorInfo, ...]
    outputs: Tuple[TensorInfo, ...]


def unknown_names(info: ModelInfo, sent: Sent, outputs: Optional[Sequence[str]]) -> str:
    """What is wrong with the names; "" is nothing."""
    for what, given, declared in (("input", sent, info.inputs), ("output", outputs or (), info.outputs)):
        names = [t.name for t in declared]
        for name in given:
            if name and name not in names or not names:
                known = f"its {what}s are {', '.join(map(repr, names))}" if names else "it has none"
                return f"model '{info.name}' has no {what} '{name}'; {known}"
    return ""


def _tensor_info(t: TensorStatus) -> TensorInfo:
    return TensorInfo(t.name, t.dtype or "any", None if t.any_shape else tuple(t.dims))


def model_info(m: ModelStatus) -> ModelInfo:
    return ModelInfo(m.name, m.version, m.backend, m.state, m.detail, m.max_batch_size, tuple(map(_tensor_info, m.inputs)),
                     tuple(map(_tensor_info, m.outputs)))
