"""Models that are written wrongly, or for others' harm: each costs its own request, says what is wrong, and leaves nothing."""
import os
import re
import struct
from math import prod

import numpy as np
import pytest

from modeld_worker import wire
from modeld_worker.context import dims_of
from modeld_worker.raised import TEXT_MAX, text_of
from test_express import Told
from worker_program import IDENTITY, WAYS, run, start  # noqa: F401

DATA = struct.pack("4f", 1, 2, 3, 4)
# A model whose first run is odd; what it does then must not be seen in the others.
FIRST = """
import numpy as np
import modeld_worker
n = 0

def infer(x, context):
    global n
    n += 1
    return odd(x, context) if n == 1 else x
"""


@pytest.fixture(params=WAYS, ids=["python", "native"][:len(WAYS)])
def tell(tmp_path, request):
    told = []

    def begin(code):
        told.append(Told(tmp_path / "worker", request.param, code, DATA))
        return told[-1]

    yield begin
    told[0].worker.close()


def first(tell, code):
    """(code, message, outputs, whether it has a hold) of an odd run, after which the model is as any."""
    said = tell(FIRST + code).answers([run(i, 16) for i in range(1, 6)])
    for i in range(2, 6):
        assert said[i] == [(0, "", [(0, 12, [4], DATA)], True)]
    return said[1][0]


RAISES = [
    ("class E(modeld_worker.InvalidArgument):\n    def __str__(self): raise SystemExit('no')\n", "E()", 3, "<exception str() failed>"),
    ("class E(RuntimeError):\n    def __str__(self): raise ValueError('no')\n", "E()", 13, "E: <exception str() failed>"),
    ("class E(SyntaxError):\n    def __str__(self): raise ValueError('no')\n", "E()", 13, "E: <exception str() failed>"),
    ("class E(modeld_worker.ModelError): code = 0\n", "E('of no error')", 13, "of no error"),
    ("class E(modeld_worker.ModelError): code = 17\n", "E('of no code')", 13, "of no code"),
    ("class E(modeld_worker.ModelError): code = '3'\n", "E('of no number')", 13, "of no number"),
    ("class E(modeld_worker.ModelError):\n    code = property(lambda self: 1 / 0)\n", "E('of nothing')", 13, "of nothing"),
    ("class E(modeld_worker.ModelError): code = 7\n", "E('not allowed')", 7, "not allowed"),
    ("E = ValueError('bad')\nE.__notes__ = ['a note']\n", "E", 13, "ValueError: bad"),
    ("E = ValueError('bad')\nE.__notes__, E.__cause__ = 5, E\n", "E", 13, "ValueError: bad"),
    ("class E(Exception): pass\nE.__module__ = None\n", "E('x')", 13, "E: x"),
    ("", "RuntimeError('cannot read: CUDA error')", 13, "RuntimeError: cannot read: CUDA error"),
    ("", "KeyboardInterrupt", 13, "KeyboardInterrupt"),
    ("", "GeneratorExit('x')", 13, "GeneratorExit: x")]


@pytest.mark.parametrize("made, raised, code, text", RAISES, ids=[r[1] for r in RAISES])
def test_what_is_raised(tell, made, raised, code, text):
    said = first(tell, f"{made}\ndef odd(x, context): raise {raised}\n")
    assert said[0] == code and said[1].endswith(text)


@pytest.mark.parametrize("given, text", [
    ("(y for y in [x])", "a generator: .*itself has a yield in it"), ("{'output': (y for y in [x])}", "a generator: .*itself has a yield in it"),
    ("many()", "a generator"), ("one()", r"a coroutine: infer itself is to be one \(async def\)")])
def test_what_would_make_an_answer_is_none(tell, given, text):
    """infer has no yield in it, and is no coroutine, but returns what it got of one that is."""
    code, message, _, _ = first(tell, f"async def many(): yield 1\n\nasync def one(): pass\n\ndef odd(x, context): return {given}\n")
    assert code == 13 and re.match(f"the model returned {text}", message), message


def test_a_long_text_is_cut_before_it_is_looked_at(tell):
    """Each of its characters takes a hundred times as long as it took to make."""
    code, message, _, _ = first(tell, "def odd(x, context):\n    print('\\u00e4' * (1 << 22))\n    raise ValueError('\\u00e4' * (1 << 22))\n")
    assert code == 13 and message == "ValueError: " + 249 * "\u00e4"
    assert len(text_of(ValueError("x" * (TEXT_MAX + 1)))) == TEXT_MAX


def test_a_long_traceback_is_cut_in_the_middle(start):
    w = start()
    w.begin("def infer(x):\n    return deep(60)\ndef deep(n):\n    return deep(n - 1) if n % 2 else deep2(n)\n"
            "def deep2(n):\n    if not n: raise ValueError('the end')\n    return deep(n - 1)\n")
    w.map_input(DATA)
    w.send(run(1))
    assert w.take(wire.Done).results[0].message == "ValueError: the end"
    said = [line for line in w.log().split("\n") if "model raised" in line]
    assert len(said) == 1 and "Traceback" in said[0] and said[0].endswith('ValueError: the end"')


