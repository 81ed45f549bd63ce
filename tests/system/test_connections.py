"""Connections that are slow, silent, half open or many: bounded in time and memory, and nothing else is disturbed."""
import re
import resource
import selectors
import socket
import subprocess

import hpack
import pytest

import http2 as h
import messages as m
from callers import undisturbed
from daemon import infer_request, wait_for
from http2 import Connection, grpc_headers, message

MIB = 1 << 20


def ended(d, n=1):
    """`n` connections are left (the test's own channel)."""
    wait_for("the end of the connection", lambda: d.status().connections == n)


def forget_channels(d):
    for c in d.channels[1:]:
        c.close()
    del d.channels[1:]


def test_max_connections(start):
    d = start("limits.max_connections=4", models=["identity"])
    d.status()
    sockets = [socket.create_connection(("127.0.0.1", d.port)) for _ in range(10)]
    wait_for("the limit in the log", lambda: "max_connections" in d.log())
    assert d.status().connections <= 4
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    for s in sockets:
        s.close()
    ended(d)
    # There is room again.
    assert d.infer("identity", b"y", channel=d.channel()).tensor_data.data == b"y"


@pytest.mark.parametrize("sent", [b"", h.PREFACE[:10], h.PREFACE, h.PREFACE + b"\0\0\6\4\0\0\0\0\0"])
def test_handshake_timeout(start, sent):
    d = start("http2.handshake_timeout_ms=200", models=["identity"])
    with undisturbed(d):
        with Connection(d, preface=False) as c:
            c.answer = lambda *_: None
            c.send(sent)
            c.wait_closed()
    assert "handshake_timeout_ms" in d.log()


def test_a_handshake_in_time_is_good_for_ever(start):
    d = start("http2.handshake_timeout_ms=100", models=["identity", "sleep"])
    with Connection(d) as c:
        d.infer("sleep", (400).to_bytes(4, "little"), [1], "i32")
        assert c.infer().status == 0


def test_idle_timeout(start):
    d = start("http2.idle_timeout_ms=200", models=["identity"])
    with Connection(d) as c:
        assert c.infer().status == 0
        assert c.wait_closed()[1:] == (h.NO_ERROR, b"max_idle")


def test_max_age(start):
    d = start("http2.max_age_ms=200", models=["identity"])
    with Connection(d) as c:
        assert c.infer().status == 0
        assert c.wait_closed()[1:] == (h.NO_ERROR, b"max_age")


def test_half_open_connection_is_found_by_keepalive(start):
    d = start("http2.keepalive_interval_ms=1000", "http2.keepalive_timeout_ms=100", models=["identity"])
    with Connection(d) as c:
        c.answer = lambda *_: None  # as if the machine were gone: no answer to a ping
        c.wait_closed()
    assert "keepalive_timeout_ms" in d.log()


@pytest.mark.parametrize("path", [m.WORKER_SERVICE + "Infer", m.WORKER_SERVICE + "InferStream",
                                  m.WORKER_SERVICE + "GetStatus"])
