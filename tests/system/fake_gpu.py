"""GPUs of a stand-in for CUDA (tests/support/fakecuda): daemons whose workers are on them, and its runtime in this process."""
import ctypes
import os

import numpy as np
import pytest

from daemon import BUILD, ROOT, SANITIZED

FAKE = os.path.join(BUILD, "fakecuda")
# What this process loads is never the sanitizers': these want to be in it first.
_PLAIN = os.path.join(os.path.dirname(BUILD) if SANITIZED else BUILD, "fakecuda")
MODELS = os.path.join(ROOT, "tests", "gpu", "models")
_IN, _OUT = 1, 2  # cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost


def settings(tmp_path):
    """Of a daemon with workers on GPUs, which may write to that directory."""
    return (f"worker.program={FAKE}/modeld-worker", f"worker.backend_dirs={FAKE}/backends", "memory.input_arena_bytes=64M",
            "worker.output_arena_bytes=64M", f"worker.sandbox_write={tmp_path}")


def load(name="libfakecuda.so"):
    """The stand-in, for ctypes; the test is skipped where it is not there."""
    path = os.path.join(_PLAIN, name)
    if SANITIZED and not os.path.exists(path):
        pytest.skip("needs the build without sanitizers beside it: make fakecuda")
    return ctypes.CDLL(path)


def _copy(cuda, to, at, n, kind):
    stream = ctypes.c_void_p()
    assert cuda.cudaStreamCreateWithFlags(ctypes.byref(stream), 0) == 0
    assert cuda.cudaMemcpyAsync(to, at, ctypes.c_size_t(n), kind, stream) == 0
    assert cuda.cudaStreamSynchronize(stream) == 0
    assert cuda.cudaStreamDestroy(stream) == 0


def write(cuda, address, array):
    data = array.tobytes()
    _copy(cuda, ctypes.c_void_p(address), data, len(data), _IN)


def read(cuda, address, like):
    """What lies there, as an array like this one."""
    data = ctypes.create_string_buffer(like.nbytes)
    _copy(cuda, data, ctypes.c_void_p(address), like.nbytes, _OUT)
    return np.frombuffer(data.raw, like.dtype).reshape(like.shape)
