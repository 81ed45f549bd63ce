"""The worker's program against a daemon of the test's own, on the other end of its socket."""
import os
import signal
import subprocess
import sys

import pytest

from daemon import wait_for
from messages import ROOT
from modeld_worker import wire
from worker_program import IDENTITY, SETUP, run, start_both_ways  # noqa: F401 (a fixture)


def test_a_life(start):
    w = start()
    loaded = w.begin(IDENTITY)
    assert loaded.ok and loaded.inputs[0].name == "x" and loaded.lanes == 1
    w.map_input(bytes(4096))
    w.send(run(1), run(2, 8))
    done = w.take(wire.Done)
    assert done.batch == 1 and done.results[0].code == 0 and done.results[0].hold == 1
    assert w.take(wire.Done).results[0].outputs[0].length == 8
    w.send(wire.Release(holds=[2, 1]), wire.Unmap(id=65536), wire.Ping(nonce=7))
    assert w.take(wire.Unmapped).id == 65536 and w.take(wire.Pong).nonce == 7
    w.send(wire.Unload(model=1))
    assert w.take(wire.Unloaded).model == 1
    w.send(wire.Drain())
    w.take(wire.Bye)
    assert w.wait_end() == 0


def test_a_sandboxed_worker_says_so_and_closes_its_memory(start):
    w = start(MODELD_SANDBOX="on", MODELD_SANDBOX_STATE="on: files", MODELD_SANDBOX_LACKS="system calls")
    w.send(wire.Setup(**SETUP))
    hello = w.take(wire.Hello)
    assert hello.sandbox == "on: files" and hello.sandbox_lacks == "system calls"
    w.take(wire.Ready)
    assert w.load("import ctypes\n\nassert ctypes.CDLL(None).prctl(3) == 0  # PR_GET_DUMPABLE\n\n\n" + IDENTITY).ok


MISSING = "import no_such_module\n"
FORBIDDEN = "def load(context):\n    raise PermissionError(13, 'Permission denied', 'weights')\n\n\ndef infer(x):\n    return x\n"


@pytest.mark.parametrize("code, sandbox, mend", [
    (MISSING, "", "No module named 'no_such_module' (the model's interpreter has no such package)"),
    (MISSING, "on: files", "has no such package, or it lies where [worker] sandbox_read is to name it)"),
    (FORBIDDEN, "", "Permission denied: 'weights'"),
    (FORBIDDEN, "on: files", "Permission denied: 'weights' (the sandbox: [worker] sandbox_read, sandbox_write)")])
def test_a_load_that_fails_says_what_mends_it(start, code, sandbox, mend):
    w = start(MODELD_SANDBOX="on" if sandbox else "off", MODELD_SANDBOX_STATE=sandbox)
    w.send(wire.Setup(**SETUP))
    w.take(wire.Hello)
    w.take(wire.Ready)
    loaded = w.load(code)
    assert not loaded.ok and loaded.error.endswith(mend)


SHORT = "import resource\n\n_, hard = resource.getrlimit(resource.RLIMIT_DATA)\nresource.setrlimit(resource.RLIMIT_DATA, ({}, hard))\n"


@pytest.mark.parametrize("limit, said", [
    ("1 << 50", "MemoryError ([worker] max_memory_bytes = 1125899906842624, by RLIMIT_DATA)"), ("resource.RLIM_INFINITY", "MemoryError")])
def test_a_model_that_has_no_memory_is_told_of_its_limit(start, limit, said):
    w = start()
    w.begin(f"{SHORT.format(limit)}\n\ndef infer(x):\n    raise MemoryError\n")
    w.map_input(bytes(64))
    w.send(run(1))
    result = w.take(wire.Done).results[0]
    assert result.code == 8 and result.message == said
    assert w.load(f"{SHORT.format(limit)}\nraise MemoryError\n", model=2).error == said


def test_spans_that_are_not_there_fail_their_item(start):
    w = start()
    w.begin(IDENTITY)
    w.map_input(bytes(4096))
    w.send(run(1, arena=9), run(2, 8192), run(3, offset=1 << 63), run(4, offset=4095))
    for _ in range(4):
        assert w.take(wire.Done).results[0].code == 13
    w.send(wire.Run(batch=5, model=1, items=[wire.Item(inputs=[])]))
    assert w.take(wire.Done).results[0].message == "0 inputs came, the model declares 1"


NARROW = """
import resource


def limit(n):
    resource.setrlimit(resource.RLIMIT_AS, (n, resource.getrlimit(resource.RLIMIT_AS)[1]))


class Model:
    def load(self, context):
        pages = int(open("/proc/self/statm").read().split()[0])
        limit(pages * resource.getpagesize() + (1 << 30))

    def infer(self, x):
        if len(x) == 0:
            limit(resource.RLIM_INFINITY)
        return x
"""


