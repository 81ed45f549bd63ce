"""make bench-scale: whether costs grow faster than the work. Each curve is what one unit costs the daemon, in CPU time
(the scheduler's count, no wall time: a busy machine makes no difference to speak of) and in wake-ups, while something
beside it grows; the verdict compares each step with the cheapest one before it.

    scale.py [--build DIR] [CURVE...]
"""
import argparse
import os
import shutil
import socket
import statistics
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default=os.path.join(ROOT, "build"))
parser.add_argument("curves", nargs="*", help="some of those below, by their names")
options = parser.parse_args()
os.environ["MODELD_TEST_BUILD"] = os.path.abspath(options.build)

import http2 as h  # noqa: E402
import messages as m  # noqa: E402
from bursts import Bursts  # noqa: E402
from daemon import Daemon, infer_request, wait_for  # noqa: E402
from raw_handoff import Raw  # noqa: E402

REQUESTS, BURST = 4096, 64
# A curve is flat when no step costs more than this much of one before it.
FLAT = 1.5


class Spent:
    """CPU time and wake-ups of a process since it was made; `loop`: of its first thread alone."""

    def __init__(self, pid, loop=False):
        self.pid, self.loop = pid, loop
        self.before = self.now(pid, loop)

    @staticmethod
    def now(pid, loop=False):
        cpu_ns = wakeups = 0
        for task in [pid] if loop else os.listdir(f"/proc/{pid}/task"):
            at = f"/proc/{pid}/task/{task}/"
            cpu_ns += int(open(at + "schedstat").read().split()[0])
            status = open(at + "status").read()
            wakeups += int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
        return cpu_ns, wakeups

    def each(self, units):
        """(microseconds of CPU, wake-ups) a unit."""
        cpu_ns, wakeups = self.now(self.pid, self.loop)
        return (cpu_ns - self.before[0]) / 1000 / units, (wakeups - self.before[1]) / units


class Repository:
    """`n` models of a builtin function; identity gives its input back."""

    def __init__(self, n, function):
        self.path = tempfile.mkdtemp(prefix="modeld-scale-")
        self.names = [f"m{i}" for i in range(n)]
        for name in self.names:
            os.makedirs(os.path.join(self.path, name, "1"))
            with open(os.path.join(self.path, name, "model.conf"), "w") as f:
                f.write(f"[model]\nbackend = builtin\n[parameters]\nfunction = {function}\n")

    def close(self):
        shutil.rmtree(self.path)


class Server:
    """A daemon that serves `n` models, for a `with`."""

    def __init__(self, n=1, workers=1, *sets, function="identity"):
        self.repository = Repository(n, function)
        self.daemon = Daemon("server.log_level=info", *sets, models=self.repository.names,
                             repository=self.repository.path, workers=f"cpu:0 x{workers}")

    def __enter__(self):
        self.daemon.wait_workers_ready(sum(1 for _ in self.daemon.status().workers))
        return self.daemon

    def __exit__(self, *_):
        self.daemon.close()
        self.repository.close()


