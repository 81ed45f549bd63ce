"""ModelRegistryService: clients have models loaded and hold them by handles."""
import concurrent.futures
import os
import pathlib
import time

import grpc
import numpy as np
import pytest

import messages as m
from daemon import infer_request, wait_for
from python_models import modeld
from repository import Repository
from test_models import ctl, explicit, models
from test_python_processes import INTERPRETER, put
from test_reload import code_of, works

CODE = grpc.StatusCode
COLOURED = """\
class Model:
    inputs = {"x": "f32[1]"}
    outputs = {"colour": "bytes[1]"}

    def load(self, context):
        self.colour = context.parameters.get("colour", "red")

    def infer(self, x):
        return [self.colour.encode()]
"""


@pytest.fixture
def repository(tmp_path):
    r = Repository(tmp_path / "models")
    for name in "identity", "second":
        r.put(name)
    return r


def call(d, method, channel=None, **fields):
    return d.call(m.REGISTRY_SERVICE + method, getattr(m.registry, method + "Request")(**fields),
                  getattr(m.registry, method + "Response"), channel)


def get(d, model, channel=None, **fields):
    return call(d, "GetOrLoadModel", channel, model_id=model, **fields)


def refusal(make):
    with pytest.raises(grpc.RpcError) as e:
        make()
    return e.value.code(), e.value.details()


def references(d):
    return {x.model_id: x.reference_count for x in call(d, "ListModels").models}


def test_loaded_held_and_let_go(start, repository):
    d = explicit(start, repository)
    before = int(time.time())
    first = get(d, "identity")
    assert (first.model_id, first.was_cached) == ("identity", False) and first.load_time_ms > 0 and len(first.handle_id) == 32
    second = get(d, "identity")
    assert second.was_cached and second.load_time_ms == 0 and second.handle_id != first.handle_id
    assert works(d, "identity")
    info = call(d, "ListModels", include_metrics=True).models[0]
    assert (info.model_id, info.device, info.reference_count) == ("identity", "cpu:0", 2)
    assert info.metadata["version"] == "1" and info.metadata["backend"] == "builtin" and info.metadata["state"] == "ready"
    assert before <= info.loaded_at <= info.last_accessed <= int(time.time()) + 1
    released = call(d, "ReleaseModel", handle_id=first.handle_id)
    assert released.released and released.remaining_references == 1
    for token in first.handle_id, "", "x" * 32, second.handle_id[:-1], second.handle_id.upper() + "0":
        assert not call(d, "ReleaseModel", handle_id=token).released
    metrics = call(d, "GetMetrics")
    assert (metrics.total_models, metrics.cache_hits, metrics.cache_misses, metrics.hit_rate) == (1, 1, 1, 0.5)
    assert call(d, "EvictExpired", ttl_seconds=1).evicted_count == 0, "it is referred to"
    assert call(d, "ReleaseModel", handle_id=second.handle_id).remaining_references == 0
    assert models(d) == {("identity", "1"): "ready"}, "it stays for a while"


def test_goes_when_nobody_has_a_handle(start, repository):
    d = explicit(start, repository, "models.ttl_s=0", "models.load=second")
    handle = get(d, "identity").handle_id
    held = get(d, "second").handle_id
    assert works(d, "identity")
    assert call(d, "ReleaseModel", handle_id=handle).released
    wait_for("its end", lambda: "model is evicted model=identity" in d.log())
    wait_for("its memory", lambda: models(d) == {("second", "1"): "ready"})
    assert call(d, "ReleaseModel", handle_id=held).released
    assert call(d, "EvictExpired").evicted_count == 0, "what somebody else has had loaded stays"
    assert works(d, "second") and call(d, "GetMetrics").evictions == 1


def test_one_load_for_all_who_ask(start, repository):
    repository.write("identity/model.conf",
                     "[model]\nbackend = builtin\n[parameters]\nfunction = identity\nload_ms = 300\n")
    d = explicit(start, repository)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: get(d, "identity"), range(10)))
    assert len({a.handle_id for a in answers}) == 10
    assert d.log().count("model loaded model=identity") == 1
    assert references(d) == {"identity": 10}


