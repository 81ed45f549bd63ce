#!/usr/bin/env python3
"""modeld/_messages.py: the messages of proto/ that the client sends and reads, as classes of Python with what packs and
unpacks each, field by field. They need neither protobuf nor its registry of names, in which no other package that has
KServe's messages could stand beside them; and what a tensor holds is copied once where it is sent, into the message, and
not at all where it is read.

    generate_messages.py             writes the module
    generate_messages.py --check     fails where it is not what would be written
"""
import pathlib
import sys
import tempfile

from google.protobuf import descriptor_pb2
from google.protobuf.internal import encoder

import stubs

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODULE = pathlib.Path(__file__).resolve().parent / "modeld" / "_messages.py"
# What the client does with a message.
SENDS, READS = {"pack"}, {"unpack"}
BOTH = SENDS | READS
MESSAGES = {
    "handoff.proto": {
        "Envelope": BOTH, "Tensor": BOTH,
        "GetLimits": SENDS, "Register": SENDS, "Allocate": SENDS, "Unregister": SENDS,
        "Infer": SENDS, "Target": SENDS, "Parameter": SENDS, "Cancel": SENDS,
        "Limits": READS, "Registered": READS, "Unregistered": READS, "Inferred": READS, "Error": READS},
    "model_worker.proto": {"InferRequest": SENDS, "InferResponse": READS, "TensorData": BOTH},
    "control.proto": {"ServerStatusRequest": SENDS, "ServerStatusResponse": READS, "ModelStatus": READS, "TensorStatus": READS},
    "health.proto": {"HealthCheckRequest": SENDS, "HealthCheckResponse": READS},
    "kserve/grpc_service.proto": {
        "ModelInferRequest": SENDS, "InferParameter": SENDS, "InferInputTensor": SENDS, "InferRequestedOutputTensor": SENDS,
        "ModelInferResponse": READS, "InferOutputTensor": READS, "ModelStreamInferResponse": READS},
}
# The fields that it has to do with, where those are not all: it sends no others, and passes over them as over unknown ones.
FIELDS = {
    "Envelope": ["seq", "get_limits", "register", "allocate", "unregister", "infer", "cancel", "limits", "registered",
                 "unregistered", "inferred", "error"],
    "InferRequest": ["model_id", "tensor_data", "parameters"],
    "InferResponse": ["tensor_data", "metadata"],
    "ServerStatusResponse": ["models", "default_model"],
    "ModelStatus": ["name", "version", "backend", "state", "detail", "max_batch_size", "inputs", "outputs"],
    "ModelInferRequest": ["model_name", "model_version", "parameters", "inputs", "outputs", "raw_input_contents"],
    "InferParameter": ["string_param"],
    "InferInputTensor": ["name", "datatype", "shape"],
    "InferRequestedOutputTensor": ["name"],
    "ModelInferResponse": ["outputs", "raw_output_contents"],
    "InferOutputTensor": ["name", "datatype", "shape"],
}

PRELUDE = '''\
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
'''
# Of each message, up to a field's tag and number, or length.
READ_HEAD = """\
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
            raise DecodeError("truncated field")"""

F = descriptor_pb2.FieldDescriptorProto
UNSIGNED = (F.TYPE_UINT32, F.TYPE_UINT64, F.TYPE_ENUM)
SIGNED = (F.TYPE_INT32, F.TYPE_INT64)
VARINT, DELIMITED = 0, 2


# --- Fields ------------------------------------------------------------------------------------


def tag_of(number, kind):
    return number << 3 | kind


def tag_bytes(number, kind):
    """As it stands in a message."""
    return encoder.TagBytes(number, kind)


class Field:
    """An attribute of a class, with code that writes it behind TAG."""

    def __init__(self, name, number, kind, type, default, write, read):
        self.name, self.type, self.default = name, type, default
        self.write = write.replace("TAG", repr(tag_bytes(number, kind)))
        # By wire type: tags, each with code that reads what came with it: the number n, or data from `at` to `stop`.
        self.reads = {kind: [(tag_of(number, kind), read)]}
        self.collects = None  # what is put together while reading: its type, and how it begins
        self.tail = []        # what stands behind all classes


def scalar(f, of, has_presence):
    """One value; `of` is the class of a message. One that has no presence is sent unless it is zero, or empty."""
    name = f.name
    given = f"self.{name} is not None" if has_presence else f"self.{name}"
    if of:
        return Field(name, f.number, DELIMITED, f"Optional[{of}]", "None",
                     f"if self.{name} is not None:\n    _message(out, TAG, self.{name})",
                     f"self.{name} = _filled({of}(), data, at, stop)")
    if f.type == F.TYPE_STRING:
        made = Field(name, f.number, DELIMITED, "str", '""', f"if {given}:\n    out.append(_text(TAG, self.{name}))",
                     f'self.{name} = data[at:stop].decode("utf-8", "replace")')
    elif f.type == F.TYPE_BYTES:
        made = Field(name, f.number, DELIMITED, "Data", 'b""',
                     f"if {given}:\n    out += _head(TAG, len(self.{name})), self.{name}",
                     f"self.{name} = memoryview(data)[at:stop]")
    elif f.type == F.TYPE_BOOL:
        made = Field(name, f.number, VARINT, "bool", "False", f"if {given}:\n    out.append(_head(TAG, self.{name}))",
                     f"self.{name} = n > 0")
    elif f.type in UNSIGNED:
        made = Field(name, f.number, VARINT, "int", "0", f"if {given}:\n    out.append(_head(TAG, self.{name}))",
                     f"self.{name} = n")
    else:
        raise NotImplementedError(f"{name}: fields of its type")
    if has_presence:
        made.type, made.default = f"Optional[{made.type}]", "None"
    return made


