"""Several answers to one request, as a decoupled model gives them, by the handoff connection or by gRPC."""
from __future__ import annotations

from typing import Any, Callable, Dict, Generator, Iterable, Iterator, List, Optional, Sequence

import grpc

from . import _kserve
from ._handoff import NO_TRACE, Handoff, Trace
from ._memory import Memory
from ._messages import InferResponse, ModelStreamInferResponse, Tensor
from ._results import Place, Result, adopt, collect, of_reply
from .errors import ModeldError


class Answers:
    """An iterator of them by the handoff connection, as they come; the last one may have no outputs. TimeoutError: the time is up.

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


def in_time(answers: Answers, timeout: Optional[float]) -> Generator[Result, None, None]:
    """Those that have outputs. DEADLINE_EXCEEDED"""
    try:
        yield from filter(None, answers)
    except TimeoutError:
        raise ModeldError("DEADLINE_EXCEEDED", f"no answer within {timeout} s") from None


def of_worker(replies: Iterable[bytes], name: str) -> Iterator[Result]:
    """Of InferStream, whose last one may have no output."""
    for reply in map(InferResponse.unpack, replies):
        if reply.tensor_data is not None:
            yield of_reply(reply, name)


def of_kserve(replies: Iterable[bytes]) -> Iterator[Result]:
    """Of ModelStreamInfer, which says of what fails a text alone."""
    for reply in map(ModelStreamInferResponse.unpack, replies):
        if reply.error_message:
            raise ModeldError("UNKNOWN", reply.error_message)
        if reply.infer_response is not None and reply.infer_response.outputs:
            yield _kserve.result(reply.infer_response)


def by_grpc(call: Any, read: Callable[[Iterable[bytes]], Iterator[Result]]) -> Generator[Result, None, None]:
    """What `read` makes of the call's messages. Where it is closed, or goes, ahead of the last one, the call is cancelled: one that was not
    begun to be read by grpcio, which does so when a call is collected."""
    try:
        yield from read(call)
    except grpc.RpcError as e:
        raise ModeldError(e.code().name, e.details() or "") from None
    finally:
        call.cancel()
