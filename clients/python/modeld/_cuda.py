"""CUDA's driver, as far as handing memory over needs it: loaded by its name when it is first wanted, so that a host without one needs
none. Layouts and names are those of cuda.h.

Memory here is the driver's virtual memory: an allocation, mapped at an address, which can be exported to a descriptor.
"""
from __future__ import annotations

import contextlib
import ctypes
import threading
from ctypes import byref, c_char, c_char_p, c_int, c_size_t, c_ubyte, c_uint, c_ulonglong, c_ushort, c_void_p
from typing import Any, Dict, Iterator, Optional, Tuple

from .errors import ModeldError

LIBRARY = "libcuda.so.1"
_PINNED, _DEVICE, _POSIX_FD, _READ_WRITE = 1, 1, 1, 3
_DEVICE_ORDINAL = 9  # CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
_OUT_OF_MEMORY = 2


class _Location(ctypes.Structure):
    _fields_ = [("type", c_int), ("id", c_int)]


class _Flags(ctypes.Structure):
    _fields_ = [("compression", c_ubyte), ("rdma", c_ubyte), ("usage", c_ushort), ("reserved", c_ubyte * 4)]


class _Properties(ctypes.Structure):
    _fields_ = [("type", c_int), ("handle_types", c_int), ("location", _Location), ("unused", c_void_p), ("flags", _Flags)]


class _Access(ctypes.Structure):
    _fields_ = [("location", _Location), ("flags", c_int)]


class _Uuid(ctypes.Structure):
    _fields_ = [("bytes", c_char * 16)]


_CALLS: Dict[str, Tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDeviceGet": (c_void_p, c_int),
    "cuDeviceGetUuid_v2": (c_void_p, c_int),
    "cuDevicePrimaryCtxRetain": (c_void_p, c_int),
    "cuCtxPushCurrent_v2": (c_void_p,),
    "cuCtxPopCurrent_v2": (c_void_p,),
    "cuCtxSynchronize": (),
    "cuPointerGetAttribute": (c_void_p, c_int, c_ulonglong),
    "cuMemGetAddressRange_v2": (c_void_p, c_void_p, c_ulonglong),
    "cuMemcpyDtoD_v2": (c_ulonglong, c_ulonglong, c_size_t),
    "cuMemGetAllocationGranularity": (c_void_p, c_void_p, c_int),
    "cuMemCreate": (c_void_p, c_size_t, c_void_p, c_ulonglong),
    "cuMemRelease": (c_ulonglong,),
    "cuMemRetainAllocationHandle": (c_void_p, c_void_p),
    "cuMemGetAllocationPropertiesFromHandle": (c_void_p, c_ulonglong),
    "cuMemExportToShareableHandle": (c_void_p, c_ulonglong, c_int, c_ulonglong),
    "cuMemAddressReserve": (c_void_p, c_size_t, c_size_t, c_ulonglong, c_ulonglong),
    "cuMemAddressFree": (c_ulonglong, c_size_t),
    "cuMemMap": (c_ulonglong, c_size_t, c_size_t, c_ulonglong, c_ulonglong),
    "cuMemUnmap": (c_ulonglong, c_size_t),
    "cuMemSetAccess": (c_ulonglong, c_size_t, c_void_p, c_size_t),
}


