"""One case: a daemon, bystanders, an offender. What the offender may not do is make a call of theirs fail or wait; where a
daemon listens, a case is run through each of the doors that the offender can come by."""
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import namedtuple
from dataclasses import dataclass, field

from daemon import wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
# How long an offender is at it; 0: until each bystander has had a few answers meanwhile.
SECONDS = float(os.environ.get("MODELD_STRANGERS_SECONDS", 0))
# Are times judged, too? That wants a machine that does nothing else.
TIMED = os.environ.get("MODELD_STRANGERS_TIMED") == "1"
CALLS_EACH = 3
TCP, UNIX, HANDOFF = "tcp", "unix", "handoff"

Call = namedtuple("Call", "caller kind began ended outcome")


@dataclass
class Case:
    """`offend(d, door, over)` does its worst until `over` is set."""
    name: str
    offend: object
    doors: tuple = (TCP,)
    sets: tuple = ()
    models: tuple = ("identity", "sleep")
    options: dict = field(default_factory=dict)
    after: object = None  # after(d): what must be so when it is over, beside that nothing is held
    timed: bool = True


class Bystanders:
    """`arguments` of bystanders.py."""

    def __init__(self, arguments):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "bystanders.py"), *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.calls = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            caller, kind, began, ended, outcome = line.rstrip("\n").split("\t")
            self.calls.append(Call(int(caller), kind, float(began), float(ended), outcome))

    def between(self, begin, end):
        return [c for c in self.calls if c.began >= begin and c.ended <= end]

    def wait_for_all(self, since, n=CALLS_EACH):
        """Each of them has had n calls that began after that."""
        def done():
            assert self.process.poll() is None
            counts = [0] * 20
            for c in list(self.calls):
                counts[c.caller] += c.began >= since
            return min(counts) >= n
        wait_for("calls of each bystander", done, 120)

    def failed(self):
        return [c for c in self.calls if c.outcome != "ok"]

    def stop(self):
        self.process.stdin.close()
        self.reader.join()
        self.process.wait()


def now():
    """On the clock of calls."""
    return time.monotonic()


@dataclass
class Result:
    calls: int
    failed: list
    slowest: float
    slowest_without: float

    @property
    def allowed(self):
        return 2 * self.slowest_without + 0.1


def _spend(bystanders, since, seconds):
    while time.monotonic() - since < seconds:
        time.sleep(0.1)  # nothing is waited for: this is how long it goes on
    bystanders.wait_for_all(since)
    return time.monotonic()


@contextlib.contextmanager
def offending(offend, *args):
    """offend(*args, over) on a thread of its own; what it raises is raised at the end. Given: an event that says it is at work."""
    over, failed = threading.Event(), []

    def run():
        try:
            offend(*args, over)
        except BaseException as e:  # told to the test
            failed.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failed
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


def measure(addresses, offend, *args, seconds=None):
    """The bystanders alone, then with the offender."""
    seconds = SECONDS if seconds is None else seconds
    bystanders = Bystanders(addresses)
    try:
        bystanders.wait_for_all(0, 1)
        began = time.monotonic()
        met = _spend(bystanders, began, seconds / 2)
        with offending(offend, *args):
            parted = _spend(bystanders, met, seconds)
        # Who was kept waiting until now is answered, too.
        bystanders.wait_for_all(parted, 1)
    finally:
        bystanders.stop()
    without = bystanders.between(began, met)
    with_him = [c for c in bystanders.calls if c.ended > met]
    return Result(len(with_him), bystanders.failed(),
                  max(c.ended - c.began for c in with_him), max(c.ended - c.began for c in without))


def judge(name, result, timed=True):
    assert not result.failed, f"{name}: {len(result.failed)} of {result.calls} calls failed: {result.failed[:5]}"
    if TIMED and timed:
        assert result.slowest <= result.allowed, \
            f"{name}: {result.slowest:.3f} s, {result.slowest_without:.3f} s without; {result.allowed:.3f} s allowed"


def print_table(terminalreporter, rows):
    """For pytest_terminal_summary: (name, Result) a row, and the last line."""
    write = terminalreporter.write_line
    if not rows:
        return
    write("")
    write(f"{'case':60} {'calls':>7} {'failed':>7} {'slowest':>9} {'without':>9}")
    for name, r in rows:
        over = "  more than twice and 0.1 s" if r.slowest > r.allowed else ""
        write(f"{name:60} {r.calls:7} {len(r.failed):7} {r.slowest:8.3f}s {r.slowest_without:8.3f}s{over}")
    counts = {k: len(terminalreporter.stats.get(k, [])) for k in ("passed", "failed", "error")}
    write(f"{counts['passed']} passed, {counts['failed'] + counts['error']} failed")
