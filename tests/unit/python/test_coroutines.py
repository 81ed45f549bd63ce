"""Coroutines of a model, which overlap: the worker's program against a daemon of the test's own."""
import gc
import weakref

import pytest

from modeld_worker import wire
from modeld_worker.coroutines import in_loop
from worker_program import IDENTITY, run, start  # noqa: F401 (a fixture)

# Those that come wait for each other.
MEET = """
import asyncio

here = 0


async def infer(x):
    global here
    here += 1
    while here < 3:
        await asyncio.sleep(0.001)
    return x
"""


def begun(start, code, **load):
    w = start()
    loaded = w.begin(code, **load)
    assert loaded.ok, loaded.error
    w.map_input(bytes(4096))
    return w, loaded


def concurrency(text):
    return {"parameters": [wire.Pair(key="concurrency", value=text)]}


def answers(w, n):
    """{batch: Result} of the next n."""
    return {done.batch: done.results[0] for done in (w.take(wire.Done) for _ in range(n))}


def test_coroutines_overlap(start):
    w, loaded = begun(start, MEET)
    assert loaded.lanes == 16
    w.send(run(1, 4, lane=0), run(2, 8, lane=1), run(3, 12, lane=15))
    assert {n: r.outputs[0].length for n, r in answers(w, 3).items()} == {1: 4, 2: 8, 3: 12}
    w.send(wire.Ping(nonce=2), wire.Unload(model=1))
    assert w.take(wire.Pong).nonce == 2 and w.take(wire.Unloaded).model == 1
    w.send(wire.Drain())
    w.take(wire.Bye)
    assert w.wait_end() == 0


def test_a_list_of_coroutines_overlaps(start):
    w, loaded = begun(start, MEET.replace("infer(x)", "infer_batch(requests)").replace("return x", "return [r['x'] for r in requests]")
                      + "\n\ninputs = outputs = {'x': 'f32[-1]'}\n")
    w.send(run(1, lane=0), run(2, lane=1), run(3, lane=2))
    assert all(r.code == 0 for r in answers(w, 3).values())


def test_answers_of_several_streams_interleave(start):
    w, loaded = begun(start, MEET.replace("return x", "yield x\n    yield x"))
    assert loaded.decoupled and loaded.lanes == 16
    w.send(run(1, lane=0), run(2, lane=1), run(3, lane=2))
    parts = [w.take(wire.Partial).batch for _ in range(6)]
    assert sorted(parts) == [1, 1, 2, 2, 3, 3]


def test_how_many_overlap_can_be_said(start):
    assert begun(start, MEET, **concurrency("4"))[1].lanes == 4
    w, loaded = begun(start, "async def infer(x):\n    return x\n", **concurrency("1"))
    assert loaded.lanes == 1
    w.send(run(1), run(2, 8))
    assert answers(w, 2)[2].outputs[0].length == 8


@pytest.mark.parametrize("code, text", [(MEET, "0"), (MEET, "17"), (MEET, "-1"), (MEET, "many"), (IDENTITY, "2")])
def test_what_cannot_be_said(start, code, text):
    loaded = start().begin(code, **concurrency(text))
    assert not loaded.ok and f"concurrency = {text}" in loaded.error


def test_each_is_told_of_its_own_request(start):
    w, _ = begun(start, """
import asyncio

seen = []


async def infer(x, context):
    seen.append(context.current())
    while len(seen) < 2:
        await asyncio.sleep(0.001)
    print("asked for", len(x))
    y = await asyncio.to_thread(context.empty, len(x))
    y[...] = context.request_parameters["n"]
    return y
""")
    for i in (1, 2):
        one = run(i, 4 * i, lane=i)
        one.items[0].parameters = [wire.Pair(key="n", value=str(i))]
        w.send(one)
    done = answers(w, 2)
    assert [len(done[i].outputs) and done[i].outputs[0].length for i in (1, 2)] == [4, 8], [r.message for r in done.values()]
    while "asked for 1" not in w.log() or "asked for 2" not in w.log():
        w.send(wire.Ping(nonce=1))
        w.take(wire.Pong)
    assert all("model=m" in line for line in w.log().splitlines() if "asked for" in line)


def test_what_waits_for_its_lane_can_be_cancelled(start):
    w, _ = begun(start, "import asyncio\n\n\nasync def infer(x, context):\n    while not context.cancelled():\n"
                        "        await asyncio.sleep(0.001)\n    return x\n")
    w.send(run(1, lane=5), run(2, lane=5), wire.Cancel(batch=2, model=1, lane=5), wire.Cancel(batch=1, model=1, lane=5))
    done = answers(w, 2)
    assert done[2].code == 1
    w.send(wire.Cancel(batch=2, model=1, lane=99), run(3, lane=5), wire.Cancel(batch=3, model=1, lane=5))
    assert w.take(wire.Done).batch == 3


@pytest.mark.parametrize("mistake, text", [("raise ValueError('wrong')", "wrong"), ("sys.exit(3)", "3"),
                                           ("await asyncio.gather(asyncio.sleep(0), dies())", "it died"),
                                           ("asyncio.current_task().cancel(); await asyncio.sleep(0)", "Cancelled")])
def test_a_mistake_costs_its_request_alone(start, mistake, text):
    w, _ = begun(start, f"""
import asyncio, sys


async def dies():
    raise KeyError("it died")


async def infer(x):
    if len(x) == 2:
        {mistake}
    return x
""")
    w.send(run(1, 4, lane=1), run(2, 8, lane=2), run(3, 4, lane=2))
    done = answers(w, 3)
    assert (done[1].code, done[2].code, done[3].code) == (0, 13, 0) and text in done[2].message


def test_a_process_that_cannot_go_on_ends(start):
    w, _ = begun(start, "import modeld_worker\n\n\nasync def infer(x):\n    raise modeld_worker.Fatal('lost')\n")
    w.send(run(1, lane=3))
    assert w.wait_end() == 76 and "cannot go on" in w.log() and "model=m" in w.log()


def test_a_lane_that_is_not_there(start):
    w, _ = begun(start, MEET, **concurrency("2"))
    w.send(run(1, lane=2))
    assert w.wait_end() == 70 and "lane that is not there" in w.log()


@pytest.mark.parametrize("hang", ["await asyncio.Event().wait()", "threading.Event().wait()"])
def test_where_it_hangs_is_in_the_log(start, hang):
    w = start(MODELD_RUN_TIMEOUT_MS="500")
    w.begin(f"import asyncio\nimport threading\n\n\nasync def infer(x):\n    await waits()\n\n\nasync def waits():\n    {hang}\n")
    w.map_input(bytes(64))
    w.send(run(1, lane=1))
    while "nearly taken all" not in w.log() or "line 10, in waits" not in w.log():
        w.send(wire.Ping(nonce=1))
        w.take(wire.Pong)


@pytest.mark.parametrize("streams", [False, True])
def test_what_raises_keeps_nothing(streams):
    """An exception that its own traceback held would keep a run's arrays until the collector comes by."""
    class Thing:
        pass

    seen = []

    async def infer():
        thing = Thing()
        seen.append(weakref.ref(thing))
        raise ValueError("no")

    async def answers():
        yield 1
        await infer()

    async def nothing():
        pass

    gc.disable()
    try:
        with pytest.raises(ValueError):
            list(in_loop(answers)()) if streams else in_loop(infer)()
        in_loop(nothing)()  # behind whatever the event loop still did with it
        assert seen[0]() is None
    finally:
        gc.enable()
