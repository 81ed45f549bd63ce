"""What a model says through the daemon is what ONNX Runtime says, whoever else asks."""
import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import messages as m
from callers import begin
from daemon import SANITIZED, infer_request, status_field, wait_for
from onnx_models import F32, I64, Repository, TensorProto, constant, direct, helper, node, same, tensor

sys.path.insert(0, os.path.join(m.ROOT, "clients", "python"))
import modeld  # noqa: E402


def batch(name, *rest, dtype=F32):
    return tensor(name, dtype, ["batch", *rest])


AXIS = constant("axis", 0, "i8")
LENGTH = [tensor("x", F32, ["sequence_length", 2])], [tensor("y", F32, ["sequence_length", 2])]
# name: nodes, inputs, outputs, constants; what the log says of it
NOT_JOINED = {
    "running_sum": ([node("CumSum", ["x", "axis"], ["y"])], *LENGTH, [AXIS], "sequence_length"),
    "running_sum_batch": ([node("CumSum", ["x", "axis"], ["y"])], [batch("x", 2)], [batch("y", 2)], [AXIS],
                          "CumSum works along the first dimension"),
    "unnamed": ([node("Neg", ["x"], ["y"])], [tensor("x", F32, [None, 2])], [tensor("y", F32, [None, 2])], [],
                "has no name"),
    "unique": ([node("Unique", ["x"], ["y"], sorted=1)], [batch("x")], [batch("y")], [], "Unique"),
    "quantised": ([node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])],
                  [batch("x", 2)], [batch("y", 2)], [], "takes its scale from all rows"),
    "attention": ([node("Transpose", ["x"], ["t"]), node("MatMul", ["x", "t"], ["w"]), node("MatMul", ["w", "x"], ["y"])],
                  [batch("x", 2)], [batch("y", 2)], [], "Transpose moves the first dimension"),
}


def sequence(name):
    return helper.make_tensor_sequence_value_info(name, F32, None)


def optional(name):
    return helper.make_value_info(name, helper.make_optional_type_proto(helper.make_tensor_type_proto(F32, [2])))


def map_of_scores(name):
    return helper.make_value_info(name, helper.make_sequence_type_proto(
        helper.make_map_type_proto(I64, helper.make_tensor_type_proto(F32, []))))


