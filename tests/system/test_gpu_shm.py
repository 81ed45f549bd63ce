"""Memory of a GPU that clients register by its handle (CudaSharedMemoryRegister), as Triton's clients do: nothing about them is
changed. The client's memory is the stand-in's, in this process."""
import base64
import ctypes
import os
import signal
import subprocess

import numpy as np
import pytest
import tritonclient.grpc as triton

import fake_gpu
from daemon import wait_for
from fake_gpu import FAKE, MODELS
from kserve_regions import refused, shared, wanted


class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_char * 64)]


class Memory:
    """Of the stand-in's GPU."""

    def __init__(self, cuda, size):
        self.cuda, self.at = cuda, ctypes.c_void_p()
        assert cuda.cudaMalloc(ctypes.byref(self.at), ctypes.c_size_t(size)) == 0
        handle = Handle()
        assert cuda.cudaIpcGetMemHandle(ctypes.byref(handle), self.at) == 0
        self.handle = ctypes.string_at(ctypes.byref(handle), 64)

    def write(self, offset, array):
        fake_gpu.write(self.cuda, self.at.value + offset, array)

    def read(self, offset, like):
        return fake_gpu.read(self.cuda, self.at.value + offset, like)

    def free(self):
        assert self.cuda.cudaFree(self.at) == 0


@pytest.fixture
def memory(tmp_path):
    """memory(size) -> Memory"""
    cuda = fake_gpu.load()
    cuda.fakecuda_reset(f"ipc={tmp_path}".encode())
    made = []

    def make(size):
        made.append(Memory(cuda, size))
        return made[-1]

    yield make
    for x in made:
        x.free()


@pytest.fixture
def gpu(start, tmp_path):
    """gpu(*sets, fake=settings of the stand-in, ...) -> Daemon"""

    def begin_daemon(*sets, fake="", models=("identity", "simple"), workers="cuda:0", shm="local", **options):
        return start(*fake_gpu.settings(tmp_path), f"server.client_cuda_shm={shm}", *sets, repository=options.pop("repository", MODELS),
                     models=list(models), workers=workers, env={"FAKECUDA": f"ipc={tmp_path} {fake}"}, **options)

    return begin_daemon


def register(client, name, memory, size, device=0):
    # The client takes the handle as cudashm.get_raw_handle() gives it.
    client.register_cuda_shared_memory(name, base64.b64encode(memory.handle), device, size)


def copied(a, at=0, out=1 << 20, region="there"):
    """Arguments of identity."""
    return [shared("INPUT0", a, "UINT8", region, at)], [wanted("OUTPUT0", region, a.nbytes, out)]


def test_in_and_out_without_touching_the_host(gpu, memory, tmp_path):
    log = tmp_path / "streams"
    d = gpu(fake=f"log={log}")
    there = memory(4 << 20)
    a = np.arange(1 << 18, dtype=np.uint32).view(np.uint8)
    there.write(0, a)
    with triton.InferenceServerClient(d.unix) as c:
        register(c, "there", there, 4 << 20)
        status = c.get_cuda_shared_memory_status(as_json=True)["regions"]
        assert status == {"there": {"name": "there", "byte_size": str(4 << 20)}}
        inputs, outputs = copied(a)
        r = c.infer("identity", inputs, outputs=outputs)
        assert list(r.get_response().raw_output_contents) == [b""]
        assert (there.read(1 << 20, a) == a).all()
        what = [line.split(None, 1)[1] for line in log.read_text().splitlines()]
        assert "in" not in what and "out" not in what and what.count("within") == 2
        c.unregister_cuda_shared_memory("there")
        assert c.get_cuda_shared_memory_status(as_json=True) == {}
        assert refused(lambda: c.infer("identity", inputs)) == ("NOT_FOUND", "Unable to find shared memory region: 'there'")


