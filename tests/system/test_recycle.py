"""Shared workers in which models that were unloaded have left memory behind: that is said, and they are replaced."""
import os
import re
import shutil

import pytest
import tritonclient.grpc as triton

from callers import Callers
from daemon import alive, wait_for
from test_kserve_examples import REPOSITORY
from test_kserve_sequences import step
from repository import Repository
from test_models import ctl, explicit
from test_reload import works

LEAK_MIB = 8


@pytest.fixture
def leaking(start, tmp_path, leaky_backends):
    """leaking(recycle_after, *sets, **options) -> a daemon with identity loaded, and leaky in its repository"""
    repository = Repository(tmp_path / "models")
    repository.put("identity")
    os.makedirs(tmp_path / "models" / "leaky" / "1")
    repository.write("leaky/model.conf", f"[model]\nbackend = leaky\nmax_batch_size = 0\n[parameters]\nleak_mib = {LEAK_MIB}\n")
    return lambda after, *sets, **options: explicit(
        start, repository, "models.load=identity", f"worker.backend_dirs={leaky_backends}",
        f"worker.recycle_after_unload_bytes={after}", *sets, **options)


def come_and_go(d):
    assert ctl(d, "load", "leaky") == (0, "")
    assert works(d, "leaky")
    assert ctl(d, "unload", "leaky") == (0, "")


@pytest.mark.memory
def test_what_stays_is_said(leaking):
    d = leaking("0", "metrics.listen=127.0.0.1:0")
    for i in range(1, 4):
        come_and_go(d)
        stayed = d.status().workers[0].stayed_bytes
        assert i * LEAK_MIB << 20 <= stayed < (i * LEAK_MIB + 4) << 20
    assert re.search(r"cpu:0/0 .*, 2\d\.\d MiB stayed after unloads", d.modelctl("status", "-o", "wide").stdout)
    assert '"stayed_bytes"' in d.modelctl("status", "-o", "json").stdout
    assert len(d.status().workers) == 1 and "worker is to be replaced" not in d.log()


def test_a_worker_is_replaced_and_nobody_notices(leaking):
    d = leaking(f"{2 * LEAK_MIB}M", workers="cpu:0 x2")
    d.wait_workers_ready(2)
    first = set(d.workers())
    load = Callers(d, 4)
    load.wait_done(20)
    while d.log().count("worker was replaced") < 4:
        come_and_go(d)
    load.wait_done(20)
    wait_for("the end of those that were replaced", lambda: len(d.workers()) == 2)
    done, failures = load.stop()
    assert not failures, failures[:5]
    assert done > 40
    for pid in first:
        wait_for("its end", lambda pid=pid: not alive(pid))
    assert len(d.children()) == 2
    said = re.search(r"worker is to be replaced: .* worker=(\S+) pid=\d+ by=(\S+) stayed_bytes=(\d+) limit=(\d+)", d.log())
    assert said and said[1] != said[2] and int(said[3]) >= int(said[4]) == 2 * LEAK_MIB << 20
    assert all(w.stayed_bytes < 3 * LEAK_MIB << 20 for w in d.status().workers)


def test_a_worker_that_is_killed_while_it_is_replaced(leaking):
    d = leaking(f"{LEAK_MIB}M", "worker.backoff_max_ms=1", "worker.breaker_crashes=1000")
    load = Callers(d, 4)
    for _ in range(4):
        n = d.log().count("worker is to be replaced")
        while d.log().count("worker is to be replaced") == n:
            come_and_go(d)
        d.kill_a_worker()
        load.wait_done(20)
    wait_for("one worker", lambda: [w.state for w in d.status().workers] == ["ready"] and len(d.children()) == 1)
    _, failures = load.stop()
    assert not failures, failures[:5]


def test_a_sequence_keeps_its_process(leaking, tmp_path):
    """Its model's memory is in the process: that ends behind it."""
    model = "simple_string_dyna_sequence"
    shutil.copytree(os.path.join(REPOSITORY, model), tmp_path / "models" / model)
    config = tmp_path / "models" / model / "config.pbtxt"
    config.write_text(re.sub(r"max_sequence_idle_microseconds: \d+", "max_sequence_idle_microseconds: 600000000", config.read_text()))
    d = leaking(f"{LEAK_MIB}M")
    assert ctl(d, "load", model) == (0, "")
    with triton.InferenceServerClient(d.tcp) as client:
        assert step(client, model, 1, "7", start=True) == 1
        while "worker is to be replaced" not in d.log():
            come_and_go(d)
        wait_for("the new process", lambda: sorted(w.state for w in d.status().workers) == ["ready", "ready"])
        for i in range(2, 10):
            assert step(client, model, 1, "7") == i
        assert step(client, model, 1, "8", start=True) == 1
        assert step(client, model, 1, "7", end=True) == 10 + 7
        wait_for("the end of the old one", lambda: "worker was replaced" in d.log() and len(d.workers()) == 1)
        assert step(client, model, 1, "8", end=True) == 2 + 8, "it was begun in the new one"