def repeated(f, of):
    name = f.name
    if of:
        element = of
        write, read = f"_messages(out, TAG, self.{name})", f"new_{name}.append(_filled({of}(), data, at, stop))"
    elif f.type == F.TYPE_STRING:
        element = "str"
        write = f"out += [_text(TAG, text) for text in self.{name}]"
        read = f'new_{name}.append(data[at:stop].decode("utf-8", "replace"))'
    elif f.type == F.TYPE_BYTES:
        element = "Data"
        write = f"for chunk in self.{name}:\n    out += _head(TAG, len(chunk)), chunk"
        read = f"new_{name}.append(memoryview(data)[at:stop])"
    elif f.type in SIGNED:
        element = "int"
        write = f"if self.{name}:\n    packed = _varints(self.{name})\n    out += _head(TAG, len(packed)), packed"
        read = f"new_{name} += _read_integers(data, at, stop)"
    else:
        raise NotImplementedError(f"{name}: lists of its type")
    field = Field(name, f.number, DELIMITED, f"Sequence[{element}]", "()", write, read)
    field.collects = f"List[{element}] = []"
    if f.type in SIGNED:  # they may come one by one
        field.reads[VARINT] = [(tag_of(f.number, VARINT), f"new_{name}.append(_signed(n))")]
    return field


def mapping(f, entry, value, of):
    """entry: the class of its entries; value: the type of what keys lead to; of: its class, where it is a message."""
    name = f.name
    got = f"entry.value or {of}()" if of else "entry.value"
    field = Field(name, f.number, DELIMITED, f"Mapping[str, {value}]", "{}",
                  f"for key, value in self.{name}.items():\n    _message(out, TAG, {entry}(key, value))",
                  f"entry = _filled({entry}(), data, at, stop)\nnew_{name}[entry.key] = {got}")
    field.collects = f"Dict[str, {value}] = {{}}"
    return field


def choice(message, name, members):
    """A oneof of messages, which their classes tell apart. members: (field, class, what is done with it)"""
    of = f"{message}{name.capitalize()}"
    tags = f"_{message.upper()}_{name.upper()}"
    field = Field(name, 0, DELIMITED, of, "None",
                  f"if self.{name} is not None:\n    _message(out, {tags}[type(self.{name})], self.{name})", "")
    field.reads = {DELIMITED: [(tag_of(f.number, DELIMITED), f"self.{name} = _filled({one}(), data, at, stop)")
                               for f, one, does in members if does & READS]}
    sent = [f"{one}: {tag_bytes(f.number, DELIMITED)!r}" for f, one, does in members if does & SENDS]
    head = f"{tags}: Dict[type, bytes] = {{"
    field.tail = [f"{of} = Union[{wrapped([one for _, one, _ in members] + ['None'], len(of) + 9)}]",
                  f"{head}{wrapped(sent, len(head))}}}"]
    return field


# --- Classes -----------------------------------------------------------------------------------


class Class:
    def __init__(self, name, does, fields=(), constants=()):
        self.name, self.does, self.fields, self.constants = name, does, list(fields), constants
        self.entries = []  # classes of its maps' entries


def indent(text, n):
    return "\n".join("    " * n + line for line in text.split("\n"))


def wrapped(items, margin):
    """Items between commas, behind a bracket that opens at `margin`."""
    lines = [""]
    for i, item in enumerate(items):
        piece = item + (", " if i < len(items) - 1 else "")
        if lines[-1] and margin + len(lines[-1]) + len(piece) > 108:
            lines.append("")
        lines[-1] += piece
    return "\n".join(" " * (margin if n else 0) + line.rstrip() for n, line in enumerate(lines))


def init_of(of):
    given = wrapped([f"{f.name}: {f.type} = {f.default}" for f in of.fields], 17)
    return ["", f"    def __init__(self, {given}) -> None:", *(f"        self.{f.name} = {f.name}" for f in of.fields)]


def parts_of(of):
    return ["", "    def _parts(self) -> List[Data]:", "        out: List[Data] = []",
            *(indent(f.write, 2) for f in of.fields), "        return out"]


def reads_of(of, kind, first):
    """What is read of this wire type, by tag; first: the word that the first test begins with."""
    reads = [read for f in of.fields for read in f.reads.get(kind, ())]
    return [f"{'elif' if i else first} tag == {tag}:\n{indent(code, 1)}" for i, (tag, code) in enumerate(reads)]


