"""The messages between daemon and worker (proto/wire.proto), read and written by tables: which fields a message has,
and what is allowed in them. Needs no protobuf. docs/protocol.md has the limits and the conversation."""

PROTOCOL = 3
RECORD_MAX = 128 * 1024
ITEMS_MAX = TENSORS_MAX = 1024
RANK_MAX = 16
PAIRS_MAX = 64
NAME_MAX = 255
TEXT_MAX = 4096
RELEASE_MAX = 4096
REGION_BIT = 1 << 63
U32_MAX = (1 << 32) - 1
U64_MAX = (1 << 64) - 1
I64_MAX = (1 << 63) - 1

VARINT, DELIMITED = 0, 2
# Bytes that a field of another kind takes: fields that are not known here are passed over.
_FIXED = {1: 8, 5: 4}


class WireError(ValueError):
    """What came is not what docs/protocol.md allows, or what is to be sent is not."""


class Number:
    """An unsigned number within limits; 0, or what `default` says, where it is missing."""

    def __init__(self, name, low=0, high=U32_MAX):
        self.name, self.low, self.high = name, low, high
        self.default = 0


class Numbers:
    """Numbers within limits, at most `count`."""
    default = ()

    def __init__(self, name, count, low=0, high=U64_MAX):
        self.name, self.count, self.low, self.high = name, count, low, high


class Text:
    default = ""

    def __init__(self, name, limit=TEXT_MAX):
        self.name, self.limit = name, limit


class Texts:
    default = ()

    def __init__(self, name, count, limit=TEXT_MAX):
        self.name, self.count, self.limit = name, count, limit


class Messages:
    """Messages of one class, at least `low` of them and at most `count`."""
    default = ()

    def __init__(self, name, of, count, low=0):
        self.name, self.of, self.count, self.low = name, of, count, low


class Message:
    """Attributes are the fields; one that was not set has its default."""
    FIELDS = {}

    def __init_subclass__(cls):
        cls.required = [f for f in cls.FIELDS.values() if getattr(f, "low", 0) > 0 and not isinstance(f, Numbers)]
        for field in cls.FIELDS.values():
            setattr(cls, field.name, field.default)

    def __init__(self, **values):
        self.__dict__ = values

    def __eq__(self, other):
        return type(self) is type(other) and all(
            _plain(getattr(self, f.name)) == _plain(getattr(other, f.name)) for f in self.FIELDS.values())

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.__dict__.items())})"


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


# --- Tables -----------------------------------------------------------------------------------


class Pair(Message):
    FIELDS = {1: Text("key", NAME_MAX), 2: Text("value")}


class Tensor(Message):
    FIELDS = {1: Number("index", high=TENSORS_MAX - 1), 2: Number("dtype", 1, 14), 3: Numbers("dims", RANK_MAX, 0, I64_MAX),
              4: Number("arena", 1, U64_MAX), 5: Number("generation", high=U64_MAX), 6: Number("offset", high=U64_MAX),
              7: Number("length", high=U64_MAX)}


class Setup(Message):
    FIELDS = {1: Number("protocol"), 2: Text("worker", NAME_MAX), 3: Text("device", NAME_MAX),
              6: Number("process", high=U64_MAX), 7: Number("output_bytes", high=U64_MAX),
              8: Number("output_populate_first", high=U64_MAX), 9: Number("slots"), 10: Number("n_loads"),
              11: Texts("backend_dirs", 64), 12: Messages("settings", Pair, PAIRS_MAX), 13: Number("busy_poll_us"),
              14: Number("log_level"), 15: Number("output_segment_bytes", high=U64_MAX), 16: Number("output_segments"),
              17: Number("output_idle_ms", high=U64_MAX), 18: Number("scratch_bytes", high=U64_MAX), 19: Number("holds")}


class Load(Message):
    FIELDS = {1: Number("model"), 2: Text("name", NAME_MAX), 3: Text("version", NAME_MAX), 4: Text("path"),
              5: Text("backend", NAME_MAX), 6: Number("max_batch_size"), 7: Messages("parameters", Pair, PAIRS_MAX),
              8: Number("instances")}


class Unload(Message):
    FIELDS = {1: Number("model")}


class Target(Message):
    FIELDS = {1: Number("output", high=TENSORS_MAX - 1), 2: Number("arena", REGION_BIT, U64_MAX),
              3: Number("generation", high=U64_MAX), 4: Number("offset", high=U64_MAX), 5: Number("length", high=U64_MAX)}


class Item(Message):
    FIELDS = {1: Messages("inputs", Tensor, TENSORS_MAX), 2: Numbers("outputs", TENSORS_MAX, 0, TENSORS_MAX - 1),
              3: Messages("parameters", Pair, PAIRS_MAX), 4: Messages("targets", Target, TENSORS_MAX)}


