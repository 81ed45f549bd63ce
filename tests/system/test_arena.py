"""Tensor memory: what does not fit is refused by name, what may fit soon waits, and all of it comes back."""
import pytest

import messages as m
from callers import begin, busy, holds_nothing, queued, refusal
from daemon import infer_request, wait_for

MIB = 1 << 20
SMALL_ARENA = ("memory.input_arena_bytes=4M", "memory.input_populate_bytes=1M")


def test_larger_than_the_arena(start):
    d = start(*SMALL_ARENA, models=["identity"])
    code, text = refusal(begin(d, infer_request("identity", bytes(5 * MIB))))
    assert code == "RESOURCE_EXHAUSTED" and "input_arena_bytes" in text and str(4 * MIB) in text
    assert d.infer("identity", bytes(3 * MIB)).tensor_data.data == bytes(3 * MIB)
    holds_nothing(d)


def test_arena_full_past_arena_wait_ms(start):
    d, first = busy(start, *SMALL_ARENA, "limits.arena_wait_ms=200")
    held = begin(d, infer_request("identity", bytes(3 * MIB)))
    queued(d, "identity", 1)
    code, text = refusal(begin(d, infer_request("identity", bytes(2 * MIB)), d.channel()))
    assert code == "RESOURCE_EXHAUSTED"
    assert "arena_wait_ms" in text and "input_arena_bytes" in text
    assert not first.done()
    first.let_go()
    assert held.result(60).tensor_data.data == bytes(3 * MIB)
    holds_nothing(d)


@pytest.mark.parametrize("same", [True, False])
def test_arena_full_then_space(start, same):
    d, first = busy(start, *SMALL_ARENA, "limits.arena_wait_ms=60000")
    channel = d.shared_channel()
    held = begin(d, infer_request("identity", bytes(3 * MIB)), channel)
    queued(d, "identity", 1)
    waiting = [begin(d, infer_request("identity", bytes([i]) * (2 * MIB)), channel if same else d.channel())
               for i in range(3)]
    # Small ones of others are answered meanwhile: nothing is full for them but the worker.
    assert d.check_health() == m.SERVING
    first.let_go()
    assert [c.result(60).tensor_data.data[:1] for c in waiting] == [b"\0", b"\1", b"\2"]
    held.result(60)
    first.result(60)
    holds_nothing(d)


def test_larger_than_the_window_waits(start):
    """What comes behind the window must be asked for when the wait is over, though nothing else happens then."""
    d, first = busy(start, "memory.input_arena_bytes=32M", "limits.arena_wait_ms=60000")
    held = begin(d, infer_request("identity", bytes(12 * MIB)))
    queued(d, "identity", 1)
    waiting = begin(d, infer_request("identity", b"w" * (14 * MIB)), d.channel())
    wait_for("a call that waits", lambda: d.status().calls == 4)
    first.let_go()
    assert held.result(60).tensor_data.data == bytes(12 * MIB)
    assert waiting.result(20).tensor_data.data == b"w" * (14 * MIB)
    first.result(60)
    holds_nothing(d)


def test_many_large_ones_through_a_small_arena(start):
    d = start(*SMALL_ARENA, "limits.arena_wait_ms=60000", models=["identity"])
    channels = [d.channel() for _ in range(4)]
    calls = [begin(d, infer_request("identity", bytes([i % 256]) * MIB), channels[i % 4]) for i in range(100)]
    for i, c in enumerate(calls):
        assert c.result(60).tensor_data.data == bytes([i % 256]) * MIB
    assert d.status().arena_size_bytes == 4 * MIB
    holds_nothing(d)


def test_output_arena_too_small(start):
    d = start("worker.output_arena_bytes=1M", "worker.output_populate_bytes=0", models=["identity"])
    code, text = refusal(begin(d, infer_request("identity", bytes(2 * MIB))))
    assert code == "RESOURCE_EXHAUSTED" and "output_arena_bytes" in text
    assert d.infer("identity", bytes(MIB // 2)).tensor_data.data == bytes(MIB // 2)
    holds_nothing(d)
