"""Programs of PyTorch: with a double of it, and with PyTorch where it is installed."""
import json
import sys

import numpy as np
import pytest

import torch_double
from modeld_worker import wire
from modeld_worker.errors import InvalidArgument, ModelError
from modeld_worker.given import by_index, check_output
from modeld_worker.model import Model


def load(directory, device="cpu:0", max_batch_size=wire.U32_MAX, **parameters):
    model = Model(wire.Load(model=1, name="m", version="1", path=str(directory), backend="torch",
                            parameters=[wire.Pair(key=k, value=v) for k, v in parameters.items()]),
                  wire.Setup(worker="w", device=device))
    model.load(max_batch_size)
    return model


def outputs(model, **inputs):
    """{name: array}, as the worker would send them."""
    for array in inputs.values():
        array.flags.writeable = False
    given = by_index(model, model.infer(**inputs))
    return {d.name: check_output(model, k, given)[0] for k, d in enumerate(model.outputs)}


@pytest.fixture
def double(monkeypatch, tmp_path):
    """double(file, result, inputs) writes a program."""
    monkeypatch.setitem(sys.modules, "torch", torch_double)

    def write(file, result, *inputs):
        (tmp_path / file).write_text(json.dumps({"inputs": inputs, "result": result}))
        return tmp_path

    return write


@pytest.mark.parametrize("file", ["model.pt2", "model.pt"])
@pytest.mark.parametrize("device", ["cpu:0", "cuda:1"])
def test_a_program_runs(double, file, device):
    model = load(double(file, "a - 2 * b", "a", "b"), device)
    assert [repr(d) for d in model.inputs] == ["a: any", "b: any"] and model.by_keyword
    a, b = np.arange(4.0), np.ones(4)
    assert outputs(model, b=b, a=a)["output"].tolist() == (a - 2 * b).tolist()


@pytest.mark.parametrize("result", ["(a, a + 1)", "[a, a + 1]", "{'more': a + 1, 'y': a}"])
def test_several_outputs_are_declared(double, result):
    model = load(double("model.pt", result, "a"), outputs="y: f32[-1], more: f32[-1]")
    got = outputs(model, a=np.array([1, 2], np.float32))
    assert got["y"].tolist() == [1, 2] and got["more"].tolist() == [2, 3]


def test_a_tuple_of_one_is_one(double):
    assert outputs(load(double("model.pt", "(a,)", "a")), a=np.arange(3))["output"].tolist() == [0, 1, 2]


def test_model_conf_may_give_other_names(double):
    model = load(double("model.pt2", "a - b", "a", "b"), inputs="x: i64[-1], y: i64[-1]", outputs="z: i64[-1]",
                 max_batch_size=4)
    assert model.max_batch_size == 4
    assert outputs(model, x=np.array([5]), y=np.array([3]))["z"].tolist() == [2]


def test_inputs_are_not_copied_unless_that_is_asked_for(double):
    where = "np.array([a.__array_interface__['data'][0]])"
    x = np.arange(3)
    address = x.__array_interface__["data"][0]
    assert outputs(load(double("model.pt", where, "a")), a=x)["output"][0] == address
    changed = load(double("model.pt", "a.__iadd__(1)", "a"), copy_inputs="yes")
    assert outputs(changed, a=x)["output"].tolist() == [1, 2, 3] and x.tolist() == [0, 1, 2]


def test_settings_and_mistakes(double, tmp_path):
    with pytest.raises(ModelError, match="neither model.pt2 nor model.pt"):
        load(tmp_path)
    model = load(double("model.pt", "a", "a"), threads="3")
    assert torch_double.threads == 3
    with pytest.raises(InvalidArgument, match="'a' is made of strings"):
        model.infer(a=np.array([b"x"], object))


@pytest.mark.parametrize("kind", ["model.pt2", "model.pt"])
def test_with_pytorch_itself(tmp_path, kind):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval()
    x = torch.randn(2, 4)
    if kind == "model.pt":
        torch.jit.trace(module, x).save(str(tmp_path / kind))
    else:
        torch.export.save(torch.export.export(module, (x,)), str(tmp_path / kind))
    model = load(tmp_path)
    (name,) = [d.name for d in model.inputs]
    got = outputs(model, **{name: x.numpy().copy()})["output"]
    assert np.allclose(got, module(x).detach().numpy(), atol=1e-6)