def test_which_model_ended_the_worker_is_said(start):
    w = start()
    w.begin("import modeld_worker\ndef infer(x):\n    raise modeld_worker.Fatal('lost')\n")
    w.map_input(DATA)
    w.send(run(1))
    w.wait_end()
    assert "cannot go on in this process" in w.log() and "model=m error=" in w.log()


@pytest.mark.parametrize("shape, text", [
    ("(-100000, 3)", "a dimension is negative"), ("(0, -1)", "a dimension is negative"), ("(3.0,)", "cannot be interpreted as an integer"),
    ("(1,) * 99", "dimension"), ("(np.int64(1 << 40), np.int64(1 << 40), 0)", "too big"), ("('a',)", "cannot be interpreted as an integer"),
    ("(1000,), 'S'", "holds numbers"), ("(2,), object", "holds numbers")])
def test_memory_of_no_shape(tell, shape, text):
    _, message, _, _ = first(tell, f"def odd(x, context):\n    return context.empty({shape})\n")
    assert text in message


def test_memory_of_a_shape_in_numpys_numbers(tell):
    """Of which the blocks behind it would be, and the messages that name them."""
    said = first(tell, "def odd(x, context):\n    y = context.empty((np.int64(100), np.int32(3)))\n    y[:] = 5\n    return y\n")
    assert said == (0, "", [(0, 12, [100, 3], struct.pack("f", 5) * 300)], True)


def test_memory_of_another_byte_order(tell):
    said = first(tell, "def odd(x, context):\n    y = context.empty(4, '>f4')\n    y[:] = x\n    return y\n")
    assert said == (0, "", [(0, 12, [4], DATA)], True)


GIVES = [
    ("memoryview(np.arange(2, dtype='i4'))", b"\x08\0\0\0" + struct.pack("2i", 0, 1)), ("bytearray(b'ab')", b"\x02\0\0\0ab"),
    ("type('B', (bytes,), {'__len__': lambda self: 9})(b'ab')", b"\x02\0\0\0ab"), ("'a\\0b'", b"\x03\0\0\0a\0b"),
    ("np.bytes_(b'ab')", b"\x02\0\0\0ab")]


@pytest.mark.parametrize("element, data", GIVES)
def test_elements_that_are_nearly_bytes(tell, element, data):
    code = "def odd(x, context):\n    a = np.empty(1, object)\n    a[0] = " + element + "\n    return a\n"
    assert first(tell, code) == (0, "", [(0, 14, [1], data)], True)


@pytest.mark.skipif(not hasattr(getattr(np, "dtypes", None), "StringDType"), reason="numpy has none")
def test_strings_of_numpys_own(tell):
    code = "def odd(x, context):\n    return np.array(['a', 'b' * 20], np.dtypes.StringDType())\n"
    assert first(tell, code) == (0, "", [(0, 14, [2], b"\1\0\0\0a\x14\0\0\0" + b"b" * 20)], True)


@pytest.mark.parametrize("given, text", [
    ("{'y': requests[0]['x']}", "infer_batch gave dict"), ("'text'", "infer_batch gave str"), ("None", "infer_batch gave NoneType"),
    ("[]", "answered 0 of 1 requests"), ("iter(lambda: 1, 2)", "answered more than the 1 requests")])
def test_an_answer_that_is_no_list(start, given, text):
    w = start()
    assert w.begin("inputs = {'x': 'f32[-1]'}\noutputs = {'y': 'any'}\n"
                   f"def infer_batch(requests):\n    return {given}\n").ok
    w.map_input(DATA)
    w.send(run(1))
    result = w.take(wire.Done).results[0]
    assert result.code == 13 and text in result.message


KEEPER = """
import weakref
import numpy as np
ERROR = ValueError("the same each time")
seen = []

def infer(x):
    if x[0] == 2:
        return np.array([sum(one() is not None for one in seen)], np.float32)
    seen.append(weakref.ref(x))
    raise ERROR
"""


def test_an_error_that_is_kept_keeps_no_inputs(tell):
    said = tell(KEEPER).answers([run(1), run(2), run(3, offset=4)])
    assert [said[i][0][0] for i in (1, 2, 3)] == [13, 13, 0]
    assert said[3][0][2][0][3] == struct.pack("f", 0)


@pytest.mark.parametrize("how", ["raise SystemExit(3)", "raise KeyboardInterrupt", "raise type('Panic', (BaseException,), {})('x')"])
def test_an_unload_that_leaves(start, how):
    w = start()
    w.begin(f"def infer(x):\n    return x\ndef unload():\n    {how}\n")
    w.send(wire.Drain())
    w.take(wire.Bye)
    assert w.wait_end() == 0 and "unload failed" in w.log()


@pytest.mark.parametrize("there", ["None", "open('/dev/null', 'w')"])
def test_another_standard_output(start, there):
    """And a thread that never ends, for which nothing waits."""
    w = start()
    w.begin("import sys, threading\nprint('begun', end='')\n"
            f"sys.stdout = sys.stderr = {there}\n"
            "threading.Thread(target=threading.Event().wait).start()\n" + IDENTITY)
    w.send(wire.Drain())
    w.take(wire.Bye)
    assert w.wait_end() == 0 and "text=begun" in w.log()


