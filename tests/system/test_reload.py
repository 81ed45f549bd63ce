"""SIGHUP: models come, go and change while the daemon serves; what is wrong changes nothing."""
import os
import re
import resource
import shutil
import signal

import grpc

import messages as m
from callers import Callers
from daemon import ROOT, wait_for


def hang_up(d):
    """SIGHUP; returns what came of it."""
    before = d.log().count("models were read anew") + d.log().count("models are not read anew")
    d.process.send_signal(signal.SIGHUP)
    wait_for("the end of reading", lambda: d.log().count("models were read anew") +
             d.log().count("models are not read anew") > before)
    return [line for line in d.log().splitlines() if " read anew" in line][-1]


def code_of(call):
    try:
        call()
    except grpc.RpcError as e:
        return e.code()
    return grpc.StatusCode.OK


def works(d, model):
    return code_of(lambda: d.infer(model, b"abc")) == grpc.StatusCode.OK


def test_models_come_and_go(start, repository):
    d = start("models.serve=*", "models.default=identity", repository=repository.directory, workers="cpu:0 x2")
    pid, workers = d.pid, d.workers()
    assert works(d, "identity")
    assert code_of(lambda: d.infer("second", b"abc")) == grpc.StatusCode.NOT_FOUND
    repository.put("second")
    assert "added=1 replaced=0 removed=0 wrong=0" in hang_up(d)
    wait_for("the new model", lambda: works(d, "second"))
    assert d.check_health("second") == m.health.HealthCheckResponse.SERVING
    assert [x.name for x in d.status().models] == ["identity", "second"]
    repository.remove("second")
    assert "added=0 replaced=0 removed=1 wrong=0" in hang_up(d)
    assert code_of(lambda: d.infer("second", b"abc")) == grpc.StatusCode.NOT_FOUND
    assert code_of(lambda: d.check_health("second")) == grpc.StatusCode.NOT_FOUND
    wait_for("its end in every worker", lambda: "model version is gone model=second" in d.log())
    assert works(d, "identity")
    assert "added=0 replaced=0 removed=0 wrong=0" in hang_up(d)
    assert d.pid == pid and d.workers() == workers, "no process was restarted"


def test_a_model_is_replaced_under_load(start, repository):
    d = start("models.serve=*", "models.default=identity", repository=repository.directory, workers="cpu:0 x2")
    workers = d.workers()
    load = Callers(d, 8)
    load.wait_done(50)
    for i in range(5):
        repository.put("identity", more=f"max_queue_size = {1000 + i}")
        assert "added=0 replaced=1 removed=0" in hang_up(d)
        wait_for("the new version", lambda i=i: d.log().count("model version takes over") == i + 1)
        wait_for("the end of the old one", lambda i=i: d.log().count("model version is gone") == i + 1)
        load.wait_done(50)
    _, failures = load.stop()
    assert not failures, failures[:5]
    assert len(d.status().models) == 1
    assert d.workers() == workers


def test_models_come_and_go_under_load(start, repository):
    d = start("models.serve=*", "models.default=identity", repository=repository.directory, workers="cpu:0 x2")
    load = Callers(d, 8)
    for i in range(5):
        repository.put("second", function="simple" if i % 2 else "identity")
        hang_up(d)
        wait_for("the new model", lambda: d.check_health("second") == m.health.HealthCheckResponse.SERVING)
        repository.remove("second")
        hang_up(d)
        load.wait_done(50)
    _, failures = load.stop()
    assert not failures, failures[:5]
    wait_for("the end of all of them", lambda: d.log().count("model version is gone model=second") == 5)


def test_a_new_version_that_fails_leaves_the_old_one(start, repository):
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    load = Callers(d, 2)
    repository.put("identity", function="unheard-of")
    assert "replaced=1" in hang_up(d)
    wait_for("the failure", lambda: "new model version failed: the old one goes on" in d.log())
    load.wait_done(50)
    # It is tried again, and mended.
    assert "replaced=1" in hang_up(d)
    wait_for("the failure", lambda: d.log().count("new model version failed") == 2)
    repository.put("identity", more="max_queue_size = 1001")
    hang_up(d)
    wait_for("the new version", lambda: "model version takes over" in d.log())
    load.wait_done(50)
    _, failures = load.stop()
    assert not failures, failures[:5]


def test_status_says_why_a_new_version_has_failed(start, repository):
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)

    def details():
        return [(x.state, x.detail) for x in d.status().models]

    repository.put("identity", function="unheard-of")
    hang_up(d)
    wait_for("the failure", lambda: "new model version failed" in d.log())
    (state, detail), = details()
    assert state == "ready" and re.match(r"version \d+ has failed, this one goes on: load failed on cpu:0: ", detail)
    for command in (["status", "identity"], ["models"]):
        assert "has failed, this one goes on" in " ".join(d.modelctl(*command).stdout.split())
    repository.put("identity")
    hang_up(d)
    wait_for("a version of which there is nothing to say", lambda: details() == [("ready", "")])


