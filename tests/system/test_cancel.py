"""Work that nobody waits for any more is given up, whichever way its caller went: the worker is told, and its model
asks. Without that the models here would run for an hour, and cost a worker in the end."""
import struct

import grpc
import pytest

import messages as m
from daemon import infer_request, wait_for
from http2 import DATA, END_STREAM, Connection, frame, grpc_headers, message
from raw_handoff import Raw
from test_lanes import repository

CANCELLED, DEADLINE = 1, 4
HOUR_MS = str(3600 * 1000)


@pytest.fixture(scope="module")
def d(start_once, tmp_path_factory):
    models = repository(tmp_path_factory.mktemp("models"), endless=("until_cancelled",), repeat=("repeat",))
    return start_once("model.run_timeout_ms=3600000", models=["endless", "repeat"], repository=models)


@pytest.fixture
def worker(d):
    """The worker's row of the status, once the batch runs that the test has begun; none is left afterwards."""
    yield lambda: wait_for("a batch at work", lambda: [w for w in d.status().workers if w.batches_in_flight == 1])[0]
    wait_for("the end of what nobody waits for", lambda: d.status().workers[0].batches_in_flight == 0)
    assert d.status().workers[0].restarts == 0


def begin(d, channel=None, timeout=None):
    call = (channel or d.channel()).unary_unary(m.WORKER_SERVICE + "Infer",
                                                request_serializer=lambda r: r.SerializeToString(),
                                                response_deserializer=m.worker.InferResponse.FromString)
    return call.future(infer_request("endless", b"x"), timeout=timeout)


def test_the_client_cancels(d, worker):
    call = begin(d)
    worker()
    call.cancel()


def test_the_deadline_passes(d, worker):
    with pytest.raises(grpc.RpcError) as e:
        begin(d, timeout=0.5).result()
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_deadlines_that_pass_are_all_counted(d, worker):
    """One runs, the others wait for it."""
    failed = lambda: {s.name: s.requests_failed for s in d.status().models}["endless"]  # noqa: E731
    before, body = failed(), message(infer_request("endless", b"x").SerializeToString())
    with Connection(d) as c:
        streams = [c.next_stream + 2 * i for i in range(40)]
        # In one piece, so that no deadline passes before its request is there.
        c.send(b"".join(c.headers_frame(s, grpc_headers(grpc_timeout="500m")) + frame(DATA, END_STREAM, s, body)
                        for s in streams))
        assert all(c.reply(s).status == DEADLINE for s in streams)
    wait_for("all of them in the counters", lambda: failed() - before == 40)


def test_the_connection_goes(d, worker):
    with Connection(d) as c:
        stream = c.open(grpc_headers())
        c.data(stream, message(infer_request("endless", b"x").SerializeToString()))
        worker()


def test_an_answer_that_is_not_the_last(d, worker):
    call = d.channel().stream_stream(m.WORKER_SERVICE + "InferStream",
                                     request_serializer=lambda r: r.SerializeToString(),
                                     response_deserializer=m.worker.InferResponse.FromString)
    request = infer_request("repeat", struct.pack("<2i", 5, 6), [2], "i32", {"delay_ms": HOUR_MS})
    answers = call(iter([request]))
    assert struct.unpack("<i", next(answers).tensor_data.data) == (5,)
    worker()
    answers.cancel()


def test_a_local_client_cancels(d, worker):
    raw = Raw(d)
    region, _ = raw.allocate(4096)
    running = raw.infer("endless", region.number, 1)
    worker()
    # It is answered when nothing can touch the memory any more.
    assert raw.ask(cancel=m.handoff.Cancel(of=running)).code == CANCELLED
    raw.close()


def test_a_local_clients_deadline_passes(d, worker):
    raw = Raw(d)
    region, _ = raw.allocate(4096)
    assert raw.infer_wait("endless", region.number, 1, timeout_us=300000).code == DEADLINE
    raw.close()


def test_a_local_client_goes(d, worker):
    raw = Raw(d)
    region, _ = raw.allocate(4096)
    raw.infer("endless", region.number, 1)
    worker()
    raw.close()
