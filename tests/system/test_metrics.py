"""What can be seen of the daemon over HTTP."""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import urllib.error
import urllib.request

import grpc
import pytest

import messages as m
from daemon import PATIENCE_S, ROOT, infer_request, wait_for

LISTEN = "metrics.listen=127.0.0.1:0"


def address(daemon):
    return wait_for("the listener", lambda: re.search(r" metrics address=(\S+)", daemon.log())).group(1)


def get(daemon, path):
    """(status, text)"""
    try:
        with urllib.request.urlopen(f"http://{address(daemon)}{path}", timeout=PATIENCE_S) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def take_a_port():
    """A listening socket on a port that nobody is given who asks for any."""
    generator = random.Random(os.getpid())
    while True:
        try:
            return socket.create_server(("127.0.0.1", generator.randrange(20000, 32000)))
        except OSError:
            pass


# --- Probes ------------------------------------------------------------------------------------------

def test_probes(start):
    d = start(LISTEN, models=["identity"])
    assert get(d, "/v2/health/live") == (200, "ok\n")
    assert get(d, "/v2/health/ready") == (200, "ok\n")
    assert get(d, "/v2/models/identity/ready") == (200, "ok\n")
    assert get(d, "/v2/models/identity/versions/1/ready") == (200, "ok\n")
    assert get(d, "/v2/models/identity/versions/9/ready")[0] == 404
    assert get(d, "/v2/models/none/ready")[0] == 404
    assert get(d, "/none")[0] == 404


def test_a_daemon_that_drains_is_live_and_not_ready(start):
    d = start(LISTEN, "server.drain_timeout_s=600", models=["sleep"])
    call = d.channel().unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                   response_deserializer=m.worker.InferResponse.FromString)
    running = call.future(infer_request("sleep", struct.pack("<i", 600000), [1], "i32"), timeout=600)
    wait_for("the call to run", lambda: any(w.batches_in_flight for w in d.status().workers))
    d.terminate()
    d.wait_notification("STOPPING=1")
    assert get(d, "/v2/health/live")[0] == 200
    assert get(d, "/v2/health/ready")[0] == 503
    assert get(d, "/v2/models/sleep/ready")[0] == 503
    d.terminate()
    d.wait_end(70)
    assert running.exception()


# --- The listener --------------------------------------------------------------------------------------

def test_without_an_address_nothing_listens(start):
    d = start(models=["identity"])
    assert " metrics " not in d.log()


def test_a_port_in_use_is_said_and_had_when_it_is_free(start):
    taken = take_a_port()
    name = "127.0.0.1:%d" % taken.getsockname()[1]
    d = start(f"metrics.listen={name}", models=["identity"])
    assert re.search(rf"metrics are not served: another process listens there address={name} "
                     r'key="\[metrics\] listen"', d.log())
    assert d.infer("identity", b"abc").tensor_data.data == b"abc"
    taken.close()
    assert address(d) == name
    assert get(d, "/v2/health/ready")[0] == 200


@pytest.mark.parametrize("listen, says", [("nonsense", "nonsense"), ("unix:/tmp/x", "TCP")])
def test_an_address_that_cannot_be_is_refused(start, listen, says):
    d = start(f"metrics.listen={listen}", models=["identity"], ready=False)
    d.wait_end(78)
    assert says in d.log()


# --- Metrics -------------------------------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SERIES = re.compile(rf"({NAME})(?:\{{((?:[a-z_]+=\"(?:[^\"\\\n]|\\[\\\"n])*\",?)*)\}})? (-?[0-9.]+|\+Inf)$")
LABEL = re.compile(r"([a-z_]+)=\"((?:[^\"\\\n]|\\[\\\"n])*)\"")


class Page:
    """A page of metrics, read strictly: every line is known, every family stands together under its HELP and TYPE, no
    series is there twice, histograms are cumulative."""

    def __init__(self, text):
        assert text.endswith("\n")
        self.types, self.series, family, seen = {}, {}, None, set()
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                assert family not in seen and line.split(" ", 3)[3], line
                seen.add(family)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name == family and kind in ("counter", "gauge", "histogram"), line
                self.types[name] = kind
            else:
                name, labels, value = SERIES.match(line).groups()
                base = re.sub("_(bucket|sum|count)$", "", name) if self.types.get(family) == "histogram" else name
                assert base == family and family in self.types, line
                key = (name, tuple(sorted(LABEL.findall(labels or ""))))
                assert key not in self.series, line
                self.series[key] = float(value)
        self.check_histograms()

    def check_histograms(self):
        for (name, labels), count in self.series.items():
            if not name.endswith("_count") or self.types.get(name[:-6]) != "histogram":
                continue
            rest = set(labels)
            buckets = sorted((float(dict(l)["le"]), v) for (n, l), v in self.series.items()
                             if n == name[:-6] + "_bucket" and set(l) - {("le", dict(l)["le"])} == rest)
            counts = [v for _, v in buckets]
            assert counts == sorted(counts) and buckets[-1] == (float("inf"), count), name

    def value(self, name, **labels):
        return self.series[name, tuple(sorted((k, str(v)) for k, v in labels.items()))]


def page(daemon):
    status, text = get(daemon, "/metrics")
    assert status == 200
    return Page(text)


