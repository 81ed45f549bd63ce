"""gRPC over HTTP/2 as it is on the wire: headers and framing, seen by a client
that sends exactly what the test says, and by curl and nghttp."""
import gzip
import os
import re
import subprocess

import pytest

import http2 as h
import messages as m
from daemon import infer_request
from http2 import Connection, grpc_headers, message

OK, INTERNAL, UNIMPLEMENTED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = 0, 13, 12, 4, 8
REQUEST = infer_request("identity", b"hello").SerializeToString()


@pytest.fixture
def connection(daemon):
    with Connection(daemon) as c:
        yield c
        # Whatever the call was, its connection goes on.
        assert c.infer(b"after").status == OK


@pytest.fixture
def unix_connection(daemon):
    with Connection(daemon, unix=True) as c:
        yield c
        assert c.infer(b"after").status == OK


def answer_of(reply):
    assert reply.status == OK, reply.text
    (flag, data), = reply.messages()
    assert flag == 0
    return m.worker.InferResponse.FromString(data).tensor_data.data


# --- other clients --------------------------------------------------------------------------------


def curl(daemon, *args, path=h.INFER, body=message(REQUEST)):
    """-> status line and headers as text, body."""
    out = os.path.join(daemon.directory, "body")
    done = subprocess.run(["curl", "-s", "--max-time", "60", "--http2-prior-knowledge", "-D-", "-o", out, *args,
                           f"http://{daemon.tcp}{path}"], input=body, capture_output=True)
    assert done.returncode == 0, done
    return done.stdout.decode(), open(out, "rb").read() if os.path.exists(out) else b""


POST = ("--data-binary", "@-", "-H", "content-type: application/grpc")


@pytest.mark.parametrize("te", [(), ("-H", "te: trailers")])
def test_curl(daemon, te):
    head, body = curl(daemon, *POST, *te)
    assert head.startswith("HTTP/2 200") and "\ngrpc-status: 0" in head
    assert "content-type: application/grpc" in head
    assert m.worker.InferResponse.FromString(body[5:]).tensor_data.data == b"hello"


def test_get_gives_people_a_page(daemon):
    head, body = curl(daemon, path="/", body=b"")
    assert head.startswith("HTTP/2 405") and "content-type: text/plain" in head
    assert b"gRPC" in body and b"modelctl" in body


def test_head_has_no_body(daemon):
    head, _ = curl(daemon, "--head", path="/", body=b"")
    assert head.startswith("HTTP/2 405") and "grpc-status" not in head


def test_http1_is_told_what_is_spoken_here(daemon):
    done = subprocess.run(["curl", "-s", "-i", "--http1.1", f"http://{daemon.tcp}/"], capture_output=True, text=True)
    assert "505" in done.stdout.splitlines()[0] and "prior knowledge" in done.stdout


def test_nghttp(daemon):
    with open(os.path.join(daemon.directory, "request"), "wb") as f:
        f.write(message(REQUEST))
    done = subprocess.run(["nghttp", "-v", "-n", "-d", f.name, "-H", "content-type: application/grpc", "-H",
                           "te: trailers", f"http://{daemon.tcp}{h.INFER}"], capture_output=True, text=True)
    assert re.search(r"grpc-status.*: 0", done.stdout)
    assert "debug" not in done.stderr


# --- request headers ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "application/grpc-web",
                                  "application/grpc-web+proto", "application/grpcfoo", "application/grp"])
def test_other_content_types_get_415_and_a_page(connection, kind):
    r = connection.call(message(REQUEST), content_type=kind)
    assert r.http == 415 and b"application/grpc" in r.data
    assert r.blocks[0]["content-type"].startswith("text/plain")


def test_json_is_415_and_a_status(connection):
    r = connection.call(message(REQUEST), content_type="application/grpc+json")
    assert r.http == 415 and r.status == INTERNAL and r.trailers_only


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8",
                                  "application/grpc; x=y", "Application/gRPC", "application/grpc+proto; a=b"])
