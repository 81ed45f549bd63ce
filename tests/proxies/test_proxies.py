"""Calls of every kind by way of a proxy, offenders among others on connections that it shares, and hosts that come and go."""
import os
import signal

import grpc
import pytest

import messages as m
import offenders as o
from callers import holds_nothing
from daemon import infer_request
from harness import TCP, Bystanders, judge, measure, now
from http2 import Connection, grpc_headers, message
from proxies import Through, served

MIB = 1 << 20
CODEC = dict(request_serializer=lambda r: r.SerializeToString(), response_deserializer=m.worker.InferResponse.FromString)
# Where several clients' calls go over one connection to modeld: conf/proxy says that they do not. (In nginx a connection
# carries one call at a time.)
SHARING = {"haproxy": [("http-reuse never", "http-reuse always")], "nginx": [],
           "envoy": [("connection_pool_per_downstream_connection: true", "connection_pool_per_downstream_connection: false")]}
WRONG_FOR_MODELD = [dict(method="GET"), dict(content_type="text/plain"), dict(path="/nope"), dict(grpc_timeout="5x"),
                    dict(x_long="x" * 14000, x_longer="y" * 14000), dict(grpc_encoding="nope")]


@pytest.fixture
def front(start, proxy):
    """front(*sets, sharing=True, **options) -> a daemon whose TCP clients come by a proxy, on connections that they share."""
    def begin(*sets, sharing=True, **options):
        d = start(*sets, **options)
        p = proxy([d], SHARING[proxy.kind] if sharing else [])
        return Through(d, p)
    return begin


def test_calls_of_every_kind(front):
    d = front(models=["identity", "sleep"])
    channel = d.channel(d.tcp)
    for n in (0, 4, 1000, MIB, 64 * MIB):
        data = os.urandom(min(n, 1 << 16)) * max(1, n >> 16) if n else b""
        assert d.infer("identity", data, channel=channel).tensor_data.data == data
    stream = channel.stream_stream(m.WORKER_SERVICE + "InferStream", **CODEC)
    sent = [bytes([i]) * 1000 for i in range(100)]
    assert [r.tensor_data.data for r in stream(infer_request("identity", x) for x in sent)] == sent
    with pytest.raises(grpc.RpcError) as e:
        d.infer("nothing like it", b"x", channel=channel)
    assert e.value.code() is grpc.StatusCode.NOT_FOUND and "nothing like it" in e.value.details()
    with pytest.raises(grpc.RpcError) as e:
        d.infer("sleep", (5000).to_bytes(4, "little"), [1], "i32", channel=channel, timeout=0.3)
    assert e.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    call = m.health.HealthCheckRequest()
    assert d.call(m.HEALTH_SERVICE + "Check", call, m.health.HealthCheckResponse, channel).status == m.SERVING
    holds_nothing(d)


def wrong_requests(d, _, over):
    """By the proxy they share a connection with everybody's calls: nobody else is to notice."""
    def visit():
        with Connection(d) as c:
            for changes in WRONG_FOR_MODELD:
                c.call(message(b"\xff" * 9), headers=grpc_headers(**changes))
    o.again(over, visit)


IMPATIENT = ("limits.receive_timeout_ms=5000", "limits.send_timeout_ms=5000")
OFFENDERS = {
    "slow uploads": (o.slow_uploads, (*IMPATIENT, "memory.input_arena_bytes=320M")),
    # Bytes of streams that wait take the connection's window, which nobody else can use then: not where it is shared.
    "held input": (o.held_input, IMPATIENT, False),
    "unread replies": (o.unread_replies, (*IMPATIENT, "worker.output_arena_bytes=64M")),
    "unread streams": (o.unread_streams, IMPATIENT),
    "many streams": (o.many_streams, ()),
    "wrong requests": (wrong_requests, ()),
    "cancels": (o.cancels, ()),
    "deadlines": (o.deadlines, ()),
}
# nginx has a connection to modeld for each call: replies that the kernel takes at once are none that wait.
BY_NGINX = {"unread replies": (o.unread_large_replies, (*IMPATIENT, "worker.output_arena_bytes=1G"))}


@pytest.mark.parametrize("what", OFFENDERS)
def test_nobody_waits_for_a_stranger(front, proxy, table, what):
    offend, sets, *sharing = BY_NGINX.get(what, OFFENDERS[what]) if proxy.kind == "nginx" else OFFENDERS[what]
    if proxy.kind == "haproxy" and offend is o.unread_streams:
        pytest.skip("HAProxy itself reads nothing of a connection to modeld while one of its streams is full")
    d = front(*sets, sharing=not sharing, models=["identity", "sleep"])
    result = measure([d.tcp], offend, d, TCP)
    table(f"{what}, {proxy.kind}", result)
    judge(what, result)


def three(start, proxy):
    daemons = [start(models=["identity", "sleep"]) for _ in range(3)]
    return daemons, proxy(daemons)


def test_a_host_drains_and_nobody_notices(start, proxy):
    """Unary calls, and nothing is sent again by their library. (A stream is told UNAVAILABLE after the answers that are due.)"""
    daemons, p = three(start, proxy)
    bystanders = Bystanders(["--unary", p.address])
    try:
        bystanders.wait_for_all(0)
        assert all(served(daemons)), "each has its part"
        daemons[0].stop()
        bystanders.wait_for_all(now(), 10)
    finally:
        bystanders.stop()
    assert not bystanders.failed(), p.log()[-2000:]


def test_a_host_dies_and_no_call_fails(start, proxy):
    """Unary calls; clients send again what is UNAVAILABLE, as their service config says (docs/proxies.md)."""
    daemons, p = three(start, proxy)
    bystanders = Bystanders(["--retry", "--unary", p.address])
    try:
        bystanders.wait_for_all(0)
        workers = daemons[0].workers()
        os.kill(daemons[0].pid, signal.SIGKILL)
        daemons[0].process.wait()
        daemons[0].checked = True
        bystanders.wait_for_all(now(), 10)
    finally:
        bystanders.stop()
    assert workers and not bystanders.failed(), p.log()[-2000:]
