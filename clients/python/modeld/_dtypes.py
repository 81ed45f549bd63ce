"""Element types: modeld's short names and numbers (proto/dtype.h) and numpy's dtypes."""
from __future__ import annotations

import struct
from typing import Any, Optional, Tuple, Union

import numpy as np

from .errors import DecodeError

# name -> (number on the wire, numpy dtype). bf16 has none in numpy: it travels as uint16.
_TYPES = {
    "bool": (1, np.dtype(np.bool_)), "u8": (2, np.dtype(np.uint8)), "u16": (3, np.dtype(np.uint16)),
    "u32": (4, np.dtype(np.uint32)), "u64": (5, np.dtype(np.uint64)), "i8": (6, np.dtype(np.int8)),
    "i16": (7, np.dtype(np.int16)), "i32": (8, np.dtype(np.int32)), "i64": (9, np.dtype(np.int64)),
    "f16": (10, np.dtype(np.float16)), "bf16": (11, np.dtype(np.uint16)), "f32": (12, np.dtype(np.float32)),
    "f64": (13, np.dtype(np.float64)), "bytes": (14, np.dtype(object)),
}
# KServe's names of them.
_KSERVE = {"bool": "BOOL", "u8": "UINT8", "u16": "UINT16", "u32": "UINT32", "u64": "UINT64", "i8": "INT8", "i16": "INT16",
           "i32": "INT32", "i64": "INT64", "f16": "FP16", "bf16": "BF16", "f32": "FP32", "f64": "FP64", "bytes": "BYTES"}
_BY_KSERVE = {kserve: name for name, kserve in _KSERVE.items()}
_BY_NUMBER = {number: name for name, (number, _) in _TYPES.items()}
_BY_NUMPY = {dtype: name for name, (_, dtype) in _TYPES.items() if name != "bf16"}


def _own_name(array: np.ndarray) -> str:
    """modeld's name for the elements that an array has."""
    if array.dtype.kind in "OSU":
        return "bytes"
    if array.dtype.name == "bfloat16":  # of ml_dtypes
        return "bf16"
    native = array.dtype.newbyteorder("=")
    if native not in _BY_NUMPY:
        raise ValueError(f"arrays of {array.dtype} cannot be sent; known: {', '.join(_TYPES)}")
    return _BY_NUMPY[native]


def _converted(array: np.ndarray, own: str, wanted: str) -> np.ndarray:
    """The same values as elements of another type, where numpy calls that safe."""
    if wanted == "bf16" and own == "u16":
        return array  # numpy has no bfloat16: its bits are handed over like this
    if "bytes" in (own, wanted) or "bf16" in (own, wanted) or not np.can_cast(array.dtype, _TYPES[wanted][1], "safe"):
        raise ValueError(f"an array of {array.dtype} is not sent as {wanted}: values might change; "
                         "convert it yourself with astype()")
    return array.astype(_TYPES[wanted][1])


def to_send(value: Any, dtype: Optional[str]) -> Tuple[str, np.ndarray]:
    """(modeld's name, array in this machine's byte order) of what is to be sent, as `dtype` if that is not None."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError("a masked array cannot be sent: fill it with filled() first")
    array = np.asarray(value)
    if dtype is not None and dtype not in _TYPES:
        raise ValueError(f"unknown dtype {dtype!r}; known: {', '.join(_TYPES)}")
    own = _own_name(array)
    if dtype is not None and dtype != own:
        array = _converted(array, own, dtype)
    if array.dtype.kind not in "OSU" and not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return dtype or own, array


def number_of(name: str) -> int:
    return _TYPES[name][0]


def name_of_number(number: int) -> str:
    if number not in _BY_NUMBER:
        raise DecodeError(f"unknown dtype {number}")
    return _BY_NUMBER[number]


def kserve_name(name: str) -> str:
    return _KSERVE[name]


def name_of_kserve(kserve: str) -> str:
    if kserve not in _BY_KSERVE:
        raise DecodeError(f"unknown dtype {kserve!r}")
    return _BY_KSERVE[kserve]


def numpy_of(name: str) -> np.dtype:
    if name not in _TYPES:
        raise DecodeError(f"unknown dtype {name!r}")
    return _TYPES[name][1]


def pack_bytes(array: np.ndarray) -> bytes:
    """Strings or bytes -> length-prefixed elements."""
    out = []
    for i, element in enumerate(array.reshape(-1)):
        if not isinstance(element, (str, bytes)):
            raise ValueError(f"element {i} of an array of objects is {type(element).__name__}, neither str nor bytes")
        data = element.encode() if isinstance(element, str) else element
        out.append(struct.pack("<I", len(data)) + data)
    return b"".join(out)


def contents(kind: str, array: np.ndarray) -> Union[bytes, memoryview]:
    """A tensor's bytes, as messages carry them: where they lie, if they lie in a row."""
    return pack_bytes(array) if kind == "bytes" else np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def unpack_bytes(data: memoryview, shape: Tuple[int, ...]) -> np.ndarray:
    out, at = [], 0
    while at < len(data):
        if len(data) - at < 4:
            raise DecodeError("a bytes tensor that ends within a length")
        n = int.from_bytes(data[at:at + 4], "little")
        at += 4
        if n > len(data) - at:
            raise DecodeError("a bytes tensor that ends within an element")
        out.append(bytes(data[at:at + n]))
        at += n
    array = np.empty(len(out), object)
    array[:] = out
    return shaped(array, shape)


def check_shape(shape: Tuple[int, ...]) -> None:
    """numpy has arrays of 64 dimensions, or of 32."""
    if len(shape) > 32 or any(n < 0 for n in shape):
        raise DecodeError(f"a tensor of the shape {list(shape)}")


def n_elements(nbytes: int, name: str) -> int:
    size = numpy_of(name).itemsize
    if nbytes % size:
        raise DecodeError(f"{nbytes} bytes of {name}")
    return nbytes // size


def shaped(array: np.ndarray, shape: Tuple[int, ...]) -> np.ndarray:
    """Elements that came, in the shape that was said of them."""
    check_shape(shape)
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError):
        raise DecodeError(f"{array.size} elements as a tensor of the shape {list(shape)}") from None


def from_memory(data: memoryview, name: str, shape: Tuple[int, ...]) -> np.ndarray:
    """An array over `data`, not copied (bytes tensors are)."""
    if name == "bytes":
        return unpack_bytes(data, shape)
    n_elements(len(data), name)
    return shaped(np.frombuffer(data, numpy_of(name)), shape)
