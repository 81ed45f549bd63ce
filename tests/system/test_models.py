"""Models of several repositories, in nearly right layouts, loaded and unloaded by callers."""
import concurrent.futures
import os
import shutil
import signal

import grpc
import pytest

import messages as m
from callers import Callers
from daemon import ROOT, wait_for
from test_config import CONF, CONFIG, OK, check
from repository import Repository
from test_reload import code_of, works

ONNX = os.path.join(ROOT, "tests", "models", "onnx", "identity_f32", "1", "model.onnx")


def explicit(start, repository, *sets, **kw):
    return start("models.serve=*", "models.default=", "models.control=explicit", *sets,
                 repository=repository.directory, **kw)


def copy_onnx(repository, path):
    whole = os.path.join(repository.directory, path)
    os.makedirs(os.path.dirname(whole), exist_ok=True)
    shutil.copy(ONNX, whole)


def models(d):
    return {(x.name, x.version): x.state for x in d.status().models}


def ctl(d, *args):
    done = d.modelctl(*args)
    return done.returncode, (done.stdout + done.stderr).strip()


# --- What is wrong with one -------------------------------------------------------------------------


def test_one_bad_entry_keeps_no_other_from_being_served(start, repository):
    bad = {"empty": "1/", "key": "model.conf", "my model": "model.conf", "device": "model.conf", "file": "1/resnet.onnx",
           "latest": "latest/model.onnx", "zero": "0/model.onnx"}
    for name, path in bad.items():
        copy_onnx(repository, os.path.join(name, path if not path.endswith("/") else "1/weights"))
    repository.write("key/model.conf", "[model]\nmax_batchsize = 8\n")
    repository.write("my model/model.conf", "[model]\nbackend = builtin\n")
    repository.write("device/model.conf", "[model]\nbackend = builtin\ndevices = cuda:77\n")
    copy_onnx(repository, "single.onnx")
    copy_onnx(repository, "umlaut-\xfc/1/model.onnx")
    copy_onnx(repository, "newest/1/model.onnx")
    os.makedirs(os.path.join(repository.directory, "newest", "2"))
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    assert works(d, "identity")
    states = models(d)
    for name in [*bad, "single", "umlaut-\xfc"]:
        assert states[name, ""] == "wrong", name
        assert name in d.log() or f'"{name}"' in d.log() or "umlaut" in name
    wait_for("the version that is whole", lambda: models(d)["newest", "1"] == "ready")
    assert "newest/2 has no model.onnx" in d.log()
    code, text = ctl(d, "wait-ready")
    assert code == OK and "model key is wrong" in text and "unknown key" in text
    code, text = ctl(d, "status", "key")
    assert code == OK and text.split()[:2] == ["key", "wrong"] and "unknown key" in text
    assert "version" not in text and "queue" not in text, "there is none of it to have some"
    done = check(CONF, "models.serve=*", "models.default=", f"models.repository={repository.directory}")
    assert done.returncode == CONFIG
    for name in bad:
        assert f"model {name}: " in done.stderr


@pytest.mark.parametrize("path", ["flat/model.onnx", "v/v1/model.onnx", "padded/01/model.onnx"])
def test_layouts_that_can_mean_one_thing_only(start, repository, path):
    copy_onnx(repository, path)
    name = path.split("/")[0]
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    wait_for("the model", lambda: models(d)[name, "1"] == "ready")
    assert check(CONF, "models.serve=*", "models.default=", f"models.repository={repository.directory}").returncode == OK


def test_several_repositories(start, repository, tmp_path):
    other = Repository(tmp_path / "others")
    other.put("second")
    both = f"{repository.directory}, {other.directory}"
    d = start("models.serve=*", "models.default=identity", repository=both)
    assert works(d, "identity") and works(d, "second")
    other.put("identity", function="simple")
    other.put("third")
    assert ctl(d, "reload")[0] == OK
    wait_for("the third", lambda: works(d, "third"))
    assert works(d, "identity"), "what is served goes on"
    assert f"model 'identity' is in several repositories: '{repository.directory}', '{other.directory}'" in d.log()
    shutil.rmtree(other.directory)
    code, text = ctl(d, "reload")
    assert code != OK and other.directory in text
    assert works(d, "second")


def test_versions_by_policy(start, repository):
    for version in "1", "2", "3":
        copy_onnx(repository, f"m/{version}/model.onnx")
    repository.write("m/model.conf", "[model]\nversion = latest 2\n")
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    wait_for("both", lambda: [v for (n, v), s in models(d).items() if n == "m" and s == "ready"] == ["3", "2"])
    copy_onnx(repository, "m/4/model.onnx")
    assert ctl(d, "reload", "m")[0] == OK
    wait_for("the newest two", lambda: sorted(v for n, v in models(d) if n == "m") == ["3", "4"])
    repository.write("m/model.conf", "[model]\nversion = 1, 9\n")
    assert ctl(d, "reload", "m")[0] == OK
    wait_for("the one there is", lambda: [v for n, v in models(d) if n == "m"] == ["1"])
    assert "there is no version directory 9" in d.log()


