"""Memory on GPUs that is handed over (docs/handoff.md): a client's own, which arrays are cut from as from that on the host, and that
of other libraries, where it can be exported. Nothing of it goes by the host."""
from __future__ import annotations

import math
import os
import threading
from typing import Any, Dict, List, Mapping, Optional, Tuple

from . import _dlpack, _dtypes
from ._cuda import Allocation, Driver, driver
from ._handoff import Handoff, Trace
from ._memory import Block, Memory, Region
from ._messages import Inferred, Target, Tensor
from ._request import Dtypes, place
from ._results import Timings
from .errors import ConnectionLost, DecodeError, ModeldError


class _OwnRegion(Region):
    """An allocation of ours that the daemon knows."""

    def __init__(self, allocation: Allocation, number: int, token: bytes) -> None:
        self._allocation = allocation
        self.number, self.token, self.size, self.address = number, token, allocation.size, allocation.address
        self.free = [(0, self.size)]
        self.used = 0
        self.wanted = True
        self._pid = os.getpid()

    def __del__(self) -> None:
        # A child has no GPU of its parent's.
        if os.getpid() == self._pid:
            try:
                self._allocation.close()
            except ModeldError:
                pass


class DeviceRegion:
    """Memory of another library's that the daemon knows: requests name what lies in it. A context manager.

    Whoever made it must keep it as long as this: what lies at its addresses later would not be what the daemon has.
    """

    def __init__(self, memory: "DeviceMemory", gpu: int, start: int, size: int, number: int, token: bytes) -> None:
        self._memory, self.gpu, self.address, self.size, self.number, self._token = memory, gpu, start, size, number, token

    def __enter__(self) -> "DeviceRegion":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """The daemon is to know it no more. What requests that are under way use of it stays there."""
        self._memory.forget(self, self._token)


class DeviceArray:
    """A tensor on a GPU, in memory that is shared with the daemon: other libraries take it as theirs without a copy,
    torch.as_tensor(array, device="cuda"), torch.from_dlpack(array), cupy.asarray(array). It may be written there; requests that are
    sent name it where it lies. `dtype` is modeld's name of it."""

    def __init__(self, kind: str, shape: Tuple[int, ...], gpu: int, address: int, keep: object) -> None:
        self.dtype, self.shape, self.gpu = kind, shape, gpu
        self._address, self._keep = address, keep

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * _dtypes.numpy_of(self.dtype).itemsize

    @property
    def __cuda_array_interface__(self) -> Dict[str, Any]:
        # What was given has been made: there is nothing to wait for. numpy has no bf16: its bits are u16.
        return {"version": 3, "shape": self.shape, "typestr": _dtypes.numpy_of(self.dtype).str, "data": (self._address, False),
                "strides": None, "stream": None}

    def __dlpack_device__(self) -> Tuple[int, int]:
        return _dlpack.CUDA, self.gpu

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any:
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("a DeviceArray is given where it lies, without a copy")
        return _dlpack.capsule(self.dtype, self.shape, self._address, self.gpu, self)

    def __repr__(self) -> str:
        return f"DeviceArray({self.dtype}, {list(self.shape)}, cuda:{self.gpu})"


