"""Reads and writes records by the tables of wire.py.

For each message two functions are made from its table, as text, and compiled: going through tables byte by byte took
three times as long, which was half of what a small request costs. Needs no protobuf.
"""
from . import wire
from .wire import Message, Messages, Number, Numbers, Text, Texts, WireError

VARINT, DELIMITED = 0, 2
_ONE_BYTE = [bytes([n]) for n in range(0x80)]


def varint(value):
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    value &= wire.U64_MAX
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data, at):
    """The number that begins at `at`, and where it ends. IndexError at the end of the data."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > wire.U64_MAX:
                raise WireError("a number is too large")
            return value, at
        shift += 7
        if shift > 63:
            raise WireError("a number is too long")


def _skip(data, at):
    """Where a field that is not known here ends; its tag begins at `at`."""
    tag, at = _read_varint(data, at)
    kind = tag & 7
    if kind == VARINT:
        return _read_varint(data, at)[1]
    if kind == DELIMITED:
        length, at = _read_varint(data, at)
        return at + length
    if kind in (1, 5):
        return at + (8 if kind == 1 else 4)
    raise WireError("a field of an unknown kind")


def _fail(what):
    raise WireError(what)


def _read_text(data, at, stop, limit):
    text = data[at:stop].decode()
    if stop - at > limit or "\0" in text:
        raise WireError("a text is too long, or holds a NUL")
    return text


def _write_text(text, limit):
    data = text.encode()
    if len(data) > limit or b"\0" in data:
        raise WireError("a text is too long, or holds a NUL")
    return data


# --- What is made of a table ------------------------------------------------------------------

# Reads a number at `at` into `v`.
_NUMBER_AT = """\
v = data[at]
at += 1
if v > 127:
    v, at = read_varint(data, at - 1)"""
# Reads the length of a field at `at`, which then ends at `stop`.
_LENGTH_AT = """\
stop = data[at]
at += 1
if stop > 127:
    stop, at = read_varint(data, at - 1)
