"""inference.GRPCInferenceService as its users meet it: tritonclient, unchanged, and Triton's statuses and words."""
import os
import queue

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

import messages as m
from daemon import Daemon
from http2 import Connection, grpc_headers, message

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


def test_a_deadline(client):
    x = tensor("INPUT0", np.array([2000], np.int32), "INT32")
    with pytest.raises(InferenceServerException, match="Deadline Exceeded"):
        client.infer("sleep", [x], client_timeout=0.1)


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


# --- Triton's statuses and words ----------------------------------------------------------------------
NOTE = (" NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each "
        "input shape. If you want to specify the full shape including the batch dim in your input dims config, try "
        "setting max_batch_size to zero. See the model configuration docs for more info on max_batch_size.")
NO_ID = "[request id: <id_unknown>] "
RESERVED = ("parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with "
            "'triton_' are allowed: triton_enable_empty_final_response")


def edit(request, i, **kw):
    for key, value in kw.items():
        if key == "shape":
            del request.inputs[i].shape[:]
            request.inputs[i].shape.extend(value)
        elif key == "parameters":
            for name, parameter in value.items():
                request.inputs[i].parameters[name].CopyFrom(m.kserve.InferParameter(**parameter))
        elif key == "contents":
            request.inputs[i].contents.CopyFrom(m.kserve.InferTensorContents(**value))
        else:
            setattr(request.inputs[i], key, value)
    return request


def with_parameter(request, key, **value):
    request.parameters[key].CopyFrom(m.kserve.InferParameter(**value))
    return request


def with_output(request, *names, **classification):
    for name in names:
        o = request.outputs.add(name=name)
        if classification:
            o.parameters["classification"].CopyFrom(m.kserve.InferParameter(**classification))
    return request


def words(raw, shape):
    request = m.kserve.ModelInferRequest(model_name="identity", raw_input_contents=[raw])
    request.inputs.add(name="INPUT0", datatype="BYTES", shape=shape)
    return request


def without_inputs(request):
    del request.inputs[:]
    return request


