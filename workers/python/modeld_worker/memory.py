"""Shared memory: segments and regions of the daemon's side that are mapped here, and the output arena of this worker.

A process writes only the memory that it owns: input segments are mapped read-only. Everything is a memfd whose size
cannot change any more, so that no access can raise SIGBUS. The channel's threads use this under one lock.
"""
import errno
import fcntl
import mmap
import os
import time
import weakref
from bisect import insort

import numpy as np

from .wire import REGION_BIT

SEAL_SEAL, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE, SEAL_FUTURE_WRITE = 1, 2, 4, 8, 16
MADV_DONTFORK, MADV_DONTDUMP, MADV_POPULATE_WRITE = 10, 16, 23
GRANULE = 64
PAGE = mmap.PAGESIZE
# Populated together: fewer system calls, and pages that are next anyway.
CHUNK = 256 * 1024
# Blocks of one size that wait to be used again without being joined to what lies beside them.
SPARE_MAX = 64
SPARE_BYTES_MAX = 64 * 1024
# Descriptors of what others have: a worker has few segments to read, and may have many regions.
KEPT_MAX = 64
# Blocks that models may have kept, before it is asked whether they still do.
KEPT_MANY = 64
# Memory that there was no room for, to be mapped when it is needed.
WANTED_MAX = 64


class MapError(Exception):
    """Memory that cannot be mapped: runs that name it fail."""


class NoRoom(MapError):
    """This process has none for it now."""


class ArenaError(Exception):
    """No output memory; the text is for the client."""


class ArenaFull(ArenaError):
    """There is some, and it is in use."""


class Views:
    """What the daemon has announced, by id. `keeps`: descriptors are kept as well, KEPT_MAX of them at most."""

    def __init__(self, keeps=False):
        self.by_id = {}  # id -> (memoryview to read, one to write or None)
        self._keeps = keeps
        self._kept = {}  # id -> (descriptor, address, size)
        self._wanted = {}  # id -> (descriptor, size, writable): there was no room
        self.on_unmap = lambda id: None

    def map(self, fd, id, size, writable):
        """Takes fd over. KeyError: the id is mapped already; NoRoom: what names it tries again."""
        try:
            if id in self.by_id or id in self._wanted:
                raise KeyError(id)
            self._map(fd, id, size, writable)
        except NoRoom:
            if len(self._wanted) < WANTED_MAX:
                self._wanted[id] = os.dup(fd), size, writable
            raise
        finally:
            os.close(fd)

    def _map(self, fd, id, size, writable):
        self.by_id[id] = _view(fd, id, size, writable)
        if self._keeps and len(self._kept) < KEPT_MAX:
            self._kept[id] = os.dup(fd), np.frombuffer(self.by_id[id][0], np.uint8).ctypes.data, size

    def _map_wanted(self, id):
        try:
            self._map(self._wanted[id][0], id, *self._wanted[id][1:])
        except NoRoom:
            return
        os.close(self._wanted.pop(id)[0])

    def wants(self, id):
        """There is no room to map it."""
        return id in self._wanted

    def unmap(self, id):
        """Arrays that a model has kept stay readable: the mapping goes with the last of them."""
        self.by_id.pop(id, None)
        wanted = self._wanted.pop(id, None)
        if wanted:
            os.close(wanted[0])
        kept = self._kept.pop(id, None)
        if kept:
            self.on_unmap(id)
            os.close(kept[0])

    def find(self, array):
        """(id, offset) of a contiguous array that lies in what descriptors are kept of; None: it does not."""
        at = array.__array_interface__["data"][0]
        for id, (_, address, size) in list(self._kept.items()):
            if address <= at and at + array.nbytes <= address + size:
                return id, at - address
        return None

    def descriptor(self, id):
        """(descriptor, bytes) of what find() has found; borrowed."""
        return self._kept[id][0], self._kept[id][2]

    def readable(self, id):
        """A memoryview, read-only; None where the id is not mapped."""
        view = self._find(id)
        return view and view[0]

    def writable(self, id):
        view = self._find(id)
        return view and view[1]

    def _find(self, id):
        if id in self._wanted:
            self._map_wanted(id)
        return self.by_id.get(id)


