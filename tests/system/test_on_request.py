"""Models that are loaded because a request names them: [models] load_on_request."""
import concurrent.futures
import os
import sys

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

import messages as m
from daemon import ROOT, infer_request, wait_for
from repository import Repository
from test_models import ctl, explicit, models
from test_reload import code_of, works

sys.path.insert(0, os.path.join(ROOT, "clients", "python"))
import modeld  # noqa: E402


@pytest.fixture
def repository(tmp_path):
    r = Repository(tmp_path / "models")
    r.put("identity")
    r.put("second")
    return r


def on_request(start, repository, *sets, **kw):
    return explicit(start, repository, "models.load_on_request=yes", "dispatch.retry_wait_ms=60000", *sets, **kw)


def slow(repository, name, ms):
    repository.put(name)
    repository.write(f"{name}/model.conf",
                     f"[model]\nbackend = builtin\n[parameters]\nfunction = identity\nload_ms = {ms}\n")


def test_one_load_for_all_who_ask(start, repository):
    slow(repository, "slow", 300)
    d = on_request(start, repository, workers="cpu:0 x2")
    assert models(d) == {}
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        channels = [d.channel() for _ in range(4)]
        calls = [pool.submit(d.infer, "slow" if i % 2 else "slow:1", b"abc", channel=channels[i % 4])
                 for i in range(20)]
        assert {c.result().tensor_data.data for c in calls} == {b"abc"}
    assert models(d) == {("slow", "1"): "ready"}
    loaded = [line for line in d.log().splitlines() if "model loaded model=slow" in line]
    assert len({line.split("worker=")[1] for line in loaded}) == len(loaded), "each worker once"
    assert ctl(d, "unload", "slow")[0] == 0
    assert works(d, "slow"), "again"


def test_by_every_door(start, repository):
    for name in "triton", "stream", "handoff", "default", "infer", "bench":
        repository.put(name)
    d = on_request(start, repository, "models.default=default")
    with triton.InferenceServerClient(d.tcp) as c:
        x = triton.InferInput("INPUT0", [3], "UINT8")
        x.set_data_from_numpy(np.array([1, 2, 3], np.uint8))
        assert not c.is_model_ready("triton"), "who only asks has nothing loaded"
        assert list(c.infer("triton", [x], model_version="1").as_numpy("OUTPUT0")) == [1, 2, 3]
    stream = d.shared_channel().stream_stream(
        m.WORKER_SERVICE + "InferStream", request_serializer=lambda r: r.SerializeToString(),
        response_deserializer=m.worker.InferResponse.FromString)
    answers = stream(iter([infer_request("stream", bytes([i])) for i in range(5)]), timeout=60)
    assert [r.tensor_data.data for r in answers] == [bytes([i]) for i in range(5)]
    with modeld.connect(d.unix) as c:
        assert list(c.infer("handoff", np.array([4, 5], np.uint8))) == [4, 5]
    assert d.infer("", b"abc").tensor_data.data == b"abc"
    done = d.modelctl("infer", "infer:1", "--input", "-", input="abc")
    assert done.returncode == 0 and done.stdout.startswith("OUTPUT0: ") and not done.stderr, done.stderr
    done = d.modelctl("bench", "bench", "-s", "1", "-d", "4")
    assert done.returncode == 0, done.stderr
    assert {n for n, _ in models(d)} == {"triton", "stream", "handoff", "default", "infer", "bench"}


def test_who_asks_what_a_model_is(start, repository):
    """As perf_analyzer and others do ahead of the first inference."""
    slow(repository, "slow", 300)
    d = on_request(start, repository)
    with triton.InferenceServerClient(d.tcp) as c:
        assert c.get_model_metadata("identity", "1").name == "identity"
        assert c.get_model_config("second").config.name == "second"
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(ask, "slow") for ask in (c.get_model_metadata, c.get_model_config) * 2]
            assert all(a.result() for a in asked)
        assert {n for n, _ in models(d)} == {"identity", "second", "slow"}
        for ask in c.get_model_metadata, c.get_model_config:
            for name, version in ("nobody", ""), ("identity", "7"):
                with pytest.raises(triton.InferenceServerException) as e:
                    ask(name, version)
                assert e.value.status() == "StatusCode.NOT_FOUND", e.value


def test_what_cannot_be_loaded(start, repository):
    repository.put("junk", more="colour = red")
    repository.put("broken", function="nonsense")
    d = on_request(start, repository)
    for name in "nobody", "identity:7", "identity:x", "../identity", "identity/1", "x" * 300:
        assert code_of(lambda name=name: d.infer(name, b"abc")) == grpc.StatusCode.NOT_FOUND, name
    for name, words in ("junk", "colour: unknown key"), ("broken", "nonsense"):
        with pytest.raises(grpc.RpcError) as e:
            d.infer(name, b"abc")
        assert e.value.code() == grpc.StatusCode.UNAVAILABLE and words in e.value.details(), e.value.details()
    assert works(d, "identity")


def test_waits_no_longer_than_it_may(start, repository):
    slow(repository, "slow", 3600000)
    d = on_request(start, repository, "dispatch.retry_wait_ms=50")
    with pytest.raises(grpc.RpcError) as e:
        d.infer("slow", b"abc")
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "model 'slow' was not loaded within 50 ms ([dispatch] retry_wait_ms)" in e.value.details()
    d.kill_a_worker()


def test_the_end_comes_while_one_waits(start, repository):
    slow(repository, "slow", 3600000)
    d = on_request(start, repository, "worker.drain_timeout_ms=100")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(code_of, lambda: d.infer("slow", b"abc"))
        wait_for("the load", lambda: models(d).get(("slow", "1")) == "loading")
        d.terminate()
        assert waiting.result() == grpc.StatusCode.UNAVAILABLE
    d.wait_end()


def test_not_where_it_is_not_wanted(start, repository):
    d = explicit(start, repository)
    assert code_of(lambda: d.infer("identity", b"abc")) == grpc.StatusCode.NOT_FOUND
