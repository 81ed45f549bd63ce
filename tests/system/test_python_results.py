"""Results of the Python client in shared memory: of any size, on the first call, in memory that is used again."""
import gc
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import messages as m
from daemon import wait_for
from onnx_models import F32, I64, Repository, constant, direct, node, same, tensor

sys.path.insert(0, os.path.join(m.ROOT, "clients", "python"))
import modeld  # noqa: E402
import modeld._memory  # noqa: E402

MIB = 1 << 20
REPEAT = [node("Expand", ["x", "shape"], ["t"]), node("Reshape", ["t", "flat"], ["audio"])]
# y is the number of rows that ran together.
ROWS = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "first"], ["n"]), node("Cast", ["n"], ["f"], to=F32),
        node("Mul", ["x", "zero"], ["z"]), node("Add", ["z", "f"], ["y"])]


@pytest.fixture(scope="module")
def served(start_once):
    """(daemon, repository)"""
    r = Repository()
    r.add("audio", REPEAT, [tensor("x", F32, [1, "n"])], [tensor("audio", F32, ["samples"])],
          [constant("shape", [600, 1], "i8"), constant("flat", [-1], "i8")])
    r.add("boxes", [node("NonMaxSuppression", ["boxes", "scores", "k", "iou", "least"], ["selected"])],
          [tensor("boxes", F32, [1, "n", 4]), tensor("scores", F32, [1, "c", "n"])],
          [tensor("selected", I64, ["m", 3])],
          [constant("k", [1000], "i8"), constant("iou", [0.9], "f4"), constant("least", [0], "f4")])
    r.add("wide", [node("Expand", ["x", "shape"], ["y"])], [tensor("x", F32, [1, "n"])],
          [tensor("y", F32, [1000, "m"])], [constant("shape", [1000, 1], "i8")])
    r.add("two", [node("Expand", ["x", "shape"], ["y"]), node("Neg", ["x"], ["z"])], [tensor("x", F32, [1, "n"])],
          [tensor("y", F32, ["a", "b"]), tensor("z", F32, ["c", "d"])], [constant("shape", [300, 1], "i8")])
    r.add("rows", ROWS, [tensor("x", F32, ["batch", 1])], [tensor("y", F32, ["batch", 1])],
          [constant("first", 0, "i8"), constant("zero", 0, "f4")],
          conf="[model]\nbackend = onnxruntime\nmax_batch_size = 8\n")
    for name in ("identity", "simple"):
        os.symlink(os.path.join(m.ROOT, "tests", "models", name), os.path.join(r.path, name))
    d = start_once("models.default=identity", "model.max_queue_delay_us=20000", repository=r.path)
    wait_for("all models", lambda: all(s.state == "ready" for s in d.status().models))
    yield d, r
    r.close()


@pytest.fixture
def client(served):
    with modeld.connect(served[0].unix) as c:
        yield c


def counts(d, name):
    return next((s.requests_ok, s.requests_failed, s.batches) for s in d.status().models if s.name == name)


def regions(client):
    return client._handoff.get_limits()["user_used_regions"]


# --- Sizes that nobody knows in advance -------------------------------------------------------------

def test_audio_of_unknown_length(served, client):
    d, r = served
    before = counts(d, "audio")
    for n in (200, 20000, 7, 20001):
        x = np.random.default_rng(n).random((1, n), np.float32)
        assert same(client.infer("audio", x), np.broadcast_to(x, (600, n)).reshape(-1))
    x = client.empty((1, 30000), np.float32)
    x[...] = 1
    assert client.infer("audio", x).shape == (600 * 30000,)
    assert [b - a for a, b in zip(before, counts(d, "audio"))] == [5, 0, 5], "each ran once"


def test_boxes(served, client):
    _, r = served
    rng = np.random.default_rng(0)
    for n in (50, 500):
        feed = {"boxes": np.sort(rng.random((1, n, 4), np.float32), axis=-1),
                "scores": rng.random((1, 2, n), np.float32)}
        want = direct(r.file("boxes"), feed)["selected"]
        for _ in range(2):
            assert same(client.infer_all("boxes", feed)["selected"], want)


