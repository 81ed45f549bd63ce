"""Spans of inferences, on their way to a collector of OTLP/HTTP; trace context on its way to models."""
import ctypes.util
import http.server
import json
import os
import re
import socket
import sys
import threading
import time
import urllib.request

import grpc
import modeld
import numpy as np
import pytest

import messages as m
from daemon import infer_request, wait_for
from python_models import program

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"

pytestmark = pytest.mark.skipif(not ctypes.util.find_library("curl"), reason="needs libcurl.so.4")


class Collector:
    """Takes what is posted to it; answers `status`."""

    def __init__(self, status=200):
        self.bodies, self.paths, self.status = [], [], status
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                outer.paths.append(self.path)
                outer.bodies.append(json.loads(body))
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def spans(self):
        return [s for b in self.bodies for r in b["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector():
    c = Collector()
    yield c
    c.close()


def begin(start, url, *sets, **kw):
    kw.setdefault("models", ["identity"])
    return start(f"trace.otlp_endpoint={url}", "trace.export_interval_ms=20", *sets, **kw)


def attributes(span):
    return {a["key"]: a["value"].get("stringValue", a["value"].get("intValue")) for a in span["attributes"]}


def infer(d, traceparent=None, model="identity", request_id="", data=b"x", states=()):
    metadata = ([("traceparent", traceparent)] if traceparent else []) + [("tracestate", s) for s in states]
    return d.call(m.WORKER_SERVICE + "Infer", infer_request(model, data, request_id=request_id), m.worker.InferResponse,
                  metadata=metadata or None)


def counters(d):
    address = re.search(r" metrics address=(\S+)", d.log()).group(1)
    page = urllib.request.urlopen(f"http://{address}/metrics", timeout=60).read().decode()
    return {r: int(page.split(f'modeld_trace_spans_total{{result="{r}"}} ')[1].split()[0])
            for r in ("sent", "dropped", "failed")}


def test_a_span_of_a_call_has_its_parent_and_its_stages(start, collector):
    d = begin(start, collector.url)
    before = time.time_ns()
    infer(d, SAMPLED, request_id='mine "é"')
    wait_for("a span", collector.spans)
    after = time.time_ns()
    (span,) = collector.spans()
    assert (span["traceId"], span["parentSpanId"]) == (TRACE, PARENT)
    assert len(span["spanId"]) == 16 and span["spanId"] not in (PARENT, "0" * 16)
    assert span["kind"] == 2 and "status" not in span
    said = attributes(span)
    assert said["modeld.model"] == "identity" and said["modeld.version"] == "1" and said["modeld.worker"] == "cpu:0/0"
    assert said["modeld.request_id"] == 'mine "é"' and said["rpc.grpc.status_code"] == "0"
    assert said["modeld.batch_requests"] == "1" and said["client.address"].startswith("127.0.0.1:")
    assert [e["name"] for e in span["events"]] == ["received", "queued", "sent", "computed", "replied"]
    times = [int(span["startTimeUnixNano"])] + [int(e["timeUnixNano"]) for e in span["events"]]
    times.append(int(span["endTimeUnixNano"]))
    assert times == sorted(times) and before - 10**9 < times[0] and times[-1] < after + 10**9
    assert collector.paths[0] == "/v1/traces"
    resource = {a["key"]: a["value"] for a in collector.bodies[0]["resourceSpans"][0]["resource"]["attributes"]}
    assert resource["service.name"] == {"stringValue": "modeld"} and resource["process.pid"] == {"intValue": str(d.pid)}


def test_who_is_traced(start, collector):
    """Callers decide where they say it, else the ratio does."""
    d = begin(start, collector.url, "trace.sample_ratio=0")
    infer(d)
    infer(d, UNSAMPLED)
    infer(d, "no traceparent")
    infer(d, SAMPLED)
    d.stop()
    assert [s["traceId"] for s in collector.spans()] == [TRACE]


def test_calls_without_a_trace_begin_one(start, collector):
    d = begin(start, collector.url)
    for _ in range(20):
        infer(d)
    infer(d, UNSAMPLED)
    d.stop()
    spans = collector.spans()
    assert len(spans) == 20 and not any("parentSpanId" in s for s in spans)
    assert len({s["traceId"] for s in spans}) == len({s["spanId"] for s in spans}) == 20


def test_a_call_that_fails(start, collector):
    d = begin(start, collector.url)
    with pytest.raises(grpc.RpcError):
        infer(d, SAMPLED, model="nosuch")
    d.stop()
    (span,) = collector.spans()
    assert attributes(span)["rpc.grpc.status_code"] == str(grpc.StatusCode.NOT_FOUND.value[0])
    assert [e["name"] for e in span["events"]] == ["received"] and "status" not in span


def test_a_collector_that_refuses_costs_spans_alone(start):
    collector = Collector(status=503)
    d = begin(start, collector.url, "metrics.listen=127.0.0.1:0")
    infer(d)
    wait_for("a failure", lambda: counters(d)["failed"] == 1)
    assert infer(d).tensor_data.data == b"x"
    wait_for("a line", lambda: "traces cannot be sent" in d.log())
    collector.status = 200
    infer(d)
    wait_for("it is well again", lambda: "traces are sent again" in d.log())
    d.stop()
    collector.close()


def test_a_collector_that_hangs_costs_spans_alone(start):
    """It takes the connection and says nothing: the queue is full, more are dropped, nobody waits, the end neither."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        d = begin(start, f"http://127.0.0.1:{silent.getsockname()[1]}/", "trace.max_queued_spans=8",
                  "trace.export_timeout_ms=600000", "metrics.listen=127.0.0.1:0")
        for _ in range(40):
            infer(d)
        wait_for("some are dropped", lambda: counters(d)["dropped"] >= 16)
        assert infer(d).tensor_data.data == b"x" and counters(d)["sent"] == 0
        d.stop()


def test_no_collector(start):
    with socket.socket() as taken:  # and does not listen
        taken.bind(("127.0.0.1", 0))
        d = begin(start, f"http://127.0.0.1:{taken.getsockname()[1]}/v1/traces")
        infer(d)
        wait_for("a line", lambda: "traces cannot be sent" in d.log())
        assert infer(d).tensor_data.data == b"x"
        d.stop()
    assert d.log().count("traces cannot be sent") == 1


def test_the_log_at_debug_names_requests(start):
    """Whether they are traced or not."""
    d = start(models=["identity"])
    infer(d, request_id="a b")
    wait_for("a line", lambda: "inference ended" in d.log())
    (line,) = [text for text in d.log().splitlines() if "inference ended" in text]
    assert ' model="identity" version=1 request_id="a b" client=127.0.0.1:' in line
    assert " worker=cpu:0/0 status=OK " in line
    d.stop()


def test_models_see_the_trace(start, tmp_path, collector):
    """Our own span as the parent where the call is traced, else what the caller sent."""
    (tmp_path / "traced" / "1").mkdir(parents=True)
    (tmp_path / "traced" / "1" / "model.py").write_text("""
import numpy as np


def infer(x, context):
    return np.frombuffer((context.traceparent + " " + context.tracestate).encode(), np.uint8)
""")
    d = begin(start, collector.url, f"worker.program={program(tmp_path)}", models=["traced"], repository=str(tmp_path))
    text = bytes(infer(d, SAMPLED, "traced", states=["a=1", "b=2 ,c=3"]).tensor_data.data).decode()
    assert infer(d, UNSAMPLED, "traced", states=["d=4"]).tensor_data.data == (UNSAMPLED + " d=4").encode()
    assert infer(d, UNSAMPLED, "traced", states=["d=4", "none"]).tensor_data.data == (UNSAMPLED + " ").encode()
    d.stop()
    (span,) = collector.spans()
    assert span["traceState"] == "a=1,b=2,c=3"
    assert text == f"00-{TRACE}-{span['spanId']}-01 a=1,b=2,c=3"


def test_local_clients_are_traced(start, collector):
    d = begin(start, collector.url, "trace.sample_ratio=0")
    image = np.arange(100_000, dtype=np.float32)
    with modeld.connect(d.unix, timeout=60) as client:
        assert client.uses_shared_memory
        client.infer("identity", image)
        assert np.array_equal(client.infer("identity", image, trace={"traceparent": SAMPLED, "tracestate": "a=1"}), image)
        with pytest.raises(modeld.ModeldError):
            client.infer("nosuch", image, trace={"traceparent": SAMPLED})
        assert client.infer("identity", image[:2], trace={"traceparent": SAMPLED}).size == 2  # by gRPC
    d.stop()
    whole, unknown, small = collector.spans()
    assert [s["parentSpanId"] for s in (whole, unknown, small)] == [PARENT] * 3
    assert whole["traceState"] == "a=1" and "traceState" not in unknown
    assert [attributes(s)["rpc.system"] for s in (whole, unknown, small)] == ["modeld.handoff"] * 2 + ["grpc"]
    assert [e["name"] for e in whole["events"]] == ["received", "queued", "sent", "computed", "replied"]
    said = attributes(whole)
    assert said["modeld.model"] == "identity" and said["client.address"].startswith(f"uid:{os.getuid()},pid:{os.getpid()}")
    assert attributes(unknown)["rpc.grpc.status_code"] == str(grpc.StatusCode.NOT_FOUND.value[0])


def test_a_model_that_asks_another_goes_on_with_the_trace(start, tmp_path, collector):
    """Without a word of its own: the span of what it asks is the child of that of what it was asked."""
    (tmp_path / "asks" / "1").mkdir(parents=True)
    (tmp_path / "asks" / "1" / "model.py").write_text("""
def infer(x, context):
    return context.model("told").infer(x)
""")
    (tmp_path / "told" / "1").mkdir(parents=True)
    (tmp_path / "told" / "1" / "model.py").write_text("""
import numpy as np


def infer(x, context):
    return np.frombuffer((context.traceparent + " " + context.tracestate).encode(), np.uint8)
""")
    d = begin(start, collector.url, f"backend.python.interpreter={sys.executable}", "trace.sample_ratio=0", models=["asks", "told"],
              repository=str(tmp_path))
    text = bytes(infer(d, SAMPLED, "asks", states=["a=1"]).tensor_data.data).decode()
    assert infer(d, UNSAMPLED, "asks", states=["a=1"]).tensor_data.data == (UNSAMPLED + " a=1").encode()
    d.stop()
    spans = {attributes(s)["modeld.model"]: s for s in collector.spans()}
    assert sorted(spans) == ["asks", "told"] and {s["traceId"] for s in spans.values()} == {TRACE}
    assert spans["asks"]["parentSpanId"] == PARENT and spans["told"]["parentSpanId"] == spans["asks"]["spanId"]
    assert spans["told"]["traceState"] == "a=1"
    assert text == f"00-{TRACE}-{spans['told']['spanId']}-01 a=1"
