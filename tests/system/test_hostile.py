"""Clients that break the rules, on purpose or by dying: it costs them, not the memory of the daemon and not the other
clients."""
import os
import random
import socket
import struct
import zlib

import pytest

import http2 as h
import messages as m
from callers import holds_nothing, undisturbed
from daemon import SANITIZED, infer_request, wait_for
from http2 import Connection, frame, grpc_headers, message
from raw_handoff import Raw

MIB = 1 << 20
GROWTH_KIB = 16 << 10
DEADLINE_EXCEEDED = 4


class Victim:
    """A daemon, with a look at what it holds before and after."""

    def __init__(self, daemon):
        self.daemon = daemon
        daemon.infer("identity", bytes(1 << 20))
        self.heap = daemon.heap_kib()
        self.n_descriptors = daemon.n_descriptors()

    def check(self):
        wait_for("an end of every call but one", lambda: self.daemon.status().calls == 1)
        wait_for("an empty arena", lambda: self.daemon.status().arena_used_bytes == 0)
        wait_for("closed sockets", lambda: self.daemon.n_descriptors() <= self.n_descriptors)
        assert SANITIZED or self.daemon.heap_kib() < self.heap + GROWTH_KIB


@pytest.fixture
def victim(daemon):
    """The module's daemon; when the test is over, it holds nothing more than before and nobody was disturbed."""
    v = Victim(daemon)
    with undisturbed(daemon):
        yield daemon
    for c in daemon.channels[1:]:
        c.close()
    del daemon.channels[1:]
    v.check()


def flood(connection, data, times):
    """Send without reading, for as long as it is taken."""
    try:
        for _ in range(times):
            connection.send(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


# --- each of these is one connection's end -----------------------------------------------------------


HEADERS_BLOCK = b"\x83\x86\x84\x41\x01x"  # POST, http, /, authority x
BROKEN = {
    "data on a stream that was never opened": frame(h.DATA, 0, 1, b"x"),
    "headers on an even stream": frame(h.HEADERS, 5, 2, HEADERS_BLOCK),
    "a push promise": frame(h.PUSH, 4, 1, struct.pack(">I", 2) + HEADERS_BLOCK),
    "a window that overflows": frame(h.WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1)) * 2,
    "a window update of nothing": frame(h.WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)),
    "a header index that does not exist": frame(h.HEADERS, 5, 1, b"\xff\xff\xff\xff\x0f"),
    "a ping that is too short": frame(h.PING, 0, 0, b"1234"),
    "settings with half an entry": frame(h.SETTINGS, 0, 0, b"abc"),
    "settings of a stream": frame(h.SETTINGS, 0, 1, b""),
    "a window setting out of range": frame(h.SETTINGS, 0, 0, struct.pack(">HI", 4, 2**31)),
    "a frame larger than is offered": frame(h.DATA, 0, 1, bytes(65 << 10)),
    "a frame said to be huge": b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "something between headers": frame(h.HEADERS, 1, 1, HEADERS_BLOCK) + frame(h.PING, 0, 0, bytes(8)),
    "continuation without headers": frame(h.CONTINUATION, 4, 1, HEADERS_BLOCK),
    "padding longer than the frame": frame(h.HEADERS, 4, 1, HEADERS_BLOCK) + frame(h.DATA, 8, 1, b"\xffxx"),
    "a reset of a stream that is idle": frame(h.RST_STREAM, 0, 77, bytes(4)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_breach(victim, what):
    with Connection(victim) as c:
        c.send(BROKEN[what])
        last, code, reason = c.wait_closed()
        assert code != h.NO_ERROR and reason


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", bytes(100), b"PRI * HTTP/2.0\r\n\r\nXX",
                                  os.urandom(4096)])
def test_what_is_no_http2(victim, data):
    with Connection(victim, preface=False) as c:
        c.send(data)
        c.socket.shutdown(socket.SHUT_WR)
        c.wait_closed()


