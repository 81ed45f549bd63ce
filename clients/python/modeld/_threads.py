"""Threads that calls run on, for asyncio: unlike those of concurrent.futures they keep no interpreter from its end."""
from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import Any, Callable, Optional, Tuple

Work = Tuple["Future[Any]", Callable[[], Any]]


class Threads:
    """At most so many, started when there is work and no idle one."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"{most} calls at once")
        self._most = most
        self._lock = threading.Lock()
        self._work: "queue.SimpleQueue[Optional[Work]]" = queue.SimpleQueue()
        self._started = 0
        self._idle = 0

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        future: "Future[Any]" = Future()
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._started < self._most:
                self._started += 1
                threading.Thread(target=self._run, name="modeld", daemon=True).start()
            self._work.put((future, call))
        return future

    def end(self) -> None:
        """They end when what was submitted is done."""
        with self._lock:
            for _ in range(self._started):
                self._work.put(None)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            _do(*work)
            del work  # what the caller gave is not kept until the next call
            with self._lock:
                # What waits is taken at once, and promised to nobody.
                if self._work.empty():
                    self._idle += 1


def _do(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as e:
        future.set_exception(e)
    else:
        future.set_result(result)
