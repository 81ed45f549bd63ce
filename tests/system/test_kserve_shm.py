"""Shared memory by key, as Triton's clients use it: nothing about them is changed."""
import os

import numpy as np
import pytest
import tritonclient.grpc as triton

import messages as m
from daemon import wait_for
from kserve_regions import refused, shared, wanted

REPOSITORY = os.path.join(m.ROOT, "tests", "models", "triton")


class Memory:
    """An object of /dev/shm."""

    def __init__(self, size):
        self.key = f"/modeld-test-{os.getpid()}-{os.urandom(4).hex()}"
        self.file = open("/dev/shm" + self.key, "w+b", buffering=0)
        os.chmod(self.file.name, 0o600)
        self.file.truncate(size)

    def write(self, offset, array):
        os.pwrite(self.file.fileno(), array.tobytes(), offset)

    def read(self, offset, like):
        return np.frombuffer(os.pread(self.file.fileno(), like.nbytes, offset), like.dtype).reshape(like.shape)

    def close(self):
        os.unlink(self.file.name)
        self.file.close()


@pytest.fixture
def memory():
    made = []

    def make(size):
        made.append(Memory(size))
        return made[-1]

    yield make
    for x in made:
        x.close()


@pytest.fixture(scope="module")
def daemon(start_once):
    return start_once(models=["identity", "simple"], repository=REPOSITORY)


@pytest.fixture(params=["tcp", "unix"])
def client(daemon, request):
    with triton.InferenceServerClient(getattr(daemon, request.param)) as c:
        yield c
        c.unregister_system_shared_memory()


def test_in_and_out(client, memory):
    there, back = memory(8192), memory(8192)
    a = np.arange(16, dtype=np.int32).reshape(1, 16)
    there.write(64, a)
    there.write(128, np.ones_like(a))
    client.register_system_shared_memory("there", there.key, 4096, offset=64)
    client.register_system_shared_memory("back", back.key, 8192)
    inputs = [shared("INPUT0", a, "INT32", "there"), shared("INPUT1", a, "INT32", "there", 64)]
    r = client.infer("simple", inputs, outputs=[wanted("OUTPUT0", "back", 64, 256),
                                                triton.InferRequestedOutput("OUTPUT1")])
    assert (back.read(256, a) == a + 1).all() and (r.as_numpy("OUTPUT1") == a - 1).all()
    assert list(r.get_response().raw_output_contents[0:1]) == [b""]
    status = client.get_system_shared_memory_status(as_json=True)["regions"]
    assert set(status) == {"there", "back"} and status["there"]["offset"] == "64"


@pytest.mark.parametrize("n", [1 << 20, 5 << 20])
def test_much(client, memory, n):
    there, back = memory(4 * n), memory(4 * n)
    a = np.arange(n, dtype=np.float32)
    there.write(0, a)
    client.register_system_shared_memory("there", there.key, 4 * n)
    client.register_system_shared_memory("back", back.key, 4 * n)
    for _ in range(2):
        client.infer("identity", [shared("INPUT0", a, "FP32", "there")], outputs=[wanted("OUTPUT0", "back", 4 * n)])
        assert (back.read(0, a) == a).all()


def test_texts(client, memory):
    there = memory(4096)
    texts = b"\x01\0\0\0a\x02\0\0\0bc"
    os.pwrite(there.file.fileno(), texts, 0)
    client.register_system_shared_memory("there", there.key, 4096)
    t = triton.InferInput("INPUT0", [2], "BYTES")
    t.set_shared_memory("there", len(texts))
    assert list(client.infer("identity", [t]).as_numpy("OUTPUT0")) == [b"a", b"bc"]
    t.set_shared_memory("there", len(texts) - 1)
    assert refused(lambda: client.infer("identity", [t]))[0] == "INVALID_ARGUMENT"


def test_an_object_that_is_cut_short_costs_its_own_request_alone(daemon, client, memory):
    there = memory(8 << 20)
    a = np.zeros(2 << 20, np.float32)
    client.register_system_shared_memory("there", there.key, 8 << 20)
    there.file.truncate(4096)
    assert refused(lambda: client.infer("identity", [shared("INPUT0", a, "FP32", "there")])) == (
        "INVALID_ARGUMENT", "shared memory region 'there' has become shorter than it was when it was registered")
    small = triton.InferInput("INPUT0", [4], "FP32")
    small.set_data_from_numpy(np.zeros(4, np.float32))
    out = [wanted("OUTPUT0", "there", 16, 1 << 20)]
    assert "has become shorter" in refused(lambda: client.infer("identity", [small], outputs=out))[1]
    assert os.fstat(there.file.fileno()).st_size == 4096
    assert client.infer("identity", [small]).as_numpy("OUTPUT0").shape == (4,)


def test_descriptors_come_back(daemon, client, memory):
    def n_open():
        return sum("/dev/shm/modeld-test" in os.readlink(f"/proc/{daemon.pid}/fd/{fd}")
                   for fd in os.listdir(f"/proc/{daemon.pid}/fd"))

    there = memory(4096)
    for i in range(3):
        client.register_system_shared_memory(f"r{i}", there.key, 4096)
    assert n_open() == 3
    client.unregister_system_shared_memory("r0")
    client.unregister_system_shared_memory()
    wait_for("the descriptors", lambda: n_open() == 0)