def test_random_frames(victim):
    rng = random.Random(1)
    for _ in range(60):
        with Connection(victim) as c:
            for _ in range(20):
                flood(c, frame(rng.randrange(12), rng.randrange(256), rng.choice([0, 1, 3, 5, rng.randrange(2**31)]),
                               rng.randbytes(rng.choice([0, 4, 8, rng.randrange(2000)]))), 1)


# --- floods ------------------------------------------------------------------------------------------


def test_too_many_pings(victim):
    with Connection(victim) as c:
        flood(c, frame(h.PING, 0, 0, bytes(8)), 10)
        assert c.wait_closed()[1:] == (h.ENHANCE_YOUR_CALM, b"too_many_pings")


def test_pings_between_replies_are_no_strikes(victim):
    with Connection(victim) as c:
        for _ in range(20):
            assert c.infer().status == 0
            c.ping()
        assert c.goaways == []


def test_ping_strikes_can_be_switched_off(start):
    d = start("http2.max_ping_strikes=0", models=["identity"])
    with Connection(d) as c:
        for _ in range(50):
            c.ping()
        assert c.infer().status == 0


@pytest.mark.parametrize("what", [frame(h.SETTINGS), frame(h.PING, 0, 0, bytes(8)),
                                  frame(h.SETTINGS, 0, 0, struct.pack(">HI", 4, 100) * 1000)])
