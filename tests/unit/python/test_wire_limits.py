"""What the worker in Python allows in messages is what the daemon does: wire.py beside proto/wire_tables.c."""
import os
import re

import messages
from modeld_worker import wire

# Where constants of the tables are.
CONSTANTS = ["proto/wire.h", "proto/dtype.h", "src/base/traceparent.h", "src/base/tracestate.h", "proto/wire_tables.c"]
# Structs that have other names than their messages.
STRUCTS = {"WarmUp": "warmup", "WarmUpInput": "warmup_input", "Pong": "ping", "Unmapped": "unmap"}


def source(path):
    with open(os.path.join(messages.ROOT, path)) as f:
        return re.sub(r"/\*.*?\*/", "", f.read().replace("\\\n", " "), flags=re.S)


def value_of(text, known):
    return eval(re.sub(r"U?INT64_C\((\w+)\)", r"\1", re.sub(r"\b(\d+)u\b", r"\1", text)), {}, known)


def constants():
    known = {"UINT32_MAX": wire.U32_MAX, "UINT64_MAX": wire.U64_MAX, "INT64_MAX": wire.I64_MAX}
    for path in CONSTANTS:
        text = source(path)
        for name, value in re.findall(r"#define (\w+)\s+([\w() \t<*]+)\n", text):
            try:
                known[name] = value_of(value.strip(), known)
            except (NameError, SyntaxError):
                pass  # it is no number
        for members in re.findall(r"enum(?: \w+)? \{([^}]*)\}", text):
            value = -1
            for name, _, given in (member.partition("=") for member in members.split(",") if member.strip()):
                value = value_of(given.strip(), known) if given else value + 1
                known[name.strip()] = value
    return known


def rows():
    """{(struct, number): (member, kind, limits)} of the daemon's tables."""
    known, found = constants(), {}
    for number, kind, given in re.findall(r"\[(\d+)\] = CODEC_([A-Z]+)\(([^()]*)\)", source("proto/wire_tables.c")):
        struct, member, *more = [part.strip() for part in given.split(",")]
        limits = [value_of(part, known) for part in more if not re.fullmatch(r"&\w+|n_\w+|rank", part)]
        found[struct.removeprefix("struct wire_"), int(number)] = member.rpartition(".")[2], kind, limits
    return found


def limits_of(field):
    """In a row's order."""
    if isinstance(field, wire.Number):
        return [field.low, field.high]
    if isinstance(field, wire.Numbers):
        return [field.count, field.low, field.high]
    if isinstance(field, wire.Text):
        return [field.limit]
    return [field.count, field.limit] if isinstance(field, wire.Texts) else [field.low, field.count]


def largest(of, number):
    """Of the number's type."""
    f = getattr(messages.wire, of.__name__).DESCRIPTOR.fields_by_number[number]
    return {f.TYPE_UINT32: wire.U32_MAX, f.TYPE_UINT64: wire.U64_MAX, f.TYPE_BOOL: 1}[f.type]


def test_limits_of_all_fields():
    theirs = rows()
    assert len(theirs) > 100
    for of in wire.Message.__subclasses__():
        struct = STRUCTS.get(of.__name__, of.__name__.lower())
        for number, field in of.FIELDS.items():
            member, kind, limits = theirs[struct, number]
            if kind == "NUMBER":
                limits = [0, largest(of, number)]
            assert (member, limits) == (field.name, limits_of(field)), of.__name__
