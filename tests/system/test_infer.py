"""Infer and InferStream with grpcio: what a user does."""
import os
import struct

import grpc
import pytest

import messages as m
from daemon import infer_request

DTYPES = {
    "f32": 4, "f16": 2, "bf16": 2, "f64": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "u8": 1, "u16": 2, "u32": 4,
    "u64": 8, "bool": 1,
}
LONG = {"f32": "float32", "f16": "float16", "i32": "int32", "i64": "int64", "u8": "uint8"}


@pytest.mark.parametrize("dtype", DTYPES)
def test_identity_of_every_dtype(daemon, dtype):
    data = bytes(range(DTYPES[dtype] * 6))
    if dtype == "bool":
        data = bytes([0, 1] * 3)
    r = daemon.infer("identity", data, [2, 3], dtype)
    assert r.tensor_data.data == data
    assert list(r.tensor_data.shape) == [2, 3]
    assert r.tensor_data.dtype == dtype


@pytest.mark.parametrize("short", LONG)
def test_long_names_are_accepted_and_answered_short(daemon, short):
    data = bytes(DTYPES[short])
    assert daemon.infer("identity", data, [1], LONG[short]).tensor_data.dtype == short


def test_bytes_tensor(daemon):
    data = b"".join(struct.pack("<I", len(s)) + s for s in (b"", b"a", "\u00e4\U0001f600".encode()))
    r = daemon.infer("identity", data, [3], "bytes")
    assert r.tensor_data.data == data and r.tensor_data.dtype == "bytes"


def test_empty_tensor(daemon):
    r = daemon.infer("identity", b"", [0, 4], "f32")
    assert r.tensor_data.data == b"" and list(r.tensor_data.shape) == [0, 4]


def test_scalar(daemon):
    r = daemon.infer("identity", b"\1\2\3\4", [], "i32")
    assert r.tensor_data.data == b"\1\2\3\4" and list(r.tensor_data.shape) == []


