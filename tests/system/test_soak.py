"""Models that come, go, change and make room for one another at random, while clients ask and workers are killed: each answer is
right, and in the end everything is back. `make soak` does it a thousand times, with 50 callers where models are reloaded."""
import collections
import os
import random
import re
import sys
import threading
import time

import grpc
import numpy as np
import pytest

import messages as m
import onnx_models as om
from callers import Callers
from daemon import PATIENCE_S, ROOT, SANITIZED, status_field, wait_for
from repository import Repository
from test_models import explicit
from test_reload import works

sys.path.insert(0, os.path.join(ROOT, "clients", "python"))
import modeld  # noqa: E402

STEPS = int(os.environ.get("MODELD_TEST_SOAK", 40))
N_MODELS, MAX_MODELS, N_HANDS, N_CALLERS = 6, 3, 4, 4
WIDTH = 1024
ROOM_KIB = 8 << 10
CODE = grpc.StatusCode


class Models:
    """Of model i: y = x * (i + 1) + its generation, which grows when it is written anew."""

    def __init__(self):
        self.drafts, self.made = om.Repository(), om.Repository()
        self.directory = self.made.path
        self.locks = [threading.Lock() for _ in range(N_MODELS)]
        self.written = [0] * N_MODELS
        self.applied = [0] * N_MODELS  # all that serve are of this generation or a later one
        for i in range(N_MODELS):
            self.write(i)

    def write(self, i):
        shape = [WIDTH]
        new, name = self.written[i] + 1, f"m{i}"
        nodes = [om.node("Mul", ["x", "k"], ["t"]), om.node("Add", ["t", "c"], ["y"])]
        values = [om.constant("k", np.full(WIDTH, i + 1), np.float32), om.constant("c", np.full(WIDTH, new), np.float32)]
        draft = self.drafts.add(name, nodes, [om.tensor("x", om.F32, shape)], [om.tensor("y", om.F32, shape)], values)
        self.written[i] = new
        os.makedirs(os.path.join(self.directory, name, "1"), exist_ok=True)
        os.replace(draft, self.made.file(name))

    def close(self):
        self.drafts.close()
        self.made.close()

    def check(self, i, x, y, first):
        """first: the generation that was applied when the call began."""
        generation = y - x * (i + 1)
        assert generation.shape == (WIDTH,) and np.all(generation == generation[0]), "an answer of several versions"
        assert first <= generation[0] <= self.written[i], (i, first, generation[0], self.written[i])


class Asking:
    """Callers over gRPC and of this host, each asking models at random until stop()."""

    def __init__(self, d, models):
        self.d, self.models = d, models
        self.stopping, self.wrong = threading.Event(), []
        self.codes, self.reasons = collections.Counter(), set()
        self.threads = [threading.Thread(target=self.run, args=(seed, seed % 2 == 0)) for seed in range(N_CALLERS)]
        for t in self.threads:
            t.start()

    def run(self, seed, local):
        rng = random.Random(seed)
        try:
            with modeld.connect(self.d.unix if local else self.d.tcp) as client:
                assert client.uses_shared_memory == local
                while not self.stopping.is_set():
                    self.ask(client, rng)
        except Exception as e:  # noqa: BLE001: whatever it is, it is said at the end
            self.wrong.append(repr(e))

    def ask(self, client, rng):
        i = rng.randrange(N_MODELS)
        x = np.full(WIDTH, rng.randrange(1000), np.float32)
        first = self.models.applied[i]
        try:
            self.models.check(i, x, np.array(client.infer(f"m{i}", x, timeout=PATIENCE_S)), first)
            self.codes["OK"] += 1
        except modeld.ModeldError as e:
            self.codes[e.code] += 1
            self.reasons.add(re.sub(r"\d+", "N", e.message))
            if e.code not in ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "NOT_FOUND"):
                self.wrong.append(repr(e))

    def wait_ok(self, more):
        target = self.codes["OK"] + more
        wait_for(f"{more} more answers", lambda: self.codes["OK"] >= target or self.wrong)

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join()
        assert not self.wrong, self.wrong[:5]


