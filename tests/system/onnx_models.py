"""ONNX models made by the tests themselves, and ONNX Runtime called directly: what a model really says."""
import os
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

F32, I64 = TensorProto.FLOAT, TensorProto.INT64
tensor = helper.make_tensor_value_info
node = helper.make_node


def constant(name, values, dtype):
    return numpy_helper.from_array(np.array(values, dtype), name)


class Repository:
    """A model repository in a directory of its own; gone with close()."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="modeld-onnx-")
        self.path = self.directory.name

    def add(self, name, nodes, inputs, outputs, initializers=(), conf=None, opset=19, domains=(), functions=()):
        graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
        model = helper.make_model(graph, producer_name="modeld", ir_version=10, functions=list(functions),
                                  opset_imports=[helper.make_opsetid("", opset),
                                                 *(helper.make_opsetid(d, 1) for d in domains)])
        return self.save(name, model, conf)

    def save(self, name, model, conf=None):
        folder = os.path.join(self.path, name, "1")
        os.makedirs(folder, exist_ok=True)
        onnx.save(model, os.path.join(folder, "model.onnx"))
        if conf is not None:
            self.configure(name, conf)
        return os.path.join(folder, "model.onnx")

    def configure(self, name, conf):
        with open(os.path.join(self.path, name, "model.conf"), "w", encoding="utf-8") as f:
            f.write(conf)

    def file(self, name):
        return os.path.join(self.path, name, "1", "model.onnx")

    def close(self):
        self.directory.cleanup()


def direct(path, feed, outputs=None):
    """What ONNX Runtime says: {output: array}."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = outputs or [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, feed)))


def same(got, want):
    """Equal to the bit, shape and type included."""
    got, want = np.asarray(got), np.asarray(want)
    return got.dtype == want.dtype and got.shape == want.shape and got.tobytes() == want.tobytes()
