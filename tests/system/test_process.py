"""The daemon as a process among others: what it inherits, what it is sent, and what it leaves."""
import ctypes
import fcntl
import os
import re
import resource
import signal
import socket
import struct
import threading
import time

import grpc
import pytest

import messages as m
from callers import begin, running, sleep_request, stop
from daemon import SANITIZED, alive, wait_for
from raw_handoff import Raw

PR_SET_CHILD_SUBREAPER = 36
F_SETPIPE_SZ = 1031


def serves(d):
    return d.infer("identity", b"abc").tensor_data.data == b"abc"


# --- what it is started with ------------------------------------------------------------------------
@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1)])
def test_closed_descriptors(start, closed):
    d = start(models=["identity"], preexec=lambda: [os.close(fd) for fd in closed])
    assert serves(d)
    for pid in [d.pid, *d.workers()]:
        for fd in closed:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            assert target in ("/dev/null", d.log_path), target


def test_closed_standard_error(start):
    """No memory and no socket gets the number that libraries print to."""
    d = start(models=["identity"], preexec=lambda: os.close(2), listen="unix:modeld.sock")
    channel = d.channel(d.unix)
    assert d.infer("identity", b"abc", channel=channel).tensor_data.data == b"abc"
    for pid in [d.pid, *d.workers()]:
        assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"


def test_descriptor_limit_is_raised(start):
    d = start(models=["identity"], preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 900)))
    assert serves(d)
    assert resource.prlimit(d.pid, resource.RLIMIT_NOFILE) == (900, 900)
    assert re.search(r"modeld [\d.]+ .*descriptors=900\b", d.log())


# --- strangers ----------------------------------------------------------------------------------------
def children_of(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def strangers():
    """Before the daemon is executed: a child that ends at once, and one whose own child outlives it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for outlives in (False, True):
        if os.fork() == 0:
            if outlives and os.fork() == 0:
                time.sleep(1)
            os._exit(0)


def test_strangers_are_reaped(start):
    d = start(models=["identity"], preexec=strangers)
    assert serves(d)
    wait_for("no child but the worker", lambda: children_of(d.pid) == d.workers())
    d.kill_a_worker()
    d.wait_workers_ready(1)
    assert serves(d)
    assert children_of(d.pid) == d.workers()


# --- signals ------------------------------------------------------------------------------------------
def test_sigusr1_kills_nothing(start):
    d = start(models=["identity"])
    pids = [d.pid, *d.workers()]
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)
    assert serves(d) and [d.pid, *d.workers()] == pids


def test_calls_that_a_hung_model_holds_are_ended(start):
    """Before the drain's time is up, with a status and words; and the daemon ends well."""
    d = start("server.drain_timeout_s=5", models=["sleep", "identity"])
    call = begin(d, sleep_request(600000), timeout=120)
    running(d)
    worker = d.workers()[0]
    d.terminate()
    error = call.exception(60)
    assert error.code() == grpc.StatusCode.UNAVAILABLE and error.details()
    d.wait_end(0)
    assert not alive(worker)
    assert "drain takes long" in d.log()


# --- the log ------------------------------------------------------------------------------------------
def bad_handoff_clients(d, n):
    for _ in range(n):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(60)
            s.connect(os.path.join(d.directory, "handoff.sock"))
            s.send(b"\xff" * 64)
            assert s.recv(10) == b""


def test_nobody_reads_the_log(start):
    """A pipe whose reader has stopped: serving goes on, workers come back, and the end is the usual one."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    d = start(models=["identity"], stderr=writing, ready=False, listen="unix:modeld.sock")
    os.close(writing)
    d.wait_notification("READY=1")
    channel = d.channel(d.unix)
    bad_handoff_clients(d, 200)
    assert d.infer("identity", b"x", channel=channel).tensor_data.data == b"x"
    d.kill_a_worker()
    d.wait_workers_ready(1)
    assert d.infer("identity", b"x", channel=channel).tensor_data.data == b"x"
    # What was not read is told once somebody reads.
    seen = os.read(reading, 1 << 20)
    bad_handoff_clients(d, 1)
    wait_for("the count", lambda: b"log lines were lost" in (seen := os.read(reading, 1 << 20)))
    threading.Thread(target=drain, args=(reading,), daemon=True).start()
    channel.close()
    d.terminate()
    assert d.process.wait(60) == 0 and seen
    d.checked = True


def drain(fd):
    while os.read(fd, 1 << 20):
        pass
    os.close(fd)


# --- few descriptors ------------------------------------------------------------------------------------
def test_few_descriptors_are_kept_for_workers(start):
    """One user's regions and idle connections take all that they may: others are served, and a worker comes back."""
    d = start(models=["identity"], preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
    assert "few descriptors: limits are lowered" in d.log()
    raw = Raw(d)
    held, refused = 0, ""
    while not refused:
        answer = raw.ask(allocate=m.handoff.Allocate(size=4096))
        refused = getattr(answer, "message", "")
        held += 0 if refused else os.close(raw.fds[0]) or 1
    assert "max_regions" in refused and held >= 16
    idle = [socket.create_connection(("127.0.0.1", d.port)) for _ in range(300)]
    for s in idle:
        s.settimeout(0.01)
    wait_for("as many connections as may be", lambda: "connections refused" in d.log())
    for s in idle:
        s.close()
    d.kill_a_worker()
    wait_for("a worker", lambda: serves(d))
    raw.close()


def test_too_few_descriptors(start):
    d = start(models=["identity"], ready=False,
              preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)))
    d.wait_end(71)
    assert "RLIMIT_NOFILE=20" in d.log() and "ulimit -n" in d.log()


