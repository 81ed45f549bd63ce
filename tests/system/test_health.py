"""Health as probes, balancers and the published service's clients see it."""
import contextlib
import os
import re
import signal
import struct

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import messages as m
from callers import begin, running, stop
from daemon import infer_request, wait_for
from http2 import Connection, grpc_headers, message


SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3
SERVICES = ["grpc.health.v1.Health", "modeld.control.v1.Control", "remotemedia.model_registry.v1.ModelWorkerService"]


def stub(d):
    return health_pb2_grpc.HealthStub(d.shared_channel())


def check(d, name):
    return stub(d).Check(health_pb2.HealthCheckRequest(service=name), timeout=60).status


def watch(d, name, channel=None):
    return health_pb2_grpc.HealthStub(channel or d.shared_channel()).Watch(
        health_pb2.HealthCheckRequest(service=name), timeout=60)


def test_check(daemon):
    for name in ["", "identity", "simple", *SERVICES]:
        assert check(daemon, name) == SERVING, name


@pytest.mark.parametrize("name", ["nosuch", "Identity", "identity ", "grpc.health.v1", "\u00e4" * 50])
def test_check_of_an_unknown_name(daemon, name):
    with pytest.raises(grpc.RpcError) as e:
        check(daemon, name)
    assert e.value.code() == grpc.StatusCode.NOT_FOUND and name in e.value.details()


def test_list(daemon):
    statuses = stub(daemon).List(health_pb2.HealthListRequest(), timeout=60).statuses
    assert {"", "identity", "simple", "sleep", *SERVICES} <= set(statuses)
    assert {s.status for s in statuses.values()} == {SERVING}


def test_watch_of_an_unknown_name_stays(daemon):
    w = watch(daemon, "nosuch")
    assert next(w).status == UNKNOWN
    assert check(daemon, "") == SERVING
    assert w.is_active()
    w.cancel()
    wait_for("the end of the watch", lambda: daemon.status().calls == 1)


def lose_the_worker(d):
    """Ends it again and again, until the next one is a while in coming."""
    def lost():
        w = d.status().workers[0]
        if w.pid:
            with contextlib.suppress(ProcessLookupError):  # it may have gone since
                os.kill(w.pid, signal.SIGKILL)
        return w.restart_in_ms > 500
    wait_for("a restart in the future", lost)


def test_watchers_hear_of_a_lost_worker_and_of_the_next(start):
    d = start(models=["identity"])
    watchers = {name: watch(d, name) for name in ("", "identity", SERVICES[2])}
    assert [next(w).status for w in watchers.values()] == [SERVING] * 3
    d.kill_a_worker()
    for name in ("", "identity"):
        assert next(watchers[name]).status == NOT_SERVING
        assert next(watchers[name]).status == SERVING
    # The service was there all the time: nothing was said before the drain.
    d.terminate()
    assert next(watchers[SERVICES[2]]).status == NOT_SERVING
    with pytest.raises(grpc.RpcError) as e:
        next(watchers[SERVICES[2]])
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    d.wait_end()


def test_while_the_worker_is_away(start):
    d = start("worker.backoff_max_ms=60000", models=["identity"])
    lose_the_worker(d)
    assert check(d, "") == check(d, "identity") == NOT_SERVING
    assert check(d, SERVICES[2]) == SERVING
    assert stub(d).List(health_pb2.HealthListRequest(), timeout=60).statuses["identity"].status == NOT_SERVING
    assert worker_health(d) == (False, "Unhealthy - Status: starting")


def breaker_opens(d):
    def crash():
        try:
            d.infer("crash", b"\1", [1], "u8")
        except grpc.RpcError:
            pass
        return check(d, "crash") == NOT_SERVING and d.status().workers[0].state == "ready"
    wait_for("the breaker", crash)


