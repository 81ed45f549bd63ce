"""What inference.GRPCInferenceService refuses, in Triton's statuses and words: each row of its table, also those that cannot be here."""
import os
import queue
import shutil
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

import messages as m
from callers import queued, running
from daemon import wait_for
from http2 import Connection, grpc_headers, message
from repository import Repository
from test_kserve import ZEROS, ask, call, tensor, with_output
from test_kserve_shm import Memory, shared, wanted
from test_models import copy_onnx

TRITON = os.path.join(m.ROOT, "tests", "models", "triton")
MODELS = ["identity", "simple", "sleep", "simple_sequence", "repeat_int32", "broadcast", "waits"]
WAITS = """backend: "builtin" max_batch_size: 0
parameters { key: "function" value { string_value: "until_cancelled" } }
dynamic_batching { default_queue_policy {
  default_timeout_microseconds: 600000000 allow_timeout_override: true max_queue_size: 1 } }
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Triton's examples, and models that are wrong, or not ready for long."""
    r = Repository(tmp_path_factory.mktemp("errors") / "models")
    shutil.copytree(TRITON, r.directory)
    shutil.copytree(os.path.join(m.ROOT, "tests", "models", "onnx", "broadcast"), os.path.join(r.directory, "broadcast"))
    for name, config in ("waits", WAITS), ("wrong", 'colour: "red"'), ("junk", 'backend: "onnxruntime"'):
        os.makedirs(os.path.join(r.directory, name, "1"))
        r.write(f"{name}/config.pbtxt", config)
    copy_onnx(r, "junk/1/model.onnx")
    r.write("junk/1/model.onnx", "junk")
    r.put("slow", more="isolation = model")
    with open(os.path.join(r.directory, "slow", "model.conf"), "a", encoding="utf-8") as f:
        f.write("load_ms = 3600000\n")
    return r


@pytest.fixture(scope="module")
def daemon(start_once, repository):
    return start_once("models.serve=*", "models.default=", "models.control=explicit", "models.load=" + ",".join(MODELS),
                      "worker.drain_timeout_ms=100", "model.run_timeout_ms=3600000", repository=repository.directory)


@pytest.fixture(scope="module")
def client(daemon):
    """Regions a, of 4096 bytes, and b, of which there are no more."""
    memory = Memory(4096)
    with triton.InferenceServerClient(daemon.tcp) as c:
        c.register_system_shared_memory("a", memory.key, 4096)
        c.key = memory.key
        yield c
        c.unregister_system_shared_memory()
    memory.close()


@pytest.fixture(scope="module")
def strict(start_once):
    """A client of a daemon where the files say which models there are, and nobody names memory by a key."""
    with triton.InferenceServerClient(start_once("server.client_shm=off", models=["identity"]).tcp) as c:
        yield c


def said(do):
    """(code, text) of what was refused."""
    with pytest.raises((grpc.RpcError, InferenceServerException)) as e:
        do()
    if isinstance(e.value, grpc.RpcError):
        return e.value.code().name, e.value.details()
    return e.value.status().removeprefix("StatusCode."), e.value.message()


# --- requests -----------------------------------------------------------------------------------------
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
    assert said(lambda: call(daemon, make())) == (code, text)


# --- calls of clients ---------------------------------------------------------------------------------
def in_memory(client, region="a", offset=0, size=64, room=None):
    a = np.zeros((1, 16), np.int32)
    client.infer("simple", [shared("INPUT0", a, "INT32", region, offset, size), shared("INPUT1", a, "INT32", "a")],
                 outputs=[wanted("OUTPUT0", "a", room)] if room else None)


def register(client, name="e", key=None, size=64, offset=0):
    client.register_system_shared_memory(name, client.key if key is None else key, size, offset=offset)


def repeated(client):
    client.infer("repeat_int32", [tensor("IN", np.array([1], np.int32), "INT32"), tensor("DELAY", np.array([0], np.uint32), "UINT32"),
                                  tensor("WAIT", np.array([0], np.uint32), "UINT32")])


