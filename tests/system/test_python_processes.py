"""Models in Python have processes of their own: how many, which interpreter's, and that they end."""
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from daemon import BUILD, ROOT, SANITIZED, alive, wait_for
from python_models import REPOSITORY, modeld, put, together

INTERPRETER = f"backend.python.interpreter={sys.executable}"
ROUNDS = int(os.environ.get("MODELD_TEST_ROUNDS", "3"))


def own(d, model):
    """Processes of the model's own."""
    return [w.pid for w in d.status().workers if w.model == model and w.state == "ready"]


def test_a_file_model_py_is_enough(start, tmp_path):
    put(tmp_path, "half", "def infer(x):\n    return x / 2\n")
    d = start(INTERPRETER, models=["half"], repository=str(tmp_path))
    with modeld.connect(d.unix) as c:
        assert c.infer("half", np.array([1.0, 2.0])).tolist() == [0.5, 1.0]
    assert len(own(d, "half")) == 1


def test_each_instance_is_a_process(start, tmp_path):
    put(tmp_path, "who", "import os\n\n\ndef infer(x) -> 'i64[1]':\n    return [os.getpid()]\n", "[model]\ninstances = 2\n")
    d = start(INTERPRETER, models=["who"], repository=str(tmp_path))
    pids = wait_for("both", lambda: len(own(d, "who")) == 2 and own(d, "who"))
    with modeld.connect(d.unix) as c:
        assert c.infer("who", np.zeros(1))[0] in pids


MEET = """
import asyncio

here = 0


async def infer(x):
    global here
    here += 1
    while here < 8:
        await asyncio.sleep(0.001)
    return x
"""


def test_coroutines_of_one_process_overlap(start, tmp_path):
    put(tmp_path, "meet", MEET)
    d = start(INTERPRETER, models=["meet"], repository=str(tmp_path))
    got = together(d, 8, lambda c, i: c.infer("meet", np.full(2, i)).tolist())
    assert got == [[i, i] for i in range(8)] and len(own(d, "meet")) == 1


def test_a_model_may_have_an_interpreter_of_its_own(start, tmp_path):
    """And none is started ahead of it: that of PATH may be one which the sandbox keeps from its library."""
    (tmp_path / "first").mkdir()
    other = tmp_path / "first" / "python3"
    other.write_text("#!/bin/sh\necho started >&2; exit 1\n")
    other.chmod(0o755)
    link = tmp_path / "own-python"
    link.write_text(f'#!/bin/sh\nOWN=yes exec "{sys.executable}" "$@"\n')
    link.chmod(0o755)
    put(tmp_path / "models", "own", "import os\n\n\ndef infer(x) -> 'bytes[1]':\n    return os.environ.get('OWN', 'no')\n",
        f"[parameters]\ninterpreter = {link}\n")
    put(tmp_path / "models", "wrong", "def infer(x):\n    return x\n", "[parameters]\ninterpreter = /no/such/python\n")
    d = start(INTERPRETER, models=["own", "wrong"], repository=str(tmp_path / "models"),
              env={"PATH": f"{other.parent}:{os.environ['PATH']}"})
    with modeld.connect(d.unix) as c:
        assert c.infer("own", np.zeros(1)).tolist() == [b"yes"]
        with pytest.raises(modeld.ModeldError, match="interpreter /no/such/python: No such file or directory"):
            c.infer("wrong", np.zeros(1))
    assert "interpreter /no/such/python: No such file" in d.log()


def test_an_interpreter_without_numpy_is_told_to_who_asks(start, tmp_path):
    bare = tmp_path / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    put(tmp_path / "models", "m", "def infer(x):\n    return x\n", f"[parameters]\ninterpreter = {bare}\n")
    d = start(INTERPRETER, models=["m"], repository=str(tmp_path / "models"))
    words = r"exit status 78: the model's interpreter, \S+, needs numpy: No module named 'numpy'"
    wait_for("the reason", lambda: any(re.search(words, x.detail) for x in d.status().models))
    assert re.search("last exit: " + words, " ".join(d.modelctl("status").stdout.split()))
    with modeld.connect(d.unix) as c:
        with pytest.raises(modeld.ModeldError, match=words):
            c.infer("m", np.zeros(1))


