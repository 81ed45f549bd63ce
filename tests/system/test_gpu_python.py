"""The Python client with tensors on a GPU: whoever has __cuda_array_interface__ or __dlpack__ gives them, and takes the results, without
the host. The GPU is the stand-in's, in this process as in the worker."""
import ctypes
import gc
import os
import subprocess
import sys

import numpy as np
import pytest

import fake_gpu
from daemon import ROOT, wait_for
from fake_gpu import FAKE, MODELS

sys.path.insert(0, os.path.join(ROOT, "clients", "python"))
import modeld  # noqa: E402
import modeld._cuda  # noqa: E402
import modeld._dlpack  # noqa: E402

PIECE = 2 << 20


class Tensor:
    """Somebody else's, of cudaMalloc()."""

    def __init__(self, cuda, array):
        self.cuda, self.shape, self.typestr, self.nbytes = cuda, array.shape, array.dtype.str, array.nbytes
        self.at = ctypes.c_void_p()
        assert cuda.cudaMalloc(ctypes.byref(self.at), ctypes.c_size_t(array.nbytes)) == 0
        cuda.write(self.at.value, array)

    @property
    def __cuda_array_interface__(self):
        return {"version": 3, "shape": self.shape, "typestr": self.typestr, "data": (self.at.value, False), "strides": None}

    def __del__(self):
        self.cuda.cudaFree(self.at)


class ByDlpack:
    """The same by the other protocol alone."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **_):
        kinds = {"u": "u8", "f": "f32", "i": "i32"}
        t = self.tensor
        return modeld._dlpack.capsule(kinds[t.typestr[1]], t.shape, t.at.value, 0, t)


class Cuda:
    """The stand-in of this process: its runtime, to make tensors and look at them."""

    def __init__(self):
        # First: the client finds it by its name from then on.
        self.driver = fake_gpu.load(os.path.join("driver", "libcuda.so.1"))
        self.runtime = fake_gpu.load()
        self.runtime.fakecuda_reset(b"")

    def __getattr__(self, name):
        return getattr(self.runtime, name)

    def write(self, address, array):
        fake_gpu.write(self, address, array)

    def read(self, tensor):
        interface = tensor.__cuda_array_interface__
        return fake_gpu.read(self, interface["data"][0], np.empty(interface["shape"], interface["typestr"]))


@pytest.fixture
def cuda():
    modeld._cuda._driver = None
    made = Cuda()
    yield made
    gc.collect()
    wait_for("nothing is left of any memory", lambda: gc.collect() is not None and made.fakecuda_n_vmm() == 0)


@pytest.fixture
def client(start, tmp_path):
    """client(*sets) -> Client; client.daemon, client.log() of the worker's streams"""
    clients = []

    def connect(*sets, models=("identity", "simple"), limit="256M"):
        log = tmp_path / "streams"
        d = start(*fake_gpu.settings(tmp_path), f"handoff.user_device_bytes={limit}", *sets, repository=MODELS,
                  models=list(models), workers="cuda:0", env={"FAKECUDA": f"log={log}", "LD_LIBRARY_PATH": FAKE})
        # GPUs are looked at once in a while: by then the daemon knows which UUID is which number.
        wait_for("its GPUs", lambda: d.status().gpus)
        c = modeld.connect(d.unix)
        c.daemon, c.log = d, lambda: [line.split(None, 1)[1] for line in log.read_text().splitlines()]
        clients.append(c)
        return c

    yield connect
    for c in clients:
        c.close()


def test_in_and_out_without_touching_the_host(cuda, client):
    c = client()
    a = np.arange(1 << 18, dtype=np.uint8)
    y = c.device_infer("identity", Tensor(cuda, a))["OUTPUT0"]
    assert (y.dtype, y.shape, y.gpu, y.nbytes) == ("u8", (1 << 18,), 0, 1 << 18)
    assert (cuda.read(y) == a).all()
    assert "in" not in c.log() and "out" not in c.log() and c.log().count("within") == 2
    s = c.daemon.status()
    assert s.tensor_bytes_copied_in == s.tensor_bytes_copied_out == 0
    # What came out goes in where it lies.
    copies = cuda.fakecuda_calls(b"cuMemcpyDtoD_v2")
    z = c.device_infer("identity", {"INPUT0": y})
    assert (cuda.read(z["OUTPUT0"]) == a).all() and cuda.fakecuda_calls(b"cuMemcpyDtoD_v2") == copies
    assert z.timings.worker and z.timings.total_us >= 0


def test_by_dlpack(cuda, client):
    c = client()
    a = np.arange(16, dtype=np.int32).reshape(1, 16)
    result = c.device_infer("simple", {"INPUT0": ByDlpack(Tensor(cuda, a)), "INPUT1": np.ones_like(a)})
    assert (cuda.read(result["OUTPUT0"]) == a + 1).all() and (cuda.read(result["OUTPUT1"]) == a - 1).all()
    y = result["OUTPUT0"]
    assert y.__dlpack_device__() == (2, 0)
    taken = modeld._dlpack.take(type("Other", (), {"__dlpack__": lambda self: y.__dlpack__(stream=1)})())
    assert (taken.kind, taken.shape, taken.nbytes) == ("i32", (1, 16), 64)
    assert taken.address == y.__cuda_array_interface__["data"][0]
    held = len(modeld._dlpack._lent)
    del taken
    gc.collect()
    assert len(modeld._dlpack._lent) == held - 1  # one that nobody took has ended with its capsule
    with pytest.raises(BufferError):
        y.__dlpack__(copy=True)