class DeviceMemory:
    """All of a connection. Safe from several threads."""

    def __init__(self, handoff: Handoff) -> None:
        self._handoff = handoff
        self._own: Dict[int, Memory] = {}  # by GPU
        self._others: List[DeviceRegion] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            memories, self._own, self._others = list(self._own.values()), {}, []
        for memory in memories:
            memory.close()

    # --- own ----------------------------------------------------------------------------------
    def _memory_of(self, gpu: int) -> Memory:
        with self._lock:
            if gpu not in self._own:
                cuda = driver()
                uuid = cuda.uuid(gpu)
                self._own[gpu] = Memory(lambda size, end: self._allocate(cuda, gpu, uuid, size, end), self._handoff.release)
            return self._own[gpu]

    def _allocate(self, cuda: Driver, gpu: int, uuid: str, size: int, end: Optional[float]) -> Region:
        allocation = Allocation(cuda, gpu, size)
        try:
            registered = self._handoff.register(allocation.fd, allocation.size, end, device=uuid, read_only=False)
            return _OwnRegion(allocation, registered.number, bytes(registered.region))
        except BaseException:
            allocation.close()
            raise
        finally:
            os.close(allocation.fd)

    def empty(self, gpu: int, kind: str, shape: Tuple[int, ...], end: Optional[float]) -> DeviceArray:
        nbytes = math.prod(shape) * _dtypes.numpy_of(kind).itemsize
        block = self._memory_of(gpu).take(nbytes, end)
        return DeviceArray(kind, shape, gpu, block.region.address + block.offset, block)

    def room(self, gpu: int, nbytes: int, end: Optional[float]) -> Block:
        return self._memory_of(gpu).take(nbytes, end)

    # --- others' ------------------------------------------------------------------------------
    def register(self, value: Any, end: Optional[float]) -> DeviceRegion:
        given, cuda = _dlpack.take(value), driver()
        gpu = cuda.gpu_of(given.address)
        with cuda.on(gpu):
            found = cuda.exportable(given.address, given.nbytes)
        if found is None:
            raise ModeldError("FAILED_PRECONDITION", "this memory cannot be handed over: it is no allocation of CUDA's virtual memory "
                                                     "that can be exported to a descriptor; requests copy it once, on the GPU")
        start, size, fd = found
        try:
            registered = self._handoff.register(fd, size, end, device=cuda.uuid(gpu), read_only=False)
        finally:
            os.close(fd)
        region = DeviceRegion(self, gpu, start, size, registered.number, bytes(registered.region))
        with self._lock:
            self._others.append(region)
        return region

    def forget(self, region: DeviceRegion, token: bytes) -> None:
        with self._lock:
            known = region in self._others
            if known:
                self._others.remove(region)
        if known:
            try:
                self._handoff.unregister(token)
            except ModeldError:
                pass  # the connection is gone, and the region with it

    # --- requests -----------------------------------------------------------------------------
    def _find(self, given: _dlpack.Given) -> Optional[Tuple[int, int]]:
        """(region's number, offset) where it lies, if in memory that the daemon knows."""
        with self._lock:
            known: List[Any] = [r for memory in self._own.values() for r in memory.regions()] + self._others
        for region in known:
            offset = given.address - region.address
            if 0 <= offset and offset + given.nbytes <= region.size:
                return region.number, offset
        return None

    def place(self, name: str, given: _dlpack.Given, gpu: int, keep: List[object], end: Optional[float]) -> Tensor:
        """Where it lies, or a copy in ours, on the GPU. What has to live until the answer is added to keep."""
        keep.append(given.keep)
        where = self._find(given)
        if where is None:
            block = self.room(gpu, given.nbytes, end)
            keep.append(block)
            if given.nbytes:
                driver().copy(block.region.address + block.offset, given.address, given.nbytes)
            where = block.region.number, block.offset
        return Tensor(name, _dtypes.number_of(given.kind), given.shape, where[0], where[1], given.nbytes)


class Result(Dict[str, DeviceArray]):
    """Outputs by name, in the model's order, and where the time went."""
    timings: Timings