def test_flood_of_what_must_be_answered(start, what):
    """The answers are never read."""
    d = start("http2.max_ping_strikes=0", models=["identity"])
    v = Victim(d)
    with undisturbed(d):
        with Connection(d, receive_buffer=4096) as c:
            c.socket.settimeout(2)
            try:
                flood(c, what * (60000 // len(what)), 500)
            except socket.timeout:
                pass  # the daemon reads no more: bounded as well
            assert SANITIZED or d.heap_kib() < v.heap + GROWTH_KIB
    for c in d.channels:
        c.close()
    d.channels.clear()
    v.check()


def test_rapid_reset(start):
    d = start("limits.reset_burst=100", "limits.reset_rate=10", models=["identity", "sleep"])
    with undisturbed(d):
        with Connection(d) as c:
            request = message(infer_request("sleep", struct.pack("<i", 0), [1], "i32").SerializeToString())
            for stream in range(1, 4000, 2):
                block = c.headers_frame(stream, grpc_headers()) + frame(h.DATA, 1, stream, request)
                flood(c, block + frame(h.RST_STREAM, 0, stream, struct.pack(">I", h.CANCEL)), 1)
            last, code, reason = c.wait_closed()
            assert code != h.NO_ERROR and last < 1000 and b"[limits] reset_burst" in reason
    wait_for("an empty arena", lambda: d.status().arena_used_bytes == 0)


def test_honest_cancellations_within_the_burst(start):
    d = start("limits.reset_burst=100", "limits.reset_rate=10", models=["identity"])
    with Connection(d) as c:
        for _ in range(90):
            c.send_frame(h.RST_STREAM, 0, c.open(), struct.pack(">I", h.CANCEL))
        assert c.infer().status == 0


@pytest.mark.parametrize("size", [0, 1, 16384])
def test_continuation_flood(victim, size):
    with Connection(victim) as c:
        c.send(frame(h.HEADERS, 1, 1, HEADERS_BLOCK))
        block = (b"\x00\x7f\xff\xff\x03" if size == 16384 else b"") + b"\x82" * size
        flood(c, frame(h.CONTINUATION, 0, 1, block[:16384]), 20000 if size < 2 else 2000)
        c.wait_closed()


def test_hpack_bomb(victim):
    """One header of 4000 bytes in the table, named 16000 times in one block: 64 MB unpacked, many times over."""
    with Connection(victim) as c:
        stream = c.open(grpc_headers() + [("x-bomb", "b" * 3900)], end=True)
        c.reply(stream)
        index = c.encoder.header_table.dynamic_entries
        assert index[0][0] == b"x-bomb"
        for stream in range(stream + 2, stream + 20, 2):
            flood(c, frame(h.HEADERS, 5, stream, HEADERS_BLOCK + b"\xbe" * 16000), 1)
        wait_for("bomb looked at", lambda: c.closed or not c.read() or any(
            s > 1 and (r.ended or r.reset is not None) for s, r in c.replies.items()))
        for s, r in c.replies.items():
            assert s == 1 or r.reset is not None or r.status == 8


def bomb(name):
    """An Infer request whose tensor is 128 MiB of zeros: some 128 KiB."""
    pack = zlib.compressobj(1, zlib.DEFLATED, 31 if name == "gzip" else 15)
    whole = infer_request("identity", bytes(128 << 20)).SerializeToString()
    return pack.compress(whole) + pack.flush()


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_decompression_bomb(start, name):
    """Given up at the limit, and others have their turn meanwhile."""
    # The segment that it takes is given up soon, so that its descriptor is.
    d = start("limits.max_receive_message_bytes=32M", "memory.segment_idle_ms=100", models=["identity"])
    v, body = Victim(d), message(bomb(name), 1)
    with undisturbed(d), Connection(d) as c:
        for method, limit in (("Infer", "max_receive_message_bytes"), ("GetStatus", "4096")):
            r = c.call(body, headers=grpc_headers(m.WORKER_SERVICE + method, grpc_encoding=name))
            assert r.status == 8 and limit in r.text
        assert c.infer().status == 0
    for c in d.channels[1:]:
        c.close()
    del d.channels[1:]
    v.check()


def test_padding_is_given_back(start):
    """Frames of nothing but padding use the window up, and get it back."""
    d = start("http2.max_ping_strikes=0", models=["identity"])
    with Connection(d) as c:
        stream = c.open()
        for _ in range(40):
            c.send(frame(h.DATA, 8, stream, b"\xff" + bytes(255)) * 1000)
            c.ping()
        assert sum(c.credits[stream]) >= 40 * 256 * 1000 - (4 << 20)
        c.data(stream, message(infer_request("identity", b"x").SerializeToString()))
        assert c.reply(stream).status == 0


# --- clients that go away ----------------------------------------------------------------------------


CALL = message(infer_request("sleep", struct.pack("<i", 50), [1], "i32").SerializeToString())
LARGE = message(infer_request("identity", bytes(100000)).SerializeToString())
STAGES = {
    "after the headers": (b"", False),
    "inside of the prefix": (CALL[:3], False),
    "inside of the message": (CALL[:9], False),
    "with space in the arena": (LARGE[:40000], False),
    "before the half-close": (CALL, False),
    "while it runs": (CALL, True),
    "while the reply waits for the window": (LARGE, True),
}


@pytest.mark.parametrize("path", ["Infer", "InferStream"])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("how", ["reset", "close", "abort"])
def test_gone(victim, path, stage, how):
    body, end = STAGES[stage]
    with Connection(victim, settings=[(h.SETTINGS_INITIAL_WINDOW, 1000)], credit=False) as c:
        streams = [c.open(grpc_headers(m.WORKER_SERVICE + path)) for _ in range(3)]
        for s in streams:
            c.data(s, body, end=end)
        if body is LARGE:
            c.until(lambda: all(len(c.replies[s].data) == 1000 if s in c.replies else False for s in streams),
                    "all that the window allows") if end else c.ping()
        if how == "reset":
            for s in streams:
                c.send_frame(h.RST_STREAM, 0, s, struct.pack(">I", h.CANCEL))
            c.credit = True
            c.send_frame(h.SETTINGS, 0, 0, struct.pack(">HI", h.SETTINGS_INITIAL_WINDOW, 100000))
            assert c.infer().status == 0
        elif how == "abort":
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_messages_that_are_not_ended_are_bounded(start):
    """1024 of them, each with all that is kept of one: 64 MiB."""
    daemon = start("limits.max_held_bytes=4M", models=["identity"])
    victim = Victim(daemon)
    text = m.kserve.ModelInferRequest(model_name="identity", id="x" * 65000).SerializeToString()
    with undisturbed(daemon), Connection(daemon) as c:
        for _ in range(1024):
            c.data(c.open(grpc_headers(m.KSERVE_SERVICE + "ModelInfer")), message(text, length=len(text) + 100), end=False)
        c.ping()
        assert SANITIZED or daemon.heap_kib() < victim.heap + GROWTH_KIB
    for channel in daemon.channels[1:]:
        channel.close()
    del daemon.channels[1:]
    victim.check()


def test_window_never_opened(start):
    """Replies wait for a client that gives no window: send_timeout_ms ends them, and what they held comes back."""
    d = start("limits.send_timeout_ms=300", models=["identity"])
    v = Victim(d)
    with undisturbed(d):
        with Connection(d, settings=[(h.SETTINGS_INITIAL_WINDOW, 0)]) as c:
            streams = [c.open() for _ in range(20)]
            for s in streams:
                c.data(s, message(infer_request("identity", bytes(50000)).SerializeToString()))
            for s in streams:
                r = c.reply(s)
                assert r.status == DEADLINE_EXCEEDED and "send_timeout_ms" in r.text and not r.data
    for channel in d.channels[1:]:
        channel.close()
    del d.channels[1:]
    v.check()


def test_streams_that_are_not_read_stop_no_other(start):
    """Calls of several people on one connection, as proxies make them: one of them does not read."""
    d = start(models=["identity"])
    v = Victim(d)
    with Connection(d, settings=[(h.SETTINGS_INITIAL_WINDOW, 1000)], credit=False) as c:
        c.send_frame(h.WINDOW_UPDATE, 0, 0, struct.pack(">I", 64 << 20))
        unread = [c.open() for _ in range(8)]
        for s in unread:
            c.data(s, message(infer_request("identity", bytes(MIB)).SerializeToString()))
            c.until(lambda stream=s: stream in c.replies and len(c.replies[stream].data) == 1000, "what the window allows")
        for _ in range(3):
            assert c.infer(b"others go on").status == 0
        for s in unread:
            c.send_frame(h.WINDOW_UPDATE, 0, s, struct.pack(">I", 2 * MIB))
        assert [c.reply(s).status for s in unread] == [0] * 8
    for channel in d.channels:
        channel.close()
    d.channels.clear()
    v.check()


def test_who_does_not_read_keeps_his_share_of_output_memory(start):
    """Replies that nobody reads lie in a worker's memory. When it is full, everybody is refused: so one who has half of
    it is passed over until he reads, and all others go on."""
    d = start("worker.output_arena_bytes=4M", "memory.segment_bytes=1M", "http2.min_ping_interval_ms=0",
              models=["identity"])
    request = message(infer_request("identity", bytes(MIB // 4)).SerializeToString())
    with undisturbed(d), Connection(d, settings=[(h.SETTINGS_INITIAL_WINDOW, 1000)], credit=False) as c:
        c.send_frame(h.WINDOW_UPDATE, 0, 0, struct.pack(">I", 256 << 20))
        streams = [c.open() for _ in range(24)]  # all at once: what runs counts, too
        for stream in streams:
            c.data(stream, request)
        c.until(lambda: streams[0] in c.replies, "his first answer")
        for _ in range(5):
            with Connection(d) as other:
                assert other.call(request).status == 0
        c.ping()
        assert len(c.replies) <= 8, "half of the memory is for others"
        for s in streams:
            c.send_frame(h.WINDOW_UPDATE, 0, s, struct.pack(">I", 2 * MIB))
        assert [c.reply(s).status for s in streams] == [0] * len(streams)
    holds_nothing(d)


def test_lines_that_a_peer_provokes_are_limited(start):
    """Who errs a hundred times is told of a few times, and by name."""
    d = start("http2.max_ping_strikes=1", models=["identity"])
    for _ in range(100):
        guest = Raw(d)
        guest.send_bytes(b"\xff" * 64)
        assert guest.receive() is None
        guest.close()
    for _ in range(30):
        with Connection(d) as c:
            flood(c, frame(h.PING, 0, 0, bytes(8)), 10)
            c.wait_closed()
    log = d.log()
    assert 1 <= log.count("handoff connection closed") <= 50
    assert f"client=uid:{os.getuid()},pid:{os.getpid()} why=\"a malformed record\"" in log
    assert 1 <= log.count("client expelled") < 30 and "client=127.0.0.1:" in log
