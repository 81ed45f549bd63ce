"""What a client can make the daemon hold is bounded by settings, whose names the refusals say; and what was held comes
back: every test ends with an empty arena and no call."""
import os
import shutil
import threading

import grpc
import pytest

import messages as m
from callers import PATIENT, Callers, Held, begin, busy, holds_nothing, queued, refusal, sleep_request, stopped
from daemon import infer_request, wait_for
from http2 import Connection, message

MIB = 1 << 20


# --- queues ---------------------------------------------------------------------------------------


def test_queue_full(start):
    d, first = busy(start, "model.max_queue_size=3", "model.max_batch_size=0")
    waiting = [begin(d, infer_request("identity", b"x")) for _ in range(3)]
    queued(d, "identity", 3)
    code, text = refusal(begin(d, infer_request("identity", b"x")))
    assert code == "RESOURCE_EXHAUSTED"
    assert "max_queue_size" in text and "'identity'" in text and "3" in text
    assert not any(c.done() for c in waiting)
    first.let_go()
    assert [c.result(60).tensor_data.data for c in waiting] == [b"x"] * 3
    first.result(60)
    holds_nothing(d)


def test_max_requests_per_client(start):
    d, first = busy(start, "dispatch.max_requests_per_client=3", "model.max_batch_size=0")
    waiting = [begin(d, infer_request("identity", b"x")) for _ in range(2)]
    queued(d, "identity", 2)
    code, text = refusal(begin(d, infer_request("identity", b"x")))
    assert code == "RESOURCE_EXHAUSTED" and "max_requests_per_client" in text and "3" in text
    # Another connection has a share of its own.
    other = begin(d, infer_request("identity", b"y"), d.channel())
    queued(d, "identity", 3)
    first.let_go()
    assert other.result(60).tensor_data.data == b"y"
    for call in waiting + [first]:
        call.result(60)
    holds_nothing(d)


def test_deadline_in_the_queue(start):
    d, first = busy(start)
    call = begin(d, infer_request("identity", bytes(MIB)), timeout=0.2)
    assert refusal(call)[0] == "DEADLINE_EXCEEDED"
    queued(d, "identity", 0)
    assert not first.done()
    first.result(60)
    assert {s.name: s for s in d.status().models}["identity"].batches == 0
    holds_nothing(d)


def test_deadline_while_running(start):
    d = start(*PATIENT, models=["sleep"])
    held = Held(d, timeout=1)
    assert refusal(held.call)[0] == "DEADLINE_EXCEEDED"
    held.let_go()
    holds_nothing(d)
    assert begin(d, sleep_request(0)).result(60)


def test_the_daemon_keeps_the_deadline_itself(start):
    """A client that does not: raw HTTP/2."""
    d = start(*PATIENT, models=["sleep"])
    with stopped(d), Connection(d) as c:
        r = c.call(message(sleep_request(0).SerializeToString()), grpc_timeout="100m")
        assert r.status == 4 and r.trailers_only and "deadline" in r.text.lower()
    holds_nothing(d)


def test_cancelled_in_the_queue(start):
    d, first = busy(start)
    calls = [begin(d, infer_request("identity", bytes(MIB))) for _ in range(4)]
    queued(d, "identity", 4)
    assert d.status().arena_used_bytes >= 4 * MIB
    for call in calls:
        call.cancel()
    queued(d, "identity", 0)
    wait_for("their memory", lambda: d.status().arena_used_bytes < MIB)
    assert not first.done()
    first.result(60)
    holds_nothing(d)


def test_cancelled_while_running(start):
    d, first = busy(start)
    first.cancel()
    wait_for("the end of the call", lambda: d.status().calls == 1)
    first.let_go()
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    holds_nothing(d)