class Hand:
    """Does things with models, one after another."""

    def __init__(self, d, models, seed):
        self.d, self.models, self.rng = d, models, random.Random(100 + seed)
        self.channel = d.channel()
        self.codes = collections.Counter()
        self.handles = []
        self.steps = [self.load, self.unload, self.reload]
        # Fewer models are held than may be loaded, so that one can always make room.
        if seed < MAX_MODELS - 1:
            self.steps.append(self.refer)

    def call(self, path, request, reply):
        try:
            return self.d.call(path, request, reply, self.channel)
        except grpc.RpcError as e:
            self.codes[e.code().name] += 1
            assert e.code() in (CODE.NOT_FOUND, CODE.RESOURCE_EXHAUSTED, CODE.ABORTED, CODE.UNAVAILABLE), e
            return None

    def control(self, method, i):
        return self.call(m.CONTROL_SERVICE + method, m.control.ModelRequest(name=f"m{i}"), m.control.ModelResponse)

    def load(self, i):
        self.control("LoadModel", i)

    def unload(self, i):
        self.control("UnloadModel", i)

    def reload(self, i):
        with self.models.locks[i]:
            self.models.write(i)
            if self.control("ReloadModel", i):
                self.models.applied[i] = self.models.written[i]

    def refer(self, i):
        got = self.call(m.REGISTRY_SERVICE + "GetOrLoadModel", m.registry.GetOrLoadModelRequest(model_id=f"m{i}"),
                        m.registry.GetOrLoadModelResponse)
        if got:
            self.handles.append(got.handle_id)

    def release(self):
        self.call(m.REGISTRY_SERVICE + "ReleaseModel", m.registry.ReleaseModelRequest(handle_id=self.handles.pop(0)),
                  m.registry.ReleaseModelResponse)

    def work(self, steps):
        for _ in range(steps):
            step = self.rng.choice(self.steps)
            if step == self.refer and self.handles:
                self.release()
            step(self.rng.randrange(N_MODELS))
            self.codes[step.__name__] += 1
        while self.handles:
            self.release()