def test_handles_go_with_their_connection_and_those_of_a_session_do_not(start, repository):
    d = explicit(start, repository)
    d.shared_channel()
    channel = d.channel()
    get(d, "identity", channel)
    kept = get(d, "second", channel, session_id="a session").handle_id
    assert references(d) == {"identity": 1, "second": 1}
    channel.close()
    wait_for("its handles' end", lambda: references(d) == {"identity": 0, "second": 1})
    assert call(d, "ReleaseModel", handle_id=kept).released


def test_a_session_that_nobody_names_ends(start, repository):
    d = explicit(start, repository, "models.session_ttl_s=1")
    get(d, "identity", session_id="a session")
    wait_for("the session's end", lambda: references(d) == {"identity": 0})


def test_by_path_device_and_version(start, repository):
    d = explicit(start, repository)
    path = os.path.join(repository.directory, "identity")
    for fields in [{"model_path": path}, {"model_path": path + "/1/model.onnx"}, {"model_path": "identity"},
                   {"model_id": "identity", "model_path": path}, {"model_id": "identity:1"},
                   {"model_id": "identity", "device": "cpu"}, {"model_id": "identity", "device": "cpu:0"}]:
        assert call(d, "GetOrLoadModel", **fields).model_id == "identity", fields
    for fields, code, words in [
            ({}, CODE.INVALID_ARGUMENT, "neither model_id nor model_path"),
            ({"model_path": "/etc/passwd"}, CODE.INVALID_ARGUMENT, "is not below a repository"),
            ({"model_path": path + "/../../x"}, CODE.INVALID_ARGUMENT, "is not below a repository"),
            ({"model_path": repository.directory}, CODE.INVALID_ARGUMENT, "is not below a repository"),
            ({"model_path": repository.directory + "x/identity"}, CODE.INVALID_ARGUMENT, "is not below a repository"),
            ({"model_id": "other", "model_path": path}, CODE.INVALID_ARGUMENT, "model_path is of model 'identity'"),
            ({"model_id": "identity", "device": "cuda:0"}, CODE.FAILED_PRECONDITION, "is on no device 'cuda:0'"),
            ({"model_id": "identity", "session_id": "x" * 256}, CODE.INVALID_ARGUMENT, "session_id exceeds 255 bytes"),
            ({"model_id": "identity\0"}, CODE.INVALID_ARGUMENT, "NUL"),
            ({"model_id": "nobody"}, CODE.NOT_FOUND, "is in no repository"),
            ({"model_id": "identity:7"}, CODE.NOT_FOUND, "has no version 7"),
            ({"model_id": "../identity"}, CODE.INVALID_ARGUMENT, "is no name of a model")]:
        got, text = refusal(lambda: call(d, "GetOrLoadModel", **fields))
        assert got == code and words in text, (fields, text)


def test_settings_for_a_load(start, repository):
    d = explicit(start, repository, "models.ttl_s=600")
    first = get(d, "identity", config={"max_batch_size": "0", "instances": "2", "delay_ms": "1"})
    assert not first.was_cached and works(d, "identity")
    assert get(d, "identity", config={"delay_ms": "1", "instances": "2", "max_batch_size": "0"}).was_cached
    assert get(d, "identity").was_cached, "who says nothing takes what there is"
    assert "lanes=2" in d.log()
    code, text = refusal(lambda: get(d, "identity", config={"instances": "3"}))
    assert (code, text) == (CODE.FAILED_PRECONDITION, "model 'identity' is loaded with other settings than config says")
    assert ctl(d, "reload") == (0, "") and get(d, "identity", config={
        "max_batch_size": "0", "instances": "2", "delay_ms": "1"}).was_cached, "a reload keeps them"
    assert d.log().count("model loaded model=identity") == 1
    assert ctl(d, "unload", "identity") == (0, "")
    get(d, "identity", config={"instances": "3"})
    assert "lanes=3" in d.log()