def one_step(client):
    client.infer("simple_sequence", [tensor("INPUT", np.array([[1]], np.int32), "INT32")], sequence_id=5)


def of_other_shapes(client):
    client.infer("broadcast", [tensor(name, np.zeros((n, n), np.float32), "FP32") for name, n in (("a", 2), ("b", 3))])


POLL = "failed to load '{}', failed to poll from model repository"
NOT_EXPLICIT = "explicit model load / unload is not allowed if polling is enabled"
RESERVED_KEY = "/triton_python_backend_shm_region_1"
CALLS = {
    "metadata of an unknown model": (lambda c: c.get_model_metadata("nothing"), "NOT_FOUND",
                                     "Request for unknown model: 'nothing' is not found"),
    "configuration of an unknown model": (lambda c: c.get_model_config("nothing"), "NOT_FOUND",
                                          "Request for unknown model: 'nothing' is not found"),
    "decoupled": (repeated, "UNIMPLEMENTED", "ModelInfer RPC doesn't support models with decoupled transaction policy"),
    "no START": (one_step, "INVALID_ARGUMENT", "inference request for sequence 5 to model 'simple_sequence' must specify the START flag "
                 "on the first request of the sequence"),
    "a run that fails": (of_other_shapes, "INTERNAL", ...),
    "no room for an output": (lambda c: in_memory(c, room=60), "INTERNAL", "shared memory size specified with the request for output "
                              "'OUTPUT0' (60 bytes) should be at least 64 bytes to hold the results"),
    "a region twice": (lambda c: register(c, "a"), "ALREADY_EXISTS", "shared memory region 'a' already in manager"),
    "no such object": (lambda c: register(c, key="/nothing"), "INTERNAL", "Unable to open shared memory region: '/nothing'"),
    "a key that leads elsewhere": (lambda c: register(c, key="/../etc/passwd"), "INTERNAL",
                                   "Unable to open shared memory region: '/../etc/passwd'"),
    "a region too large": (lambda c: register(c, size=1 << 20), "INVALID_ARGUMENT",
                           "failed to register shared memory region 'e': invalid args"),
    "a region of nothing": (lambda c: register(c, size=0), "INVALID_ARGUMENT",
                            "failed to register shared memory region 'e': invalid args"),
    "a region that wraps around": (lambda c: register(c, size=8192, offset=(1 << 64) - 4096), "INVALID_ARGUMENT",
                                   "failed to register shared memory region 'e': invalid args"),
    "a size that wraps around": (lambda c: register(c, size=(1 << 64) - 1, offset=10), "INVALID_ARGUMENT",
                                 "failed to register shared memory region 'e': invalid args"),
    "no key": (lambda c: register(c, key=""), "INVALID_ARGUMENT", "cannot register shared memory region 'e' - invalid shm key ''"),
    "a key of slashes": (lambda c: register(c, key="///"), "INVALID_ARGUMENT",
                         "cannot register shared memory region 'e' - invalid shm key '///'"),
    "a reserved key": (lambda c: register(c, key=RESERVED_KEY), "INVALID_ARGUMENT", "cannot register shared memory region 'e' with key "
                       f"'{RESERVED_KEY}' as the key contains the reserved prefix 'triton_python_backend_shm_region_'"),
    "memory of a GPU": (lambda c: c.register_cuda_shared_memory("g", b"MA==", 0, 64), "INVALID_ARGUMENT",
                        "failed to register shared memory region 'g': invalid args (GPUs not supported: [server] "
                        "client_cuda_shm is off)"),
    "status of an unknown region": (lambda c: c.get_system_shared_memory_status("zz"), "NOT_FOUND",
                                    "Unable to find system shared memory region: 'zz'"),
    "status of an unknown region of a GPU": (lambda c: c.get_cuda_shared_memory_status("zz"), "NOT_FOUND",
                                             "Unable to find cuda shared memory region: 'zz'"),
    "status of the other kind": (lambda c: c.get_cuda_shared_memory_status("a"), "NOT_FOUND",
                                 "The region named 'a' is registered as system shared memory, not CUDA shared memory"),
    "behind a region": (lambda c: in_memory(c, offset=4096), "INVALID_ARGUMENT", "Invalid offset for shared memory region: 'a'"),
    "beyond a region": (lambda c: in_memory(c, offset=4064), "INVALID_ARGUMENT",
                        "Invalid offset + byte size for shared memory region: 'a'"),
    "too few bytes of a region": (lambda c: in_memory(c, size=60), "INVALID_ARGUMENT", NO_ID + "input byte size mismatch for input "
                                  "'INPUT0' for model 'simple'. Expected 64, got 60"),
    "load what is not there": (lambda c: c.load_model("nothing"), "INTERNAL", POLL.format("nothing")),
    "load what is elsewhere": (lambda c: c.load_model("../identity"), "INTERNAL", POLL.format("../identity")),
    "load what is wrong": (lambda c: c.load_model("wrong"), "INTERNAL", ...),
    "load what is junk": (lambda c: c.load_model("junk"), "INVALID_ARGUMENT", ...),
    "log file": (lambda c: c.update_log_settings({"log_file": "x"}), "UNIMPLEMENTED",
                 "log file location can not be updated through network protocol"),
}
# What their text begins with.
BEGINNINGS = {
    "a run that fails": "running the model: ONNX Runtime: operator Add: ",
    "load what is wrong": POLL.format("wrong") + ": ",
    "load what is junk": "load failed for model 'junk': version 1 is at UNAVAILABLE state: ",
}