def test_standard_output_is_told_how_to_be(start):
    w = start()
    assert w.begin("import sys\nsys.stdout.reconfigure(encoding='utf-8', line_buffering=True)\n" + IDENTITY).ok


def test_what_is_logged_need_not_be_text(start):
    w = start()
    assert w.begin("import numpy\ndef load(context):\n    context.log.info(numpy.arange(3))\n" + IDENTITY).ok
    assert 'text="[0 1 2]"' in w.log()


LEAVERS = ["raise KeyboardInterrupt", "raise SystemExit(3)", "asyncio.get_running_loop().stop()",
           "asyncio.create_task(leave()); await asyncio.sleep(0)"]


@pytest.mark.parametrize("how", LEAVERS)
def test_a_coroutine_that_leaves_its_event_loop(start, how):
    w = start()
    assert w.begin("import asyncio\nasync def leave(): raise SystemExit(1)\n"
                   f"async def infer(x):\n    if x[0] == 1:\n        {how}\n    return x\n").ok
    w.map_input(DATA)
    w.send(run(1))
    w.take(wire.Done)
    w.send(run(2, offset=4))
    assert not w.take(wire.Done).results[0].code


def test_a_process_that_was_forked_is_no_worker(start):
    """Whatever code it comes back to: it would answer, too."""
    w = start()
    w.begin("import os\nhere = os.getpid()\ndef infer(x):\n    if not os.fork():\n        return x\n    return [os.waitstatus_to_exitcode(os.wait()[1])]\n")
    w.map_input(DATA)
    for i in range(1, 4):
        w.send(run(i))
        done = w.take(wire.Done)
        assert done.batch == i and done.results[0].outputs[0].length == 8
    w.send(wire.Ping(nonce=1))
    assert w.take(wire.Pong).nonce == 1


SPAWNS = """
import multiprocessing

def load(context):
    import spawned
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(spawned.double, [1, 2]) == [2, 4]
""" + IDENTITY


def test_processes_that_are_started_anew(start, tmp_path):
    (tmp_path / "spawned.py").write_text("def double(x):\n    return 2 * x\n")
    w = start()
    loaded = w.begin(SPAWNS)
    assert loaded.ok, loaded.error + w.log()


def test_inputs_that_there_is_no_memory_for(start):
    """Strings are copied."""
    w = start()
    w.begin("import resource\ndef infer(x):\n    resource.setrlimit(resource.RLIMIT_AS, (int(open('/proc/self/statm').read().split()[0]) * "
            f"{os.sysconf('SC_PAGESIZE')} + (1 << 24), -1))\n    return [1]\n")
    w.map_input(DATA, size=1 << 27)
    w.send(run(1))
    assert not w.take(wire.Done).results[0].code
    tensor = wire.Tensor(dtype=14, dims=[1], arena=65536, offset=0, length=1 << 27)
    w.send(wire.Run(batch=2, model=1, items=[wire.Item(inputs=[tensor])]), run(3))
    assert w.take(wire.Done).results[0].code == 8
    assert not w.take(wire.Done).results[0].code


@pytest.mark.parametrize("code, text", [
    ("outputs = {'a\\0b': 'f32'}", "a name is a text that can be printed"), ("outputs = {'\\udc80': 'f32'}", "a name is a text"),
    ("outputs = {1: 'f32'}", "output 1: a name is a text"), ("outputs = {'y': 'f32[99999999999999999999]'}", "has a dimension below -1, or above"),
    ("outputs = {f'{i:0>250}': 'f32' for i in range(1000)}", "cannot be told: the message is longer"),
    ("max_batch_size = -1", "max_batch_size is -1"), ("max_batch_size = 2.5", "max_batch_size is 2.5"),
    ("def load():\n    yield", "load has a yield in it")])
def test_what_a_model_says_of_itself_is_wrong(start, code, text):
    """And the next one is loaded."""
    w = start()
    loaded = w.begin(f"{code}\n{IDENTITY}")
    assert not loaded.ok and text in loaded.error
    assert w.load(IDENTITY).ok


def test_a_masked_array(tell):
    code = "def odd(x, context):\n    return np.ma.masked_array(x, [0, 1, 0, 0])\n"
    assert "elements that are masked" in first(tell, code)[1]


def test_a_model_that_closes_what_is_not_its_own(start):
    w = start()
    w.begin("import os\ndef infer(x):\n    os.closerange(3, 256)\n    return x\n")
    w.map_input(DATA)
    w.send(run(1))
    w.wait_end()
    assert "worker stops" in w.log() and "Bad file descriptor" in w.log()


def test_a_shape_is_made_of_plain_numbers():
    """As context.empty() and that of other models have it: 64 bits would cut the product off, to 0."""
    assert prod(dims_of((np.int64(1 << 40), np.int32(1 << 30)))) == 1 << 70 and dims_of(3) == (3,)
    for wrong in ((-1, 0), (1.0,), "a"):
        with pytest.raises((TypeError, ValueError)):
            dims_of(wrong)