REFUSED = {
    "unknown model": (lambda: ask(None, "nothing"), "NOT_FOUND", "Request for unknown model: 'nothing' is not found"),
    "no model": (lambda: ask(None, ""), "NOT_FOUND", "Request for unknown model: '' is not found"),
    "unknown version": (lambda: ask(None, model_version="9"), "NOT_FOUND",
                        "Request for unknown model: 'simple' version 9 is not found"),
    "version 0": (lambda: ask(None, model_version="0"), "NOT_FOUND",
                  "Request for unknown model: 'simple' version 0 is not found"),
    "version -1": (lambda: ask(None, model_version="-1"), "INVALID_ARGUMENT",
                   "invalid model version specified '-1' , version should be an integral value > 0"),
    "version abc": (lambda: ask(None, model_version="abc"), "INVALID_ARGUMENT",
                    "failed to get model version from specified version string 'abc' (details: stol), version should be "
                    "an integral value > 0"),
    "version 1abc": (lambda: ask(None, model_version="1abc"), "INVALID_ARGUMENT",
                     "failed to get model version from specified version string '1abc' (details: stol), version should "
                     "be an integral value > 0"),
    "no input": (lambda: without_inputs(ask(None)), "INVALID_ARGUMENT",
                 NO_ID + "expected 2 inputs but got 0 inputs for model 'simple'. Got input(s) [], but missing required "
                 "input(s) ['INPUT0','INPUT1']. Please provide all required input(s)."),
    "unknown input": (lambda: edit(ask(None), 1, name="INPUT9"), "INVALID_ARGUMENT",
                      NO_ID + "unexpected inference input 'INPUT9' for model 'simple'"),
    "input twice": (lambda: edit(ask(None), 1, name="INPUT0"), "INVALID_ARGUMENT",
                    NO_ID + "input 'INPUT0' already exists in request"),
    "wrong dtype": (lambda: edit(ask(None, id="9"), 0, datatype="FP32"), "INVALID_ARGUMENT",
                    "[request id: 9] inference input 'INPUT0' data-type is 'FP32', but model 'simple' expects 'INT32'"),
    "no dtype": (lambda: edit(ask(None), 0, datatype="i32"), "INVALID_ARGUMENT",
                 NO_ID + "inference input 'INPUT0' data-type is '<invalid>', but model 'simple' expects 'INT32'"),
    "wrong shape": (lambda: edit(ask(None), 0, shape=[1, 17]), "INVALID_ARGUMENT",
                    NO_ID + "unexpected shape for input 'INPUT0' for model 'simple'. Expected [-1,16], got [1,17]." + NOTE),
    "no shape": (lambda: edit(ask(None), 0, shape=[]), "INVALID_ARGUMENT",
                 NO_ID + "input 'INPUT0' has no shape but model requires batch dimension for 'simple'"),
    "rank": (lambda: edit(ask(None), 0, shape=[16]), "INVALID_ARGUMENT",
             NO_ID + "input 'INPUT0' batch size does not match other inputs for 'simple'"),
    "batches differ": (lambda: edit(ask(None, raw=[ZEROS * 2, ZEROS]), 0, shape=[2, 16]), "INVALID_ARGUMENT",
                       NO_ID + "input 'INPUT0' batch size does not match other inputs for 'simple'"),
    "negative": (lambda: ask(None, shape=(-1, 16)), "INVALID_ARGUMENT",
                 NO_ID + "All input dimensions should be specified for input 'INPUT1' for model 'simple', got [-1,16]"),
    "zero batch": (lambda: ask(None, shape=(0, 16), raw=[b"", b""]), "INVALID_ARGUMENT",
                   NO_ID + "input byte size mismatch for input 'INPUT1' for model 'simple'. Expected 64, got 0"),
    "batch too big": (lambda: ask(None, shape=(9, 16), raw=[ZEROS * 9] * 2), "INVALID_ARGUMENT",
                      NO_ID + "inference request batch-size must be <= 8 for 'simple'"),
    "too few bytes": (lambda: ask(None, raw=[ZEROS[:60], ZEROS]), "INVALID_ARGUMENT",
                      NO_ID + "input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64, got 60"),
    "no data": (lambda: ask(None, raw=[]), "INVALID_ARGUMENT",
                "unable to find data for input tensor 'INPUT0' for model 'simple' in request."),
    "one raw too few": (lambda: ask(None, raw=[ZEROS]), "INVALID_ARGUMENT",
                        "unable to find data for input tensor 'INPUT1' for model 'simple' in request."),
    "typed and raw": (lambda: edit(ask(None, raw=[ZEROS]), 0, contents={"int_contents": [1] * 16}), "INVALID_ARGUMENT",
                      "contents field must not be specified when using raw_input_contents for 'INPUT0' for model "
                      "'simple'"),
    "typed otherwise": (lambda: edit(ask(None, raw=[]), 0, contents={"fp32_contents": [1] * 16}), "INVALID_ARGUMENT",
                        "unexpected explicit tensor data for input tensor 'INPUT0' for model 'simple' of type 'FP32', "
                        "expected datatype 'INT32'"),
    "unknown output": (lambda: with_output(ask(None), "OUTPUT7"), "INVALID_ARGUMENT",
                       "unexpected inference output 'OUTPUT7' for model 'simple'"),
    "classification 0": (lambda: with_output(ask(None), "OUTPUT0", int64_param=0), "INVALID_ARGUMENT",
                         "invalid value for 'classification' parameter, expected >= 0"),
    "length cut": (lambda: words(b"ab", [1]), "INVALID_ARGUMENT",
                   NO_ID + "incomplete string length indicator for inference input 'INPUT0' for model 'identity', "
                   "expecting 4 bytes but only 2 bytes available. Please make sure the string length indicator is in one "
                   "buffer."),
    "string cut": (lambda: words(b"\5\0\0\0ab", [1]), "INVALID_ARGUMENT",
                   "incomplete string data for inference input 'INPUT0', expecting string of length 5 but only 2 bytes "
                   "available"),
    "too few strings": (lambda: words(b"\1\0\0\0a", [3]), "INVALID_ARGUMENT",
                        NO_ID + "expected 3 string elements for inference input 'INPUT0' for model 'identity', got 1"),
    "too many strings": (lambda: words(b"\1\0\0\0a\0\0\0\0", [1]), "INVALID_ARGUMENT",
                         NO_ID + "unexpected number of string elements 2 for inference input 'INPUT0' for model "
                         "'identity', expecting 1"),
    "reserved parameter": (lambda: with_parameter(ask(None), "triton_x", int64_param=1), "INVALID_ARGUMENT", RESERVED),
    "uint64 parameter": (lambda: with_parameter(ask(None), "u", uint64_param=5), "INVALID_ARGUMENT",
                         "invalid value type for 'u' parameter, expected int64_param, bool_param, or string_param."),
    "negative priority": (lambda: with_parameter(ask(None), "priority", int64_param=-1), "INVALID_ARGUMENT",
                          "invalid value for 'priority', expected value >= 0."),
    "timeout as text": (lambda: with_parameter(ask(None), "timeout", string_param="x"), "INVALID_ARGUMENT",
                        "invalid value type for 'timeout' parameter, expected int64_param."),
    "unknown region": (lambda: edit(ask(None, raw=[ZEROS]), 0, parameters={
        "shared_memory_region": {"string_param": "zz"}, "shared_memory_byte_size": {"int64_param": 64}}), "NOT_FOUND",
        "Unable to find shared memory region: 'zz'"),
    "region without size": (lambda: edit(ask(None, raw=[ZEROS]), 0, parameters={
        "shared_memory_region": {"string_param": "a"}}), "INVALID_ARGUMENT",
        "'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter for tensor 'INPUT0'"),
    "size without region": (lambda: edit(ask(None, raw=[ZEROS]), 0, parameters={
        "shared_memory_byte_size": {"int64_param": 64}}), "INVALID_ARGUMENT",
        "'shared_memory_byte_size' can not be specified without 'shared_memory_region' parameter for tensor 'INPUT0'"),
    "offset without region": (lambda: edit(ask(None, raw=[ZEROS]), 0, parameters={
        "shared_memory_offset": {"int64_param": 64}}), "INVALID_ARGUMENT",
        "'shared_memory_offset' can not be specified without 'shared_memory_region' parameter for tensor 'INPUT0'"),
    "offset as text": (lambda: edit(ask(None, raw=[ZEROS]), 0, parameters={
        "shared_memory_region": {"string_param": "a"}, "shared_memory_byte_size": {"int64_param": 64},
        "shared_memory_offset": {"string_param": "0"}}), "INVALID_ARGUMENT",
        "invalid value type for 'shared_memory_offset' parameter for tensor 'INPUT0', expected int64_param."),
    "region as number": (lambda: edit(ask(None, raw=[ZEROS]), 0, parameters={
        "shared_memory_region": {"int64_param": 1}, "shared_memory_byte_size": {"int64_param": 64}}), "INVALID_ARGUMENT",
        "invalid value type for 'shared_memory_region' parameter for tensor 'INPUT0', expected string_param."),
    "contents and a region": (lambda: edit(ask(None, raw=[]), 0, contents={"int_contents": [1] * 16}, parameters={
        "shared_memory_region": {"string_param": "a"}, "shared_memory_byte_size": {"int64_param": 64}}),
        "INVALID_ARGUMENT",
        "unexpected 'content' provided when using shared memory for input tensor 'INPUT0' for model 'simple'"),
    "sequence_id as truth": (lambda: with_parameter(ask(None), "sequence_id", bool_param=True), "INVALID_ARGUMENT",
                             "invalid value type for 'sequence_id' parameter, expected int64_param or string_param."),
    "sequence_start as number": (lambda: with_parameter(ask(None), "sequence_start", int64_param=1), "INVALID_ARGUMENT",
                                 "invalid value type for 'sequence_start' parameter, expected bool_param."),
    "priority as text": (lambda: with_parameter(ask(None), "priority", string_param="1"), "INVALID_ARGUMENT",
                         "invalid value type for 'priority' parameter, expected int64_param or uint64_param."),
    "negative timeout": (lambda: with_parameter(ask(None), "timeout", int64_param=-1), "INVALID_ARGUMENT",
                         "invalid value for 'timeout', expected value >= 0."),
    "size as text": (lambda: edit(ask(None, raw=[ZEROS]), 0, parameters={
        "shared_memory_region": {"string_param": "a"}, "shared_memory_byte_size": {"string_param": "64"}}),
        "INVALID_ARGUMENT",
        "invalid value type for 'shared_memory_byte_size' parameter for tensor 'INPUT0', expected int64_param."),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(daemon, what):
    make, code, text = REFUSED[what]
    with pytest.raises(grpc.RpcError) as e:
        call(daemon, make())
    assert (e.value.code().name, e.value.details()) == (code, text)


def test_a_message_over_the_limit(daemon):
    """By its length alone: nothing of it need come."""
    with Connection(daemon) as c:
        stream = c.open(headers=grpc_headers(m.KSERVE_SERVICE + "ModelInfer"))
        c.data(stream, message(b"", length=2**32 - 1), end=False)
        r = c.reply(stream)
    assert (r.status, r.text) == (grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], "Received message larger than max "
                                  f"({2**32 - 1} vs. {1 << 30}): [limits] max_receive_message_bytes")


