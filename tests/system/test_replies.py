"""What comes back: compression in both directions, the shape of replies and errors, and the end of a connection."""
import gzip
import os
import random
import re
import struct
import zlib

import pytest

import http2 as h
import messages as m
from callers import holds_nothing
from daemon import infer_request
from http2 import Connection, grpc_headers, message

OK, NOT_FOUND, UNIMPLEMENTED, INTERNAL = 0, 5, 12, 13
REQUEST = infer_request("identity", b"hello").SerializeToString()


@pytest.fixture
def connection(daemon):
    with Connection(daemon) as c:
        yield c


def answer_of(reply):
    assert reply.status == OK, reply.text
    (flag, data), = reply.messages()
    assert flag == 0
    return m.worker.InferResponse.FromString(data).tensor_data.data


# --- compression ----------------------------------------------------------------------------------


def squeeze(name, data):
    return gzip.compress(data) if name == "gzip" else zlib.compress(data)


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_compressed_at_every_boundary(connection, name):
    body = message(squeeze(name, REQUEST), 1)
    assert answer_of(connection.call(body, grpc_encoding=name)) == b"hello"
    assert answer_of(connection.call(body, cuts=range(1, len(body)), grpc_encoding=name)) == b"hello"


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_compressed_garbage(connection, name):
    good = squeeze(name, REQUEST)
    for bad in (b"garbage", b"", good[:-1], good[:5], good + b"x", good[:-3] + b"xyz"):
        r = connection.call(message(bad, 1), grpc_encoding=name)
        assert r.status == INTERNAL and name in r.text, bad


def test_unknown_encoding_of_a_compressed_message(connection):
    r = connection.call(message(REQUEST, 1), grpc_encoding="snappy")
    assert r.status == UNIMPLEMENTED and "gzip" in r.text and "deflate" in r.text
    accepted = r.blocks[0]["grpc-accept-encoding"]
    assert "gzip" in accepted and "snappy" not in accepted


def test_unknown_encoding_matters_only_when_used(connection):
    assert answer_of(connection.call(message(REQUEST), grpc_encoding="snappy")) == b"hello"


@pytest.mark.parametrize("encoding", [None, "identity"])
def test_flag_without_encoding(connection, encoding):
    r = connection.call(message(REQUEST, 1), grpc_encoding=encoding)
    assert r.status == INTERNAL and "compressed flag" in r.text


def test_replies_are_compressed_only_for_those_who_can(start):
    d = start("compression.algorithm=gzip", "compression.min_bytes=1K", models=["identity"])
    with Connection(d) as c:
        for accepts, flag in ((None, 0), ("deflate", 0), ("identity, deflate, gzip", 1), ("gzip", 1)):
            r = c.infer(bytes(10000), grpc_accept_encoding=accepts)
            assert r.status == OK, r.text
            (got, data), = r.messages()
            assert got == flag
            assert ("grpc-encoding" in r.blocks[0]) >= bool(flag)
            data = gzip.decompress(data) if flag else data
            assert m.worker.InferResponse.FromString(data).tensor_data.data == bytes(10000)
        assert c.infer(b"short", grpc_accept_encoding="gzip").messages()[0][0] == 0


def test_large_replies_are_compressed_piece_by_piece(start):
    """Others are answered meanwhile; whoever cancels one leaves nothing behind."""
    # Requests are sent whole, also while their room is being made: the window has to take all of one.
    d = start("compression.algorithm=gzip", "limits.arena_wait_ms=60000", "http2.stream_window_bytes=8M", models=["identity"])
    data = random.Random(1).randbytes(4 << 20).translate(bytes(i % 16 for i in range(256)))
    request = message(infer_request("identity", data).SerializeToString())
    with Connection(d) as c, Connection(d) as other:
        streams = [c.open(grpc_headers(m.WORKER_SERVICE + "Infer", grpc_accept_encoding="gzip")) for _ in range(3)]
        for stream in streams:
            c.data(stream, request)
        assert other.infer().status == OK
        c.send_frame(h.RST_STREAM, 0, streams[1], struct.pack(">I", 8))
        for stream in (streams[0], streams[2]):
            r = c.reply(stream)
            assert r.status == OK, r.text
            (flag, got), = r.messages()
            assert flag == 1 and len(got) < len(data) * 3 / 4
            assert m.worker.InferResponse.FromString(gzip.decompress(got)).tensor_data.data == data
    holds_nothing(d)


# --- replies --------------------------------------------------------------------------------------


def test_shape_of_a_reply(connection):
    r = connection.infer()
    first, last = r.blocks
    assert first[":status"] == "200" and first["content-type"].startswith("application/grpc")
    assert "grpc-accept-encoding" not in first
    told = connection.infer(grpc_accept_encoding="identity").blocks[0]["grpc-accept-encoding"]
    assert {"gzip", "deflate"} <= set(re.split(r", *", told))
    assert "grpc-status" not in first and last["grpc-status"] == "0"
    assert not r.end_in_data and r.reset is None


def test_errors_are_trailers_only_with_a_content_type(connection):
    r = connection.call(message(infer_request("nosuch", b"x").SerializeToString()))
    assert r.trailers_only and r.http == 200 and r.status == NOT_FOUND
    assert r.blocks[0]["content-type"].startswith("application/grpc")


def test_grpc_message_is_percent_encoded(connection):
    name = "a%b c\t\n\u00e4\U0001f600"
    r = connection.call(message(infer_request(name, b"x").SerializeToString()))
    raw = r.blocks[-1]["grpc-message"]
    assert name in r.text
    assert "a%25b c%09%0A%C3%A4%F0%9F%98%80" in raw


def test_long_texts_are_cut_for_small_header_tables(connection):
    r = connection.call(message(infer_request("\u00e4" * 20000, b"x").SerializeToString()))
    assert r.status != OK and len(r.blocks[-1]["grpc-message"]) <= 4096


def test_settings_first_and_unknown_ones_ignored(daemon):
    with Connection(daemon, settings=[(0xfe03, 1), (2, 0), (3, 0)]) as c:
        assert c.infer().status == OK
        assert c.settings[3] == 1024 and c.settings[4] == 4 << 20 and c.settings[6] == 16 << 10
        assert 0xfe03 not in c.settings


def test_frames_of_unknown_types_are_ignored(connection):
    connection.send(h.frame(0xbe, 0xff, 0, b"x" * 100) + h.frame(0xbf, 0, 77, b""))
    connection.ping()


def test_small_client_window(daemon):
    """A reply far larger than the client's window comes as it gives credit."""
    with Connection(daemon, settings=[(h.SETTINGS_INITIAL_WINDOW, 1000)]) as c:
        data = os.urandom(200000)
        assert answer_of(c.infer(data)) == data


def test_goaway_in_two_steps(start):
    d = start(models=["sleep"])
    with Connection(d) as c:
        body = message(infer_request("sleep", (700).to_bytes(4, "little"), [1], "i32").SerializeToString())
        stream = c.open()
        c.data(stream, body)
        c.ping()
        d.terminate()
        c.until(lambda: c.goaways, "a GOAWAY")
        assert c.goaways[0][:2] == (2**31 - 1, h.NO_ERROR)
        # Calls that were under way to it are still served.
        late = c.open()
        c.data(late, body)
        assert c.reply(stream).status == OK
        assert c.reply(late).status == OK
        last, code, _ = c.wait_closed()
        assert (last, code) == (late, h.NO_ERROR) and len(c.goaways) == 2
    d.wait_end()
