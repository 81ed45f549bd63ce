"""Memory of a GPU that local clients hand over by a descriptor. Here it is the stand-in's; who made it is no process of CUDA's."""
import ctypes
import mmap
import os
import signal
import subprocess

import numpy as np
import pytest

import fake_gpu
import messages as m
from daemon import wait_for
from fake_gpu import FAKE, MODELS
from raw_handoff import Raw

PIECE = 2 << 20  # what CUDA's memory is made of
INVALID_ARGUMENT, NOT_FOUND, EXHAUSTED, UNAVAILABLE = 3, 5, 8, 14


class Memory:
    """Of GPU `gpu`, exported to a descriptor; `bytes` is what is there."""

    def __init__(self, cuda, size, gpu):
        at = ctypes.c_void_p()
        self.fd = cuda.fakecuda_foreign_fd(ctypes.c_size_t(size), gpu, ctypes.byref(at))
        self.bytes = np.frombuffer(mmap.mmap(self.fd, size), np.uint8)

    def close(self):
        os.close(self.fd)


@pytest.fixture
def memory():
    """memory(size=PIECE, gpu=0) -> Memory"""
    cuda = fake_gpu.load()
    made = []

    def make(size=PIECE, gpu=0):
        made.append(Memory(cuda, size, gpu))
        return made[-1]

    yield make
    for x in made:
        x.close()


@pytest.fixture
def gpu(start, tmp_path):
    """gpu(*sets, fake=settings of the stand-in, ...) -> Daemon"""

    def begin_daemon(*sets, fake="", models=("identity",), workers="cuda:0", limit="64M", **options):
        return start(*fake_gpu.settings(tmp_path), f"handoff.user_device_bytes={limit}", *sets, repository=MODELS,
                     models=list(models), workers=workers, env={"FAKECUDA": fake}, **options)

    return begin_daemon


@pytest.fixture
def raw():
    """raw(daemon) -> Raw"""
    made = []

    def connect(d):
        made.append(Raw(d))
        return made[-1]

    yield connect
    for r in made:
        r.close()


def fill(memory, n=1000):
    memory.bytes[:n] = np.arange(n) % 251
    memory.bytes[n:] = 0


def identity(r, region, n=1000, out=1 << 20):
    return r.infer_wait("identity", region, n, target=(region, out, n))


def is_there(memory, n=1000, out=1 << 20):
    return bool((memory.bytes[out:out + n] == memory.bytes[:n]).all()) and not memory.bytes[out + n:].any()


def test_in_and_out_without_touching_the_host(gpu, memory, raw, tmp_path):
    log = tmp_path / "streams"
    d = gpu(fake=f"log={log}")
    there, r = memory(), raw(d)
    fill(there)
    region = r.register(there.fd, PIECE, device="0")
    assert region.size == PIECE and len(region.region) == 16
    before = d.status()
    answer = identity(r, region.number)
    assert [(o.region, o.offset, o.length) for o in answer.outputs] == [(region.number, 1 << 20, 1000)]
    assert is_there(there)
    what = [line.split(None, 1)[1] for line in log.read_text().splitlines()]
    assert "in" not in what and "out" not in what and what.count("within") == 2
    after = d.status()
    for name in ("tensor_bytes_copied_in", "tensor_bytes_copied_out", "tensor_bytes_received", "tensor_bytes_sent"):
        assert getattr(after, name) == getattr(before, name), name
    limits = r.limits()
    assert (limits.user_device_bytes, limits.user_device_used_bytes, limits.user_used_bytes) == (64 << 20, PIECE, 0)
    r.unregister(region.region)
    wait_for("it is charged no more", lambda: r.limits().user_device_used_bytes == 0)
    assert identity(r, region.number).code == NOT_FOUND


