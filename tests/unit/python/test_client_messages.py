"""The messages of clients/python against protobuf's own, and against what is no message."""
import os
import random
import sys

import pytest
from google.protobuf import message_factory

import messages

sys.path.insert(0, os.path.join(messages.ROOT, "clients", "python"))
from modeld import _messages as ours  # noqa: E402
from modeld.errors import DecodeError  # noqa: E402

NUMBERS = [0, 1, 127, 128, 300, (1 << 31) - 1]
TEXTS = ["", "a", "näme", "x" * 200]
BYTES = [b"", b"\0", b"\xff" * 300]
ROUNDS = 50


def theirs():
    """Classes of protobuf, by the name that ours has."""
    found = {}
    for package in (messages.handoff, messages.worker, messages.control, messages.health, messages.kserve):
        for of in vars(package).values():
            for descriptor in (of.DESCRIPTOR, *of.DESCRIPTOR.nested_types):
                found.setdefault(descriptor.name, message_factory.GetMessageClass(descriptor))
    # The worker's are ahead of it, and have others of these names.
    for name in ("HealthCheckRequest", "HealthCheckResponse"):
        found[name] = getattr(messages.health, name)
    return found


THEIRS = theirs()
SENT, READ = ([of for of in ours.Message.__subclasses__() if does in vars(of) and of.__name__ in THEIRS]
              for does in ("_parts", "_read"))


def name_of(of):
    return of.__name__


def test_all_are_of_the_schema():
    of_maps = {of.__name__ for of in ours.Message.__subclasses__()} - set(THEIRS)
    assert all(name.endswith("Entry") for name in of_maps)


def is_list(field):
    return field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def fields_of(of, among):
    """By the attribute: the field of the schema, or the members of a choice that are among these classes."""
    descriptor = THEIRS[of.__name__].DESCRIPTOR
    for name in of.__slots__:
        if name in descriptor.fields_by_name:
            yield name, [descriptor.fields_by_name[name]]
        else:
            yield name, [f for f in descriptor.oneofs_by_name[name].fields
                         if getattr(ours, f.message_type.name, None) in among]


def one_value(rng, field, among):
    """The same value as ours and as theirs."""
    if field.message_type is not None:
        return pair(rng, getattr(ours, field.message_type.name), among)
    if field.type in (field.TYPE_INT64, field.TYPE_INT32):
        value = rng.choice([*NUMBERS, -1, -(1 << 31)])
    elif field.type == field.TYPE_UINT64:
        value = rng.choice([*NUMBERS, (1 << 64) - 1])
    elif field.type == field.TYPE_BOOL:
        value = rng.random() < 0.5
    elif field.type == field.TYPE_ENUM:
        value = rng.choice([v.number for v in field.enum_type.values])
    else:
        value = rng.choice({field.TYPE_STRING: TEXTS, field.TYPE_BYTES: BYTES}.get(field.type, NUMBERS))
    return value, value


def put(message, field, value):
    if field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def set_map(rng, field, among, mine, other):
    to = field.message_type.fields_by_name["value"]
    values = {key: one_value(rng, to, among) for key in rng.sample(TEXTS, 2)}
    setattr(mine, field.name, {key: value for key, (value, _) in values.items()})
    for key, (_, value) in values.items():
        if to.message_type is not None:
            getattr(other, field.name)[key].CopyFrom(value)
        else:
            getattr(other, field.name)[key] = value


def pair(rng, of, among):
    """A message by chance, as ours and as theirs."""
    mine, other = of(), THEIRS[of.__name__]()
    for name, fields in fields_of(of, among):
        field = rng.choice(fields)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            set_map(rng, field, among, mine, other)
        elif is_list(field):
            values = [one_value(rng, field, among) for _ in range(rng.randrange(4))]
            setattr(mine, name, [value for value, _ in values])
            getattr(other, field.name).extend(value for _, value in values)
        elif field.containing_oneof is None or rng.random() < 0.8:
            value, same_value = one_value(rng, field, among)
            setattr(mine, name, value)
            put(other, field, same_value)
    return mine, other


def same(a, b):
    """Lists and tuples, bytes and views of them are alike."""
    if isinstance(a, ours.Message):
        return type(a) is type(b) and all(same(getattr(a, f), getattr(b, f)) for f in a.__slots__)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("of", SENT, ids=name_of)
