"""Models that come and go as Triton's clients ask for it: RepositoryIndex, RepositoryModelLoad, RepositoryModelUnload."""
import json
import os
import sys
import tempfile

import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from daemon import BUILD, ROOT, open_to_others, wait_for
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
    assert refused(lambda: client.get_model_metadata("junk")) == (
        "NOT_FOUND", f"Request for unknown model: 'junk' has no available versions: {reason}")
    state, reason = index(client)["wrong", ""]
    assert state == "UNAVAILABLE" and "no field 'colour'" in reason


def test_a_configuration_that_contradicts_the_model(served, repository):
    d, client = served
    config = """backend: "builtin" max_batch_size: 8 parameters { key: "function" value { string_value: "simple" } }
        input { name: "INPUT0" data_type: TYPE_%s dims: 16 } input { name: "INPUT1" data_type: TYPE_INT32 dims: 16 }"""
    os.makedirs(os.path.join(repository.directory, "odd"))
    repository.write("odd/config.pbtxt", config % "FP32")
    client.load_model("odd")
    words = "input 'INPUT0' is FP32 [16] in its configuration, and INT32 [-1,16] in the model"
    assert index(client)["odd", "1"] == ("READY", words)
    assert words in [x.detail for x in d.status().models] and words in " ".join(d.modelctl("status").stdout.split())
    assert "a model is not what its configuration says" in d.log()
    repository.write("odd/config.pbtxt", config % "INT32")
    client.load_model("odd")
    assert index(client)["odd", "1"] == ("READY", "")


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


ONNX = json.dumps({"backend": "onnxruntime", "max_batch_size": 0})


def uploads(daemon):
    """Files that the daemon keeps for models."""
    root = os.path.join(daemon.directory, "uploads")
    assert os.stat(root).st_mode & 0o777 == 0o700
    return [os.path.join(at, name) for at, _, names in os.walk(root) for name in names]


@pytest.fixture
def files(repository):
    """A model's, with a client that may bring them."""
    copy_onnx(repository, "double/1/model.onnx")
    with open(os.path.join(repository.directory, "double/1/model.onnx"), "rb") as f:
        return {"file:3/model.onnx": f.read()}


def test_files_for_a_load(served, files):
    """They are the whole model, wherever its worker is, until it is unloaded."""
    daemon, client = served
    with triton.InferenceServerClient(daemon.unix) as local:
        local.load_model("brought", config=ONNX, files=files)
        assert [os.path.relpath(path, daemon.directory).split("/")[3:] for path in uploads(daemon)] == [["brought", "3", "model.onnx"]]
        assert index(client)["brought", "3"] == ("READY", "")
        outputs = client.get_model_metadata("brought").outputs
        daemon.kill_a_worker()
        wait_for("another worker", lambda: client.is_model_ready("brought"))
        client.load_model("identity")
        wait_for("the files to be loaded again", lambda: client.is_model_ready("brought"))
        assert client.get_model_metadata("brought").outputs == outputs
        local.load_model("brought", config=ONNX, files=files)
        wait_for("the old one to go", lambda: len(uploads(daemon)) == 1)
        code, text = refused(lambda: local.load_model("brought", config=ONNX, files={"file:4/model.onnx": b"junk"}))
        assert code == "INVALID_ARGUMENT" and text.startswith("load failed for model 'brought': version 4 is at UNAVAILABLE state"), text
        assert client.is_model_ready("brought", "3"), "the old one goes on"
        wait_for("the files that cannot be loaded to go", lambda: len(uploads(daemon)) == 1)
        client.unload_model("brought")
        wait_for("the files to go", lambda: not uploads(daemon))
    daemon.stop()
    assert not os.listdir(os.path.join(daemon.directory, "uploads"))


@pytest.mark.skipif(os.geteuid() != 0 or not open_to_others(sys.executable, BUILD, ROOT), reason="only root's workers may be somebody else")
@pytest.mark.parametrize("mode", ["on", "off"])
def test_files_for_workers_that_are_other_users(start, repository, files, mode):
    """Those of their group may read them."""
    with tempfile.TemporaryDirectory(prefix="modeld-test-") as directory:
        os.chmod(directory, 0o711)
        d = explicit(start, repository, "models.uploads=local", f"server.runtime_dir={directory}", "worker.user=64100-64199",
                     f"worker.sandbox={mode}")
        with triton.InferenceServerClient(d.tcp) as client:
            client.load_model("brought", config=ONNX, files=files)
            assert client.is_model_ready("brought", "3")
            assert client.get_model_metadata("brought").outputs
            found = [os.stat(os.path.join(at, name)) for at, _, names in os.walk(directory) for name in names if name == "model.onnx"]
            assert [(s.st_uid, s.st_gid, s.st_mode & 0o777) for s in found] == [(0, 64100, 0o640)]
        d.stop()


def test_files_in_place_of_a_model_s_own(served, files):
    daemon, client = served
    with triton.InferenceServerClient(daemon.unix) as local:
        local.load_model("double", config=ONNX, files=files)
    assert client.is_model_ready("double", "3") and not client.is_model_ready("double", "1")
    client.load_model("double")
    assert client.is_model_ready("double", "1")
    wait_for("the files to go", lambda: not uploads(daemon))


def test_files_that_are_not_taken(start, repository):
    d = explicit(start, repository, "models.max_upload_bytes=200K")
    poll = "failed to load 'm', failed to poll from model repository: "
    with triton.InferenceServerClient(d.unix) as client, triton.InferenceServerClient(d.tcp) as other:
        for wrong, why in ({"files": {"file:1/x": b"x"}}, "files come with 'config', which says what they are"), (
                {"config": ONNX, "files": {"file:../x": b"x"}}, "file:../x is no VERSION/NAME of a file in the model's directory"):
            assert refused(lambda: client.load_model("m", **wrong)) == ("INVALID_ARGUMENT", poll + why)
        code, text = refused(lambda: client.load_model("m", config=ONNX, files={"file:1/x": bytes(200 << 10)}))
        assert code == "RESOURCE_EXHAUSTED" and "max_upload_bytes" in text
        for n in 1, 100 << 10:
            code, text = refused(lambda: other.load_model("m", config=ONNX, files={"file:1/x": bytes(n)}))
            assert code == "PERMISSION_DENIED" and text.endswith("by its Unix socket ([models] uploads)")
        code, text = refused(lambda: client.load_model("m", config=ONNX, files={"file:1/x": bytes(100 << 10)}))
        assert code == "INTERNAL" and "m/1 has no model.onnx" in text, text
        wait_for("the files to go", lambda: not uploads(d))


def test_files_by_tcp(start, repository, files):
    """Where the configuration says so."""
    d = explicit(start, repository, "models.uploads=local")
    with triton.InferenceServerClient(d.tcp) as client:
        client.load_model("brought", config=ONNX, files=files)
        assert client.is_model_ready("brought", "3")


def test_no_files(start, repository, files):
    d = explicit(start, repository, "models.uploads=off")
    with triton.InferenceServerClient(d.unix) as client:
        code, text = refused(lambda: client.load_model("brought", config=ONNX, files=files))
        assert code == "UNIMPLEMENTED" and "[models] uploads" in text
    assert not os.path.exists(os.path.join(d.directory, "uploads"))


def test_no_files_where_the_repository_says_which_models_there_are(start):
    d = start(models=["identity"])
    with triton.InferenceServerClient(d.unix) as client:
        assert refused(lambda: client.load_model("m", config=ONNX, files={"file:1/x": bytes(1 << 20)})) == (
            "UNAVAILABLE", "explicit model load / unload is not allowed if polling is enabled")
