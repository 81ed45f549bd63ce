"""Inputs that their client changes while a model runs on them: what trusts them gets a copy, and what is sealed against
writing none."""
import fcntl
import os
import threading

import numpy as np
import pytest

from callers import holds_nothing
from onnx_models import F32, I64, Repository, constant, direct, node, tensor
from raw_handoff import SEALS, Raw, memfd

N = 4096
F_SEAL_WRITE = 8


@pytest.fixture(scope="module")
def repository():
    r = Repository()
    shape = [tensor("x", F32, [N])]
    r.add("sorts", [node("TopK", ["x", "k"], ["y", "i"])], shape, [tensor("y", F32, [N]), tensor("i", I64, [N])],
          [constant("k", [N], "i8")])
    r.add("computes", [node("Neg", ["x"], ["y"])], shape, [tensor("y", F32, [N])])
    yield r
    r.close()


def flip(memory, ended):
    values = [np.random.default_rng(i).random(N, "f4").tobytes() for i in range(4)]
    while not ended.is_set():
        for v in values:
            memory[:4 * N] = v


def test_sorting_what_changes_meanwhile(start, repository):
    """An inconsistent order takes a sort out of bounds. It never sees one."""
    d = start(repository=repository.path, models=["sorts", "computes"])
    raw = Raw(d)
    region, memory = raw.allocate(4 * N)
    workers = d.workers()
    ended = threading.Event()
    thread = threading.Thread(target=flip, args=(memory, ended))
    thread.start()
    try:
        for model in ("sorts", "computes"):
            for _ in range(100):
                seq = raw.infer(model, region.number, 4 * N, dtype=12, dims=[N])
                answer, fds = raw.receive()
                assert answer.seq == seq and answer.WhichOneof("body") == "inferred", answer
                for fd in fds:
                    os.close(fd)
                if model == "sorts":
                    y = np.frombuffer(answer.inferred.outputs[0].data, "f4")
                    assert (np.diff(y) <= 0).all(), "sorted as it was once"
    finally:
        ended.set()
        thread.join()
    assert d.workers() == workers
    memory.close()
    raw.close()
    holds_nothing(d)


def test_what_is_sealed_against_writing_is_as_good(start, repository):
    d = start(repository=repository.path, models=["sorts"])
    raw = Raw(d)
    fd = memfd(4 * N, seals=0)
    x = np.random.default_rng(1).random(N, "f4")
    os.pwrite(fd, x.tobytes(), 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS | F_SEAL_WRITE)
    region = raw.register(fd, read_only=True)
    want = direct(repository.file("sorts"), {"x": x})
    for _ in range(3):
        raw.infer("sorts", region.number, 4 * N, dtype=12, dims=[N])
        answer, _ = raw.receive()
        assert answer.inferred.outputs[0].data == want["y"].tobytes()
    os.close(fd)
    raw.close()
    holds_nothing(d)