# name: nodes, inputs, outputs; what is said of it
NOT_SERVED = {
    "float8": ([node("Cast", ["x"], ["y"], to=F32)], [tensor("x", TensorProto.FLOAT8E4M3FN, ["n"])],
               [tensor("y", F32, ["n"])], "'x' is a tensor of float8e4m3fn, which is not served: convert"),
    "sequences": ([node("ConcatFromSequence", ["x"], ["y"], axis=0)], [sequence("x")], [tensor("y", F32, None)],
                  "'x' is a sequence, which is not served: give"),
    "optionals": ([node("OptionalGetElement", ["x"], ["y"])], [optional("x")], [tensor("y", F32, [2])],
                  "'x' is optional, which is not served: make"),
    "maps": ([node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
             [tensor("x", F32, ["n", 2])], [map_of_scores("y")], "'y' is a sequence of maps, which is not served: leave"),
}


@pytest.fixture(scope="module")
def served(start_once):
    """(daemon, repository), with every model of this page."""
    r = Repository()
    r.add("secret", [node("Neg", ["x"], ["y"])], [batch("x", 4)], [batch("y", 4)])
    r.add("passed", [node("Relu", ["x"], ["y"])], [batch("x", 4)], [batch("y", 4), batch("x", 4)])
    r.add("untouched", [node("Relu", ["x"], ["z"])], [batch("x", 4)], [batch("x", 4)])
    r.add("constant", [node("Relu", ["x"], ["y"])], [batch("x", 4)], [tensor("c", F32, [4]), batch("y", 4)],
          [constant("c", [1, 2, 3, 4], "f4")])
    r.add("folded", [node("Identity", ["c"], ["d"]), node("Identity", ["x"], ["y"]), node("Neg", ["c"], ["e"])],
          [batch("x", 4)], [tensor("d", F32, [4]), tensor("e", F32, [4]), batch("y", 4)],
          [constant("c", [1, 2, 3, 4], "f4")])
    shape = [node("Shape", ["x"], ["s"]), node("Slice", ["s", "one", "two"], ["n"]),
             node("Concat", ["one", "one", "n"], ["shape"], axis=0), node("Reshape", ["x", "shape"], ["y"])]
    r.add("other_rank", shape, [tensor("x", F32, [1, "n"])], [tensor("y", F32, [1, "m"])],
          [constant("one", [1], "i8"), constant("two", [2], "i8")])
    r.add("other_size", [node("NonZero", ["x"], ["t"]), node("Cast", ["t"], ["y"], to=F32)], [tensor("x", F32, ["n"])],
          [tensor("y", F32, [1, 3])])
    r.add("configured", [node("CumSum", ["x", "axis"], ["y"])], [tensor("x", F32, ["time", 2])],
          [tensor("y", F32, [None, 2])], [AXIS],
          conf="[model]\nbackend = onnxruntime\nmax_batch_size = 64\n[parameters]\nspinn = no\n")
    r.add("impossible", [node("Neg", ["x"], ["y"])], [tensor("x", F32, [3, 2])], [tensor("y", F32, [3, 2])],
          conf="[model]\nbackend = onnxruntime\nmax_batch_size = 8\n")
    r.add("nothing_in", [node("Constant", [], ["y"], value=constant("c", [3, 1, 4], "f4"))], [], [tensor("y", F32, [3])])
    r.add("boxes", [node("NonZero", ["x"], ["t"]), node("Transpose", ["t"], ["y"])], [tensor("x", F32, ["n"])],
          [tensor("y", I64, ["m", 1])])
    for name, (nodes, inputs, outputs, _) in NOT_SERVED.items():
        r.add(name, nodes, inputs, outputs, domains=["ai.onnx.ml"])
    r.add("picker", [node("Cast", ["x"], ["f"], to=F32), node("GatherElements", ["f", "x"], ["y"], axis=1)],
          [batch("x", 1, dtype=I64)], [batch("y", 1)])
    os.makedirs(os.path.join(r.path, "junk", "1"))
    with open(r.file("junk"), "wb") as f:
        f.write(b"junk")
    for name, (nodes, inputs, outputs, initializers, _) in NOT_JOINED.items():
        r.add(name, nodes, inputs, outputs, initializers)
    r.add("mlp", [node("MatMul", ["x", "w"], ["h"]), node("Add", ["h", "b"], ["s"]), node("Relu", ["s"], ["t"]),
                  node("Softmax", ["t"], ["y"])],
          [tensor("x", F32, ["N", 4])], [tensor("y", F32, ["Batch_Size", 3])],
          [constant("w", np.arange(12).reshape(4, 3) / 7, "f4"), constant("b", [1, 2, 3], "f4")])
    d = start_once("models.default=secret", "model.max_queue_delay_us=20000", repository=r.path)
    wait_for("all models", lambda: all(s.state in ("ready", "failed") for s in d.status().models))
    yield d, r
    r.close()


def wait_states(d):
    """Of all models, once they are settled."""
    wait_for("an address", lambda: d.addresses)
    wait_for("all models", lambda: all(s.state in ("ready", "failed") for s in d.status().models))
    return {s.name: s for s in d.status().models}


@pytest.fixture
def clients(served):
    d, _ = served
    with modeld.connect(d.unix) as local, modeld.connect(d.tcp) as remote:
        yield {"local": local, "remote": remote}


# --- Nobody sees another's data ----------------------------------------------------------------------

@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize("model", ["passed", "untouched", "constant", "folded"])
def test_an_output_that_no_operator_writes(served, clients, model, where):
    """An output that is an input or a constant: ONNX Runtime does not write it into memory it is given."""
    _, r = served
    x = np.array([[1, -2, 3, -4]], "f4")
    want = direct(r.file(model), {"x": x})
    for i in range(100):  # what a careless worker would send instead
        clients["remote"].infer("secret", np.full((1, 4), 1000 + i, "f4"))
        clients["local"].infer_all("secret", np.full((1, 4), 1000 + i, "f4"))
    for name, value in want.items():
        for _ in range(3):
            got = clients[where].infer_all(model, x, outputs=[name])[name]
            assert same(got, value), (name, got, value)
    got = clients["local"].infer_all(model, x)
    assert list(got) == list(want) and all(same(got[k], want[k]) for k in want)


# --- Joining never changes an answer -----------------------------------------------------------------

def run_at_once(d, model, arrays, apart=False):
    """(array, requests that it ran with) of each, asked for all together, by one client or by one each."""
    calls = [begin(d, infer_request(model, x.tobytes(), x.shape, "f32"), d.channel() if apart else None) for x in arrays]
    replies = [c.result(60) for c in calls]
    return [(np.frombuffer(r.tensor_data.data, "f4").reshape(tuple(r.tensor_data.shape)),
             int(r.metadata["batch_size"])) for r in replies]


@pytest.mark.parametrize("model", NOT_JOINED)
def test_what_may_not_be_joined_is_not(served, model):
    d, r = served
    rng = np.random.default_rng(1)
    columns = () if model == "unique" else (2,)
    arrays = [rng.integers(0, 9, (3, *columns)).astype("f4") * 10 ** (i % 4) for i in range(32)]
    for x, (got, joined) in zip(arrays, run_at_once(d, model, arrays)):
        assert joined == 1 and same(got, direct(r.file(model), {"x": x})["y"])


@pytest.mark.parametrize("model", NOT_JOINED)
def test_the_log_says_once_why_requests_are_not_joined(served, model):
    d, _ = served
    lines = [line for line in d.log().splitlines() if f"'{model}' runs requests one by one" in line]
    assert len(lines) == 1 and NOT_JOINED[model][4] in lines[0] and "max_batch_size" in lines[0]


def test_what_is_safe_is_joined(served):
    d, r = served
    arrays = [np.full((1 + i % 2, 4), i, "f4") for i in range(32)]
    answers = run_at_once(d, "mlp", arrays)
    assert max(joined for _, joined in answers) > 1
    for x, (got, _) in zip(arrays, answers):
        assert np.allclose(got, direct(r.file("mlp"), {"x": x})["y"], atol=1e-6)


def test_what_is_configured_is_joined_whatever_it_is(served, clients):
    d, r = served
    arrays = [np.full((2, 2), i, "f4") for i in range(32)]
    answers = run_at_once(d, "configured", arrays)
    assert max(joined for _, joined in answers) > 1 and all(got.shape == (2, 2) for got, _ in answers)
    info = clients["local"].models()["impossible"]
    assert info.state == "failed"
    assert "max_batch_size = 8, but requests cannot be joined: the first dimension of input 'x'" in info.detail
    assert "model 'configured' [parameters]: spinn means nothing; known are intra_op_threads" in d.log()


def test_outputs_that_fit_one_by_one_are_all_given(start, tmp_path):
    """Eight clients' requests whose outputs of 12 MB each do not fit the worker's 64 MB together."""
    r = Repository()
    r.add("wide", [node("Expand", ["x", "shape"], ["y"])], [tensor("x", F32, ["batch", 1])],
          [tensor("y", F32, ["batch", 3_000_000])], [constant("shape", [1, 3_000_000], "i8")],
          conf="[model]\nbackend = onnxruntime\nmax_batch_size = 8\nmax_queue_delay_us = 10000000\n")
    d = start("worker.output_arena_bytes=64M", "worker.output_wait_ms=60000", repository=r.path, models=["wide"])
    wait_for("the model", lambda: d.status().models[0].state == "ready")
    arrays = [np.full((1, 1), i, "f4") for i in range(8)]
    for x, (got, _) in zip(arrays, run_at_once(d, "wide", arrays, apart=True)):
        assert got.shape == (1, 3_000_000) and (got == x[0, 0]).all()
    assert d.status().models[0].batches == 1, "they were sent together"
    r.close()


def test_requests_in_shared_memory_run_as_one_and_say_so(start):
    """The model itself says how many rows it saw. They wait for each other until there are four."""
    r = Repository()
    r.add("rows", [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Cast", ["n"], ["f"], to=F32),
                   node("Mul", ["x", "nothing"], ["z"]), node("Add", ["z", "f"], ["y"])],
          [batch("x", 1)], [batch("y", 1)], [constant("zero", [0], "i8"), constant("nothing", [0], "f4")],
          conf="[model]\nbackend = onnxruntime\nmax_batch_size = 4\nmax_queue_delay_us = 10000000\n")
    d = start(repository=r.path, models=["rows"])
    wait_for("the model", lambda: d.status().models[0].state == "ready")
    clients = [modeld.connect(d.unix) for _ in range(4)]
    handed = d.status().tensor_bytes_handed
    with ThreadPoolExecutor(len(clients)) as pool:
        for got in pool.map(lambda c: c.infer_all("rows", np.ones((1, 1), "f4")), clients):
            assert got["y"].tolist() == [[4]] and got.timings.batch_size == 4
    assert d.status().models[0].batches == 1 and d.status().tensor_bytes_handed > handed
    for c in clients:
        c.close()
    r.close()


def test_of_requests_joined_in_shared_memory_the_one_at_fault_pays(start):
    r = Repository()
    r.add("picker", [node("Cast", ["x"], ["f"], to=F32), node("GatherElements", ["f", "x"], ["y"], axis=1)],
          [batch("x", 2, dtype=I64)], [batch("y", 2)],
          conf="[model]\nbackend = onnxruntime\nmax_batch_size = 4\nmax_queue_delay_us = 10000000\n")
    d = start(repository=r.path, models=["picker"])
    wait_for("the model", lambda: d.status().models[0].state == "ready")
    asked = [[1, 0], [0, 1], [0, 99], [1, 1]]
    clients = [modeld.connect(d.unix) for _ in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        calls = [pool.submit(c.infer_all, "picker", np.array([x], "i8")) for c, x in zip(clients, asked)]
    for x, call in zip(asked, calls):
        if max(x) < 2:
            assert (call.result()["y"][0] == [x[i] for i in x]).all()
        else:
            with pytest.raises(modeld.ModeldError, match="GatherElements"):
                call.result()
    assert all(c.uses_shared_memory for c in clients)
    model = d.status().models[0]
    assert (model.batches, model.requests_ok, model.requests_failed) == (1, 3, 1), "they were sent together"
    for c in clients:
        c.close()
    r.close()


# --- Models as they are in the world -----------------------------------------------------------------

def test_a_model_without_inputs(served, clients):
    for client in clients.values():
        for _ in range(2):
            assert same(client.infer("nothing_in", {}), np.array([3, 1, 4], "f4"))
            assert same(client.infer_all("nothing_in", {}, outputs=["y"])["y"], np.array([3, 1, 4], "f4"))
    with pytest.raises(modeld.ModeldError, match="has no inputs"):
        clients["remote"].infer("nothing_in", np.zeros(3, "f4"))


@pytest.mark.parametrize("model, inputs", [("other_rank", [np.ones((1, 5), "f4")] * 2),
                                           ("other_size", [np.array([0, 1, 1, 0, 1], "f4"), np.ones(5, "f4")])])
def test_outputs_of_other_shapes_than_declared(served, clients, model, inputs):
    """A well-known captcha reader does: it works, and is logged once."""
    d, r = served
    for client in clients.values():
        for x in inputs * 2:
            assert same(client.infer_all(model, x, outputs=["y"])["y"], direct(r.file(model), {"x": x})["y"])
    # ONNX Runtime itself finds out about the rank, and declares what it found.
    logged = d.log().count(f"model '{model}' makes outputs of other shapes than it declares")
    assert logged == 1 or (logged, model) == (0, "other_rank")


def test_a_first_dimension_of_an_output_that_is_no_batch(served, clients):
    """As many boxes as are found: more rows than came in, and more than the last time."""
    for client in clients.values():
        for n in (1, 50, 30000, 20, 60000):
            assert same(client.infer_all("boxes", np.ones(n, "f4"), outputs=["y"])["y"], np.arange(n).reshape(n, 1))


@pytest.mark.skipif(SANITIZED, reason="Python's library keeps memory when a process ends")
def test_operators_of_a_library(start):
    """Those of onnxruntime-extensions, in the backend's settings and in a model's parameters; and a library that is none."""
    extensions = pytest.importorskip("onnxruntime_extensions")
    libraries = f"{sysconfig.get_config_var('INSTSONAME')}, {extensions.get_library_path()}"
    r = Repository()
    try:
        for name, conf in (("without", ""), ("own", f"custom_op_libraries = {libraries}\n"),
                           ("broken", "custom_op_libraries = libnosuch.so.7\n")):
            r.add(name, [node("StringUpper", ["x"], ["y"], domain="ai.onnx.contrib")],
                  [tensor("x", TensorProto.STRING, ["n"])], [tensor("y", TensorProto.STRING, ["n"])],
                  conf="[model]\nbackend = onnxruntime\n[parameters]\n" + conf, domains=["ai.onnx.contrib"])
        d = start("models.default=own", repository=r.path, ready=False)
        infos = wait_states(d)
        assert infos["own"].state == "ready" and infos["without"].state == "failed"
        assert infos["broken"].state == "failed" and "libnosuch.so.7" in infos["broken"].detail
        with modeld.connect(d.unix) as client:
            assert client.infer("own", np.array(["a", "Bc"])).tolist() == [b"A", b"BC"]
        d = start("models.default=without", f"backend.onnxruntime.custom_op_libraries={libraries}", repository=r.path,
                  models=["without"])
        with modeld.connect(d.unix) as client:
            assert client.infer("without", np.array(["x"])).tolist() == [b"X"]
    finally:
        r.close()


@pytest.mark.memory
@pytest.mark.parametrize("setting, kept", [("auto", False), ("yes", False), ("no", True)])
def test_memory_of_an_unusual_run_goes_back(start, setting, kept):
    r = Repository()
    try:
        r.add("conv", [node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]), node("ReduceMax", ["a"], ["y"], axes=[1, 2, 3])],
              [tensor("x", F32, ["batch", 1, "h", "w"])], [tensor("y", F32, ["batch", 1, 1, 1])],
              [constant("w", np.ones((8, 1, 3, 3)), "f4")], opset=17,
              conf=f"[model]\nbackend = onnxruntime\n[parameters]\narena_shrinkage = {setting}\n")
        d = start("models.default=conv", repository=r.path)
        worker, = d.workers()
        with modeld.connect(d.tcp) as client:
            for n in (32, 64, 32, 1500, 32):
                assert client.infer("conv", np.ones((1, 1, n, n), "f4")).tolist() == [[[[9]]]]
        # 1500 x 1500 makes 72 MB between the two operators.
        assert (status_field(worker, "RssAnon") > 60 << 10) == kept
    finally:
        r.close()


