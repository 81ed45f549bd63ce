"""Warm-ups: what a model runs before anybody hears of it, in each backend, from either file."""
import os

import numpy as np
import pytest

from daemon import wait_for
from python_models import modeld
from test_config import CONFIG, OK
from test_config import modeld as modeld_program
from test_models import copy_onnx, ctl, explicit, models
from test_python_processes import INTERPRETER
from test_reload import works

COUNTING = """\
import numpy as np

class Model:
    inputs = {"x": "f32[-1,2]", "text": "bytes[-1,1]"}
    outputs = {"n": "i64[-1,1]"}
    max_batch_size = 8
    runs = []

    def infer(self, x, text):
        self.runs.append((x.tolist(), [t[0] for t in text.tolist()]))
        if len(self.runs) == LIMIT:
            raise ValueError("enough")
        return {"n": np.full((len(x), 1), len(self.runs), np.int64)}
"""
WARM_PYTHON = """\
[model]
max_batch_size = 8
[warmup.zeros]
count = 2
input = x FP32 [2] zero
input = text BYTES [1] zero
[warmup.given]
batch_size = 3
input = x FP32 [2] file:x.bin
input = text BYTES [1] file:sub/text.bin
"""
WARM_ONNX = """\
platform: "onnxruntime_onnx"
instance_group { count: 2 kind: KIND_CPU }
model_warmup { name: "random" batch_size: 2 count: 3
  inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 3 ] random_data: true } } }
model_warmup { name: "file" batch_size: 1
  inputs { key: "x" value { data_type: TYPE_FP32 dims: 4 input_data_file: "raw" } } }
"""
WARM_BUILTIN = """
[warmup.sums]
batch_size = 4
input = INPUT0 INT32 [16] random
input = INPUT1 INT32 [16] zero
"""


def write(repository, path, content):
    whole = os.path.join(repository.directory, path)
    os.makedirs(os.path.dirname(whole), exist_ok=True)
    with open(whole, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())


def begin(start, repository, *sets, **kw):
    return start("models.serve=*", "models.default=identity", *sets, repository=repository.directory, **kw)


def python_model(repository, version, limit=0, text=b"\x03\0\0\0one"):
    write(repository, f"p/{version}/model.py", COUNTING.replace("LIMIT", str(limit)))
    write(repository, "p/model.conf", WARM_PYTHON)
    write(repository, "p/warmup/x.bin", np.array([1, 2], "<f4").tobytes())
    write(repository, "p/warmup/sub/text.bin", text)


def count(d):
    with modeld.connect(d.unix) as c:
        return int(c.infer("p", {"x": np.zeros((1, 2), np.float32), "text": np.array([[b""]], object)})[0, 0])


def test_onnx_and_builtin_models(start, repository):
    copy_onnx(repository, "o/1/model.onnx")
    write(repository, "o/config.pbtxt", WARM_ONNX)
    write(repository, "o/warmup/raw", bytes(16))
    repository.put("simple", function="simple", more=WARM_BUILTIN)
    d = begin(start, repository)
    wait_for("the models", lambda: models(d)["o", "1"] == "ready" and models(d)["simple", "1"] == "ready")
    log = d.log()
    assert "model warmed up worker=cpu:0/0 model=o version=1 warmups=2 lanes=2" in log
    assert "model warmed up worker=cpu:0/0 model=simple version=1 warmups=1 lanes=1" in log
    assert "model_warmup" not in log, "it is acted on"


@pytest.mark.parametrize("what, content, why", [
    ("input = y FP32 [1,4] zero", b"", "the model has no input 'y'"),
    ("input = x INT64 [1,4] zero", b"", "input 'x': expected f32 [-1,-1], got i64 [1,4]"),
    ("input = x FP32 [1,4] file:raw", b"short", "input 'x': raw: has 5 bytes, and the shape asks for 16"),
    ("input = x FP32 [1,4] file:link", b"", "input 'x': link: lies outside of the model's directory"),
    ("count = 1", b"", "it has no input 'x'"),
    ("batch_size = 2\ninput = x FP32 [1,4] zero", b"", "its batch_size is 2, and the model takes 1 at most")])
def test_one_that_fails_fails_the_load_and_is_named(start, repository, what, content, why):
    copy_onnx(repository, "o/1/model.onnx")
    repository.write("o/model.conf", "[model]\nmax_batch_size = 0\n[warmup.cold one]\n" + what + "\n")
    write(repository, "o/warmup/raw", content)
    os.symlink("/etc/hostname", os.path.join(repository.directory, "o", "warmup", "link"))
    d = explicit(start, repository, "models.load=identity")
    code, text = ctl(d, "load", "o")
    assert code != OK and "load failed on cpu:0: warm-up 'cold one': " + why in text, text
    assert models(d)["o", "1"] == "failed" and works(d, "identity")


def test_check_looks_at_their_files(repository):
    copy_onnx(repository, "o/1/model.onnx")
    repository.write("o/model.conf", "[warmup.real]\ninput = x FP32 [1,4] file:raw\n")
    check = ["--triton", repository.directory, "--set", "server.listen=127.0.0.1:0", "--check"]
    for content, code, words in [(bytes(16), 0, ""), (b"short", CONFIG,
                                 "/models/o/warmup/raw: has 5 bytes, and the shape asks for 16")]:
        write(repository, "o/warmup/raw", content)
        done = modeld_program(*check)
        assert done.returncode == code and words in done.stderr, done.stderr


def test_models_in_python(start, repository):
    python_model(repository, 1)
    d = begin(start, repository, INTERPRETER)
    wait_for("the model", lambda: models(d).get(("p", "1")) == "ready")
    assert count(d) == 4, "three runs came before"


def test_a_new_version_is_warm_before_it_takes_over_and_one_that_is_not_never_does(start, repository):
    python_model(repository, 1)
    d = explicit(start, repository, INTERPRETER, "models.load=p")
    wait_for("the model", lambda: models(d).get(("p", "1")) == "ready")
    assert count(d) == 4
    python_model(repository, 2, limit=2)
    code, text = ctl(d, "reload", "p")
    assert code != OK and "warm-up 'zeros': ValueError: enough" in text
    assert count(d) == 5, "the old one goes on"
    python_model(repository, 3)
    assert ctl(d, "reload", "p")[0] == OK
    wait_for("the new one", lambda: models(d).get(("p", "3")) == "ready" and ("p", "1") not in models(d))
    assert count(d) == 4


def test_a_file_of_texts_that_are_none(start, repository):
    python_model(repository, 1, text=b"no lengths")
    d = explicit(start, repository, INTERPRETER)
    code, text = ctl(d, "load", "p")
    assert code != OK and "warm-up 'given': input 'text': malformed bytes tensor" in text