def test_inputs_alone(gpu, memory, raw):
    d = gpu()
    there, out, r = memory(), memory(), raw(d)
    fill(there)
    read_only = r.register(there.fd, PIECE, device="0", read_only=True).number
    other = r.register(out.fd, PIECE, device="0").number
    assert identity(r, read_only).code == INVALID_ARGUMENT
    r.infer_wait("identity", read_only, 1000, target=(other, 7, 1000))
    assert (out.bytes[7:1007] == there.bytes[:1000]).all()
    small = r.infer_wait("identity", read_only, 100)  # without a target
    assert small.outputs[0].data == there.bytes[:100].tobytes()


def test_named_by_its_uuid(gpu, memory, raw):
    d = gpu(workers="cuda:GPU-00000002-0000-4000-8000-000000000002", fake="devices=2")
    there, r = memory(gpu=1), raw(d)
    fill(there)
    region = r.register(there.fd, PIECE, device="GPU-00000002-0000-4000-8000-000000000002")
    identity(r, region.number)
    assert is_there(there)
    assert r.register(there.fd, PIECE, device="GPU-00000001-0000-4000-8000-000000000001").code == INVALID_ARGUMENT


def test_what_a_descriptor_is_refused_for(gpu, memory, raw):
    d = gpu(fake="devices=2")
    there, elsewhere, r = memory(), memory(gpu=1), raw(d)

    def refused(text, fd=there.fd, size=PIECE, device="0", code=INVALID_ARGUMENT, fds=None):
        answer = r.register(fd, size, device=device, fds=fds)
        assert (answer.code, text in answer.message) == (code, True), answer.message

    refused("cannot be had: it is smaller than that", size=PIECE + 1)
    refused("cannot be had: it is another device's", fd=elsewhere.fd)
    refused("no worker is on GPU '1'", device="1")
    refused("no worker is on GPU 'cuda:0'", device="cuda:0")
    refused("0 bytes", size=0)
    refused("exactly one descriptor", fds=[there.fd, there.fd])
    refused("exactly one descriptor", fds=[])
    refused("[handoff] user_device_bytes, 67108864", size=(64 << 20) + 1, code=EXHAUSTED)
    ours = os.memfd_create("nothing")
    os.ftruncate(ours, PIECE)
    pipe = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (ours, null):
        refused("cannot be had: cudaErrorInvalidValue", fd=fd)
        os.close(fd)
    for fd in pipe:
        refused("none that memory of a GPU was exported to", fd=fd)
        os.close(fd)
    wait_for("all goes back", lambda: r.limits().user_used_regions == 0)
    fill(there)
    region = r.register(there.fd, PIECE, device="0").number
    for offset, length in ((PIECE, 1), (0, PIECE + 1), (1 << 63, 1 << 62)):
        assert r.infer_wait("identity", region, length, offset=offset).code == INVALID_ARGUMENT
        assert r.infer_wait("identity", region, 10, target=(region, offset, length)).code == INVALID_ARGUMENT
    identity(r, region)
    assert is_there(there)
    assert [w.restarts for w in d.status().workers] == [0]


def test_off_unless_it_is_allowed(gpu, memory, raw):
    d = gpu(limit="0")
    there, r = memory(), raw(d)
    answer = r.register(there.fd, PIECE, device="0")
    assert answer.code == EXHAUSTED and "[handoff] user_device_bytes, 0" in answer.message
    assert d.infer("identity", b"abc").tensor_data.data == b"abc"


def test_it_runs_where_it_lies(gpu, memory, raw):
    """Of two GPUs and a processor that have the model, the one whose memory it is; on two at once not at all."""
    d = gpu("model.max_batch_size=0", workers="cuda:0, cuda:1, cpu:0", fake="devices=2")
    wait_for("three workers", lambda: sum(w.state == "ready" for w in d.status().workers) == 3)
    there, elsewhere, r = memory(gpu=1), memory(), raw(d)
    fill(there)
    region = r.register(there.fd, PIECE, device="1").number
    other = r.register(elsewhere.fd, PIECE, device="0").number
    for _ in range(10):
        identity(r, region)
    assert [w.batches_done for w in d.status().workers if w.device == "cuda:0"] == [0]
    assert [w.batches_done for w in d.status().workers if w.device == "cuda:1"] == [10]
    assert r.infer_wait("identity", region, 1000, target=(other, 0, 1000)).code == INVALID_ARGUMENT