def test_slow_writer(start, path):
    """A message that stops in the middle holds its arena space for receive_timeout_ms."""
    d = start("limits.receive_timeout_ms=300", models=["identity"])
    body = message(infer_request("identity", bytes(MIB)).SerializeToString())
    if path.endswith("GetStatus"):
        body = message(bytes(100))
    with undisturbed(d), Connection(d) as c:
        stream = c.open(grpc_headers(path))
        c.data(stream, body[:len(body) // 2], end=False)
        r = c.reply(stream)
        assert r.status == 4 and "receive_timeout_ms" in r.text
        c.infer()
    forget_channels(d)
    wait_for("an empty arena", lambda: d.status().arena_used_bytes == 0)


def test_a_steady_writer_is_not_slow(start):
    d = start("limits.receive_timeout_ms=300", "limits.min_receive_rate=1", models=["identity", "sleep"])
    body = message(infer_request("identity", bytes(80)).SerializeToString())
    with Connection(d) as c:
        stream = c.open()
        for i in range(0, 80, 8):
            c.data(stream, body[i:i + 8], end=False)
            d.infer("sleep", (60).to_bytes(4, "little"), [1], "i32")
        c.data(stream, body[80:])
        assert c.reply(stream).status == 0


def test_a_trickle_is_slow(start):
    """Bytes that come again and again, but far too few: who sends them holds arena space that others could have."""
    d = start("limits.receive_timeout_ms=1000", "limits.min_receive_rate=1M", "http2.max_ping_strikes=0",
              models=["identity"])
    body = message(infer_request("identity", bytes(MIB)).SerializeToString())
    with Connection(d) as c:
        stream = c.open()
        c.data(stream, body[:100], end=False)
        wait_for("a lease", lambda: d.status().arena_used_bytes >= MIB)
        at = 100

        def ended():
            nonlocal at
            c.data(stream, body[at:at + 1], end=False)
            at += 1
            c.ping()
            return stream in c.replies and c.replies[stream].ended

        wait_for("its end", ended)
        assert c.reply(stream).status == 4 and "receive_timeout_ms (1000)" in c.reply(stream).text
    wait_for("an empty arena", lambda: d.status().arena_used_bytes == 0)


def test_a_quiet_stream_between_messages_is_not_slow(start):
    d = start("limits.receive_timeout_ms=100", "limits.send_timeout_ms=100", models=["identity", "sleep"])
    body = message(infer_request("identity", b"x").SerializeToString())
    with Connection(d) as c:
        stream = c.open(grpc_headers(m.WORKER_SERVICE + "InferStream"))
        c.data(stream, body, end=False)
        d.infer("sleep", (500).to_bytes(4, "little"), [1], "i32")
        c.data(stream, body)
        assert len(c.reply(stream).messages()) == 2


def test_slow_reader(start):
    """A client asks for 100 MiB and does not read: the daemon copies nothing, and send_timeout_ms ends it."""
    d = start("limits.send_timeout_ms=1000", models=["identity"])
    d.infer("identity", bytes(100 * MIB))
    before = d.heap_kib()
    body = message(infer_request("identity", bytes(100 * MIB)).SerializeToString())
    with undisturbed(d):
        with Connection(d, receive_buffer=65536, settings=[(h.SETTINGS_INITIAL_WINDOW, 2**31 - 1)]) as c:
            c.send(h.frame(h.WINDOW_UPDATE, 0, 0, (2**31 - 65536).to_bytes(4, "big")))
            send_all(c, body)
            wait_for("the end of the connection", lambda: "reason=send_timeout_ms" in d.log())
            assert d.heap_kib() < before + (16 << 10)
    forget_channels(d)
    ended(d)
    wait_for("an empty arena", lambda: d.status().arena_used_bytes == 0)


def send_all(c, body):
    """DATA as the daemon's windows allow; nothing else is read."""
    stream = c.open()
    credit = {0: 65535 + sum(c.credits.get(0, [])), stream: c.settings[4]}
    at = 0
    while at < len(body):
        while min(credit.values()) <= 0:
            before = {s: sum(c.credits.get(s, [])) for s in credit}
            assert c.read()
            for s in credit:
                credit[s] += sum(c.credits.get(s, [])) - before[s]
        n = min(h.FRAME_MAX, len(body) - at, *credit.values())
        c.send_frame(h.DATA, h.END_STREAM if at + n == len(body) else 0, stream, body[at:at + n])
        at += n
        for s in credit:
            credit[s] -= n


@pytest.mark.memory
@pytest.mark.slow
def test_ten_thousand_idle_connections(start):
    """Each has shaken hands and made a call; then it is idle."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Half of the descriptors that workers do not need may be connections.
    n = min(10000, hard // 2 - 200)
    assert n >= 1000, "the descriptor limit is too low for this test"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    d = start("model.max_queue_size=20000", "worker.max_model_workers=0", models=["identity"])
    d.infer("identity", b"x")
    before = d.heap_kib()
    hello = h.PREFACE + h.frame(h.SETTINGS)
    call = h.headers_frame(hpack.Encoder(), 1, grpc_headers()) + h.frame(
        h.DATA, h.END_STREAM, 1, message(infer_request("identity", b"x").SerializeToString()))
    with undisturbed(d):
        sockets = [socket.create_connection(("127.0.0.1", d.port)) for _ in range(n)]
        for s in sockets:
            s.sendall(hello + call)
        wait_answers(sockets)
        wait_for("all connections", lambda: d.status().connections >= n)
        each = (d.heap_kib() - before) / n
        assert each <= 48, f"{each:.1f} KiB a connection"
        assert d.infer("identity", b"x", channel=d.channel()).tensor_data.data == b"x"
        for s in sockets:
            s.close()
    forget_channels(d)
    ended(d)


def wait_answers(sockets):
    """Until each has the trailers of its call."""
    selector = selectors.DefaultSelector()
    for s in sockets:
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ, bytearray())
    left = len(sockets)
    while left:
        events = selector.select(60)
        assert events, f"{left} calls have no answer"
        for key, _ in events:
            data = key.fileobj.recv(65536)
            assert data, f"closed, with {left} calls that have no answer"
            key.data.extend(data)
            if last_frame_ends(key.data):
                selector.unregister(key.fileobj)
                left -= 1


def last_frame_ends(data):
    at = 0
    while at + 9 <= len(data):
        kind, flags = data[at + 3], data[at + 4]
        at += 9 + int.from_bytes(data[at:at + 3], "big")
        if kind == h.HEADERS and flags & h.END_STREAM and at <= len(data):
            return True
    return False


@pytest.mark.memory
@pytest.mark.slow
def test_memory_is_flat_over_many_calls(start):
    d = start("server.log_level=info", models=["identity"])
    request = d.directory + "/request"
    with open(request, "wb") as f:
        f.write(message(infer_request("identity", bytes(100)).SerializeToString()))

    def load(n):
        out = subprocess.run(["h2load", "-n", str(n), "-c", "20", "-m", "20", "-t", "1", "-d", request,
                              "-H", "content-type: application/grpc", "-H", "te: trailers",
                              f"http://{d.tcp}{h.INFER}"], capture_output=True, text=True)
        assert f" {n} succeeded, 0 failed" in out.stdout, out.stdout
        assert re.search(rf"status codes: {n} 2xx", out.stdout)

    load(50000)
    before = d.heap_kib()
    served = d.status().requests_total
    load(150000)
    status = d.status()
    assert status.requests_total == served + 150000 and status.arena_used_bytes == 0
    assert {s.name: s for s in status.models}["identity"].requests_failed == 0
    assert d.heap_kib() <= before + 512
    assert len(d.workers()) == 1 and sum(w.restarts for w in status.workers) == 0
