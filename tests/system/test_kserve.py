"""inference.GRPCInferenceService as its users meet it: tritonclient, unchanged, and Triton's statuses and words."""
import os
import queue

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

import messages as m
from daemon import Daemon

DTYPES = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64, "INT8": np.int8,
    "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
    "BYTES": np.object_,
}
ZEROS = bytes(64)


@pytest.fixture(scope="module")
def daemon():
    d = Daemon(repository=os.path.join(m.ROOT, "tests", "models", "triton"), models=["identity", "simple", "sleep"])
    yield d
    try:
        if not d.checked:
            d.stop()
    finally:
        d.close()


@pytest.fixture
def client(daemon):
    with triton.InferenceServerClient(daemon.tcp) as c:
        yield c


def tensor(name, array, datatype):
    t = triton.InferInput(name, list(array.shape), datatype)
    t.set_data_from_numpy(array)
    return t


def pair(rows=1):
    a = np.arange(16 * rows, dtype=np.int32).reshape(rows, 16)
    return a, [tensor("INPUT0", a, "INT32"), tensor("INPUT1", np.ones_like(a), "INT32")]


# --- what a user does ---------------------------------------------------------------------------------
def test_two_inputs_two_outputs(client):
    a, inputs = pair()
    r = client.infer("simple", inputs, request_id="7")
    assert (r.as_numpy("OUTPUT0") == a + 1).all() and (r.as_numpy("OUTPUT1") == a - 1).all()
    answer = r.get_response()
    assert (answer.model_name, answer.model_version, answer.id) == ("simple", "1", "7")


@pytest.mark.parametrize("datatype", DTYPES)
def test_every_dtype(client, datatype):
    if datatype == "BYTES":
        array = np.array([["", "a", "ä"], ["\0", "bc", "x" * 5000]], dtype=np.object_)
        array = np.vectorize(lambda s: s.encode(), otypes=[np.object_])(array)
    else:
        array = np.arange(6).reshape(2, 3).astype(DTYPES[datatype])
    got = client.infer("identity", [tensor("INPUT0", array, datatype)]).as_numpy("OUTPUT0")
    assert got.dtype == array.dtype and (got == array).all()


def test_bf16(client):
    import ml_dtypes

    array = np.array([[1.0, -2.5]], dtype=ml_dtypes.bfloat16)
    got = client.infer("identity", [tensor("INPUT0", array, "BF16")]).as_numpy("OUTPUT0")
    assert (got == array).all()


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1 << 20, 4 << 20])
def test_sizes(client, n):
    array = np.arange(n, dtype=np.float32)
    got = client.infer("identity", [tensor("INPUT0", array, "FP32")])
    assert len(got.get_response().raw_output_contents) == 1
    assert got.get_response().raw_output_contents[0] == array.tobytes()


def test_a_wanted_output(client):
    a, inputs = pair()
    r = client.infer("simple", inputs, outputs=[triton.InferRequestedOutput("OUTPUT1")])
    assert r.as_numpy("OUTPUT0") is None and (r.as_numpy("OUTPUT1") == a - 1).all()


def test_classes(client):
    _, inputs = pair(2)
    outputs = [triton.InferRequestedOutput("OUTPUT1", class_count=2), triton.InferRequestedOutput("OUTPUT0")]
    r = client.infer("simple", inputs, outputs=outputs)
    assert r.as_numpy("OUTPUT1").tolist() == [[b"14:15", b"13:14"], [b"30:15", b"29:14"]]
    assert r.as_numpy("OUTPUT0").shape == (2, 16)


def test_asynchronously(client):
    answers = queue.Queue()
    a, inputs = pair()
    for i in range(20):
        client.async_infer("simple", inputs, callback=lambda result, error: answers.put((result, error)), request_id=str(i))
    ids = set()
    for _ in range(20):
        result, error = answers.get(timeout=60)
        assert error is None and (result.as_numpy("OUTPUT0") == a + 1).all()
        ids.add(result.get_response().id)
    assert len(ids) == 20