def test_no_such_method(daemon):
    with pytest.raises(grpc.RpcError) as e:
        daemon.call(m.KSERVE_SERVICE + "Nothing", m.kserve.ServerLiveRequest(), m.kserve.ServerLiveResponse)
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_the_daemon_ends(start):
    """What is asked of it then is not begun any more."""
    d = start(models=["identity"])
    stream = d.shared_channel().stream_stream(
        m.KSERVE_SERVICE + "ModelStreamInfer", request_serializer=lambda r: r.SerializeToString(),
        response_deserializer=m.kserve.ModelStreamInferResponse.FromString)
    requests = queue.Queue()
    answers = stream(iter(requests.get, None), timeout=60)
    requests.put(ask(None, "nothing", id="1"))
    assert next(answers).infer_response.id == "1"
    d.terminate()
    assert (answers.code().name, answers.details()) == (
        "UNAVAILABLE", "GRPC server is shutting down and has stopped accepting new requests.")
    requests.put(None)
    d.wait_end()


def test_one_raw_too_many_is_passed_over(daemon):
    assert len(call(daemon, ask(None, raw=[ZEROS] * 3)).outputs) == 2


def test_an_output_named_twice_comes_once(daemon):
    answer = call(daemon, with_output(ask(None), "OUTPUT0", "OUTPUT0"))
    assert [o.name for o in answer.outputs] == ["OUTPUT0"] and len(answer.raw_output_contents) == 1


