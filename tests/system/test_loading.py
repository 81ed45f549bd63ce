"""Models that are being loaded, and what that does to those that are loaded."""
import sys

import grpc
import pytest

import messages as m
from backends import compile_text
from daemon import wait_for
from python_models import put

# A backend whose load does what the parameter `how` says.
ODD = r"""
#include <modeld/backend.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static enum modeld_code load(const struct modeld_model_spec *spec, void **ret, struct modeld_model_info *info,
	struct modeld_error *e)
{
	const char *how = spec->parameter(spec, "how");
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "exit"))
		_exit(3);
	for (;;)
		pause();
}
static enum modeld_code run(void *instance, const struct modeld_batch *batch, struct modeld_error *e)
{
	return MODELD_INTERNAL;
}
static void unload(void *model)
{
}
static const struct modeld_backend odd = {
	.size = sizeof(odd), .abi = MODELD_BACKEND_ABI, .name = "odd", .load = load, .run = run, .unload = unload};
const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	return &odd;
}
"""


def repository(path, **models):
    """A repository of builtin models: name -> (function, lines of [parameters])."""
    for name, (function, *lines) in models.items():
        (path / name / "1").mkdir(parents=True)
        (path / name / "model.conf").write_text(
            f"[model]\nbackend = builtin\n[parameters]\nfunction = {function}\n" + "".join(f"{x}\n" for x in lines))
    return str(path)


def test_only_what_is_not_ready_is_warned_of_and_with_a_reason(start, tmp_path):
    models = {f"a{i}": ("identity", "load_ms = 30") for i in range(4)}
    models |= {"b": ("nothing",), "c": ("identity", "load_ms = 30"), "d": ("nothing",), "e": ("identity",)}
    d = start(models=["e", *sorted(set(models) - {"e"})], repository=repository(tmp_path, **models), workers="cpu:0")
    warnings = [line for line in d.log().splitlines() if "model not ready" in line]
    assert sorted(x.split("model=")[1].split()[0] for x in warnings) == ["b", "d"]
    assert all("no function" in x for x in warnings)
    d.kill_a_worker()
    wait_for("the next worker", lambda: d.status().workers[0].restarts == 1 and
             sum(x.state == "ready" for x in d.status().models) == 6)
    assert "detail=\"\"" not in d.log()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """The folder with that backend."""
    return str(compile_text(tmp_path_factory.mktemp("odd"), "odd", ODD))


def model(d, name):
    return next(x for x in d.status().models if x.name == name)


def answers(d, name):
    return d.infer(name, b"x").tensor_data.data == b"x"


def test_a_model_serves_while_others_are_loaded_again(start, tmp_path):
    d = start(models=["quick", "a-slow"], workers="cpu:0", repository=repository(
        tmp_path, **{"a-slow": ("identity", "load_ms = 2000"), "quick": ("identity",)}))
    wait_for("both", lambda: model(d, "a-slow").state == "ready")
    assert answers(d, "quick")
    d.kill_a_worker()
    assert answers(d, "quick")
    assert d.status().workers[0].state == "loading" and model(d, "a-slow").state == "unavailable"
    assert d.check_health("quick") == m.SERVING and d.check_health("a-slow") == m.NOT_SERVING
    assert answers(d, "a-slow"), "it is waited for"


def test_a_worker_that_loads_is_spared(start, tmp_path):
    """Two workers, of which one has just started: what the other can run it does, and one loads at a time."""
    d = start(models=["quick", "slow"], workers="cpu:0 x2", repository=repository(
        tmp_path, slow=("identity", "load_ms = 1000"), quick=("identity",)))
    wait_for("both", lambda: model(d, "slow").workers_ready == 2)
    d.kill_a_worker()
    wait_for("the new one to load", lambda: model(d, "quick").workers_ready == 2 and model(d, "slow").workers_ready == 1)
    before = {w.name: w.batches_done for w in d.status().workers}
    for _ in range(50):
        assert answers(d, "quick")
    done = {w.name: (w.batches_done - before[w.name], w.state) for w in d.status().workers}
    assert sorted(done.values()) == [(0, "loading"), (50, "ready")]


def repository_with_bad(path, how, **models):
    """The same with a model `bad`, of the backend `odd`."""
    repository(path, **models)
    (path / "bad" / "1").mkdir(parents=True)
    (path / "bad" / "model.conf").write_text(f"[model]\nbackend = odd\n[parameters]\nhow = {how}\n")
    return str(path)


@pytest.mark.parametrize("how", ["abort", "exit", "hang"])
def test_a_model_that_ends_or_hangs_in_loading_costs_others_one_restart(start, tmp_path, odd, how):
    """It is loaded once beside others, then in trials."""
    path = repository_with_bad(tmp_path, how, alpha=("identity",), zeta=("identity",))
    d = start(f"worker.backend_dirs={odd}", "worker.load_timeout_ms=500", "worker.breaker_cooldown_ms=200",
              "models.isolation=device", models=["alpha", "bad", "zeta"], repository=path, workers="cpu:0")
    wait_for("the others", lambda: model(d, "zeta").state == "ready")
    tries = "model is tried in a process of its own"
    wait_for("three tries", lambda: answers(d, "alpha") and answers(d, "zeta") and d.log().count(tries) >= 3)
    assert d.status().workers[0].restarts == 1
    assert d.check_health("bad") == m.NOT_SERVING and model(d, "bad").detail
    d.stop()


def test_the_log_says_where_a_load_in_python_hangs(start, tmp_path):
    put(tmp_path, "stuck", "import threading\n\nthreading.Event().wait()\n", "[model]\nbackend = python\n")
    d = start(f"backend.python.interpreter={sys.executable}", "worker.load_timeout_ms=1000", "worker.breaker_cooldown_ms=1",
              "worker.backoff_max_ms=1", models=["stuck"], repository=str(tmp_path), workers="cpu:0")
    wait_for("where", lambda: 'model.py", line 3 in <module>' in d.log())
    wait_for("why", lambda: "loading model 'stuck' took longer than load_timeout_ms = 1000" in model(d, "stuck").detail)


@pytest.mark.parametrize("how, why", [
    ("abort", "signal 6 (Aborted)"), ("exit", "exit status 3"),
    ("hang", "loading model 'bad' took longer than load_timeout_ms = 500")])
def test_who_asks_for_a_model_that_was_taken_away_hears_why(start, tmp_path, odd, how, why):
    d = start(f"worker.backend_dirs={odd}", "worker.load_timeout_ms=500", "worker.breaker_cooldown_ms=600000",
              models=["alpha", "bad"], repository=repository_with_bad(tmp_path, how, alpha=("identity",)), workers="cpu:0")
    wait_for("its end", lambda: "circuit breaker open on cpu:0: " in model(d, "bad").detail)
    said = f", the last one: {why}; next try in "
    with pytest.raises(grpc.RpcError) as e:
        answers(d, "bad")
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE and said in e.value.details()
    assert said in model(d, "bad").detail and said in " ".join(d.modelctl("status").stdout.split())
    events = d.modelctl("events").stdout
    assert any("model is taken off a device" in x and said in x for x in events.splitlines())
    assert any("which is tried alone now" in x and f'why="{why}"' in x for x in events.splitlines())
    assert answers(d, "alpha")