def test_asyncio(daemon):
    import asyncio

    import tritonclient.grpc.aio as aio

    async def run():
        async with aio.InferenceServerClient(daemon.tcp) as c:
            a, inputs = pair()
            results = await asyncio.gather(*(c.infer("simple", inputs) for _ in range(20)))
            assert all((r.as_numpy("OUTPUT0") == a + 1).all() for r in results)
            assert await c.is_model_ready("simple")

    asyncio.run(run())


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed(client, algorithm):
    a, inputs = pair(8)
    r = client.infer("simple", inputs, compression_algorithm=algorithm)
    assert (r.as_numpy("OUTPUT0") == a + 1).all()


def test_over_a_unix_socket(daemon):
    a, inputs = pair()
    with triton.InferenceServerClient(daemon.unix) as c:
        assert (c.infer("simple", inputs).as_numpy("OUTPUT0") == a + 1).all()


def test_custom_parameters_are_taken(client):
    _, inputs = pair()
    client.infer("simple", inputs, parameters={"a": 1, "b": "x", "c": True}, priority=1, timeout=10000000)


# --- what there is ------------------------------------------------------------------------------------
def test_live_and_ready(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("simple") and client.is_model_ready("simple", "1")
    assert not client.is_model_ready("nothing") and not client.is_model_ready("simple", "9")


def test_server_metadata(client):
    answer = client.get_server_metadata()
    assert answer.name == "modeld" and "binary_tensor_data" in answer.extensions


def test_model_metadata(client):
    answer = client.get_model_metadata("simple", as_json=True)
    assert answer["name"] == "simple" and answer["versions"] == ["1"] and answer["platform"] == "builtin"
    assert answer["inputs"] == [{"name": f"INPUT{i}", "datatype": "INT32", "shape": ["-1", "16"]} for i in (0, 1)]
    assert answer["outputs"] == [{"name": f"OUTPUT{i}", "datatype": "INT32", "shape": ["-1", "16"]} for i in (0, 1)]


def test_model_config(client):
    config = client.get_model_config("simple").config
    assert config.name == "simple" and config.backend == "builtin" and config.max_batch_size == 8
    assert [(t.name, list(t.dims)) for t in config.input] == [("INPUT0", [16]), ("INPUT1", [16])]
    assert config.dynamic_batching.preferred_batch_size == [8] and config.instance_group[0].count == 1


def test_statistics_count(client):
    def counted():
        return client.get_inference_statistics("simple").model_stats[0]

    before = counted()
    _, inputs = pair(4)
    client.infer("simple", inputs)
    after = counted()
    assert after.inference_count == before.inference_count + 4
    assert after.execution_count == before.execution_count + 1
    assert after.inference_stats.success.count == before.inference_stats.success.count + 1
    assert after.inference_stats.success.ns > before.inference_stats.success.ns
    assert after.last_inference >= before.last_inference > 0 or before.last_inference == 0
    assert {s.name for s in client.get_inference_statistics().model_stats} == {"identity", "simple", "sleep"}


# --- typed contents -----------------------------------------------------------------------------------
def ask(daemon, model="simple", shape=(1, 16), datatype="INT32", raw=(ZEROS, ZEROS), **kw):
    request = m.kserve.ModelInferRequest(model_name=model, raw_input_contents=raw, **kw)
    for i in range(2):
        request.inputs.add(name=f"INPUT{i}", datatype=datatype, shape=shape)
    return request


def call(daemon, request):
    return daemon.call(m.KSERVE_SERVICE + "ModelInfer", request, m.kserve.ModelInferResponse)


def with_output(request, *names, **classification):
    for name in names:
        o = request.outputs.add(name=name)
        if classification:
            o.parameters["classification"].CopyFrom(m.kserve.InferParameter(**classification))
    return request


TYPED = {
    "BOOL": ("bool_contents", [True, False, True], b"\1\0\1"),
    "INT8": ("int_contents", [-1, 2, -128], b"\xff\2\x80"),
    "INT16": ("int_contents", [-1, 2], b"\xff\xff\2\0"),
    "INT32": ("int_contents", [-1, 2], b"\xff\xff\xff\xff\2\0\0\0"),
    "INT64": ("int64_contents", [-1], b"\xff" * 8),
    "UINT8": ("uint_contents", [255, 2], b"\xff\2"),
    "UINT16": ("uint_contents", [65535], b"\xff\xff"),
    "UINT32": ("uint_contents", [1 << 31], b"\0\0\0\x80"),
    "UINT64": ("uint64_contents", [1 << 63], b"\0" * 7 + b"\x80"),
    "FP32": ("fp32_contents", [1.0, -2.0], b"\0\0\x80\x3f\0\0\0\xc0"),
    "FP64": ("fp64_contents", [1.0], b"\0" * 6 + b"\xf0\x3f"),
    "BYTES": ("bytes_contents", [b"", b"ab"], b"\0\0\0\0\2\0\0\0ab"),
}


@pytest.mark.parametrize("datatype", TYPED)
def test_typed_contents(daemon, datatype):
    field, values, raw = TYPED[datatype]
    request = m.kserve.ModelInferRequest(model_name="identity")
    t = request.inputs.add(name="INPUT0", datatype=datatype, shape=[len(values)])
    getattr(t.contents, field).extend(values)
    answer = call(daemon, request)
    assert list(answer.raw_output_contents) == [raw] and answer.outputs[0].datatype == datatype
    assert not answer.outputs[0].HasField("contents")


def test_one_raw_too_many_is_passed_over(daemon):
    assert len(call(daemon, ask(None, raw=[ZEROS] * 3)).outputs) == 2


def test_an_output_named_twice_comes_once(daemon):
    answer = call(daemon, with_output(ask(None), "OUTPUT0", "OUTPUT0"))
    assert [o.name for o in answer.outputs] == ["OUTPUT0"] and len(answer.raw_output_contents) == 1


# --- streams ------------------------------------------------------------------------------------------
def test_a_stream(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    a, inputs = pair()
    for i in range(50):
        client.async_stream_infer("simple" if i != 20 else "nothing", inputs, request_id=str(i))
    for i in range(50):
        result, error = answers.get(timeout=60)
        if i == 20:
            assert error.message() == "Request for unknown model: 'nothing' is not found"
        else:
            assert error is None and result.get_response().id == str(i)
            assert result.get_response().parameters["triton_final_response"].bool_param
            assert (result.as_numpy("OUTPUT0") == a + 1).all()
    client.stop_stream()


def test_a_stream_as_it_is(daemon):
    """The id of what was refused is told, and the call ends OK."""
    stream = daemon.shared_channel().stream_stream(
        m.KSERVE_SERVICE + "ModelStreamInfer", request_serializer=lambda r: r.SerializeToString(),
        response_deserializer=m.kserve.ModelStreamInferResponse.FromString)
    requests = [ask(None, id="1"), ask(None, "nothing", id="2"), ask(None, id="3", raw=[ZEROS]), ask(None, id="4")]
    answers = list(stream(iter(requests), timeout=60))
    assert [a.infer_response.id for a in answers] == ["1", "2", "3", "4"]
    assert [bool(a.error_message) for a in answers] == [False, True, True, False]
    assert not list(stream(iter([]), timeout=60))


# --- the repository, shared memory by key, settings ---------------------------------------------------
def test_the_index(client):
    index = client.get_model_repository_index(as_json=True)["models"]
    assert {(i["name"], i["version"], i["state"]) for i in index} == {
        (name, "1", "READY") for name in ("identity", "simple", "sleep")}


def test_what_can_be_read(client):
    assert client.get_trace_settings(as_json=True)["settings"]["trace_level"]["value"] == ["OFF"]
    assert client.get_log_settings(as_json=True)["settings"]["log_error"]["bool_param"]
    assert not client.get_cuda_shared_memory_status().regions
    client.unregister_cuda_shared_memory()