def test_outputs_that_grow_run_once(served, client):
    d, _ = served
    before = counts(d, "wide")
    for n in range(20, 220, 20):
        y = client.infer_all("wide", np.full((1, n), n, np.float32))["y"]
        assert y.shape == (1000, n) and (y == n).all()
    assert [b - a for a, b in zip(before, counts(d, "wide"))] == [10, 0, 10]


def test_several_outputs_in_a_region_of_the_daemons_making(client):
    x = np.random.default_rng(3).random((1, 40000), np.float32)
    got = client.infer_all("two", x)
    assert same(got["y"], np.broadcast_to(x, (300, 40000))) and same(got["z"], -x)


def test_changing_sizes_are_right_and_never_lie_on_each_other(client):
    rng = random.Random(5)
    kept = []
    for i in range(150):
        n = rng.choice([rng.randrange(1, 2000), rng.randrange(1, 300000), rng.randrange(1, 3 * MIB)])
        x = client.empty(n, np.uint8) if rng.random() < 0.5 else np.empty(n, np.uint8)
        x[...] = i
        kept.append((i, client.infer("identity", x)))
        while len(kept) > 6:
            kept.pop(rng.randrange(len(kept)))
        assert all((out == k).all() for k, out in kept)


def test_dropped_answers_leave_no_region(client):
    x = client.empty(1 * MIB, np.uint8)
    region, offset = client._memory.find(x)
    before = regions(client)
    from modeld._messages import Tensor
    for _ in range(5):
        seq = client._handoff.number()
        client._handoff.infer(seq, "identity", [Tensor("", 2, (MIB,), region.number, offset, MIB)], [], ["OUTPUT0"],
                              None, {})
        client._handoff.forget(seq)
    wait_for("the regions to be gone", lambda: regions(client) == before)


# --- Memory -----------------------------------------------------------------------------------------

def test_result_memory_is_used_again(client):
    x = client.empty(20 * MIB, np.uint8)
    x[...] = 1
    places = []
    for _ in range(8):
        out = client.infer("identity", x)
        places.append(out.__array_interface__["data"][0])
    assert len(set(places)) == 2, "the one that is used and the one before"
    held = regions(client)
    for n in (19, 3, 20, 11, 1, 20):
        assert client.infer("identity", x[:n * MIB]).nbytes == n * MIB
    assert regions(client) == held


def test_a_guess_that_was_too_large_is_trimmed(client):
    x = client.empty((1, 8 * MIB), np.float32)
    x[...] = 0
    before = client._memory.bytes_used
    z = client.infer_all("two", x[:, :100], outputs=["z"])["z"]
    out = client.infer("identity", x[:, :100])
    assert client._memory.bytes_used - before <= z.nbytes + out.nbytes + 128


def test_idle_memory_goes_back_by_itself(served, monkeypatch):
    monkeypatch.setattr(modeld._memory, "IDLE_S", 0.05)
    with modeld.connect(served[0].unix) as client, modeld.connect(served[0].unix) as other:
        base = other._handoff.get_limits()["user_used_bytes"]
        out = client.infer("identity", np.full(30 * MIB, 7, np.uint8))
        kept = client.empty(4, np.uint8)
        del out
        gc.collect()
        # Nothing more is asked of the client.
        wait_for("one region to be left", lambda: client._memory.bytes_lent <= 40 * MIB)
        wait_for("the charge", lambda: other._handoff.get_limits()["user_used_bytes"] - base <= 40 * MIB)
        del kept
        gc.collect()
        wait_for("no region to be left", lambda: client._memory.bytes_lent == 0)
        wait_for("no charge", lambda: other._handoff.get_limits()["user_used_bytes"] == base)
        assert (client.infer("identity", np.full(MIB, 7, np.uint8)) == 7).all()


def test_exceptions_leave_nothing(client):
    x = client.empty(MIB, np.uint8)
    used = client._memory.bytes_used
    for _ in range(3):
        with pytest.raises(modeld.ModeldError):
            client.infer("simple", x)
        with pytest.raises(ValueError):
            client.infer("identity", x, out=client.empty(10, np.float32))
        gc.collect()
    assert client._memory.bytes_used == used