def test_a_page_is_well_formed_and_documented(start):
    d = start(LISTEN, models=["identity", "sleep"])
    d.infer("identity", b"abc")
    p = page(d)
    documented = set(re.findall(r"^\| `((?:modeld|nv|process)_[a-z_]+)` \|", open(os.path.join(ROOT, "docs", "metrics.md")).read(), re.M))
    assert set(p.types) <= documented
    assert all(n.startswith(("nv_gpu_", "modeld_gpu_")) or n == "nv_energy_consumption"
               for n in documented - set(p.types))


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here (Debian: prometheus)")
def test_promtool_finds_nothing_wrong(start):
    """But for Triton's names, which are as Triton has them."""
    d = start(LISTEN, models=["identity"])
    text = get(d, "/metrics")[1]
    said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    wrong = [line for line in (said.stdout + said.stderr).splitlines() if not line.startswith("nv_")]
    assert not wrong, wrong


def test_requests_are_counted_by_stage(start):
    d = start(LISTEN, models=["identity", "sleep"])
    for _ in range(3):
        d.infer("identity", b"abc")
    with pytest.raises(grpc.RpcError):
        d.infer("identity", b"abc", dtype="f32", shape=[7])
    # The last reply may be on its way when the next call has its answer.
    p = wait_for("all replies", lambda: (lambda p: p if p.value(
        "modeld_stage_duration_seconds_count", model="identity", version=1, stage="reply") == 3 else None)(page(d)))
    for stage in ("receive", "queue", "send", "compute", "reply"):
        of = dict(model="identity", version=1, stage=stage)
        assert p.value("modeld_stage_duration_seconds_count", **of) == 3
    total = p.value("modeld_request_duration_seconds_sum", model="identity", version=1)
    parts = sum(p.value("modeld_stage_duration_seconds_sum", model="identity", version=1, stage=s)
                for s in ("receive", "queue", "send", "compute"))
    assert abs(total - parts) < 1e-6 and total > 0
    assert p.value("modeld_requests_total", model="identity", version=1, result="ok") == 3
    assert p.value("modeld_batch_size_count", model="identity", version=1) == 3
    assert p.value("nv_inference_request_success", model="identity", version=1) == 3
    assert p.value("nv_inference_request_success", model="sleep", version=1) == 0
    refused = d.status().models
    assert sum(m.requests_failed for m in refused) == sum(
        p.value("nv_inference_request_failure", model=m.name, version=1, reason=r)
        for m in refused for r in ("REJECTED", "CANCELED", "BACKEND", "OTHER"))
    assert p.value("modeld_worker_up", worker="cpu:0/0", device="cpu:0") == 1
    assert p.value("modeld_worker_batches_total", worker="cpu:0/0", device="cpu:0") == 3
    assert p.value("modeld_ready") == 1
    assert p.value("modeld_loop_turn_seconds_count") > 0
    assert p.value("modeld_loop_spins_total", result="paid") + p.value("modeld_loop_spins_total", result="not_paid") >= 0


def test_ends_of_workers_have_their_cause(start):
    d = start(LISTEN, models=["identity"])
    d.kill_a_worker()
    of = dict(worker="cpu:0/0", device="cpu:0")
    wait_for("its end", lambda: page(d).value("modeld_worker_ends_total", cause="crashed", **of) >= 1)
    wait_for("the next one", lambda: page(d).value("modeld_worker_restarts_total", **of) >= 1)
    assert page(d).value("modeld_worker_ends_total", cause="clean", **of) == 0


def test_a_page_while_a_worker_hangs(start):
    """Whoever looks waits for no worker."""
    d = start(LISTEN, models=["identity"])
    pid = d.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert page(d).value("modeld_model_ready", model="identity", version=1) in (0, 1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


# --- What is made of them ------------------------------------------------------------------------------

def named(text):
    return set(re.findall(r"\b(?:modeld|nv|process)_[a-z_]+", text))


def all_names(p):
    """Of series, with those of GPUs, which are served where there are some."""
    names = {n for n, _ in p.series}
    return names | {"nv_gpu_utilization", "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes", "nv_gpu_power_usage"}


def test_dashboard_and_alarms_name_metrics_that_there_are(start):
    d = start(LISTEN, models=["identity"])
    served = all_names(page(d))
    dashboard = json.load(open(os.path.join(ROOT, "conf", "grafana", "modeld.json")))
    queries = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
    queries += [v["definition"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    assert len(queries) > 20
    for query in queries:
        assert named(query) and named(query) <= served, query
    rules = open(os.path.join(ROOT, "conf", "prometheus", "modeld.rules.yml")).read()
    expressions = "\n".join(re.findall(r"expr: (.*(?:\n {10,}.*)*)", rules))
    assert len(named(expressions)) > 8 and named(expressions) <= served, named(expressions) - served


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here (Debian: prometheus)")
def test_promtool_takes_configuration_and_alarms():
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "modeld.rules.test.yml"]):
        said = subprocess.run(["promtool", *command], cwd=os.path.join(ROOT, "conf", "prometheus"), capture_output=True,
                              text=True)
        assert said.returncode == 0, said.stdout + said.stderr


# --- The status page -----------------------------------------------------------------------------------

def test_the_page_needs_nothing_but_metrics_that_there_are(start):
    d = start(LISTEN, models=["identity"])
    status, text = get(d, "/")
    assert status == 200 and text.startswith("<!DOCTYPE html>")
    assert set(re.findall(r"https?://[^\"' ]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"(?!data:)", text)
    assert re.findall(r"fetch\(([^)]*)\)", text) == ['"metrics"']
    p = page(d)
    # Of histograms the name alone; limits of workers have series where there are some.
    assert len(named(text)) > 15 and named(text) <= all_names(p) | set(p.types)
