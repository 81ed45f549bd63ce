"""Element types: the wire's numbers, modeld's names, numpy's dtypes; and tensors of bytes."""
import struct

import numpy as np

BF16, BYTES = 11, 14
NAMES = ["any", "bool", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64", "bytes"]
# bf16 has none in numpy: its bits are uint16.
NUMPY = [None] + [np.dtype(t) for t in ("?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "u2", "f4", "f8", "O")]
SIZES = [0] + [0 if t == np.dtype("O") else t.itemsize for t in NUMPY[1:]]
_LONG = {"uint8": 2, "uint16": 3, "uint32": 4, "uint64": 5, "int8": 6, "int16": 7, "int32": 8, "int64": 9, "float16": 10,
         "bfloat16": 11, "float32": 12, "float64": 13, "string": 14, "str": 14, "object": 14}
_TRITON = {"BOOL": 1, "UINT8": 2, "UINT16": 3, "UINT32": 4, "UINT64": 5, "INT8": 6, "INT16": 7, "INT32": 8, "INT64": 9,
           "FP16": 10, "BF16": 11, "FP32": 12, "FP64": 13, "STRING": 14, "BYTES": 14}
_BY_NAME = {**{name: i for i, name in enumerate(NAMES)}, **_LONG, **_TRITON}
_BY_NUMPY = {t: i for i, t in reversed(list(enumerate(NUMPY))) if t is not None and i != BF16}


def parse(name):
    """The number of a dtype by any of its names ("f32", "float32", "TYPE_FP32"); ValueError."""
    number = _BY_NAME.get(name[5:] if name.startswith("TYPE_") else name)
    if number is None:
        raise ValueError(f"'{name}' is no dtype; there are {', '.join(NAMES)}")
    return number


def of_numpy(dtype):
    """The number for elements of a numpy dtype; 0: there is none."""
    number = _BY_NUMPY.get(dtype)
    if number is None:
        if dtype.kind in "SUT":
            return BYTES
        if dtype.name == "bfloat16":  # of ml_dtypes
            return BF16
        number = _BY_NUMPY.get(dtype.newbyteorder("="), 0)
    return number


def pack_bytes(array):
    """Strings or bytes as length-prefixed elements. TypeError where an element is neither."""
    out = []
    for element in array.reshape(-1).tolist():
        data = element.encode() if isinstance(element, str) else element
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"an element is {type(element).__name__}, neither str nor bytes")
        if type(data) is not bytes:
            data = bytes(memoryview(data))  # whatever its own length counts
        out.append(struct.pack("<I", len(data)))
        out.append(data)
    return b"".join(out)


def unpack_bytes(data, shape):
    """An array of bytes objects; ValueError where the elements do not add up. Reads `data` once."""
    data = bytes(data)  # of a region, which its client may change meanwhile
    elements, at, end = [], 0, len(data)
    while at < end:
        if end - at < 4:
            raise ValueError("malformed bytes tensor: its end is cut off")
        n = int.from_bytes(data[at:at + 4], "little")
        at += 4
        if n > end - at:
            raise ValueError("malformed bytes tensor: an element is longer than what is left")
        elements.append(data[at:at + n])
        at += n
    count = 1
    for dim in shape:
        count *= dim
    if len(elements) != count:
        raise ValueError(f"malformed bytes tensor: {len(elements)} elements, its shape asks for {count}")
    array = np.empty(count, object)
    array[:] = elements
    return array.reshape(shape)