# --- By callers -------------------------------------------------------------------------------------


def test_load_and_unload(start, repository):
    copy_onnx(repository, "onnx/1/model.onnx")
    d = explicit(start, repository, workers="cpu:0 x2")
    assert models(d) == {}
    assert code_of(lambda: d.infer("identity", b"abc")) == grpc.StatusCode.NOT_FOUND
    assert ctl(d, "load", "identity") == (OK, "")
    assert works(d, "identity")
    assert ctl(d, "load", "onnx:1") == (OK, "")
    assert models(d)["onnx", "1"] == "ready"
    assert ctl(d, "unload", "identity") == (OK, "")
    assert code_of(lambda: d.infer("identity", b"abc")) == grpc.StatusCode.NOT_FOUND
    assert "model version is gone model=identity" in d.log()
    d.process.send_signal(signal.SIGHUP)
    wait_for("the end of reading", lambda: "models were read anew" in d.log())
    assert list(models(d)) == [("onnx", "1")]


def test_what_is_loaded_at_start(start, repository):
    repository.put("second")
    d = explicit(start, repository, "models.load=second, third")
    assert list(models(d)) == [("second", "1")]
    assert "there is no such model model=third" in d.log()


def test_load_tells_why_not(start, repository):
    copy_onnx(repository, "junk/1/model.onnx")
    repository.write("junk/1/model.onnx", "junk")
    os.makedirs(os.path.join(repository.directory, "wrong"))
    repository.write("wrong/model.conf", "[model]\nbackend = builtin\ncolour = red\n")
    d = explicit(start, repository)
    for args, words in [(("load", "nobody"), "NOT_FOUND: model 'nobody' is in no repository"),
                        (("load", "identity:7"), "NOT_FOUND: model 'identity' has no version 7"),
                        (("load", "identity:one"), "INVALID_ARGUMENT: \"one\" is no version"),
                        (("load", "../identity"), "INVALID_ARGUMENT: \"../identity\" is no name of a model"),
                        (("load", "x" * 300), "INVALID_ARGUMENT"),
                        (("load", "wrong"), "model.conf:3: [model] colour: unknown key"),
                        (("load", "junk"), "INTERNAL: model 'junk' version 1: load failed on cpu:0: model.onnx"),
                        (("unload", "identity"), "NOT_FOUND: model 'identity' is not loaded"),
                        (("reload", "identity"), "NOT_FOUND: model 'identity' is not loaded")]:
        code, text = ctl(d, *args)
        assert code == 1 and words in text, (args, text)
    for args in ("load",), ("load", "a", "b"), ("load", "a:"), ("unload",), ("reload", "a", "b"):
        assert ctl(d, *args)[0] == 64
    copy_onnx(repository, "junk/1/model.onnx")
    assert ctl(d, "load", "junk") == (OK, ""), "its files are others now"
    assert models(d)["junk", "1"] == "ready"


def test_not_where_the_files_say(start, repository):
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    for command in "load", "unload":
        code, text = ctl(d, command, "identity")
        assert code == 1 and "FAILED_PRECONDITION: models are loaded and unloaded only where [models] control" in text
    assert works(d, "identity")
    assert ctl(d, "reload", "identity") == (OK, "")


def test_what_runs_is_finished_when_its_model_is_unloaded(start, repository):
    os.makedirs(os.path.join(repository.directory, "slow"))
    repository.write("slow/model.conf",
                     "[model]\nbackend = builtin\n[parameters]\nfunction = identity\ndelay_ms = 1000\n")
    d = explicit(start, repository, "models.load=slow")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(d.infer, "slow", b"abc")
        wait_for("the run", lambda: d.status().workers[0].batches_in_flight == 1)
        assert ctl(d, "unload", "slow") == (OK, "")
        assert running.result().tensor_data.data == b"abc"
    assert code_of(lambda: d.infer("slow", b"abc")) == grpc.StatusCode.NOT_FOUND


