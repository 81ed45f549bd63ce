"""The client for asyncio: the calls of modeld.Client, each to be awaited.

    import asyncio, modeld.aio, numpy as np

    async def main():
        async with await modeld.aio.connect() as client:
            image = client.empty((1, 8, 8), np.float32)
            image[...] = 0
            print(await client.infer("digits", image))

    asyncio.run(main())

A call runs on a thread of the client's own, so the event loop never waits, and arrays travel in shared memory as they do
for the blocking client. A task that is cancelled is done at once: its request goes on until it is answered, or out of time,
and its memory is kept until then.
"""
from __future__ import annotations

import asyncio
import functools
import os
from typing import Any, AsyncIterator, Callable, Dict, Iterator, Mapping, Optional, Sequence, TypeVar, Union

import numpy as np

from . import client as blocking
from ._models import ModelInfo
from ._request import Dtypes, Inputs
from ._results import Out, Result
from ._threads import Threads
from .errors import ConnectionLost

__all__ = ["Client", "connect"]
T = TypeVar("T")
# Calls at once; more wait for their turn.
CALLS = 64


async def connect(address: Optional[str] = None, *, handoff: Union[str, bool, None] = None, timeout: float = 10.0,
                  calls: int = CALLS) -> "Client":
    """modeld.connect() without waiting for it; calls: how many are under way at once, more wait for their turn."""
    threads = Threads(calls)
    connecting = functools.partial(blocking.connect, address, handoff=handoff, timeout=timeout)
    try:
        return Client(await asyncio.wrap_future(threads.submit(connecting)), threads)
    except BaseException:
        threads.end()
        raise


class Client:
    """See connect(). Belongs to no loop: it may be used from several, and after one has ended."""

    def __init__(self, client: blocking.Client, threads: Threads) -> None:
        self._client = client
        self._threads = threads
        self._pid = os.getpid()
        self._closed = False

    async def _run(self, call: Callable[..., T], *args: Any, **kw: Any) -> T:
        if self._closed:
            raise ConnectionLost("the client is closed")
        if os.getpid() != self._pid:
            raise ConnectionLost("this connection was made before fork(): connect anew in the child")
        result: T = await asyncio.wrap_future(self._threads.submit(functools.partial(call, *args, **kw)))
        return result

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; calls that are under way fail. Arrays that lie in shared memory stay valid."""
        if self._closed:
            return
        self._closed = True
        closing = self._threads.submit(self._client.close)
        self._threads.end()
        await asyncio.wrap_future(closing)

    @property
    def address(self) -> str:
        return self._client.address

    @property
    def uses_shared_memory(self) -> bool:
        return self._client.uses_shared_memory

    async def is_ready(self, model: str = "") -> bool:
        return await self._run(self._client.is_ready, model)

    async def models(self) -> Dict[str, ModelInfo]:
        return await self._run(self._client.models)

    async def model(self, name: str = "") -> ModelInfo:
        return await self._run(self._client.model, name)

    def empty(self, shape: Union[int, Sequence[int]], dtype: Any = np.float32) -> np.ndarray:
        """An array in shared memory; where there is none left over from before, asking for some takes a moment."""
        return self._client.empty(shape, dtype)

    async def infer(self, model: str, inputs: Inputs, *, dtype: Dtypes = None,
                    parameters: Optional[Mapping[str, str]] = None, timeout: Optional[float] = None,
                    out: Optional[np.ndarray] = None, trace: Optional[Mapping[str, str]] = None) -> np.ndarray:
        return await self._run(self._client.infer, model, inputs, dtype=dtype, parameters=parameters, timeout=timeout,
                               out=out, trace=trace)

    async def infer_all(self, model: str, inputs: Inputs, *, outputs: Optional[Sequence[str]] = None,
                        dtype: Dtypes = None, parameters: Optional[Mapping[str, str]] = None,
                        timeout: Optional[float] = None, out: Out = None,
                        trace: Optional[Mapping[str, str]] = None) -> Result:
        return await self._run(self._client.infer_all, model, inputs, outputs=outputs, dtype=dtype,
                               parameters=parameters, timeout=timeout, out=out, trace=trace)

    async def stream(self, model: str, inputs: Inputs, *, outputs: Optional[Sequence[str]] = None, dtype: Dtypes = None,
                     parameters: Optional[Mapping[str, str]] = None, timeout: Optional[float] = None,
                     trace: Optional[Mapping[str, str]] = None) -> AsyncIterator[Result]:
        """For `async for`. An answer that is waited for is one of the calls under way. Where the iterator is closed, or goes,
        ahead of its end, the request is cancelled; where a task is cancelled that waits for an answer, when that has come."""
        answers = await self._run(self._client.stream, model, inputs, outputs=outputs, dtype=dtype, parameters=parameters,
                                  timeout=timeout, trace=trace)
        try:
            while True:
                answer = await self._run(_next, answers)
                if answer is None:
                    return
                yield answer
        finally:
            # Not while a thread waits for an answer: that closes it by letting go of it last.
            self._threads.submit(answers.close)


def _next(answers: Iterator[Result]) -> Optional[Result]:
    """None: that was all."""
    return next(answers, None)
