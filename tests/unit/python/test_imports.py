"""Memory that clients hand over on the worker's GPU, which is the stand-in's, in this process."""
import ctypes
import gc
import mmap
import os
import types

import numpy as np
import pytest

from daemon import BUILD, SANITIZED
from modeld_worker import device, dtypes, wire
from modeld_worker.declare import Declared
from modeld_worker.executor import Executor, FatalError
from modeld_worker.given import RunError
from modeld_worker.log import Voice
from modeld_worker.memory import Arena, Views
from modeld_worker.model import PLAIN, LoadError, Model
from modeld_worker.outputs import Outputs

# What this process loads is never the sanitizers'.
FAKE = os.path.join(os.path.dirname(BUILD) if SANITIZED else BUILD, "fakecuda")
DRIVER = os.path.join(FAKE, "driver", "libcuda.so.1")
PIECE = 2 << 20
ID = wire.REGION_BIT + 7
OUT = 1 << 20  # where outputs go


class Memory:
    """A client's, of GPU `gpu`; `bytes` is what is there."""

    def __init__(self, cuda, size=PIECE, gpu=0):
        at = ctypes.c_void_p()
        self.fd = cuda.fakecuda_foreign_fd(ctypes.c_size_t(size), gpu, ctypes.byref(at))
        self.bytes = np.frombuffer(mmap.mmap(self.fd, size), np.uint8)

    def __del__(self):
        os.close(self.fd)


@pytest.fixture
def cuda():
    if not os.path.exists(DRIVER):
        pytest.skip("needs the stand-in: make fakecuda")
    ctypes.CDLL(DRIVER)  # first: it is found by its name from then on
    made = ctypes.CDLL(os.path.join(FAKE, "libfakecuda.so"))
    made.fakecuda_reset(b"devices=2")
    yield made
    gc.collect()
    assert made.fakecuda_n_vmm() == 0


@pytest.fixture
def there(cuda):
    memory = Memory(cuda)
    memory.bytes[:1000] = np.arange(1000) % 251
    return memory


@pytest.fixture
def imports(cuda, monkeypatch):
    monkeypatch.setenv("MODELD_PARAMETERS", "a=b\ndevice_tensors=yes")
    assert device.imports_of("cpu:0") is None
    made = device.imports_of("cuda:1")
    yield made
    made._by_id.clear()


def add(imports, memory, size=PIECE, writable=1, id=ID):
    return imports.add(wire.Import(id=id, size=size, writable=writable), memory if isinstance(memory, int) else memory.fd)


def tensor(dims, dtype=2, offset=0, length=None, arena=ID):
    n = int(np.prod(dims)) * dtypes.SIZES[dtype] if length is None else length
    return wire.Tensor(dtype=dtype, dims=dims, arena=arena, offset=offset, length=n)


def run(imports, infer, inputs, targets=()):
    """(Answer, what came) of a model with this infer()"""
    came = []
    model = types.SimpleNamespace(
        inputs=[Declared("x", inputs[0].dtype)], outputs=[Declared("y")], output_index={"y": 0}, kind=PLAIN, infer_batch=None,
        by_keyword=False, wants_context=False, infer=lambda x: came.append(x) or infer(x), voice=Voice("w", "m"),
        context=types.SimpleNamespace(bind=lambda call: None))
    setup = wire.Setup(output_bytes=1 << 20, output_segment_bytes=1 << 18, output_segments=8, holds=10)
    executor = Executor(Views(), Outputs(Arena(setup), 10, 1), None, None, imports)
    answers, _ = executor.run(model, wire.Run(batch=1, items=[wire.Item(inputs=inputs, targets=targets)]))
    return answers[0], came


def target(length, offset=OUT, arena=ID):
    return wire.Target(arena=arena, offset=offset, length=length)


def test_whether_a_worker_takes_them(monkeypatch):
    monkeypatch.delenv("MODELD_PARAMETERS", raising=False)
    assert device.imports_of("cuda:0") is None
    monkeypatch.setenv("MODELD_PARAMETERS", "device_tensors=no")
    assert device.imports_of("cuda:0") is None


