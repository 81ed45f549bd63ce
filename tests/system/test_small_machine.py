"""Little memory: what does not fit is refused in words, and nobody is killed. In a control group; in a tmpfs that is full;
and where the kernel gives no more addresses."""
import concurrent.futures
import os
import random
import re
import resource
import subprocess
import sys

import grpc
import pytest

import messages as m
from daemon import PATIENCE_S, ROOT, SANITIZED, status_field, wait_for
from namespaces import mount, needs_namespaces, own_mounts
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


@pytest.fixture(scope="module")
def small_tmpfs(tmp_path_factory):
    """small_tmpfs.c, for LD_PRELOAD."""
    path = tmp_path_factory.mktemp("small_tmpfs") / "small_tmpfs.so"
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-shared", "-fPIC", "-o", path,
                    os.path.join(ROOT, "tests", "system", "small_tmpfs.c"), "-ldl"], check=True)
    return path


def refused(d, n_bytes, channel):
    with pytest.raises(grpc.RpcError) as e:
        d.infer("identity", bytes(n_bytes), channel=channel)
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e.value
    return e.value.details()


def answers_well(d, n_bytes, channel):
    data = random.randbytes(n_bytes)
    assert d.infer("identity", data, channel=channel).tensor_data.data == data


SOON = ["limits.arena_wait_ms=200", "worker.output_wait_ms=200"]


@needs_namespaces
@pytest.mark.skipif(SANITIZED, reason="what is preloaded comes ahead of the sanitizer")
@pytest.mark.parametrize("mib, sets", [(48, []), (24, ["memory.segment_bytes=16M"])])
def test_a_full_tmpfs(small_tmpfs, start, tmp_path, mib, sets):
    """All shared memory lies in a file system of so many MiB, of daemon and worker, as it does where overcommit is
    off: pages are refused when they are touched, that is in the middle of a request or of an answer."""
    def confine():
        own_mounts()
        mount("none", str(tmp_path), "tmpfs", 0, f"size={mib}m")

    d = start("worker.sandbox=off", *SOON, *sets, models=["identity"], preexec=confine,
              env={"LD_PRELOAD": str(small_tmpfs), "SMALL_TMPFS": str(tmp_path)})
    channel = d.channel()
    for _ in range(3):
        refused(d, mib * MIB, channel)
        answers_well(d, MIB, channel)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda _: code_of(d, 8 * MIB, channel), range(16)))
    assert set(ends) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    answers_well(d, MIB, channel)
    assert [w.restarts for w in d.status().workers] == [0]


def code_of(d, n_bytes, channel):
    try:
        answers_well(d, n_bytes, channel)
        return grpc.StatusCode.OK
    except grpc.RpcError as e:
        return e.code()


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory is most of the address space")
def test_no_more_addresses(start):
    """As where vm.overcommit_memory is 2 and all is committed: mmap() and malloc() are refused."""
    d = start("memory.input_arena_bytes=1G", *SOON, models=["identity"])
    channel = d.channel()
    answers_well(d, MIB, channel)
    limit = status_field(d.pid, "VmSize") * 1024 + 96 * MIB
    resource.prlimit(d.pid, resource.RLIMIT_AS, (limit, limit))
    for _ in range(2):
        refused(d, 128 * MIB, channel)
        answers_well(d, MIB, channel)


# Of addresses, in MiB, and what a daemon with so many does.
TOO_FEW = [24, pytest.param(64, marks=pytest.mark.slow), 96]
SERVES_SOME = [256, *(pytest.param(mib, marks=pytest.mark.slow) for mib in (384, 640))]


def addresses(mib):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB))


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs addresses without end")
@pytest.mark.parametrize("mib", TOO_FEW)
def test_too_few_addresses_to_start(start, mib):
    """Daemon and workers have so many from the start, as where all that may be committed is: it says what it could not have."""
    d = start(*SOON, models=["identity"], ready=False, preexec=addresses(mib))
    assert d.process.wait(PATIENCE_S) == 71
    d.checked = True
    assert re.search(r"error +cannot start.*error=\"?Cannot allocate memory", d.log()), d.log()


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs addresses without end")
@pytest.mark.parametrize("mib", SERVES_SOME)
def test_few_addresses(start, mib):
    """It serves what there is room for, refuses the rest, and goes on; nothing crashes."""
    d = start(*SOON, models=["identity"], preexec=addresses(mib))
    channel = d.channel()
    for size in (10, MIB, 128 * MIB, 10, MIB):
        try:
            reply = d.infer("identity", bytes(size), channel=channel)
            assert len(reply.tensor_data.data) == size
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, (size, e)
    assert d.workers() and d.process.poll() is None
    assert not re.search(r"signal (6|7|11)\b", d.log()), d.log()