@pytest.mark.parametrize("what", CALLS)
def test_a_call(client, what):
    do, code, text = CALLS[what]
    got = said(lambda: do(client))
    if text is ...:
        assert got[0] == code and got[1].startswith(BEGINNINGS[what]), got
    else:
        assert got == (code, text)


PARAMETER = {"bool_param": True}
RAW = {
    "load from a repository": ("RepositoryModelLoad", {"repository_name": "r"}, "UNIMPLEMENTED",
                               "'repository_name' specification is not supported"),
    "unload from a repository": ("RepositoryModelUnload", {"repository_name": "r"}, "UNIMPLEMENTED",
                                 "'repository_name' specification is not supported"),
    "index of a repository": ("RepositoryIndex", {"repository_name": "r"}, "UNIMPLEMENTED",
                              "'repository_name' specification is not supported"),
    "load with an unknown parameter": ("RepositoryModelLoad", {"parameters": {"xyz": PARAMETER}}, "INVALID_ARGUMENT",
                                       "unrecognized load parameter 'xyz'."),
    "load with a config that is none": ("RepositoryModelLoad", {"parameters": {"config": PARAMETER}}, "INVALID_ARGUMENT",
                                        "invalid value type for load parameter 'config', expected string_param."),
    "load with a file that is none": ("RepositoryModelLoad", {"parameters": {"file:1/x": PARAMETER}}, "INVALID_ARGUMENT",
                                      "invalid value type for load parameter 'file:1/x', expected bytes_param."),
}


@pytest.mark.parametrize("what", RAW)
def test_a_message(daemon, what):
    rpc, fields, code, text = RAW[what]
    request = getattr(m.kserve, rpc + "Request")(**{k: v for k, v in fields.items() if k != "parameters"})
    for key, value in fields.get("parameters", {}).items():
        request.parameters[key].CopyFrom(m.kserve.ModelRepositoryParameter(**value))
    answer = getattr(m.kserve, rpc + "Response")
    assert said(lambda: daemon.call(m.KSERVE_SERVICE + rpc, request, answer)) == (code, text)


