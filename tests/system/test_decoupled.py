"""Models that answer a request any number of times: the builtin repeat gives an answer for each element."""
import struct

import grpc
import pytest

import messages as m
from daemon import infer_request


def request(values, request_id="", **parameters):
    data = struct.pack(f"<{len(values)}i", *values)
    return infer_request("repeat", data, [len(values)], "i32", parameters, request_id)


def ask(daemon, requests):
    call = daemon.channel().stream_stream(m.WORKER_SERVICE + "InferStream",
                                          request_serializer=lambda r: r.SerializeToString(),
                                          response_deserializer=m.worker.InferResponse.FromString)
    return call(iter(requests), timeout=60)


def said(response):
    """The value of an answer, None where it has none, and whether it is the last one."""
    value = struct.unpack("<i", response.tensor_data.data)[0] if response.HasField("tensor_data") else None
    return value, response.metadata["final"]


def test_an_answer_for_each_element_and_an_empty_last_one(start):
    d = start(models=["repeat"])
    assert [said(r) for r in ask(d, [request([5, -6, 7])])] == [
        (5, "false"), (-6, "false"), (7, "false"), (None, "true")]
    assert [said(r) for r in ask(d, [request([])])] == [(None, "true")]


def test_answers_keep_the_order_of_requests(start):
    d = start(models=["repeat"])
    replies = list(ask(d, [request(range(100 * i, 100 * i + 50), f"r{i}") for i in range(20)]))
    assert [said(r)[0] for r in replies if said(r)[0] is not None] == [100 * i + k for i in range(20) for k in range(50)]
    assert [r.request_id for r in replies] == [f"r{i}" for i in range(20) for _ in range(51)]


def test_unary_calls_are_refused(start):
    d = start(models=["repeat"])
    with pytest.raises(grpc.RpcError) as e:
        d.call(m.WORKER_SERVICE + "Infer", request([1]), m.worker.InferResponse)
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "only a streaming call" in e.value.details()


def test_a_worker_that_is_lost_between_answers(start):
    d = start(models=["repeat"])
    call = ask(d, [request([1, 2], delay_ms="60000")])
    assert said(next(call))[0] == 1
    d.kill_a_worker()
    with pytest.raises(grpc.RpcError) as e:
        list(call)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE and "not sent again" in e.value.details()
