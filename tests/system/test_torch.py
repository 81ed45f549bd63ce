"""PyTorch itself in workers: programs, tensors over a client's memory, handlers. Skipped where no interpreter has it:
MODELD_TORCH_PYTHON names one."""
import os
import subprocess
import sys

import numpy as np
import pytest

from daemon import BUILD, ROOT
from python_models import modeld, put, together

FAKE = os.path.join(BUILD, "fakecuda")

TRAIN = """
import sys
import numpy as np
import torch

torch.manual_seed(1)
net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
x = torch.rand(256, 2) * 2 - 1
y = (x[:, :1] * x[:, 1:]).sign()
optimizer = torch.optim.Adam(net.parameters(), 0.05)
for _ in range(300):
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(net(x), y).backward()
    optimizer.step()
net.eval()
directory = sys.argv[1]
np.savez(directory + "/expected.npz", x=x.numpy(), y=net(x).detach().numpy(), truth=y.numpy())
rows = {0: torch.export.Dim("rows", min=1, max=4096)}
torch.export.save(torch.export.export(net, (x,), dynamic_shapes=(rows,)), directory + "/model.pt2")
torch.jit.trace(net, x).save(directory + "/model.pt")
"""
MODEL = '''
import numpy as np
import torch


class Model:
    inputs = {"how": "bytes[1]", "x": "any"}
    outputs = {"y": "any"}

    def infer(self, how, x):
        return getattr(self, how[0].decode())(x)

    def by_numpy(self, x):
        return self._same(torch.from_numpy(x), x)

    def by_buffer(self, x):
        return self._same(torch.frombuffer(memoryview(x), dtype=torch.float32), x)

    def by_dlpack(self, x):
        return self._same(torch.from_dlpack(x), x)

    def _same(self, t, x):
        assert t.data_ptr() == x.__array_interface__["data"][0], "it was copied"
        return t * 2

    def of_bfloat16(self, x):
        return torch.from_numpy(x).to(torch.bfloat16)

    def with_gradients(self, x):
        return torch.nn.Parameter(torch.from_numpy(x.copy()))
'''
TRITON = '''
import torch
from torch.utils.dlpack import from_dlpack, to_dlpack
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = from_dlpack(pb_utils.get_input_tensor_by_name(request, "IN").to_dlpack())
            out = pb_utils.Tensor.from_dlpack("OUT", to_dlpack(torch.cumsum(x, 0)))
            responses.append(pb_utils.InferenceResponse([out]))
        return responses
'''
TRITON_CONFIG = """
backend: "python"
input { name: "IN" data_type: TYPE_FP32 dims: -1 }
output { name: "OUT" data_type: TYPE_FP32 dims: -1 }
"""
HANDLER = '''
import json
import torch
from ts.torch_handler.base_handler import BaseHandler


class Product(BaseHandler):
    def preprocess(self, data):
        return torch.tensor([json.loads(row["data"]) for row in data])
'''


def interpreter():
    """One that can import torch; None."""
    for path in filter(None, (os.environ.get("MODELD_TORCH_PYTHON"), sys.executable, "/usr/bin/python3")):
        found = subprocess.run([path, "-c", "import importlib.util as u, sys; sys.exit(not (u.find_spec('torch') and u.find_spec('numpy')))"])
        if found.returncode == 0:
            return path
    return None


@pytest.fixture(scope="module")
def served(start_once, tmp_path_factory):
    python = interpreter()
    if not python:
        pytest.skip("no interpreter here has PyTorch (MODELD_TORCH_PYTHON)")
    path = tmp_path_factory.mktemp("models")
    trained = path / "trained"
    trained.mkdir()
    subprocess.run([python, "-W", "ignore", "-c", TRAIN, str(trained)], check=True)
    tensors = "[parameters]\ninputs = x: f32[-1, 2]\noutputs = y: f32[-1, 1]\n"
    for name, file in (("exported", "model.pt2"), ("script", "model.pt")):
        put(path / "models", name, None, "[model]\nbackend = torch\nmax_batch_size = 512\n" + tensors)
        (trained / file).rename(path / "models" / name / "1" / file)
    put(path / "models", "tensors", MODEL)
    put(path / "models", "triton", TRITON)
    (path / "models" / "triton" / "config.pbtxt").write_text(TRITON_CONFIG)
    put(path / "models", "handler", None, "[model]\nbackend = python\n")
    (path / "models" / "handler" / "1" / "handler.py").write_text(HANDLER)
    (path / "models" / "handler" / "1" / "net.pt").write_bytes((path / "models" / "script" / "1" / "model.pt").read_bytes())
    # An import of PyTorch takes seconds: each when it is asked for.
    d = start_once(f"backend.python.interpreter={python}", f"backend.torch.interpreter={python}", "models.control=explicit",
                   "models.load_on_request=yes", "dispatch.retry_wait_ms=600000", models=["*"], repository=str(path / "models"))
    return d, np.load(trained / "expected.npz")


