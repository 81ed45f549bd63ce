"""What a Triton 2.51 was asked and what it answered (observed/triton.jsonl), asked of modeld: the same answers, but
for the differences that are explained here. Times and other numbers that are a run's own are left out.

Of its models those are served that need nothing but ONNX Runtime: auto, all_versions, words, classify and reshaped are
made here as they were there; addsub is the builtin `simple`, seq a model in Python."""
import json
import os

import grpc
import onnx
import pytest
from google.protobuf import json_format
from onnx import TensorProto, helper

import messages as m
from onnx_models import Repository
from test_python_processes import INTERPRETER
from test_kserve_shm import Memory

DATA = os.path.join(m.ROOT, "tests", "system", "observed", "triton.jsonl")
F32, STRING = TensorProto.FLOAT, TensorProto.STRING

# Of exchanges whose models are not served here: most of those in Python, or broken in a way of their own.
ABSENT = {"repeat", "slow", "fails", "raises", "identity", "identity_py", "badshape", "badtype", "badname", "corrupt",
          "fixed_batch", "digits", "nobackend"}


def load():
    with open(DATA, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def asked_models(exchange):
    requests = exchange.get("requests", []) or [exchange.get("request", {})]
    return {r.get("model_name") or r.get("name") for r in requests}


class Caller:
    def __init__(self, daemon):
        self.channel = daemon.channel()

    def stream(self, exchange):
        call = self.channel.stream_stream(
            m.KSERVE_SERVICE + "ModelStreamInfer", request_serializer=lambda r: r.SerializeToString(),
            response_deserializer=m.kserve.ModelStreamInferResponse.FromString)
        requests = [json_format.ParseDict(r, m.kserve.ModelInferRequest()) for r in exchange.get("requests", [])]
        return [json_format.MessageToDict(r, preserving_proto_field_name=True)
                for r in call(iter(requests), timeout=60)]

    def ask(self, exchange):
        """(code, text or answer), in the form of the recording."""
        rpc = exchange["rpc"]
        try:
            if rpc == "ModelStreamInfer":
                return "OK", self.stream(exchange)
            request = json_format.ParseDict(exchange.get("request", {}), getattr(m.kserve, rpc + "Request")())
            call = self.channel.unary_unary(
                m.KSERVE_SERVICE + rpc, request_serializer=lambda r: r.SerializeToString(),
                response_deserializer=getattr(m.kserve, rpc + "Response").FromString)
            return "OK", json_format.MessageToDict(call(request, timeout=60), preserving_proto_field_name=True)
        except grpc.RpcError as e:
            return e.code().name, e.details()


def recorded(exchange):
    if exchange["rpc"] == "ModelStreamInfer":
        return exchange["end"], exchange["responses"]
    return exchange["code"], exchange.get("response", exchange.get("message", ""))


NEWER = "the text of newer Tritons"
# Exchange: (our code, how our text begins or None for an answer, why).
DIFFERENT = {
    "server metadata": ("OK", None, "modeld's own name, and the extensions that there are"),
    "metadata of addsub": ("OK", None, "it is a builtin here"),
    "metadata of reshaped": ("OK", None, "reshape is not acted on: the tensor is the model's own"),
    "reshape": ("INVALID_ARGUMENT", "[request id: <id_unknown>] unexpected shape for input 'x'", "likewise"),
    "ready all_versions 1abc": ("INVALID_ARGUMENT", "failed to get model version", "it is no number"),
    "metadata all_versions 1abc": ("INVALID_ARGUMENT", "failed to get model version", "it is no number"),
    "unknown input": ("INVALID_ARGUMENT", "[request id: <id_unknown>] expected 2 inputs but got 3", "its list is `[]`, not `]`"),
    "sequence id as text": ("INVALID_ARGUMENT", "the sequence of a request for model 'seq' has a text, 'abc', where the model takes "
                            "a number (UINT64)", "a model that is told a number could not tell two texts apart"),
    "error between good ones": ("OK", None, "an error has the model's name beside the request's id where it is known"),
    "shm same key, other name, offset": ("INVALID_ARGUMENT", "failed to register shared memory region 'b'", NEWER),
    "shm too big": ("INVALID_ARGUMENT", "failed to register shared memory region 'd'", NEWER),
    "shm odd offset": ("OK", None, "nothing is mapped: an offset needs no alignment"),
    "shm overflow": ("INVALID_ARGUMENT", "failed to register shared memory region 'f'", NEWER),
    "shm empty key": ("INVALID_ARGUMENT", "cannot register shared memory region 'g' - invalid shm key ''", NEWER),
    "shm key slash": ("INVALID_ARGUMENT", "cannot register shared memory region 'g' - invalid shm key '/'", NEWER),
    "shm size 0": ("INVALID_ARGUMENT", "failed to register shared memory region 'h'", NEWER),
    "shm status": ("OK", None, "the one with the odd offset is listed, too"),
    "cuda register": ("INVALID_ARGUMENT", "failed to register shared memory region 'g': invalid args", NEWER),
    "cuda register, short handle": ("INVALID_ARGUMENT", "failed to register shared memory region 'g': invalid args", NEWER),
    "set trace level": ("UNIMPLEMENTED", "traces are not recorded here", "there are no traces"),
    "set verbose": ("UNIMPLEMENTED", "log_verbose_level can not be updated", "the configuration says what is logged"),
    "log settings": ("OK", None, "the tests' daemon logs more"),
    "explicit: bad override": ("INVALID_ARGUMENT", "failed to load 'auto', failed to poll from model repository: config: 1:",
                               "it is said what is wrong, and that the caller can mend it"),
    "explicit: file without config": ("INVALID_ARGUMENT", "failed to load 'auto', failed to poll from model repository: files come "
                                      "with 'config'", "likewise"),
    "explicit: after unload": ("NOT_FOUND", "Request for unknown model: 'addsub' is not found", "it is not known any more"),
}
# What is not comparable: it lists models that are not here, is a run's own, or a matter of seconds.
PASSED_OVER = {"after max_sequence_idle", "index", "index ready", "explicit: index at start", "explicit: index after"}


def add_model(repository, name, op, dtype, tensors, dims, versions=("1",), config=None):
    source, target = tensors
    graph = helper.make_graph([helper.make_node(op, [source], [target])], name,
                              [helper.make_tensor_value_info(source, dtype, dims)],
                              [helper.make_tensor_value_info(target, dtype, dims)])
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)])
    for version in versions:
        folder = os.path.join(repository.path, name, version)
        os.makedirs(folder)
        onnx.save(model, os.path.join(folder, "model.onnx"))
    if config:
        configure(repository, name, config)


