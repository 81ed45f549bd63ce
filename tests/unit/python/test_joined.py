"""Runs of several items, joined to one call of infer: workers with and without the extension module must say the same."""
import random
import struct

import numpy as np
import pytest

from modeld_worker import wire
from test_express import ARENA, SIZES, Told, both  # noqa: F401
from worker_program import NATIVE, WAYS, os, start  # noqa: F401

native_only = pytest.mark.skipif(not os.path.isdir(NATIVE), reason="the extension module was not built")
ROWS = 64
MOST = 8
# What infer does depends on the largest of the first column, so that a joined run may fail for the sake of one item.
ODD = """
import numpy as np
import modeld_worker

class Model:
    inputs = {"x": "f32[-1, 2]", "n": "any[-1]"}
    outputs = {"y": "f32[-1, -1]", "z": "any[-1]"}

    def load(self, context):
        self.context = context
        self.calls = 0

    def infer(self, x, n):
        self.calls += 1
        kind = int(x[:, 0].max()) % 24 if x.size else 0
        z = np.full(len(x), self.calls)
        if kind == 1:
            raise modeld_worker.InvalidArgument("one")
        if kind == 2:
            raise SystemExit("two")
        if kind == 3:
            return x, n.astype(">f8")
        if kind == 4:
            return x.astype(np.float64), n
        if kind == 5:
            return {"y": np.asfortranarray(x)[:, ::-1], "z": z[::-1]}
        if kind == 6:
            return {"y": x}
        if kind == 7:
            return x[1:], z
        if kind == 8:
            return x.tolist(), ["text"] * len(x)
        if kind == 9:
            y = self.context.empty((len(x), 3))
            y[:] = 9
            return y, np.full(len(x), self.context.traceparent == "")
        if kind == 10:
            x[:] = 0
            return x, z
        if kind == 11:
            return np.float32(3), z
        if kind == 12:
            return np.empty((len(x), 0), np.float32), z
        if kind == 13:
            return np.broadcast_to(np.float32(2), (len(x), 1 << 10)), z
        if kind == 14:
            return x, np.array(["a" * i for i in range(len(x))], object)
        if kind == 15:
            return x, np.zeros((1, len(x)))
        if kind == 16:
            return x, {"a": 1}
        return x, z
"""


def tensor(r, index, rows, dtype, rest=()):
    dims = [rows, *rest]
    length = SIZES[dtype]
    for d in dims:
        length *= d
    return wire.Tensor(index=index, dtype=dtype, dims=dims, arena=ARENA, offset=r.randrange(0, ROWS - MOST) * 64, length=length)


def item(r, dtype):
    rows = r.choice([0, 1, 1, 1, 2, 3])
    made = wire.Item(inputs=[tensor(r, 0, rows, 12, (2,)), tensor(r, 1, rows, dtype)])
    odd = r.random()
    if odd < 0.02:
        made.inputs[1].dims = [rows + 1]
    elif odd < 0.04:
        made.inputs[0].arena = 9
    elif odd < 0.06:
        made.inputs[1] = tensor(r, 1, rows + 1, dtype)
    elif odd < 0.08:
        made.inputs[1] = tensor(r, 1, rows, 5)
    elif odd < 0.10:
        made.outputs = r.choice([[0, 1], [1, 0], [0]])
    elif odd < 0.12:
        made.parameters = [wire.Pair(key="k", value="v")]
    elif odd < 0.14:
        made.inputs.pop()
    if r.random() < 0.1:
        made.traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    return made


class Joining(Told):
    """It releases what it has read of."""

    def begin(self, code, **setup):
        return self.worker.begin(code, {"output_bytes": 1 << 20, "output_segment_bytes": 1 << 20, "holds": 64, **setup}, max_batch_size=MOST)

    def answers(self, messages):
        self.holds = set()
        said = super().answers(messages)
        if self.holds:
            self.worker.send(wire.Release(holds=sorted(self.holds)))
        return said

    def plain(self, result):
        if result.hold:
            self.holds.add(result.hold)
        return (*super().plain(result), result.joined, [o.offset for o in result.outputs])


@pytest.fixture
def pair(tmp_path):
    begun = []

    def begin(code, data, **setup):
        for way in ("0", "1"):
            begun.append(Joining(tmp_path / way, way, code, data, **setup))
        return begun

    yield begin
    for told in begun:
        told.worker.close()


def rows_of(numbers):
    """Memory whose every 64 bytes begin with one of them, as rows of x."""
    return b"".join(struct.pack("16f", *[n] * 16) for n in numbers)


@native_only
@pytest.mark.parametrize("seed", range(4))
def test_joined_runs_are_answered_alike(pair, seed):
    r = random.Random(seed)
    numbers = [float(r.choice([0, 0, 0, r.randrange(24)])) for _ in range(ROWS)]
    python, native = pair(ODD, rows_of(numbers))
    batch = n_joined = 0
    for _ in range(100):
        record = []
        for _ in range(r.randrange(1, 4)):
            batch += 1
            dtype = r.choice([1, 3, 7, 9, 11, 12, 13])
            record.append(wire.Run(batch=batch, model=1, items=[item(r, dtype) for _ in range(r.randrange(1, 6))]))
        said = native.answers(record)
        assert said == python.answers(record)
        assert len(native.holds) == len(python.holds)
        n_joined += sum(results[0][4] > 1 for results in said.values())
    assert n_joined > 50
    # Nothing is left of the memory.
    for told in (python, native):
        told.worker.send(wire.Ping(nonce=1))
        told.take(wire.Pong)
    whole = wire.Run(batch=batch + 1, model=1, items=[wire.Item(inputs=[tensor(r, 0, 0, 12, (2,)), tensor(r, 1, 0, 12)])])
    assert native.answers([whole]) == python.answers([whole])