# --- Words -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_wrong_name_is_answered_with_the_right_ones(clients, where):
    x = np.ones((1, 4), "f4")
    with pytest.raises(modeld.ModeldError, match="no input 'images'; its input is 'x'"):
        clients[where].infer_all("passed", {"images": x}, outputs=["y"])
    with pytest.raises(modeld.ModeldError, match="no output 'z'; its outputs are 'y', 'x'"):
        clients[where].infer_all("passed", x, outputs=["z"])


@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_parameter_that_means_nothing(clients, where):
    with pytest.raises(modeld.ModeldError, match="INVALID_ARGUMENT.*'ouput' means nothing.*output"):
        clients[where].infer("passed", np.ones((1, 4), "f4"), parameters={"ouput": "x"})


@pytest.mark.parametrize("model", NOT_SERVED)
def test_what_is_not_served_and_what_to_do(served, clients, model):
    info = clients["local"].models()[model]
    assert info.state == "failed" and NOT_SERVED[model][3] in info.detail
    assert ("scikit" in info.detail) == (model == "maps")


def test_texts_of_libraries_are_cut_and_name_no_path(served, clients):
    """What a client sees is of the model, not of the server's disk or of a library's source."""
    _, r = served
    texts = []
    for model in ("junk", "picker"):
        with pytest.raises(modeld.ModeldError) as e:
            clients["remote"].infer(model, np.full((1, 1), 99, "i8"))
        texts.append(str(e.value))
    assert "Load model from model.onnx failed" in texts[0]
    assert "operator GatherElements: GatherElements op: Out of range value in index tensor" in texts[1]
    assert not any(r.path in text or "onnxruntime_src" in text or ".cc:" in text for text in texts)


@pytest.mark.parametrize("key", ["library", "custom_op_libraries"])
def test_clients_do_not_see_where_libraries_are(start, tmp_path, key):
    """The log does, once for the model."""
    library = str(tmp_path / "libnowhere.so")
    d = start(f"backend.onnxruntime.{key}={library}", models=["identity_f32"],
              repository=os.path.join(m.ROOT, "tests", "models", "onnx"), ready=False)
    detail = wait_states(d)["identity_f32"].detail
    assert "libnowhere.so" in detail and str(tmp_path) not in detail
    assert library in d.log()


def test_keys_that_mean_nothing_to_a_backend(start):
    """No backend needs to know of that: what it never asks for is told."""
    r = Repository()
    os.makedirs(os.path.join(r.path, "m", "1"))
    r.configure("m", "[model]\nbackend = builtin\n[parameters]\nfunction = sleep\ndelay = 3\n")
    d = start("backend.builtin.thread=4", models=["m"], repository=r.path)
    assert "section=[backend.builtin] key=thread" in d.log()
    assert "section=[parameters] key=delay" in d.log()
    d.stop()
    r.close()