def test_a_hundred_reloads_under_load(start, repository):
    """No call fails, and there is never an answer of neither version."""
    d = explicit(start, repository, "models.load=identity", workers="cpu:0 x2")
    wait_for("the model", lambda: works(d, "identity"))
    load = Callers(d, 8)
    load.wait_done(50)
    for i in range(100):
        repository.put("identity", more=f"max_queue_size = {1000 + i}")
        assert ctl(d, "reload", "identity") == (OK, "")
    _, failures = load.stop()
    assert not failures, failures[:5]
    assert d.log().count("model version takes over") == 100
    wait_for("the old ones' end", lambda: d.log().count("model version is gone") == 100)


def test_a_worker_dies_while_it_loads(start, repository):
    d = explicit(start, repository, "worker.backoff_max_ms=1")
    for i in range(5):
        repository.put(f"m{i}")
        d.kill_a_worker()
        assert ctl(d, "load", f"m{i}") == (OK, "")
        d.kill_a_worker()
        assert ctl(d, "unload", f"m{i}") == (OK, "")
    wait_for("a worker", lambda: d.status().workers[0].state == "ready")
    assert models(d) == {}


# --- By the files -----------------------------------------------------------------------------------


def test_files_are_followed(start, repository):
    d = start("models.serve=*", "models.default=identity", "models.control=poll", "models.settle_ms=50",
              "models.poll_interval_ms=3600000", repository=repository.directory)
    repository.put("second")
    wait_for("the new model", lambda: works(d, "second"))
    load = Callers(d, 4)
    for i in range(5):
        repository.put("identity", more=f"max_queue_size = {1000 + i}")
        wait_for("the new version", lambda i=i: d.log().count("model version takes over") == i + 1)
    repository.write("second/model.conf", "nonsense")
    wait_for("its reason", lambda: "second/model.conf:1: neither" in d.log())
    assert works(d, "second")
    repository.remove("second")
    wait_for("its end", lambda: "model version is gone model=second" in d.log())
    _, failures = load.stop()
    assert not failures, failures[:5]


def test_files_are_looked_for_where_nothing_tells_of_changes(start, repository, tmp_path):
    """As Kubernetes mounts a ConfigMap: a directory is a link to a link, which is replaced."""
    for number in "one", "two":
        os.makedirs(tmp_path / "data" / number / "mounted")
        conf = "[model]\nbackend = builtin\n[parameters]\nfunction = identity\n"
        (tmp_path / "data" / number / "mounted" / "model.conf").write_text(
            conf if number == "one" else conf.replace("builtin\n", "builtin\nmax_queue_size = 5\n"))
    os.symlink("one", tmp_path / "data" / "now")
    os.symlink(tmp_path / "data" / "now" / "mounted", os.path.join(repository.directory, "mounted"))
    d = start("models.serve=*", "models.default=identity", "models.control=poll", "models.settle_ms=50",
              "models.poll_interval_ms=100", f"worker.sandbox_read={tmp_path}/data", repository=repository.directory)
    wait_for("the model", lambda: works(d, "mounted"))
    os.symlink("two", tmp_path / "data" / "next")
    os.replace(tmp_path / "data" / "next", tmp_path / "data" / "now")
    wait_for("its change", lambda: "model version takes over model=mounted" in d.log())
    assert [x.queue_limit for x in d.status().models if x.name == "mounted"] == [5]


def test_a_request_names_a_version(start, repository):
    repository.put("m", function="identity", more="version = 1, 2")
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    for name, version in ("m:1", "1"), ("m:2", "2"), ("m", "2"):
        wait_for(name, lambda name=name: works(d, name))
        assert d.infer(name, b"abc").metadata["model_version"] == version
    for name in "m:3", "m:", "m:x", "m:1:1", "n:1":
        assert code_of(lambda name=name: d.infer(name, b"abc")) == grpc.StatusCode.NOT_FOUND, name


# --- In Triton's words -------------------------------------------------------------------------------


def test_a_model_of_a_triton_repository(start, repository):
    copy_onnx(repository, "triton/1/model.onnx")
    copy_onnx(repository, "triton/3/model.onnx")
    copy_onnx(repository, "wrong/1/model.onnx")
    repository.write("triton/config.pbtxt", """name: "triton"
platform: "onnxruntime_onnx"
max_batch_size: 6  # rows
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
optimization { cuda { graphs: true } }
version_policy: { all { } }
""")
    repository.write("wrong/config.pbtxt", 'name: "wrong"\nmax_batch_size: many\n')
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    wait_for("both versions", lambda: [models(d).get(("triton", v)) for v in "13"] == ["ready"] * 2)
    assert "triton/config.pbtxt: not acted on: optimization" in d.log()
    details = {x.name: x.detail for x in d.status().models}
    assert details["wrong"].endswith("wrong/config.pbtxt:2:17: 'many' is no value of max_batch_size")
    assert [x.max_batch_size for x in d.status().models if x.name == "triton"] == [6, 6]
