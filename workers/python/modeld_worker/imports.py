"""Memory on the worker's GPU that clients hand over (Import): mapped here, so that models are given their tensors where they lie,
and what they give on the GPU is copied to its target there. By CUDA's driver, which is loaded when the first of it comes.

It is mapped for reading and, where outputs may go there, once more for writing; models see the former alone.
"""
import contextlib
import threading
from ctypes import byref, c_int, c_size_t, c_ulonglong, c_void_p
from math import prod

import numpy as np

from . import dtypes, wire
from .client import _cuda, _dlpack
from .client.errors import ModeldError
from .errors import Fatal
from .given import INTERNAL, RunError, check_output, refused
from .memory import GRANULE

INVALID, EXHAUSTED = 3, 8
_GPU = 0  # the only one that is to be seen
_POSIX_FD, _DEVICE = 1, 1
_READ, _READ_WRITE = 1, 3
_INVALID_VALUE, _OUT_OF_MEMORY, _NOT_SUPPORTED = 1, 2, 801
# Errors below 700 that stick to the context; and those above that do not. docs/gpu.md has them all.
_STICKY, _PASSING = {4, 214, 220, 226}, {701, 704, 705, 712, 713, 720, 800, 801, *range(900, 908)}
_CALLS = {
    "cuMemImportFromShareableHandle": (c_void_p, c_void_p, c_int),
    "cuMemcpyDtoH_v2": (c_void_p, c_ulonglong, c_size_t),
    "cuMemcpyHtoD_v2": (c_ulonglong, c_void_p, c_size_t),
    "cuMemAlloc_v2": (c_void_p, c_size_t),
    "cuMemFree_v2": (c_ulonglong,),
}


class CudaError(RunError):
    """A call has failed, and the context has not."""

    def __init__(self, result, text):
        super().__init__(EXHAUSTED if result == _OUT_OF_MEMORY else INTERNAL, text)
        self.result = result


class _Driver(_cuda.Driver):
    def __init__(self):
        super().__init__()
        for name, arguments in _CALLS.items():
            call = getattr(self._library, name)
            call.argtypes, call.restype = arguments, c_int

    def call(self, name, *arguments):
        result = getattr(self._library, name)(*arguments)
        if name == "cuCtxPopCurrent_v2":
            return  # what was done with the context has said what there is to say
        if result in _STICKY or result >= 700 and result not in _PASSING:
            raise Fatal(f"CUDA: {name}(): {self._name_of(result)}")
        if result:
            raise CudaError(result, f"CUDA: {name}(): {self._name_of(result)}")