def test_one_input_there_and_one_output_here(gpu, memory):
    d = gpu()
    there = memory(4096)
    a = np.arange(16, dtype=np.int32).reshape(1, 16)
    there.write(100, a)
    b = triton.InferInput("INPUT1", [1, 16], "INT32")
    b.set_data_from_numpy(np.ones_like(a))
    with triton.InferenceServerClient(d.tcp) as c:
        register(c, "there", there, 4096)
        r = c.infer("simple", [shared("INPUT0", a, "INT32", "there", 100), b],
                    outputs=[triton.InferRequestedOutput("OUTPUT0"), wanted("OUTPUT1", "there", 64, 1001)])
        assert (r.as_numpy("OUTPUT0") == a + 1).all() and (there.read(1001, a) == a - 1).all()


def test_what_a_handle_is_refused_for(gpu, memory):
    d = gpu()
    there = memory(4096)
    text = "failed to register shared memory region 'r': invalid args "
    with triton.InferenceServerClient(d.unix) as c:
        def attempt(handle=there.handle, device=0, size=4096):
            register(c, "r", type("M", (), {"handle": handle}), size, device)

        for handle in (b"", there.handle[:63], there.handle + b"x"):
            assert refused(lambda handle=handle: attempt(handle)) == (
                "INVALID_ARGUMENT",
                f"{text}(a handle of 64 bytes is expected, got {len(handle)}, of 4096 bytes of memory)")
        assert refused(lambda: attempt(size=0))[0] == "INVALID_ARGUMENT"
        assert refused(lambda: attempt(size=4097)) == ("INVALID_ARGUMENT", f"{text}(it is smaller than that)")
        assert refused(lambda: attempt(device=1)) == ("INVALID_ARGUMENT", f"{text}(no worker is on GPU 1)")
        assert refused(lambda: attempt(device=-1))[0] == "INVALID_ARGUMENT"
        code, said = refused(lambda: attempt(os.urandom(64)))
        assert code == "INVALID_ARGUMENT" and said.startswith(f"{text}(cudaErrorInvalidResourceHandle")
        assert c.get_cuda_shared_memory_status(as_json=True) == {}
        attempt()
        assert refused(attempt) == ("ALREADY_EXISTS", "shared memory region 'r' already in manager")
        a = np.zeros(4096, np.uint8)
        assert refused(lambda: c.infer("identity", [shared("INPUT0", a, "UINT8", "r", 1)])) == (
            "INVALID_ARGUMENT", "Invalid offset + byte size for shared memory region: 'r'")
        assert refused(lambda: c.infer("identity", [shared("INPUT0", a, "UINT8", "r")],
                                       outputs=[wanted("OUTPUT0", "r", 4096, 1)])) == (
            "INVALID_ARGUMENT", "Invalid offset + byte size for shared memory region: 'r'")
        assert refused(lambda: c.get_system_shared_memory_status("r")) == (
            "NOT_FOUND", "The region named 'r' is registered as CUDA shared memory, not system shared memory")
        c.unregister_system_shared_memory()
        assert set(c.get_cuda_shared_memory_status(as_json=True)["regions"]) == {"r"}
    assert [w.restarts for w in d.status().workers] == [0]


def test_off_unless_it_is_allowed(gpu, memory):
    d = gpu(shm="off")
    there = memory(4096)
    with triton.InferenceServerClient(d.unix) as c:
        assert refused(lambda: register(c, "r", there, 4096)) == (
            "INVALID_ARGUMENT", "failed to register shared memory region 'r': invalid args (GPUs not supported: "
            "[server] client_cuda_shm is off)")
        c.unregister_cuda_shared_memory()


def test_it_runs_where_it_lies(gpu, memory):
    """Of two GPUs and a processor that have the model, the one whose memory it is."""
    d = gpu("model.max_batch_size=0", workers="cuda:0, cuda:1, cpu:0", fake="devices=2", models=["identity"])
    wait_for("three workers", lambda: sum(w.state == "ready" for w in d.status().workers) == 3)
    there = memory(2 << 20)
    a = np.arange(1000, dtype=np.uint8)
    there.write(0, a)
    with triton.InferenceServerClient(d.unix) as c:
        register(c, "there", there, 2 << 20)
        inputs, outputs = copied(a)
        for _ in range(20):
            c.infer("identity", inputs, outputs=outputs)
    assert [w.batches_done for w in d.status().workers if w.device == "cuda:1"] == [0]
    assert [w.batches_done for w in d.status().workers if w.device == "cuda:0"] == [20]