@pytest.mark.parametrize("rpc", ["ModelMetadata", "ModelConfig"])
def test_unknown_models_have_no_metadata(daemon, rpc):
    request, reply = getattr(m.kserve, rpc + "Request"), getattr(m.kserve, rpc + "Response")
    with pytest.raises(grpc.RpcError) as e:
        daemon.call(m.KSERVE_SERVICE + rpc, request(name="nothing"), reply)
    assert (e.value.code().name, e.value.details()) == ("NOT_FOUND", "Request for unknown model: 'nothing' is not found")


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


NO = {
    "load": (lambda c: c.load_model("simple"), "UNAVAILABLE",
             "explicit model load / unload is not allowed if polling is enabled"),
    "unload": (lambda c: c.unload_model("simple"), "UNAVAILABLE",
               "explicit model load / unload is not allowed if polling is enabled"),
    "cuda": (lambda c: c.register_cuda_shared_memory("g", b"MA==", 0, 64), "INVALID_ARGUMENT",
             "failed to register shared memory region 'g': invalid args (GPUs not supported)"),
    "log file": (lambda c: c.update_log_settings({"log_file": "x"}), "UNIMPLEMENTED",
                 "log file location can not be updated through network protocol"),
}


@pytest.mark.parametrize("what", NO)
def test_no(client, what):
    ask_it, code, text = NO[what]
    with pytest.raises(InferenceServerException) as e:
        ask_it(client)
    assert (e.value.status(), e.value.message()) == (f"StatusCode.{code}", text)


def test_what_can_be_read(client):
    assert client.get_trace_settings(as_json=True)["settings"]["trace_level"]["value"] == ["OFF"]
    assert client.get_log_settings(as_json=True)["settings"]["log_error"]["bool_param"]
    assert not client.get_cuda_shared_memory_status().regions
    client.unregister_cuda_shared_memory()
