"""Coroutines of models: they run in one event loop of the process, which has a thread of its own, and whoever asks for one
waits for its end. So those of several lanes overlap, and what a model begins in load() goes on in between."""
import asyncio
import concurrent.futures
import functools
import inspect
import sys
import threading
import traceback

from . import log
from .context import current_call
from .raised import last_line


def is_coroutine(function):
    """Calls of it can overlap in one process."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def in_loop(function):
    """A coroutine function as one that is run to its end; any other as it is."""
    if inspect.iscoroutinefunction(function):
        @functools.wraps(function)
        def run(*args, **kwargs):
            return _finish(function(*args, **kwargs))
        return run
    if inspect.isasyncgenfunction(function):
        @functools.wraps(function)
        def answer(*args, **kwargs):
            answers = function(*args, **kwargs)
            try:
                while True:
                    yield _finish(answers.__anext__())
            except StopAsyncIteration:
                pass
            finally:
                _finish(answers.aclose())
        return answer
    return function


def settle(given):
    """What a coroutine returns; anything else as it is."""
    return _finish(given) if inspect.iscoroutine(given) else given


class _EventLoop:
    """The one of the process, made when it is first asked for. Any thread."""

    def __init__(self):
        self._making = threading.Lock()
        self._thread = None
        self._loop = None

    def get(self):
        with self._making:
            if not self._loop:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._turn, name="coroutines", daemon=True)
                self._thread.start()
            return self._loop

    def _turn(self):
        asyncio.set_event_loop(self._loop)
        while not self._loop.is_closed():  # a model may stop it, and so does what leaves a task of its
            try:
                self._loop.run_forever()
            except BaseException as e:
                log.line(log.WARNING, "a task has left the event loop of a model, which goes on", error=last_line(e))

    def stack(self):
        """Of its thread, in lines."""
        return traceback.format_stack(sys._current_frames()[self._thread.ident])


_event_loop = _EventLoop()


async def _of(awaitable):
    """(what it returns, None), or (None, what it raises): a model's sys.exit() would leave the event loop."""
    try:
        return await awaitable, None
    except (Exception, SystemExit, KeyboardInterrupt) as e:
        return None, e


def _finish(awaitable):
    """What it returns, or raises. Where a run takes nearly all of its time, the log is told where it stands."""
    future = asyncio.run_coroutine_threadsafe(_of(awaitable), _event_loop.get())
    call = current_call()
    left = call.time_left() if call else None
    if left is not None:
        concurrent.futures.wait([future], max(left, 0))
        if not future.done():
            _log_stacks(call)
    given, raised = future.result()
    try:
        if raised is not None:
            raise raised
        return given
    finally:
        # This frame is in the exception's traceback: what it raises would keep itself, and a run's arrays.
        del future, raised


def _log_stacks(call):
    """Of all coroutines, and of the event loop's thread: it may hang in either."""
    text = ["a run has nearly taken all of its time"]
    for task in asyncio.all_tasks(_event_loop.get()):
        text += [task.get_name(), *traceback.format_list(_stack(task.get_coro()))]
    text += ["event loop", *_event_loop.stack()]
    call.model.voice.warning("\n".join(line.rstrip() for line in text))


def _stack(coroutine):
    """What it awaits in turn, as far as that can be seen."""
    frames = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame:
            frames.append((frame, frame.f_lineno))
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return traceback.StackSummary.extract(frames)