def test_in_and_out_where_they_lie(imports, there, cuda):
    assert add(imports, there) == ""
    answer, came = run(imports, lambda x: x, [tensor([10, 100])], [target(2000)])
    assert answer.code == 0, answer.message
    (y,) = answer.outputs
    assert (y.arena, y.offset, y.length, list(y.dims), y.dtype) == (ID, OUT, 1000, [10, 100], 2)
    assert (there.bytes[OUT:OUT + 1000] == there.bytes[:1000]).all() and not there.bytes[OUT + 1000:].any()
    assert cuda.fakecuda_calls(b"cuMemcpyDtoD_v2") == 1
    assert cuda.fakecuda_calls(b"cuMemcpyDtoH_v2") == cuda.fakecuda_calls(b"cuMemcpyHtoD_v2") == 0
    x = came[0]
    assert (x.shape, x.ndim, len(x), x.nbytes, x.dtype, x.kind) == ((10, 100), 2, 10, 1000, np.uint8, "u8")
    assert x.__cuda_array_interface__["data"][0] == imports._by_id[ID].data and x.__dlpack_device__() == (2, 0)
    assert repr(x) == "DeviceArray(u8, [10, 100], cuda:0)"


def test_to_numpy_it_is_a_copy(imports, there):
    add(imports, there, writable=0)
    x = imports.input(Declared("x"), tensor([250], 12))
    assert x.nbytes == 1000 and np.asarray(x).tobytes() == there.bytes[:1000].tobytes()
    assert np.asarray(x, np.float64).dtype == np.float64
    with pytest.raises(BufferError):
        x.__dlpack__(copy=True)
    assert imports.input(Declared("x"), tensor([2], arena=65536)) is None


def test_what_begins_anywhere_is_copied_on_the_gpu(imports, there, cuda):
    add(imports, there)
    x = imports.input(Declared("x"), tensor([100], 12, offset=1))
    assert cuda.fakecuda_calls(b"cuMemcpyDtoD_v2") == 1 and x.address % 64 == 0
    assert np.asarray(x).tobytes() == there.bytes[1:401].tobytes()
    del x
    assert cuda.fakecuda_calls(b"cuMemFree_v2") == 1


def test_outputs_of_the_host_go_there_too(imports, there):
    add(imports, there)
    answer, _ = run(imports, lambda x: np.asarray(x)[::-1], [tensor([1000])], [target(1000)])
    assert answer.code == 0 and (there.bytes[OUT:OUT + 1000] == there.bytes[999::-1]).all()
    answer, _ = run(imports, lambda x: ["one", "two"], [tensor([4])], [target(100)])
    assert answer.outputs[0].length == 14 and there.bytes[OUT:OUT + 7].tobytes() == b"\3\0\0\0one"


def test_bytes_are_read_on_the_host(imports, there):
    add(imports, there)
    data = b"\1\0\0\0a\2\0\0\0bc"
    there.bytes[:len(data)] = np.frombuffer(data, np.uint8)
    assert imports.input(Declared("x"), tensor([2], dtypes.BYTES, length=len(data))).tolist() == [b"a", b"bc"]
    with pytest.raises(RunError, match="malformed"):
        imports.input(Declared("x"), tensor([3], dtypes.BYTES, length=len(data)))


class Tensor:
    """Another library's, on the GPU."""
    __cuda_array_interface__ = None  # a tensor is known by its class

    def __init__(self, x, **more):
        self.__cuda_array_interface__ = {**x.__cuda_array_interface__, **more}


def test_tensors_of_other_libraries(imports, there):
    add(imports, there)
    answer, _ = run(imports, lambda x: Tensor(x, shape=(25, 40)), [tensor([1000])], [target(1000)])
    assert answer.code == 0 and list(answer.outputs[0].dims) == [25, 40]
    assert (there.bytes[OUT:OUT + 1000] == there.bytes[:1000]).all()
    answer, _ = run(imports, lambda x: Tensor(x, shape=(5, 5), strides=(40, 2)), [tensor([1000])], [target(1000)])
    assert (answer.code, "make it contiguous first" in answer.message) == (13, True)


def test_bf16(imports, there):
    add(imports, there)
    x = imports.input(Declared("x"), tensor([4], dtypes.BF16))
    assert (x.kind, x.dtype) == ("bf16", np.uint16)
    y = Tensor(x, typestr="<V2")  # as PyTorch says it, and by DLPack in full
    y.__dlpack__ = x.__dlpack__
    model = types.SimpleNamespace(outputs=[Declared("y", dtypes.BF16)])
    for given in (x, y, Tensor(x)):
        assert imports.output(model, 0, {0: given}, [target(8)]).dtype == dtypes.BF16
    assert (there.bytes[OUT:OUT + 8] == there.bytes[:8]).all()


