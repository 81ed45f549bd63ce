"""What a model says through the daemon is what ONNX Runtime says, whoever else asks."""
import os
import sys

import numpy as np
import pytest

import messages as m
from daemon import Daemon, wait_for
from onnx_models import F32, Repository, constant, direct, node, same, tensor

sys.path.insert(0, os.path.join(m.ROOT, "clients", "python"))
import modeld  # noqa: E402


def batch(name, *rest, dtype=F32):
    return tensor(name, dtype, ["batch", *rest])


@pytest.fixture(scope="module")
def served():
    """(daemon, repository), with every model of this page."""
    r = Repository()
    r.add("secret", [node("Neg", ["x"], ["y"])], [batch("x", 4)], [batch("y", 4)])
    r.add("passed", [node("Relu", ["x"], ["y"])], [batch("x", 4)], [batch("y", 4), batch("x", 4)])
    r.add("untouched", [node("Relu", ["x"], ["z"])], [batch("x", 4)], [batch("x", 4)])
    r.add("constant", [node("Relu", ["x"], ["y"])], [batch("x", 4)], [tensor("c", F32, [4]), batch("y", 4)],
          [constant("c", [1, 2, 3, 4], "f4")])
    r.add("folded", [node("Identity", ["c"], ["d"]), node("Identity", ["x"], ["y"]), node("Neg", ["c"], ["e"])],
          [batch("x", 4)], [tensor("d", F32, [4]), tensor("e", F32, [4]), batch("y", 4)],
          [constant("c", [1, 2, 3, 4], "f4")])
    d = Daemon("models.default=secret", repository=r.path)
    wait_for("all models", lambda: d.check_health() == m.SERVING)
    yield d, r
    try:
        d.stop()
    finally:
        d.close()
        r.close()


@pytest.fixture
def clients(served):
    d, _ = served
    with modeld.connect(d.unix) as local, modeld.connect(d.tcp) as remote:
        yield {"local": local, "remote": remote}


# --- Nobody sees another's data ----------------------------------------------------------------------

@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize("model", ["passed", "untouched", "constant", "folded"])
def test_an_output_that_no_operator_writes(served, clients, model, where):
    """An output that is an input or a constant: ONNX Runtime does not write it into memory it is given."""
    _, r = served
    x = np.array([[1, -2, 3, -4]], "f4")
    want = direct(r.file(model), {"x": x})
    for i in range(100):  # what a careless worker would send instead
        clients["remote"].infer("secret", np.full((1, 4), 1000 + i, "f4"))
        clients["local"].infer_all("secret", np.full((1, 4), 1000 + i, "f4"))
    for name, value in want.items():
        for _ in range(3):
            got = clients[where].infer_all(model, x, outputs=[name])[name]
            assert same(got, value), (name, got, value)
    got = clients["local"].infer_all(model, x)
    assert list(got) == list(want) and all(same(got[k], want[k]) for k in want)
