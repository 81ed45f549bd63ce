# Written by clients/python/generate_messages.py from proto/*.proto: change those.
"""Messages, each with what the client does with it. pack() gives the bytes. unpack() takes them, passes over what is not known
here, and raises DecodeError where they are no message; where a field that is no list comes again, the last one counts; bytes
are views of the message."""
from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

from .errors import DecodeError

Data = Union[bytes, memoryview]
M = TypeVar("M", bound="Message")
# Most numbers are small.
_ONE = [bytes([n]) for n in range(0x80)]


def _varint(n: int) -> bytes:
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _varints(values: Sequence[int]) -> bytes:
    return b"".join([_ONE[v] if 0 <= v < 0x80 else _varint(v) for v in values])


def _head(tag: bytes, n: int) -> bytes:
    """A number, or what is ahead of n bytes."""
    return tag + (_ONE[n] if 0 <= n < 0x80 else _varint(n))


def _text(tag: bytes, value: str) -> bytes:
    data = value.encode()
    return _head(tag, len(data)) + data


def _message(out: List[Data], tag: bytes, message: Message) -> None:
    parts = message._parts()
    out.append(_head(tag, sum(map(len, parts))))
    out += parts


def _messages(out: List[Data], tag: bytes, messages: Sequence[Message]) -> None:
    for message in messages:
        _message(out, tag, message)


def _read_varint(data: bytes, at: int) -> Tuple[int, int]:
    """The number that begins at `at`, and where it ends. IndexError at the end of the data."""
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7
    raise DecodeError("malformed varint")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _read_integers(data: bytes, at: int, stop: int) -> List[int]:
    values = []
    while at < stop:
        value, at = _read_varint(data, at)
        values.append(_signed(value))
    if at != stop:
        raise DecodeError("truncated field")
    return values


def _after_fixed(kind: int, at: int) -> int:
    """Where a field that is neither varint nor delimited ends."""
    if kind not in (1, 5):
        raise DecodeError(f"wire type {kind}")
    return at + (8 if kind == 1 else 4)


def _filled(message: M, data: bytes, at: int, end: int) -> M:
    message._read(data, at, end)
    return message


class Message:
    __slots__: Sequence[str] = ()

    def _parts(self) -> List[Data]:
        """The bytes, in pieces; those of tensors are the caller's own."""
        raise NotImplementedError

    def pack(self) -> bytes:
        return b"".join(self._parts())

    def _read(self, data: bytes, at: int, end: int) -> None:
        """What lies there. IndexError: it goes on behind the data's end."""
        raise NotImplementedError

    @classmethod
    def unpack(cls: Type[M], data: bytes) -> M:
        try:
            return _filled(cls(), data, 0, len(data))
        except IndexError:
            raise DecodeError("truncated field") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{f}={getattr(self, f)!r}' for f in self.__slots__)})"


class GetLimits(Message):
    __slots__ = ()

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        return out


class Register(Message):
    __slots__ = ("size", "read_only", "device")

    def __init__(self, size: int = 0, read_only: bool = False, device: str = "") -> None:
        self.size = size
        self.read_only = read_only
        self.device = device

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.size:
            out.append(_head(b'\x08', self.size))
        if self.read_only:
            out.append(_head(b'\x10', self.read_only))
        if self.device:
            out.append(_text(b'\x1a', self.device))
        return out


class Allocate(Message):
    __slots__ = ("size",)

    def __init__(self, size: int = 0) -> None:
        self.size = size

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.size:
            out.append(_head(b'\x08', self.size))
        return out


class Unregister(Message):
    __slots__ = ("region",)

    def __init__(self, region: Data = b"") -> None:
        self.region = region

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.region:
            out += _head(b'\n', len(self.region)), self.region
        return out