def test_content_types_of_grpc(connection, kind):
    assert answer_of(connection.call(message(REQUEST), content_type=kind)) == b"hello"


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "post"])
def test_method_is_post(connection, method):
    r = connection.call(message(REQUEST), method=method)
    assert r.http == 405 and r.status == INTERNAL


@pytest.mark.parametrize("changes", [{"te": None}, {"scheme": "https"}, {"scheme": "grpc"},
                                     {"grpc_message_type": "x", "user_agent": "y"}, {"grpc_unknown": "1"},
                                     {"authority": None, "host": "test"}, {"x_obs": b"\xff\xfe"},
                                     {"grpc_previous_rpc_attempts": "3"}, {"grpc_encoding": "gzip"}])
def test_lenient(connection, changes):
    assert answer_of(connection.call(message(REQUEST), **changes)) == b"hello"


@pytest.mark.parametrize("path", ["/nope", "/", "nope", "/" + "x" * 5000, h.INFER + "/", h.INFER.lower(),
                                  m.WORKER_SERVICE + "Nope", "/no.such.Service/Infer", "*"])
def test_unknown_path_is_unimplemented(connection, path):
    r = connection.call(message(REQUEST), headers=grpc_headers(path))
    if r.reset is None:
        assert r.http == 200 and r.status == UNIMPLEMENTED and r.trailers_only
    else:  # not a path at all
        assert path[0] != "/" and r.reset == h.PROTOCOL_ERROR


@pytest.mark.parametrize("value", ["5x", "123456789S", "S", "", "1", "-1S", "+1S", "1 S", "1SS", "0x1S", "1.5S"])
def test_malformed_timeout(connection, value):
    r = connection.call(message(REQUEST), grpc_timeout=value)
    assert r.status == INTERNAL and "grpc-timeout" in r.text


@pytest.mark.parametrize("value", ["0n", "0H", "00000000S"])
def test_timeout_of_nothing(connection, value):
    r = connection.call(message(REQUEST), grpc_timeout=value)
    assert r.status == DEADLINE_EXCEEDED and r.trailers_only


@pytest.mark.parametrize("value", ["99999999H", "10S", "1M", "60000m", "60000000u"])
def test_timeout_units(connection, value):
    assert answer_of(connection.call(message(REQUEST), grpc_timeout=value)) == b"hello"


MALFORMED = [{"connection": "close"}, {"te": "gzip"}, {"method": None}, {"scheme": None}, {"method": ""}]


@pytest.mark.parametrize("changes", MALFORMED + [{"authority": None}, {"content_length": "3"}, {"authority": "/path"}])
def test_malformed_requests_cost_their_stream(connection, changes):
    assert connection.call(message(REQUEST), **changes).reset == h.PROTOCOL_ERROR


@pytest.mark.parametrize("changes", MALFORMED)
def test_the_same_over_a_unix_socket(unix_connection, changes):
    assert unix_connection.call(message(REQUEST), **changes).reset == h.PROTOCOL_ERROR


@pytest.mark.parametrize("authority", ["/run/modeld/grpc.sock", "unix:grpc.sock", "unix:///run/modeld/grpc.sock",
                                       "%2Frun%2Fmodeld%2Fgrpc.sock", "localhost", "", None])
def test_over_a_unix_socket_the_authority_is_what_clients_make_of_it(unix_connection, authority):
    assert answer_of(unix_connection.call(message(REQUEST), authority=authority)) == b"hello"


def test_header_value_that_hpack_cannot_take(daemon):
    """nghttp2 gives the connection up; the last word says why."""
    with Connection(daemon) as c:
        c.open(grpc_headers(x_long="~" * (64 << 10)))
        assert c.wait_closed()[1:] == (h.COMPRESSION_ERROR, b"a header name or value of more than 65536 bytes, or malformed HPACK")