class Map(Message):
    FIELDS = {1: Number("id", 1, U64_MAX), 2: Number("size", high=U64_MAX), 3: Number("writable", high=1)}


class Unmap(Message):
    FIELDS = {1: Number("id", 1, U64_MAX)}


class Run(Message):
    FIELDS = {1: Number("batch", high=U64_MAX), 2: Number("model"), 3: Messages("items", Item, ITEMS_MAX, low=1),
              4: Number("lane")}


class Release(Message):
    FIELDS = {2: Numbers("holds", RELEASE_MAX)}


class Ping(Message):
    FIELDS = {1: Number("nonce", high=U64_MAX)}


class Drain(Message):
    pass


class Hello(Message):
    FIELDS = {1: Number("protocol"), 4: Number("slots")}


class Declaration(Message):
    FIELDS = {1: Text("name", NAME_MAX), 2: Number("dtype", high=14), 3: Numbers("dims", RANK_MAX, -1, I64_MAX),
              4: Number("any_shape", high=1)}


class Loaded(Message):
    FIELDS = {1: Number("model"), 2: Number("ok", high=1), 3: Text("error"), 4: Messages("inputs", Declaration, TENSORS_MAX),
              5: Messages("outputs", Declaration, TENSORS_MAX), 6: Number("memory_bytes", high=U64_MAX),
              7: Number("max_batch_size"), 8: Number("lanes"), 9: Number("decoupled", high=1)}


class Ready(Message):
    pass


class Result(Message):
    FIELDS = {1: Number("code", high=16), 2: Text("message"), 3: Messages("outputs", Tensor, TENSORS_MAX),
              4: Number("hold", high=U64_MAX), 8: Number("joined", high=ITEMS_MAX)}


class Partial(Message):
    FIELDS = {1: Number("batch", high=U64_MAX), 2: Number("item", high=ITEMS_MAX - 1),
              3: Messages("outputs", Tensor, TENSORS_MAX), 4: Number("hold", high=U64_MAX)}


class Done(Message):
    FIELDS = {1: Number("batch", high=U64_MAX), 2: Number("compute_ns", high=U64_MAX),
              3: Messages("results", Result, ITEMS_MAX, low=1)}


class Pong(Message):
    FIELDS = {1: Number("nonce", high=U64_MAX)}


class Unmapped(Message):
    FIELDS = {1: Number("id", 1, U64_MAX)}


class Unloaded(Message):
    FIELDS = {1: Number("model"), 2: Number("memory_bytes", high=U64_MAX)}


class Bye(Message):
    FIELDS = {1: Text("reason")}


# Field numbers of Envelope.
TYPES = {1: Setup, 2: Load, 3: Unload, 4: Run, 5: Release, 6: Ping, 7: Drain, 8: Hello, 9: Loaded, 10: Ready, 11: Done,
         12: Pong, 13: Bye, 14: Map, 15: Unmap, 16: Unmapped, 17: Unloaded, 18: Partial}
_NUMBERS = {of: number for number, of in TYPES.items()}


# --- Reading ----------------------------------------------------------------------------------