def test_made_here(cuda, client):
    c = client()
    x = c.device_empty((4, 100), "f32")
    a = np.linspace(0, 1, 400, dtype=np.float32).reshape(4, 100)
    cuda.write(x.__cuda_array_interface__["data"][0], a)
    y = c.device_infer("identity", x, dtype="f32")["OUTPUT0"]
    assert y.dtype == "f32" and (cuda.read(y) == a).all()
    assert cuda.fakecuda_calls(b"cuMemcpyDtoD_v2") == 0
    bits = c.device_empty(8, "bf16")
    assert c.device_infer("identity", bits)["OUTPUT0"].dtype == "bf16"


def test_memory_that_another_has_made(cuda, client):
    """Of CUDA's virtual memory: handed over as it is. What is not, says so."""
    c = client()
    theirs = modeld._cuda.Allocation(modeld._cuda.driver(), 0, PIECE)
    a = np.arange(1000, dtype=np.uint8)
    cuda.write(theirs.address + 64, a)
    x = modeld.DeviceArray("u8", (1000,), 0, theirs.address + 64, theirs)
    with c.device_register(x) as region:
        assert (region.address, region.size) == (theirs.address, PIECE)
        y = c.device_infer("identity", x)["OUTPUT0"]
        assert (cuda.read(y) == a).all() and cuda.fakecuda_calls(b"cuMemcpyDtoD_v2") == 0
    assert (cuda.read(c.device_infer("identity", x)["OUTPUT0"]) == a).all()
    assert cuda.fakecuda_calls(b"cuMemcpyDtoD_v2") == 1
    with pytest.raises(modeld.ModeldError, match="cannot be handed over") as e:
        c.device_register(Tensor(cuda, a))
    assert e.value.code == "FAILED_PRECONDITION"
    os.close(theirs.fd)
    theirs.close()


def test_an_output_larger_than_foreseen(cuda, client):
    """The model runs once more, and the next time it is foreseen."""
    c = client()
    info = c.model("identity")
    assert info.outputs[0].shape is None or -1 in info.outputs[0].shape
    a = np.arange(200_000, dtype=np.uint8)
    expect, c._rooms.expect = c._rooms.expect, lambda *_: 1
    ran = sum(w.batches_done for w in c.daemon.status().workers)
    y = c.device_infer("identity", Tensor(cuda, a))["OUTPUT0"]
    assert (cuda.read(y) == a).all()
    assert sum(w.batches_done for w in c.daemon.status().workers) == ran + 2
    c._rooms.expect = expect
    assert (cuda.read(c.device_infer("identity", Tensor(cuda, a))["OUTPUT0"]) == a).all()
    assert sum(w.batches_done for w in c.daemon.status().workers) == ran + 3


def test_what_is_refused(cuda, client):
    c = client(limit="0")
    a = np.arange(16, dtype=np.uint8)
    with pytest.raises(modeld.ModeldError, match="user_device_bytes") as e:
        c.device_infer("identity", Tensor(cuda, a))
    assert e.value.code == "RESOURCE_EXHAUSTED"
    with pytest.raises(ValueError, match="none of the inputs is on a GPU"):
        c.device_infer("identity", a)
    strided = Tensor(cuda, a)
    assert modeld._dlpack.take(strided).nbytes == 16
    with pytest.raises(ValueError, match="contiguous"):
        modeld._dlpack.take(type("Strided", (), {"__cuda_array_interface__": {
            **strided.__cuda_array_interface__, "shape": (4, 2), "strides": (4, 2)}})())
    with pytest.raises(ValueError, match="is not sent as f32"):
        c.device_infer("identity", strided, dtype="f32")


def test_memory_is_used_again_and_given_back(cuda, client):
    c = client()
    a = np.zeros(PIECE, np.uint8)
    x = Tensor(cuda, a)
    for _ in range(5):
        c.device_infer("identity", x)
    used = c._handoff.get_limits()["user_device_used_bytes"]
    assert 0 < used <= 16 << 20
    c.close()
    del x
    wait_for("it is given back", lambda: c.daemon.status().handoff_regions == 0)


def test_without_a_driver(client):
    """One line says so; nothing else needs it."""
    c = client()
    code = """if True:
        import modeld, numpy as np, sys
        modeld._cuda.LIBRARY = "libcuda-that-there-is-not.so"
        c = modeld.connect(sys.argv[1])
        assert c.infer("identity", np.arange(3, dtype=np.uint8)).tolist() == [0, 1, 2]
        try:
            c.device_empty(3)
        except modeld.ModeldError as e:
            assert e.code == "FAILED_PRECONDITION" and e.message.startswith("no CUDA driver here: "), e
        else:
            raise SystemExit("it has one")"""
    subprocess.run([sys.executable, "-c", code, c.daemon.unix], check=True, timeout=120,
                   env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
