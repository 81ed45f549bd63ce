"""Models that come and go as Triton's clients ask for it: RepositoryIndex, RepositoryModelLoad, RepositoryModelUnload."""
import json
import os

import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from test_models import copy_onnx, explicit


@pytest.fixture
def served(start, repository):
    """A daemon without models yet, and a client of it."""
    copy_onnx(repository, "junk/1/model.onnx")
    repository.write("junk/1/model.onnx", "junk")
    repository.write("junk/config.pbtxt", 'backend: "onnxruntime"')
    os.makedirs(os.path.join(repository.directory, "wrong"))
    repository.write("wrong/config.pbtxt", 'colour: "red"')
    d = explicit(start, repository)
    with triton.InferenceServerClient(d.tcp) as c:
        yield d, c


def index(client):
    return {(i["name"], i.get("version", "")): (i.get("state", ""), i.get("reason", ""))
            for i in client.get_model_repository_index(as_json=True)["models"]}


def refused(call):
    with pytest.raises(InferenceServerException) as e:
        call()
    return e.value.status().removeprefix("StatusCode."), e.value.message()


def test_load_and_unload(served, repository):
    _, client = served
    assert index(client)["identity", ""] == ("", "")
    client.load_model("identity")
    client.load_model("identity")
    assert index(client)["identity", "1"] == ("READY", "") and client.is_model_ready("identity")
    repository.put("later")
    assert index(client)["later", ""] == ("", "")
    client.load_model("later")
    assert client.is_model_ready("later")
    client.unload_model("identity")
    client.unload_model("identity")
    client.unload_model("nothing", unload_dependents=True)
    assert not client.is_model_ready("identity")
    assert index(client)["identity", ""] == ("UNAVAILABLE", "unloaded")


def test_why_not(served):
    _, client = served
    poll = "failed to load '{}', failed to poll from model repository"
    assert refused(lambda: client.load_model("nothing")) == ("INTERNAL", poll.format("nothing"))
    assert refused(lambda: client.load_model("../identity")) == ("INTERNAL", poll.format("../identity"))
    code, text = refused(lambda: client.load_model("wrong"))
    assert code == "INTERNAL" and text.startswith(poll.format("wrong") + ": ") and "no field 'colour'" in text
    code, text = refused(lambda: client.load_model("junk"))
    assert code == "INVALID_ARGUMENT"
    assert text.startswith("load failed for model 'junk': version 1 is at UNAVAILABLE state: ")
    state, reason = index(client)["junk", "1"]
    assert state == "UNAVAILABLE" and "model.onnx" in reason
    state, reason = index(client)["wrong", ""]
    assert state == "UNAVAILABLE" and "no field 'colour'" in reason


def test_settings_for_a_load(served, repository):
    """They hold until another load says something else; what is wrong changes nothing."""
    _, client = served
    repository.put("simple", function="simple")
    config = {"backend": "builtin", "max_batch_size": 3, "parameters": {"function": {"string_value": "simple"}}}

    def most():
        return client.get_model_config("simple").config.max_batch_size

    client.load_model("simple")
    assert most() == 8
    client.load_model("simple", config=json.dumps(config))
    assert most() == 3
    poll = "failed to load 'simple', failed to poll from model repository: config"
    for wrong, why in (("{", ": 1:"), ('{"colour": "red"}', ": ModelConfig has no field 'colour'"),
                       ('{"name": "identity"}', ": name: is not the name of the model's directory"),
                       ('{"backend": "python"}', " backend 'python': the model's files say 'builtin'")):
        code, text = refused(lambda: client.load_model("simple", config=wrong))
        assert code == "INVALID_ARGUMENT" and text.startswith(poll + why), text
    assert most() == 3
    client.load_model("simple")
    assert most() == 8
