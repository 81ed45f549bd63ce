"""Who holds what of the output memory, and who waits for it."""
import threading
import types

import numpy as np
import pytest

from modeld_worker import declare, wire
from modeld_worker.executor import Executor
from modeld_worker.memory import Arena, ArenaError, ArenaFull, Views
from modeld_worker.model import PLAIN
from modeld_worker.outputs import Outputs

HALF = 600_000  # of two, one fits


def outputs(wait_s=600.0, holds=10):
    return Outputs(Arena(wire.Setup(output_bytes=1 << 20, output_segment_bytes=1 << 18, output_segments=8, holds=holds)),
                   holds, wait_s)


def held(o, length):
    """The number of a hold that has so much."""
    block = o.allocate(length)
    with o.lock:
        return o.hold([block])


def release(o, number):
    with o.lock:
        o.release(number)


def test_a_hold_is_released_once():
    o = outputs()
    number = held(o, HALF)
    release(o, number)
    assert o.arena.used == 0
    with pytest.raises(KeyError):
        release(o, number)


def test_who_may_not_wait_does_not():
    o = outputs(wait_s=0)
    held(o, HALF)
    for on_full in (None, lambda: pytest.fail("it is not to be told")):
        with pytest.raises(ArenaFull, match="in use"):
            o.allocate(HALF, on_full)


def test_what_is_too_large_is_not_waited_for():
    o = outputs()
    held(o, HALF)
    with pytest.raises(ArenaError, match="more than"):
        o.allocate(2 << 20, lambda: pytest.fail("nothing would help"))


def test_what_is_released_before_the_wait_is_not_waited_for():
    o = outputs()
    number = held(o, HALF)
    assert o.allocate(HALF, lambda: release(o, number)).size >= HALF


def test_a_release_ends_the_wait():
    o = outputs()
    small, large = held(o, 64), held(o, HALF)

    def later():
        release(o, small)
        release(o, large)

    thread = threading.Thread(target=later)
    assert o.allocate(HALF, thread.start).size >= HALF
    thread.join()
    assert o.take_waited_ns() > 0 and o.take_waited_ns() == 0


def test_where_nothing_can_come_back_nothing_is_waited_for():
    o = outputs()
    o.allocate(HALF)  # of the run itself
    with pytest.raises(ArenaFull):
        o.allocate(HALF, lambda: None)


def test_who_comes_after_one_that_waited_in_vain_does_not_wait():
    o = outputs(wait_s=0.001)
    number = held(o, HALF)
    with pytest.raises(ArenaFull):
        o.allocate(HALF, lambda: None)
    o._wait_s = 600.0
    with pytest.raises(ArenaFull):
        o.allocate(HALF, lambda: None)
    release(o, number)
    assert o.allocate(HALF, lambda: None)


def test_holds_are_waited_for_as_well():
    o = outputs(holds=1)
    number = held(o, 64)
    with pytest.raises(ArenaFull, match="max_holds"):
        o.allocate(64)
    assert o.allocate(64, lambda: release(o, number))
    assert held(o, 64)
    with o.lock:
        assert o.hold([]) == 0


@pytest.mark.parametrize("way", ["conclude", "try_out"])
def test_what_is_waited_for_is_no_time_of_the_next_run(way):
    o = outputs()
    number = held(o, HALF)
    executor = Executor(Views(), o, None, lambda: release(o, number))
    model = types.SimpleNamespace(
        outputs=[declare.parse("y", "any")], kind=PLAIN, infer_batch=None, by_keyword=False, wants_context=False,
        infer=lambda: np.zeros(HALF, np.uint8), context=types.SimpleNamespace(bind=lambda call: None))
    if way == "try_out":
        answer = executor.try_out(model, [])
    else:
        answer = executor.conclude(model, executor.begin_elsewhere(model, 1, "", "", 0.0, False, False), model.infer(), None)
    assert answer.code == 0 and o.take_waited_ns() == 0


def test_what_joined_items_waited_for_is_no_time_at_all():
    """They run one by one where what infer() gave them together was of no use."""
    o = outputs()
    number = held(o, HALF)
    executor = Executor(Views(), o, None, lambda: release(o, number))
    model = types.SimpleNamespace(
        outputs=[declare.parse("y", "any")], kind=PLAIN, infer_batch=None, by_keyword=False, wants_context=False,
        infer=lambda x: np.zeros(HALF if x[0] == 0 else 1, np.uint8), context=types.SimpleNamespace(bind=lambda call: None))
    made = wire.Run(batch=1, items=[wire.Item(), wire.Item()])
    call = executor.begin_elsewhere(model, 1, "", "", 0.0, True, False)
    answers, ns = executor.conclude_joined(model, call, made, [[np.zeros(1)], [np.ones(1)]], None, ValueError("together"))
    assert [a.code for a in answers] == [0, 0] and ns > 0 and o.take_waited_ns() == 0


def test_what_was_lent_and_not_given_is_free_at_once():
    o = outputs()
    executor = Executor(Views(), o, None, lambda: None)
    call = executor.begin_elsewhere(types.SimpleNamespace(outputs=[]), 1, "", "", 0.0, False, False)
    call.empty(1000, np.dtype("f4"), None)
    kept = call.empty(1000, np.dtype("f4"), None)
    call.give_back()
    assert o.arena.used == 4032, "but for what the model still has"
    del kept


def test_what_models_have_kept_is_looked_at_before_it_is_much():
    """Memory that nobody has any more is used again, ahead of memory that nobody had yet."""
    o = outputs()
    for _ in range(1000):
        block = o.allocate(100)
        array = np.ndarray(100, np.uint8, block.segment.memory, block.offset)
        o.arena.guard(block, array)
        o.give_back([block])
    assert o.arena.used < 128 * 1000 / 4
