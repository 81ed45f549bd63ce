"""The end: SIGTERM drains, a second one ends at once."""
import contextlib
import os
import queue
import signal
import socket
import struct
import subprocess
import threading

import grpc
import pytest

import messages as m
from daemon import infer_request, wait_for
from raw_handoff import Raw


def sleeping_call(d, ms):
    """A call that runs; where this process is so slow that it is over before that was seen, another."""
    call = d.channel().unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                   response_deserializer=m.worker.InferResponse.FromString)
    while True:
        future = call.future(infer_request("sleep", struct.pack("<i", ms), [1], "i32"), timeout=60)
        wait_for("the call to run", lambda: future.done() or any(w.batches_in_flight for w in d.status().workers))
        if not future.done():
            return future


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_calls_in_flight_finish(start, sig):
    d = start(models=["sleep"])
    call = sleeping_call(d, 700)
    d.process.send_signal(sig)
    assert call.result(60).tensor_data.data == struct.pack("<i", 700)
    d.wait_end()


def test_new_calls_are_refused_while_draining(start):
    d = start(models=["sleep"])
    watch = d.channel().unary_stream(m.HEALTH_SERVICE + "Watch", request_serializer=lambda r: r.SerializeToString(),
                                     response_deserializer=m.health.HealthCheckResponse.FromString
                                     )(m.health.HealthCheckRequest(), timeout=60)
    assert next(watch).status == m.SERVING
    call = sleeping_call(d, 1500)
    d.terminate()
    assert next(watch).status == m.NOT_SERVING
    with pytest.raises(grpc.RpcError) as e:
        d.infer("sleep", struct.pack("<i", 0), [1], "i32", channel=d.channel())
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert call.result(60).tensor_data.data == struct.pack("<i", 1500)
    d.wait_end()


def test_second_signal_ends_at_once(start):
    d = start(models=["sleep"])
    call = sleeping_call(d, 60000)
    d.terminate()
    d.wait_notification("STOPPING=1")
    d.terminate()
    assert d.process.wait(20) == 70
    assert call.exception(20) is not None
    d.checked = True
    d.check_log()


def test_signals_up_to_the_last_moment(start):
    for _ in range(10):
        d = start(models=["identity"])
        while d.process.poll() is None:
            d.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                d.process.wait(0.002)  # no flood: the daemon is to get somewhere
        assert d.process.returncode in (0, 70)
        d.checked = True


def test_unread_answers_do_not_hold_the_drain(start):
    """Those that lie in their socket; those for which there is no room end with drain_timeout_s."""
    d = start("server.drain_timeout_s=3600", models=["identity"])
    raw, other = Raw(d), Raw(d)
    for _ in range(8):
        raw.send(allocate=m.handoff.Allocate(size=4096))
    wait_for("answers", lambda: other.limits().user_used_regions == 16)  # a region and its answer each
    d.terminate()
    d.wait_end()
    assert raw.receive()[0].WhichOneof("body") == "registered"
    raw.close()
    other.close()


def test_drain_timeout(start):
    d = start("server.drain_timeout_s=1", models=["sleep"])
    call = sleeping_call(d, 60000)
    d.terminate()
    d.process.wait(30)
    assert call.exception(20) is not None
    assert "drain_timeout_s" in d.log()
    d.checked = True


def test_terminal_interrupt_reaches_workers_too(start):
    """Ctrl-C goes to the whole process group: workers must not die of it."""
    d = start(models=["sleep"])
    call = sleeping_call(d, 700)
    for pid in d.workers():
        os.kill(pid, signal.SIGINT)
    d.process.send_signal(signal.SIGINT)
    assert call.result(60).tensor_data.data == struct.pack("<i", 700)
    d.wait_end()


def test_socket_files_are_removed_and_stale_ones_replaced(start):
    d = start(models=["identity"])
    path = os.path.join(d.directory, "modeld.sock")
    assert os.path.exists(path)
    d.stop()
    assert not os.path.exists(path)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    assert os.path.exists(path)
    e = start(models=["identity"], listen=f"127.0.0.1:0, unix:{path}")
    assert e.infer("identity", b"x", channel=e.channel(f"unix:{path}")).tensor_data.data == b"x"


def test_port_in_use(start):
    d = start(models=["identity"])
    e = start(models=["identity"], listen=d.tcp, ready=False)
    e.wait_end(71)
    assert d.tcp in e.log() and "in use" in e.log()


def test_idle_keepalive_connections_do_not_hold_the_drain(start):
    d = start(models=["identity"])
    sockets = [socket.create_connection(("127.0.0.1", d.port)) for _ in range(20)]
    d.infer("identity", b"x")
    threads = threading.active_count()
    d.stop()
    for s in sockets:
        s.close()
    assert threads >= 1


def test_idle_stream_does_not_hold_the_drain(start):
    d = start(models=["identity"])
    feed = queue.Queue()
    call = d.channel().stream_stream(m.WORKER_SERVICE + "InferStream",
                                     request_serializer=lambda r: r.SerializeToString(),
                                     response_deserializer=m.worker.InferResponse.FromString)(iter(feed.get, None),
                                                                                              timeout=60)
    feed.put(infer_request("identity", b"x"))
    assert next(call).tensor_data.data == b"x"
    d.terminate()
    with pytest.raises(grpc.RpcError) as e:
        next(call)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    feed.put(None)
    d.wait_end()
