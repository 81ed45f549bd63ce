"""docs/quickstart-onnx.md: the exports, the model.conf and the questions, as they stand there. MODELD_EXPORT_PYTHON names a
Python that has what they need; else the one of the tests, where it has."""
import os
import re
import subprocess
import sys

import pytest

from daemon import ROOT

TEXT = open(os.path.join(ROOT, "docs", "quickstart-onnx.md"), encoding="utf-8").read()
PYTHON = os.environ.get("MODELD_EXPORT_PYTHON", sys.executable)
SKLEARN, TORCH, ASK, ASK_NET = re.findall(r"```python\n(.*?)```", TEXT, re.S)
CONF = re.search(r"```ini\n(.*?)```", TEXT, re.S).group(1)


def needs(*modules):
    there = subprocess.run([PYTHON, "-c", f"import {', '.join(modules)}"], capture_output=True).returncode == 0
    return pytest.mark.skipif(not there, reason=f"{PYTHON} has not all of {', '.join(modules)}")


def run(text, where, **env):
    done = subprocess.run([sys.executable if env else PYTHON, "-c", text], cwd=where, capture_output=True, text=True,
                          env=dict(os.environ, **env))
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(d, text, where):
    return run(text, where, MODELD_ADDRESS=d.unix, PYTHONPATH=os.path.join(ROOT, "clients", "python"))


@needs("sklearn", "skl2onnx")
def test_scikit_learn(start, tmp_path):
    run(SKLEARN, tmp_path)
    for conf in ("", CONF):
        if conf:
            (tmp_path / "models" / "iris" / "model.conf").write_text(conf)
        d = start(models=["iris"], repository=str(tmp_path / "models"))
        lines = ask(d, ASK, tmp_path).splitlines()
        assert lines[0] == "[0 1]" and lines[1].startswith("[0 1] [[")
        status = d.modelctl("status", "iris").stdout
        assert "label i64[-1]" in status and "probabilities f32[-1,3]" in status


@needs("torch", "onnx", "onnxscript")
def test_pytorch(start, tmp_path):
    run(TORCH, tmp_path)
    d = start(models=["net"], repository=str(tmp_path / "models"))
    assert ask(d, ASK_NET, tmp_path).strip() == "(5, 3)"
    model, = d.status().models
    assert model.max_batch_size > 1 and (list(model.inputs[0].dims), list(model.outputs[0].dims)) == ([-1, 4], [-1, 3])
