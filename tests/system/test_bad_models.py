"""Bad input where models come and go: each is a clear error to that caller, and costs nobody else."""
import concurrent.futures
import os
import shutil

import grpc
import numpy as np
import onnx
import pytest

import messages as m
import onnx_models as om
from callers import undisturbed
from daemon import SANITIZED, wait_for
from repository import Repository
from test_models import ctl, explicit, models
from test_reload import code_of, works

CODE = grpc.StatusCode


def ask(d, method, **fields):
    d.call(m.CONTROL_SERVICE + method, m.control.ModelRequest(**fields), m.control.ModelResponse)


def refusal_of(call):
    with pytest.raises(grpc.RpcError) as e:
        call()
    return e.value.code(), e.value.details()


def test_names_that_are_none(start, repository):
    d = explicit(start, repository, "models.load=identity")
    for method in "LoadModel", "UnloadModel", "ReloadModel":
        for name, code in [("identity\0x", CODE.INVALID_ARGUMENT), ("\0", CODE.INVALID_ARGUMENT),
                           ("a/b", CODE.INVALID_ARGUMENT), ("/", CODE.INVALID_ARGUMENT), ("..", CODE.INVALID_ARGUMENT),
                           (".", CODE.INVALID_ARGUMENT), ("../identity", CODE.INVALID_ARGUMENT),
                           ("/etc", CODE.INVALID_ARGUMENT), ("x" * 300, CODE.INVALID_ARGUMENT),
                           ("identit\u00e9", CODE.NOT_FOUND)]:
            assert refusal_of(lambda: ask(d, method, name=name))[0] == code, (method, name)
    for version in "one", "-1", "0", "01", " 1", "1 ", "1.0", "99999999999999999999", "1\0":
        for method in "LoadModel", "UnloadModel":
            code, text = refusal_of(lambda: ask(d, method, name="identity", version=version))
            assert code == CODE.INVALID_ARGUMENT, (version, text)
    for name in "identity\0x", "..", "a/b", "x" * 300, "identity/1":
        code, _ = refusal_of(lambda: d.infer(name, b"abc"))
        assert code in (CODE.NOT_FOUND, CODE.INTERNAL, CODE.INVALID_ARGUMENT), name
        code, _ = refusal_of(lambda: d.call(
            m.KSERVE_SERVICE + "RepositoryModelLoad", m.kserve.RepositoryModelLoadRequest(model_name=name),
            m.kserve.RepositoryModelLoadResponse))
        assert code in (CODE.INTERNAL, CODE.INVALID_ARGUMENT), name
    assert models(d) == {("identity", "1"): "ready"} and works(d, "identity")


def test_loads_and_unloads_of_the_same_at_once(start, repository):
    repository.put("slow")
    repository.write("slow/model.conf",
                     "[model]\nbackend = builtin\n[parameters]\nfunction = identity\nload_ms = 200\n")
    d = explicit(start, repository)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: code_of(lambda: ask(d, "LoadModel", name="slow")), range(8))) == {CODE.OK}
        assert d.log().count("model loaded model=slow") == 1
        # Whatever comes of each, everybody hears of it.
        codes = list(pool.map(lambda i: code_of(lambda: ask(d, "UnloadModel" if i % 2 else "LoadModel", name="slow")),
                              range(32)))
    assert set(codes) <= {CODE.OK, CODE.NOT_FOUND, CODE.ABORTED}, codes
    ask(d, "LoadModel", name="slow")
    assert works(d, "slow")


