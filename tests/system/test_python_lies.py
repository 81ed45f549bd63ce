"""clients/python in front of a daemon that lies: its own errors only, and nothing is kept. No daemon is started: what
answers is a thread of the test's."""
import array
import contextlib
import gc
import os
import socket
import sys
import threading

import numpy as np
import pytest

import messages as m
from daemon import wait_for
from raw_handoff import memfd

sys.path.insert(0, os.path.join(m.ROOT, "clients", "python"))
import modeld  # noqa: E402
from modeld._handoff import Handoff  # noqa: E402

SIZE = 16 << 20
TOKEN = b"t" * 16
U8, F32, BYTES = 2, 12, 14
PATIENCE_S = 60


def envelope(seq, **body):
    return m.handoff.Envelope(seq=seq, **body).SerializeToString()


def registered(**other):
    return m.handoff.Registered(**{"region": TOKEN, "number": 1, "size": SIZE, **other})


def inferred(*tensors, **other):
    return m.handoff.Inferred(outputs=[m.handoff.Tensor(**t) for t in tensors], **other)


class Liar:
    """Answers GetLimits and the first Allocate as it should, and what comes then by lie(seq, request), which returns
    records: (bytes, descriptors to be sent and closed)."""

    def __init__(self, path, lie, honest):
        self.lie, self.honest = lie, honest
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                to, _ = self.listener.accept()
            except OSError:
                return
            with to, contextlib.suppress(ConnectionError):
                self.talk(to)

    def talk(self, to):
        n = 0
        while True:
            record = to.recv(1 << 17)
            if not record:
                return
            request = m.handoff.Envelope.FromString(record)
            n += 1
            for data, fds in self.honest_answer(request) if n <= self.honest else self.lie(request.seq, request):
                control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                try:
                    to.sendmsg([data], control)
                except OSError:
                    pass  # it has closed the connection at the record before
                for fd in fds:
                    os.close(fd)

    @staticmethod
    def honest_answer(request):
        if request.WhichOneof("body") == "get_limits":
            return [(envelope(request.seq, limits=m.handoff.Limits(protocol=1)), [])]
        return [(envelope(request.seq, registered=registered()), [memfd(SIZE)])]

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE_S)
        self.listener.close()


@pytest.fixture
def liar(tmp_path):
    """liar(lie, honest): the path of a socket where the first `honest` requests are answered well."""
    started = []

    def start(lie, honest):
        path = str(tmp_path / "handoff.sock")
        started.append(Liar(path, lie, honest))
        return path
    yield start
    for one in started:
        one.close()


def memories():
    """Descriptors of what the liar sends."""
    targets = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the directory's own
            targets.append(os.readlink(f"/proc/self/fd/{fd}"))
    return sum("memfd:test" in target or target == "/dev/null" for target in targets)


def all_gone(before):
    """The liar may be about to close its own; what lies in circles is to be found first."""
    if memories() > before:
        gc.collect()
    wait_for("the descriptors to be closed", lambda: memories() <= before)


def null(n=1):
    return [os.open("/dev/null", os.O_RDONLY) for _ in range(n)]


def said(**body):
    return lambda seq, request: [(envelope(seq, **body), [])]


# What may come of anything that is asked.
ANY = {
    "no protobuf": lambda seq, request: [(b"\xff" * 40, [])],
    "no protobuf, with descriptors": lambda seq, request: [(b"\xff" * 40, [memfd(SIZE)] + null())],
    "cut off": lambda seq, request: [(envelope(seq, registered=registered())[:-3], [memfd(SIZE)])],
    "an error that is malformed": lambda seq, request: [(b"\x08" + bytes([seq]) + b"\x62\x02\xff\xff", [])],
    "an error with descriptors": lambda seq, request: [(envelope(seq, error=m.handoff.Error(code=8, message="no")),
                                                        [memfd(SIZE)])],
    "an error of no code": said(error=m.handoff.Error(code=4000000000, message="\u00e4" * 100)),
    "an answer to nothing": lambda seq, request: [(envelope(seq + 1000, registered=registered()), [memfd(SIZE)])],
    "the same answer twice": lambda seq, request: [
        (envelope(seq, limits=m.handoff.Limits()), null()) for _ in range(2)],
    "a request": said(get_limits=m.handoff.GetLimits()),
    "no body": lambda seq, request: [(envelope(seq), [memfd(SIZE)])],
    "the end, with descriptors": lambda seq, request: [(b"", null(2))],
    "more descriptors than there is room for": lambda seq, request: [(envelope(seq, registered=registered()), null(12))],
    "a number as the body": lambda seq, request: [(b"\x08" + bytes([seq]) + b"\x48\x01", null())],
}
ALLOCATED = {
    "no descriptor": said(registered=registered()),
    "two descriptors": lambda seq, request: [(envelope(seq, registered=registered()), [memfd(SIZE), memfd(SIZE)])],
    "no memory": lambda seq, request: [(envelope(seq, registered=registered()), null())],
    "less memory than it says": lambda seq, request: [(envelope(seq, registered=registered()), [memfd(4096)])],
    "no bytes": lambda seq, request: [(envelope(seq, registered=registered(size=0)), [memfd(SIZE)])],
    "more bytes than there are": lambda seq, request: [(envelope(seq, registered=registered(size=2**64 - 1)), [memfd(SIZE)])],
    "no token": lambda seq, request: [(envelope(seq, registered=registered(region=b"")), [memfd(SIZE)])],
    "no number": lambda seq, request: [(envelope(seq, registered=registered(number=0)), [memfd(SIZE)])],
    "memory that may be made shorter": lambda seq, request: [(envelope(seq, registered=registered()), [memfd(SIZE, 0)])],
    "another answer": lambda seq, request: [(envelope(seq, inferred=inferred()), [memfd(SIZE)])],
}


