"""Clients that call while something else goes on, and say afterwards whether they were disturbed."""
import os
import signal
import struct
import threading
import time
from contextlib import contextmanager

import grpc

import messages as m
from daemon import infer_request, wait_for


class Callers:
    """`n` threads, each calling identity again and again until stop(); options: of their channels."""

    def __init__(self, daemon, n, timeout=60, pause=0, **options):
        self.failures, self.done, self.stopping = [], 0, threading.Event()
        self.slowest, self.pause = 0, pause
        self.lock = threading.Lock()
        channels = [daemon.channel(**options) for _ in range(min(n, 5))]
        self.threads = [threading.Thread(target=self.run, args=(channels[i % len(channels)], i, timeout))
                        for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, channel, number, timeout):
        call = channel.unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                   response_deserializer=m.worker.InferResponse.FromString)
        i = 0
        while not self.stopping.is_set():
            data = struct.pack("<II", number, i)
            i += 1
            try:
                began = time.monotonic()
                reply = call(infer_request("identity", data), timeout=timeout)
                assert reply.tensor_data.data == data
                with self.lock:
                    self.done += 1
                    self.slowest = max(self.slowest, time.monotonic() - began)
            except (grpc.RpcError, AssertionError) as e:
                with self.lock:
                    self.failures.append(repr(e))
            self.stopping.wait(self.pause)

    def wait_done(self, more):
        target = self.done + more
        wait_for(f"{more} more calls", lambda: self.done >= target or self.failures)

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join()
        return self.done, self.failures


@contextmanager
def undisturbed(daemon, slowest_s=10):
    """Another client calls all the while: no call of his fails or takes long, also after."""
    callers = Callers(daemon, 2, pause=0.01)
    callers.wait_done(5)
    try:
        yield
        callers.wait_done(5)
    finally:
        _, failures = callers.stop()
    assert failures == []
    assert callers.slowest < slowest_s, daemon.log()[-20000:]


# --- calls under way ------------------------------------------------------------------------------


def begin(d, request, channel=None, timeout=60):
    """A call under way: a future."""
    return (channel or d.shared_channel()).unary_unary(
        m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
        response_deserializer=m.worker.InferResponse.FromString).future(request, timeout=timeout)


def sleep_request(ms):
    return infer_request("sleep", struct.pack("<i", ms), [1], "i32")


def running(d, n=1):
    wait_for(f"{n} batches in flight", lambda: sum(w.batches_in_flight for w in d.status().workers) >= n)


def queued(d, model, n):
    wait_for(f"{n} requests in the queue of {model}",
             lambda: {s.name: s for s in d.status().models}[model].queue_depth == n)


def refusal(call):
    error = call.exception(60) if hasattr(call, "exception") else None
    assert error is not None, "the call succeeded"
    return error.code().name, error.details()


def holds_nothing(d):
    wait_for("no call, no tensor, no batch", lambda: (lambda s: s.calls == 1 and s.arena_used_bytes == 0 and all(
        not w.batches_in_flight for w in s.workers) and all(not x.queue_depth for x in s.models))(d.status()))


# A stopped process is not to be noticed.
PATIENT = ("worker.slots=1", "worker.heartbeat_timeout_ms=600000")


def stop(pid):
    """Each of its threads stands still, which takes a moment after the signal."""
    os.kill(pid, signal.SIGSTOP)
    wait_for("a stopped process", lambda: all(
        open(f"/proc/{pid}/task/{t}/stat", encoding="ascii", errors="replace").read().rsplit(")", 1)[1].split()[0] == "T"
        for t in os.listdir(f"/proc/{pid}/task")))


@contextmanager
def stopped(d):
    """Its only worker does nothing meanwhile."""
    worker = d.workers()[0]
    stop(worker)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


class Held:
    """A call that runs until let_go(): its worker, the only one of a daemon started PATIENT, is stopped meanwhile."""

    def __init__(self, d, channel=None, timeout=60):
        self.worker = d.workers()[0]
        stop(self.worker)
        self.call = begin(d, sleep_request(0), channel, timeout)
        running(d)

    def let_go(self):
        os.kill(self.worker, signal.SIGCONT)

    def done(self):
        return self.call.done()

    def cancel(self):
        self.call.cancel()

    def result(self, timeout):
        self.let_go()
        return self.call.result(timeout)


def busy(start, *sets, **options):
    """A daemon whose one worker runs a call that is held."""
    d = start(*PATIENT, *sets, **dict({"models": ["sleep", "identity"]}, **options))
    return d, Held(d)
