"""Triton's example models, as its example clients call them."""
import os
import queue

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

import messages as m
from test_kserve import tensor

REPOSITORY = os.path.join(m.ROOT, "tests", "models", "triton")


@pytest.fixture(scope="module")
def daemon(start_once):
    return start_once("models.serve=*", "models.default=", repository=REPOSITORY)


@pytest.fixture
def client(daemon):
    with triton.InferenceServerClient(daemon.tcp) as c:
        yield c


def texts(array):
    return np.array([str(x).encode() for x in array.ravel()], dtype=np.object_).reshape(array.shape)


@pytest.mark.parametrize("model, datatype, make", [("simple", "INT32", lambda a: a.astype(np.int32)),
                                                   ("simple_int8", "INT8", lambda a: a.astype(np.int8)),
                                                   ("simple_string", "BYTES", texts)])
def test_sum_and_difference(client, model, datatype, make):
    a, b = np.arange(32).reshape(2, 16), np.ones((2, 16), dtype=int)
    r = client.infer(model, [tensor("INPUT0", make(a), datatype), tensor("INPUT1", make(b), datatype)])
    assert (r.as_numpy("OUTPUT0") == make(a + b)).all() and (r.as_numpy("OUTPUT1") == make(a - b)).all()


@pytest.mark.parametrize("model, shape", [("simple_identity", (2, 3)), ("string_identity", (5,))])
def test_texts(client, model, shape):
    a = texts(np.arange(int(np.prod(shape))).reshape(shape))
    assert (client.infer(model, [tensor("INPUT0", a, "BYTES")]).as_numpy("OUTPUT0") == a).all()


def test_what_is_no_number(client):
    got = client.infer("nan_inf_output", [tensor("INPUT0", np.zeros(1, np.float32), "FP32")]).as_numpy("OUTPUT0")
    assert np.isnan(got[0]) and np.isinf(got[1])


def test_what_perf_analyzer_asks(client):
    a = np.arange(4096, dtype=np.float32).reshape(1, -1)
    assert client.get_model_config("custom_zero_1_float32").config.max_batch_size == 8
    assert (client.infer("custom_zero_1_float32", [tensor("INPUT0", a, "FP32")]).as_numpy("OUTPUT0") == a).all()


# --- Any number of answers ----------------------------------------------------------------------------


def repeat_inputs(values):
    values = np.array(values, dtype=np.int32)
    return [tensor("IN", values, "INT32"), tensor("DELAY", np.zeros(len(values), np.uint32), "UINT32"),
            tensor("WAIT", np.zeros(1, np.uint32), "UINT32")]


def is_final(answer):
    return answer.get_response().parameters["triton_final_response"].bool_param


class Stream:
    """Of one client: what it says, in order."""

    def __init__(self, client):
        self.client = client
        self.said = queue.Queue()
        client.start_stream(callback=lambda result, error: self.said.put(error or result))

    def ask(self, values, **kw):
        self.client.async_stream_infer("repeat_int32", repeat_inputs(values), **kw)

    def next(self):
        return self.said.get(timeout=60)

    def end(self):
        """Everything that comes until the stream has ended."""
        self.client.stop_stream()
        return [self.said.get() for _ in range(self.said.qsize())]


def test_an_answer_for_each_element(client):
    stream = Stream(client)
    stream.ask([5, -6, 7], request_id="a", enable_empty_final_response=True)
    answers = [stream.next() for _ in range(4)]
    assert [a.as_numpy("OUT")[0] for a in answers[:3]] == [5, -6, 7]
    assert [a.as_numpy("IDX")[0] for a in answers[:3]] == [0, 1, 2]
    assert [is_final(a) for a in answers] == [False, False, False, True]
    last = answers[3].get_response()
    assert (last.model_name, last.id, len(last.outputs)) == ("repeat_int32", "a", 0)
    assert not stream.end()


def test_no_empty_last_answer_unless_asked_for(client):
    stream = Stream(client)
    stream.ask([])
    stream.ask([1])
    stream.ask([], enable_empty_final_response=True)
    answers = [stream.next(), stream.next()]
    assert [is_final(a) for a in answers] == [False, True] and answers[0].as_numpy("OUT")[0] == 1
    assert not stream.end()


def test_a_request_that_is_wrong_among_them(client):
    stream = Stream(client)
    stream.ask([1])
    client.async_stream_infer("repeat_int32", repeat_inputs([1])[:2], request_id="2")
    stream.ask([3])
    answers = [stream.next() for _ in range(3)]
    assert answers[0].as_numpy("OUT")[0] == 1 and answers[2].as_numpy("OUT")[0] == 3
    assert isinstance(answers[1], InferenceServerException) and "expected 3 inputs but got 2" in str(answers[1])
    assert not stream.end()


def test_one_answer_cannot_be_all(client):
    with pytest.raises(InferenceServerException) as e:
        client.infer("repeat_int32", repeat_inputs([1]))
    assert e.value.status() == "StatusCode.UNIMPLEMENTED"
    assert e.value.message() == "ModelInfer RPC doesn't support models with decoupled transaction policy"
    assert client.get_model_config("repeat_int32").config.model_transaction_policy.decoupled
