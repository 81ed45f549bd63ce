"""No more models, and no more memory for them, than [models] max_models and max_memory_bytes allow."""
import concurrent.futures
import os
import random

import grpc
import numpy as np
import pytest

import onnx_models as om
from daemon import BUILD, wait_for
from repository import Repository
from test_models import ctl, explicit, models
from test_reload import works


@pytest.fixture
def repository(tmp_path):
    r = Repository(tmp_path / "models")
    for name in "abcd":
        r.put(name)
    return r


def loaded(d):
    return {name for name, _ in models(d)}


def test_the_one_that_was_not_used_for_longest_makes_room(start, repository):
    d = explicit(start, repository, "models.max_models=2")
    for name in "a", "b":
        assert ctl(d, "load", name) == (0, "")
    assert works(d, "a")
    assert ctl(d, "load", "c") == (0, "")
    assert loaded(d) == {"a", "c"}
    assert "model is evicted model=b" in d.log()
    assert works(d, "a") and works(d, "c")


def test_what_is_in_use_stays(start, repository):
    repository.write("a/model.conf", "[model]\nbackend = builtin\n[parameters]\nfunction = identity\ndelay_ms = 500\n")
    d = explicit(start, repository, "models.max_models=1", "models.load=a")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(d.infer, "a", b"abc")
        wait_for("the run", lambda: d.status().workers[0].batches_in_flight == 1)
        code, text = ctl(d, "load", "b")
        # A machine that is slow enough has finished the run by now.
        assert running.done() or (code == 1 and "RESOURCE_EXHAUSTED: model 'b' is not loaded: 1 models are loaded, and "
                                  "the limit is 1 ([models] max_models), and none of them may go" in text)
        assert running.result().tensor_data.data == b"abc"
    assert ctl(d, "load", "c") == (0, "")
    assert loaded(d) == {"c"}


def test_more_models_than_room_under_load(start, repository):
    """Each request is answered, by its own model, however often models make room for one another."""
    for name in "abcd":
        repository.put(name, function="identity" if name in "ab" else "simple")
    d = explicit(start, repository, "models.max_models=2", "models.load_on_request=yes", "dispatch.retry_wait_ms=60000")

    def ask(seed):
        rng, channel = random.Random(seed), d.channel()
        for i in range(15):
            data = bytes([seed, i])
            assert d.infer(rng.choice("ab"), data, channel=channel).tensor_data.data == data
            with pytest.raises(grpc.RpcError) as e:
                d.infer(rng.choice("cd"), data, channel=channel)
            assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "needs 2 inputs" in e.value.details()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for asked in [pool.submit(ask, seed) for seed in range(4)]:
            asked.result()
    assert len(loaded(d)) <= 2
    assert "model is evicted" in d.log()


def add_weighty(repository):
    """Models x and y, of 4 MiB each"""
    made, n = om.Repository(), 1 << 20
    try:
        for name in "xy":
            made.add(name, [om.node("Add", ["i", "w"], ["o"])], [om.tensor("i", om.F32, [n])],
                     [om.tensor("o", om.F32, [n])], [om.constant("w", np.ones(n), np.float32)])
            os.rename(os.path.join(made.path, name), os.path.join(repository.directory, name))
    finally:
        made.close()


@pytest.mark.memory
def test_memory_as_it_is_measured(start, repository):
    add_weighty(repository)
    d = explicit(start, repository, "models.max_memory_bytes=2M")
    code, text = ctl(d, "load", "x")
    assert code == 1 and "model 'x' is not kept: models take" in text and "max_memory_bytes" in text, text
    assert models(d) == {}
    code, text = ctl(d, "load", "x")
    assert code == 1 and "is not loaded" in text and "this one took" in text, text
    assert ctl(d, "load", "a") == (0, ""), "what takes nothing has room"


@pytest.mark.memory
def test_one_makes_room_for_another_by_its_size(start, repository):
    add_weighty(repository)
    # One takes 4 MiB at least, and what ONNX Runtime takes for a first model.
    d = explicit(start, repository, "models.load=x")
    wait_for("the model", lambda: models(d).get(("x", "1")) == "ready")
    takes = [x.memory_bytes for x in d.status().models][0]
    assert takes >= 4 << 20
    d.stop()
    d = explicit(start, repository, f"models.max_memory_bytes={takes * 3}")
    assert ctl(d, "load", "x") == (0, "")
    for name in "y", "x", "y":
        assert ctl(d, "load", name)[0] == 0
    assert sum(x.memory_bytes for x in d.status().models) <= takes * 3


def takes(repository, name, device, mib):
    os.makedirs(os.path.join(repository.directory, name, "1"), exist_ok=True)
    repository.write(f"{name}/model.conf", f"[model]\nbackend = leaky\ndevices = {device}\nmax_batch_size = 0\n"
                     f"[parameters]\ntakes_mib = {mib}\n")


def test_each_device_has_its_own_limit(start, repository, leaky_backends):
    """Two GPUs (a stand-in) and the host: what is short on one has nobody evicted from another."""
    for name, device, mib in [("g0", "cuda:0", 60), ("g1", "cuda:1", 60), ("h", "cpu:0", 150), ("more0", "cuda:0", 50),
                              ("more1", "cuda:1", 30), ("huge1", "cuda:1", 101), ("moreh", "cpu:0", 60)]:
        takes(repository, name, device, mib)
    d = explicit(start, repository, "models.max_memory_bytes=200M", "models.max_gpu_memory_bytes=100M",
                 f"worker.program={BUILD}/fakecuda/modeld-worker", f"worker.backend_dirs={leaky_backends}",
                 workers="cpu:0, cuda:0, cuda:1", env={"FAKECUDA": "devices=2"})
    for name in "g0", "g1", "h":
        assert ctl(d, "load", name) == (0, "")
    assert loaded(d) == {"g0", "g1", "h"}, "300 MiB in all, and room on each"
    assert ctl(d, "load", "more1") == (0, "")
    assert loaded(d) == {"g0", "g1", "h", "more1"}
    assert works(d, "g0") and works(d, "h")
    assert ctl(d, "load", "more0") == (0, "")
    assert loaded(d) == {"g1", "h", "more1", "more0"}, "g0 was used last, and is the only one there"
    code, text = ctl(d, "load", "huge1")
    assert code == 1 and "on cuda:1" in text and "max_gpu_memory_bytes" in text, text
    assert {"h", "more0"} <= loaded(d), "what is elsewhere need not go"
    assert ctl(d, "load", "moreh") == (0, "")
    assert loaded(d) & {"h", "moreh", "more0"} == {"moreh", "more0"}
