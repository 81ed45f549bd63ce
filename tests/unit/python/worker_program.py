"""The worker's program, started by a test that is its daemon, on the other end of its socket."""
import fcntl
import os
import socket
import subprocess
import sys

import pytest

from messages import ROOT
from modeld_worker import codec, wire

PATIENCE_S = 60
PROGRAM = os.environ.get("MODELD_TEST_PROGRAM", os.path.join(ROOT, "build", "modeld-python"))
NATIVE = PROGRAM + "-native"
SETUP = {"protocol": wire.PROTOCOL, "worker": "cpu:0/0", "device": "cpu:0", "slots": 4, "holds": 100, "output_bytes": 1 << 20,
         "output_segment_bytes": 1 << 16, "output_segments": 8, "log_level": 2}


class Worker:
    def __init__(self, directory, **environment):
        self.directory = directory
        self.log_path = str(directory / "log")
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE_S)
        self.got = []
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM], stderr=open(self.log_path, "wb"),
            env=dict(os.environ, **environment), pass_fds=(3,), preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
        theirs.close()

    def send(self, *messages):
        self.socket.send(b"".join(map(codec.write, messages)))

    def take(self, kind):
        """The next message of this kind; others that come before it are forgotten."""
        while True:
            while self.got:
                message = self.got.pop(0)
                if type(message) is kind:
                    return message
            data, fds, _, _ = socket.recv_fds(self.socket, wire.RECORD_MAX, 1)
            for fd in fds:
                os.close(fd)
            assert data, self.log()
            self.got = codec.read_record(data)

    def begin(self, code, setup=None, **load):
        self.send(wire.Setup(**{**SETUP, **(setup or {})}))
        assert self.take(wire.Hello).slots == 4
        self.take(wire.Ready)
        return self.load(code, **load)

    def load(self, code, **load):
        (self.directory / "model.py").write_text(code)
        self.send(wire.Load(**{"model": 1, "name": "m", "version": "1", "path": str(self.directory), "backend": "python",
                               "max_batch_size": wire.U32_MAX, **load}))
        return self.take(wire.Loaded)

    def map_input(self, data, id=65536, size=None):
        """size: more than the data, of nothing."""
        fd = os.memfd_create("input", os.MFD_ALLOW_SEALING)
        os.write(fd, data)
        os.ftruncate(fd, size or len(data))
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 1 | 2 | 4 | 16)
        socket.send_fds(self.socket, [codec.write(wire.Map(id=id, size=size or len(data)))], [fd])
        os.close(fd)

    def log(self):
        return open(self.log_path, errors="replace").read()

    def wait_end(self):
        return self.process.wait(PATIENCE_S)

    def close(self):
        self.socket.close()
        self.process.kill()
        self.process.wait()


# Values of MODELD_NATIVE: without the extension module, and with it where it was built.
WAYS = ["0", "1"] if os.path.isdir(NATIVE) else ["0"]


def starter(tmp_path, way):
    started = []

    def begin(**environment):
        started.append(Worker(tmp_path, MODELD_NATIVE=way, **environment))
        return started[-1]

    yield begin
    for w in started:
        w.close()


@pytest.fixture
def start(tmp_path):
    """Starts a worker."""
    yield from starter(tmp_path, "1")


@pytest.fixture(name="start", params=WAYS, ids=["python", "native"][:len(WAYS)])
def start_both_ways(tmp_path, request):
    yield from starter(tmp_path, request.param)


def run(batch, length=4, arena=65536, offset=0, lane=0, model=1):
    tensor = wire.Tensor(dtype=12, dims=[length // 4], arena=arena, offset=offset, length=length)
    return wire.Run(batch=batch, model=model, lane=lane, items=[wire.Item(inputs=[tensor])])


IDENTITY = "def infer(x):\n    return x\n"