class Tensor(Message):
    __slots__ = ("name", "dtype", "dims", "region", "offset", "length", "data")

    def __init__(self, name: str = "", dtype: int = 0, dims: Sequence[int] = (), region: int = 0,
                 offset: int = 0, length: int = 0, data: Data = b"") -> None:
        self.name = name
        self.dtype = dtype
        self.dims = dims
        self.region = region
        self.offset = offset
        self.length = length
        self.data = data

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.name:
            out.append(_text(b'\n', self.name))
        if self.dtype:
            out.append(_head(b'\x10', self.dtype))
        if self.dims:
            packed = _varints(self.dims)
            out += _head(b'\x1a', len(packed)), packed
        if self.region:
            out.append(_head(b' ', self.region))
        if self.offset:
            out.append(_head(b'(', self.offset))
        if self.length:
            out.append(_head(b'0', self.length))
        if self.data:
            out += _head(b':', len(self.data)), self.data
        return out

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_dims: List[int] = []
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 10:
                    self.name = data[at:stop].decode("utf-8", "replace")
                elif tag == 26:
                    new_dims += _read_integers(data, at, stop)
                elif tag == 58:
                    self.data = memoryview(data)[at:stop]
                at = stop
            elif tag == 16:
                self.dtype = n
            elif tag == 24:
                new_dims.append(_signed(n))
            elif tag == 32:
                self.region = n
            elif tag == 40:
                self.offset = n
            elif tag == 48:
                self.length = n
        if at != end:
            raise DecodeError("truncated field")
        self.dims = new_dims


class Target(Message):
    __slots__ = ("name", "region", "offset", "length")

    def __init__(self, name: str = "", region: int = 0, offset: int = 0, length: int = 0) -> None:
        self.name = name
        self.region = region
        self.offset = offset
        self.length = length

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.name:
            out.append(_text(b'\n', self.name))
        if self.region:
            out.append(_head(b'\x10', self.region))
        if self.offset:
            out.append(_head(b'\x18', self.offset))
        if self.length:
            out.append(_head(b' ', self.length))
        return out


class Parameter(Message):
    __slots__ = ("key", "value")

    def __init__(self, key: str = "", value: str = "") -> None:
        self.key = key
        self.value = value

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.key:
            out.append(_text(b'\n', self.key))
        if self.value:
            out.append(_text(b'\x12', self.value))
        return out


class Infer(Message):
    __slots__ = ("model", "inputs", "targets", "outputs", "timeout_us", "parameters", "make_room",
                 "partial", "traceparent", "tracestate")

    def __init__(self, model: str = "", inputs: Sequence[Tensor] = (), targets: Sequence[Target] = (),
                 outputs: Sequence[str] = (), timeout_us: int = 0, parameters: Sequence[Parameter] = (),
                 make_room: bool = False, partial: bool = False, traceparent: str = "", tracestate: str = "") -> None:
        self.model = model
        self.inputs = inputs
        self.targets = targets
        self.outputs = outputs
        self.timeout_us = timeout_us
        self.parameters = parameters
        self.make_room = make_room
        self.partial = partial
        self.traceparent = traceparent
        self.tracestate = tracestate

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.model:
            out.append(_text(b'\n', self.model))
        _messages(out, b'\x12', self.inputs)
        _messages(out, b'\x1a', self.targets)
        out += [_text(b'"', text) for text in self.outputs]
        if self.timeout_us:
            out.append(_head(b'(', self.timeout_us))
        _messages(out, b'2', self.parameters)
        if self.make_room:
            out.append(_head(b'8', self.make_room))
        if self.partial:
            out.append(_head(b'@', self.partial))
        if self.traceparent:
            out.append(_text(b'J', self.traceparent))
        if self.tracestate:
            out.append(_text(b'R', self.tracestate))
        return out


class Cancel(Message):
    __slots__ = ("of",)

    def __init__(self, of: int = 0) -> None:
        self.of = of

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.of:
            out.append(_head(b'\x08', self.of))
        return out