@pytest.mark.parametrize("model", ["exported", "script"])
def test_a_program_answers_as_what_was_trained(served, model):
    d, expected = served
    x, y = expected["x"], expected["y"]
    assert (np.sign(y) == expected["truth"]).mean() > 0.9
    got = together(d, 8, lambda c, i: c.infer(model, x[i * 32:i * 32 + 32 - i]))
    for i, one in enumerate(got):
        assert isinstance(one, np.ndarray), one
        assert np.allclose(one, y[i * 32:i * 32 + 32 - i], atol=1e-5)


@pytest.mark.parametrize("how", ["by_numpy", "by_buffer", "by_dlpack"])
def test_a_tensor_lies_over_the_clients_memory(served, how):
    with modeld.connect(served[0].unix) as c:
        x = c.empty(1 << 16, np.float32)
        x[...] = np.arange(1 << 16)
        y = c.infer("tensors", {"how": np.array([how.encode()], object), "x": x})
        assert np.array_equal(y, x * 2)


def test_what_tensors_may_be_given_back(served):
    with modeld.connect(served[0].unix) as c:
        x = np.array([1.5, -2.0], np.float32)
        y = c.infer("tensors", {"how": np.array([b"of_bfloat16"], object), "x": x})
        assert y.view(np.uint16).tolist() == [0x3FC0, 0xC000]
        assert c.infer("tensors", {"how": np.array([b"with_gradients"], object), "x": x}).tolist() == x.tolist()


def test_dlpack_of_tritons_models(served):
    with modeld.connect(served[0].unix) as c:
        assert c.infer("triton", np.ones(5, np.float32)).tolist() == [1, 2, 3, 4, 5]


def test_a_handler_with_torchscript(served):
    d, expected = served
    with modeld.connect(d.unix) as c:
        got = c.infer("handler", np.array([b"[0.5, -0.5]", b"[0.25, 0.75]"], object))
        assert [len(eval(one)) for one in got.tolist()] == [1, 1]
        assert [np.sign(eval(one)[0]) for one in got.tolist()] == [-1, 1]


def check(told):
    """The check on a GPU, of this alone: with the stand-in, which PyTorch does not see."""
    programs = [f"--programs={BUILD}", f"--worker={FAKE}/modeld-worker", f"--backends={FAKE}/backends", f"--config={ROOT}/conf/modeld.conf"]
    done = subprocess.run([os.path.join(FAKE, "check"), "--torch", f"--torch={told}", "--ms=20", f"--models={ROOT}/tests/gpu/models",
                           *programs], capture_output=True, text=True, timeout=300, env={**os.environ, "FAKECUDA": ""})
    assert done.returncode == 0 and "0 are not" in done.stdout and "NO:" not in done.stdout, done.stdout + done.stderr
    return done.stdout


def loop(python, *arguments):
    at = os.path.join(ROOT, "tests", "gpu")
    return subprocess.run([*python, f"{at}/check/torch_loop.py", f"{at}/torch_models/torch_mlp/1/model.py", "20", *arguments],
                          capture_output=True, text=True)


def test_the_check_on_a_gpu_says_why_it_is_left_out():
    told = loop([sys.executable, "-I", "-S"])  # without packages
    assert told.returncode == 1 and "has no PyTorch: " in told.stdout
    assert f"- It is not tried: {told.stdout.strip()}" in check(told.stdout.strip())


def test_the_check_on_a_gpu_compares_a_model_with_a_loop():
    python = interpreter()
    if not python:
        pytest.skip("no interpreter here has PyTorch (MODELD_TORCH_PYTHON)")
    said = check(loop([python, "-W", "ignore"], "cpu").stdout)
    assert said.count("yes: torch_mlp, ") == 2 and "FAILED" not in said
    for what in ("by handoff, latency", "by handoff, 8 at once", "in messages, latency", "in messages, 8 at once"):
        assert f"mlp in PyTorch {what} |" in said