def configure(repository, name, text):
    os.makedirs(os.path.join(repository.path, name), exist_ok=True)
    with open(os.path.join(repository.path, name, "config.pbtxt"), "w", encoding="utf-8") as f:
        f.write(text)


SUMS = """import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", self.step(r))]) for r in requests]

    def step(self, request):
        value = {n: pb_utils.get_input_tensor_by_name(request, n).as_numpy() for n in ("IN", "START", "CORRID")}
        who = int(value["CORRID"].ravel()[0])
        self.sums[who] = value["IN"] + (0 if value["START"].any() else self.sums[who])
        return self.sums[who]
"""
SUMS_CONFIG = """backend: "python" max_batch_size: 4
input { name: "IN" data_type: TYPE_INT32 dims: 1 } output { name: "OUT" data_type: TYPE_INT32 dims: 1 }
sequence_batching { max_sequence_idle_microseconds: 600000000 oldest { max_candidate_sequences: 4 preferred_batch_size: 4 }
  control_input { name: "START" control { int32_false_true: [ 0, 1 ] } }
  control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } } }
"""


@pytest.fixture(scope="module")
def repository():
    r = Repository()
    configure(r, "seq", SUMS_CONFIG)
    os.makedirs(os.path.join(r.path, "seq", "1"))
    with open(os.path.join(r.path, "seq", "1", "model.py"), "w", encoding="utf-8") as f:
        f.write(SUMS)
    add_model(r, "auto", "Relu", F32, "xy", ["b", 4], versions=["3"])
    add_model(r, "all_versions", "Relu", F32, "xy", [2, 4], versions=["1", "2"], config="version_policy { all {} }")
    add_model(r, "words", "Identity", STRING, "st", [1, "n"])
    add_model(r, "classify", "Softmax", F32, "xp", ["b", 4], config='max_batch_size: 4 output { name: "p" label_filename: "labels.txt" }')
    with open(os.path.join(r.path, "classify", "labels.txt"), "w", encoding="utf-8") as f:
        f.write("ant\nbee\ncat\ndog\n")
    add_model(r, "reshaped", "Relu", F32, "xy", ["b"], config="max_batch_size: 8")
    configure(r, "addsub", 'backend: "builtin"\nmax_batch_size: 8\n'
              'parameters { key: "function" value { string_value: "simple" } }')
    yield r
    r.close()


@pytest.fixture
def shared_memory():
    """The object that they were asked with."""
    memory = Memory(4096)
    own, asked = memory.file.name, f"/dev/shm/modeld-test-{os.getpid()}-obs"
    os.rename(own, asked)
    yield "/" + os.path.basename(asked)
    os.unlink(asked)
    memory.file.close()


def differences(caller, exchanges, key):
    """{name: (code, text)} of those that are answered otherwise."""
    found = {}
    for exchange in exchanges:
        if exchange["name"] in PASSED_OVER or asked_models(exchange) & ABSENT or "outcomes" in exchange:
            continue
        exchange = json.loads(json.dumps(exchange).replace("/obs_in", key))
        got, want = caller.ask(exchange), recorded(exchange)
        # Counts and times are a run's own; of configurations the other tests compare the fields.
        if exchange["rpc"] in ("ModelStatistics", "ModelConfig") and got[0] == want[0] == "OK":
            continue
        if got != want:
            found[exchange["name"]] = got
    return found


def compare(found, exchanges):
    named = {x["name"] for x in exchanges}
    expected = {name: v for name, v in DIFFERENT.items() if name in named}
    assert set(found) == set(expected), {name: found.get(name) for name in set(found) ^ set(expected)}
    for name, (code, text, _) in expected.items():
        assert found[name][0] == code and (text is None or found[name][1].startswith(text)), (name, found[name])


def test_without_explicit_control(start, repository, shared_memory):
    d = start(INTERPRETER, "models.serve=*", "models.default=", repository=repository.path)
    exchanges = [x for x in load() if not x["name"].startswith("explicit")]
    assert len(exchanges) > 150
    compare(differences(Caller(d), exchanges, shared_memory), exchanges)


def test_with_explicit_control(start, repository):
    d = start("models.serve=*", "models.default=", "models.control=explicit", repository=repository.path)
    exchanges = [x for x in load() if x["name"].startswith("explicit")]
    assert len(exchanges) > 20
    compare(differences(Caller(d), exchanges, "/obs_in"), exchanges)
