"""docs/python.md: the example with a tokenizer, as it stands there. MODELD_EMBEDDER_PYTHON names a Python that has wordllama."""
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from daemon import ROOT
from python_models import modeld, put

PAGE = open(os.path.join(ROOT, "docs", "python.md"), encoding="utf-8").read()
SECTION = PAGE.split("## An example: text in")[1].split("\n## ")[0]
MODEL, ASK = re.findall(r"```python\n(.*?)```", SECTION, re.S)
CONF = re.search(r"```ini\n(.*?)```", SECTION, re.S).group(1)
PYTHON = os.environ.get("MODELD_EMBEDDER_PYTHON", sys.executable)


@pytest.fixture
def served(start, tmp_path):
    if subprocess.run([PYTHON, "-c", "import safetensors, tokenizers, wordllama"], capture_output=True).returncode:
        pytest.skip(f"{PYTHON} has no wordllama (MODELD_EMBEDDER_PYTHON)")
    put(tmp_path, "embedder", MODEL, CONF.replace("/srv/embedder/bin/python", PYTHON))
    return start(models=["embedder"], repository=str(tmp_path))


def test_what_is_alike_lies_close(served):
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, env=dict(
        os.environ, MODELD_ADDRESS=served.unix, PYTHONPATH=os.path.join(ROOT, "clients", "python")))
    assert done.stdout.strip() == "True", done.stderr


def test_nothing_and_what_is_no_text(served):
    with modeld.connect(served.unix) as c:
        lengths = np.linalg.norm(c.infer("embedder", np.array(["", "x"], object)), axis=1)
        assert np.allclose(lengths, [0, 1])
        with pytest.raises(modeld.ModeldError, match="text must be UTF-8") as e:
            c.infer("embedder", np.array([b"\xff"], object))
        assert e.value.code == "INVALID_ARGUMENT"
