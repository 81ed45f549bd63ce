"""Several answers to one request, as a decoupled model gives them, by the handoff connection."""
from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Sequence

from ._handoff import NO_TRACE, Handoff, Trace
from ._memory import Memory
from ._messages import Tensor
from ._results import Place, Result, adopt, collect
from .errors import ModeldError


class Answers:
    """An iterator of them, as they come; the last one may have no outputs. TimeoutError: the time is up.

    Where it is closed, or goes, ahead of the last one, the request is cancelled."""

    _seq: Optional[int] = None  # None: it is over

    def __init__(self, handoff: Handoff, memory: Memory, model: str, tensors: List[Tensor], outputs: Sequence[str],
                 parameters: Dict[str, str], end: Optional[float], keep: object, trace: Trace = NO_TRACE) -> None:
        """end: of time.monotonic(); keep: the tensors' memory."""
        self._handoff, self._memory, self._keep, self._end = handoff, memory, keep, end
        seq = handoff.number()
        try:
            handoff.infer(seq, model, tensors, [], list(outputs), end, parameters, partial=True, trace=trace)
        except BaseException:
            handoff.forget(seq, keep)
            raise
        self._seq = seq

    def __iter__(self) -> "Answers":
        return self

    def __next__(self) -> Result:
        if self._seq is None:
            raise StopIteration
        try:
            answer, fds = self._handoff.inferred(self._seq, self._end)
        except ModeldError:
            self._seq = None
            raise
        except BaseException:
            self.close()
            raise
        if not answer.more:
            self._seq = None
        places: Dict[str, Place] = {}
        adopt(self._memory, answer, fds, places)
        return collect(answer, places)

    def close(self) -> None:
        """What has not come is not wanted."""
        seq, self._seq = self._seq, None
        if seq is not None:
            self._handoff.forget(seq, self._keep)

    def __del__(self) -> None:
        if self._seq is not None:
            self._handoff.abandon(self._seq, self._keep)


def in_time(answers: Answers, timeout: Optional[float]) -> Iterator[Result]:
    """Those that have outputs. DEADLINE_EXCEEDED"""
    try:
        yield from filter(None, answers)
    except TimeoutError:
        raise ModeldError("DEADLINE_EXCEEDED", f"no answer within {timeout} s") from None