def test_protobuf_reads_what_is_packed(of):
    rng = random.Random(of.__name__)
    for _ in range(ROUNDS):
        mine, other = pair(rng, of, SENT)
        assert THEIRS[of.__name__].FromString(mine.pack()) == other


@pytest.mark.parametrize("of", READ, ids=name_of)
def test_what_protobuf_writes_is_unpacked(of):
    rng = random.Random(of.__name__)
    for _ in range(ROUNDS):
        mine, other = pair(rng, of, READ)
        assert same(of.unpack(other.SerializeToString()), mine)


@pytest.mark.parametrize("of", READ, ids=name_of)
def test_every_cut_and_every_changed_byte_is_refused_or_read(of):
    rng = random.Random(of.__name__)
    data = max((pair(rng, of, READ)[1].SerializeToString() for _ in range(10)), key=len) or b"\x08\x01"
    mutants = [data[:rng.randrange(len(data))] for _ in range(100)]
    for _ in range(400):
        mutant = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        mutants.append(bytes(mutant))
    for mutant in mutants:
        try:
            of.unpack(mutant)
        except DecodeError:
            pass


TENSOR = ours.Tensor("x", 12, [1, 300], 7, 1 << 40, 1200, b"data").pack()


def is_tensor(data):
    try:
        ours.Tensor.unpack(data)
    except DecodeError:
        return False
    return True


def test_a_field_that_is_cut_off_is_refused():
    assert sum(is_tensor(TENSOR[:n]) for n in range(len(TENSOR) + 1)) == 8  # ahead of, between and behind its fields


def test_unknown_fields_are_passed_over():
    extra = b"\xf8\x01\x05" + b"\xf9\x01" + bytes(8) + b"\xfd\x01" + bytes(4) + b"\xfa\x01\x02ab"
    for of in READ:
        assert same(of.unpack(extra), of.unpack(b""))
    assert same(ours.Tensor.unpack(extra + TENSOR + extra), ours.Tensor.unpack(TENSOR))


def test_lists_of_numbers_come_packed_or_one_by_one():
    assert ours.Tensor.unpack(b"\x18\x01\x1a\x02\x02\x03\x18" + b"\xff" * 9 + b"\x01").dims == [1, 2, 3, -1]


@pytest.mark.parametrize("data", [
    b"\x08", b"\x10\x80", b"\x10" + b"\x80" * 10 + b"\x01",   # a number that does not end, or is too long
    b"\x0b", b"\x0c", b"\x0e", b"\x0f",                       # kinds that are none
    b"\x0a\x05ab", b"\x0a" + b"\xff" * 8 + b"\x7fa",          # a text that is longer than all
    b"\x09\0\0", b"\x0d\0",                                  # numbers of eight bytes and four
    b"\x1a\x01\x80\x01"])                                     # a number that goes on behind its list
def test_what_is_no_message(data):
    with pytest.raises(DecodeError):
        ours.Tensor.unpack(data)


@pytest.mark.parametrize("body", [b"\x10", b"\x10\x80", b"\x0a\x03a", b"\x09\0"])
def test_what_goes_on_behind_its_message(body):
    with pytest.raises(DecodeError):
        ours.Inferred.unpack(b"\x0a" + bytes([len(body)]) + body + b"\x10\x01\x10\x01")


def test_the_last_of_a_choice_counts():
    h = messages.handoff
    limits = h.Envelope(seq=5, limits=h.Limits(protocol=1)).SerializeToString()
    error = h.Envelope(seq=5, error=h.Error(code=2)).SerializeToString()
    assert type(ours.Envelope.unpack(limits + error).body) is ours.Error
    assert type(ours.Envelope.unpack(error + limits).body) is ours.Limits


def test_contents_are_not_copied():
    contents = memoryview(bytearray(1 << 16))
    sent = ours.InferRequest("m", ours.TensorData(contents, [1 << 16], "u8"))
    assert any(part is contents for part in sent._parts())
    w = messages.worker
    reply = w.InferResponse(tensor_data=w.TensorData(data=bytes(contents))).SerializeToString()
    assert ours.InferResponse.unpack(reply).tensor_data.data.obj is reply
