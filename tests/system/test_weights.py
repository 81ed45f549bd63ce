"""Weights in files beside a model are mapped, not copied, where nothing packs them: processes share the page cache."""
import os
import re

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from daemon import wait_for

WIDTH = 1024
FILE_BYTES = 2 * WIDTH * WIDTH * 4


@pytest.fixture
def repository(tmp_path):
    """A model "w" of two matrices, whose weights are in model.data."""
    weights = [numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), f"w{i}") for i in range(2)]
    nodes = [helper.make_node("MatMul", ["x", "w0"], ["h"]), helper.make_node("MatMul", ["h", "w1"], ["y"])]
    io = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["batch", WIDTH]) for n in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "w", io[:1], io[1:], weights), ir_version=10,
                              opset_imports=[helper.make_opsetid("", 19)])
    os.makedirs(tmp_path / "models" / "w" / "1")
    onnx.save(model, str(tmp_path / "models" / "w" / "1" / "model.onnx"), save_as_external_data=True, location="model.data")
    return tmp_path / "models"


def mapped(pid):
    """(resident, copied) bytes of model.data in a process."""
    totals, inside = {"Rss": 0, "Anonymous": 0}, False
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                inside = line.rstrip().endswith("/model.data")
            elif inside and line.split(":")[0] in totals:
                totals[line.split(":")[0]] += int(line.split()[1]) * 1024
    return totals["Rss"], totals["Anonymous"]


def begin(start, repository, conf):
    (repository / "w" / "model.conf").write_text(conf)
    d = start("models.default=", repository=str(repository), models=["w"], workers="cpu:0 x2")
    wait_for("both", lambda: [x.workers_ready for x in d.status().models] == [2])
    x = np.arange(WIDTH, dtype=np.float32)
    assert d.infer("w", x.tobytes(), [1, WIDTH], "f32").tensor_data.data == x.tobytes()
    try:
        return [mapped(w.pid) for w in d.status().workers]
    except PermissionError:
        pytest.skip("who may not look into workers")


def test_processes_map_the_file(start, repository):
    of = begin(start, repository, "[parameters]\nprepack = no\n")
    assert [copied for _, copied in of] == [0, 0]
    assert max(resident for resident, _ in of) >= FILE_BYTES, "who has run it has read all of it"


def test_packed_weights_are_copies(start, repository):
    of = begin(start, repository, "")
    assert max(resident for resident, _ in of) < FILE_BYTES


def test_weights_elsewhere_are_refused(start, repository):
    """Whatever the worker may read besides, a model's files are in its directory."""
    path = repository / "w" / "1" / "model.onnx"
    os.rename(repository / "w" / "1" / "model.data", repository / "model.data")
    model = onnx.load(str(path), load_external_data=False)
    for entry in [e for w in model.graph.initializer for e in w.external_data if e.key == "location"]:
        entry.value = "../../model.data"
    path.write_bytes(model.SerializeToString())
    d = start("models.default=", repository=str(repository), models=["w"])
    w, = wait_for("its failure", lambda: [x for x in d.status().models if x.state == "failed"])
    assert "model.data" in w.detail, w.detail
