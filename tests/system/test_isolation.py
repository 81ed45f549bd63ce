"""Models with worker processes of their own."""
import contextlib
import os
import shutil
import signal
import stat
import subprocess

import grpc
import pytest

from callers import Callers
from daemon import MODELCTL, PATIENCE_S, ROOT, alive, wait_for
from test_models import ctl, explicit, models
from test_reload import code_of, hang_up, works

IDENTITY = os.path.join(ROOT, "tests", "models", "onnx", "identity_f32", "1", "model.onnx")


def own(d, model):
    """The workers of the model's own."""
    return [w for w in d.status().workers if w.model == model]


def pids(workers):
    return [w.pid for w in workers]


def test_a_crash_costs_its_model_alone(start, repository):
    repository.put("crash", "crash", "isolation = model")
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    shared = [w.pid for w in d.status().workers if not w.model]
    before = pids(own(d, "crash"))
    assert len(shared) == 1 and len(before) == 1
    load = Callers(d, 4)
    load.wait_done(20)
    assert code_of(lambda: d.infer("crash", b"abc")) == grpc.StatusCode.INTERNAL
    wait_for("its new process", lambda: models(d)["crash", "1"] == "ready" and pids(own(d, "crash")) != before)
    load.wait_done(20)
    _, failures = load.stop()
    assert not failures, failures[:5]
    assert [w.pid for w in d.status().workers if not w.model] == shared
    assert "for crash:1" in d.modelctl("status", "-o", "wide").stdout


def test_a_model_that_hangs_is_ended_alone(start, repository):
    repository.put("hang", "hang", "isolation = model\nrun_timeout_ms = 500")
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    shared = [w.pid for w in d.status().workers if not w.model]
    assert code_of(lambda: d.infer("hang", b"abc")) == grpc.StatusCode.INTERNAL
    assert works(d, "identity")
    assert [w.pid for w in d.status().workers if not w.model] == shared


def test_one_that_crashes_moves_out(start, repository):
    """isolation = auto, which is the default."""
    repository.put("crash", "crash")
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    assert own(d, "crash") == []
    assert code_of(lambda: d.infer("crash", b"abc")) == grpc.StatusCode.INTERNAL
    wait_for("its own process", lambda: [w.state for w in own(d, "crash")] == ["ready"] and works(d, "identity"))
    shared = [w.pid for w in d.status().workers if not w.model]
    assert code_of(lambda: d.infer("crash", b"abc")) == grpc.StatusCode.INTERNAL
    assert works(d, "identity")
    assert [w.pid for w in d.status().workers if not w.model] == shared
    assert [w.restarts for w in d.status().workers if not w.model] == [1]