def _varint(data, at):
    """The number that begins at `at`, and where it ends. IndexError at the end of the data."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > U64_MAX:
                raise WireError("a number is too large")
            return value, at
        shift += 7
        if shift > 63:
            raise WireError("a number is too long")


def _read_message(of, data, at, end):
    message = of()
    values = message.__dict__
    readers = of.readers
    while at < end:
        tag = data[at]
        at += 1
        if tag > 0x7F:
            tag, at = _varint(data, at - 1)
        if tag & 7 == VARINT:
            value = data[at]
            at += 1
            if value > 0x7F:
                value, at = _varint(data, at - 1)
            field = readers.get(tag)
            if field is not None:
                field[0](field[1], values, value)
        elif tag & 7 == DELIMITED:
            length = data[at]
            at += 1
            if length > 0x7F:
                length, at = _varint(data, at - 1)
            stop = at + length
            if stop > end:
                raise WireError("a field is cut off")
            field = readers.get(tag)
            if field is not None:
                field[0](field[1], values, data, at, stop)
            at = stop
        elif tag & 7 in _FIXED:
            at += _FIXED[tag & 7]
        else:
            raise WireError("a field of an unknown kind")
    if at > end:
        raise WireError("a message is cut off")
    for field in of.required:
        value = values.get(field.name, field.default)
        if (len(value) if isinstance(field, Messages) else value) < field.low:
            raise WireError(f"{of.__name__}.{field.name} is missing")
    return message


def _read_number(field, values, value):
    if not field.low <= value <= field.high:
        raise WireError(f"{field.name} is {value}")
    values[field.name] = value


def _add_number(field, values, value):
    numbers = values.setdefault(field.name, [])
    if value > I64_MAX and field.low < 0:
        value -= 1 << 64
    if not field.low <= value <= field.high or len(numbers) == field.count:
        raise WireError(f"{field.name} has {value}, or too many numbers")
    numbers.append(value)


def _read_numbers(field, values, data, at, stop):
    while at < stop:
        value = data[at]
        at += 1
        if value > 0x7F:
            value, at = _varint(data, at - 1)
        _add_number(field, values, value)
    if at > stop:
        raise WireError(f"{field.name} is cut off")


def _text(field, data, at, stop):
    if stop - at > field.limit:
        raise WireError(f"{field.name} is too long")
    text = data[at:stop].decode()
    if "\0" in text:
        raise WireError(f"{field.name} holds a NUL")
    return text


def _read_text(field, values, data, at, stop):
    values[field.name] = _text(field, data, at, stop)


def _add(field, values, value):
    items = values.setdefault(field.name, [])
    if len(items) == field.count:
        raise WireError(f"too many {field.name}")
    items.append(value)


def _read_texts(field, values, data, at, stop):
    _add(field, values, _text(field, data, at, stop))


def _add_message(field, values, data, at, stop):
    _add(field, values, _read_message(field.of, data, at, stop))


_READERS = {Number: {VARINT: _read_number}, Numbers: {VARINT: _add_number, DELIMITED: _read_numbers},
            Text: {DELIMITED: _read_text}, Texts: {DELIMITED: _read_texts}, Messages: {DELIMITED: _add_message}}


def _prepare(of):
    """What reads each field, by its tag."""
    of.readers = {number << 3 | kind: (read, field) for number, field in of.FIELDS.items()
                  for kind, read in _READERS[type(field)].items()}


for _class in Message.__subclasses__():
    _prepare(_class)
_BODIES = {number << 3 | DELIMITED: of for number, of in TYPES.items()}


def read_record(data):
    """The messages of a record, in order. WireError where it is none."""
    messages = []
    at, end = 0, len(data)
    try:
        while at < end:
            if data[at] != 0x0A:
                raise WireError("a record has something else than messages")
            length, at = _varint(data, at + 1)
            stop = at + length
            tag, at = _varint(data, at)
            length, at = _varint(data, at)
            if at + length != stop or stop > end or tag not in _BODIES:
                raise WireError("an envelope has something else than one message")
            messages.append(_read_message(_BODIES[tag], data, at, stop))
            at = stop
    except (IndexError, UnicodeDecodeError) as e:
        raise WireError("a record is cut off, or has text that is none") from e
    if not messages:
        raise WireError("a record has no message")
    return messages


# --- Writing ----------------------------------------------------------------------------------

_ONE_BYTE = [bytes([n]) for n in range(0x80)]


def varint(value):
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    value &= U64_MAX
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _check(good, field):
    if not good:
        raise WireError(f"{field.name} cannot be sent: it is beyond its limits")


def _delimited(number, data):
    return varint(number << 3 | DELIMITED) + varint(len(data)) + data


def _write_number(number, field, value):
    value = int(value)
    _check(field.low <= value <= field.high, field)
    return varint(number << 3) + varint(value) if value else b""


def _write_numbers(number, field, values):
    _check(len(values) <= field.count and all(field.low <= v <= field.high for v in values), field)
    return _delimited(number, b"".join([varint(v) for v in values])) if values else b""


def _encode_text(field, value):
    data = value.encode()
    _check(len(data) <= field.limit and b"\0" not in data, field)
    return data


def _write_text(number, field, value):
    return _delimited(number, _encode_text(field, value)) if value else b""


def _write_texts(number, field, values):
    _check(len(values) <= field.count, field)
    return b"".join([_delimited(number, _encode_text(field, v)) for v in values])


def _write_messages(number, field, values):
    _check(field.low <= len(values) <= field.count, field)
    return b"".join([_delimited(number, write_body(v)) for v in values])


_WRITERS = {Number: _write_number, Numbers: _write_numbers, Text: _write_text, Texts: _write_texts,
            Messages: _write_messages}


def write_body(message):
    out = []
    for number, field in message.FIELDS.items():
        out.append(_WRITERS[type(field)](number, field, getattr(message, field.name)))
    return b"".join(out)


def write(message):
    """Bytes that may stand in a record. WireError where it is not allowed, or too long for one."""
    body = _delimited(_NUMBERS[type(message)], write_body(message))
    data = b"\x0a" + varint(len(body)) + body
    if len(data) > RECORD_MAX:
        raise WireError("the message is longer than a record may be")
    return data