STRICT = {
    "load where it is not explicit": (lambda c: c.load_model("identity"), "UNAVAILABLE", NOT_EXPLICIT),
    "unload where it is not explicit": (lambda c: c.unload_model("identity"), "UNAVAILABLE", NOT_EXPLICIT),
    "keys are off": (lambda c: c.register_system_shared_memory("a", "/k", 64), "UNIMPLEMENTED", ...),
}


@pytest.mark.parametrize("what", STRICT)
def test_a_call_where_less_is_allowed(strict, what):
    do, code, text = STRICT[what]
    got = said(lambda: do(strict))
    assert got == (code, text) if text is not ... else got[0] == code and got[1].startswith("Client shared memory is disabled")
    assert not strict.get_system_shared_memory_status().regions


# --- what takes more than a call ----------------------------------------------------------------------
def test_not_ready_yet(daemon, client):
    loading = threading.Thread(target=lambda: said(lambda: client.load_model("slow")))
    loading.start()
    wait_for("the load", lambda: ("slow", "LOADING") in {
        (i["name"], i.get("state")) for i in client.get_model_repository_index(as_json=True)["models"]})
    text = "Request for unknown model: 'slow' version 1 is not at ready state"
    assert said(lambda: client.get_model_metadata("slow")) == ("UNAVAILABLE", text)
    assert said(lambda: client.get_model_config("slow", "1")) == ("UNAVAILABLE", text)
    client.unload_model("slow")
    loading.join()


def waits(client, **kw):
    return client.infer("waits", [tensor("INPUT0", np.array([1], np.uint8), "UINT8")], **kw)


def test_a_queue(daemon, client):
    """Full; and for longer than the request allows."""
    inputs = [tensor("INPUT0", np.array([0], np.uint8), "UINT8")]
    first = client.async_infer("waits", inputs, callback=lambda result, error: None)
    running(daemon)
    assert said(lambda: waits(client, timeout=1000)) == ("UNAVAILABLE", "Request timeout expired")
    second = client.async_infer("waits", inputs, callback=lambda result, error: None)
    queued(daemon, "waits", 1)
    assert said(lambda: waits(client, request_id="9")) == ("UNAVAILABLE", "[request id: 9] Exceeds maximum queue size")
    second.cancel()
    first.cancel()
    assert waits(client).get_response().model_name == "waits"


def over_http2(daemon, method, body, **headers):
    with Connection(daemon) as c:
        stream = c.open(headers=grpc_headers(m.KSERVE_SERVICE + method, **headers))
        c.data(stream, body, end=bool(headers))
        r = c.reply(stream)
    return r.status, r.text


def test_a_message_over_the_limit(daemon):
    """By its length alone: nothing of it need come."""
    assert over_http2(daemon, "ModelInfer", message(b"", length=2**32 - 1)) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED.value[0],
        f"Received message larger than max ({2**32 - 1} vs. {1 << 30}): [limits] max_receive_message_bytes")


def test_a_deadline(daemon, client):
    """As the client says it, and as the daemon does to one that would not."""
    x = tensor("INPUT0", np.array([2000], np.int32), "INT32")
    assert said(lambda: client.infer("sleep", [x], client_timeout=0.1)) == ("DEADLINE_EXCEEDED", "Deadline Exceeded")
    request = m.kserve.ModelInferRequest(model_name="sleep", raw_input_contents=[b"\xd0\7\0\0"])
    request.inputs.add(name="INPUT0", datatype="INT32", shape=[1])
    assert over_http2(daemon, "ModelInfer", message(request.SerializeToString()), grpc_timeout="50m") == (
        grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "Deadline Exceeded")


def test_no_such_method(daemon):
    assert said(lambda: daemon.call(m.KSERVE_SERVICE + "Nothing", m.kserve.ServerLiveRequest(), m.kserve.ServerLiveResponse))[0] == (
        "UNIMPLEMENTED")


def test_what_is_no_error(daemon, client):
    """Nothing that is unknown is unregistered, and an unknown model is not ready."""
    client.unregister_system_shared_memory("zz")
    client.unregister_cuda_shared_memory("zz")
    assert not client.is_model_ready("nothing")
    assert not client.is_model_ready("simple", "9")


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