def read_of(of):
    collected = [f for f in of.fields if f.collects]
    return ["", "    def _read(self, data: bytes, at: int, end: int) -> None:",
            *(f"        new_{f.name}: {f.collects}" for f in collected),
            indent(READ_HEAD, 2),
            *(indent(code, 4) for code in reads_of(of, DELIMITED, "if")),
            "                at = stop",
            *(indent(code, 3) for code in reads_of(of, VARINT, "elif")),
            "        if at != end:",
            '            raise DecodeError("truncated field")',
            *(f"        self.{f.name} = new_{f.name}" for f in collected)]


def text_of(of):
    """The class, as it stands in the module."""
    slots = wrapped([f'"{f.name}"' for f in of.fields], 17) + ("," if len(of.fields) == 1 else "")
    lines = ["", "", f"class {of.name}(Message):", f"    __slots__ = ({slots})"]
    lines += [f"    {name} = {value}" for name, value in of.constants]
    if of.fields:
        lines += init_of(of)
    if of.does & SENDS:
        lines += parts_of(of)
    if of.does & READS:
        lines += read_of(of)
    return "\n".join(lines) + "\n"


# --- From the schema ---------------------------------------------------------------------------


def schema(file):
    with tempfile.NamedTemporaryFile() as out:
        if stubs.run([f"-I{ROOT}", f"--descriptor_set_out={out.name}", f"proto/{file}"]):
            raise RuntimeError("protoc failed")
        return descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes()).file[0]


def all_messages(prefix, messages):
    """(full name, message), those within others, too."""
    for message in messages:
        name = f"{prefix}.{message.name}"
        yield name, message
        yield from all_messages(name, message.nested_type)


class File:
    """What is wanted of a file. wanted: what is done with a message, by its name"""

    def __init__(self, name, wanted):
        file = schema(name)
        self.by_name = dict(all_messages("." + file.package, file.message_type))
        self.wanted = wanted
        missing = set(wanted) - {m.name for m in self.by_name.values()}
        if missing:
            raise RuntimeError(f"{name} has no {', '.join(sorted(missing))}")

    def class_of(self, f, does):
        """The class that a field's values are of; None: they are no messages."""
        if f.type != F.TYPE_MESSAGE:
            return None
        name = self.by_name[f.type_name].name
        if does - self.wanted.get(name, set()):
            raise RuntimeError(f"{f.name} is wanted, {name} is not")
        return name

    def field(self, f, of, has_presence):
        entry = self.by_name.get(f.type_name)
        if entry and entry.options.map_entry:
            key, value = entry.field
            value_class = self.class_of(value, of.does)
            fields = [scalar(key, None, False), scalar(value, value_class, False)]
            of.entries.append(Class(f"{of.name}{entry.name}", of.does, fields))
            return mapping(f, of.entries[-1].name, value_class or fields[1].type, value_class)
        if f.label == F.LABEL_REPEATED:
            return repeated(f, self.class_of(f, of.does))
        return scalar(f, self.class_of(f, of.does), has_presence)

    def known(self, message):
        """The fields that the client has to do with."""
        names = FIELDS.get(message.name, [f.name for f in message.field])
        missing = set(names) - {f.name for f in message.field}
        if missing:
            raise RuntimeError(f"{message.name} has no {', '.join(sorted(missing))}")
        return [f for f in message.field if f.name in names]

    def classes(self, message):
        """Its own, behind those of its maps' entries."""
        of = Class(message.name, self.wanted[message.name],
                   constants=[(v.name, v.number) for e in message.enum_type for v in e.value])
        known = self.known(message)
        for f in known:
            members = [g for g in known if f.HasField("oneof_index") and g.HasField("oneof_index") and
                       g.oneof_index == f.oneof_index]
            if len(members) < 2:
                of.fields.append(self.field(f, of, bool(members)))
            elif f is members[0]:
                name = message.oneof_decl[f.oneof_index].name
                classes = [self.class_of(g, set()) for g in members]
                if None in classes or len(set(classes)) < len(classes):
                    raise NotImplementedError(f"{name}: a choice of values that their classes do not tell apart")
                of.fields.append(choice(of.name, name, [(g, c, self.wanted[c]) for g, c in zip(members, classes)]))
        return [*of.entries, of]

    def all_classes(self):
        return [of for m in self.by_name.values() if m.name in self.wanted for of in self.classes(m)]


def module():
    classes = [of for file, wanted in MESSAGES.items() for of in File(file, wanted).all_classes()]
    if len({of.name for of in classes}) < len(classes):
        raise RuntimeError("two messages have one name")
    tail = [line for of in classes for f in of.fields for line in f.tail]
    return PRELUDE + "".join(map(text_of, classes)) + "\n\n" + "\n".join(tail) + "\n"


def main(arguments):
    if not arguments:
        MODULE.write_text(module())
    elif arguments != ["--check"]:
        sys.exit(__doc__)
    elif MODULE.read_text() != module():
        sys.exit(f"{MODULE} is not what clients/python/generate_messages.py makes of proto/: run it")


if __name__ == "__main__":
    main(sys.argv[1:])