def test_the_limit_of_a_user(start):
    """Memory that is kept for later makes room; a result beyond the limit is RESOURCE_EXHAUSTED."""
    d = start("handoff.user_bytes=67108864", models=["identity"])
    with modeld.connect(d.unix) as client:
        for n in (20, 24, 20, 24):
            assert (client.infer("identity", np.full(n * MIB, n, np.uint8)) == n).all()
        x = client.empty(40 * MIB, np.uint8)
        with pytest.raises(modeld.ModeldError, match="user_bytes"):
            client.infer("identity", x)
        assert (client.infer("identity", np.full(MIB, 3, np.uint8)) == 3).all()


# --- out --------------------------------------------------------------------------------------------

def test_out(client):
    x = client.empty((64, 1024), np.float32)
    x[...] = np.random.default_rng(1).random(x.shape)
    out = client.empty(x.shape, np.float32)
    used = client._memory.bytes_used
    assert client.infer("identity", x, out=out) is out and np.array_equal(out, x)
    assert client._memory.bytes_used == used
    part = client.infer("identity", x[:3], out=out[4:])
    assert part.shape == (3, 1024) and np.shares_memory(part, out) and np.array_equal(out[4:7], x[:3])
    small = client.infer("identity", np.arange(4, dtype=np.float32), out=out)
    assert np.shares_memory(small, out) and np.array_equal(out[0, :4], range(4))


def test_out_of_several_outputs(client):
    a, b = np.arange(32, dtype=np.int32).reshape(2, 16), np.full((2, 16), 3, np.int32)
    out = {"OUTPUT1": client.empty((2, 16), np.int32)}
    got = client.infer_all("simple", {"INPUT0": a, "INPUT1": b}, out=out)
    assert got["OUTPUT1"] is out["OUTPUT1"] and np.array_equal(out["OUTPUT1"], a - b)
    assert np.array_equal(got["OUTPUT0"], a + b)


def test_out_that_cannot_be(client):
    x = client.empty(1000, np.float32)
    x[...] = 5
    for out, why in ((np.empty(1000, np.float32), r"empty\(\)"), (client.empty(2000, np.float32)[::2], "contiguous"),
                     (x[500:], "overlaps"), (client.empty(10, np.float32), r"out is float32 \[10\]"),
                     (client.empty(1000, np.int32), "out is int32"), ([1], "list, not an array")):
        with pytest.raises(ValueError, match=why):
            client.infer("identity", x, out=out)
    with pytest.raises(ValueError, match="'nothing', which is none of"):
        client.infer_all("identity", x, out={"nothing": client.empty(1000, np.float32)})
    with pytest.raises(ValueError, match="must be a dict"):
        client.infer_all("two", x.reshape(1, -1), out=client.empty(10, np.float32))
    with pytest.raises(ValueError, match="strings"):
        client.infer("identity", np.array(["a"]), out=client.empty(1000, np.uint8))


def test_out_over_tcp(served):
    with modeld.connect(served[0].tcp) as client:
        out = client.empty(5, np.float32)
        assert client.infer("identity", np.arange(5, dtype=np.float32), out=out) is out and out[4] == 4
        with pytest.raises(ValueError, match="out is float32"):
            client.infer("identity", np.arange(6, dtype=np.float32), out=out)


# --- Together with others ---------------------------------------------------------------------------

def test_requests_in_shared_memory_are_joined(served):
    """batch_size says how many ran as one, and several do, by shared memory as by gRPC."""
    d, _ = served
    clients = [modeld.connect(d.unix if i % 2 else d.tcp) for i in range(8)]
    most = 0

    def ask(c):
        result = c.infer_all("rows", np.ones((1, 1), np.float32), outputs=["y"]) if c.address == d.tcp else \
            c.infer_all("rows", np.ones((1, 1), np.float32))
        return int(result["y"][0, 0]), result.timings.batch_size

    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(20):
                for ran, said in pool.map(ask, clients):
                    assert ran == said
                    most = max(most, ran)
                if most >= 4:
                    break
    finally:
        for c in clients:
            c.close()
    assert most >= 4
