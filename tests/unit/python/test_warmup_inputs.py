"""What warm-ups are made of: rows of each kind, and files that are none of the model's."""
import os

import numpy as np
import pytest

from modeld_worker import dtypes, warmup, wire
from modeld_worker.declare import parse_list


class FakeModel:
    def __init__(self, inputs, max_batch_size=0):
        self.inputs = parse_list(inputs)
        self.max_batch_size = max_batch_size


def given(name="x", dtype="f32", dims=(2, 3), **more):
    return wire.WarmUpInput(name=name, dtype=dtypes.parse(dtype), dims=dims, **more)


def make(model, *inputs, batch_size=1, directory="/", limit=1 << 20):
    w = wire.WarmUp(name="w", batch_size=batch_size, count=1, inputs=list(inputs))
    return warmup._inputs(model, w, str(directory), limit)


@pytest.mark.parametrize("dtype", [n for n in dtypes.NAMES[1:] if n != "bytes"])
def test_random_numbers_are_small_and_the_same_each_time(dtype):
    model = FakeModel(f"x: {dtype}[-1, 2, 3]", 8)
    x, = make(model, given(dtype=dtype, random=1), batch_size=2)
    again, = make(model, given(dtype=dtype, random=1), batch_size=1)
    assert x.shape == (2, 2, 3) and x.dtype == dtypes.NUMPY[dtypes.parse(dtype)]
    assert (x[0] == x[1]).all() and (x[0] == again[0]).all()
    assert len(np.unique(x)) > 1
    if dtype != "bf16":
        assert (x >= 0).all() and (x < 128).all()


def test_zeroes_and_empty_texts():
    x, text = make(FakeModel("x: f64[2, 3], t: bytes[2]"), given(dtype="f64"), given("t", "bytes", (2,), random=1))
    assert not x.any() and x.shape == (2, 3) and text.tolist() == [b"", b""]


def test_files(tmp_path):
    os.makedirs(tmp_path / "m" / "warmup")
    (tmp_path / "m" / "x").write_bytes(bytes(range(6)))
    (tmp_path / "outside").write_bytes(bytes(6))
    os.symlink("../x", tmp_path / "m" / "warmup" / "inside")
    os.symlink("../../outside", tmp_path / "m" / "warmup" / "outside")
    os.mkfifo(tmp_path / "m" / "warmup" / "pipe")
    model, at = FakeModel("x: u8[2, 3]"), tmp_path / "m" / "warmup"
    assert make(model, given(dtype="u8", file="inside"), directory=at)[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    for file, why in (("outside", "lies outside"), ("pipe", "is no file"), ("absent", "No such file"), ("../../outside", "lies outside")):
        with pytest.raises(warmup._Wrong, match=why):
            make(model, given(dtype="u8", file=file), directory=at)
    with pytest.raises(warmup._Wrong, match="has 6 bytes, and the shape asks for 24"):
        make(FakeModel("x: f32[2, 3]"), given(file="inside"), directory=at)
    with pytest.raises(warmup._Wrong, match="has 6 bytes, and 5 is the limit"):
        make(FakeModel("x: bytes[1]"), given(dtype="bytes", dims=(1,), file="inside"), directory=at, limit=5)


@pytest.mark.parametrize("inputs, why", [
    ([], "it has no input 'x'"), ([given(), given("y")], "the model has no input 'y'"),
    ([given(dims=(3, 2))], r"input 'x': expected f32\[2,3\], got f32\[3,2\]$"),
    ([given(dtype="f64")], "expected .*, got f64")])
def test_what_does_not_fit(inputs, why):
    with pytest.raises(warmup._Wrong, match=why):
        make(FakeModel("x: f32[2, 3]"), *inputs)


def test_a_limit():
    with pytest.raises(warmup._Wrong, match=r"more than 100 bytes, which is the limit \(\[memory\] input_arena_bytes\)"):
        make(FakeModel("x: f32[-1]"), given(dims=(26,)), limit=100)
    make(FakeModel("x: f32[-1]"), given(dims=(25,)), limit=100)
