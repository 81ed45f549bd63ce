"""What a model's inputs and outputs are: from what is written beside it, in it, or at its function.

A tensor is written as "f32[-1, 16]" (dimensions, -1 or a name for any size), or "f32" (any shape), or "any".
"""
import inspect
import re
import types
import typing

import numpy as np

from . import dtypes, wire

_SPEC = re.compile(r"\s*([A-Za-z]\w*)\s*(?:\[([^\]]*)\])?\s*")
_NAMED = re.compile(r"\s*([^\s:,\[\]]+)\s*:\s*([A-Za-z]\w*\s*(?:\[[^\]]*\])?)\s*(,|$)")
# No type of Python's is written so.
_SHAPED = re.compile(r"\s*[A-Za-z]\w*\s*\[\s*[-?*\d]")
# The name of an output that nobody named.
OUTPUT = "output"


class DeclarationError(ValueError):
    """Wrong, in words for whoever wrote the model."""


class Declared:
    """One input or output. `dims`: None for any shape."""
    __slots__ = ("name", "dtype", "dims", "_admitted")

    def __init__(self, name, dtype=0, dims=None):
        self.name, self.dtype, self.dims = name, dtype, dims
        self._admitted = None  # what came last, and is probably what comes next

    def __eq__(self, other):
        return (self.name, self.dtype, self.dims) == (other.name, other.dtype, other.dims)

    def __repr__(self):
        return f"{self.name}: {self.spec()}"

    def spec(self):
        return dtypes.NAMES[self.dtype] + ("" if self.dims is None else format_shape(self.dims))

    def message(self):
        return wire.Declaration(name=self.name, dtype=self.dtype, dims=self.dims or (), any_shape=int(self.dims is None))

    def admits(self, dtype, dims):
        given = dtype, dims
        if given == self._admitted:
            return True
        if self.dtype not in (0, dtype) or not self.admits_shape(dims):
            return False
        self._admitted = given
        return True

    def admits_shape(self, dims):
        want = self.dims
        if want is None:
            return True
        return len(want) == len(dims) and all(w in (-1, d) for w, d in zip(want, dims))


def format_shape(dims):
    return "[" + ",".join(map(str, dims)) + "]"


def parse(name, spec):
    match = _SPEC.fullmatch(spec)
    if not match:
        raise DeclarationError(f"'{spec}' of '{name}' is no tensor: write it as in f32[-1, 16]")
    try:
        dtype = dtypes.parse(match[1])
    except ValueError as e:
        raise DeclarationError(f"'{name}': {e}") from None
    if match[2] is None or match[2].strip() == "...":
        return Declared(name, dtype)
    dims = tuple(_dimension(name, d.strip()) for d in match[2].split(",") if d.strip())
    if len(dims) > wire.RANK_MAX:
        raise DeclarationError(f"'{name}' has more than {wire.RANK_MAX} dimensions")
    return Declared(name, dtype, dims)


def _dimension(name, text):
    if text.isidentifier() or text in ("?", "*"):
        return -1
    try:
        dim = int(text)
    except ValueError:
        raise DeclarationError(f"'{name}': '{text}' is no dimension") from None
    if not -1 <= dim <= wire.I64_MAX:
        raise DeclarationError(f"'{name}' has a dimension below -1, or above {wire.I64_MAX}")
    return dim


def parse_list(text):
    """[Declared] of "x: f32[-1, 16], y: i64"."""
    declared, at = [], 0
    while text[at:].strip():
        match = _NAMED.match(text, at)
        if not match:
            raise DeclarationError(f"'{text[at:].strip()}' is not written as in x: f32[-1, 16], y: i64")
        declared.append(parse(match[1], match[2]))
        at = match.end()
    return declared


def of_annotation(name, annotation, scope):
    """A Declared for what stands at a parameter or behind ->; any tensor where it says nothing of one."""
    if isinstance(annotation, str):
        if _is_spec(annotation):
            return parse(name, annotation)
        try:
            annotation = eval(annotation, scope)  # of `from __future__ import annotations`
        except Exception:
            return parse(name, annotation) if _SHAPED.match(annotation) else Declared(name)
        return of_annotation(name, annotation, scope)
    if annotation in (str, bytes):
        return Declared(name, dtypes.BYTES)
    for argument in typing.get_args(annotation):  # numpy.typing.NDArray[numpy.float32] nests it
        inner = of_annotation(name, argument, scope)
        if inner.dtype:
            return inner
    if isinstance(annotation, type) and issubclass(annotation, np.generic):
        return Declared(name, dtypes.of_numpy(np.dtype(annotation)))
    return Declared(name)


def _is_spec(text):
    match = _SPEC.fullmatch(text)
    try:
        return bool(match) and dtypes.parse(match[1]) >= 0
    except ValueError:
        return False


def of_mapping(given):
    """[Declared] of {"x": "f32[-1, 16]"}, or of the text "x: f32[-1, 16]"."""
    if isinstance(given, str):
        return parse_list(given)
    if not isinstance(given, dict):
        raise DeclarationError("inputs and outputs are a dict of names and tensors, as in {'x': 'f32[-1, 16]'}")
    return [parse(name, spec) if isinstance(spec, str) else of_annotation(name, spec, {}) for name, spec in given.items()]


def parameters_of(function, apart=("context",)):
    """Names of what a function takes, without `apart`; None where it takes any name."""
    names = []
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.VAR_KEYWORD:
            return None
        if p.kind is not p.VAR_POSITIONAL and p.name not in apart:
            names.append(p.name)
    return names


def inputs_of(function):
    names = parameters_of(function)
    if not names:
        return []
    annotations = getattr(function, "__annotations__", {})
    return [of_annotation(n, annotations.get(n, inspect.Parameter.empty), _scope(function)) for n in names]


def outputs_of(function):
    returned = getattr(function, "__annotations__", {}).get("return", inspect.Parameter.empty)
    scope = _scope(function)
    if isinstance(returned, str) and not _is_spec(returned):
        try:
            returned = eval(returned, scope)
        except Exception:
            pass
    if isinstance(returned, dict):
        return of_mapping(returned)
    return [of_annotation(OUTPUT, returned, scope)]


def _scope(function):
    function = inspect.unwrap(function)
    while isinstance(function, types.MethodType):
        function = function.__func__
    return getattr(function, "__globals__", {})


def check(declared, what, batches):
    """What the protocol asks of a list of inputs or outputs. DeclarationError"""
    seen = set()
    if len(declared) > wire.TENSORS_MAX:
        raise DeclarationError(f"there are more than {wire.TENSORS_MAX} {what}s")
    for d in declared:
        if not isinstance(d.name, str) or not d.name.isprintable():
            raise DeclarationError(f"{what} {d.name!r}: a name is a text that can be printed")
        if not d.name or len(d.name.encode()) > wire.NAME_MAX or d.name in seen:
            raise DeclarationError(f"{what} '{d.name}' has no name, a longer one than {wire.NAME_MAX} bytes, or that of "
                                   "another one")
        seen.add(d.name)
        if batches and (not d.dims or d.dims[0] != -1):
            raise DeclarationError(f"{what} '{d.name}' is {d.spec()}, but the model batches (max_batch_size): its first "
                                   "dimension must be declared -1, as in f32[-1, 16]")
