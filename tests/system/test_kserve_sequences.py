"""Sequences of requests: their steps go to one instance, in their order, with what says which step it is."""
import queue

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from daemon import wait_for
from python_models import program
from test_kserve import tensor
from test_kserve_examples import REPOSITORY
from test_metrics import page


@pytest.fixture(scope="module")
def daemon(start_once):
    return start_once("models.serve=*", "models.default=", repository=REPOSITORY)


@pytest.fixture
def client(daemon):
    with triton.InferenceServerClient(daemon.tcp) as c:
        yield c


def step(client, model, value, sequence, start=False, end=False, **kw):
    r = client.infer(model, [tensor("INPUT", np.array([[value]], np.int32), "INT32")], sequence_id=sequence,
                     sequence_start=start, sequence_end=end, **kw)
    return int(r.as_numpy("OUTPUT")[0][0])


def steps(client, model, values, sequence):
    last = len(values) - 1
    return [step(client, model, v, sequence, i == 0, i == last) for i, v in enumerate(values)]


def refusal(client, *args, **kw):
    with pytest.raises(InferenceServerException) as e:
        step(client, *args, **kw)
    return e.value.status(), e.value.message()


def test_who_begins_is_told_to_the_model(client):
    assert steps(client, "simple_sequence", [11, 7, 5], 100) == [12, 7, 5]


def test_who_ends_and_who_it_is(client):
    assert steps(client, "simple_dyna_sequence", [11, 7, 5], 1001) == [12, 7, 1006]
    assert steps(client, "simple_dyna_sequence", [1], 7) == [9]


def test_a_model_with_a_memory(client):
    assert steps(client, "simple_string_dyna_sequence", [11, 7, 5], "1007") == [11, 18, 1030]


def test_many_at_once_each_on_its_instance(client):
    names = [str(2000 + i) for i in range(20)]
    for i in range(5):
        got = [step(client, "simple_string_dyna_sequence", i + 1, n, i == 0, i == 4) for n in names]
        want = sum(range(1, i + 2))
        assert got == [want + (int(n) if i == 4 else 0) for n in names]


def test_a_state_comes_back_with_the_next_step(client):
    assert steps(client, "running_sum", [1, 2, 3, 4], 5) == [1, 3, 6, 10]
    assert steps(client, "running_sum", [10, 2], 5) == [10, 12], "a new one begins with zero"


def test_states_and_control_inputs_are_not_the_clients(client):
    m = client.get_model_metadata("running_sum")
    assert [t.name for t in m.inputs] == ["INPUT"] and [t.name for t in m.outputs] == ["OUTPUT"]
    m = client.get_model_metadata("simple_dyna_sequence")
    assert [t.name for t in m.inputs] == ["INPUT"]
    r = client.infer("running_sum", [tensor("INPUT", np.ones((1, 1), np.int32), "INT32")], sequence_id=6,
                     sequence_start=True, sequence_end=True)
    assert [o.name for o in r.get_response().outputs] == ["OUTPUT"]
    r = client.infer("running_sum", [tensor("INPUT", np.ones((1, 1), np.int32), "INT32")], sequence_id=6,
                     sequence_start=True, sequence_end=True, outputs=[triton.InferRequestedOutput("OUTPUT")])
    assert [o.name for o in r.get_response().outputs] == ["OUTPUT"]
    with pytest.raises(InferenceServerException) as e:
        client.infer("simple_sequence", [tensor("INPUT", np.ones((1, 1), np.int32), "INT32"),
                                         tensor("START", np.ones((1, 1), np.int32), "INT32")], sequence_id=6)
    assert "expected 1 inputs but got 2" in e.value.message()


def test_the_configuration_says_what_there_is(client):
    config = client.get_model_config("simple_dyna_sequence").config
    assert config.sequence_batching.oldest.max_candidate_sequences == 1024
    assert config.sequence_batching.max_sequence_idle_microseconds == 10000000
    assert sorted(c.name for c in config.sequence_batching.control_input) == ["CORRID", "END", "READY", "START"]
    assert not config.HasField("dynamic_batching")
    config = client.get_model_config("simple_sequence").config
    assert config.WhichOneof("scheduling_choice") == "sequence_batching"
    assert config.sequence_batching.WhichOneof("strategy_choice") == "direct"
    state = client.get_model_config("running_sum").config.sequence_batching.state[0]
    assert (state.input_name, state.output_name, list(state.dims)) == ("INPUT_STATE", "OUTPUT_STATE", [1])


@pytest.mark.parametrize("sequence", [0, ""])
def test_no_sequence_named(client, sequence):
    assert refusal(client, "simple_sequence", 1, sequence, True) == (
        "StatusCode.INVALID_ARGUMENT",
        "inference request to model 'simple_sequence' must specify a non-zero or non-empty correlation ID")


def test_not_begun(client):
    assert refusal(client, "simple_sequence", 1, 5000) == (
        "StatusCode.INVALID_ARGUMENT",
        "inference request for sequence 5000 to model 'simple_sequence' must specify the START flag on the first request of "
        "the sequence")
    assert steps(client, "simple_sequence", [1, 2], 5000) == [2, 2]
    assert "must specify the START flag" in refusal(client, "simple_sequence", 1, 5000)[1], "it has ended"