def test_a_model_that_is_not_there(gpu, memory, tmp_path):
    (tmp_path / "models" / "elsewhere" / "1").mkdir(parents=True)
    (tmp_path / "models" / "elsewhere" / "model.conf").write_text(
        "[model]\nbackend = builtin\ndevices = cpu:0\n[parameters]\nfunction = identity\n")
    d = gpu(workers="cuda:0, cpu:0", models=["elsewhere"], repository=tmp_path / "models")
    there = memory(4096)
    a = np.zeros(16, np.uint8)
    with triton.InferenceServerClient(d.unix) as c:
        register(c, "there", there, 4096)
        assert refused(lambda: c.infer("elsewhere", [shared("INPUT0", a, "UINT8", "there")])) == (
            "INVALID_ARGUMENT", "model 'elsewhere' is not on cuda:0, where its tensors are")


def test_a_new_process_opens_it_again(gpu, memory):
    d = gpu()
    there = memory(2 << 20)
    a = np.arange(1000, dtype=np.uint8)
    there.write(0, a)
    with triton.InferenceServerClient(d.unix) as c:
        register(c, "there", there, 2 << 20)
        inputs, outputs = copied(a)
        c.infer("identity", inputs, outputs=outputs)
        for pid in [w.pid for w in d.status().workers]:
            os.kill(pid, signal.SIGKILL)
        there.write(1 << 20, np.zeros_like(a))
        c.infer("identity", inputs, outputs=outputs)
        assert (there.read(1 << 20, a) == a).all()


def test_the_owner_goes(gpu, memory, tmp_path):
    """What a new process cannot open any more fails, and nothing else."""
    d = gpu()
    there = memory(2 << 20)
    a = np.arange(1000, dtype=np.uint8)
    with triton.InferenceServerClient(d.unix) as c:
        register(c, "there", there, 2 << 20)
        os.unlink(tmp_path / f"fakecuda-{os.getpid()}")
        for pid in [w.pid for w in d.status().workers]:
            os.kill(pid, signal.SIGKILL)
        inputs, outputs = copied(a)
        code, said = refused(lambda: c.infer("identity", inputs, outputs=outputs))
        assert code == "INVALID_ARGUMENT" and "cannot be had" in said
        assert d.infer("identity", b"abc").tensor_data.data == b"abc"
        c.unregister_cuda_shared_memory()


def test_unregistered_while_it_is_used(gpu, memory):
    d = gpu("model.max_batch_size=0", fake="kernel_us=300000")
    there = memory(2 << 20)
    a = np.arange(1000, dtype=np.uint8)
    there.write(0, a)
    with triton.InferenceServerClient(d.unix) as c, triton.InferenceServerClient(d.unix) as other:
        register(c, "there", there, 2 << 20)
        inputs, outputs = copied(a)
        call = c.async_infer("identity", inputs, lambda result, error: None, outputs=outputs)
        wait_for("the run", lambda: any(w.batches_in_flight for w in d.status().workers) or (there.read(1 << 20, a) == a).all())
        other.unregister_cuda_shared_memory("there")
        wait_for("what it gives", lambda: (there.read(1 << 20, a) == a).all())
        assert call is not None


def test_the_check_on_a_gpu_does_it_from_another_process(gpu, tmp_path):
    """As `make check-gpu` does on a real one; an owner that ends is among it."""
    d = gpu(models=["identity"])
    done = subprocess.run([os.path.join(FAKE, "check"), f"--shared={d.unix}", "--ms=0"], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "FAKECUDA": f"ipc={tmp_path}"})
    assert done.returncode == 0 and "0 are not" in done.stdout and "NO:" not in done.stdout, done.stdout + done.stderr
    assert [w.restarts for w in d.status().workers] == [0]