# --- the table ----------------------------------------------------------------------------------------
# Each row of what Triton refuses: the cases above in which it stands, or why it cannot be.
ROWS = {
    "unknown model": ["unknown model", "no model", "metadata of an unknown model", "configuration of an unknown model"],
    "unknown version": ["unknown version", "version 0"],
    "nothing ready": "a model none of whose versions could be loaded is not known any more; one that is still tried: the next row, and in "
                     "kserve_service_test.c",
    "version not ready": [test_not_ready_yet],
    "bad version string": ["version -1", "version abc", "version 1abc"],
    "server starting": "nothing listens before what is said can be true",
    "server exiting": [test_the_daemon_ends],
    "unknown input or output": ["unknown input", "unknown output"],
    "input or output twice": ["input twice"],  # an output that is named twice comes once: test_kserve.py
    "missing input": ["no input"],
    "optional inputs": "there are none",
    "no shape": ["no shape"],
    "batches differ": ["batches differ", "rank"],
    "batch too big": ["batch too big"],
    "wrong datatype": ["wrong dtype", "no dtype"],
    "-1 in a shape": ["negative"],
    "wrong shape": ["wrong shape"],
    "byte size": ["too few bytes", "zero batch", "too few bytes of a region"],
    "malformed BYTES": ["length cut", "string cut", "too few strings", "too many strings"],
    "no data": ["no data", "one raw too few"],
    "typed and raw contents": ["typed and raw", "typed otherwise", "contents and a region"],
    "request parameters": ["reserved parameter", "uint64 parameter", "negative priority", "timeout as text", "sequence_id as truth",
                           "sequence_start as number", "priority as text", "negative timeout", "classification 0"],
    "decoupled by ModelInfer": ["decoupled"],
    "queue full, or for too long": [test_a_queue],
    "cancelled by the client": "the client says so itself, and nothing is sent to it (test_cancel.py)",
    "restricted protocol": "there is no such option",
    "sequence without START": ["no START"],
    "backend failure": ["a run that fails"],
    "output memory too small": ["no room for an output"],
    "unimplemented method": [test_no_such_method],
    "message over the limit": [test_a_message_over_the_limit],
    "deadline": [test_a_deadline],
    "memory by key disabled": ["keys are off"],
    "region twice": ["a region twice"],
    "no such object": ["no such object", "a key that leads elsewhere"],
    "region too large": ["a region too large", "a region of nothing"],
    "offset and size overflow": ["a region that wraps around", "a size that wraps around"],
    "key empty, or of slashes": ["no key", "a key of slashes"],
    "reserved key": ["a reserved key"],
    "memory of a GPU": ["memory of a GPU"],
    "unknown region": ["unknown region"],
    "status of an unknown region": ["status of an unknown region", "status of an unknown region of a GPU"],
    "status of the other kind": ["status of the other kind"],
    "offset, or offset and size, beyond a region": ["behind a region", "beyond a region"],
    "region without size, or the reverse": ["region without size", "size without region", "offset without region"],
    "wrong kind of parameter": ["offset as text", "region as number", "size as text"],
    "unregister what is unknown": [test_what_is_no_error],
    "repository named": ["load from a repository", "unload from a repository", "index of a repository"],
    "load or unload where it is not explicit": ["load where it is not explicit", "unload where it is not explicit"],
    "load fails": ["load what is not there", "load what is elsewhere", "load what is wrong", "load what is junk"],
    "load with a wrong parameter": ["load with an unknown parameter", "load with a config that is none", "load with a file that is none"],
    "log settings": ["log file"],
}


def test_each_case_is_in_a_row():
    listed = {case for cases in ROWS.values() if isinstance(cases, list) for case in cases if isinstance(case, str)}
    assert listed == {*REFUSED, *CALLS, *RAW, *STRICT}
    assert all(cases for cases in ROWS.values())