class Call:
    """A request whose inputs are on a GPU, at least one, and whose outputs come there."""

    def __init__(self, handoff: Handoff, memory: Memory, device: DeviceMemory, model: str, inputs: Any, dtype: Dtypes,
                 end: Optional[float]) -> None:
        self._handoff, self._device, self._model, self._end = handoff, device, model, end
        self._keep: List[object] = []  # until the answer
        values = {str(k): v for k, v in inputs.items()} if isinstance(inputs, Mapping) else {"": inputs}
        given = {name: _take(v) for name, v in values.items() if _dlpack.is_on_device(v)}
        if not given:
            raise ValueError("none of the inputs is on a GPU: infer() takes what is on the host")
        dtypes = dtype if isinstance(dtype, Mapping) else dict.fromkeys(values, dtype)
        there = next((g.address for g in given.values() if g.nbytes), 0)
        self._gpu = driver().gpu_of(there) if there else 0
        blocks: List[Block] = []
        with driver().on(self._gpu):
            self.tensors = [self._device.place(name, _as_dtype(given[name], dtypes.get(name)), self._gpu, self._keep, end)
                            if name in given else _host(memory, name, value, dtypes.get(name), blocks, end)
                            for name, value in values.items()]
            # Nothing orders our streams and a worker's.
            driver().synchronize()
        self._keep.append(blocks)
        self.total = sum(t.length for t in self.tensors)

    def run(self, rooms: Mapping[str, int], parameters: Dict[str, str], trace: Trace) -> Tuple[Inferred, Result]:
        """rooms: by the output's name, in bytes. Errors tell what they have to be: ModeldError.needed."""
        blocks = {name: self._device.room(self._gpu, room, self._end) for name, room in rooms.items()}
        targets = [Target(name, b.region.number, b.offset, b.length) for name, b in blocks.items()]
        handoff, seq = self._handoff, self._handoff.number()
        try:
            handoff.infer(seq, self._model, self.tensors, targets, list(rooms), self._end, parameters, trace=trace, make_room=False)
            answer, fds = handoff.inferred(seq, self._end)
        except BaseException as e:
            if not isinstance(e, ModeldError) or isinstance(e, ConnectionLost):
                # The request may go on, and so does its memory.
                handoff.forget(seq, keep=(self._keep, blocks))
            raise
        for fd in fds:
            os.close(fd)
        result = Result((t.name, _output(t, blocks.get(t.name), self._gpu)) for t in answer.outputs)
        result.timings = Timings(answer.queue_ns // 1000, answer.compute_ns // 1000, answer.total_ns // 1000,
                                 answer.batch_requests, answer.worker)
        return answer, result


def _take(value: Any) -> _dlpack.Given:
    """Of ours more is known than its interface can say: that it is bf16."""
    if isinstance(value, DeviceArray):
        return _dlpack.Given(value.dtype, value.shape, value.__cuda_array_interface__["data"][0], value.nbytes, value)
    return _dlpack.take(value)


def _as_dtype(given: _dlpack.Given, wanted: Optional[str]) -> _dlpack.Given:
    if wanted in (None, given.kind):
        return given
    if (given.kind, wanted) == ("u16", "bf16"):
        return given._replace(kind="bf16")  # its bits, as on the host
    raise ValueError(f"a tensor of {given.kind} on a GPU is not sent as {wanted}: convert it there")


def _host(memory: Memory, name: str, value: Any, dtype: Optional[str], blocks: List[Block], end: Optional[float]) -> Tensor:
    kind, array = _dtypes.to_send(value, dtype)
    return place(memory, name, kind, array, blocks, end)


def _output(t: Tensor, block: Optional[Block], gpu: int) -> DeviceArray:
    """An output that is in the memory which was offered for it."""
    kind, dims = _dtypes.name_of_number(t.dtype), tuple(t.dims)
    if block is None or (t.region, t.offset) != (block.region.number, block.offset) or t.length > block.length:
        raise ConnectionLost("the daemon's answer names memory that was not offered")
    _dtypes.check_shape(dims)
    if kind == "bytes":
        raise ModeldError("UNIMPLEMENTED", f"output {t.name!r} is made of strings, which are not read on a GPU: leave it out")
    if math.prod(dims) != _dtypes.n_elements(t.length, kind):
        raise DecodeError(f"{t.length} bytes as a tensor of the shape {list(dims)}")
    block.trim(t.length)
    return DeviceArray(kind, dims, gpu, block.region.address + block.offset, block)