def test_workers_killed_while_models_come_and_go(start, repository):
    repository.put("identity", more="isolation = model")
    repository.put("second", more="isolation = model")
    d = explicit(start, repository, "models.load=identity", "worker.breaker_crashes=1000")
    for i in range(6):
        loading = subprocess.Popen([MODELCTL, "load", "second", "--address", d.tcp], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        victims = wait_for("a process of it", lambda: [w.pid for w in own(d, "second") if w.pid])
        with contextlib.suppress(ProcessLookupError):
            os.kill(victims[0], signal.SIGKILL)
        loading.wait(PATIENCE_S)
        wait_for("the model", lambda: works(d, "second"))
        for w in own(d, "second") if i % 2 else []:
            if w.pid:
                os.kill(w.pid, signal.SIGKILL)
        assert ctl(d, "unload", "second")[0] == 0
        wait_for("its end", lambda: not own(d, "second"))
    assert works(d, "identity")
    assert len(d.children()) == 2


def test_unloading_ends_the_process(start, repository):
    repository.put("second", more="isolation = model")
    d = explicit(start, repository, "models.load=identity")
    for _ in range(3):
        assert ctl(d, "load", "second")[0] == 0
        assert works(d, "second")
        process = pids(own(d, "second"))
        assert len(process) == 1 and alive(process[0])
        assert ctl(d, "unload", "second")[0] == 0
        assert not alive(process[0])
        assert own(d, "second") == []
    assert len(d.status().workers) == 1
    assert works(d, "identity")


def test_reload_without_a_gap(start, repository):
    repository.put("identity", more="isolation = model")
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    load = Callers(d, 8)
    load.wait_done(50)
    for i in range(3):
        repository.put("identity", more=f"isolation = model\nmax_queue_size = {1000 + i}")
        assert "added=0 replaced=1 removed=0" in hang_up(d)
        wait_for("the new one", lambda i=i: d.log().count("model version takes over") == i + 1)
        wait_for("the end of the old one", lambda i=i: d.log().count("model version is gone") == i + 1)
        load.wait_done(50)
    _, failures = load.stop()
    assert not failures, failures[:5]
    assert len(own(d, "identity")) == 1


def test_too_many_processes(start, repository):
    repository.put("second", more="isolation = model")
    repository.put("third", more="isolation = model")
    d = explicit(start, repository, "models.load=identity, second", "worker.max_model_workers=1")
    code, text = ctl(d, "load", "third")
    assert code != 0 and "max_model_workers = 1" in text, text
    assert ctl(d, "unload", "second")[0] == 0
    wait_for("its turn", lambda: ctl(d, "load", "third")[0] == 0)
    assert works(d, "third")


def test_a_backend_with_a_worker_program_of_its_own(start, repository, tmp_path):
    """The program sees what it is started for; each instance is a process."""
    program, seen = tmp_path / "program", tmp_path / "seen"
    worker = os.path.join(os.environ.get("MODELD_TEST_BUILD", os.path.join(ROOT, "build")), "modeld-worker")
    program.write_text("#!/bin/sh\n"
                       f'echo "$1 $MODELD_MODEL_NAME $MODELD_MODEL_VERSION $MODELD_DEVICE $MINE" >>{seen}\n'
                       f"exec {os.path.abspath(worker)}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    folder = os.path.join(repository.directory, "odd", "1")
    os.makedirs(folder)
    shutil.copy(IDENTITY, folder)
    repository.write("odd/model.conf", "[model]\nbackend = onnxruntime\ninstances = 2\n")
    d = start("models.serve=*", "models.default=identity", f"backend.onnxruntime.worker={program} word",
              "backend.onnxruntime.worker_environment=MINE=yes", f"worker.sandbox_write={tmp_path}", repository=repository.directory)
    wait_for("both", lambda: sorted(w.state for w in own(d, "odd")) == ["ready", "ready"])
    assert seen.read_text() == "word odd 1 cpu:0 yes\n" * 2
    assert [x.workers_ready for x in d.status().models if x.name == "odd"] == [2]


def memory_kib(d):
    return sum(int(line.split()[1]) for p in [d.pid, *d.children()] for line in open(f"/proc/{p}/smaps_rollup")
               if line.startswith("Pss:"))


@pytest.mark.memory
def test_memory_comes_back(start, repository):
    """Load, run, unload, MODELD_TEST_ROUNDS times: what the daemon and its workers hold together stays as it is."""
    folder = os.path.join(repository.directory, "onnx", "1")
    os.makedirs(folder)
    shutil.copy(IDENTITY, folder)
    d = explicit(start, repository, "models.load=identity", "models.isolation=model")

    def come_and_go():
        assert ctl(d, "load", "onnx")[0] == 0
        d.infer("onnx", b"\0\0\0\0" * 4, [2, 2], "f32")
        assert ctl(d, "unload", "onnx")[0] == 0

    come_and_go()
    before = memory_kib(d)
    for _ in range(int(os.environ.get("MODELD_TEST_ROUNDS", 20))):
        come_and_go()
    after = memory_kib(d)
    print(f"{before} KiB before, {after} KiB after")
    assert after <= before + 8 * 1024
    assert len(d.children()) == 2