class Limits(Message):
    __slots__ = ("protocol", "total_bytes", "total_used_bytes", "user_bytes", "user_used_bytes",
                 "user_regions", "user_used_regions", "max_inline_bytes", "max_requests", "busy_poll_us",
                 "user_device_bytes", "user_device_used_bytes")

    def __init__(self, protocol: int = 0, total_bytes: int = 0, total_used_bytes: int = 0, user_bytes: int = 0,
                 user_used_bytes: int = 0, user_regions: int = 0, user_used_regions: int = 0,
                 max_inline_bytes: int = 0, max_requests: int = 0, busy_poll_us: int = 0,
                 user_device_bytes: int = 0, user_device_used_bytes: int = 0) -> None:
        self.protocol = protocol
        self.total_bytes = total_bytes
        self.total_used_bytes = total_used_bytes
        self.user_bytes = user_bytes
        self.user_used_bytes = user_used_bytes
        self.user_regions = user_regions
        self.user_used_regions = user_used_regions
        self.max_inline_bytes = max_inline_bytes
        self.max_requests = max_requests
        self.busy_poll_us = busy_poll_us
        self.user_device_bytes = user_device_bytes
        self.user_device_used_bytes = user_device_used_bytes

    def _read(self, data: bytes, at: int, end: int) -> None:
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                at = stop
            elif tag == 8:
                self.protocol = n
            elif tag == 16:
                self.total_bytes = n
            elif tag == 24:
                self.total_used_bytes = n
            elif tag == 32:
                self.user_bytes = n
            elif tag == 40:
                self.user_used_bytes = n
            elif tag == 48:
                self.user_regions = n
            elif tag == 56:
                self.user_used_regions = n
            elif tag == 64:
                self.max_inline_bytes = n
            elif tag == 72:
                self.max_requests = n
            elif tag == 80:
                self.busy_poll_us = n
            elif tag == 88:
                self.user_device_bytes = n
            elif tag == 96:
                self.user_device_used_bytes = n
        if at != end:
            raise DecodeError("truncated field")


class Registered(Message):
    __slots__ = ("region", "number", "size")

    def __init__(self, region: Data = b"", number: int = 0, size: int = 0) -> None:
        self.region = region
        self.number = number
        self.size = size

    def _read(self, data: bytes, at: int, end: int) -> None:
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 10:
                    self.region = memoryview(data)[at:stop]
                at = stop
            elif tag == 16:
                self.number = n
            elif tag == 24:
                self.size = n
        if at != end:
            raise DecodeError("truncated field")


class Unregistered(Message):
    __slots__ = ()

    def _read(self, data: bytes, at: int, end: int) -> None:
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                at = stop
        if at != end:
            raise DecodeError("truncated field")


class Inferred(Message):
    __slots__ = ("outputs", "queue_ns", "compute_ns", "total_ns", "batch_requests", "worker", "room", "more")

    def __init__(self, outputs: Sequence[Tensor] = (), queue_ns: int = 0, compute_ns: int = 0, total_ns: int = 0,
                 batch_requests: int = 0, worker: str = "", room: Sequence[Registered] = (),
                 more: bool = False) -> None:
        self.outputs = outputs
        self.queue_ns = queue_ns
        self.compute_ns = compute_ns
        self.total_ns = total_ns
        self.batch_requests = batch_requests
        self.worker = worker
        self.room = room
        self.more = more

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_outputs: List[Tensor] = []
        new_room: List[Registered] = []
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 10:
                    new_outputs.append(_filled(Tensor(), data, at, stop))
                elif tag == 50:
                    self.worker = data[at:stop].decode("utf-8", "replace")
                elif tag == 58:
                    new_room.append(_filled(Registered(), data, at, stop))
                at = stop
            elif tag == 16:
                self.queue_ns = n
            elif tag == 24:
                self.compute_ns = n
            elif tag == 32:
                self.total_ns = n
            elif tag == 40:
                self.batch_requests = n
            elif tag == 64:
                self.more = n > 0
        if at != end:
            raise DecodeError("truncated field")
        self.outputs = new_outputs
        self.room = new_room


class Error(Message):
    __slots__ = ("code", "message", "outputs")

    def __init__(self, code: int = 0, message: str = "", outputs: Sequence[Tensor] = ()) -> None:
        self.code = code
        self.message = message
        self.outputs = outputs

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_outputs: List[Tensor] = []
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 18:
                    self.message = data[at:stop].decode("utf-8", "replace")
                elif tag == 26:
                    new_outputs.append(_filled(Tensor(), data, at, stop))
                at = stop
            elif tag == 8:
                self.code = n
        if at != end:
            raise DecodeError("truncated field")
        self.outputs = new_outputs


