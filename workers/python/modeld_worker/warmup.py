"""Runs the warm-ups of a model that was just loaded, as its requests are run, before anybody hears of it."""
import os
import stat
from math import prod

import numpy as np

from . import dtypes, wire
from .declare import format_shape
from .executor import Executor
from .model import LoadError

WHOLE_BELOW = 128
SEED = 1  # what a warm-up finds can be found again


def run_all(model, load, views, outputs, scratch_bytes):
    """LoadError, which names the warm-up; FatalError"""
    # What it answers ahead of the end, nobody has asked for.
    executor = Executor(views, outputs, lambda batch, i, answer, last: outputs.give_back(answer.blocks), lambda: None)
    for warmup in load.warmups:
        try:
            _run(executor, model, warmup, load.warmup_path, scratch_bytes)
        except _Wrong as e:
            raise LoadError(f"warm-up '{warmup.name}': {e}") from None


class _Wrong(Exception):
    """What is wrong with a warm-up."""


def _run(executor, model, warmup, directory, scratch_bytes):
    most = model.max_batch_size or 1
    if warmup.batch_size > most:
        raise _Wrong(f"its batch_size is {warmup.batch_size}, and the model takes {most} at most")
    arrays = _inputs(model, warmup, directory, scratch_bytes)
    for _ in range(warmup.count):
        answer = executor.try_out(model, arrays)
        if answer.code:
            raise _Wrong(answer.message)


# --- Inputs ---------------------------------------------------------------------------------------


def _inputs(model, warmup, directory, scratch_bytes):
    given = {i.name: i for i in warmup.inputs}
    for name in given:
        if name not in {d.name for d in model.inputs}:
            raise _Wrong(f"the model has no input '{name}'")
    arrays, taken = [], 0
    for want in model.inputs:
        if want.name not in given:
            raise _Wrong(f"it has no input '{want.name}'")
        one = given[want.name]
        shape = ([warmup.batch_size] if model.max_batch_size else []) + list(one.dims)
        if len(shape) > wire.RANK_MAX or not want.admits(one.dtype, shape):
            raise _Wrong(f"input '{want.name}': expected {want.spec()}, got {dtypes.NAMES[one.dtype]}{format_shape(shape)}")
        taken += prod(shape) * (dtypes.SIZES[one.dtype] or 4)
        if taken > scratch_bytes:
            raise _Wrong(f"its inputs take more than {scratch_bytes} bytes, which is the limit ([memory] input_arena_bytes)")
        try:
            arrays.append(_repeated(_row(one, directory, scratch_bytes), shape))
        except (OSError, ValueError) as e:
            raise _Wrong(f"input '{want.name}': {e}") from None
    return arrays


def _repeated(row, shape):
    array = np.empty(shape, row.dtype)
    array[...] = row
    return array


def _row(one, directory, scratch_bytes):
    size, shape = dtypes.SIZES[one.dtype], tuple(one.dims)
    if not size:
        if not one.file:
            return np.full(shape, b"", object)
        return dtypes.unpack_bytes(_read(directory, one.file, None, scratch_bytes), shape)
    kind = dtypes.NUMPY[one.dtype]
    if one.file:
        return np.frombuffer(_read(directory, one.file, prod(shape) * size, scratch_bytes), kind).reshape(shape)
    return _random(one.dtype, kind, shape) if one.random else np.zeros(shape, kind)


def _random(number, kind, shape):
    """From 0 to 1; whole numbers from 0 to 127, so that many can be indexes."""
    random = np.random.default_rng(SEED)
    if number == dtypes.BF16:
        return random.integers(0x3F00, 0x3F80, shape).astype(kind)
    if kind.kind == "f":
        return random.random(shape).astype(kind)
    return random.integers(0, 2 if kind.kind == "b" else WHOLE_BELOW, shape).astype(kind)


def _read(directory, name, expected, limit):
    """All of a regular file, which lies below the directory of the model whatever links say. ValueError, OSError"""
    path = os.path.realpath(os.path.join(directory, name))
    if not path.startswith(os.path.realpath(os.path.dirname(directory)) + os.sep):
        raise ValueError(f"{os.path.join(directory, name)}: lies outside of the model's directory")
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe is not waited for
    with os.fdopen(fd, "rb") as f:
        about = os.fstat(f.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f"{path}: is no file")
        if expected is not None and about.st_size != expected:
            raise ValueError(f"{path}: has {about.st_size} bytes, and the shape asks for {expected}")
        if about.st_size > limit:
            raise ValueError(f"{path}: has {about.st_size} bytes, and {limit} is the limit ([memory] input_arena_bytes)")
        data = f.read(about.st_size)
        if len(data) != about.st_size:
            raise ValueError(f"{path}: became shorter while it was read")
        return data