def test_memory_that_there_is_no_room_to_map(start):
    """Runs that name it fail by that, others do not; it is mapped when there is room."""
    w = start()
    assert w.begin(NARROW).ok
    w.map_input(bytes(4096))
    w.map_input(bytes(4096), id=65537, size=1 << 33)
    w.send(run(1, arena=65537), run(2))
    result = w.take(wire.Done).results[0]
    assert result.code == 8 and "no room to map" in result.message
    assert w.take(wire.Done).results[0].code == 0
    w.send(run(3, length=0), run(4, arena=65537))
    assert [w.take(wire.Done).results[0].code for _ in range(2)] == [0, 0]


def test_a_shape_that_numpy_has_no_numbers_for_fails_its_item(start):
    w = start()
    w.begin(IDENTITY)
    w.map_input(bytes(4096))
    empty = wire.Tensor(dtype=12, dims=[0, 1 << 62], arena=65536)
    w.send(wire.Run(batch=1, model=1, items=[wire.Item(inputs=[empty])]), run(2))
    result = w.take(wire.Done).results[0]
    assert result.code == 3 and "input 'x'" in result.message
    assert w.take(wire.Done).results[0].code == 0


def test_a_load_that_raises_what_is_no_exception_fails(start):
    w = start()
    loaded = w.begin("class Odd(BaseException):\n    pass\n\n\nraise Odd('odd')\n")
    assert not loaded.ok and "odd" in loaded.error
    assert w.load(IDENTITY).ok


def test_a_load_says_where_the_syntax_is_wrong(start):
    w = start()
    loaded = w.begin("import os\n\n\ndef infer(x)\n    return x\n")
    assert not loaded.ok and "SyntaxError: " in loaded.error and "(model.py, line 4)" in loaded.error


def test_messages_are_answered_while_a_batch_runs(start):
    w = start()
    w.begin("import time\n\n\ndef infer(x, context):\n    while not context.cancelled():\n        time.sleep(0.01)\n    return x\n")
    w.map_input(bytes(4096))
    w.send(run(1), run(2))
    w.send(wire.Ping(nonce=1))
    assert w.take(wire.Pong).nonce == 1
    w.map_input(bytes(64), id=65537)
    w.send(wire.Cancel(batch=2, model=1), wire.Unmap(id=65537), wire.Ping(nonce=2))
    assert w.take(wire.Unmapped).id == 65537 and w.take(wire.Pong).nonce == 2
    w.send(wire.Cancel(batch=1, model=1))
    assert w.take(wire.Done).batch == 1
    done = w.take(wire.Done)
    assert done.batch == 2 and done.results[0].code == 1


def two_items(w):
    """A run of two whose outputs do not fit together."""
    w.map_input(bytes(700_000))
    item = run(1, 700_000).items[0]
    w.send(wire.Run(batch=1, model=1, items=[item, item]))


def test_output_memory_that_is_in_use_is_waited_for(start):
    """And an item that has its result is answered first."""
    w = start()
    w.begin(IDENTITY, {"output_wait_ms": 600_000})
    two_items(w)
    early = w.take(wire.Partial)
    assert (early.batch, early.item, early.last, early.outputs[0].length) == (1, 0, 1, 700_000)
    w.send(wire.Release(holds=[early.hold]))
    first, second = w.take(wire.Done).results
    assert (first.code, len(first.outputs), first.hold) == (0, 0, 0)
    assert (second.code, second.outputs[0].length) == (0, 700_000)


def test_an_answer_before_is_sent_before_its_memory_is_waited_for(start):
    w = start()
    w.begin(IDENTITY, {"output_wait_ms": 600_000})
    w.map_input(bytes(700_000))
    w.send(run(1, 700_000), run(2, 700_000))
    w.send(wire.Release(holds=[w.take(wire.Done).results[0].hold]))
    assert w.take(wire.Done).results[0].code == 0


@pytest.mark.parametrize("wait_ms", [0, 1])
def test_output_memory_is_waited_for_no_longer_than_it_may(start, wait_ms):
    w = start()
    w.begin(IDENTITY, {"output_wait_ms": wait_ms})
    two_items(w)
    first, second = w.take(wire.Done).results
    assert first.code == 0 and second.code == 8 and "output_arena_bytes" in second.message


def test_a_load_answers_pings(start):
    w = start()
    w.send(wire.Setup(**SETUP))
    os.mkfifo(w.directory / "gate")
    (w.directory / "model.py").write_text(
        f"open({str(w.directory / 'gate')!r}).read()\n\n\n{IDENTITY}")
    w.take(wire.Ready)
    w.send(wire.Load(model=1, name="m", version="1", path=str(w.directory), backend="python"))
    w.send(wire.Ping(nonce=3))
    assert w.take(wire.Pong).nonce == 3
    open(w.directory / "gate", "w").close()
    assert w.take(wire.Loaded).ok


