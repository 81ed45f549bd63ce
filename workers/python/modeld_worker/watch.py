"""The second thread of a worker: the channel is served while the main thread is at something that takes long."""
import faulthandler
import os
import select
import threading
import time

from . import log

# What the main thread may be at before the watch takes the channel over, and how often that looks.
LONG_S = 0.05
# Of the time limit of a run or a load, when it is over the stacks are logged: the daemon kills at the whole. The watch does it, while no
# other thread changes its stack; a timer of the interpreter's own, which may meet one that does, when the watch was not let.
STACKS_AT = 0.8
TIMER_AFTER = 0.1
RUN_LIMIT_S = int(os.environ.get("MODELD_RUN_TIMEOUT_MS") or 0) / 1000  # 0: there is none
LOAD_LIMIT_S = int(os.environ.get("MODELD_LOAD_TIMEOUT_MS") or 0) / 1000  # likewise


def time_left(since, limit_s=RUN_LIMIT_S):
    """Seconds, before the time of a run that began then (time.monotonic()) is nearly over; None: any time."""
    if not limit_s or since is None:
        return None
    return limit_s * STACKS_AT - (time.monotonic() - since)


class Watch:
    """Reads the channel in the main thread's place while that is at something long, and wakes up only while there is
    work: nothing happens in a worker that has nothing to do."""

    def __init__(self, loop):
        self._loop = loop
        self._reader = threading.Lock()
        self._kick = threading.Event()
        self._asleep = False
        self._busy_since = None  # of the main thread
        self._long = False
        self._limit_s = 0  # of what the main thread is at
        self._hurries = False
        self._n_begun = 0
        self._reads = False
        self._armed = False  # the stacks are to be logged when the run takes too long
        self._wake_read, self._wake_write = os.pipe()

    def start(self):
        threading.Thread(target=self._serve, name="watch", daemon=True).start()

    # --- The main thread ----------------------------------------------------------------------

    def begin(self, long, limit_s=RUN_LIMIT_S):
        """Of so many seconds (0: any number) that the daemon gives it."""
        self._n_begun += 1
        self._long = long
        self._limit_s = limit_s
        self._hurries = False
        self._busy_since = time.monotonic()
        if self._asleep or long:
            self._kick.set()

    def hurry(self):
        """The channel is to be read at once: what runs waits for what comes there."""
        self._hurries = True
        self._kick.set()

    def end(self):
        self._busy_since = None
        if self._armed:
            self._armed = False
            faulthandler.cancel_dump_traceback_later()
        if self._reads:
            os.write(self._wake_write, b"w")

    def time_left(self):
        """Seconds, for what the run of the main thread asks of others; None: any time. Any thread."""
        return None if self._long else time_left(self._busy_since)

    def reading(self):
        """The lock of whoever reads the channel."""
        return self._reader

    # --- The watch ----------------------------------------------------------------------------

    def _is_long(self):
        since = self._busy_since
        return since is not None and (self._long or self._hurries or time.monotonic() - since >= LONG_S)

    def _serve(self):
        seen = -1
        while True:
            if self._is_long() and self._reader.acquire(blocking=False):
                try:
                    self._read_in_its_place()
                finally:
                    self._reader.release()
            if self._busy_since is None and seen == self._n_begun:
                self._asleep = True
                # It may have begun in between, and seen us awake.
                if self._busy_since is None and seen == self._n_begun:
                    self._kick.wait()
                self._asleep = False
            else:
                seen = self._n_begun
                self._kick.wait(LONG_S)
            self._kick.clear()

    def _arm(self):
        """When the stacks of what it is at are to be logged (time.monotonic()); None: never."""
        limit_s = self._limit_s
        left = time_left(self._busy_since, limit_s)
        if left is None:
            return None
        self._armed = True
        faulthandler.dump_traceback_later(max(left, 0) + limit_s * TIMER_AFTER, file=2)
        if self._busy_since is None:  # it ended meanwhile
            faulthandler.cancel_dump_traceback_later()
        return time.monotonic() + left

    def _log_stacks(self):
        faulthandler.cancel_dump_traceback_later()
        if self._is_long():
            faulthandler.dump_traceback(file=2)

    def _read_in_its_place(self):
        channel = self._loop.socket
        self._reads = True
        stacks_at = self._arm()
        try:
            self._loop.take_over()
            while self._is_long():
                wait_s = None if stacks_at is None else max(stacks_at - time.monotonic(), 0)
                ready, _, _ = select.select([channel, self._wake_read], [], [], wait_s)
                if stacks_at is not None and time.monotonic() >= stacks_at:
                    stacks_at = None
                    self._log_stacks()
                if self._wake_read in ready:
                    os.read(self._wake_read, 64)
                if channel in ready and self._is_long():
                    self._loop.read()
        except Exception as e:
            # The main thread may never come back.
            log.finish_prints()
            os._exit(self._loop.conclude(e))
        finally:
            self._reads = False