@pytest.mark.parametrize("what", [*ANY, *ALLOCATED])
def test_lies_when_memory_is_asked_for(liar, what):
    before = memories()
    path = liar({**ANY, **ALLOCATED}[what], 1)
    with contextlib.closing(Handoff(path, PATIENCE_S)) as handoff, pytest.raises(modeld.ModeldError):
        handoff.allocate(SIZE)
    all_gone(before)


@pytest.mark.parametrize("what", ANY)
def test_lies_as_the_first_word(liar, what):
    before = memories()
    with pytest.raises(modeld.ModeldError):
        Handoff(liar(ANY[what], 0), PATIENCE_S)
    all_gone(before)


@pytest.mark.parametrize("what", [*ANY, "no answer"])
def test_lies_about_memory_that_is_handed_over(liar, what):
    lies = {**ANY, "no answer": lambda seq, request: [(b"", [])]}
    fd = memfd(4096)
    before = memories()
    path = liar(lies[what], 1)
    with contextlib.closing(Handoff(path, PATIENCE_S)) as handoff, pytest.raises(modeld.ModeldError):
        handoff.register(fd, 4096)
    all_gone(before)
    os.close(fd)


def out(**other):
    """As an output at the target, which is in the region that the input lies in."""
    return {"name": "y", "dtype": F32, "dims": [4], "region": 1, "offset": 64, "length": 16, **other}


def room(*tensors, fds=1, **other):
    answer = inferred(*tensors, room=[registered(number=2, **other)])
    return lambda seq, request: [(envelope(seq, inferred=answer), [memfd(SIZE) for _ in range(fds)])]


INFERRED = {
    "an unknown dtype": said(inferred=inferred(out(dtype=99))),
    "a shape that is not the bytes": said(inferred=inferred(out(dims=[5]))),
    "a negative shape": said(inferred=inferred(out(dims=[-1]))),
    "a negative shape that comes out even": said(inferred=inferred(out(dims=[-2, -2]))),
    "a shape beyond all numbers": said(inferred=inferred(out(dims=[2**62, 2**62, 2**62]))),
    "a hundred dimensions": said(inferred=inferred(out(dims=[1] * 100 + [4]))),
    "half an element": said(inferred=inferred(out(length=15))),
    "another place": said(inferred=inferred(out(offset=0))),
    "another region": said(inferred=inferred(out(region=77))),
    "more than the room": said(inferred=inferred(out(length=2**63, dims=[2**61]))),
    "strings that do not add up": said(inferred=inferred({"name": "y", "dtype": BYTES, "dims": [1], "data": b"\xff" * 8})),
    "strings of another shape": said(inferred=inferred({"name": "y", "dtype": BYTES, "dims": [3], "data": b"\0" * 8})),
    "data of another length": said(inferred=inferred({"name": "y", "dtype": F32, "dims": [4], "data": b"\0" * 15})),
    "data of another shape": said(inferred=inferred({"name": "y", "dtype": F32, "dims": [4], "data": b"\0" * 8})),
    "no output": said(inferred=inferred()),
    "a room that does not come": room(out(region=2), fds=0),
    "two rooms": room(out(region=2), fds=2),
    "a room that is too small": room(out(region=2), size=2**40),
    "an output outside of its room": room(out(region=2, offset=SIZE - 4)),
    "two outputs in one place": room(out(region=2), out(region=2, name="z")),
    "a malformed room": lambda seq, request: [(b"\x08" + bytes([seq]) + b"\x5a\x04\x3a\x02\xff\xff", [memfd(SIZE)])],
    "a descriptor and no room": lambda seq, request: [(envelope(seq, inferred=inferred(out(offset=0))), [memfd(SIZE)])],
    "an error about outputs that is malformed": lambda seq, request: [
        (b"\x08" + bytes([seq]) + b"\x62\x04\x1a\x02\xff\xff", [])],
}


def client_of(path):
    """With a model that it knows, so that nothing is asked by gRPC."""
    client = modeld.connect("unix:" + path + ".none", handoff=path, timeout=PATIENCE_S)
    tensors = [modeld.TensorInfo(name, "any", None) for name in ("x", "y")]
    client._models["liar"] = modeld.ModelInfo("liar", "1", "", "ready", "", 0, (tensors[0],), (tensors[1],))
    return client


@pytest.mark.parametrize("what, given", [(what, False) for what in [*ANY, *INFERRED]] +
                         [(what, True) for what in INFERRED if "strings" not in what])
def test_lies_when_something_is_run(liar, what, given):
    before = memories()
    with client_of(liar({**ANY, **INFERRED}[what], 2)) as client:
        x = client.empty(4, np.float32)
        target = client.empty(4, np.float32)
        with pytest.raises(modeld.ModeldError):
            client.infer("liar", x, timeout=PATIENCE_S, **({"out": target} if given else {}))
        del x, target
    del client
    all_gone(before)
