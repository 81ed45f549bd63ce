"""Models written in Python: what they are given, what they may give back, and what their mistakes cost."""
import os
import re
import signal
import struct
import threading

import grpc
import numpy as np
import pytest

import messages as m
from daemon import infer_request, wait_for
from python_models import REPOSITORY, modeld, program, together


@pytest.fixture(scope="module")
def server(start_once, tmp_path_factory):
    return start_once(f"worker.program={program(tmp_path_factory.mktemp('python'))}", "worker.output_arena_bytes=8M",
                      models=["identity", "unruly", "patient", "where"], repository=REPOSITORY)


@pytest.fixture
def client(server):
    with modeld.connect(server.unix) as c:
        yield c


def do(client, what, x=(1, 2, 3), parameters=None, outputs=None):
    inputs = {"what": np.array([what.encode()], object), "x": np.array(x, np.float32)}
    return client.infer_all("unruly", inputs, parameters=parameters, outputs=outputs)


DTYPES = [np.bool_, np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64, np.float16,
          np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_shape_comes_back_as_it_went(client, dtype):
    for shape in [(), (3,), (2, 0, 4), (2, 3, 4), (300, 400)]:
        x = (np.arange(np.prod(shape, dtype=int)) % 50).reshape(shape).astype(dtype)
        y = client.infer("identity", x)
        assert y.dtype == x.dtype and y.shape == x.shape and np.array_equal(y, x)


def test_bytes(client):
    x = np.array([[b"", b"one"], ["zwei".encode(), b"\0\xff" * 1000]], object)
    assert client.infer("identity", x).tolist() == x.tolist()


def test_over_the_network(server):
    with modeld.connect(server.tcp) as c:
        x = np.random.default_rng(1).random((3, 5))
        assert np.array_equal(c.infer("identity", x), x)


def test_large_tensors_lie_in_shared_memory_both_ways(client):
    x = client.empty(1 << 18, np.float32)
    x[...] = np.arange(1 << 18)
    for _ in range(5):
        assert np.array_equal(client.infer("identity", x), x)


@pytest.mark.parametrize("way, copies", [("handoff", 0), ("gRPC", 1)])
def test_a_large_input_is_read_where_the_daemon_has_it(server, way, copies):
    """Nothing on the way to the model writes it, but the daemon, once, what came over a connection."""
    size = 16 << 20
    with modeld.connect(server.unix if way == "handoff" else server.tcp) as c:
        x = c.empty(size, np.uint8) if way == "handoff" else np.zeros(size, np.uint8)
        x[:] = 1
        before = server.status()
        name, mode, writable, is_copy = c.infer("where", x).tolist()
        after = server.status()
    assert name.startswith(b"/memfd:") and mode.endswith(b"s") and (writable, is_copy) == (b"False", b"False"), (name, mode)
    assert after.tensor_bytes_copied_in - before.tensor_bytes_copied_in == copies * size


@pytest.mark.parametrize("what, y", [
    ("right", [2, 3, 4]), ("numbers", [1, 2, 3]), ("strided", [1, 2, 3]), ("backwards", [3, 2, 1]),
    ("big_endian", [1, 2, 3]), ("dlpack", [3, 6, 9]), ("ours", [1, 2, 3]), ("part_of_ours", [1, 2, 3]),
    ("ours_unused", [1, 2, 3])])
def test_what_a_model_may_give(client, what, y):
    for _ in range(3):
        got = do(client, what)
        assert got["y"].tolist() == y and got["text"].tolist() == [b"done"]


def test_memory_that_a_model_keeps_is_lent_to_nobody_else(client):
    for i in range(20):
        assert do(client, "kept_memory", [i] * 5)["y"].tolist() == [i] * 5


def test_only_wanted_outputs_are_asked_for(client):
    assert list(do(client, "missing", outputs=["text"])) == ["text"]


def test_what_a_model_is_told(client):
    text = do(client, "facts", parameters={"q": "7"}, outputs=["text"])["text"][0].decode()
    assert text == "unruly 1 cpu green 7 ['text']"


@pytest.mark.parametrize("what, code, text", [
    ("wrong_dtype", "INTERNAL", r"output 'y' as f64 \[3\], which is not what it declared: f32\[-1\]"),
    ("wrong_shape", "INTERNAL", r"output 'y' as f32 \[1, 3\], which is not what it declared"),
    ("missing", "INTERNAL", "gave no output 'y'"),
    ("nothing", "INTERNAL", "gave no output 'y'"),
    ("unknown", "INTERNAL", "gave an output 'z', which it did not declare"),
    ("odd", "INTERNAL", "output 'y' as Odd, which is no array"),
    ("not_text", "INTERNAL", "an element is Odd, neither str nor bytes"),
    ("too_big", "RESOURCE_EXHAUSTED", r"output 'y' takes 16777216 bytes, more than .*output_arena_bytes"),
    ("too_big_to_lend", "RESOURCE_EXHAUSTED", "takes 16777216 bytes, more than"),
    ("write_input", "INTERNAL", "ValueError: assignment destination is read-only"),
    ("fail", "INTERNAL", r"^ValueError: bad number in file.txt and a second line$"),
    ("silent", "INTERNAL", "^KeyError$"),
    ("refuse", "INVALID_ARGUMENT", "^x must be positive$"),
    ("leave", "INTERNAL", "^SystemExit: 3$"),
    ("out_of_memory", "RESOURCE_EXHAUSTED", "Unable to allocate"),
    ("no_such_method", "INTERNAL", "AttributeError")])
def test_mistakes_cost_the_request_alone(server, client, what, code, text):
    before = server.workers()
    with pytest.raises(modeld.ModeldError) as e:
        do(client, what)
    assert e.value.code == code and re.search(text, e.value.message), e.value.message
    assert do(client, "right")["y"].tolist() == [2, 3, 4]
    assert server.workers() == before


def test_the_log_has_the_whole_traceback(server, client):
    with pytest.raises(modeld.ModeldError):
        do(client, "fail")
    assert re.search(r"model raised .*model=unruly .*Traceback.*model\.py.*in fail\\n.*bad number in /usr/share", server.log())


def test_prints_go_to_the_log_with_the_models_name_and_a_limit(server, client):
    do(client, "shout")
    wait_for("the lines", lambda: "text=complaint" in server.log())
    log = server.log()
    assert re.search(r'model prints worker=\S+ model=unruly text="loaded by \d+"', log)
    assert "text=raw" in log and 'text="line 0"' in log and 'text="line 999"' not in log


def test_a_model_learns_that_nobody_waits(server):
    call = server.channel().unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                        response_deserializer=m.worker.InferResponse.FromString)
    future = call.future(infer_request("patient", b"\0", [1], "u8"), timeout=60)
    wait_for("the model's first word", lambda: "text=waiting" in server.log())
    future.cancel()
    wait_for("the model's last word", lambda: 'text="given up"' in server.log())
    with modeld.connect(server.unix) as c:
        assert c.infer("identity", np.ones(3)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("how", ["crash", "fatal"])
def test_a_model_that_takes_its_process_with_it(start, tmp_path, how):
    d = start(f"worker.program={program(tmp_path)}", models=["unruly", "identity"], repository=REPOSITORY)
    with modeld.connect(d.unix) as c:
        with pytest.raises(modeld.ModeldError):
            do(c, how)
        assert c.infer("identity", np.ones(3)).tolist() == [1, 1, 1]
    assert ("Segmentation fault" if how == "crash" else "cannot go on in this process") in d.log()


def test_requests_in_flight_survive_a_kill(start, tmp_path):
    d = start(f"worker.program={program(tmp_path)}", models=["identity"], repository=REPOSITORY, workers="cpu:0 x2")
    failed, done = [], threading.Event()

    def ask():
        with modeld.connect(d.unix, timeout=60) as c:
            while not done.is_set():
                x = np.random.default_rng().random(100)
                try:
                    assert np.array_equal(c.infer("identity", x), x)
                except Exception as e:
                    failed.append(e)
                    return

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for t in askers:
        t.start()
    d.kill_a_worker()
    d.wait_workers_ready(2)
    done.set()
    for t in askers:
        t.join()
    assert not failed


def test_a_hang_answers_pings_and_is_ended_by_its_time_limit(start, tmp_path):
    d = start(f"worker.program={program(tmp_path)}", "worker.heartbeat_interval_ms=50", models=["hang", "identity"],
              repository=REPOSITORY)
    (pid,) = d.workers()
    with modeld.connect(d.unix, timeout=60) as c:
        with pytest.raises(modeld.ModeldError) as e:
            c.infer("hang", np.ones(3))
        assert e.value.code == "INTERNAL" and "run_timeout_ms" in d.log() and "missed heartbeat" not in d.log()
        assert c.infer("identity", np.ones(3)).tolist() == [1, 1, 1]
    assert pid not in d.workers()


def test_requests_that_come_together_run_as_one(start, tmp_path):
    d = start(f"worker.program={program(tmp_path)}", models=["joins"], repository=REPOSITORY)

    def ask(c, i):
        x = np.full((i + 1, 4), np.nan if i == 3 else i, np.float32)
        return c.infer_all("joins", {"name": np.array([b"n%d" % i] * (i + 1), object), "x": x})

    for i, got in enumerate(together(d, 6, ask)):
        if i == 3:
            assert got.code == "INVALID_ARGUMENT" and got.message == "not a number"
            continue
        assert got["twice"].tolist() == [[2.0 * i] * 4] * (i + 1)
        assert got["greeting"].tolist() == [b"hello n%d" % i] * (i + 1)


def test_requests_that_come_together_as_a_list(start, tmp_path):
    d = start(f"worker.program={program(tmp_path)}", models=["listed"], repository=REPOSITORY)

    def ask(c, i):
        x = np.full((i + 1, 2), -1.0 if i == 2 else float(i))
        return c.infer_all("listed", {"x": x}, parameters={"scale": "10"} if i == 1 else None)

    for i, got in enumerate(together(d, 4, ask)):
        if i == 2:
            assert got.code == "INVALID_ARGUMENT" and got.message == "negative"
            continue
        assert isinstance(got, dict), got
        assert got["sum"].tolist() == [2.0 * i * (10 if i == 1 else 1)] * (i + 1)


def counted(d, n):
    request = infer_request("countdown", struct.pack("<i", n), [1], "i32")
    call = d.channel().stream_stream(m.WORKER_SERVICE + "InferStream", request_serializer=lambda r: r.SerializeToString(),
                                     response_deserializer=m.worker.InferResponse.FromString)
    return call(iter([request]), timeout=60)


def test_a_generator_answers_any_number_of_times(start, tmp_path):
    d = start(f"worker.program={program(tmp_path)}", models=["countdown"], repository=REPOSITORY)
    answers = list(counted(d, 3))
    assert [struct.unpack("<i", a.tensor_data.data)[0] for a in answers[:-1]] == [3, 2, 1]
    assert [a.metadata["final"] for a in answers] == ["false"] * 3 + ["true"] and not answers[-1].tensor_data.data
    assert [a.metadata["final"] for a in counted(d, 0)] == ["true"]
    with pytest.raises(grpc.RpcError) as e:
        list(counted(d, 2))
    assert e.value.code() == grpc.StatusCode.INTERNAL and e.value.details() == "ValueError: two is not allowed"
    assert len(list(counted(d, 1000))) == 1001


def test_stacks_on_a_signal(start, tmp_path):
    d = start(f"worker.program={program(tmp_path)}", models=["identity"], repository=REPOSITORY)
    os.kill(d.workers()[0], signal.SIGUSR2)
    wait_for("the stacks", lambda: re.search(r"Current thread .*\n(.*\n)*.*in serve", d.log()))