class Envelope(Message):
    __slots__ = ("seq", "body")

    def __init__(self, seq: int = 0, body: EnvelopeBody = None) -> None:
        self.seq = seq
        self.body = body

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.seq:
            out.append(_head(b'\x08', self.seq))
        if self.body is not None:
            _message(out, _ENVELOPE_BODY[type(self.body)], self.body)
        return out

    def _read(self, data: bytes, at: int, end: int) -> None:
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 66:
                    self.body = _filled(Limits(), data, at, stop)
                elif tag == 74:
                    self.body = _filled(Registered(), data, at, stop)
                elif tag == 82:
                    self.body = _filled(Unregistered(), data, at, stop)
                elif tag == 90:
                    self.body = _filled(Inferred(), data, at, stop)
                elif tag == 98:
                    self.body = _filled(Error(), data, at, stop)
                at = stop
            elif tag == 8:
                self.seq = n
        if at != end:
            raise DecodeError("truncated field")


class InferRequestParametersEntry(Message):
    __slots__ = ("key", "value")

    def __init__(self, key: str = "", value: str = "") -> None:
        self.key = key
        self.value = value

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.key:
            out.append(_text(b'\n', self.key))
        if self.value:
            out.append(_text(b'\x12', self.value))
        return out


class InferRequest(Message):
    __slots__ = ("model_id", "tensor_data", "parameters")

    def __init__(self, model_id: str = "", tensor_data: Optional[TensorData] = None,
                 parameters: Mapping[str, str] = {}) -> None:
        self.model_id = model_id
        self.tensor_data = tensor_data
        self.parameters = parameters

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.model_id:
            out.append(_text(b'\n', self.model_id))
        if self.tensor_data is not None:
            _message(out, b'\x1a', self.tensor_data)
        for key, value in self.parameters.items():
            _message(out, b'"', InferRequestParametersEntry(key, value))
        return out


class InferResponseMetadataEntry(Message):
    __slots__ = ("key", "value")

    def __init__(self, key: str = "", value: str = "") -> None:
        self.key = key
        self.value = value

    def _read(self, data: bytes, at: int, end: int) -> None:
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 10:
                    self.key = data[at:stop].decode("utf-8", "replace")
                elif tag == 18:
                    self.value = data[at:stop].decode("utf-8", "replace")
                at = stop
        if at != end:
            raise DecodeError("truncated field")


class InferResponse(Message):
    __slots__ = ("tensor_data", "metadata")

    def __init__(self, tensor_data: Optional[TensorData] = None, metadata: Mapping[str, str] = {}) -> None:
        self.tensor_data = tensor_data
        self.metadata = metadata

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_metadata: Dict[str, str] = {}
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 26:
                    self.tensor_data = _filled(TensorData(), data, at, stop)
                elif tag == 42:
                    entry = _filled(InferResponseMetadataEntry(), data, at, stop)
                    new_metadata[entry.key] = entry.value
                at = stop
        if at != end:
            raise DecodeError("truncated field")
        self.metadata = new_metadata


class TensorData(Message):
    __slots__ = ("data", "shape", "dtype")

    def __init__(self, data: Data = b"", shape: Sequence[int] = (), dtype: str = "") -> None:
        self.data = data
        self.shape = shape
        self.dtype = dtype

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.data:
            out += _head(b'\n', len(self.data)), self.data
        if self.shape:
            packed = _varints(self.shape)
            out += _head(b'\x12', len(packed)), packed
        if self.dtype:
            out.append(_text(b'\x1a', self.dtype))
        return out

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_shape: List[int] = []
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 10:
                    self.data = memoryview(data)[at:stop]
                elif tag == 18:
                    new_shape += _read_integers(data, at, stop)
                elif tag == 26:
                    self.dtype = data[at:stop].decode("utf-8", "replace")
                at = stop
            elif tag == 16:
                new_shape.append(_signed(n))
        if at != end:
            raise DecodeError("truncated field")
        self.shape = new_shape


class ServerStatusRequest(Message):
    __slots__ = ()

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        return out


