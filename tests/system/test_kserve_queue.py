"""How requests wait, as Triton has it: priorities, timeouts and bounds of a model's queue, by tritonclient."""
import queue
import struct
import time

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

import messages as m
from callers import PATIENT, holds_nothing, queued, running
from http2 import Connection, grpc_headers, message
from test_kserve import tensor

FOREVER, AT_ONCE = 0, 1
QUEUE = """backend: "builtin"
max_batch_size: 0
parameters { key: "function" value { string_value: "until_cancelled" } }
dynamic_batching {
  priority_levels: 3
  default_priority_level: 2
  default_queue_policy { default_timeout_microseconds: 600000000 allow_timeout_override: true max_queue_size: 2 }
  priority_queue_policy { key: 3 value { timeout_action: DELAY default_timeout_microseconds: 1000 } }
}
"""


@pytest.fixture(scope="module")
def daemon(start_once, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    (models / "waits" / "1").mkdir(parents=True)
    (models / "waits" / "config.pbtxt").write_text(QUEUE)
    return start_once(*PATIENT, "model.run_timeout_ms=3600000", "models.serve=*", "models.default=", repository=str(models))


@pytest.fixture
def client(daemon):
    with triton.InferenceServerClient(daemon.tcp) as c:
        yield c


def inputs(how):
    return [tensor("INPUT0", np.array([how], np.uint8), "UINT8")]


class Waiting:
    """Requests that are on their way; what is left of them is cancelled."""
    def __init__(self, client):
        self.client = client
        self.calls = []
        self.answers = queue.Queue()

    def ask(self, name, how, **kw):
        self.calls.append(self.client.async_infer(
            "waits", inputs(how), callback=lambda result, error: self.answers.put((name, error)), **kw))

    def next(self):
        return self.answers.get(timeout=60)

    def cancel(self, which):
        self.calls[which].cancel()
        name, error = self.next()
        assert "CANCELLED" in str(error.status()), name


@pytest.fixture
def waiting(daemon, client):
    """The model is busy until waiting.cancel(0)."""
    w = Waiting(client)
    w.ask("first", FOREVER)
    running(daemon)
    yield w
    for call in w.calls:
        call.cancel()
    holds_nothing(daemon)


def test_a_higher_priority_goes_first(daemon, waiting):
    waiting.ask("usual", FOREVER)
    waiting.ask("high", AT_ONCE, priority=1)
    queued(daemon, "waits", 2)
    waiting.cancel(0)
    assert waiting.next() == ("high", None)


def test_a_priority_that_there_is_not_is_the_usual_one(daemon, waiting):
    waiting.ask("low", FOREVER, priority=3)
    waiting.ask("unknown", AT_ONCE, priority=9)
    queued(daemon, "waits", 2)
    waiting.cancel(0)
    assert waiting.next() == ("unknown", None)


def test_who_is_delayed_goes_behind_his_level(daemon, waiting):
    waiting.ask("delayed", FOREVER, priority=3)
    queued(daemon, "waits", 1)
    time.sleep(0.002)  # its timeout; that more passes changes nothing
    waiting.ask("later", AT_ONCE, priority=2)
    queued(daemon, "waits", 2)
    waiting.cancel(0)
    assert waiting.next() == ("later", None)


def test_a_level_that_is_full(daemon, waiting, client):
    for i in range(2):
        waiting.ask(i, FOREVER)
    queued(daemon, "waits", 2)
    with pytest.raises(InferenceServerException, match="Exceeds maximum queue size"):
        client.infer("waits", inputs(AT_ONCE))
    waiting.ask("in another level", AT_ONCE, priority=1)
    queued(daemon, "waits", 3)
    waiting.cancel(0)
    assert waiting.next() == ("in another level", None)


def test_the_configuration_says_what_there_is(client):
    b = client.get_model_config("waits").config.dynamic_batching
    assert (b.priority_levels, b.default_priority_level) == (3, 2)
    policies = b.priority_queue_policy
    assert sorted(policies) == [1, 2, 3]
    assert (policies[1].max_queue_size, policies[1].allow_timeout_override) == (2, True)
    assert (policies[3].timeout_action, policies[3].default_timeout_microseconds) == (1, 1000)


ORDERED = """backend: "builtin"
max_batch_size: 0
parameters { key: "function" value { string_value: "sleep" } }
instance_group { count: 2 kind: KIND_CPU }
dynamic_batching { preserve_ordering: true }
"""


def sleeping(connection, ms):
    request = m.kserve.ModelInferRequest(model_name="ordered", raw_input_contents=[struct.pack("<i", ms)])
    request.inputs.add(name="INPUT0", datatype="INT32", shape=[1])
    stream = connection.open(headers=grpc_headers(m.KSERVE_SERVICE + "ModelInfer"))
    connection.data(stream, message(request.SerializeToString()))
    return stream


def test_answers_in_their_order(start, tmp_path):
    (tmp_path / "models" / "ordered" / "1").mkdir(parents=True)
    (tmp_path / "models" / "ordered" / "config.pbtxt").write_text(ORDERED)
    d = start("models.serve=*", "models.default=", repository=str(tmp_path / "models"))
    with triton.InferenceServerClient(d.tcp) as c:
        assert c.get_model_config("ordered").config.dynamic_batching.preserve_ordering
    with Connection(d) as c:
        slow = sleeping(c, 300)
        running(d)
        quick = sleeping(c, 0)
        assert c.reply(quick).status == 0
        assert c.replies[slow].blocks, "its answer was ahead"
        assert c.reply(slow).status == 0