def test_disconnected_in_the_queue_and_running(start):
    d, first = busy(start)
    channel = d.channel()
    calls = [begin(d, r, channel) for r in (sleep_request(0), infer_request("identity", bytes(MIB)))]
    queued(d, "identity", 1)
    queued(d, "sleep", 1)
    channel.close()
    queued(d, "identity", 0)
    queued(d, "sleep", 0)
    assert all(c.done() for c in calls)
    first.result(60)
    holds_nothing(d)


# --- batches and fairness -------------------------------------------------------------------------


@pytest.fixture
def rows(tmp_path):
    """A repository with a model that has a batch dimension, `rows`, and one that keeps its worker busy."""
    shutil.copytree(os.path.join(m.ROOT, "tests", "models", "onnx", "identity_u8"), tmp_path / "rows")
    shutil.copytree(os.path.join(m.ROOT, "tests", "models", "sleep"), tmp_path / "sleep")
    return {"repository": str(tmp_path), "models": ["rows", "sleep"]}


def rows_request(data, shape):
    return infer_request("rows", data, shape)


def test_requests_are_joined(start, rows):
    d = start("model.max_batch_size=4", "model.max_queue_delay_us=5000000", **rows)
    calls = [begin(d, rows_request(bytes([i] * 4), [1, 4])) for i in range(8)]
    replies = [c.result(60) for c in calls]
    assert [r.tensor_data.data for r in replies] == [bytes([i] * 4) for i in range(8)]
    assert [r.metadata["batch_size"] for r in replies] == ["4"] * 8
    assert max(int(r.metadata["total_us"]) for r in replies) < 5000000, "a full batch waits for nobody"
    assert d.status().models[0].batches == 2


def test_what_cannot_be_joined_is_not(start, rows):
    d, first = busy(start, "model.max_batch_size=8", **rows)
    shapes = [[1, 4], [7, 4], [2, 4], [2, 2], [7, 2], [1, 3]]
    calls = [begin(d, rows_request(bytes(s[0] * s[1]), s)) for s in shapes]
    queued(d, "rows", 6)
    first.result(60)
    replies = [c.result(60) for c in calls]
    assert [list(r.tensor_data.shape) for r in replies] == shapes
    # Eight rows are a batch, nine would be too many, and rows of a batch have one length.
    assert [r.metadata["batch_size"] for r in replies] == ["2", "2", "1", "1", "1", "1"]
    holds_nothing(d)


def test_more_rows_than_a_batch_may_have(start, rows):
    """What is not the model's own limit is one of joining: such a request runs alone."""
    d = start("model.max_batch_size=4", **rows)
    for n in (0, 1, 4, 5, 150):
        r = begin(d, rows_request(bytes(range(n)) * 4, [n, 4])).result(60)
        assert r.tensor_data.data == bytes(range(n)) * 4 and r.metadata["batch_size"] == "1"


def test_more_rows_than_its_model_may_have(start, rows, tmp_path):
    (tmp_path / "rows" / "model.conf").write_text("[model]\nbackend = onnxruntime\nmax_batch_size = 4\n")
    d = start(**rows)
    code, text = refusal(begin(d, rows_request(bytes(20), [5, 4])))
    assert code == "INVALID_ARGUMENT" and "max_batch_size" in text and "4" in text and "5" in text


def test_queue_delay_is_kept(start, rows):
    d = start("model.max_batch_size=8", "model.max_queue_delay_us=200000", **rows)
    r = begin(d, rows_request(b"abcd", [1, 4])).result(60)
    assert 200000 <= int(r.metadata["queue_us"]) < 2000000 and r.metadata["batch_size"] == "1"