stop += at
if stop > end:
    fail("a field is cut off")"""


def _indent(text, n=1):
    return "\n".join("    " * n + line for line in text.split("\n"))


def _range_check(field):
    beyond = f"not {field.low} <= v <= {field.high}"
    return f"if {beyond}:\n    fail('{field.name} is beyond its limits')"


def _add_check(field):
    return (f"if m.{field.name} is none:\n    m.{field.name} = []\n"
            f"elif len(m.{field.name}) == {field.count}:\n    fail('too many {field.name}')")


def _number_readers(field):
    return {VARINT: f"{_NUMBER_AT}\n{_range_check(field)}\nm.{field.name} = v"}


def _numbers_readers(field):
    one = _NUMBER_AT
    if field.low < 0:
        one += f"\nif v > {wire.I64_MAX}:\n    v -= 1 << 64\nif v < {field.low}:\n    fail('{field.name} is below its limit')"
    one += f"\n{_range_check(field)}\n{_add_check(field)}\nm.{field.name}.append(v)"
    return {VARINT: one, DELIMITED: f"{_LENGTH_AT}\nwhile at < stop:\n{_indent(one)}\n"
                                    f"if at > stop:\n    fail('{field.name} is cut off')"}


def _text_readers(field):
    return {DELIMITED: f"{_LENGTH_AT}\nm.{field.name} = read_text(data, at, stop, {field.limit})\nat = stop"}


def _texts_readers(field):
    return {DELIMITED: f"{_LENGTH_AT}\n{_add_check(field)}\n"
                       f"m.{field.name}.append(read_text(data, at, stop, {field.limit}))\nat = stop"}


def _messages_readers(field):
    return {DELIMITED: f"{_LENGTH_AT}\n{_add_check(field)}\n"
                       f"m.{field.name}.append(read_{field.of.__name__}(data, at, stop))\nat = stop"}


_READERS = {Number: _number_readers, Numbers: _numbers_readers, Text: _text_readers, Texts: _texts_readers,
            Messages: _messages_readers}


def _reader(of):
    """The text of read_NAME(data, at, end): a message whose body lies there."""
    branches = []
    for number, field in of.FIELDS.items():
        for kind, text in _READERS[type(field)](field).items():
            tag = varint(number << 3 | kind)
            test = f"tag == {tag[0]}" if len(tag) == 1 else f"tag == {tag[0]} and data[at] == {tag[1]}"
            step = "" if len(tag) == 1 else "at += 1\n"
            branches.append(f"{'el' if branches else ''}if {test}:\n{_indent(step + text)}")
    branches.append("else:\n    at = skip(data, at - 1)" if branches else "at = skip(data, at - 1)")
    required = "".join(f"if {_is_missing(f)}:\n    fail('{f.name} is missing')\n" for f in of.FIELDS.values() if _needs(f))
    body = "\n".join(branches)
    return (f"def read_{of.__name__}(data, at, end):\n    m = {of.__name__}()\n    while at < end:\n"
            f"        tag = data[at]\n        at += 1\n{_indent(body, 2)}\n"
            f"    if at != end:\n        fail('a message is cut off')\n{_indent(required + 'return m')}\n")


def _needs(field):
    return isinstance(field, (Number, Messages)) and field.low > 0


def _is_missing(field):
    return f"len(m.{field.name}) < {field.low}" if isinstance(field, Messages) else f"m.{field.name} < {field.low}"


def _put(number, data):
    """Adds a field of this number, whose bytes are `data`."""
    return f"n = len({data})\nout += {varint(number << 3 | DELIMITED)!r} + (one[n] if n < 128 else varint(n)) + {data}"


def _writer_of(number, field):
    if isinstance(field, Number):
        return (f"v = m.{field.name}\n{_range_check(field)}\n"
                f"if v:\n    out += {varint(number << 3)!r} + (one[v] if 0 < v < 128 else varint(v))")
    if isinstance(field, Text):
        return f"if m.{field.name}:\n    b = write_text(m.{field.name}, {field.limit})\n{_indent(_put(number, 'b'))}"
    count = f"if len(m.{field.name}) > {field.count}:\n    fail('too many {field.name}')\n"
    if isinstance(field, Numbers):
        return (f"if m.{field.name}:\n{_indent(count)}\n    b = b''\n    for v in m.{field.name}:\n"
                f"        if not {field.low} <= v <= {field.high}:\n            fail('{field.name} is beyond its limits')\n"
                f"        b += one[v] if 0 <= v < 128 else varint(v)\n{_indent(_put(number, 'b'))}")
    if isinstance(field, Messages):
        if field.low:
            count += f"if len(m.{field.name}) < {field.low}:\n    fail('{field.name} is missing')\n"
        return f"{count}for v in m.{field.name}:\n    b = write_{field.of.__name__}(v)\n{_indent(_put(number, 'b'))}"
    return f"{count}for v in m.{field.name}:\n    b = write_text(v, {field.limit})\n{_indent(_put(number, 'b'))}"


def _writer(of):
    """The text of write_NAME(m): the bytes of its body."""
    parts = [_writer_of(number, field) for number, field in of.FIELDS.items()]
    body = "\n".join(["out = b''", *parts, "return out"])
    return f"def write_{of.__name__}(m):\n{_indent(body)}\n"


_scope = {"read_varint": _read_varint, "varint": varint, "one": _ONE_BYTE, "skip": _skip, "fail": _fail, "none": (),
          "read_text": _read_text, "write_text": _write_text, **{of.__name__: of for of in Message.__subclasses__()}}
for _class in Message.__subclasses__():
    exec(compile(_reader(_class) + _writer(_class), f"<codec of {_class.__name__}>", "exec"), _scope)

_BODIES = {number << 3 | DELIMITED: _scope[f"read_{of.__name__}"] for number, of in wire.TYPES.items()}
_WRITERS = {of: (varint(number << 3 | DELIMITED), _scope[f"write_{of.__name__}"]) for of, number in wire.NUMBERS.items()}


# --- Records ----------------------------------------------------------------------------------


def read_record(data):
    """The messages of a record, in order. WireError where it is none."""
    messages = []
    at, end = 0, len(data)
    try:
        while at < end:
            if data[at] != 0x0A:
                raise WireError("a record has something else than messages")
            length, at = data[at + 1], at + 2
            if length > 127:
                length, at = _read_varint(data, at - 1)
            stop = at + length
            tag, length, at = data[at], data[at + 1], at + 2
            if tag > 127 or length > 127:
                tag, at = _read_varint(data, at - 2)
                length, at = _read_varint(data, at)
            if at + length != stop or stop > end or tag not in _BODIES:
                raise WireError("an envelope has something else than one message")
            messages.append(_BODIES[tag](data, at, stop))
            at = stop
    except (IndexError, UnicodeDecodeError) as e:
        raise WireError("a record is cut off, or has text that is none") from e
    if not messages:
        raise WireError("a record has no message")
    return messages


def write(message):
    """Bytes that may stand in a record. WireError where it is not allowed, or too long for one."""
    tag, write_body = _WRITERS[type(message)]
    body = write_body(message)
    body = tag + varint(len(body)) + body
    data = b"\x0a" + varint(len(body)) + body
    if len(data) > wire.RECORD_MAX:
        raise WireError("the message is longer than a record may be")
    return data