def test_of_several_started_at_once_one_serves(start, tmp_path):
    daemons = [start(f"server.runtime_dir={tmp_path}", models=["identity"], ready=False) for _ in range(5)]
    wait_for("all but one ended", lambda: sum(d.process.poll() is None for d in daemons) == 1)
    serves = next(d for d in daemons if d.process.poll() is None)
    serves.wait_ready()
    for d in daemons:
        if d is not serves:
            d.wait_end(71)
            assert f"process {serves.pid} serves there" in d.log()
    assert serves.infer("identity", b"x").tensor_data.data == b"x"
    serves.stop()
    assert os.listdir(tmp_path) == []


def test_the_service_manager_is_kept_up_to_date(start):
    d = start(models=["identity"], ready=False, env={"WATCHDOG_USEC": "300000"})
    assert "EXTEND_TIMEOUT_USEC=" in d.wait_notification("STATUS=starting")
    d.wait_notification("READY=1")
    for _ in range(3):
        d.wait_notification("WATCHDOG=1")
    stop(d.pid)
    d.notify.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            d.notify.recv(4096)
    os.kill(d.pid, signal.SIGCONT)
    d.notify.settimeout(60)
    d.wait_notification("WATCHDOG=1")
    d.stop()
    d.wait_notification("STOPPING=1")


def test_a_worker_goes_first_when_memory_is_short_and_dumps_no_core(start):
    own = int(open("/proc/self/oom_score_adj", encoding="ascii").read())
    for core in ("no", "yes"):
        d = start(f"worker.core={core}", models=["identity"])
        pid = d.status().workers[0].pid
        assert int(open(f"/proc/{pid}/oom_score_adj", encoding="ascii").read()) == min(own + 500, 1000)
        assert int(open(f"/proc/{d.pid}/oom_score_adj", encoding="ascii").read()) == own
        _, hard = resource.prlimit(pid, resource.RLIMIT_CORE)  # sanitizers lower the soft one
        assert hard == (1 if core == "no" else resource.getrlimit(resource.RLIMIT_CORE)[1])


@pytest.mark.skipif(SANITIZED, reason="sanitizers take more addresses than any limit")
def test_limits_of_a_worker_hold_or_are_said_not_to(start):
    """Which of them hold depends on the control groups that the tests run in."""
    d = start("worker.max_memory_bytes=3G", "worker.max_processes=200", models=["identity"])
    assert serves(d)
    said = re.search(r' limits="max_memory_bytes = 3221225472 by (.+), max_processes = 200 by (.+)"', d.log())
    limit = resource.prlimit(d.workers()[0], resource.RLIMIT_DATA)
    assert (limit == (3 << 30, 3 << 30)) == (said.group(1) == "RLIMIT_DATA")
    assert said.group(2) in ("control group", "nothing")
    w = d.status().workers[0]
    assert w.max_memory_bytes == 3 << 30 and w.max_processes == (200 if said.group(2) == "control group" else 0)
    assert (w.memory_bytes > 0) == (said.group(1) == "control group") and (w.processes > 0) == (said.group(2) == "control group")
    wide = d.modelctl("status", "-o", "wide").stdout
    takes = r"up to 3\.0 GiB of private memory" if said.group(1) == "RLIMIT_DATA" else r"[\d.]+ MiB of 3\.0 GiB"
    assert re.search(f"^ +takes {takes}", wide, re.M), wide


def test_a_limit_of_no_cores_at_all(start):
    d = start(models=["identity"], preexec=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    assert resource.prlimit(d.status().workers[0].pid, resource.RLIMIT_CORE) == (0, 0)