WIDE = """
import numpy as np
inputs = {"x": "f32[-1, 2]"}
outputs = {"y": "u8[-1, -1]"}

def infer(x):
    return np.full((len(x), %d), len(x), np.uint8)
"""


def items(n, rows=1):
    return [wire.Item(inputs=[wire.Tensor(dtype=12, dims=[rows, 2], arena=ARENA, offset=64 * i, length=8 * rows)]) for i in range(n)]


@native_only
def test_joined_answers_that_there_is_no_room_for_go_one_by_one(pair):
    for told in pair(WIDE % (1 << 18), rows_of(range(ROWS)), output_wait_ms=0):
        said = told.answers([wire.Run(batch=1, model=1, items=items(6))])[1]
        assert [(code, joined) for code, _, _, _, joined, _ in said] == [(0, 1)] * 4 + [(8, 0)] * 2
        assert all(outputs[0][3] == bytes([1]) * (1 << 18) for _, _, outputs, _, _, _ in said[:4])
        assert told.answers([wire.Run(batch=2, model=1, items=items(2))])[2][1][4] == 2


@native_only
def test_more_rows_than_are_joined(pair):
    for told in pair(WIDE % 4, rows_of(range(ROWS))):
        for batch, (n, rows, joined) in enumerate(((MOST, 1, MOST), (MOST + 1, 1, 1), (2, MOST // 2, 2), (2, MOST // 2 + 1, 1), (1024, 0, 1024)), 1):
            run = wire.Run(batch=batch, model=1, items=items(n, rows) if n < 1000 else items(1, 0) * n)
            assert {said[4] for said in told.answers([run])[batch]} == {joined}


@pytest.fixture
def one(start):  # noqa: F811
    def begin(code, **load):
        w = start()
        assert w.begin(code, max_batch_size=MOST, **load).ok
        w.map_input(rows_of(range(ROWS)))
        return w

    return begin


def results(w, batch, made):
    w.send(wire.Run(batch=batch, model=1, items=made))
    return w.take(wire.Done).results


def test_one_of_them_fails_alone(one):
    w = one("import modeld_worker\ninputs = {'x': 'f32[-1, 2]'}\noutputs = {'y': 'f32[-1, 2]'}\n"
            "def infer(x):\n    if (x == 2).any(): raise modeld_worker.NotFound('two')\n    return x\n")
    said = results(w, 1, items(4))
    assert [(r.code, r.message, r.joined) for r in said] == [(0, "", 1), (0, "", 1), (5, "two", 0), (0, "", 1)]
    assert [r.joined for r in results(w, 2, items(2))] == [2, 2]


def test_one_that_cannot_go_on(one):
    w = one("import modeld_worker\ninputs = {'x': 'f32[-1, 2]'}\noutputs = {'y': 'f32[-1, 2]'}\n"
            "def infer(x):\n    raise modeld_worker.Fatal('lost')\n")
    w.send(wire.Run(batch=1, model=1, items=items(4)))
    w.wait_end()
    assert "cannot go on in this process" in w.log()


def test_they_may_ask_whether_they_are_cancelled(one):
    """And what the model is told then is not of one of them."""
    w = one("import numpy as np\ninputs = {'x': 'f32[-1, 2]'}\noutputs = {'y': 'f32[-1, 2]'}\nn = 0\ndef infer(x, context):\n"
            "    global n\n    n += 1\n    print('begun')\n    while n == 1 and not context.cancelled(): pass\n"
            "    print('parameters', context.request_parameters, context.traceparent, context.wanted)\n    return x\n")
    made = items(2)
    made[0].traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    w.send(wire.Run(batch=7, model=1, items=made))
    w.send(wire.Cancel(batch=7, model=1))
    w.take(wire.Done)
    assert [r.joined for r in results(w, 8, made)] == [2, 2]
    assert "parameters {}  ['y']" in w.log()


KEEPS = """
import weakref
import numpy as np
inputs = {"x": "f32[-1, 2]"}
outputs = {"y": "f32[-1, 2]"}
seen = []

def infer(x):
    gone = sum(one() is None for one in seen)
    seen.append(weakref.ref(x))
    if x[0, 0] == 3:
        raise ValueError("three")
    return np.full((len(x), 2), gone, np.float32)
"""


@native_only
def test_what_was_joined_is_gone_with_its_answer(pair):
    for told in pair(KEEPS, rows_of(range(ROWS))):
        for batch in range(1, 4):
            said = told.answers([wire.Run(batch=batch, model=1, items=items(2))])[batch]
            assert np.frombuffer(said[0][2][0][3], np.float32).tolist() == [batch - 1] * 2
        failing = items(4)[3:] * 2
        assert [code for code, *_ in told.answers([wire.Run(batch=9, model=1, items=failing)])[9]] == [13, 13]
        said = told.answers([wire.Run(batch=10, model=1, items=items(2))])[10]
        assert np.frombuffer(said[0][2][0][3], np.float32).tolist() == [6, 6]