@pytest.mark.parametrize("strict, server", [("yes", NOT_SERVING), ("no", SERVING)])
def test_strict_readiness(start, strict, server):
    d = start(f"server.strict_readiness={strict}", "worker.breaker_crashes=2", "worker.breaker_cooldown_ms=600000",
              "worker.backoff_max_ms=1", models=["crash", "identity"])
    assert check(d, "") == SERVING
    breaker_opens(d)
    assert check(d, "identity") == SERVING
    assert check(d, "") == server
    code = d.modelctl("health").returncode
    assert code == (0 if server == SERVING else 1)


def test_a_model_that_cannot_be_loaded(start):
    d = start(models=["corrupt", "identity_f32"], repository=os.path.join(m.ROOT, "tests", "models", "onnx"))
    wait_for("the other model", lambda: check(d, "identity_f32") == SERVING)
    assert check(d, "corrupt") == NOT_SERVING and check(d, "") == SERVING
    assert {s.name: s.state for s in d.status().models}["corrupt"] == "failed"
    with pytest.raises(grpc.RpcError) as e:
        d.infer("corrupt", b"")
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE and "corrupt" in e.value.details()
    # It is the default model, too.
    assert worker_health(d) == (False, "Unhealthy - Status: terminated")


# --- the published service's own health ---------------------------------------------------------------


def worker_health(d):
    r = d.call(m.WORKER_SERVICE + "HealthCheck", m.worker.HealthCheckRequest(), m.worker.HealthCheckResponse)
    return r.healthy, r.status


def worker_status(d):
    return d.call(m.WORKER_SERVICE + "GetStatus", m.worker.GetStatusRequest(), m.worker.GetStatusResponse)


def test_texts(start):
    d = start(models=["identity"])
    assert worker_health(d) == (True, "Healthy - 0 requests processed, 0.0ms avg latency")
    for _ in range(3):
        d.infer("identity", b"x")
    healthy, text = worker_health(d)
    assert healthy and re.fullmatch(r"Healthy - 3 requests processed, \d+\.\dms avg latency", text)
    s = worker_status(d)
    assert (s.worker_id, s.model_id, s.status, s.current_load, s.total_requests) == ("cpu:0/0", "identity", "ready", 0, 3)
    assert s.average_latency_ms > 0


def test_busy(start):
    d = start("worker.slots=1", models=["sleep"])
    calls = [begin(d, infer_request("sleep", struct.pack("<i", 500), [1], "i32")) for _ in range(2)]
    running(d)
    wait_for("both", lambda: worker_status(d).current_load == 2)
    s = worker_status(d)
    assert (s.status, s.current_load) == ("busy", 2)
    assert worker_health(d)[0]
    for c in calls:
        c.result(60)
    assert worker_status(d).status == "ready"


def test_stopping(start):
    d = start(models=["sleep"])
    call = begin(d, infer_request("sleep", struct.pack("<i", 700), [1], "i32"))
    running(d)
    with Connection(d) as c:
        d.terminate()
        c.until(lambda: c.goaways, "a GOAWAY")
        # Between the two GOAWAYs.
        stream = c.open(grpc_headers(m.WORKER_SERVICE + "GetStatus"))
        c.data(stream, message(b""))
        (_, data), = c.reply(stream).messages()
        assert m.worker.GetStatusResponse.FromString(data).status == "stopping"
    call.result(60)
    d.wait_end()


@pytest.mark.parametrize("method", ["HealthCheck", "GetStatus"])
def test_never_waits_for_a_worker(start, method):
    """The only worker is stopped: still there, but it answers nothing."""
    d = start(models=["identity"])
    pid = d.workers()[0]
    stop(pid)
    try:
        stuck = begin(d, infer_request("identity", b"x"))
        running(d)
        for _ in range(20):
            assert worker_health(d)[0] if method == "HealthCheck" else worker_status(d).current_load == 1
        assert not stuck.done() and d.workers() == [pid]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert stuck.result(60).tensor_data.data == b"x"