def test_unloaded_in_use(start, repository):
    repository.put("slow")
    repository.write("slow/model.conf", "[model]\nbackend = builtin\nmax_batch_size = 0\n"
                     "[parameters]\nfunction = identity\ndelay_ms = 50\n")
    d = explicit(start, repository, "models.load=slow")
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(d.infer, "slow", b"abc") for _ in range(10)]

        def n_begun():
            n, status = sum(c.done() for c in calls), d.status()
            return n + sum(x.queue_depth for x in status.models) + sum(w.batches_in_flight for w in status.workers)

        wait_for("all calls", lambda: n_begun() >= len(calls))
        unloading = pool.submit(ask, d, "UnloadModel", name="slow")
        wait_for("its going", lambda: "model version goes model=slow" in d.log())
        assert code_of(lambda: d.infer("slow", b"abc")) == CODE.NOT_FOUND
        unloading.result()
        assert {c.result().tensor_data.data for c in calls} == {b"abc"}, "what was begun is finished"
    assert models(d) == {}


def test_a_repository_that_vanishes(start, repository):
    d = explicit(start, repository, "models.load=identity")
    shutil.rmtree(repository.directory)
    code, text = refusal_of(lambda: ask(d, "LoadModel", name="identity"))
    assert code == CODE.INTERNAL and repository.directory in text, text
    code, text = ctl(d, "reload")
    assert code != 0 and repository.directory in text
    assert works(d, "identity"), "what is loaded goes on"
    ask(d, "UnloadModel", name="identity")
    assert models(d) == {}


def test_followed_files_that_vanish(start, repository, tmp_path):
    d = start("models.serve=*", "models.default=identity", "models.control=poll", "models.settle_ms=20",
              "models.poll_interval_ms=50", repository=repository.directory)
    os.rename(repository.directory, tmp_path / "elsewhere")
    wait_for("it to be noticed", lambda: "models are not read anew" in d.log())
    assert works(d, "identity")
    os.rename(tmp_path / "elsewhere", repository.directory)
    repository.put("second")
    wait_for("the repository's return", lambda: works(d, "second"))


@pytest.mark.skipif(SANITIZED, reason="a sanitizer reports the SIGBUS that a worker may get")
def test_weights_that_are_truncated_while_they_are_mapped(start, repository):
    """The model may end its worker; the daemon, and others' calls, go on."""
    n = 1 << 20
    weights = om.constant("w", np.ones(n), np.float32)
    graph = om.helper.make_graph(
        [om.node("Add", ["x", "w"], ["y"])], "external", [om.tensor("x", om.F32, [n])], [om.tensor("y", om.F32, [n])],
        [weights])
    model = om.helper.make_model(graph, ir_version=10, opset_imports=[om.helper.make_opsetid("", 19)])
    folder = os.path.join(repository.directory, "external", "1")
    os.makedirs(folder)
    onnx.save(model, os.path.join(folder, "model.onnx"), save_as_external_data=True, location="weights")
    d = explicit(start, repository, "models.load=identity, external", "worker.backoff_max_ms=1", workers="cpu:0 x2")
    x = np.zeros(n, np.float32).tobytes()
    assert d.infer("external", x, [n], "f32").tensor_data.data == np.ones(n, np.float32).tobytes()
    with undisturbed(d, slowest_s=60):
        os.truncate(os.path.join(folder, "weights"), 100)
        for _ in range(3):
            code = code_of(lambda: d.infer("external", x, [n], "f32"))
            assert code in (CODE.OK, CODE.UNAVAILABLE, CODE.INTERNAL), code
    assert works(d, "identity")


def test_five_thousand_models(start, tmp_path):
    """In a repository, of which one is loaded; and then the others are seen and loaded one by one."""
    for i in range(5000):
        os.makedirs(tmp_path / "models" / f"m{i}")
        (tmp_path / "models" / f"m{i}" / "model.conf").write_text("[model]\nbackend = builtin\n[parameters]\nfunction = identity\n")
    d = explicit(start, Repository(tmp_path / "models"), "models.load=m4999")
    assert works(d, "m4999")
    index = d.call(m.KSERVE_SERVICE + "RepositoryIndex", m.kserve.RepositoryIndexRequest(),
                   m.kserve.RepositoryIndexResponse)
    assert len(index.models) == 5000
    for i in range(0, 5000, 1000):
        ask(d, "LoadModel", name=f"m{i}")
        assert works(d, f"m{i}")
