"""A model in Python on a GPU, which is the stand-in's, given tensors that a local client has there, by a descriptor."""
import ctypes
import mmap
import os
import signal
import sys

import numpy as np
import pytest

from daemon import BUILD, SANITIZED, wait_for
from python_models import put
from raw_handoff import Raw

FAKE = os.path.join(BUILD, "fakecuda")
# What an interpreter loads is never the sanitizers'.
PLAIN = os.path.join(os.path.dirname(BUILD) if SANITIZED else BUILD, "fakecuda")
PIECE, OUT = 2 << 20, 1 << 20
UNAVAILABLE = 14

IDENTITY = '''
class Model:
    def load(self, context):
        assert context.device == "cuda:0"

    def infer(self, x: "u8[-1]") -> "u8[-1]":
        return x
'''
HERE = "[model]\nbackend = python\n"
TAKES = HERE + "[parameters]\ndevice_tensors = yes\n"


class Memory:
    """Of GPU 0, exported to a descriptor; `bytes` is what is there."""

    def __init__(self, cuda):
        at = ctypes.c_void_p()
        self.fd = cuda.fakecuda_foreign_fd(ctypes.c_size_t(PIECE), 0, ctypes.byref(at))
        self.bytes = np.frombuffer(mmap.mmap(self.fd, PIECE), np.uint8)
        self.bytes[:1000] = np.arange(1000) % 251

    def came(self, n=1000):
        right = bool((self.bytes[OUT:OUT + n] == self.bytes[:n]).all()) and not self.bytes[OUT + n:].any()
        self.bytes[OUT:] = 0
        return right


@pytest.fixture
def there():
    if not os.path.exists(os.path.join(PLAIN, "driver", "libcuda.so.1")):
        pytest.skip("needs the build without sanitizers beside it: make fakecuda")
    memory = Memory(ctypes.CDLL(os.path.join(PLAIN, "libfakecuda.so")))
    yield memory
    os.close(memory.fd)


@pytest.fixture
def server(start, tmp_path):
    models = tmp_path / "models"
    put(models, "takes", IDENTITY, TAKES)
    put(models, "plain", IDENTITY, HERE)
    return start(f"worker.program={FAKE}/modeld-worker", f"worker.backend_dirs={FAKE}/backends",
                 f"backend.python.worker={BUILD}/modeld-python", f"backend.python.interpreter={sys.executable}",
                 f"worker.sandbox_read={PLAIN}", "handoff.user_device_bytes=64M",
                 "memory.input_arena_bytes=64M", "worker.output_arena_bytes=64M", "dispatch.retry_wait_ms=300",
                 repository=str(models), models=["takes", "plain"], workers="cuda:0",
                 env={"LD_LIBRARY_PATH": os.path.join(PLAIN, "driver"), "FAKECUDA": ""})


def pids(server):
    return [w.pid for w in server.status().workers if w.model == "takes" and w.state == "ready"]


def test_tensors_on_the_gpu_go_to_a_model_in_python(server, there):
    r = Raw(server)
    region = r.register(there.fd, PIECE, device="0").number
    answer = r.infer_wait("takes", region, 1000, target=(region, OUT, 1000))
    assert [(o.region, o.offset, o.length) for o in answer.outputs] == [(region, OUT, 1000)], answer
    assert there.came()
    status = server.status()
    assert status.tensor_bytes_copied_in == status.tensor_bytes_copied_out == 0
    # Without a target it comes by the host; and what comes from there goes to the GPU, where that is wanted.
    assert r.infer_wait("takes", region, 1000).outputs[0].data == there.bytes[:1000].tobytes()
    allocated, ours = r.allocate(4096)
    ours[:1000] = there.bytes[:1000].tobytes()
    assert r.infer_wait("takes", allocated.number, 1000, target=(region, OUT, 1000)).outputs[0].region == region
    assert there.came()
    # Another process maps it anew.
    (pid,) = pids(server)
    os.kill(pid, signal.SIGKILL)
    wait_for("another one answers", lambda: pids(server) not in ([], [pid]) and
             r.infer_wait("takes", region, 1000).DESCRIPTOR.name == "Inferred")
    answer = r.infer_wait("takes", region, 1000, target=(region, OUT, 1000))
    assert there.came(), answer
    # A model that does not say so gets none of them.
    answer = r.infer_wait("plain", region, 1000, target=(region, OUT, 1000))
    assert answer.code == UNAVAILABLE and "'plain'" in answer.message, answer
    assert r.infer_wait("plain", allocated.number, 1000).outputs[0].data == ours[:1000]
    r.close()
    wait_for("it is given back", lambda: server.status().handoff_regions == 0)
