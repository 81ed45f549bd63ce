"""Models of very many tensors, as decoders have that pass their state from one step to the next."""
import numpy as np
import pytest

import messages as m
from daemon import wait_for
from onnx_models import F32, Repository, node, tensor
from raw_handoff import Raw
from raw_handoff import F32 as HANDOFF_F32

N = 1024
INVALID_ARGUMENT = 3
STRIDE = 64


def names(prefix, n, pad=""):
    return [f"{prefix}_{k:04d}{pad}" for k in range(n)]


def add(repository, name, n, pad=""):
    """n inputs, n outputs: each is its input, negated."""
    inputs, outputs = names("past", n, pad), names("present", n, pad)
    repository.add(name, [node("Neg", [i], [o]) for i, o in zip(inputs, outputs)],
                   [tensor(i, F32, [1, 2]) for i in inputs], [tensor(o, F32, [1, 2]) for o in outputs])


@pytest.fixture(scope="module")
def served(start_once):
    r = Repository()
    add(r, "decoder", N)
    add(r, "beyond", N + 1)
    add(r, "talkative", N, "_" * 200)
    d = start_once("models.default=decoder", repository=r.path)
    wait_for("the decoder", lambda: d.check_health("decoder") == m.SERVING)
    yield d
    r.close()


@pytest.fixture
def raw(served):
    client = Raw(served)
    yield client
    client.close()


def fill(memory, n):
    values = np.arange(2 * n, dtype="f4").reshape(n, 2)
    for k in range(n):
        memory[k * STRIDE:k * STRIDE + 8] = values[k].tobytes()
    return values


def inputs(region, n):
    return [m.handoff.Tensor(name=name, dtype=HANDOFF_F32, dims=[1, 2], region=region, offset=k * STRIDE, length=8)
            for k, name in enumerate(names("past", n))]


def test_all_of_them_in_one_request(served, raw):
    region, memory = raw.allocate(2 * N * STRIDE)
    values = fill(memory, N)
    answer = raw.ask(infer=m.handoff.Infer(model="decoder", inputs=inputs(region.number, N)))
    assert [t.name for t in answer.outputs] == names("present", N)
    assert all((np.frombuffer(t.data, "f4") == -v).all() for t, v in zip(answer.outputs, values))

    # Each output at a place of its own.
    targets = [m.handoff.Target(name=name, region=region.number, offset=(N + k) * STRIDE, length=8)
               for k, name in enumerate(names("present", N))]
    answer = raw.ask(infer=m.handoff.Infer(model="decoder", inputs=inputs(region.number, N), targets=targets))
    assert len(answer.outputs) == N and not any(t.data for t in answer.outputs)
    written = np.frombuffer(memory[N * STRIDE:], "f4").reshape(N, STRIDE // 4)[:, :2]
    assert (written == -values).all()


def test_the_last_one_alone(served, raw):
    region, memory = raw.allocate(N * STRIDE)
    values = fill(memory, N)
    answer = raw.ask(infer=m.handoff.Infer(model="decoder", inputs=inputs(region.number, N),
                                           outputs=[names("present", N)[-1]]))
    assert [t.name for t in answer.outputs] == [names("present", N)[-1]]
    assert (np.frombuffer(answer.outputs[0].data, "f4") == -values[-1]).all()


def test_one_missing_is_named(served, raw):
    region, memory = raw.allocate(N * STRIDE)
    answer = raw.ask(infer=m.handoff.Infer(model="decoder", inputs=inputs(region.number, N)[:-1]))
    assert answer.code == INVALID_ARGUMENT and names("past", N)[-1] in answer.message


def test_models_beyond_the_limits_are_not_loaded(served):
    detail = {v.name: v.detail for v in served.status().models}
    assert not detail["decoder"]
    assert "1024" in detail["beyond"]
    assert "does not fit a message" in detail["talkative"]
