"""The codec against protobuf's own, and against what is no message."""
import os
import random
import re

import pytest

import messages
from modeld_worker import codec, wire


def value_of(rng, field):
    if isinstance(field, wire.Number):
        return rng.choice([field.low, field.high, rng.randint(field.low, field.high), min(field.low + 1, field.high)])
    if isinstance(field, wire.Text):
        return rng.choice(["", "a", "näme", "x" * min(200, field.limit)])
    n = rng.choice([0, 1, 2, 3])
    if isinstance(field, wire.Numbers):
        return [rng.choice([field.low, 1, 127, 128, 300, field.high]) for _ in range(n)]
    if isinstance(field, wire.Texts):
        return ["t" * rng.randint(0, 5) for _ in range(n)]
    return [random_message(rng, field.of) for _ in range(max(n, field.low))]


def random_message(rng, of):
    return of(**{f.name: value_of(rng, f) for f in of.FIELDS.values()})


def fill(theirs, ours):
    """The same message of protobuf's class."""
    for field in ours.FIELDS.values():
        value = getattr(ours, field.name)
        if isinstance(field, wire.Messages):
            for v in value:
                fill(getattr(theirs, field.name).add(), v)
        elif isinstance(field, (wire.Numbers, wire.Texts)):
            getattr(theirs, field.name).extend(value)
        else:
            setattr(theirs, field.name, value)
    return theirs


def envelope_field(of):
    return next(f.name for f in messages.wire.Envelope.DESCRIPTOR.fields if f.message_type.name == of.__name__)


@pytest.mark.parametrize("of", wire.TYPES.values(), ids=lambda of: of.__name__)
def test_protobuf_says_the_same(of):
    rng = random.Random(of.__name__)
    for _ in range(50):
        ours = random_message(rng, of)
        theirs = messages.wire.Record()
        body = getattr(theirs.messages.add(), envelope_field(of))
        body.SetInParent()
        fill(body, ours)
        assert messages.wire.Record.FromString(codec.write(ours)) == theirs
        assert codec.read_record(theirs.SerializeToString()) == [ours]


def test_what_is_known_is_what_the_schema_says():
    for number, of in wire.TYPES.items():
        field = messages.wire.Envelope.DESCRIPTOR.fields_by_number[number]
        assert field.message_type.name == of.__name__
        known = {n: f.name for n, f in of.FIELDS.items()}
        assert known.items() <= {f.number: f.name for f in field.message_type.fields}.items()


def test_several_messages_share_a_record():
    sent = [wire.Ping(nonce=1), wire.Release(holds=[1, 2]), wire.Drain()]
    assert codec.read_record(b"".join(map(codec.write, sent))) == sent


RUN = codec.write(wire.Run(batch=300, model=2, items=[wire.Item(
    inputs=[wire.Tensor(dtype=12, dims=[1, 300], arena=65536, offset=1 << 40, length=1200)],
    parameters=[wire.Pair(key="k", value="v")], outputs=[0, 1],
    targets=[wire.Target(arena=wire.REGION_BIT + 5, length=7)])]))


def test_every_cut_and_every_changed_byte_is_refused_or_read():
    for n in range(len(RUN)):
        with pytest.raises(wire.WireError):
            codec.read_record(RUN[:n])
    rng = random.Random(1)
    for _ in range(5000):
        data = bytearray(RUN)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            codec.read_record(bytes(data))
        except wire.WireError:
            pass


def test_unknown_fields_are_passed_over():
    extra = b"\xf8\x01\x05" + b"\xf9\x01" + bytes(8) + b"\xfd\x01" + bytes(4) + b"\xfa\x01\x02ab"
    body = b"\x08\x07" + extra
    envelope = b"\x32" + bytes([len(body)]) + body
    assert codec.read_record(b"\x0a" + bytes([len(envelope)]) + envelope) == [wire.Ping(nonce=7)]


def record_of(number, body):
    envelope = codec.varint(number << 3 | 2) + codec.varint(len(body)) + body
    return b"\x0a" + codec.varint(len(envelope)) + envelope


@pytest.mark.parametrize("number, body", [
    (4, b"\x08\x01"),                                    # a Run without items
    (5, b"\x10" + b"\xff" * 9 + b"\x02"),                # a hold beyond 64 bits
    (6, b"\x08" + b"\x80" * 10 + b"\x01"),               # eleven bytes of one number
    (7, b"\x0b"), (7, b"\x0e"),                          # kinds that are none
    (14, b"\x08\x00\x10\x01"),                           # id 0
    (2, b"\x12\x02a\x00"), (2, b"\x12\x01\xff"),         # a NUL; no UTF-8
    (2, b"\x12\x80\x02" + b"a" * 256),                   # a name of 256 bytes
    (2, b"\x08" + codec.varint(1 << 32)),                 # a number too large for its field
    (20, b""), (0, b"")])
def test_what_is_not_allowed(number, body):
    with pytest.raises(wire.WireError):
        codec.read_record(record_of(number, body))


@pytest.mark.parametrize("record", [b"", b"\x0a\x00", b"\x12\x00", b"\x0a\x04\x32\x00\x32\x00", b"\x0a\x02\x32\x05"])
def test_what_is_no_record(record):
    with pytest.raises(wire.WireError):
        codec.read_record(record)


@pytest.mark.parametrize("message", [
    wire.Bye(reason="x" * 4097), wire.Bye(reason="a\0b"), wire.Loaded(inputs=[wire.Declaration(name="n" * 256)]),
    wire.Loaded(inputs=[wire.Declaration(dims=[-2])]), wire.Done(batch=1), wire.Map(size=1),
    wire.Partial(item=1024), wire.Loaded(inputs=[wire.Declaration()] * 1025),
    wire.Done(results=[wire.Result(message="m" * 4000)] * 40)])
def test_what_is_not_sent(message):
    with pytest.raises(wire.WireError):
        codec.write(message)


def test_version_and_limits_are_those_of_wire_h():
    text = open(os.path.join(messages.ROOT, "proto", "wire.h")).read()
    limits = dict(re.findall(r"#define WIRE_(\w+)\s+\(?(\w+)", text))
    assert int(limits["PROTOCOL"].rstrip("u")) == wire.PROTOCOL
    for name in ("ITEMS_MAX", "TENSORS_MAX", "PAIRS_MAX", "NAME_MAX", "TEXT_MAX", "RELEASE_MAX", "LANES_FREE"):
        assert int(limits[name].rstrip("u")) == getattr(wire, name), name