def requests(daemon, models, burst=BURST):
    load = Bursts(daemon.port, models)
    load.run(REQUESTS // 4, burst)
    spent = Spent(daemon.pid)
    load.run(REQUESTS, burst)
    result = spent.each(REQUESTS)
    load.close()
    return result


# --- the curves: (steps, what a unit is, cost of a unit at a step) -----------------------------------
def models(n):
    with Server(n) as d:
        return requests(d, [f"m{i}" for i in range(n)])


def workers(n):
    with Server(1, n) as d:
        return requests(d, ["m0"], burst=8)


def watchers(n):
    """Watch streams of 64 models, `n` on each; a unit is one of them, or a model, seen through a worker's restart."""
    with Server(64, 1, "worker.backoff_max_ms=1", "worker.breaker_crashes=10000") as d:
        connections = [h.Connection(d) for _ in range(max(1, n))]
        for c in connections[:n]:
            for i in range(64):
                stream = c.open(h.grpc_headers(m.HEALTH_SERVICE + "Watch"))
                c.data(stream, h.message(m.health.HealthCheckRequest(service=f"m{i}").SerializeToString()))
            c.ping()
        spent, rounds = Spent(d.pid), 5
        for _ in range(rounds):
            before = d.status().workers[0].generation
            d.kill_a_worker()
            wait_for("a new worker", lambda: d.status().workers[0].generation > before and
                     all(x.state == "ready" for x in d.status().models))
        result = spent.each(rounds * 64 * (1 + n))
        for c in connections:
            c.socket.close()
        return result


def start(n):
    """A unit is one model on one worker, from nothing to ready."""
    with Server(n, 8) as d:
        cpu_ns, wakeups = Spent.now(d.pid)
        return cpu_ns / 1000 / (8 * n), wakeups / (8 * n)


def connections(n):
    with Server() as d:
        idle = [socket.create_connection(("127.0.0.1", d.port)) for _ in range(n)]
        for s in idle:
            s.sendall(h.PREFACE + h.frame(h.SETTINGS))
        wait_for("all connections", lambda: d.status().connections > n)
        result = requests(d, ["m0"])
        for s in idle:
            s.close()
        return result


def regions(n):
    """A unit is an inference in a region, beside `n` others of the same client."""
    with Server() as d:
        raw = Raw(d)
        held = [raw.allocate(4096) for _ in range(n)]
        region, _ = held[0]
        spent = Spent(d.pid)
        for _ in range(REQUESTS // BURST):
            for _ in range(BURST):
                raw.infer("m0", region.number, 1, target=(region.number, 64, 1))
            for _ in range(BURST):
                assert raw.receive()[0].WhichOneof("body") == "inferred"
        result = spent.each(REQUESTS)
        raw.close()
        return result


def closing(n):
    """A unit is a region of `n` MiB that its client gives up: what the loop itself has to do. Who writes much puts what the
    loop needs out of the caches, so all find them so: those that are alone in them cost half."""
    with Server() as d:
        raw, page, other, costs = Raw(d), b"x" * (1 << 20), bytearray(64 << 20), []
        d.check_health()
        for _ in range(max(9, min(32, 128 // n))):
            region, memory = raw.allocate(n << 20)
            for _ in range(n):
                memory.write(page)
            memory.close()
            for at in range(0, len(other), len(page)):
                other[at:at + len(page)] = page
            spent = Spent(d.pid, loop=True)
            raw.unregister(region.region)
            d.check_health()
            costs.append(spent.each(1))
        raw.close()
        return tuple(statistics.median(column) for column in zip(*costs))


def deadlines(n):
    """A unit is a request whose deadline passes while its model is busy, beside `n` - 1 others. None of them may be
    missing from the counters."""
    body = h.message(infer_request("m0", b"x").SerializeToString())
    with Server(1, 1, "model.run_timeout_ms=3600000", "model.max_queue_size=100000", function="until_cancelled") as d:
        connections = [h.Connection(d) for _ in range((n + 63) // 64)]
        spent, rounds = Spent(d.pid), 2048 // n
        for _ in range(rounds):
            waiting = []
            for i in range(n):
                c = connections[i % len(connections)]
                waiting.append((c, c.open(h.grpc_headers(grpc_timeout="200m"))))
                c.data(waiting[-1][1], body)
            assert all(c.reply(stream).status == 4 for c, stream in waiting)
        result = spent.each(rounds * n)
        wait_for("all in the counters", lambda: d.status().models[0].requests_failed == rounds * n)
        for c in connections:
            c.socket.close()
        return result


CURVES = {
    "models": ("a request, so many models of one worker in turn", models, (1, 2, 8, 64)),
    "workers": ("a request, 8 at once, so many workers", workers, (1, 4, 16)),
    "watchers": ("a Watch or model in a restart, so many watchers of each of 64 models", watchers, (0, 1, 8)),
    "start": ("a model on a worker at start, so many models on each of 8", start, (16, 64, 256)),
    "connections": ("a request, so many idle connections", connections, (0, 500, 4000)),
    "regions": ("a local request, so many regions", regions, (1, 50, 500)),
    "closing": ("a region given up, of so many MiB, on the loop", closing, (1, 16, 256)),
    "deadlines": ("a request whose deadline passes, so many waiting", deadlines, (16, 128, 1024)),
}


def verdict(costs):
    ratio = max(costs[i] / min(costs[:i]) for i in range(1, len(costs)))
    return f"flat ({ratio:.2f}x)" if ratio <= FLAT else f"BENDS ({ratio:.2f}x)"


def main():
    print(f"{'one unit':64} {'n':>6} {'CPU us':>9} {'wake-ups':>9}")
    for name, (what, cost, steps) in CURVES.items():
        if options.curves and name not in options.curves:
            continue
        costs = []
        for n in steps:
            cpu_us, wakeups = cost(n)
            costs.append(cpu_us)
            print(f"{what if n == steps[0] else '':64} {n:6} {cpu_us:9.2f} {wakeups:9.3f}", flush=True)
        print(f"{'':64} {verdict(costs)}", flush=True)


if __name__ == "__main__":
    main()
