"""ONNX models through the daemon: the default model's answers, every element type, shapes, batches, errors."""
import glob
import os
import struct

import grpc
import numpy as np
import pytest

import messages as m
from callers import begin
from daemon import infer_request, wait_for

ONNX = os.path.join(m.ROOT, "tests", "models", "onnx")
SAMPLES = sorted(glob.glob(os.path.join(m.ROOT, "conf", "samples", "digits", "*.pgm")))
SERVED = ["fixed", "scalar", "unnamed", "renamed", "swapped", "add_sub", "nonzero", "lying", "identity_f32"]
NUMPY = {"u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64", "i8": "int8", "i16": "int16", "i32": "int32",
         "i64": "int64", "f16": "float16", "f32": "float32", "f64": "float64", "bool": "bool"}


@pytest.fixture(scope="module")
def onnx(start_once):
    dtypes = [f"identity_{d}" for d in [*NUMPY, "bf16", "bytes"]]
    d = start_once(repository=ONNX, models=sorted({*dtypes, *SERVED}))
    wait_for("all models", lambda: d.check_health() == m.SERVING)
    return d


@pytest.fixture(scope="module")
def digits(start_once):
    d = start_once(repository=os.path.join(m.ROOT, "conf", "models"))
    wait_for("the model", lambda: d.check_health("digits") == m.SERVING)
    return d


def picture(path):
    return np.array(open(path).read().split()[4:], dtype="<f4")


def run(d, model, array, dtype="f32", **parameters):
    r = d.infer(model, array.tobytes(), array.shape, dtype, parameters)
    return np.frombuffer(r.tensor_data.data, NUMPY[r.tensor_data.dtype]).reshape(tuple(r.tensor_data.shape))


def refusal(call):
    with pytest.raises(grpc.RpcError) as e:
        call()
    return e.value.code().name, e.value.details()


# --- digits ------------------------------------------------------------------------------------------


def test_digits_are_recognised(digits):
    assert len(SAMPLES) == 20
    right = 0
    for path in SAMPLES:
        probabilities = run(digits, "digits", picture(path).reshape(1, 8, 8))
        assert probabilities.shape == (1, 10) and abs(probabilities.sum() - 1) < 1e-3
        right += int(probabilities.argmax()) == int(path[-5])
    assert right >= 19


def test_digits_by_their_other_output(digits):
    for path in SAMPLES[:3]:
        digit = run(digits, "digits", picture(path).reshape(1, 8, 8), output="digit")
        assert digit.dtype == np.int64 and digit.tolist() == [int(path[-5])]


def test_digits_in_one_request_and_joined_are_the_same(digits):
    pictures = np.stack([picture(p).reshape(8, 8) for p in SAMPLES[:8]])
    together = run(digits, "digits", pictures)
    calls = [begin(digits, infer_request("digits", x.tobytes(), [1, 8, 8], "f32")) for x in pictures]
    alone = [np.frombuffer(c.result(60).tensor_data.data, "<f4") for c in calls]
    assert together.shape == (8, 10)
    assert np.allclose(together, np.stack(alone), atol=1e-5)


def test_digits_are_joined(start):
    d = start("model.max_queue_delay_us=3000000", repository=os.path.join(m.ROOT, "conf", "models"))
    wait_for("the model", lambda: d.check_health("digits") == m.SERVING)
    calls = [begin(d, infer_request("digits", picture(p).tobytes(), [1, 8, 8], "f32")) for p in SAMPLES[:8]]
    replies = [c.result(60) for c in calls]
    assert [r.metadata["batch_size"] for r in replies] == ["8"] * 8
    assert [int(np.frombuffer(r.tensor_data.data, "<f4").argmax()) for r in replies] == [int(p[-5]) for p in SAMPLES[:8]]


# --- element types -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NUMPY)
def test_element_types(onnx, dtype):
    array = (np.arange(12).reshape(3, 4) % (2 if dtype == "bool" else 100)).astype(NUMPY[dtype])
    assert (run(onnx, f"identity_{dtype}", array, dtype) == array).all()


def test_bf16(onnx):
    data = bytes(range(24))
    r = onnx.infer("identity_bf16", data, [3, 4], "bf16").tensor_data
    assert (r.data, list(r.shape), r.dtype) == (data, [3, 4], "bf16")


def test_strings(onnx):
    strings = [b"", b"a", b"with\0zero", "\u00e4\U0001f600".encode(), b"\xff\xfe", b"x" * 70000]
    data = b"".join(struct.pack("<I", len(s)) + s for s in strings)
    r = onnx.infer("identity_bytes", data, [2, 3], "bytes").tensor_data
    assert (r.data, list(r.shape), r.dtype) == (data, [2, 3], "bytes")


