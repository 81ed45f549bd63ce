"""Memory follows use: what a large request took is the host's again when it was idle for a while."""
import os

import pytest

from callers import PATIENT, begin, holds_nothing, stopped
from daemon import ROOT, infer_request, wait_for

MIB = 1 << 20
LARGE = 400 * MIB


def pss_kib(pids):
    """Shared pages count once: each process has its part of them."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total


def processes(d):
    return [d.pid, *d.children()]


def n_segments(d):
    s = d.status()
    return s.arena_segments + sum(w.output_segments for w in s.workers)


@pytest.mark.memory
def test_a_large_request_leaves_nothing(start):
    d = start("memory.segment_idle_ms=300", "worker.heartbeat_interval_ms=100", *PATIENT, models=["identity"])
    assert d.infer("identity", bytes(MIB)).tensor_data.data == bytes(MIB)
    wait_for("one segment each", lambda: n_segments(d) == 2)
    before = pss_kib(processes(d))
    with stopped(d):
        call = begin(d, infer_request("identity", bytes(LARGE)), d.channel())
        wait_for("the pages of most of it", lambda: pss_kib(processes(d)) > before + LARGE // 1024 // 2)
    assert len(call.result(60).tensor_data.data) == LARGE
    holds_nothing(d)
    wait_for("one segment each", lambda: n_segments(d) == 2)
    assert pss_kib(processes(d)) <= before + 32 * 1024


@pytest.mark.memory
def test_little_is_held_at_the_start(start):
    d = start(repository=os.path.join(ROOT, "conf", "models"))
    assert pss_kib(processes(d)) <= 50 * 1024