def test_what_is_refused(imports, there, cuda):
    elsewhere = Memory(cuda, gpu=1)
    assert add(imports, elsewhere) == "it is another device's"
    assert add(imports, there, PIECE + 1, id=ID + 1) == "it is smaller than that"
    ours = os.memfd_create("nothing")
    assert add(imports, ours, id=ID + 2) == "CUDA: cuMemImportFromShareableHandle(): cudaErrorInvalidValue"
    os.close(ours)
    assert "by its handle" in imports.add(wire.Import(id=ID + 3, size=1, handle=[1] * 8), None)
    answer, came = run(imports, lambda x: x, [tensor([10])])
    assert (answer.code, came) == (3, []) and answer.message == \
        "input 'x': the memory of its region, on the GPU, cannot be had: it is another device's"
    imports.drop(ID)
    add(imports, there, writable=0)
    with pytest.raises(KeyError):
        add(imports, there)
    for t in (tensor([1], offset=PIECE), tensor([PIECE + 1]), tensor([1], offset=1 << 63)):
        assert run(imports, lambda x: x, [t])[0].code == 13
    assert run(imports, lambda x: x, [tensor([10])], [target(10)])[0].code == 13  # it can only be read


def test_what_could_not_be_had_may_come_again(imports, there):
    for _ in range(2):
        assert add(imports, there, PIECE + 1) == "it is smaller than that"
        assert run(imports, lambda x: x, [tensor([10])])[0].code == 3
    assert add(imports, there) == ""
    assert run(imports, lambda x: x, [tensor([10])], [target(10)])[0].code == 0


def test_a_client_that_unregisters_what_a_model_keeps(imports, there, cuda):
    add(imports, there)
    x = imports.input(Declared("x"), tensor([1000]))
    imports.drop(ID)
    assert (np.asarray(x) == there.bytes[:1000]).all()
    del x
    gc.collect()
    assert cuda.fakecuda_n_vmm() == 0


def test_where_it_cannot_be_mapped_for_reading_only(imports, there, cuda):
    cuda.fakecuda_reset(b"readonly=0")
    assert add(imports, there) == ""
    assert (np.asarray(imports.input(Declared("x"), tensor([1000]))) == there.bytes[:1000]).all()


def test_a_context_that_is_lost_ends_the_process(imports, there, cuda):
    cuda.fakecuda_reset(b"fail=cuCtxSynchronize:1:700")
    add(imports, there)
    with pytest.raises(FatalError, match="CUDA: cuCtxSynchronize"):
        run(imports, lambda x: 1, [tensor([10])])
    cuda.fakecuda_reset(b"")


def test_a_call_that_fails_is_the_requests(imports, there, cuda):
    cuda.fakecuda_reset(b"fail=cuMemAlloc_v2:1:2 fail=cuMemcpyDtoD_v2:1:1")
    add(imports, there)
    assert run(imports, lambda x: x, [tensor([10], offset=1)])[0].code == 8
    answer, _ = run(imports, lambda x: x, [tensor([10])], [target(10)])
    assert answer.code == 13 and answer.message.startswith("CUDA: cuMemcpyDtoD_v2(): ")
    assert run(imports, lambda x: x, [tensor([10])], [target(10)])[0].code == 0


def test_answers_that_find_no_room_at_their_target(imports, there):
    """They come as any others do: by the host."""
    add(imports, there)
    for give in (lambda x: x, np.asarray):
        answer, _ = run(imports, give, [tensor([1000])], [target(999)])
        assert answer.code == 0 and answer.outputs[0].arena != ID and answer.outputs[0].length == 1000
    assert not there.bytes[OUT:].any()


@pytest.mark.parametrize("file,backend", [("model.py", "sklearn"), ("handler.py", "python"), ("model.py", "python")])
def test_models_that_take_none(tmp_path, file, backend):
    (tmp_path / file).write_text("class TritonPythonModel:\n    pass\n")
    parameters = [wire.Pair(key="device_tensors", value="yes")]
    model = Model(wire.Load(model=1, name="m", version="1", path=str(tmp_path), backend=backend, parameters=parameters),
                  wire.Setup(worker="w", device="cuda:0"))
    with pytest.raises(LoadError, match="device_tensors: .* take no tensors on the GPU"):
        model.load(0)
