"""Workers with and without the extension module (workers/python/native) are told the same, and must say the same."""
import mmap
import os
import random
import signal
import socket
import struct
import sys
import time
import types
import weakref

import numpy as np
import pytest

from modeld_worker import codec, dtypes, wire
from modeld_worker import express as express_module
from modeld_worker.context import current_call, set_usual_call
from worker_program import NATIVE, PATIENCE_S, Worker, run

pytestmark = pytest.mark.skipif(not os.path.isdir(NATIVE), reason="the extension module was not built")

# What infer gives depends on the first number alone.
ODD = """
import numpy as np
import modeld_worker

class Model:
    inputs = {"x": "f32[-1]", "n": "any"}
    outputs = {"y": "f32[-1]", "z": "any"}

    def load(self, context):
        self.context = context

    def infer(self, x, n):
        kind = int(x[0]) % 16 if x.size else 0
        if kind == 1:
            raise modeld_worker.InvalidArgument("one")
        if kind == 2:
            raise ValueError("two")
        if kind == 3:
            return x, n.astype(">f8")
        if kind == 4:
            return x.astype(np.float64), n
        if kind == 5:
            return {"y": x[::2], "z": np.asfortranarray(np.ones((2, 3)))}
        if kind == 6:
            return {"y": x}
        if kind == 7:
            return {"y": x, "q": n}
        if kind == 8:
            return x.tolist(), ["text"]
        if kind == 9:
            y = self.context.empty(x.shape)
            y[:] = x
            return y, np.array(self.context.wanted == ["y", "z"])
        if kind == 10:
            return x, np.ma.masked_array(n)
        if kind == 11:
            return x, np.broadcast_to(np.int8(3), (1,) * 17)
        if kind == 12:
            return [x, n]
        if kind == 13:
            return x, np.empty((0, 4), np.uint16)
        if kind == 14:
            raise SystemExit("fourteen")
        if kind == 15:
            raise BaseException("fifteen")
        return x, n
"""
ARENA = 65536
BYTES = 4096
DTYPES = list(range(1, 15))
SIZES = [0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 4]


class Told:
    """A worker whose output memory can be read."""

    def __init__(self, directory, way, code, data, **setup):
        directory.mkdir()
        self.worker = Worker(directory, MODELD_NATIVE=way)
        self.memory = {}
        self.last = self.last_hold = 0
        self.got = []
        self.worker.take = self.take
        assert self.begin(code, **setup).ok
        self.worker.map_input(data)

    def begin(self, code):
        return self.worker.begin(code, {"output_bytes": 1 << 26, "holds": 4000})

    def receive(self):
        data, fds, _, _ = socket.recv_fds(self.worker.socket, wire.RECORD_MAX, 1)
        assert data, self.worker.log()
        messages = codec.read_record(data)
        for fd in fds:
            self.memory[messages[0].id] = mmap.mmap(fd, messages[0].size, prot=mmap.PROT_READ)
            os.close(fd)
        return messages

    def take(self, kind):
        while True:
            while self.got:
                message = self.got.pop(0)
                if type(message) is kind:
                    return message
            self.got = self.receive()

    def answers(self, messages):
        """What it says to the Runs among them, in their order."""
        self.worker.send(*messages)
        said = {}
        n = sum(type(m) is wire.Run for m in messages)
        while len(said) < n:
            done = self.take(wire.Done)
            holds = [r.hold for r in done.results if r.hold]
            assert done.batch > self.last and holds == sorted(holds) and (not holds or holds[0] > self.last_hold), "answers come in order"
            self.last, self.last_hold = done.batch, holds[-1] if holds else self.last_hold
            said[done.batch] = [self.plain(r) for r in done.results]
        return said

    def plain(self, result):
        outputs = [(o.index, o.dtype, list(o.dims), bytes(self.memory[o.arena][o.offset:o.offset + o.length]) if o.length else b"")
                   for o in result.outputs]
        return result.code, result.message, outputs, bool(result.hold)


