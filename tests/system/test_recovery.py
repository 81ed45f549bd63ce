"""A worker that crashes, hangs or misbehaves costs nobody but the request that caused it."""
import concurrent.futures
import os
import signal
import time

import grpc
import pytest

import messages as m
from callers import PATIENT, Callers, stop
from daemon import wait_for


def test_kill_workers_under_load_no_call_fails(start):
    d = start("worker.backoff_max_ms=500", models=["identity"], workers="cpu:0 x2")
    callers = Callers(d, 50)
    for killed in range(1, 7):
        callers.wait_done(300)
        d.wait_workers_ready(2)
        d.kill_a_worker()
        # One that the daemon has not yet seen go counts as ready: none is killed twice.
        wait_for("its successor", lambda: sum(w.restarts for w in d.status().workers) >= killed)
    callers.wait_done(300)
    done, failures = callers.stop()
    assert failures == [] and done > 1000


def test_one_worker_killed_calls_wait_for_the_next(start):
    d = start(models=["identity"], workers="cpu:0")
    callers = Callers(d, 10)
    for _ in range(3):
        callers.wait_done(50)
        d.wait_workers_ready(1)
        d.kill_a_worker()
    callers.wait_done(50)
    _, failures = callers.stop()
    assert failures == []


def test_poison_request_fails_alone(start):
    d = start("models.isolation=device", models=["crash", "identity"], workers="cpu:0 x2")
    callers = Callers(d, 8)
    callers.wait_done(50)
    with pytest.raises(grpc.RpcError) as e:
        d.infer("crash", b"\1", [1], "u8")
    assert e.value.code() == grpc.StatusCode.INTERNAL
    assert "worker" in e.value.details()
    callers.wait_done(50)
    assert callers.stop()[1] == []
    d.wait_workers_ready(2)
    assert d.infer("crash", b"\0", [1], "u8").tensor_data.data == b"\0"


def test_no_worker_left_and_none_coming_is_unavailable(start):
    d = start("dispatch.retry_wait_ms=300", "worker.program=" + os.devnull, models=["identity"], ready=False)
    d.wait_end(71)
    assert "worker" in d.log()


def test_retry_wait_is_kept(start):
    d = start("dispatch.retry_wait_ms=200", "worker.backoff_max_ms=60000", models=["crash"], workers="cpu:0")
    # Two crashes in a row: the second restart waits a second, longer than retry_wait_ms.
    with pytest.raises(grpc.RpcError) as e:
        for _ in range(4):
            d.infer("crash", b"\1", [1], "u8")
    assert e.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)


def test_hung_worker_is_replaced(start):
    d = start("model.run_timeout_ms=300", "models.isolation=device", models=["hang", "identity"], workers="cpu:0")
    before = d.workers()
    with pytest.raises(grpc.RpcError) as e:
        d.infer("hang", b"\1", [1], "u8")
    assert e.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)
    d.wait_workers_ready(1)
    assert d.workers() != before
    assert d.infer("identity", b"x").tensor_data.data == b"x"


def test_stopped_worker_misses_its_heartbeat(start):
    d = start("worker.heartbeat_interval_ms=100", "worker.heartbeat_timeout_ms=300", models=["identity"])
    pid = d.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    wait_for("a new worker", lambda: [p for p in d.workers() if p != pid])
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    assert "heartbeat" in d.status().workers[0].last_exit


def test_a_daemon_that_stood_still_blames_no_worker(start):
    """The answer came meanwhile, and lies in the socket when the time of the run is up."""
    d = start(*PATIENT, "model.run_timeout_ms=2000", models=["identity"])
    pid = d.workers()[0]
    stop(pid)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(d.infer, "identity", b"x")
        wait_for("a batch", lambda: d.status().workers[0].batches_in_flight == 1)
        begun = time.monotonic()
        stop(d.pid)
        os.kill(pid, signal.SIGCONT)
        wait_for("the end of its time", lambda: time.monotonic() > begun + 2.1)
        os.kill(d.pid, signal.SIGCONT)
        assert answer.result().tensor_data.data == b"x"
    assert d.workers() == [pid] and d.status().workers[0].restarts == 0


def test_breaker_takes_one_model_away_and_leaves_the_rest(start):
    d = start("worker.breaker_crashes=3", "worker.breaker_cooldown_ms=600000", "worker.backoff_max_ms=1",
              models=["crash", "identity"], workers="cpu:0")

    def crash():
        try:
            d.infer("crash", b"\1", [1], "u8")
        except grpc.RpcError as e:
            return e.code() == grpc.StatusCode.UNAVAILABLE and "breaker" in e.details()
        return False

    wait_for("the breaker", crash)
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    assert d.check_health("crash") == m.NOT_SERVING
    assert d.check_health("identity") == m.SERVING
    state = {s.name: s for s in d.status().models}["crash"]
    assert "breaker" in state.detail and ", the last one: signal " in state.detail


def test_daemon_killed_leaves_no_worker(start):
    d = start(models=["identity"], workers="cpu:0 x3")
    workers = d.workers()
    assert len(workers) == 3
    d.process.kill()
    d.process.wait()
    d.checked = True
    for pid in workers:
        wait_for(f"end of {pid}", lambda pid=pid: not os.path.exists(f"/proc/{pid}") or
                 open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z")