class ModelStatus(Message):
    __slots__ = ("name", "version", "backend", "state", "detail", "max_batch_size", "inputs", "outputs")

    def __init__(self, name: str = "", version: str = "", backend: str = "", state: str = "", detail: str = "",
                 max_batch_size: int = 0, inputs: Sequence[TensorStatus] = (),
                 outputs: Sequence[TensorStatus] = ()) -> None:
        self.name = name
        self.version = version
        self.backend = backend
        self.state = state
        self.detail = detail
        self.max_batch_size = max_batch_size
        self.inputs = inputs
        self.outputs = outputs

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_inputs: List[TensorStatus] = []
        new_outputs: List[TensorStatus] = []
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 10:
                    self.name = data[at:stop].decode("utf-8", "replace")
                elif tag == 18:
                    self.version = data[at:stop].decode("utf-8", "replace")
                elif tag == 26:
                    self.backend = data[at:stop].decode("utf-8", "replace")
                elif tag == 34:
                    self.state = data[at:stop].decode("utf-8", "replace")
                elif tag == 42:
                    self.detail = data[at:stop].decode("utf-8", "replace")
                elif tag == 106:
                    new_inputs.append(_filled(TensorStatus(), data, at, stop))
                elif tag == 114:
                    new_outputs.append(_filled(TensorStatus(), data, at, stop))
                at = stop
            elif tag == 56:
                self.max_batch_size = n
        if at != end:
            raise DecodeError("truncated field")
        self.inputs = new_inputs
        self.outputs = new_outputs


class TensorStatus(Message):
    __slots__ = ("name", "dtype", "dims", "any_shape")

    def __init__(self, name: str = "", dtype: str = "", dims: Sequence[int] = (), any_shape: bool = False) -> None:
        self.name = name
        self.dtype = dtype
        self.dims = dims
        self.any_shape = any_shape

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_dims: List[int] = []
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 10:
                    self.name = data[at:stop].decode("utf-8", "replace")
                elif tag == 18:
                    self.dtype = data[at:stop].decode("utf-8", "replace")
                elif tag == 26:
                    new_dims += _read_integers(data, at, stop)
                at = stop
            elif tag == 24:
                new_dims.append(_signed(n))
            elif tag == 32:
                self.any_shape = n > 0
        if at != end:
            raise DecodeError("truncated field")
        self.dims = new_dims


class ServerStatusResponse(Message):
    __slots__ = ("models", "default_model")

    def __init__(self, models: Sequence[ModelStatus] = (), default_model: str = "") -> None:
        self.models = models
        self.default_model = default_model

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_models: List[ModelStatus] = []
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 50:
                    new_models.append(_filled(ModelStatus(), data, at, stop))
                elif tag == 114:
                    self.default_model = data[at:stop].decode("utf-8", "replace")
                at = stop
        if at != end:
            raise DecodeError("truncated field")
        self.models = new_models


class HealthCheckRequest(Message):
    __slots__ = ("service",)

    def __init__(self, service: str = "") -> None:
        self.service = service

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.service:
            out.append(_text(b'\n', self.service))
        return out


class HealthCheckResponse(Message):
    __slots__ = ("status",)
    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3

    def __init__(self, status: int = 0) -> None:
        self.status = status

    def _read(self, data: bytes, at: int, end: int) -> None:
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                at = stop
            elif tag == 8:
                self.status = n
        if at != end:
            raise DecodeError("truncated field")


class InferParameter(Message):
    __slots__ = ("string_param",)

    def __init__(self, string_param: Optional[str] = None) -> None:
        self.string_param = string_param

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.string_param is not None:
            out.append(_text(b'\x1a', self.string_param))
        return out


class ModelInferRequestParametersEntry(Message):
    __slots__ = ("key", "value")

    def __init__(self, key: str = "", value: Optional[InferParameter] = None) -> None:
        self.key = key
        self.value = value

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.key:
            out.append(_text(b'\n', self.key))
        if self.value is not None:
            _message(out, b'\x12', self.value)
        return out


