"""DLPack's capsules and __cuda_array_interface__: tensors of other libraries that lie on a GPU, and ours for them."""
from __future__ import annotations

import ctypes
import math
from ctypes import POINTER, c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from . import _dtypes

CUDA = 2  # kDLCUDA
_INT, _UINT, _FLOAT, _BFLOAT, _BOOL = 0, 1, 2, 4, 6


class _Device(ctypes.Structure):
    _fields_ = [("type", c_int32), ("id", c_int32)]


class _Type(ctypes.Structure):
    _fields_ = [("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("device", _Device), ("rank", c_int32), ("dtype", _Type),
                ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)), ("byte_offset", c_uint64)]


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, POINTER(_Managed))
_Managed._fields_ = [("tensor", _Tensor), ("context", c_void_p), ("deleter", _Deleter)]

_api = ctypes.pythonapi
_Destructor = ctypes.CFUNCTYPE(None, c_void_p)
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = (c_void_p, ctypes.c_char_p, _Destructor)
_api.PyCapsule_GetPointer.restype = c_void_p
_api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
_is_valid = _api.PyCapsule_IsValid
_is_valid.argtypes = (c_void_p, ctypes.c_char_p)
_pointer_of = ctypes.PYFUNCTYPE(c_void_p, c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", _api))
_NAME = b"dltensor"


class Given(NamedTuple):
    """A tensor of somebody else's: in a row, at `address` of a GPU's memory."""
    kind: str  # modeld's name of its dtype
    shape: Tuple[int, ...]
    address: int
    nbytes: int
    keep: object  # what its memory lives as long as


def is_on_device(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return False
    if hasattr(type(value), "__cuda_array_interface__"):
        try:
            return value.__cuda_array_interface__ is not None
        except (AttributeError, RuntimeError, TypeError):  # torch's, of a tensor on the host, or one that needs gradients
            pass
    try:
        return bool(tuple(value.__dlpack_device__())[0] == CUDA)
    except (AttributeError, RuntimeError, TypeError, BufferError):
        return False


def take(value: Any) -> Given:
    """ValueError: it cannot be handed over as it is."""
    try:
        interface: Optional[Dict[str, Any]] = value.__cuda_array_interface__
    except (AttributeError, RuntimeError, TypeError):
        interface = None
    # Of bf16 the interface says no more than that it has two bytes.
    return _by_interface(interface, value) if interface and interface["typestr"][1] != "V" else _by_dlpack(value)


def _given(kind: str, itemsize: int, shape: Sequence[int], strides: Optional[Sequence[int]], address: int, keep: object) -> Given:
    """strides: in elements."""
    n, expected = math.prod(shape), 1
    for size, stride in zip(reversed(shape), reversed(strides or ())):
        if n and size != 1 and stride != expected:
            raise ValueError("a tensor on a GPU is handed over where it lies: make it contiguous first")
        expected *= size
    return Given(kind, tuple(shape), address, n * itemsize, keep)


def _by_interface(interface: Dict[str, Any], value: Any) -> Given:
    dtype = np.dtype(interface["typestr"])
    if interface.get("mask") is not None:
        raise ValueError("a masked array cannot be sent")
    kind = _dtypes.to_send(np.empty(0, dtype), None)[0]
    strides = interface.get("strides")
    return _given(kind, dtype.itemsize, interface["shape"], strides and [n / dtype.itemsize for n in strides],
                  interface["data"][0] or 0, value)


def _by_dlpack(value: Any) -> Given:
    capsule = value.__dlpack__()
    tensor = ctypes.cast(_api.PyCapsule_GetPointer(capsule, _NAME), POINTER(_Managed)).contents.tensor
    code, bits = tensor.dtype.code, tensor.dtype.bits
    kind = {(_BFLOAT, 16): "bf16", (_BOOL, 8): "bool"}.get((code, bits))
    if kind is None and tensor.dtype.lanes == 1 and code in (_INT, _UINT, _FLOAT):
        kind = {_INT: "i", _UINT: "u", _FLOAT: "f"}[code] + str(bits)
    if kind is None or tensor.dtype.lanes != 1:
        raise ValueError(f"a tensor of DLPack's type {code} with {bits} bits cannot be sent")
    shape = [tensor.shape[i] for i in range(tensor.rank)]
    strides = [tensor.strides[i] for i in range(tensor.rank)] if tensor.strides else None
    return _given(kind, _dtypes.numpy_of(kind).itemsize, shape, strides, (tensor.data or 0) + tensor.byte_offset,
                  (capsule, value))


# --- Ours -------------------------------------------------------------------------------------
# What capsules point to, with what has to live as long: until their deleter is called, which may be on any thread.
_lent: Dict[int, Tuple[_Managed, Any, object]] = {}


def _forget(managed: Any) -> None:
    _lent.pop(ctypes.addressof(managed.contents), None)


def _end_capsule(capsule: int) -> None:
    """Of one that nobody took: who does renames it."""
    if _is_valid(capsule, _NAME):
        _lent.pop(_pointer_of(capsule, _NAME), None)


_delete, _end = _Deleter(_forget), _Destructor(_end_capsule)


def capsule(kind: str, shape: Tuple[int, ...], address: int, gpu: int, keep: object) -> Any:
    dims = (c_int64 * max(1, len(shape)))(*shape)
    code = {"bf16": _BFLOAT, "bool": _BOOL}.get(kind, {"i": _INT, "u": _UINT, "f": _FLOAT}.get(kind[0], _FLOAT))
    bits = _dtypes.numpy_of(kind).itemsize * 8
    managed = _Managed(_Tensor(address, _Device(CUDA, gpu), len(shape), _Type(code, bits, 1),
                               ctypes.cast(dims, POINTER(c_int64)), None, 0), None, _delete)
    _lent[ctypes.addressof(managed)] = (managed, dims, keep)
    return _api.PyCapsule_New(ctypes.addressof(managed), _NAME, _end)
