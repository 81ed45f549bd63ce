"""What is declared, in all the ways in which it may be written."""
import numpy as np
import numpy.typing as npt
import pytest

from modeld_worker import declare, dtypes
from modeld_worker.declare import Declared, DeclarationError

F32, I64, BYTES = 12, 9, 14


@pytest.mark.parametrize("spec, dtype, dims", [
    ("f32", F32, None), ("any", 0, None), ("f32[...]", F32, None), ("float32[-1, 16]", F32, (-1, 16)), ("i64[]", I64, ()),
    ("bytes[n]", BYTES, (-1,)), (" FP32 [ batch , 3 ] ", F32, (-1, 3)), ("TYPE_STRING[?]", BYTES, (-1,))])
def test_tensors(spec, dtype, dims):
    assert declare.parse("x", spec) == Declared("x", dtype, dims)


@pytest.mark.parametrize("spec", ["", "f33", "f32[", "f32[-2]", "f32[1.5]", "f32[1] more", "[1]", "f32[" + "1," * 17 + "]"])
def test_no_tensors(spec):
    with pytest.raises(DeclarationError):
        declare.parse("x", spec)


def test_lists():
    assert declare.parse_list("x: f32[-1, 16], input.2:i64 , y : bytes[n]") == [
        Declared("x", F32, (-1, 16)), Declared("input.2", I64), Declared("y", BYTES, (-1,))]
    assert declare.parse_list("") == []
    for text in ("x", "x f32", "x: f32 y: f32", ": f32", "x: f32[,"):
        with pytest.raises(DeclarationError):
            declare.parse_list(text)


def test_functions():
    def infer(x: "f32[-1, 4]", y: npt.NDArray[np.int64], z, s: str, u: np.ndarray, context) -> {"out": "f32[-1]", "n": np.int64}:
        pass

    assert declare.inputs_of(infer) == [Declared("x", F32, (-1, 4)), Declared("y", I64), Declared("z"),
                                        Declared("s", BYTES), Declared("u")]
    assert declare.outputs_of(infer) == [Declared("out", F32, (-1,)), Declared("n", I64)]


def test_annotations_that_are_text():
    scope = {"np": np, "npt": npt}
    exec("from __future__ import annotations\n"
         "def infer(x: 'f32[2]', y: npt.NDArray[np.int64], z: no_such_name) -> np.ndarray: pass", scope)
    assert declare.inputs_of(scope["infer"]) == [Declared("x", F32, (2,)), Declared("y", I64), Declared("z")]
    assert declare.outputs_of(scope["infer"]) == [Declared("output")]


@pytest.mark.parametrize("declared, batches, text", [
    ([Declared("x"), Declared("x")], False, "another one"), ([Declared("")], False, "no name"),
    ([Declared("n" * 256)], False, "longer"), ([Declared("x")], True, "first"), ([Declared("x", F32, (4,))], True, "first"),
    ([Declared("x", F32, ())], True, "first"), ([Declared(str(i)) for i in range(1025)], False, "more than 1024")])
def test_what_is_wrong_with_a_list(declared, batches, text):
    with pytest.raises(DeclarationError, match=text):
        declare.check(declared, "input", batches)
    declare.check([Declared("x", F32, (-1, 3))], "input", True)


def test_bytes_tensors():
    array = np.array([[b"", "zwei"], [b"\0" * 300, bytearray(b"x")]], object)
    data = dtypes.pack_bytes(array)
    assert dtypes.unpack_bytes(data, (2, 2)).tolist() == [[b"", b"zwei"], [b"\0" * 300, b"x"]]
    for wrong in (data[:-1], data + b"\1", data + bytes(4)):
        with pytest.raises(ValueError):
            dtypes.unpack_bytes(wrong, (2, 2))
    with pytest.raises(TypeError):
        dtypes.pack_bytes(np.array([3], object))


def test_dtypes_of_numpy():
    for number, dtype in enumerate(dtypes.NUMPY):
        if dtype is not None and number != dtypes.BF16:
            assert dtypes.of_numpy(dtype) == number
    assert dtypes.of_numpy(np.dtype(">f4")) == F32 and dtypes.of_numpy(np.dtype("S3")) == BYTES
    assert dtypes.of_numpy(np.dtype("complex64")) == 0 and dtypes.of_numpy(np.dtype("M8[s]")) == 0


def test_what_is_admitted_is_so_each_time():
    d = Declared("x", F32, (-1, 4))
    given = [(F32, (2, 4), True), (F32, (2, 4), True), (F32, (3, 4), True), (F32, (3, 5), False), (I64, (3, 4), False), (F32, (4,), False),
             (F32, (3, 4), True)]
    assert [d.admits(dtype, dims) for dtype, dims, _ in given] == [admitted for *_, admitted in given]
    anything = Declared("x")
    assert anything.admits(F32, ()) and anything.admits(I64, (1, 2)) and anything.admits(F32, ())


@pytest.mark.parametrize("annotation, text", [
    ("f31[-1]", "'f31' is no dtype"), ("f32[-1", "no tensor"), ("float32[2, -3]", "below -1"), ("image[?, 3]", "'image' is no dtype")])
def test_an_annotation_that_is_meant_for_a_tensor_and_is_none(annotation, text):
    with pytest.raises(DeclarationError, match=text):
        declare.of_annotation("x", annotation, {})


@pytest.mark.parametrize("annotation", ["Tensor", "torch.Tensor", "Optional[Tensor]", "List[np.ndarray]", "the image"])
def test_an_annotation_that_says_nothing_of_a_tensor(annotation):
    assert declare.of_annotation("x", annotation, {}) == Declared("x")
