"""A control group with little memory: what does not fit is refused in words, and nobody is killed."""
import os
import random
import sys

import grpc
import pytest

import messages as m
from daemon import wait_for
from raw_handoff import Raw

GROUP_V1, GROUP_V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
MIB = 1 << 20
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


@pytest.fixture
def group():
    """group(bytes) -> the folder of a control group whose processes have so much memory."""
    made = []

    def make(limit):
        v1 = os.path.exists(os.path.join(GROUP_V1, "memory.limit_in_bytes"))
        folder = os.path.join(GROUP_V1 if v1 else GROUP_V2, f"modeld-test-{os.getpid()}-{random.randrange(1 << 30)}")
        try:
            os.mkdir(folder)
            made.append(folder)
            write(os.path.join(folder, "memory.limit_in_bytes" if v1 else "memory.max"), str(limit))
        except OSError as e:
            pytest.skip(f"no control group can be made here: {e}")
        return folder

    yield make
    for folder in made:
        wait_for("an empty group", lambda: not open(os.path.join(folder, "cgroup.procs"), encoding="ascii").read())
        os.rmdir(folder)


def in_group(folder):
    return lambda: write(os.path.join(folder, "cgroup.procs"), "0")


@pytest.mark.memory
def test_what_does_not_fit_is_refused(group, start):
    d = start(models=["identity"], preexec=in_group(group(512 * MIB)))
    assert "bytes=536870912 source=/sys/fs/cgroup/" in d.log() and "input_arena_bytes=67108864" in d.log()
    channel = d.channel()
    with pytest.raises(grpc.RpcError) as e:
        d.infer("identity", bytes(300 * MIB), channel=channel)
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "[memory] input_arena_bytes is 67108864" in e.value.details()
    answer = Raw(d).ask(allocate=m.handoff.Allocate(size=1 << 30))
    assert answer.code == EXHAUSTED and "268435456" in answer.message
    for _ in range(3):
        data = os.urandom(30 * MIB)
        assert d.infer("identity", data, channel=channel).tensor_data.data == data
    assert [w.restarts for w in d.status().workers] == [0]


HOG = "import numpy as np\n\n\ndef infer(x):\n    return np.ones(1 << int(x[0]), np.uint8)[:1]\n"


@pytest.mark.memory
def test_a_worker_that_the_kernel_ends_is_named(group, start, tmp_path):
    """Others go on; the model's caller, the log and the status hear why."""
    for name, file, text in (("hog", "1/model.py", HOG), ("identity", "model.conf", "[model]\nbackend = builtin\n[parameters]\nfunction = identity\n")):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / file).write_text(text)
    d = start(f"backend.python.interpreter={sys.executable}", models=["identity", "hog"], repository=str(tmp_path),
              preexec=in_group(group(512 * MIB)))
    assert d.infer("hog", bytes([10])).tensor_data.data == b"\x01"
    with pytest.raises(grpc.RpcError):
        d.infer("hog", bytes([31]))
    wait_for("why", lambda: any("by the kernel, for want of memory" in w.last_exit for w in d.status().workers))
    assert "by the kernel, for want of memory" in d.log()
    assert d.infer("identity", b"abc").tensor_data.data == b"abc"