def _view(fd, id, size, writable):
    """(read-only memoryview, writable one or None)"""
    needed = SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | (0 if id & REGION_BIT else SEAL_FUTURE_WRITE)
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as e:
        raise MapError(f"no seals: {e.strerror}") from None
    if size == 0 or os.fstat(fd).st_size != size or seals & needed != needed:
        raise MapError("its size or its seals are not as they should be")
    writable = writable and id & REGION_BIT
    if writable and seals & (SEAL_WRITE | SEAL_FUTURE_WRITE):
        raise MapError("it is sealed against writing")
    # Before Linux 6.7 what is sealed F_SEAL_WRITE could not be mapped MAP_SHARED.
    flags = mmap.MAP_PRIVATE if seals & SEAL_WRITE else mmap.MAP_SHARED
    try:
        memory = mmap.mmap(fd, size, flags, mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
    except OSError as e:
        raise (NoRoom if e.errno == errno.ENOMEM else MapError)(e.strerror) from None
    view = memoryview(memory)
    return view.toreadonly(), view if writable else None


class Segment:
    """A memfd that only this process writes, with what is free in it."""

    def __init__(self, id, size):
        self.id = id
        self.size = -(-size // PAGE) * PAGE
        self.fd = os.memfd_create("modeld-output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, self.size)
        os.fchmod(self.fd, 0o600)
        self.memory = mmap.mmap(self.fd, self.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, SEAL_SHRINK | SEAL_GROW | SEAL_FUTURE_WRITE | SEAL_SEAL)
        self.memory.madvise(MADV_DONTDUMP)
        self.memory.madvise(MADV_DONTFORK)
        self.free = [(0, self.size)]  # (offset, bytes), sorted, never side by side
        self.resident = 0  # bytes from the start that have pages
        self.used = 0
        self.idle_since = None

    def close(self):
        os.close(self.fd)
        self.memory = None

    def take(self, size):
        """Offset of `size` bytes, the lowest; None: there is no room."""
        for i, (offset, room) in enumerate(self.free):
            if room >= size:
                if room == size:
                    del self.free[i]
                else:
                    self.free[i] = (offset + size, room - size)
                return offset
        return None

    def give_back(self, offset, size):
        piece = (offset, size)
        insort(self.free, piece)
        i = self.free.index(piece)
        if i + 1 < len(self.free) and offset + size == self.free[i + 1][0]:
            size += self.free.pop(i + 1)[1]
            self.free[i] = (offset, size)
        if i > 0 and sum(self.free[i - 1]) == offset:
            self.free[i - 1] = (self.free[i - 1][0], self.free[i - 1][1] + size)
            del self.free[i]

    def populate(self, end):
        """Pages up to `end`: whoever writes there must not find that the host has none. OSError"""
        end = min(-(-end // CHUNK) * CHUNK, self.size)
        start = self.resident
        if end <= start:
            return
        try:
            self.memory.madvise(MADV_POPULATE_WRITE, start, end - start)
        except OSError as e:
            if e.errno != errno.EINVAL:  # a kernel before 5.14: pages come when they are touched
                raise
        self.resident = end


class Block:
    """Memory of one output, or of one that was joined."""
    __slots__ = ("segment", "offset", "size", "array")

    def __init__(self, segment, offset, size):
        self.segment = segment
        self.offset = offset
        self.size = size
        self.array = None  # weak: what a model was given of it


class Arena:
    """The output memory: a growing set of segments. `made` are to be announced, `idle` to be given up: both by the caller."""

    def __init__(self, setup):
        self.limit = setup.output_bytes
        self.segment_bytes = max(min(setup.output_segment_bytes or self.limit, self.limit), PAGE)
        self.max_segments = setup.output_segments or None
        self.idle_s = setup.output_idle_ms / 1000
        self.used = 0
        self.segments = []
        self.made = []
        self.idle = []
        self._given_up = {}
        self._last_id = 0
        self._spare = {}  # size -> blocks
        self._kept = []  # blocks whose arrays a model still has, or had when that was asked
        self._kept_many = KEPT_MANY  # so many are asked again
        self._add(self.segment_bytes).populate(max(setup.output_populate_first, 1))

    def _add(self, size):
        # The low 16 bits are a place in a table of the daemon's: ids that are in use do not share them.
        used = {s.id & 0xFFFF for s in self.segments} | {id & 0xFFFF for id in self._given_up}
        self._last_id += 1
        while self._last_id & 0xFFFF in used:
            self._last_id += 1
        segment = Segment(self._last_id, size)
        self.segments.append(segment)
        self.made.append(segment)
        return segment

    def allocate(self, length):
        """A Block of at least `length` bytes that have pages. ArenaError"""
        size = -(-length // GRANULE) * GRANULE or GRANULE
        spare = self._spare.get(size)
        if spare:
            block = spare.pop()
            self.used += size
            block.segment.used += size
            return block
        if length > self.limit:
            raise ArenaError(f"takes {length} bytes, more than the worker's output memory of {self.limit} bytes "
                             "([worker] output_arena_bytes)")
        if self.used + size > self.limit:
            raise self._full(length)
        block = self._cut(size)
        try:
            block.segment.populate(block.offset + size)
        except OSError:
            block.segment.give_back(block.offset, size)
            raise ArenaError(f"takes {length} bytes, and the host has no memory for it") from None
        self.used += size
        block.segment.used += size
        return block

    def _full(self, length):
        return ArenaFull(f"takes {length} bytes, and {self.used} of the worker's {self.limit} bytes of output memory "
                          "are in use ([worker] output_arena_bytes)")

    def _cut(self, size):
        block = self._cut_from_segments(size)
        if not block:
            self._join_spare()
            self._look_at_kept()
            block = self._cut_from_segments(size)
        if block:
            return block
        if self.max_segments and len(self.segments) + len(self._given_up) >= self.max_segments or \
                self._extra() + max(size, self.segment_bytes) > self.limit:
            raise self._full(size)
        try:
            segment = self._add(max(size, self.segment_bytes))
        except OSError as e:
            raise ArenaError(f"takes {size} bytes, and the host gives no memory: {e.strerror}") from None
        return Block(segment, segment.take(size), size)

    def _extra(self):
        """Bytes of all segments but the first."""
        return sum(s.size for s in self.segments[1:]) + sum(s.size for s in self._given_up.values())

    def _cut_from_segments(self, size):
        for segment in self.segments:
            offset = segment.take(size)
            if offset is not None:
                segment.idle_since = None
                return Block(segment, offset, size)
        return None

    def release(self, block):
        """Nobody reads it any more. While a model has an array of it, it is not lent to another."""
        array = block.array
        if array is not None:
            if array() is not None:
                self._kept.append(block)
                if len(self._kept) >= self._kept_many:
                    self._look_at_kept()
                return
            block.array = None
        size = block.size
        self.used -= size
        block.segment.used -= size
        spare = self._spare.setdefault(size, [])
        if size <= SPARE_BYTES_MAX and len(spare) < SPARE_MAX:
            spare.append(block)
        else:
            block.segment.give_back(block.offset, size)

    def guard(self, block, array):
        block.array = weakref.ref(array)

    def _look_at_kept(self):
        kept, self._kept = self._kept, []
        self._kept_many = len(kept) + 1  # not in between
        for block in kept:
            self.release(block)
        self._kept_many = 2 * len(self._kept) + KEPT_MANY

    def _join_spare(self):
        for blocks in self._spare.values():
            for block in blocks:
                block.segment.give_back(block.offset, block.size)
        self._spare.clear()

    def tick(self):
        """What was idle for long is given up, but for the first segment. Now and then."""
        now = time.monotonic()
        self._look_at_kept()
        if len(self.segments) == 1:
            return
        self._join_spare()
        for segment in self.segments[1:]:
            if segment.used or segment in self.made:
                segment.idle_since = None
            elif segment.idle_since is None:
                segment.idle_since = now
            elif now - segment.idle_since >= self.idle_s:
                self.segments.remove(segment)
                self._given_up[segment.id] = segment
                self.idle.append(segment.id)

    def unmapped(self, id):
        """The daemon has let go of it. KeyError: it was not given up."""
        self._given_up.pop(id).close()