@pytest.fixture
def both(tmp_path):
    begun = []

    def begin(code, data):
        begun.extend(Told(tmp_path / way, way, code, data) for way in ("0", "1"))
        return begun

    yield begin
    for told in begun:
        told.worker.close()


def tensor(r, index, dtype=None):
    dtype = dtype or r.choice(DTYPES)
    dims = [r.choice([0, 1, 2, 3, 4]) for _ in range(r.choice([0, 1, 1, 2, 3]))]
    length = SIZES[dtype]
    for d in dims:
        length *= d
    made = wire.Tensor(index=index, dtype=dtype, dims=dims, arena=ARENA, offset=r.randrange(0, BYTES // 2, 8), length=length)
    if r.random() < 0.1:  # something is wrong with it
        name, value = r.choice([("index", 1 - index), ("arena", 9), ("offset", BYTES - 1), ("offset", wire.U64_MAX), ("length", length + 1),
                                ("length", wire.U64_MAX), ("dims", [1 << 62, 1 << 62]), ("dims", [1] * 16), ("arena", ARENA | wire.REGION_BIT)])
        setattr(made, name, value)
    return made


def item(r):
    first = tensor(r, 0, 12 if r.random() < 0.95 else None)
    if len(first.dims) != 1 and r.random() < 0.95:
        first.dims, first.length = [4], 16
    made = wire.Item(inputs=[first, tensor(r, 1)])
    if r.random() < 0.1:
        made.inputs = made.inputs[:1]
    if r.random() < 0.3:
        made.outputs = r.choice([[0, 1], [1, 0], [1], [0]])
    if r.random() < 0.1:
        made.parameters = [wire.Pair(key="k", value="v")]
    if r.random() < 0.1:
        made.traceparent, made.tracestate = "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "a=b"
    return made


def test_runs_of_every_kind_are_answered_alike(both):
    r = random.Random(1)
    numbers = [float(r.randrange(16)) for _ in range(BYTES // 4)]
    python, native = both(ODD, struct.pack(f"{len(numbers)}f", *numbers))
    batch = 0
    for _ in range(50):
        record = []
        for _ in range(r.randrange(1, 12)):
            batch += r.choice([1, 1, 1, 5])
            record.append(wire.Run(batch=batch, model=1, items=[item(r) for _ in range(r.choice([1, 1, 1, 2, 3]))]))
        assert native.answers(record) == python.answers(record)


KEEPER = """
import gc
import weakref

import numpy as np

gc.disable()
gone = []


class Thing:
    pass


def infer(x):
    if x[0]:
        thing = Thing()
        weakref.finalize(thing, gone.append, 1)
        raise ValueError("one")
    return np.array([len(gone)], np.float32)
"""


def test_what_a_run_that_raised_had_is_gone_at_once(both):
    for told in both(KEEPER, struct.pack("2f", 1, 0)):
        said = told.answers([run(1), run(2, offset=4)])
        assert said[1][0][:2] == (13, "ValueError: one") and said[2][0][2][0][3] == struct.pack("f", 1)


def broken(r, data):
    """A record with one byte changed, cut off, or with something behind it."""
    data = bytearray(data)
    if r.random() < 0.7:
        data[r.randrange(len(data))] = r.randrange(256)
    if r.random() < 0.3:
        del data[r.randrange(1, len(data)):]
    if r.random() < 0.2:
        data += bytes([r.randrange(256)])
    return bytes(data)


@pytest.fixture
def native(monkeypatch):
    monkeypatch.setattr(sys, "argv", [os.path.join(os.path.dirname(NATIVE), "modeld-python")])
    module = express_module.native()
    assert module
    return module


@pytest.fixture
def express(native, request):
    """One in this process: .native, .socket (the other end), .said (of conclude()), .released; .begin(), .reserve() may be set."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE_S, 0))
    e = types.SimpleNamespace(socket=ours, fd=theirs.fileno(), said=[], released=[], begin=lambda: None, reserve=lambda lengths: None)
    e.native = native.Express(
        e.fd, np.ndarray, tuple(dtypes.NUMPY), {ARENA: (memoryview(bytes(BYTES)), None)}, lambda: e.begin(),
        lambda lengths: e.reserve(lengths), e.released.extend, lambda model, batch, given, raised, compute_ns: e.said.append((batch, given, raised)), EOFError, wire.WireError,
        busy_poll_us=getattr(request, "param", 0))
    e.native.add(1, "model", lambda x: x, None, (("x", 12, (-1,)),), (("y", 12, (-1,)),))
    yield e
    ours.close()
    theirs.close()


def told(express, data):
    """(what it left, whether that is nothing)"""
    express.socket.send(data)
    assert express.native.receive() is None
    done = express.native.run()
    return express.native.rest(), done


def test_records_that_are_broken_are_left_or_read_as_the_codec_in_python_reads_them(express):
    r = random.Random(1)
    good = [run(1), run(2, 8), wire.Release(holds=[1, 2, 300]), wire.Run(batch=3, model=1, items=[item(r), item(r)]),
            wire.Ping(nonce=7), wire.Cancel(batch=1, model=1)]
    n_handled = 0
    for _ in range(3000):
        express.native.last_batch = 0
        express.said.clear()
        express.released.clear()
        data = broken(r, b"".join(codec.write(m) for m in r.choices(good, k=r.randrange(1, 3))))
        if not data:
            continue
        rest, done = told(express, data)
        assert data.endswith(rest) and done == (not rest)
        read = data[:len(data) - len(rest)]
        if read:
            n_handled += 1
            messages = codec.read_record(read)
            assert [batch for batch, _, _ in express.said] == [m.batch for m in messages if type(m) is wire.Run]
            assert express.released == [hold for m in messages if type(m) is wire.Release for hold in m.holds]
    assert n_handled > 100


def test_the_daemon_is_gone(express):
    express.socket.close()
    with pytest.raises(EOFError):
        express.native.receive()


def test_a_record_that_is_too_long(express):
    express.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    express.socket.send(bytes(wire.RECORD_MAX + 1))
    with pytest.raises(wire.WireError):
        express.native.receive()


def test_a_record_with_a_descriptor_is_handed_on(express):
    with open(os.devnull) as f:
        socket.send_fds(express.socket, [b"data"], [f.fileno()])
    data, (fd,) = express.native.receive()
    assert data == b"data" and express.native.run() and not express.native.rest()
    os.close(fd)


def test_runs_of_models_that_are_not_there_are_left(express):
    express.native.drop(1)
    express.native.drop(1)
    record = codec.write(run(1)) + codec.write(wire.Ping(nonce=1))
    assert told(express, record) == (record, False)


def test_what_runs_can_be_asked_for(express):
    seen = []

    def infer(x):
        e = express.native
        seen.append((e.model, e.running()[:4], e.rest()))
        e.cancel(5), e.cancel(4)
        seen.append(e.running()[-1])
        raise KeyError("x")

    express.native.add(2, "second", infer, None, (("x", 12, None),), ())
    behind = codec.write(wire.Ping(nonce=1))
    assert told(express, codec.write(run(4, model=2)) + behind) == (b"", True)
    assert seen == [("second", ("second", 4, "", ""), behind), True]
    (batch, given, raised), = express.said
    assert (batch, given, type(raised)) == (4, None, KeyError) and raised.__traceback__
    assert express.native.running() is None and express.native.model is None and express.native.last_batch == 4


def test_what_another_thread_took_over_is_not_run(express):
    taken = []
    express.begin = lambda: taken.append(express.native.rest())
    behind = codec.write(run(5)) + codec.write(wire.Ping(nonce=1))
    assert told(express, codec.write(run(4)) + behind) == (b"", True)
    assert taken == [behind] and [batch for batch, _, _ in express.said] == [4]


def test_what_infer_returned_may_change_meanwhile(express):
    """By another thread that has it."""
    held = {"y": np.ones(1, np.float32)}
    array, seen = weakref.ref(held["y"]), []

    def reserve(lengths):
        held.clear()
        seen.append(array() is not None)

    express.reserve = reserve
    express.native.add(2, "second", lambda x: held, None, (("x", 12, None),), (("y", 12, None),))
    assert told(express, codec.write(run(4, model=2))) == (b"", True)
    assert seen == [True] and array() is None


def test_handlers_of_signals_run_while_nothing_comes(express):
    before = signal.signal(signal.SIGALRM, lambda number, frame: express.socket.send(b"x"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert express.native.receive() is None
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("express", [10000], indirect=True)
def test_it_looks_again_before_it_sleeps(express):
    """Some time: where others have the processor for long between two looks it does not for a second."""
    over = time.monotonic() + PATIENCE_S
    while express.native.spins == 0 and time.monotonic() < over:
        express.socket.send(b"w")
        assert express.native.receive() is None
        test_handlers_of_signals_run_while_nothing_comes(express)
    assert express.native.spins


class Cancelling:
    """An executor to which a run is cancelled before it knows of it."""

    def begin_elsewhere(self, model, batch, traceparent, tracestate, since, is_joined, is_cancelled):
        self.is_cancelled = is_cancelled
        self.native.cancel(batch)
        return types.SimpleNamespace(model=model, is_over=False)

    def conclude(self, model, call, given, raised):
        call.is_over = True


def test_no_cancel_is_lost(native, express):
    outputs, executor = types.SimpleNamespace(reserve=None), Cancelling()
    e = express_module.Express(native, express.fd, {ARENA: (memoryview(bytes(BYTES)), None)}, outputs, executor,
                               answer=lambda *said: None, begin=lambda: None, release=None, flush=None, busy_poll_us=0)
    try:
        executor.native = express.native = e.native
        e.native.add(1, "model", lambda x: current_call() and x, None, (("x", 12, None),), (("y", 12, None),))
        assert told(express, codec.write(run(1))) == (b"", True) and executor.is_cancelled
    finally:
        set_usual_call(None)


def test_what_is_wrongly_made_is_refused(native, express):
    dtypes_of = (None,) * 14
    callbacks = (None,) * 6
    for wrong in ((1,), (0, None, dtypes_of[:3], {}, *callbacks), (0, None, dtypes_of, [], *callbacks)):
        with pytest.raises((TypeError, IndexError)):
            native.Express(*wrong)
    with pytest.raises(TypeError):
        express.native.__init__(0, None, dtypes_of, {}, *callbacks)
    for inputs in ((("x", 12, (1,) * 17),), (("x", 12, ("a",)),), (("x", 12, (1 << 64,)),), ("x",), (("x", 1, ()),) * 17, ((1, 1, ()),)):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            express.native.add(1, "model", print, None, inputs, ())


def test_answers_leave_in_order_whoever_makes_them(both):
    """That of a run which raised is made in Python, behind one that waits in the module."""
    for told in both("def infer(x):\n    if x[0]:\n        raise ValueError('one')\n    return x\n", struct.pack("2f", 1, 0)):
        for first in range(1, 400, 8):
            said = told.answers([run(first + i, offset=4 * (i % 2)) for i in range(8)])
            assert [results[0][0] for results in said.values()] == [13, 0] * 4


def test_holds_are_in_order_beside_coroutines(both, tmp_path):
    """Whose answers come from threads of their own."""
    for told in both("def infer(x):\n    return x\n", struct.pack("2f", 1, 0)):
        assert told.worker.load("async def infer(x):\n    return x\n", model=2).ok
        told.worker.send(*(run(i, model=1 + i % 2, lane=i % 3 if i % 2 else 0) for i in range(1, 300)))
        holds = [told.take(wire.Done).results[0].hold for _ in range(1, 300)]
        assert holds == sorted(holds)
        told.worker.send(wire.Release(holds=holds), wire.Unload(model=2))
        told.take(wire.Unloaded)
        assert told.answers([run(300)])[300][0][0] == 0