def test_what_is_wrong_changes_nothing(start, repository, tmp_path):
    conf = tmp_path / "modeld.conf"
    shutil.copy(os.path.join(ROOT, "conf", "modeld.conf"), conf)
    d = start("models.serve=*", "models.default=identity", repository=repository.directory, config=str(conf))
    repository.write("identity/model.conf", "[model]\nbackend = builtin\nmax_queue_size = many\n")
    repository.put("second")
    assert "added=1 replaced=0 removed=0 wrong=1" in hang_up(d)
    assert f"{repository.directory}/identity/model.conf:3: [model] max_queue_size" in d.log()
    assert works(d, "identity")
    wait_for("the new model", lambda: works(d, "second"))
    assert "need a restart" not in d.log()
    # What only a restart applies: it is named, the models are read.
    text = conf.read_text(encoding="utf-8")
    conf.write_text(text.replace("slots = 128", "slots = 127").replace("reset_rate = 1000", "reset_rate = 999"), encoding="utf-8")
    assert "added=0 replaced=0 removed=0 wrong=1" in hang_up(d)
    assert 'keys that have changed need a restart keys="[worker] slots, [limits] reset_rate"\n' in d.log()
    # A configuration that is wrong: nothing at all.
    repository.remove("second")
    conf.write_text(text + "\n[models]\nnonsense = 1\n", encoding="utf-8")
    assert "models are not read anew" in hang_up(d)
    assert f"{conf}:{text.count(chr(10)) + 3}: unknown key [models] nonsense" in d.log()
    assert works(d, "identity") and works(d, "second")
    shutil.rmtree(repository.directory)
    shutil.copy(os.path.join(ROOT, "conf", "modeld.conf"), conf)
    assert "models are not read anew" in hang_up(d)
    assert works(d, "identity") and works(d, "second")


def test_a_watcher_hears_of_models_that_come_and_go(start, repository):
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    call = d.channel().unary_stream(m.HEALTH_SERVICE + "Watch",
                                    request_serializer=lambda r: r.SerializeToString(),
                                    response_deserializer=m.health.HealthCheckResponse.FromString)(
        m.health.HealthCheckRequest(service="second"))
    kinds = m.health.HealthCheckResponse
    assert next(call).status == kinds.SERVICE_UNKNOWN
    repository.put("second")
    hang_up(d)
    while (status := next(call).status) != kinds.SERVING:
        assert status == kinds.NOT_SERVING
    repository.remove("second")
    hang_up(d)
    assert next(call).status == kinds.SERVICE_UNKNOWN
    call.cancel()


def test_sighup_at_any_time_ends_nothing(start, repository):
    """Also while it starts, and when it drains."""
    d = start("models.serve=*", "models.default=identity", repository=repository.directory, ready=False)
    wait_for("its first words", lambda: "repository=" in d.log())
    for _ in range(100):
        d.process.send_signal(signal.SIGHUP)
    d.wait_ready()
    assert works(d, "identity")
    for _ in range(20):
        d.process.send_signal(signal.SIGHUP)
    d.terminate()
    for _ in range(20):
        d.process.send_signal(signal.SIGHUP)
    d.wait_end(0)


def numbers_left(d, n):
    """How high descriptors of the daemon may go for it to open n more."""
    taken = {int(fd) for fd in os.listdir(f"/proc/{d.pid}/fd")}
    free = (fd for fd in range(4096) if fd not in taken)
    return [next(free) for _ in range(n + 1)][n]


def test_a_shortage_of_descriptors_takes_nothing_away(start, repository):
    """A directory that cannot be opened for want of them says nothing of the model that is in it."""
    shutil.copytree(os.path.join(ROOT, "tests", "models", "onnx", "add_sub"),
                    os.path.join(repository.directory, "add_sub"))
    d = start("models.serve=*", "models.default=identity", repository=repository.directory)
    assert {x.name for x in d.status().models} == {"identity", "add_sub"}
    before = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
    told = []
    while not told or "added=0 replaced=0 removed=0 wrong=0" not in told[-1]:
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (numbers_left(d, len(told)), before[1]))
        told.append(hang_up(d))
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, before)
        assert len(told) < 16, told
    assert "Too many open files" in told[0], "not even the configuration can be read"
    assert not [x for x in d.log().splitlines() if "model version goes" in x or "model version takes over" in x]
    assert works(d, "identity")