def test_a_bool_is_0_or_1(onnx):
    code, _ = refusal(lambda: onnx.infer("identity_bool", b"\2", [1, 1], "bool"))
    assert code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("shape", [(1, 0), (8, 1), (1, 100000)])
def test_free_dimensions(onnx, shape):
    array = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    assert run(onnx, "identity_f32", array).shape == shape


# --- shapes --------------------------------------------------------------------------------------------


def test_shapes_that_follow_from_inputs_or_not(onnx):
    a = np.arange(6, dtype="f4").reshape(2, 3)
    assert (run(onnx, "fixed", a) == -a).all()
    assert run(onnx, "scalar", np.array(4, dtype="f4")) == -4
    assert (run(onnx, "unnamed", a) == -a).all()
    assert (run(onnx, "renamed", a) == -a).all()
    assert (run(onnx, "swapped", a) == a.T).all()


@pytest.mark.parametrize("values", [[0, 0, 0], [1, 0, 2], [5] * 100])
def test_output_as_large_as_the_data_says(onnx, values):
    found = run(onnx, "nonzero", np.array(values, dtype="f4"))
    assert found.tolist() == [np.nonzero(values)[0].tolist()]


def test_a_model_that_makes_other_rows_than_it_declares(onnx):
    for _ in range(3):
        assert (run(onnx, "lying", np.ones((3, 2), "f4")) == np.ones((6, 2))).all()
    assert onnx.log().count("model 'lying' makes outputs of other shapes than it declares") == 1
    assert (run(onnx, "fixed", np.ones((2, 3), "f4")) == -1).all()


@pytest.mark.parametrize("rows", [0, 1, 8, 9, 150])
def test_any_number_of_rows(onnx, rows):
    """A limit on joining is none on one request."""
    array = np.arange(rows * 5, dtype="f4").reshape(rows, 5)
    assert (run(onnx, "identity_f32", array) == array).all()


def test_rows_of_a_model_whose_batch_is_configured(digits):
    code, text = refusal(lambda: run(digits, "digits", np.zeros((9, 8, 8), "f4")))
    assert code == "INVALID_ARGUMENT" and "9 rows exceeds max_batch_size 8" in text and "model.conf" in text
    code, text = refusal(lambda: run(digits, "digits", np.zeros((0, 8, 8), "f4")))
    assert code == "INVALID_ARGUMENT" and "0 rows" in text


def test_wrong_shapes_and_types(onnx):
    for model, array, dtype in (("fixed", np.zeros((3, 2), "f4"), "f32"), ("fixed", np.zeros(6, "f4"), "f32"),
                                ("fixed", np.zeros((2, 3), "i4"), "i32"), ("add_sub", np.zeros((1, 4), "f4"), "f32")):
        code, text = refusal(lambda: run(onnx, model, array, dtype))
        assert code == "INVALID_ARGUMENT" and model in text, text


# --- what goes wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model, text", [("corrupt", "model.onnx"), ("float8", "x"), ("sequence", "y")])
def test_models_that_cannot_be_served(start, model, text):
    d = start(repository=ONNX, models=[model, "fixed"])
    state = {s.name: s for s in d.status().models}[model]
    assert state.state == "failed" and text in state.detail
    code, details = refusal(lambda: d.infer(model, bytes(4), [1], "f32"))
    assert code == "UNAVAILABLE" and model in details and state.detail in details
    assert (run(d, "fixed", np.ones((2, 3), "f4")) == -1).all()


@pytest.mark.parametrize("library", ["/nonexistent/libonnxruntime.so", "/usr/bin/env", "libnosuch.so.77"])
def test_no_library(start, library):
    d = start(f"backend.onnxruntime.library={library}", repository=ONNX, models=["fixed"])
    state = d.status().models[0]
    shown = os.path.basename(library)  # clients are not told where things lie here
    assert state.state == "failed" and shown in state.detail
    code, text = refusal(lambda: d.infer("fixed", bytes(24), [2, 3], "f32"))
    assert code == "UNAVAILABLE" and shown in text and "onnxruntime" in text
    assert "/usr/bin" not in text and shown in d.modelctl("status", "-o", "wide").stdout
    assert library in d.log() and d.check_health() == m.NOT_SERVING


def test_which_library_was_taken_is_in_the_log(onnx):
    assert "ONNX Runtime 1." in onnx.log()


def test_bad_setting(start):
    d = start("backend.onnxruntime.optimization=wild", repository=ONNX, models=["fixed"])
    assert "optimization" in d.status().models[0].detail and "wild" in d.status().models[0].detail
