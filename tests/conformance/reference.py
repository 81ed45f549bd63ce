"""ONNX Runtime, called directly: what a model says, to the bit."""
import ctypes

import numpy as np
import onnxruntime
from onnx import TensorProto

# ONNX Runtime's names of element types that have none in numpy, and how wide they are.
BITS = {"tensor(bfloat16)": np.uint16}
VIEWS = {"bfloat16": (np.uint16, TensorProto.BFLOAT16)}


class Refused(Exception):
    """ONNX Runtime does not load the model, or fails in a run."""


def options():
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads = o.inter_op_num_threads = 1
    o.log_severity_level = 4
    return o


def to_value(array):
    array = np.asarray(array)
    if array.dtype.name in VIEWS:
        view, element = VIEWS[array.dtype.name]
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(np.array(array, order="C").view(view), element)
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.array(array, order="C"))


def is_text(array):
    return np.asarray(array).dtype.kind in "OSU"


def as_bytes(array):
    flat = np.empty(array.size, object)
    flat[:] = [e if isinstance(e, bytes) else e.encode() for e in array.reshape(-1)]
    return flat.reshape(array.shape)


def to_array(value):
    """An array whose bytes are the value's; strings as bytes."""
    if isinstance(value, np.ndarray):
        return as_bytes(value) if is_text(value) else value
    if not value.is_tensor():
        raise Refused("an output is no tensor")
    if value.data_type() in BITS:
        dtype = np.dtype(BITS[value.data_type()])
        shape = tuple(value.shape())
        n = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return np.frombuffer(ctypes.string_at(value.data_ptr(), n), dtype).reshape(shape)
    array = value.numpy()
    return as_bytes(array) if is_text(array) else array


class Reference:
    def __init__(self, path):
        try:
            self.session = onnxruntime.InferenceSession(path, options(), providers=["CPUExecutionProvider"])
        except Exception as e:  # noqa: BLE001  it has no common base
            raise Refused(str(e)) from None
        self.names = [o.name for o in self.session.get_outputs()]

    def run(self, feed):
        try:
            if any(is_text(v) for v in feed.values()):  # no OrtValue is made of strings
                values = self.session.run(self.names, feed)
            else:
                values = self.session.run_with_ort_values(self.names, {k: to_value(v) for k, v in feed.items()})
            return dict(zip(self.names, map(to_array, values)))
        except Exception as e:  # noqa: BLE001
            raise Refused(str(e)) from None


def same(a, b):
    if a.dtype.kind in "OSU":
        return a.shape == b.shape and a.reshape(-1).tolist() == b.reshape(-1).tolist()
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def close(a, b):
    """Equal but for the last bits of floating-point numbers."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind in "OSUbiu":
        return same(a, b)
    tolerance = 1e-2 if a.dtype.itemsize == 2 else 1e-4
    return np.allclose(a.astype("f8"), b.astype("f8"), rtol=tolerance, atol=tolerance, equal_nan=True)