def test_where_it_hangs_is_in_the_log_before_its_time_is_over(start):
    w = start(MODELD_RUN_TIMEOUT_MS="500")
    w.begin("import threading\n\n\ndef infer(x):\n    threading.Event().wait()\n")
    w.map_input(bytes(64))
    w.send(run(1))
    while 'model.py", line 5 in infer' not in w.log():
        w.send(wire.Ping(nonce=1))
        w.take(wire.Pong)


def test_where_a_load_hangs_is_in_the_log_before_its_time_is_over(start):
    w = start(MODELD_LOAD_TIMEOUT_MS="500", MODELD_RUN_TIMEOUT_MS="86400000")
    w.send(wire.Setup(**SETUP))
    (w.directory / "model.py").write_text("import threading\n\nthreading.Event().wait()\n")
    w.take(wire.Ready)
    w.send(wire.Load(model=1, name="m", version="1", path=str(w.directory), backend="python"))
    while 'model.py", line 3 in <module>' not in w.log():
        w.send(wire.Ping(nonce=1))
        w.take(wire.Pong)


def test_a_load_has_another_limit_than_a_run(start):
    w = start(MODELD_LOAD_TIMEOUT_MS="86400000", MODELD_RUN_TIMEOUT_MS="10")
    w.begin(f"import time\n\ntime.sleep(0.2)\n{IDENTITY}")
    w.map_input(bytes(64))
    w.send(run(1))
    assert w.take(wire.Done).results[0].code == 0 and "line 3 in <module>" not in w.log()


BUSY = """
import threading


def deep(n):
    return deep(n - 1) if n else 0


def work():
    while True:
        deep(50)


threading.Thread(target=work, daemon=True).start()
""" + IDENTITY


def test_stacks_on_a_signal_come_from_who_has_the_lock(start):
    """Threads that run change theirs."""
    w = start()
    w.begin(BUSY)
    for n in range(1, 11):
        w.process.send_signal(signal.SIGUSR2)
        # That of the main thread comes last.
        wait_for("the stacks", lambda n=n: w.log().count("in <module>") >= n)
    assert "in _log_stacks" in w.log() and "in work" in w.log() and "Fatal" not in w.log()
    w.send(wire.Ping(nonce=1))
    assert w.take(wire.Pong).nonce == 1


LOCK_KEPT = """
import ctypes


def infer(x):
    ctypes.PyDLL(None).pause()
"""


def test_stacks_where_the_lock_cannot_be_had(start):
    w = start()
    w.begin(LOCK_KEPT)
    w.map_input(bytes(64))
    w.send(run(1))

    def ask():
        w.process.send_signal(signal.SIGUSR2)
        return 'model.py", line 6 in infer' in w.log()

    wait_for("the stacks", ask)


@pytest.mark.parametrize("messages, status, text", [
    ([wire.Ping(nonce=1)], 70, "out of turn: Ping"),
    ([wire.Setup(**{**SETUP, "protocol": 99})], 78, "different builds"),
    ([wire.Setup(**{**SETUP, "slots": 0})], 70, "no slots"),
    ([wire.Setup(**SETUP), wire.Setup(**SETUP)], 70, "out of turn: Setup"),
    ([wire.Setup(**SETUP), run(1)], 70, "lane that is not there"),
    ([wire.Setup(**SETUP), wire.Unload(model=1)], 70, "unload of a model that is not loaded"),
    ([wire.Setup(**SETUP), wire.Release(holds=[1])], 70, "hold that is not there"),
    ([wire.Setup(**SETUP), wire.Unmapped(id=1)], 70, "segment that is in use"),
    ([wire.Setup(**SETUP), wire.Map(id=5, size=1)], 70, "a descriptor too many or too few")])
def test_a_daemon_that_breaks_the_protocol(start, messages, status, text):
    w = start()
    for message in messages:
        w.send(message)
    assert w.wait_end() == status and text in w.log()


def test_malformed_records_and_the_end_of_the_daemon(start):
    w = start()
    w.socket.send(b"\x0a\x05")
    assert w.wait_end() == 70 and "malformed" in w.log()
    w = start()
    w.begin(IDENTITY)
    w.socket.close()
    assert w.wait_end() == 0


def test_by_hand_it_does_nothing():
    said = subprocess.run([sys.executable, os.path.join(ROOT, "workers", "python", "modeld-python")], capture_output=True,
                          text=True, close_fds=True)
    assert said.returncode == 78 and "modeld starts this program" in said.stderr