def test_a_new_process_maps_it_again(gpu, memory, raw):
    d = gpu("dispatch.retry_wait_ms=60000")
    there, r = memory(), raw(d)
    fill(there)
    region = r.register(there.fd, PIECE, device="0").number
    identity(r, region)
    for pid in [w.pid for w in d.status().workers]:
        os.kill(pid, signal.SIGKILL)
    fill(there)
    identity(r, region)
    assert is_there(there)


def test_what_a_new_process_could_not_map_it_is_sent_again(gpu, memory, raw):
    """Its first import is another memory's; the second one fails."""
    d = gpu("dispatch.retry_wait_ms=60000", fake="fail=cuMemImportFromShareableHandle:2:2")
    there, other, r = memory(), memory(), raw(d)
    fill(there)
    region = r.register(there.fd, PIECE, device="0").number
    os.kill(d.status().workers[0].pid, signal.SIGKILL)
    wait_for("a new process", lambda: d.status().workers[0].restarts == 1 and d.status().workers[0].state == "ready")
    assert r.register(other.fd, PIECE, device="0").number
    answer = identity(r, region)
    assert answer.code == INVALID_ARGUMENT and "cannot be had: cudaErrorMemoryAllocation" in answer.message
    wait_for("its memory", lambda: not getattr(identity(r, region), "code", 0))
    assert is_there(there)
    assert [w.restarts for w in d.status().workers] == [1]


def test_its_owner_goes(gpu, memory, raw):
    """While it is used, without unregistering it: nothing but its own request ends, and all is given back."""
    d = gpu("model.max_batch_size=0", fake="kernel_us=200000")
    there, r, other = memory(), raw(d), raw(d)
    fill(there)
    region = r.register(there.fd, PIECE, device="0").number
    r.infer("identity", region, 1000, target=(region, 1 << 20, 1000))
    wait_for("the run", lambda: any(w.batches_in_flight for w in d.status().workers) or is_there(there))
    r.close()
    wait_for("all goes back", lambda: other.limits().user_device_used_bytes == 0)
    assert d.infer("identity", b"abc").tensor_data.data == b"abc"
    assert [w.restarts for w in d.status().workers] == [0]


def test_unregistered_while_it_is_used(gpu, memory, raw):
    d = gpu("model.max_batch_size=0", fake="kernel_us=200000")
    there, r = memory(), raw(d)
    fill(there)
    region = r.register(there.fd, PIECE, device="0")
    seq = r.infer("identity", region.number, 1000, target=(region.number, 1 << 20, 1000))
    wait_for("the run", lambda: any(w.batches_in_flight for w in d.status().workers) or is_there(there))
    unregister = r.send(unregister=m.handoff.Unregister(region=region.region))
    answers = {answer.seq: answer.WhichOneof("body") for answer in (r.receive()[0], r.receive()[0])}
    assert answers == {seq: "inferred", unregister: "unregistered"} and is_there(there)


def test_the_check_on_a_gpu_does_it_from_another_process(gpu):
    """As `make check-gpu` does on a real one, by the client for C; an owner that ends is among it."""
    d = gpu(limit="256M")
    done = subprocess.run([os.path.join(FAKE, "check"), f"--handed={d.directory}/handoff.sock", "--ms=0"], capture_output=True,
                          text=True, timeout=120, env={**os.environ, "FAKECUDA": ""})
    assert done.returncode == 0 and "0 are not" in done.stdout and "NO:" not in done.stdout, done.stdout + done.stderr
    assert [w.restarts for w in d.status().workers] == [0]
