"""The few pieces of protobuf that the client needs, so that it depends on numpy and grpcio alone.

Encoding: functions that return bytes. Decoding: fields(data) yields (number, value) with value an int
(varint, fixed) or a memoryview (length-delimited).
"""
from __future__ import annotations

from typing import Iterable, Iterator, Mapping, Tuple, Union

from .errors import ModeldError

Value = Union[int, memoryview]


class DecodeError(ModeldError):
    """The daemon sent something that is no protobuf message, or not the one that was due."""

    def __init__(self, what: str) -> None:
        super().__init__("INTERNAL", f"the daemon's answer is malformed: {what}")


# Most numbers are small.
_ONE_BYTE = [bytes([n]) for n in range(0x80)]


def varint(n: int) -> bytes:
    if 0 <= n < 0x80:
        return _ONE_BYTE[n]
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value) if value else b""


def delimited(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + bytes(data)


def text(number: int, value: str) -> bytes:
    return delimited(number, value.encode()) if value else b""


def packed(number: int, values: Iterable[int]) -> bytes:
    data = b"".join(varint(v) for v in values)
    return delimited(number, data) if data else b""


def string_map(number: int, values: Mapping[str, str]) -> bytes:
    return b"".join(delimited(number, text(1, k) + text(2, v)) for k, v in values.items())


def read_varint(data: memoryview, at: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise DecodeError("malformed varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7


def fields(data: Union[bytes, memoryview]) -> Iterator[Tuple[int, Value]]:
    view = memoryview(data)
    end = len(view)
    at = 0
    while at < end:
        key = view[at]
        at += 1
        if key >= 0x80:
            key, at = read_varint(view, at - 1)
        kind = key & 7
        if kind in (0, 2):
            n = view[at] if at < end else 0x80
            at += 1
            if n >= 0x80:
                n, at = read_varint(view, at - 1)
            if kind == 0:
                yield key >> 3, n
                continue
        elif kind in (1, 5):
            n = 8 if kind == 1 else 4
        else:
            raise DecodeError(f"wire type {kind}")
        if n > end - at:
            raise DecodeError("truncated field")
        chunk = view[at:at + n]
        at += n
        yield key >> 3, chunk if kind == 2 else int.from_bytes(chunk, "little")


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def integers(value: Value) -> Iterator[int]:
    """A repeated integer field: packed or one element."""
    if isinstance(value, int):
        yield signed(value)
        return
    at = 0
    while at < len(value):
        n, at = read_varint(value, at)
        yield signed(n)


def string(value: Value) -> str:
    if isinstance(value, int):
        raise DecodeError("a string was expected")
    return bytes(value).decode("utf-8", "replace")


def number(value: Value) -> int:
    if not isinstance(value, int):
        raise DecodeError("a number was expected")
    return value


def chunk(value: Value) -> memoryview:
    if isinstance(value, int):
        raise DecodeError("bytes were expected")
    return value
