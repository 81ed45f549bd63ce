"""Batches run beside each other: instances of one model, and models of one worker."""
import os
import signal
import threading

import grpc
import pytest

import messages as m
from daemon import wait_for


def repository(path, **models):
    """A repository of builtin models: name -> (function, lines of [model])."""
    for name, (function, *lines) in models.items():
        (path / name / "1").mkdir(parents=True)
        (path / name / "model.conf").write_text(
            "[model]\nbackend = builtin\n" + "".join(f"{line}\n" for line in lines) +
            f"[parameters]\nfunction = {function}\n")
    return str(path)


class Call(threading.Thread):
    """An inference that goes on while others are made."""
    def __init__(self, d, model, data, dtype="u8"):
        super().__init__(daemon=True)
        self.make = lambda: d.infer(model, data, [1], dtype)
        self.reply = self.error = None
        self.start()

    def run(self):
        try:
            self.reply = self.make()
        except grpc.RpcError as e:
            self.error = e

    def end(self):
        self.join(60)
        assert not self.is_alive()
        return self


def busy(d, n):
    wait_for(f"{n} batches at work", lambda: d.status().workers[0].batches_in_flight >= n)


def test_instances_of_one_model_run_at_once(start, tmp_path):
    d = start(models=["three"], repository=repository(tmp_path, three=("hang", "instances = 3")), workers="cpu:0")
    calls = [Call(d, "three", b"\1"), Call(d, "three", b"\1")]
    busy(d, 2)
    # Two lanes hang; the third one answers, and would not if there were only two.
    for _ in range(20):
        assert d.infer("three", b"\0", [1], "u8").tensor_data.data == b"\0"
    os.kill(d.workers()[0], signal.SIGKILL)
    assert all(call.reply is None for call in calls)


def test_a_hung_model_stops_no_other(start):
    d = start("model.run_timeout_ms=2000", "models.isolation=device", models=["hang", "identity", "sleep"], workers="cpu:0")
    worker = d.workers()[0]
    hung = Call(d, "hang", b"\1")
    busy(d, 1)
    for i in range(50):
        assert d.infer("identity", b"%d" % i).tensor_data.data == b"%d" % i
    assert d.workers() == [worker]
    # The worker is killed for it. It alone pays: what ran beside it is answered by the next worker.
    beside = Call(d, "sleep", (1900).to_bytes(2, "little"), "u16")
    error = hung.end().error
    assert error.code() == grpc.StatusCode.INTERNAL
    assert "run_timeout_ms = 2000" in error.details()
    assert beside.end().error is None
    wait_for("another worker", lambda: len(d.workers()) == 1 and d.workers() != [worker])
    assert d.status().workers[0].restarts == 1


def test_heartbeats_are_answered_while_a_batch_runs(start):
    d = start("worker.heartbeat_interval_ms=50", "worker.heartbeat_timeout_ms=1000", models=["sleep"], workers="cpu:0")
    worker = d.workers()
    assert d.infer("sleep", (2500).to_bytes(2, "little"), [1], "u16")
    assert d.workers() == worker


def test_a_stopped_worker_is_noticed_while_a_batch_runs(start):
    d = start("worker.heartbeat_interval_ms=50", "worker.heartbeat_timeout_ms=300", models=["sleep"], workers="cpu:0")
    call = Call(d, "sleep", (2000).to_bytes(2, "little"), "u16")
    busy(d, 1)
    pid = d.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    wait_for("a new worker", lambda: [p for p in d.workers() if p != pid])
    assert "heartbeat" in d.status().workers[0].last_exit
    assert call.end().error is None


def test_a_backend_that_cannot_go_on(start, tmp_path):
    d = start("models.isolation=device", models=["fatal", "identity"], workers="cpu:0", repository=repository(
        tmp_path, fatal=("fatal",), identity=("identity",)))
    with pytest.raises(grpc.RpcError) as e:
        d.infer("fatal", b"\1", [1], "u8")
    assert e.value.code() == grpc.StatusCode.INTERNAL
    d.wait_workers_ready(1)
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    assert "told to say so" in d.log()
    assert d.check_health("identity") == m.SERVING


def test_an_answer_that_comes_later(start, tmp_path):
    d = start(models=["later"], repository=repository(tmp_path, later=("later", "instances = 2")), workers="cpu:0")
    calls = [Call(d, "later", (30).to_bytes(2, "little"), "u16") for _ in range(8)]
    assert all(call.end().error is None for call in calls)


def test_a_model_that_hangs_is_not_serving_until_it_is_over(start):
    """Health and status say so, of that model alone, and the others go on."""
    d = start("model.run_timeout_ms=3000", models=["hang", "identity"], workers="cpu:0")
    assert d.infer("hang", b"\0", [1], "u8").tensor_data.data == b"\0"
    call = Call(d, "hang", b"\1")
    wait_for("hang to be noticed", lambda: d.check_health("hang") == m.NOT_SERVING)
    model = {x.name: x for x in d.status().models}["hang"]
    if model.state == "overdue":
        assert "busy with one batch" in model.detail
    assert d.check_health("identity") == m.SERVING
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    assert call.end().error.code() == grpc.StatusCode.INTERNAL
    wait_for("the next worker", lambda: d.check_health("hang") == m.SERVING)
    assert "state=overdue" in d.log()