def test_two_clients_take_turns(start):
    """One client has queued a hundred requests before the other comes with one: that one is not the last."""
    d = start(*PATIENT, "model.max_batch_size=0", models=["sleep"])
    greedy, modest, order = d.channel(), d.channel(), []
    first = Held(d, greedy)

    def note(name):
        return lambda _: order.append(name)

    calls = [begin(d, sleep_request(2), greedy) for _ in range(100)]
    queued(d, "sleep", 100)
    late = begin(d, sleep_request(2), modest)
    late.add_done_callback(note("modest"))
    for c in calls:
        c.add_done_callback(note("greedy"))
    queued(d, "sleep", 101)
    first.let_go()
    for c in calls + [late, first]:
        c.result(60)
    wait_for("all callbacks", lambda: len(order) == 101)
    assert order.index("modest") < 20
    holds_nothing(d)


# --- streams of a connection --------------------------------------------------------------------------


def test_max_concurrent_streams(start):
    """gRPC clients wait; one that does not loses its connection, by HTTP/2's own rule."""
    d = start(*PATIENT, "limits.max_concurrent_streams=4", models=["sleep"], workers="cpu:0")
    calls = [begin(d, sleep_request(1)) for _ in range(50)]
    for c in calls:
        c.result(60)
    held = Held(d)
    with Connection(d) as c:
        assert c.settings[3] == 4
        body = message(sleep_request(0).SerializeToString())
        streams = [c.open() for _ in range(4)]
        for s in streams:
            c.data(s, body)
        c.open()
        code = c.wait_closed()[1]
        assert code != 0
    held.result(60)
    holds_nothing(d)


def test_max_stream_requests(start):
    """A streaming call's requests in flight are bounded; the others wait, and all are answered in order."""
    d, blocker = busy(start, "limits.max_stream_requests=3", "model.max_batch_size=0")
    call = d.channel().stream_stream(m.WORKER_SERVICE + "InferStream",
                                     request_serializer=lambda r: r.SerializeToString(),
                                     response_deserializer=m.worker.InferResponse.FromString)
    replies = call(iter([infer_request("identity", bytes([i])) for i in range(50)]), timeout=60)
    queued(d, "identity", 3)
    blocker.let_go()
    assert [r.tensor_data.data for r in replies] == [bytes([i]) for i in range(50)]
    blocker.result(60)
    holds_nothing(d)


def test_everything_at_once_comes_back(start):
    """Success, failure, cancellation, deadlines and disconnection under load: nothing is left."""
    d = start("memory.input_arena_bytes=64M", models=["identity", "sleep"], workers="cpu:0 x2")
    callers = Callers(d, 4)
    threads = [threading.Thread(target=misbehave, args=(d, i)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert callers.stop()[1] == []
    holds_nothing(d)


def misbehave(d, seed):
    for i in range(40):
        channel = d.channel()
        calls = [begin(d, infer_request("identity", bytes(200000 * ((i + seed) % 4))), channel),
                 begin(d, sleep_request(5), channel, timeout=0.004), begin(d, infer_request("nosuch", b"x"), channel),
                 begin(d, sleep_request(3), channel)]
        calls[(i + seed) % 4].cancel()
        if i % 3:
            for c in calls:
                try:
                    c.exception(60)
                except grpc.FutureCancelledError:
                    pass
        channel.close()


# --- streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("same", [True, False])
def test_streams_wait_at_limits_and_go_on(start, same):
    """What refuses a unary call makes a stream wait: each of its requests is answered. Others are not concerned."""
    d = start("dispatch.max_requests_per_client=8", "model.max_queue_size=8", models=["identity", "sleep"])
    requests = [infer_request("identity", bytes([i])) for i in range(40)]

    def stream(channel):
        return channel.stream_stream(
            m.WORKER_SERVICE + "InferStream", request_serializer=lambda r: r.SerializeToString(),
            response_deserializer=m.worker.InferResponse.FromString)(iter(requests), timeout=60)

    streams = [stream(d.shared_channel() if same else d.channel()) for _ in range(10)]
    other = begin(d, sleep_request(0), d.channel())
    for answers in streams:
        assert [a.tensor_data.data for a in answers] == [bytes([i]) for i in range(40)]
    assert other.result(60)
    holds_nothing(d)