@pytest.mark.parametrize("n", [1, 4095, 4096, 65536, 1 << 20, (1 << 24) + 3, 100 << 20])
def test_sizes(daemon, n):
    data = (bytes(range(251)) * (n // 251 + 1))[:n]
    assert daemon.infer("identity", data).tensor_data.data == data


def test_default_model_and_request_id(daemon):
    request = infer_request("", b"x", request_id="my-id")
    r = daemon.call(m.WORKER_SERVICE + "Infer", request, m.worker.InferResponse)
    assert r.request_id == "my-id" and r.tensor_data.data == b"x"
    ids = {daemon.infer("identity", b"x").request_id for _ in range(3)}
    assert "" not in ids and len(ids) == 3


def test_metadata_says_where_the_time_went(daemon):
    r = daemon.infer("sleep", struct.pack("<i", 20), [1], "i32")
    md = r.metadata
    assert set(md) >= {"queue_us", "compute_us", "total_us", "batch_size", "worker", "device", "model_version"}
    assert int(md["compute_us"]) >= 20000
    assert int(md["total_us"]) >= int(md["compute_us"])
    assert r.inference_time_ms >= 20
    assert md["worker"] == "cpu:0/0" and md["device"] == "cpu:0" and md["model_version"] == "1"


def test_inference_time_is_rounded_up(daemon):
    assert daemon.infer("identity", b"x").inference_time_ms >= 1


def test_unix_socket(daemon):
    assert daemon.infer("identity", b"abc", channel=daemon.channel(daemon.unix)).tensor_data.data == b"abc"


def test_copies_are_counted(daemon):
    before = daemon.status()
    n = 1 << 20
    daemon.infer("identity", bytes(n))
    after = daemon.status()
    assert after.tensor_bytes_received - before.tensor_bytes_received == n
    assert after.tensor_bytes_copied_in - before.tensor_bytes_copied_in == n
    assert after.tensor_bytes_sent - before.tensor_bytes_sent == n
    assert after.tensor_bytes_copied_out - before.tensor_bytes_copied_out == 0


# --- streams --------------------------------------------------------------------------------------


def stream(daemon, requests, **kw):
    call = daemon.channel().stream_stream(m.WORKER_SERVICE + "InferStream",
                                          request_serializer=lambda r: r.SerializeToString(),
                                          response_deserializer=m.worker.InferResponse.FromString)
    return call(requests, timeout=60, **kw)


def test_stream_keeps_order(daemon):
    n = 300
    replies = list(stream(daemon, (infer_request("identity", struct.pack("<I", i)) for i in range(n))))
    assert [struct.unpack("<I", r.tensor_data.data)[0] for r in replies] == list(range(n))


def test_stream_keeps_order_when_later_ones_are_faster(daemon):
    requests = [infer_request("sleep", struct.pack("<i", 50), [1], "i32", request_id="slow"),
                infer_request("identity", b"x", request_id="fast")]
    assert [r.request_id for r in stream(daemon, iter(requests))] == ["slow", "fast"]


def test_empty_stream(daemon):
    assert list(stream(daemon, iter(()))) == []


def test_bad_request_ends_the_stream_after_the_replies_before_it(daemon):
    requests = [infer_request("identity", b"1"), infer_request("identity", b"2"), infer_request("nosuch", b"3"),
                infer_request("identity", b"4")]
    replies = []
    with pytest.raises(grpc.RpcError) as e:
        for r in stream(daemon, iter(requests)):
            replies.append(r.tensor_data.data)
    assert replies == [b"1", b"2"]
    assert e.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests(daemon, algorithm):
    data = b"abcd" * 100000
    assert daemon.infer("identity", data, compression=algorithm).tensor_data.data == data
    replies = list(stream(daemon, iter([infer_request("identity", data)] * 3), compression=algorithm))
    assert [r.tensor_data.data for r in replies] == [data] * 3


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_replies(start, algorithm):
    d = start(f"compression.algorithm={algorithm}", models=["identity"])
    data = b"abcd" * 100000
    r, _ = d.channel().unary_unary(
        m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
        response_deserializer=m.worker.InferResponse.FromString).with_call(infer_request("identity", data), timeout=60)
    assert r.tensor_data.data == data
    status = d.status()
    assert status.tensor_bytes_copied_out == status.tensor_bytes_sent


# --- errors ---------------------------------------------------------------------------------------


def refused(call):
    with pytest.raises(grpc.RpcError) as e:
        call()
    return e.value.code().name, e.value.details()


def test_unknown_model(daemon):
    code, text = refused(lambda: daemon.infer("nosuch", b"x"))
    assert code == "NOT_FOUND" and "nosuch" in text


def test_no_input(daemon):
    request = m.worker.InferRequest(model_id="identity")
    code, text = refused(lambda: daemon.call(m.WORKER_SERVICE + "Infer", request, m.worker.InferResponse))
    assert code == "INVALID_ARGUMENT" and "Missing input tensor" in text


def test_unknown_dtype(daemon):
    code, text = refused(lambda: daemon.infer("identity", b"x", [1], "complex64"))
    assert code == "INVALID_ARGUMENT" and "complex64" in text


@pytest.mark.parametrize("shape", [[2, 3], [0], [5]])
def test_size_against_shape(daemon, shape):
    code, text = refused(lambda: daemon.infer("identity", b"x" * 16, shape, "f32"))
    assert code == "INVALID_ARGUMENT" and "16" in text


def test_negative_dimension(daemon):
    code, text = refused(lambda: daemon.infer("identity", b"x", [-1], "u8"))
    assert code == "INVALID_ARGUMENT" and "-1" in text


def test_overflowing_shape(daemon):
    code, _ = refused(lambda: daemon.infer("identity", b"x", [2**31 - 1] * 4, "u8"))
    assert code == "INVALID_ARGUMENT"


def test_rank(daemon):
    code, text = refused(lambda: daemon.infer("identity", b"x", [1] * 17, "u8"))
    assert code == "INVALID_ARGUMENT" and "17" in text
    assert daemon.infer("identity", b"x", [1] * 16, "u8").tensor_data.data == b"x"


def test_wrong_dtype_names_expected_and_got(start):
    d = start(models=["digits"], repository=os.path.join(m.ROOT, "conf", "models"))
    code, text = refused(lambda: d.infer("digits", bytes(64), [1, 8, 8], "u8"))
    assert code == "INVALID_ARGUMENT" and "f32" in text and "u8" in text
    code, text = refused(lambda: d.infer("digits", bytes(4 * 63), [1, 63], "f32"))
    assert code == "INVALID_ARGUMENT" and "[-1,8,8]" in text and "[1,63]" in text
    code, text = refused(lambda: d.infer("digits", bytes(4 * 64), [64], "f32"))
    assert code == "INVALID_ARGUMENT"


def test_bad_bytes_tensor(daemon):
    code, _ = refused(lambda: daemon.infer("identity", struct.pack("<I", 100) + b"x", [1], "bytes"))
    assert code == "INVALID_ARGUMENT"


def test_model_with_two_inputs_names_the_way(daemon):
    code, text = refused(lambda: daemon.infer("simple", bytes(64), [1, 16], "i32"))
    assert code == "INVALID_ARGUMENT" and "inference.GRPCInferenceService" in text


def test_tensor_ref_without_handoff(start):
    daemon = start("handoff.socket=", models=["identity"])
    request = m.worker.InferRequest(model_id="identity", tensor_ref=m.worker.TensorRef(
        region_id="0" * 32, size=1, shape=[1], dtype="u8"))
    code, _ = refused(lambda: daemon.call(m.WORKER_SERVICE + "Infer", request, m.worker.InferResponse))
    assert code == "FAILED_PRECONDITION"


def test_malformed_protobuf(daemon):
    call = daemon.channel().unary_unary(m.WORKER_SERVICE + "Infer")
    assert refused(lambda: call(b"\x0a\xff\xff\xff", timeout=60))[0] in ("INTERNAL", "INVALID_ARGUMENT")


def test_unknown_method_and_service(daemon):
    for path in (m.WORKER_SERVICE + "Nope", "/no.such.Service/Infer", "/x"):
        assert refused(lambda path=path: daemon.channel().unary_unary(path)(b"", timeout=60))[0] == "UNIMPLEMENTED"
