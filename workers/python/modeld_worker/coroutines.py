"""Coroutines of models: run to their end, one after the other, in one event loop of the process."""
import asyncio
import functools
import inspect


def in_loop(function):
    """A coroutine function as one that is run to its end, in the loop of this thread; any other as it is."""
    if inspect.iscoroutinefunction(function):
        @functools.wraps(function)
        def run(*args, **kwargs):
            return event_loop().run_until_complete(function(*args, **kwargs))
        return run
    if inspect.isasyncgenfunction(function):
        @functools.wraps(function)
        def answer(*args, **kwargs):
            answers = function(*args, **kwargs)
            try:
                while True:
                    yield event_loop().run_until_complete(answers.__anext__())
            except StopAsyncIteration:
                pass
            finally:
                event_loop().run_until_complete(answers.aclose())
        return answer
    return function


@functools.lru_cache(maxsize=1)
def event_loop():
    """What a model begins in load() goes on when it is asked again."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def settle(given):
    """What a coroutine returns; anything else as it is."""
    return event_loop().run_until_complete(given) if inspect.iscoroutine(given) else given