class Driver:
    """The one of this host; see driver()."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as e:
            raise ModeldError("FAILED_PRECONDITION", f"no CUDA driver here: {e}") from None
        for name, arguments in _CALLS.items():
            try:
                call = getattr(self._library, name)
            except AttributeError:
                raise ModeldError("FAILED_PRECONDITION", f"the CUDA driver here has no {name}(): it is too old") from None
            call.argtypes, call.restype = arguments, c_int
        self._library.cuGetErrorName.argtypes = (c_int, c_void_p)
        self._contexts: Dict[int, c_void_p] = {}
        self._lock = threading.Lock()
        self.call("cuInit", 0)

    def call(self, name: str, *arguments: Any) -> None:
        result = getattr(self._library, name)(*arguments)
        if result:
            raise ModeldError("RESOURCE_EXHAUSTED" if result == _OUT_OF_MEMORY else "FAILED_PRECONDITION",
                              f"CUDA: {name}(): {self._name_of(result)}")

    def _name_of(self, result: int) -> str:
        name = c_char_p()
        self._library.cuGetErrorName(result, byref(name))
        return name.value.decode() if name.value else f"error {result}"

    @contextlib.contextmanager
    def on(self, gpu: int) -> Iterator[None]:
        """With its primary context, which the runtime and whoever uses it share."""
        with self._lock:
            if gpu not in self._contexts:
                device, context = c_int(), c_void_p()
                self.call("cuDeviceGet", byref(device), gpu)
                self.call("cuDevicePrimaryCtxRetain", byref(context), device)
                self._contexts[gpu] = context
        self.call("cuCtxPushCurrent_v2", self._contexts[gpu])
        try:
            yield
        finally:
            self.call("cuCtxPopCurrent_v2", byref(c_void_p()))

    def uuid(self, gpu: int) -> str:
        device, uuid = c_int(), _Uuid()
        self.call("cuDeviceGet", byref(device), gpu)
        self.call("cuDeviceGetUuid_v2", byref(uuid), device)
        h = ctypes.string_at(byref(uuid), 16).hex()
        return f"GPU-{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def gpu_of(self, address: int) -> int:
        """The number of the GPU that this is memory of."""
        ordinal = c_int(-1)
        self.call("cuPointerGetAttribute", byref(ordinal), _DEVICE_ORDINAL, address)
        return ordinal.value

    def copy(self, to: int, at: int, nbytes: int) -> None:
        """On the current GPU, after all that it was given."""
        self.call("cuCtxSynchronize")
        self.call("cuMemcpyDtoD_v2", to, at, nbytes)

    def synchronize(self) -> None:
        self.call("cuCtxSynchronize")

    def exportable(self, address: int, nbytes: int) -> Optional[Tuple[int, int, int]]:
        """(start, bytes, descriptor) of the allocation that these bytes lie in; None: it is none that can be exported. The
        descriptor is the caller's."""
        first = self._retain(address)
        if first is None:
            return None
        try:
            start, size = c_ulonglong(), c_size_t()
            self.call("cuMemGetAddressRange_v2", byref(start), byref(size), address)
            if not self._is_whole(first, start.value, size.value, address, nbytes):
                return None
            return start.value, size.value, self._export(first)
        except ModeldError:
            return None
        finally:
            self.call("cuMemRelease", first)

    def _retain(self, address: int) -> Optional[int]:
        handle = c_ulonglong()
        try:
            self.call("cuMemRetainAllocationHandle", byref(handle), address)
        except ModeldError:
            return None
        return handle.value

    def _is_whole(self, handle: int, start: int, size: int, address: int, nbytes: int) -> bool:
        """One allocation from its start to its end, and exportable: an allocator may have put several side by side."""
        properties = _Properties()
        self.call("cuMemGetAllocationPropertiesFromHandle", byref(properties), handle)
        ends = [self._retain(start), self._retain(start + size - 1)]
        for end in ends:
            if end is not None:
                self.call("cuMemRelease", end)
        return (properties.handle_types & _POSIX_FD != 0 and ends == [handle, handle] and start <= address
                and address + nbytes <= start + size)

    def _export(self, handle: int) -> int:
        fd = c_int(-1)
        self.call("cuMemExportToShareableHandle", byref(fd), handle, _POSIX_FD, 0)
        return fd.value


class Allocation:
    """Memory of a GPU of our own, mapped, and a descriptor of it that is the caller's once taken."""

    def __init__(self, cuda: Driver, gpu: int, nbytes: int) -> None:
        self._cuda, self._gpu, self.address, self.fd = cuda, gpu, 0, -1
        self._properties = _Properties(_PINNED, _POSIX_FD, _Location(_DEVICE, gpu))
        with cuda.on(gpu):
            piece = c_size_t()
            cuda.call("cuMemGetAllocationGranularity", byref(piece), byref(self._properties), 0)
            self.size = (nbytes + piece.value - 1) // piece.value * piece.value
            self._make()

    def _make(self) -> None:
        handle = c_ulonglong()
        self._cuda.call("cuMemCreate", byref(handle), self.size, byref(self._properties), 0)
        try:
            self.address = self._map(handle.value)
            self.fd = self._cuda._export(handle.value)
        except BaseException:
            self.close()
            raise
        finally:
            self._cuda.call("cuMemRelease", handle.value)  # what is mapped stays

    def _map(self, handle: int) -> int:
        at, cuda = c_ulonglong(), self._cuda
        cuda.call("cuMemAddressReserve", byref(at), self.size, 0, 0, 0)
        try:
            cuda.call("cuMemMap", at.value, self.size, 0, handle, 0)
            try:
                access = _Access(_Location(_DEVICE, self._gpu), _READ_WRITE)
                cuda.call("cuMemSetAccess", at.value, self.size, byref(access), 1)
            except BaseException:
                cuda.call("cuMemUnmap", at.value, self.size)
                raise
        except BaseException:
            cuda.call("cuMemAddressFree", at.value, self.size)
            raise
        return at.value

    def close(self) -> None:
        address, self.address = self.address, 0
        if address:
            self._cuda.call("cuMemUnmap", address, self.size)
            self._cuda.call("cuMemAddressFree", address, self.size)


_driver: Optional[Driver] = None
_opening = threading.Lock()


def driver() -> Driver:
    """ModeldError: there is none, or it cannot be used."""
    global _driver
    with _opening:
        if _driver is None:
            _driver = Driver()
        return _driver