def test_a_model_that_cannot_be_loaded_says_why(start, tmp_path):
    put(tmp_path, "bad", "import no_such_module\n")
    d = start(INTERPRETER, models=["bad"], repository=str(tmp_path))
    wait_for("the reason", lambda: "No module named 'no_such_module'" in d.log())
    with modeld.connect(d.unix) as c:
        with pytest.raises(modeld.ModeldError, match="No module named 'no_such_module'"):
            c.infer("bad", np.ones(1))


def test_check_tries_models_in_processes_of_their_own(tmp_path):
    put(tmp_path, "good", "print('hello')\n\n\ndef infer(x: 'f32[-1, 4]') -> {'y': 'i64'}:\n    return x\n",
        "[parameters]\noutputs = z: f32\n")
    put(tmp_path, "bad", "import no_such_module\n")
    argv = [os.path.join(BUILD, "modeld"), "--config", os.path.join(ROOT, "conf", "modeld.conf"), "--check", "--set", INTERPRETER,
            "--set", f"models.repository={tmp_path}", "--set", "models.default=", "--set"]
    done = subprocess.run([*argv, "models.serve=good"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "/good/1\n;   input x: f32[-1,4]\n;   output z: f32\n;   answers once\n" in done.stdout
    assert "hello" in done.stderr and "hello" not in done.stdout
    done = subprocess.run([*argv, "models.serve=*"], capture_output=True, text=True)
    assert done.returncode == 78 and "No module named 'no_such_module'" in done.stderr
    assert "modeld: model bad, version 1: its code cannot be loaded (exit status 1)" in done.stderr
    done = subprocess.run([*argv, "models.serve=*", "--check=pbtxt"], capture_output=True, text=True)
    assert done.returncode == 78 and re.search("^modeld: model bad, version 1: .*No module named 'no_such_module'", done.stderr, re.M)
    assert 'input { name: "x" data_type: TYPE_FP32 dims: [ -1, 4 ] }\n' in done.stdout and "hello" not in done.stdout


def test_a_program_of_torch(start, tmp_path):
    """With a double of PyTorch beside it, which the model's own directory has."""
    directory = tmp_path / "sum" / "1"
    directory.mkdir(parents=True)
    shutil.copy(os.path.join(os.path.dirname(__file__), "torch_double.py"), directory / "torch.py")
    (directory / "model.pt2").write_text('{"inputs": ["a", "b"], "result": "a + b"}')
    (tmp_path / "sum" / "model.conf").write_text("[model]\nbackend = torch\n")
    d = start(f"backend.torch.interpreter={sys.executable}", models=["sum"], repository=str(tmp_path))
    with modeld.connect(d.unix) as c:
        assert [t.name for t in c.model("sum").inputs] == ["a", "b"]
        assert c.infer("sum", {"a": np.ones(3), "b": np.arange(3.0)}).tolist() == [1, 2, 3]


def test_unloading_ends_the_process_and_memory_comes_back(start, tmp_path):
    """Load, run, unload, MODELD_TEST_ROUNDS times: what the daemon holds stays as it is."""
    shutil.copytree(os.path.join(REPOSITORY, "identity"), tmp_path / "identity")
    d = start(INTERPRETER, "models.control=explicit", "models.load=identity", models=["identity"], repository=str(tmp_path))
    seen = set()
    with modeld.connect(d.unix) as c:
        for i in range(ROUNDS):
            (pid,) = wait_for("its process", lambda: own(d, "identity"))
            assert pid not in seen
            seen.add(pid)
            assert c.infer("identity", np.ones(2)).tolist() == [1, 1]
            assert d.modelctl("unload", "identity").returncode == 0
            wait_for("its end", lambda pid=pid: not alive(pid))
            if i == 0:
                descriptors, heap_kib = d.n_descriptors(), d.heap_kib()
            elif i == ROUNDS - 1:
                wait_for("descriptors", lambda: d.n_descriptors() <= descriptors)
                print(f"{heap_kib} KiB before, {d.heap_kib()} KiB after")
                assert SANITIZED or d.heap_kib() <= heap_kib + 8 * 1024
            assert d.modelctl("load", "identity").returncode == 0
