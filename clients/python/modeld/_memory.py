"""Shared memory that the daemon lent: regions, and the blocks of them that arrays lie in.

A block goes back to its region when the last array over it is collected, and is handed out again only then. Regions
are kept for the arrays to come, at most as much as is in use or KEEP_BYTES and KEEP_REGIONS that are empty, and one that was empty and not wanted for
IDLE_S is given back to the daemon, by a thread that is there while there are regions.

A child made by fork() inherits the mappings. It drops those without arrays at once; those that arrays of before lie in stay
the parent's memory: its pages go when the parent is done with the region, whoever has it mapped.
"""
from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time
import weakref
from typing import Callable, List, Optional, Tuple

import numpy as np

from .errors import ConnectionLost, ModeldError

ALIGN = 64
REGION_MIN = 16 << 20
PAGE = mmap.PAGESIZE
KEEP_BYTES = 256 << 20
KEEP_REGIONS = 64
IDLE_S = 5.0
# Memory that was given back is charged until the last worker has unmapped it.
_UNMAP_S = 1.0


def room_for(length: int) -> int:
    return max(ALIGN, (length + ALIGN - 1) // ALIGN * ALIGN)


_memories: "weakref.WeakSet[Memory]" = weakref.WeakSet()
_forked = False


def _note_fork() -> None:
    global _forked
    _forked = True


def _drop_in_child() -> None:
    for memory in _memories:
        memory.drop()


os.register_at_fork(before=_note_fork, after_in_child=_drop_in_child)


class Region:
    """One memfd, mapped; free space as a sorted list of (offset, length)."""

    _pid = -1

    def __init__(self, number: int, token: bytes, size: int, fd: int) -> None:
        self.number, self.token, self.size = number, token, size
        try:
            # Sealed, it cannot be cut short under a reader.
            if size == 0 or not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
                raise ValueError("it is empty, or not sealed")
            self.map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except (OSError, ValueError, OverflowError) as e:
            raise ConnectionLost(f"the daemon's answer has no descriptor of a region of {size} bytes: {e}") from None
        self.address = np.frombuffer(self.map, np.uint8).__array_interface__["data"][0]
        self.free: List[Tuple[int, int]] = [(0, size)]
        self.used = 0
        self.wanted = True  # since the thread looked last
        self._pid = os.getpid()

    def __del__(self) -> None:
        if _forked and os.getpid() == self._pid:
            try:
                self.map.madvise(mmap.MADV_REMOVE)
            except (OSError, ValueError):
                pass  # only where a child has it mapped does it make a difference

    def take(self, block: "Block", room: int) -> bool:
        for i, (start, there) in enumerate(self.free):
            if there >= room:
                self._cut(i, start, block, room)
                return True
        return False

    def holds(self, array: np.ndarray) -> bool:
        offset: int = array.__array_interface__["data"][0] - self.address
        return 0 <= offset and offset + array.nbytes <= self.size

    def take_at(self, block: "Block", offset: int, room: int) -> bool:
        for i, (start, there) in enumerate(self.free):
            if start <= offset and offset + room <= start + there:
                self._cut(i, offset, block, room)
                return True
        return False

    # An exception out of a signal handler may come after any call: what belongs together is one statement, without one.
    def _cut(self, i: int, offset: int, block: "Block", room: int) -> None:
        start, there = self.free[i]
        parts = [(start, offset - start), (offset + room, start + there - offset - room)]
        parts = [part for part in parts if part[1]]
        self.free[i:i + 1], self.used, self.wanted, block.offset, block.room = parts, self.used + room, True, offset, room

    def with_free(self, offset: int, room: int) -> List[Tuple[int, int]]:
        """What is free when this is, too."""
        merged: List[Tuple[int, int]] = []
        for at, n in sorted([*self.free, (offset, room)]):
            if merged and merged[-1][0] + merged[-1][1] == at:
                merged[-1] = (merged[-1][0], merged[-1][1] + n)
            else:
                merged.append((at, n))
        return merged


class Block:
    """Memory of one array. numpy keeps it alive through __array_interface__."""

    room = 0  # bytes that were taken of the region, from offset on

    def __init__(self, memory: "Memory", region: Region, length: int) -> None:
        """Nothing is taken of the region yet."""
        self._memory, self.region, self.length = memory, region, length
        self.offset = 0

    @property
    def __array_interface__(self) -> dict:
        return {"version": 3, "shape": (self.length,), "typestr": "|u1",
                "data": (self.region.address + self.offset, False)}

    def array(self, dtype: np.dtype, shape: Tuple[int, ...], nbytes: int) -> np.ndarray:
        return np.asarray(self)[:nbytes].view(dtype).reshape(shape)

    def bytes(self, nbytes: int) -> memoryview:
        return memoryview(self.region.map)[self.offset:self.offset + nbytes]

    def trim(self, length: int) -> None:
        """No more than this is needed of it. Before there is an array over it."""
        room = room_for(length)
        if room < self.room:
            surplus = (self.region, self.offset + room, self.room - room)
            self.length, self.room = length, room
            self._memory.give(*surplus)

    def __del__(self) -> None:
        if self.room:
            self._memory.give(self.region, self.offset, self.room)


class Memory:
    """All regions of a connection. allocate(size, end) -> Region asks the daemon, until then (of time.monotonic(); None: for
    ever): TimeoutError; release(region) gives it back, at once."""

    def __init__(self, allocate: Callable[[int, Optional[float]], Region], release: Callable[[Region], None]) -> None:
        self._allocate, self._release = allocate, release
        self._regions: List[Region] = []
        self._returned: List[Tuple[Region, int, int]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watched = False
        self._pid = os.getpid()
        weakref.finalize(self, self._ended.set)
        _memories.add(self)

    def drop(self) -> None:
        """In a child, where there is no thread but this one: a lock may be held by one that is not there."""
        self._lock, self._ended, self._regions, self._returned = threading.Lock(), threading.Event(), [], []
        self._ended.set()

    def close(self) -> None:
        """Nothing is lent any more. Regions that arrays lie in live as long as these."""
        self._ended.set()
        with self._lock:
            self._settle()
            self._regions.clear()

    def take(self, length: int, end: Optional[float] = None) -> Block:
        """end: as of allocate."""
        if os.getpid() != self._pid:
            # The parent's free space is not ours to give.
            raise ConnectionLost("this memory was lent before fork(): connect anew in the child")
        room = room_for(length)
        return self._find_room(length, room) or self._take_new(length, room, end)

    def _find_room(self, length: int, room: int) -> Optional[Block]:
        with self._lock:
            self._settle()
            for region in self._regions:
                block = Block(self, region, length)
                if region.take(block, room):
                    return block
        return None

    def _take_new(self, length: int, room: int, end: Optional[float]) -> Block:
        """No region is kept meanwhile, by a name here either: one that is given back counts until it is unmapped."""
        region = self._make(room, end)
        block = Block(self, region, length)
        taken = region.take(block, room)
        assert taken
        self._add(region)
        return block

    def adopt(self, region: Region, pieces: List[Tuple[int, int]]) -> List[Optional[Block]]:
        """A region of the daemon's making, with a block for each piece (offset, length); None: it has no bytes."""
        blocks: List[Optional[Block]] = []
        for offset, length in pieces:
            block = Block(self, region, length) if length else None
            if block and not region.take_at(block, offset, room_for(length)):
                raise ConnectionLost("the daemon's answer names memory outside of its region, or twice")
            blocks.append(block)
        self._add(region)
        return blocks

    def _make(self, room: int, end: Optional[float]) -> Region:
        """A little larger, as the next one may be."""
        size = max(REGION_MIN, (room + room // 8 + PAGE - 1) // PAGE * PAGE)
        again_until = time.monotonic() + _UNMAP_S
        while True:
            try:
                return self._allocate(size, end)
            except ModeldError as e:
                if e.code != "RESOURCE_EXHAUSTED" or time.monotonic() > again_until:
                    raise
            size = (room + PAGE - 1) // PAGE * PAGE
            if not self._give_back(lambda region: True):
                again_until = 0.0
            time.sleep(0.01)

    def _add(self, region: Region) -> None:
        with self._lock:
            self._regions.append(region)
            keep = max(KEEP_BYTES, sum(r.used for r in self._regions))
            start = not self._watched
            self._watched = True
        # The empty ones were too small; what is kept of them, the newest, may serve smaller arrays.
        kept, n = 0, 0

        def is_surplus(empty: Region) -> bool:
            nonlocal kept, n
            kept, n = kept + empty.size, n + 1
            return kept > keep or n > KEEP_REGIONS

        self._give_back(is_surplus)
        if start:
            threading.Thread(target=_give_back_idle, args=(weakref.ref(self), self._ended), daemon=True,
                             name="modeld-memory").start()

    def _give_back(self, which: Callable[[Region], bool]) -> int:
        """Give empty regions back to the daemon, newest first; returns how many."""
        with self._lock:
            self._settle()
            gone = [r for r in reversed(self._regions) if r.used == 0 and which(r)]
            self._regions = [r for r in self._regions if r not in gone]
        for region in gone:
            self._release(region)
        return len(gone)

    def give_back_idle(self) -> bool:
        """What was not wanted since the last call. False: there are no regions left."""
        self._give_back(lambda region: not region.wanted)
        with self._lock:
            for region in self._regions:
                region.wanted = region.used > 0
            self._watched = bool(self._regions)
            return self._watched

    def give(self, region: Region, offset: int, room: int) -> None:
        """From a destructor, on any thread, perhaps inside take(): only note it (list.append is atomic)."""
        if not self._ended.is_set():
            self._returned.append((region, offset, room))

    def _settle(self) -> None:
        while self._returned:
            region, offset, room = self._returned[0]
            free = region.with_free(offset, room)
            region.free, region.used, self._returned[:1] = free, region.used - room, []

    def find(self, array: np.ndarray) -> Optional[Tuple[Region, int]]:
        """Where a contiguous array lies, if in one of our regions."""
        address = array.__array_interface__["data"][0]
        for region in self._regions:
            offset = address - region.address
            if 0 <= offset and offset + array.nbytes <= region.size:
                return region, offset
        return None

    def regions(self) -> List[Region]:
        with self._lock:
            return list(self._regions)

    @property
    def bytes_used(self) -> int:
        with self._lock:
            self._settle()
            return sum(r.used for r in self._regions)

    @property
    def bytes_lent(self) -> int:
        """All regions, used or not."""
        with self._lock:
            return sum(r.size for r in self._regions)


def _give_back_idle(of: "weakref.ref[Memory]", ended: threading.Event) -> None:
    while not ended.wait(IDLE_S):
        memory = of()
        if memory is None or not memory.give_back_idle():
            return
        del memory