class _Region:
    """A client's memory, mapped as long as somebody has it: what a model has kept of it can be read still."""

    def __init__(self, cuda, fd, size, writable):
        self._cuda, self.size = cuda, size
        self._mapped = []  # (address, bytes)
        self.data = self.target = 0
        handle = c_ulonglong()
        with cuda.on(_GPU):
            cuda.call("cuMemImportFromShareableHandle", byref(handle), fd, _POSIX_FD)
            try:
                nbytes = self._look_at(handle.value)
                self.data = self._map(handle.value, nbytes, writable=False)
                self.target = self._map(handle.value, nbytes, writable=True) if writable else 0
            finally:
                cuda.call("cuMemRelease", handle.value)  # what is mapped stays

    def _look_at(self, handle):
        """Bytes to be mapped: whole pieces of the driver's."""
        properties, piece = _cuda._Properties(), c_size_t()
        self._cuda.call("cuMemGetAllocationPropertiesFromHandle", byref(properties), handle)
        if (properties.location.type, properties.location.id) != (_DEVICE, _GPU):
            raise RunError(INVALID, "it is another device's")
        self._cuda.call("cuMemGetAllocationGranularity", byref(piece), byref(properties), 0)
        return -(-self.size // piece.value) * piece.value

    def _map(self, handle, nbytes, writable):
        at, call = c_ulonglong(), self._cuda.call
        if nbytes > wire.I64_MAX:
            raise RunError(INVALID, "it is smaller than that")
        call("cuMemAddressReserve", byref(at), nbytes, 0, 0, 0)
        try:
            call("cuMemMap", at.value, nbytes, 0, handle, 0)
        except CudaError as e:
            call("cuMemAddressFree", at.value, nbytes)
            raise RunError(INVALID, "it is smaller than that") if e.result == _INVALID_VALUE else e from None
        self._mapped.append((at.value, nbytes))
        self._set_access(at.value, nbytes, _READ_WRITE if writable else _READ)
        return at.value

    def _set_access(self, at, nbytes, flags):
        access = _cuda._Access(_cuda._Location(_DEVICE, _GPU), flags)
        try:
            self._cuda.call("cuMemSetAccess", at, nbytes, byref(access), 1)
        except CudaError as e:
            if e.result != _NOT_SUPPORTED or flags == _READ_WRITE:
                raise
            self._set_access(at, nbytes, _READ_WRITE)

    def __del__(self):
        # A context that is lost says so to whoever uses it next.
        with contextlib.suppress(RunError, Fatal), self._cuda.on(_GPU):
            for at, nbytes in self._mapped:
                self._cuda.call("cuMemUnmap", at, nbytes)
                self._cuda.call("cuMemAddressFree", at, nbytes)


class _Copy:
    """Of a tensor that lies where no kernel would look for one: a client may let it begin anywhere."""

    def __init__(self, cuda, address, nbytes):
        self._cuda, self.data = cuda, c_ulonglong()
        with cuda.on(_GPU):
            cuda.call("cuMemAlloc_v2", byref(self.data), nbytes)
            cuda.call("cuMemcpyDtoD_v2", self.data.value, address, nbytes)
            cuda.call("cuCtxSynchronize")

    def __del__(self):
        if self.data:
            with contextlib.suppress(RunError, Fatal), self._cuda.on(_GPU):
                self._cuda.call("cuMemFree_v2", self.data)


class DeviceArray:
    """An input on the GPU, where it lies: torch.from_dlpack(x), torch.as_tensor(x, device="cuda") and cupy.asarray(x) take it without a
    copy. It can only be read. To numpy it is a copy on the host. `kind` is modeld's name of its dtype; bf16 is its bits to numpy."""

    def __init__(self, cuda, number, shape, address, keep):
        self.kind, self.dtype, self.shape = dtypes.NAMES[number], dtypes.NUMPY[number], tuple(shape)
        self._cuda, self.address, self._keep = cuda, address, keep

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def nbytes(self):
        return prod(self.shape) * self.dtype.itemsize

    def __len__(self):
        return self.shape[0]

    @property
    def __cuda_array_interface__(self):
        # Not said to be read-only: torch refuses what is.
        return {"version": 3, "shape": self.shape, "typestr": self.dtype.str, "data": (self.address, False), "strides": None,
                "stream": None}

    def __dlpack_device__(self):
        return _dlpack.CUDA, _GPU

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("a tensor on the GPU is given where it lies, without a copy")
        return _dlpack.capsule(self.kind, self.shape, self.address, _GPU, self)

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("a tensor on the GPU is copied to the host")
        array = np.empty(self.shape, self.dtype)
        _read(self._cuda, array, self.address)
        return array if dtype is None else array.astype(dtype)

    def __repr__(self):
        return f"DeviceArray({self.kind}, {list(self.shape)}, cuda:{_GPU})"


def _read(cuda, array, address):
    if array.nbytes:
        with cuda.on(_GPU):
            cuda.call("cuCtxSynchronize")
            cuda.call("cuMemcpyDtoH_v2", array.ctypes.data, address, array.nbytes)


class Imports:
    """All of a worker. Any thread."""

    def __init__(self):
        self._by_id = {}  # id -> _Region; why it could not be had, a str
        self._cuda = None
        self._opening = threading.Lock()

    def _driver(self):
        with self._opening:
            if self._cuda is None:
                self._cuda = _Driver()
            return self._cuda

    def add(self, m, fd):
        """Of an Import and its descriptor, None: it had a handle. Why it cannot be had, for people; "". What could not be had may come
        again. KeyError: its id is in use. Fatal"""
        if type(self._by_id.get(m.id, "")) is not str:
            raise KeyError(m.id)
        self._by_id[m.id] = found = self._map(m, fd)
        return found if type(found) is str else ""

    def _map(self, m, fd):
        """Its _Region, or why there is none. Fatal"""
        if fd is None:
            return "workers of models in Python take no memory by its handle"
        try:
            return _Region(self._driver(), fd, m.size, m.writable)
        except ModeldError as e:
            return e.message
        except (RunError, AttributeError) as e:
            return str(e)

    def drop(self, id):
        self._by_id.pop(id, None)

    def names(self, item):
        """Does it name such memory?"""
        return self._cuda is not None and any(t.arena in self._by_id for of in (item.inputs, item.targets) for t in of)

    def settle(self):
        """All that was begun on the GPU has ended: what its memory has is the client's again. Fatal, CudaError"""
        with self._cuda.on(_GPU):
            self._cuda.call("cuCtxSynchronize")

    def _place(self, t, what, writing=False):
        """(region, address) of what a tensor or a target names."""
        region = self._by_id[t.arena]
        if type(region) is str:
            raise RunError(INVALID, f"{what}: the memory of its region, on the GPU, cannot be had: {region}")
        base = region.target if writing else region.data
        if not base or t.length > region.size or t.offset > region.size - t.length:
            raise RunError(INTERNAL, f"{what}: its span is outside of its memory")
        return region, base + t.offset

    # --- Inputs -------------------------------------------------------------------------------

    def input(self, want, t):
        """What the model is given, a checked tensor; None: it is not on the GPU. RunError, Fatal"""
        if t.arena not in self._by_id:
            return None
        region, address = self._place(t, f"input '{want.name}'")
        if t.dtype == dtypes.BYTES:
            data = np.empty(t.length, np.uint8)
            _read(self._cuda, data, address)
            try:
                return dtypes.unpack_bytes(data, tuple(t.dims))
            except ValueError as e:
                raise RunError(INVALID, f"input '{want.name}': {e}") from None
        if t.offset % GRANULE and t.length:
            region = _Copy(self._cuda, address, t.length)
            address = region.data.value
        return DeviceArray(self._cuda, t.dtype, t.dims, address, region)

    # --- Outputs ------------------------------------------------------------------------------

    def output(self, model, k, given, targets):
        """The Tensor at the target of output k on the GPU; None: it has none there, or is larger. RunError, Fatal"""
        target = next((t for t in targets if t.output == k and t.arena in self._by_id), None)
        if target is None:
            return None
        address = self._place(target, f"output '{model.outputs[k].name}'", writing=True)[1]
        there = self._on_gpu(model.outputs[k], given.get(k))
        number, shape, length = self._copy(there, address, target) if there else self._write(model, k, given, address, target)
        if length > target.length:
            return None
        return wire.Tensor(index=k, dtype=number, dims=shape, arena=target.arena, generation=target.generation,
                           offset=target.offset, length=length)

    def _copy(self, there, address, target):
        number, shape, source, nbytes, _ = there
        if 0 < nbytes <= target.length:
            with self._cuda.on(_GPU):
                self._cuda.copy(address, source, nbytes)
                self._cuda.call("cuCtxSynchronize")
        return number, shape, nbytes

    def _write(self, model, k, given, address, target):
        """What the model gave on the host."""
        array, number = check_output(model, k, given)
        shape = array.shape
        if number == dtypes.BYTES:
            array = np.frombuffer(dtypes.pack_bytes(array), np.uint8)
        elif number != dtypes.BF16:
            array = np.ascontiguousarray(array, dtypes.NUMPY[number])
        array = np.ascontiguousarray(array)
        if 0 < array.nbytes <= target.length:
            with self._cuda.on(_GPU):
                self._cuda.call("cuMemcpyHtoD_v2", address, array.ctypes.data, array.nbytes)
        return number, shape, array.nbytes

    @staticmethod
    def _on_gpu(want, value):
        """(dtype, shape, address, bytes, what it lives as long as) of what a model gave there; None: it is elsewhere."""
        if isinstance(value, DeviceArray):
            found = _dlpack.Given(value.kind, value.shape, value.address, value.nbytes, value)
        else:
            for step in ("detach", "contiguous"):  # torch
                value = getattr(value, step)() if hasattr(value, step) else value
            if value is None or not _dlpack.is_on_device(value):
                return None
            try:
                found = _dlpack.take(value)
            except (ValueError, BufferError) as e:
                raise RunError(INTERNAL, f"the model gave output '{want.name}' on the GPU: {e}") from None
        number = dtypes.BF16 if (found.kind, want.dtype) == ("u16", dtypes.BF16) else dtypes.parse(found.kind)
        if len(found.shape) > wire.RANK_MAX or not want.admits(number, found.shape):
            raise RunError(INTERNAL, refused(want, found, number))
        return number, found.shape, found.address, found.nbytes, found.keep