def test_header_list_too_large_names_the_setting(connection):
    for n in (17 << 10, 60 << 10):
        r = connection.call(message(REQUEST), x_long="x" * n)
        assert r.http == 200 and r.status == RESOURCE_EXHAUSTED
        assert "max_header_bytes" in r.text and str(16 << 10) in r.text


def test_request_trailers_are_half_close(connection):
    stream = connection.open()
    connection.data(stream, message(REQUEST), end=False)
    connection.send(connection.headers_frame(stream, [("x-trailer", "1")], end=True))
    assert answer_of(connection.reply(stream)) == b"hello"


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(len(message(REQUEST))))
def test_data_boundaries_mean_nothing(daemon, cut):
    with Connection(daemon) as c:
        assert answer_of(c.call(message(REQUEST), cuts=[cut])) == b"hello"


def test_one_byte_a_frame(connection):
    body = message(REQUEST)
    assert answer_of(connection.call(body, cuts=range(1, len(body)))) == b"hello"


def test_half_close_in_a_frame_of_its_own(connection):
    stream = connection.open()
    connection.data(stream, message(REQUEST), end=False)
    connection.data(stream, b"", end=True)
    assert answer_of(connection.reply(stream)) == b"hello"


def test_many_messages_in_one_frame(connection):
    r = connection.call(message(REQUEST) * 20, headers=grpc_headers(m.WORKER_SERVICE + "InferStream"))
    assert r.status == OK and len(r.messages()) == 20


@pytest.mark.parametrize("method", ["Infer", "GetStatus"])
@pytest.mark.parametrize("n", [0, 2])
def test_one_message_is_one(connection, method, n):
    body = (message(REQUEST) if method == "Infer" else message(b"")) * n
    r = connection.call(body, headers=grpc_headers(m.WORKER_SERVICE + method))
    assert r.status == UNIMPLEMENTED and "cardinality" in r.text


def test_headers_may_end_the_call(connection):
    for path, status in ((h.INFER, UNIMPLEMENTED), (m.WORKER_SERVICE + "InferStream", OK)):
        assert connection.reply(connection.open(grpc_headers(path), end=True)).status == status


def test_empty_message_is_a_message(connection):
    r = connection.call(message(b""), headers=grpc_headers(m.WORKER_SERVICE + "GetStatus"))
    assert r.status == OK and m.worker.GetStatusResponse.FromString(r.messages()[0][1]).model_id == "identity"


@pytest.mark.parametrize("n", [1, 4, 5, 6, len(message(REQUEST)) - 1])
def test_truncated_message(connection, n):
    r = connection.call(message(REQUEST)[:n])
    assert r.status == INTERNAL and "inside a message" in r.text


@pytest.mark.parametrize("flag", [2, 128, 255])
def test_bad_flag(connection, flag):
    r = connection.call(message(REQUEST, flag))
    assert r.status == INTERNAL and "flag" in r.text


def test_prefix_of_4_gib(connection):
    """Refused by the prefix alone: the rest never comes."""
    stream = connection.open()
    connection.data(stream, message(b"", length=2**32 - 1), end=False)
    r = connection.reply(stream)
    assert r.status == RESOURCE_EXHAUSTED
    assert "max_receive_message_bytes" in r.text and str(2**32 - 1) in r.text and str(1 << 30) in r.text


def test_message_over_the_limit_names_the_setting(start):
    d = start("limits.max_receive_message_bytes=4K", models=["identity"])
    with Connection(d) as c:
        for body in (message(bytes(5000)), message(gzip.compress(infer_request("identity", bytes(5000))
                                                                  .SerializeToString()), 1)):
            r = c.call(body, grpc_encoding="gzip")
            assert r.status == RESOURCE_EXHAUSTED
            assert "max_receive_message_bytes" in r.text and "4096" in r.text
        assert answer_of(c.infer(b"x" * 3000)) == b"x" * 3000


def test_request_that_is_no_protobuf(connection):
    for body in (b"\xff" * 10, b"\x0a\xff\xff\xff\xff\x0f", b"\x1a\x05\x0a"):
        assert connection.call(message(body)).status == INTERNAL