class ModelInferRequest(Message):
    __slots__ = ("model_name", "model_version", "parameters", "inputs", "outputs", "raw_input_contents")

    def __init__(self, model_name: str = "", model_version: str = "",
                 parameters: Mapping[str, InferParameter] = {}, inputs: Sequence[InferInputTensor] = (),
                 outputs: Sequence[InferRequestedOutputTensor] = (), raw_input_contents: Sequence[Data] = ()) -> None:
        self.model_name = model_name
        self.model_version = model_version
        self.parameters = parameters
        self.inputs = inputs
        self.outputs = outputs
        self.raw_input_contents = raw_input_contents

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.model_name:
            out.append(_text(b'\n', self.model_name))
        if self.model_version:
            out.append(_text(b'\x12', self.model_version))
        for key, value in self.parameters.items():
            _message(out, b'"', ModelInferRequestParametersEntry(key, value))
        _messages(out, b'*', self.inputs)
        _messages(out, b'2', self.outputs)
        for chunk in self.raw_input_contents:
            out += _head(b':', len(chunk)), chunk
        return out


class InferInputTensor(Message):
    __slots__ = ("name", "datatype", "shape")

    def __init__(self, name: str = "", datatype: str = "", shape: Sequence[int] = ()) -> None:
        self.name = name
        self.datatype = datatype
        self.shape = shape

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.name:
            out.append(_text(b'\n', self.name))
        if self.datatype:
            out.append(_text(b'\x12', self.datatype))
        if self.shape:
            packed = _varints(self.shape)
            out += _head(b'\x1a', len(packed)), packed
        return out


class InferRequestedOutputTensor(Message):
    __slots__ = ("name",)

    def __init__(self, name: str = "") -> None:
        self.name = name

    def _parts(self) -> List[Data]:
        out: List[Data] = []
        if self.name:
            out.append(_text(b'\n', self.name))
        return out


class ModelInferResponse(Message):
    __slots__ = ("outputs", "raw_output_contents")

    def __init__(self, outputs: Sequence[InferOutputTensor] = (), raw_output_contents: Sequence[Data] = ()) -> None:
        self.outputs = outputs
        self.raw_output_contents = raw_output_contents

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_outputs: List[InferOutputTensor] = []
        new_raw_output_contents: List[Data] = []
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 42:
                    new_outputs.append(_filled(InferOutputTensor(), data, at, stop))
                elif tag == 50:
                    new_raw_output_contents.append(memoryview(data)[at:stop])
                at = stop
        if at != end:
            raise DecodeError("truncated field")
        self.outputs = new_outputs
        self.raw_output_contents = new_raw_output_contents


class InferOutputTensor(Message):
    __slots__ = ("name", "datatype", "shape")

    def __init__(self, name: str = "", datatype: str = "", shape: Sequence[int] = ()) -> None:
        self.name = name
        self.datatype = datatype
        self.shape = shape

    def _read(self, data: bytes, at: int, end: int) -> None:
        new_shape: List[int] = []
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 10:
                    self.name = data[at:stop].decode("utf-8", "replace")
                elif tag == 18:
                    self.datatype = data[at:stop].decode("utf-8", "replace")
                elif tag == 26:
                    new_shape += _read_integers(data, at, stop)
                at = stop
            elif tag == 24:
                new_shape.append(_signed(n))
        if at != end:
            raise DecodeError("truncated field")
        self.shape = new_shape


class ModelStreamInferResponse(Message):
    __slots__ = ("error_message", "infer_response")

    def __init__(self, error_message: str = "", infer_response: Optional[ModelInferResponse] = None) -> None:
        self.error_message = error_message
        self.infer_response = infer_response

    def _read(self, data: bytes, at: int, end: int) -> None:
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = _read_varint(data, at - 1)
            kind = tag & 7
            if kind & 5:
                at = _after_fixed(kind, at)
                continue
            n = data[at]
            at += 1
            if n > 0x7F:
                n, at = _read_varint(data, at - 1)
            if kind:
                stop = at + n
                if stop > end:
                    raise DecodeError("truncated field")
                if tag == 10:
                    self.error_message = data[at:stop].decode("utf-8", "replace")
                elif tag == 18:
                    self.infer_response = _filled(ModelInferResponse(), data, at, stop)
                at = stop
        if at != end:
            raise DecodeError("truncated field")


EnvelopeBody = Union[GetLimits, Register, Allocate, Unregister, Infer, Cancel, Limits, Registered,
                     Unregistered, Inferred, Error, None]
_ENVELOPE_BODY: Dict[type, bytes] = {GetLimits: b'\x12', Register: b'\x1a', Allocate: b'"',
                                     Unregister: b'*', Infer: b'2', Cancel: b':'}