def at_work(hands, steps, meanwhile=lambda: None):
    threads, wrong = [], []

    def work(hand):
        try:
            hand.work(steps // len(hands))
        except Exception as e:  # noqa: BLE001
            wrong.append(repr(e))

    for hand in hands:
        threads.append(threading.Thread(target=work, args=(hand,)))
        threads[-1].start()
    while any(t.is_alive() for t in threads):
        meanwhile()
    for t in threads:
        t.join()
    assert not wrong, wrong[:5]


def unload_all(d):
    for i in range(N_MODELS):
        try:
            d.call(m.CONTROL_SERVICE + "UnloadModel", m.control.ModelRequest(name=f"m{i}"), m.control.ModelResponse)
        except grpc.RpcError as e:
            assert e.code() == CODE.NOT_FOUND, e
    wait_for("nothing", lambda: not d.status().models)


def figures(d):
    """What there is when all models are gone and nobody asks."""
    wait_for("the end of all calls", lambda: (lambda s: s.calls == 1 and s.arena_used_bytes == 0 and all(
        w.state == "ready" and not w.batches_in_flight for w in s.workers))(d.status()))
    workers = d.workers()
    return {"descriptors": d.n_descriptors(), "heap_kib": d.heap_kib(),
            "workers_kib": sum(status_field(w, "RssAnon") for w in workers),
            "worker_descriptors": sum(len(os.listdir(f"/proc/{w}/fd")) for w in workers)}


def test_a_soak_of_loads_unloads_reloads_and_evictions(start):
    models = Models()
    kills = [0]
    d = start("models.serve=*", "models.default=", "models.control=explicit", "models.load_on_request=yes",
              f"models.max_models={MAX_MODELS}", "models.ttl_s=0", "dispatch.retry_wait_ms=30000", "worker.backoff_max_ms=1",
              "worker.breaker_crashes=10000", "models.isolation=device", "memory.segment_idle_ms=100",
              repository=models.directory, workers="cpu:0 x2")
    hands = [Hand(d, models, seed) for seed in range(N_HANDS)]
    ready = lambda: sum(w.state == "ready" for w in d.status().workers)  # noqa: E731

    def kill():
        target = asking.codes["OK"] + 30
        if ready() < 2:
            return
        d.kill_a_worker()
        kills[0] += 1
        wait_for("both workers and some answers", lambda: (ready() == 2 and asking.codes["OK"] >= target) or asking.wrong)

    def soak(steps, meanwhile):
        nonlocal asking
        asking = Asking(d, models)
        at_work(hands, steps, meanwhile)
        asking.wait_ok(20)
        asking.stop()
        unload_all(d)

    asking = None
    try:
        # Once before, so that each worker has ONNX Runtime and each thread its stack.
        soak(16, lambda: asking.wait_ok(1))
        before = figures(d)
        soak(STEPS, kill)
        done = sum((hand.codes for hand in hands), collections.Counter())
        wait_for("descriptors", lambda: d.n_descriptors() <= before["descriptors"])
        after = figures(d)
        print(f"{dict(done)}, {kills[0]} kills; answers {dict(asking.codes)} {asking.reasons}; before {before}, after {after}")
        assert after["worker_descriptors"] <= before["worker_descriptors"]
        if not SANITIZED:
            assert after["heap_kib"] <= before["heap_kib"] + ROOM_KIB
            assert after["workers_kib"] <= before["workers_kib"] + ROOM_KIB
        registry = d.call(m.REGISTRY_SERVICE + "ListModels", m.registry.ListModelsRequest(), m.registry.ListModelsResponse)
        assert not registry.models, "references"
        assert asking.codes["OK"] > sum(asking.codes.values()) / 2
    finally:
        if asking:
            asking.stopping.set()
        models.close()


def test_reloads_under_many_callers(start, tmp_path):
    """No call fails and none gets an answer of neither version."""
    rounds, n = (100, 50) if "MODELD_TEST_SOAK" in os.environ else (10, 50)
    repository = Repository(tmp_path / "models")
    repository.put("identity")
    d = explicit(start, repository, "models.load=identity", workers="cpu:0 x2")
    wait_for("the model", lambda: works(d, "identity"))
    load = Callers(d, n)
    load.wait_done(2 * n)
    for i in range(rounds):
        repository.put("identity", more=f"max_queue_size = {1000 + i}")
        d.call(m.CONTROL_SERVICE + "ReloadModel", m.control.ModelRequest(name="identity"), m.control.ModelResponse)
        load.wait_done(n)
    done, failures = load.stop()
    print(f"{rounds} reloads, {done} calls, {len(failures)} failed, the slowest {load.slowest:.3f} s")
    assert not failures, failures[:5]
    assert d.log().count("model version takes over") == rounds
    wait_for("the old ones' end", lambda: d.log().count("model version is gone") == rounds)


@pytest.mark.memory
def test_what_idle_models_take(start, tmp_path):
    """From start to ready, and of the daemon's and the worker's memory, by model: what docs/operations.md says."""
    n = 5000 if "MODELD_TEST_SOAK" in os.environ else 500
    repository = Repository(tmp_path / "models")
    repository.put("identity")

    def serve():
        began = time.monotonic()
        d = start("models.serve=*", "models.default=", repository=repository.directory)
        wait_for("all models", lambda: all(x.state == "ready" for x in d.status().models))
        took = time.monotonic() - began
        found = d.heap_kib(), status_field(d.workers()[0], "RssAnon"), took, len(d.status().models)
        d.stop()
        return found

    daemon, worker, _, _ = serve()
    for i in range(n):
        repository.put(f"m{i}")
    daemon_all, worker_all, took, served = serve()
    daemon, worker = (daemon_all - daemon) / n, (worker_all - worker) / n
    print(f"{n} models: ready after {took:.1f} s; each takes {daemon:.1f} KiB of the daemon, {worker:.1f} KiB of the worker")
    assert served == n + 1
    assert daemon + worker < 32
