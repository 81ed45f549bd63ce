"""How much room an output will need: by its declared shape where that says it, else by what it took lately."""
from __future__ import annotations

import math
from typing import Dict, Optional, Sequence, Tuple

from . import _dtypes

# Answers after which older ones are forgotten: between one and two times as many.
WINDOW = 64
# Of an output that nothing is known of yet, at least.
FIRST_BYTES = 64 * 1024


class _Recent:
    """The largest output, in bytes and in bytes for each byte of input."""

    def __init__(self) -> None:
        self._now = self._before = (0, 0.0)
        self._n = 0

    def note(self, took: int, sent: int) -> None:
        if self._n == WINDOW:
            self._before, self._now, self._n = self._now, (0, 0.0), 0
        self._n += 1
        self._now = (max(self._now[0], took), max(self._now[1], took / max(1, sent)))

    @property
    def most(self) -> Tuple[int, float]:
        return max(self._now[0], self._before[0]), max(self._now[1], self._before[1])


def _declared_bytes(dtype: str, shape: Optional[Sequence[int]], rows: int) -> Optional[int]:
    """None: it says nothing. A first dimension of any size is taken for the batch."""
    if shape is None or dtype in ("any", "bytes"):
        return None
    dims = [rows if i == 0 and n < 0 else n for i, n in enumerate(shape)]
    if any(n < 0 for n in dims):
        return None
    return math.prod(dims) * _dtypes.numpy_of(dtype).itemsize


class Rooms:
    """Of all models and outputs. Safe from several threads: a race costs a guess."""

    def __init__(self) -> None:
        self._recent: Dict[Tuple[str, str], _Recent] = {}

    def expect(self, model: str, output: str, dtype: str, shape: Optional[Sequence[int]], rows: int, sent: int) -> int:
        """Bytes. rows: the first dimension of the first input, or -1; sent: bytes of all inputs. A model may make other
        shapes than it declares, and what is too much is given back with the answer: so the larger guess is taken."""
        recent = self._recent.get((model, output))
        most, by_input = recent.most if recent else (0, 0.0)
        declared = _declared_bytes(dtype, shape, rows)
        if declared is not None:
            return max(1, declared, most)
        if not recent:
            return max(FIRST_BYTES, sent)
        # It may grow with its input, but a large one need not.
        return max(1, most, min(int(by_input * sent), max(4 * most, sent)))

    def note(self, model: str, output: str, took: int, sent: int) -> None:
        recent = self._recent.get((model, output))
        if recent is None:
            recent = self._recent[(model, output)] = _Recent()
        recent.note(took, sent)