def test_more_than_one_row(client):
    with pytest.raises(InferenceServerException) as e:
        client.infer("simple_sequence", [tensor("INPUT", np.ones((2, 1), np.int32), "INT32")], sequence_id=9, sequence_start=True)
    assert e.value.message() == ("inference request to model 'simple_sequence' must specify batch-size 1 due to requirements of "
                                 "sequence batcher")


def test_a_text_where_the_model_takes_a_number(client):
    status, text = refusal(client, "simple_dyna_sequence", 1, "nine", True)
    assert status == "StatusCode.INVALID_ARGUMENT" and "takes a number (UINT64)" in text


def test_a_stream_of_two_sequences(client):
    said = queue.Queue()
    client.start_stream(callback=lambda result, error: said.put((result, error)))
    for i in range(10):
        for k, name in enumerate(("31", "32")):
            client.async_stream_infer("simple_string_dyna_sequence",
                                      [tensor("INPUT", np.array([[i * (k + 1)]], np.int32), "INT32")],
                                      sequence_id=name, sequence_start=i == 0, sequence_end=i == 9)
    got = []
    for _ in range(20):
        result, error = said.get(timeout=60)
        assert error is None, error
        got.append(int(result.as_numpy("OUTPUT")[0][0]))
    client.stop_stream()
    sums = [sum(range(i + 1)) for i in range(10)]
    assert got[0::2] == sums[:9] + [sums[9] + 31] and got[1::2] == [2 * s for s in sums[:9]] + [2 * sums[9] + 32]


def test_a_lost_worker_ends_its_sequences(start):
    daemon = start("models.serve=simple_string_dyna_sequence", "models.default=", "metrics.listen=127.0.0.1:0",
                   repository=REPOSITORY)
    with triton.InferenceServerClient(daemon.tcp) as client:
        assert step(client, "simple_string_dyna_sequence", 3, "a1", start=True) == 3
        daemon.kill_a_worker()
        # The first of them may still be sent to it.
        status, text = refusal(client, "simple_string_dyna_sequence", 4, "a1")
        assert status == "StatusCode.UNAVAILABLE" and "was lost" in text
        status, text = refusal(client, "simple_string_dyna_sequence", 4, "a1")
        assert status == "StatusCode.UNAVAILABLE"
        assert text.startswith("sequence a1 of model 'simple_string_dyna_sequence' has ended: worker cpu:0/")
        assert text.endswith("was lost; begin it anew")
        assert step(client, "simple_string_dyna_sequence", 5, "a1", start=True) == 5
        assert step(client, "simple_string_dyna_sequence", 4, "a1") == 9
        assert page(daemon).value("modeld_sequences_lost_total", model="simple_string_dyna_sequence", version=1) == 1


PYTHON = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", self.step(r))]) for r in requests]

    def step(self, request):
        value = {n: pb_utils.get_input_tensor_by_name(request, n).as_numpy() for n in ("INPUT", "START", "CORRID")}
        who = int(value["CORRID"].ravel()[0])
        self.sums[who] = value["INPUT"] + (0 if value["START"].any() else self.sums[who])
        return self.sums[who]
"""
PYTHON_CONFIG = """backend: "python" max_batch_size: 4
input { name: "INPUT" data_type: TYPE_INT32 dims: [ 1 ] } output { name: "OUTPUT" data_type: TYPE_INT32 dims: [ 1 ] }
sequence_batching { max_sequence_idle_microseconds: 600000000
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } }
  control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } } }
"""


def test_a_model_of_the_python_backend(start, tmp_path):
    model = tmp_path / "models" / "sums"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(PYTHON_CONFIG)
    (model / "1" / "model.py").write_text(PYTHON)
    daemon = start(f"worker.program={program(tmp_path)}", "models.serve=*", "models.default=", "models.isolation=device",
                   repository=str(model.parent))
    with triton.InferenceServerClient(daemon.tcp) as client:
        wait_for("the model", lambda: client.is_model_ready("sums"))
        assert [t.name for t in client.get_model_metadata("sums").inputs] == ["INPUT"]
        for i in range(3):
            assert [step(client, "sums", i + 1, who, i == 0) for who in (1, 2)] == [sum(range(i + 2))] * 2


def test_who_is_idle_for_too_long_has_ended(start, tmp_path):
    folder = tmp_path / "simple_sequence"
    folder.mkdir()
    (folder / "config.pbtxt").write_text(
        'backend: "builtin" max_batch_size: 1 sequence_batching { max_sequence_idle_microseconds: 1000 '
        'control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } } '
        'control_input { name: "READY" control { kind: CONTROL_SEQUENCE_READY int32_false_true: [ 0, 1 ] } } }')
    daemon = start("models.serve=*", "models.default=", repository=str(tmp_path))
    with triton.InferenceServerClient(daemon.tcp) as client:
        # One row a batch: one sequence at a time; each waits until the one before it has been idle for long enough.
        for sequence in range(1, 6):
            assert step(client, "simple_sequence", 3, sequence, start=True) == 4
        assert "must specify the START flag" in refusal(client, "simple_sequence", 3, 1)[1]