def test_settings_that_nobody_holds_may_be_changed(start, repository):
    d = explicit(start, repository, "models.ttl_s=600")
    handle = get(d, "identity", config={"instances": "2"}).handle_id
    assert call(d, "ReleaseModel", handle_id=handle).remaining_references == 0
    assert not get(d, "identity", config={"instances": "3"}).was_cached
    assert works(d, "identity") and "lanes=3" in d.log()
    assert ctl(d, "load", "second") == (0, "")
    code, text = refusal(lambda: get(d, "second", config={"instances": "3"}))
    assert code == CODE.FAILED_PRECONDITION, "somebody else has had it loaded"


def test_settings_of_a_models_own(start, repository):
    put(pathlib.Path(repository.directory), "p", COLOURED, "[model]\ncaller_parameters = colour\n")
    d = explicit(start, repository, INTERPRETER)
    get(d, "p", config={"colour": "blue"})
    with modeld.connect(d.unix) as c:
        assert c.infer("p", np.zeros(1, np.float32))[0] == b"blue"
    code, text = refusal(lambda: get(d, "p", config={"color": "blue"}))
    assert code == CODE.INVALID_ARGUMENT and "config 'color' = 'blue': is no setting" in text


def test_settings_that_are_refused(start, repository):
    d = explicit(start, repository)
    for config, code, words in [
            ({"colour": "red"}, CODE.INVALID_ARGUMENT, "config 'colour' = 'red': is no setting that a load may have"),
            ({"backend": "python"}, CODE.INVALID_ARGUMENT, "config 'backend' = 'python'"),
            ({"isolation": "device"}, CODE.INVALID_ARGUMENT, "config 'isolation' = 'device'"),
            ({"custom_op_libraries": "/tmp/x.so"}, CODE.INVALID_ARGUMENT, "config 'custom_op_libraries'"),
            ({"instances": "0"}, CODE.INVALID_ARGUMENT, "config 'instances' = '0': '0' is no whole number from 1"),
            ({"max_batch_size": "eight"}, CODE.INVALID_ARGUMENT, "config 'max_batch_size' = 'eight'"),
            ({"devices": "cuda:0"}, CODE.INVALID_ARGUMENT, "config devices 'cuda:0': there is no worker"),
            ({"spin": "yes"}, CODE.INVALID_ARGUMENT, "config 'spin' = 'yes': means nothing to the model's backend")]:
        got, text = refusal(lambda: get(d, "identity", config=config))
        assert got == code and words in text, (config, text)
    assert models(d) == {}
    get(d, "identity", config={"instances": "2"})


def test_within_limits(start, repository):
    d = explicit(start, repository, "models.max_models=1", "limits.max_model_handles=2", "limits.max_model_sessions=1")
    handle = get(d, "identity").handle_id
    code, text = refusal(lambda: get(d, "second"))
    assert code == CODE.RESOURCE_EXHAUSTED and "max_models" in text, "what is referred to is not evicted"
    get(d, "identity")
    code, text = refusal(lambda: get(d, "identity"))
    assert code == CODE.RESOURCE_EXHAUSTED and "max_model_handles" in text
    get(d, "identity", session_id="one")
    code, text = refusal(lambda: get(d, "identity", session_id="two"))
    assert code == CODE.RESOURCE_EXHAUSTED and "max_model_sessions" in text
    assert call(d, "ReleaseModel", handle_id=handle).released
    get(d, "identity")


def test_where_the_files_say_which_models_there_are(start, repository):
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    wait_for("the model", lambda: works(d, "identity"))
    assert get(d, "identity").was_cached
    assert refusal(lambda: get(d, "nobody")) == (CODE.NOT_FOUND, "model 'nobody' not found")
    assert call(d, "EvictExpired").evicted_count == 0


def test_what_was_loaded_is_inferred_by_its_id(start, repository):
    d = explicit(start, repository)
    get(d, "identity")
    stream = d.shared_channel().stream_stream(
        m.WORKER_SERVICE + "InferStream", request_serializer=lambda r: r.SerializeToString(),
        response_deserializer=m.worker.InferResponse.FromString)
    answers = stream(iter([infer_request("identity", bytes([i])) for i in range(3)]), timeout=60)
    assert [a.tensor_data.data for a in answers] == [bytes([i]) for i in range(3)]
    assert code_of(lambda: d.infer("second", b"abc")) == CODE.NOT_FOUND
    assert ctl(d, "unload", "identity") == (0, ""), "who may unload decides"
