"""The output arena's books, and what is mapped of others."""
import errno
import fcntl
import gc
import os
import random

import numpy as np
import pytest

from modeld_worker import memory, wire
from modeld_worker.memory import SEAL_FUTURE_WRITE, SEAL_GROW, SEAL_SEAL, SEAL_SHRINK, Arena, ArenaError, MapError, Views


def arena(**values):
    given = {"output_bytes": 1 << 20, "output_segment_bytes": 1 << 18, "output_segments": 8, "holds": 10}
    return Arena(wire.Setup(**{**given, **values}))


def test_blocks_never_overlap_and_all_comes_back():
    a, rng = arena(), random.Random(2)
    held = []
    for _ in range(3000):
        if held and rng.random() < 0.5:
            a.release(held.pop(rng.randrange(len(held))))
            continue
        try:
            held.append(a.allocate(rng.choice([0, 1, 64, 65, 5000, 70000, 200000])))
        except ArenaError as e:
            assert "in use" in str(e)
        taken = sorted((b.segment.id, b.offset, b.size) for b in held)
        for (s, at, size), (s2, at2, _) in zip(taken, taken[1:]):
            assert s != s2 or at + size <= at2
        assert all(at + size <= 1 << 18 for _, at, size in taken)
        assert a.used == sum(b.size for b in held) <= a.limit
    for b in held:
        a.release(b)
    a._join_spare()
    assert a.used == 0 and all(s.free == [(0, s.size)] and s.used == 0 for s in a.segments)


def test_segments_are_sealed_and_writable_by_their_owner_alone():
    a = arena()
    segment = a.made[0]
    assert fcntl.fcntl(segment.fd, fcntl.F_GET_SEALS) == SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_FUTURE_WRITE
    b = a.allocate(100)
    segment.memory[b.offset:b.offset + 3] = b"abc"
    assert os.pread(segment.fd, 3, b.offset) == b"abc"
    with pytest.raises(OSError):
        os.pwrite(segment.fd, b"x", 0)
    assert os.fstat(segment.fd).st_mode & 0o777 == 0o600


def test_limits():
    a = arena()
    with pytest.raises(ArenaError, match="more than the worker's output memory"):
        a.allocate((1 << 20) + 1)
    large = a.allocate(700_000)  # a segment of its own
    assert large.segment.size == -(-700_000 // 4096) * 4096 and len(a.made) == 2
    with pytest.raises(ArenaError, match="in use"):
        a.allocate(400_000)
    a.release(large)


def test_an_idle_segment_is_given_up_and_closed_when_the_daemon_says_so():
    a = arena(output_idle_ms=0)
    first, second = a.allocate(1 << 18), a.allocate(1 << 17)
    a.made.clear()
    a.release(second)
    a.tick()
    a.tick()
    assert a.idle == [2] and len(a.segments) == 1
    with pytest.raises(KeyError):
        a.unmapped(1)
    a.unmapped(2)
    assert a.allocate(1 << 17).segment.id == 3
    a.release(first)


def test_what_a_model_keeps_is_not_lent_again():
    a = arena(output_bytes=4096, output_segment_bytes=4096)
    b = a.allocate(4096)
    array = np.ndarray(1024, np.float32, b.segment.memory, b.offset)
    a.guard(b, array)
    view = array[5:]
    a.release(b)
    del array
    with pytest.raises(ArenaError):
        a.allocate(4096)
    del view
    gc.collect()
    a.tick()
    assert a.allocate(4096).offset == 0


ALL = SEAL_SEAL | SEAL_SHRINK | SEAL_GROW


def memfd(data, seals):
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def test_segments_are_read_only():
    v = Views()
    v.map(memfd(b"hello", ALL | SEAL_FUTURE_WRITE), 7, 5, True)
    assert bytes(v.readable(7)) == b"hello" and v.readable(7).readonly and v.writable(7) is None
    with pytest.raises(KeyError):
        v.map(memfd(b"hello", ALL | SEAL_FUTURE_WRITE), 7, 5, False)
    kept = v.readable(7)
    v.unmap(7)
    assert v.readable(7) is None and bytes(kept) == b"hello"


def test_regions_may_be_writable():
    v, id = Views(), wire.REGION_BIT | 1
    fd = memfd(b"hello", ALL)
    mine = os.dup(fd)
    v.map(fd, id, 5, True)
    v.writable(id)[:2] = b"xy"
    assert os.pread(mine, 5, 0) == b"xyllo" and v.readable(id).readonly
    os.close(mine)
    v.map(memfd(b"const", ALL | 8), id + 1, 5, False)
    assert bytes(v.readable(id + 1)) == b"const"


@pytest.mark.parametrize("id, seals, size, writable", [
    (7, ALL, 5, False), (7, SEAL_SEAL | SEAL_SHRINK | SEAL_FUTURE_WRITE, 5, False), (7, ALL | SEAL_FUTURE_WRITE, 6, False),
    (7, ALL | SEAL_FUTURE_WRITE, 0, False), (wire.REGION_BIT | 7, ALL | 8, 5, True)])
def test_what_is_not_mapped(id, seals, size, writable):
    v = Views()
    with pytest.raises(MapError):
        v.map(memfd(b"hello", seals), id, size, writable)
    assert v.readable(id) is None


def test_what_there_is_no_room_for_is_mapped_when_there_is(monkeypatch):
    v, room = Views(), memory.mmap.mmap

    def full(*_):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    before = len(os.listdir("/proc/self/fd"))
    for id in (7, 8):
        monkeypatch.setattr(memory.mmap, "mmap", full)
        with pytest.raises(memory.NoRoom):
            v.map(memfd(b"hello", ALL | SEAL_FUTURE_WRITE), id, 5, False)
        assert v.wants(id) and v.readable(id) is None and v.writable(id) is None
        with pytest.raises(KeyError):
            v.map(memfd(b"hello", ALL | SEAL_FUTURE_WRITE), id, 5, False)
        monkeypatch.setattr(memory.mmap, "mmap", room)
        if id == 7:
            assert bytes(v.readable(id)) == b"hello" and not v.wants(id)
        v.unmap(id)
        assert not v.wants(id) and v.readable(id) is None
    assert len(os.listdir("/proc/self/fd")) == before
