"""The output memory of the worker, and who holds what of it: what an answer has is a hold, the daemon's until it releases
it by its number. Any thread."""
import threading
import time

from .memory import ArenaError, ArenaFull


class Outputs:
    """The arena under a lock, `lock`, which whoever looks at `arena` takes."""

    def __init__(self, arena, holds_max, wait_s):
        self.arena = arena
        self.lock = threading.Lock()
        self._given_back = threading.Condition(self.lock)
        self._holds_max = holds_max
        self._wait_s = wait_s  # at most, for memory to be released; 0: not at all
        self._holds = {}       # number -> blocks
        self._last = 0
        self._n_given = 0      # so often something was given back
        self._n_waiting = 0
        self._vain = None      # _n_given when somebody waited in vain
        self._waited = threading.local()

    def allocate(self, length, on_full=None):
        """A Block. Where there is no room and on_full is given, that is called, and then the next releases are waited for.
        ArenaError"""
        with self.lock:
            try:
                return self._allocate(length)
            except ArenaFull:
                if on_full is None or not self._wait_s:
                    raise
        start = time.perf_counter_ns()
        try:
            on_full()
            return self._allocate_later(length, time.monotonic() + self._wait_s)
        finally:
            self._waited.ns = getattr(self._waited, "ns", 0) + time.perf_counter_ns() - start

    def _allocate_later(self, length, until):
        with self.lock:
            while True:
                try:
                    return self._allocate(length)
                except ArenaFull:
                    if not self._wait(until):
                        raise

    def take_waited_ns(self):
        """For how long this thread waited for memory since it asked last."""
        waited, self._waited.ns = getattr(self._waited, "ns", 0), 0
        return waited

    def _allocate(self, length):
        if len(self._holds) >= self._holds_max:
            raise ArenaFull("finds no room: so many answers of the worker were not taken by their clients yet as [worker] "
                            "max_holds allows")
        return self.arena.allocate(length)

    def _wait(self, until):
        """For the next release; False: there is none by then, or none that can be, or others waited for it in vain."""
        n_before = self._n_given
        if not self._holds or self._vain == n_before:
            return False
        self._n_waiting += 1
        try:
            if self._given_back.wait_for(lambda: self._n_given != n_before, until - time.monotonic()):
                return True
        finally:
            self._n_waiting -= 1
        self._vain = n_before
        return False

    def reserve(self, lengths):
        """(hold, blocks), one of each length, where that takes no waiting and nothing that is to be announced; None."""
        blocks = []
        with self.lock:
            try:
                if len(self._holds) >= self._holds_max:
                    return None
                for length in lengths:
                    blocks.append(self.arena.allocate(length))
            except ArenaError:
                pass
            if len(blocks) < len(lengths) or self.arena.made:
                self._give_back(blocks)
                return None
            self._last = number = self._last + 1
            self._holds[number] = blocks
            return number, blocks

    def give_back(self, blocks):
        with self.lock:
            self._give_back(blocks)

    def _give_back(self, blocks):
        for block in blocks:
            self.arena.release(block)
        self._n_given += 1
        if self._n_waiting:
            self._given_back.notify_all()

    # --- Holds, under the lock ----------------------------------------------------------------

    def hold(self, blocks):
        """The number by which the daemon releases them; 0: there are too many, and they are given back."""
        if len(self._holds) >= self._holds_max:
            self._give_back(blocks)
            return 0
        self._last += 1
        self._holds[self._last] = blocks
        return self._last

    def release(self, number):
        """KeyError: there is none of it"""
        self._give_back(self._holds.pop(number))
