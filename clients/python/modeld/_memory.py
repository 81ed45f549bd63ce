"""Shared memory that the daemon lent: regions, and the blocks of them that arrays lie in.

A block goes back to its region when the last array over it is collected; a region goes back to the daemon when
it is empty and another one is, too (one is kept for the next array).
"""
from __future__ import annotations

import mmap
import os
import threading
from typing import Callable, List, Optional, Tuple

import numpy as np

from .errors import ConnectionLost

ALIGN = 64
REGION_MIN = 16 << 20
PAGE = mmap.PAGESIZE


class Region:
    """One memfd, mapped; free space as a sorted list of (offset, length)."""

    def __init__(self, number: int, token: bytes, size: int, fd: int) -> None:
        self.number, self.token, self.size = number, token, size
        self.map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self.address = np.frombuffer(self.map, np.uint8).__array_interface__["data"][0]
        self.free: List[Tuple[int, int]] = [(0, size)]
        self.used = 0

    def take(self, length: int) -> Optional[int]:
        for i, (offset, room) in enumerate(self.free):
            if room >= length:
                if room == length:
                    del self.free[i]
                else:
                    self.free[i] = (offset + length, room - length)
                self.used += length
                return offset
        return None

    def give(self, offset: int, length: int) -> None:
        self.used -= length
        self.free.append((offset, length))
        self.free.sort()
        merged: List[Tuple[int, int]] = []
        for at, n in self.free:
            if merged and merged[-1][0] + merged[-1][1] == at:
                merged[-1] = (merged[-1][0], merged[-1][1] + n)
            else:
                merged.append((at, n))
        self.free = merged


class Block:
    """Memory of one array. numpy keeps it alive through __array_interface__."""

    def __init__(self, memory: "Memory", region: Region, offset: int, length: int, room: int) -> None:
        self._memory, self.region, self.offset, self.length, self._room = memory, region, offset, length, room
        self.__array_interface__ = {"version": 3, "shape": (length,), "typestr": "|u1",
                                    "data": (region.address + offset, False)}

    def array(self, dtype: np.dtype, shape: Tuple[int, ...], nbytes: int) -> np.ndarray:
        return np.asarray(self)[:nbytes].view(dtype).reshape(shape)

    def bytes(self, nbytes: int) -> memoryview:
        return memoryview(self.region.map)[self.offset:self.offset + nbytes]

    def __del__(self) -> None:
        self._memory.give(self.region, self.offset, self._room)


class Memory:
    """All regions of a connection. allocate(size) -> Region asks the daemon; release(region) gives it back."""

    def __init__(self, allocate: Callable[[int], Region], release: Callable[[Region], None]) -> None:
        self._allocate, self._release = allocate, release
        self._regions: List[Region] = []
        self._returned: List[Tuple[Region, int, int]] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def take(self, length: int) -> Block:
        if os.getpid() != self._pid:
            # The parent's free space is not ours to give.
            raise ConnectionLost("this memory was lent before fork(): connect anew in the child")
        room = max(ALIGN, (length + ALIGN - 1) // ALIGN * ALIGN)
        with self._lock:
            self._settle()
            for region in self._regions:
                offset = region.take(room)
                if offset is not None:
                    return Block(self, region, offset, length, room)
            size = max(REGION_MIN, (room + PAGE - 1) // PAGE * PAGE)
            region = self._allocate(size)
            self._regions.append(region)
            offset = region.take(room)
            assert offset is not None
            return Block(self, region, offset, length, room)

    def give(self, region: Region, offset: int, room: int) -> None:
        """From a destructor, on any thread, perhaps inside take(): only note it (list.append is atomic)."""
        self._returned.append((region, offset, room))

    def _settle(self) -> None:
        while self._returned:
            region, offset, room = self._returned.pop()
            region.give(offset, room)
        empty = [r for r in self._regions if r.used == 0]
        for region in empty[1:]:
            self._regions.remove(region)
            self._release(region)

    def find(self, array: np.ndarray) -> Optional[Tuple[Region, int]]:
        """Where a contiguous array lies, if in one of our regions."""
        address = array.__array_interface__["data"][0]
        for region in self._regions:
            offset = address - region.address
            if 0 <= offset and offset + array.nbytes <= region.size:
                return region, offset
        return None

    @property
    def bytes_used(self) -> int:
        with self._lock:
            self._settle()
            return sum(r.used for r in self._regions)
