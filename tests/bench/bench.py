"""bench.py: modeld against its own stack, side by side in one run, pinned and interleaved.

Each row is a ratio of medians over --runs rounds. The server under test has CPU 0 to itself; clients and
workers share CPU 1. Throughput is given per second of the *server's* CPU time (utime + stime of the daemon
process), so that a machine with two cores, where clients compete with workers, still gives the daemon's own
cost; the plain rate is printed beside it.
"""
import argparse
import asyncio
import math
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import grpc

HERE = os.path.dirname(os.path.abspath(__file__))
SERVICE = "/remotemedia.model_registry.v1.ModelWorkerService/"
TICKS = os.sysconf("SC_CLK_TCK")


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def infer_request(model, data, dtype="u8", shape=None):
    """A packed InferRequest: u8[len(data)] unless it says more."""
    dims = b"".join(varint(n) for n in shape or [len(data)])
    tensor = field(1, data) + field(2, dims) + field(3, dtype.encode())
    return field(1, model.encode()) + field(3, tensor)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_ns(pid):
    """The same without its grain of a tick."""
    return time.clock_gettime_ns(~pid << 3 | 2)  # clock_getcpuclockid(3) of Linux


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))


def pin_all(pid, cpu):
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {cpu})


class Server:
    """A server process on CPU 0."""

    def __init__(self, name, argv, port, ready):
        self.name, self.port = name, port
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.log, text=True)
        ready(self)
        self.pid = self.process.pid
        pin_all(self.pid, 0)

    def children(self):
        return [int(p) for p in open(f"/proc/{self.pid}/task/{self.pid}/children").read().split()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def wait_line(server):
    if server.process.stdout.readline().strip() != "ready":
        sys.exit(f"{server.name} did not start")


def modeld(build, workers=1, extra=()):
    port = free_port()
    directory = tempfile.mkdtemp(prefix="modeld-bench-")
    argv = [f"{build}/modeld", "--config", f"{HERE}/../../conf/modeld.conf", "--set",
            f"server.listen=127.0.0.1:{port}", "--set", f"server.runtime_dir={directory}", "--set",
            f"models.repository={HERE}/models", "--set", "models.default=identity", "--set",
            f"worker.workers=cpu:0 x{workers}", "--set", "server.log_level=warning", "--set", "metrics.listen="]
    for item in extra:
        argv += ["--set", item]

    def ready(server):
        subprocess.run([f"{build}/modelctl", "wait-ready", "--address", f"127.0.0.1:{port}"], check=True)

    server = Server("modeld", argv, port, ready)
    for pid in server.children():
        pin_all(pid, 1)
    return server


def h2load(server, path, body, connections, streams, seconds, log=None):
    """Returns (requests, wall seconds, server CPU seconds)."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"\0" + struct.pack(">I", len(body)) + body)
        f.flush()
        argv = ["taskset", "-c", "1", "h2load", f"-c{connections}", f"-m{streams}", "-t1", f"-D{seconds}",
                "-w24", "-W26", "-H", "te: trailers", "-H", "content-type: application/grpc", "-d", f.name]
        if log:
            argv.append(f"--log-file={log}")
        began, cpu = time.monotonic(), cpu_seconds(server.pid)
        out = subprocess.run(argv + [f"http://127.0.0.1:{server.port}{path}"], capture_output=True,
                             text=True, check=True).stdout
        wall, cpu = time.monotonic() - began, cpu_seconds(server.pid) - cpu
    done = int(re.search(r"(\d+) succeeded", out).group(1))
    bad = int(re.search(r"(\d+) failed", out).group(1))
    if done == 0 or bad > done // 100:
        sys.exit(f"{server.name}: h2load: {out}")
    return done, wall, max(cpu, 1e-9)


def median_latency_us(server, path, body, seconds):
    with tempfile.NamedTemporaryFile("r") as log:
        h2load(server, path, body, 1, 1, seconds, log.name)
        return statistics.median(int(line.split("\t")[2]) for line in open(log.name))


def row(name, value, ratio, target):
    print(f"{name:<58} {value:<44} {ratio:>8} {target:>10}", flush=True)


def interleave(runs, servers, measure):
    """{server name: [result, ...]}, one round after another."""
    results = {s.name: [] for s in servers}
    for _ in range(runs):
        for s in servers:
            results[s.name].append(measure(s))
    return results


def rates(results):
    """Median requests a second of server CPU, and of wall time."""
    return {name: (statistics.median(n / cpu for n, _, cpu in rows), statistics.median(n / wall for n, wall, _ in rows))
            for name, rows in results.items()}


def median_between(values):
    """Between what the median of all that could have been measured lies, with 95 % certainty, whatever their distribution: so many of a
    sample lie below it as heads fall in as many throws."""
    n, n_below, chance = len(values), 0, 0
    while n_below < n // 2 and chance + math.comb(n, n_below) / 2**n <= 0.025:
        chance += math.comb(n, n_below) / 2**n
        n_below += 1
    values = sorted(values)
    first = max(n_below - 1, 0)
    return values[first], values[n - 1 - first]


def small_rows(r, name):
    own = r["modeld"][0]
    row(f"small unary inference, {name} / bare responder", "", f"{own / r['responder'][0]:.2f}x", ">= 0.5x")
    if "grpc++" in r:
        row(f"small unary inference, {name} / grpc++ async echo", "", f"{own / r['grpc++'][0]:.2f}x", ">= 3x")
    else:
        row(f"small unary inference, {name} / grpc++ async echo", "libgrpc++-dev is not installed", "-", ">= 3x")


def bench_small(args, servers):
    """f32[1,16] through models that can, and cannot, be joined into batches."""
    for model, name in (("echo", "joined"), ("identity", "not joined")):
        body = infer_request(model, bytes(64), "f32", [1, 16])
        r = rates(interleave(args.runs, servers, lambda s: h2load(s, SERVICE + "Infer", body, 10, 10, args.seconds)))
        for server, (per_cpu, per_s) in r.items():
            row(f"small unary, {name}: {server}", f"{per_cpu:,.0f}/s of CPU, {per_s:,.0f}/s", "", "")
        small_rows(r, name)


class Scraping:
    """Somebody who asks for all metrics once a second, fifteen times as often as Prometheus does by itself; first after half a second."""

    def __init__(self, url):
        self.url, self.bytes, self.stopping = url, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        wait_s = 0.5
        while not self.stopping.wait(wait_s):
            with urllib.request.urlopen(self.url) as page:
                self.bytes = len(page.read())
            wait_s = 1

    def stop(self):
        self.stopping.set()
        self.thread.join()
        assert self.bytes, "no page was read"


METRICS_MOST, METRICS_PAIRS = 1.01, 25


def bench_metrics(args, build):
    """The same calls with and without; what fills the figures runs in both. Many short pairs, each in another order than the one
    before: what disturbs both of a pair is in neither's favour, and what disturbs one is far from the median. Each pair is of new
    processes, since one of them may lie better in memory than another of the same program, by some per cent."""
    body = infer_request("identity", bytes(64), "f32", [1, 16])

    def cost(metrics):
        port = free_port()
        server = modeld(build, extra=[f"metrics.listen=127.0.0.1:{port}"] if metrics else [])
        scraping = Scraping(f"http://127.0.0.1:{port}/metrics") if metrics else None
        try:
            began = cpu_ns(server.pid)
            done, _, _ = h2load(server, SERVICE + "Infer", body, 10, 10, 1)
            return (cpu_ns(server.pid) - began) / done
        finally:
            if scraping:
                scraping.stop()
            server.stop()

    ratios = []
    for i in range(METRICS_PAIRS):
        costs = {metrics: cost(metrics) for metrics in ((False, True) if i % 2 else (True, False))}
        ratios.append(costs[True] / costs[False])
    least, most = median_between(ratios)
    verdict = "reached" if most <= METRICS_MOST else "missed" if least > METRICS_MOST else "not decided here"
    row("CPU time a call, metrics on and read every second / off", f"{least:.3f}x to {most:.3f}x of {len(ratios)} pairs: {verdict}",
        f"{statistics.median(ratios):.3f}x", f"<= {METRICS_MOST}x")


def bench_hop(args, server, build):
    body = infer_request("identity", b"\1\2\3\4")
    infer, health, wake = [], [], []
    for _ in range(args.runs):
        infer.append(median_latency_us(server, SERVICE + "Infer", body, args.seconds))
        health.append(median_latency_us(server, SERVICE + "HealthCheck", b"", args.seconds))
        wake.append(int(subprocess.run([f"{build}/bench/wakeup", "0", "1"], capture_output=True, text=True,
                                       check=True).stdout) / 1000)
    hop = statistics.median(a - b for a, b in zip(infer, health))
    wakeups = statistics.median(wake)
    row("p50 at low load: Infer, HealthCheck (no worker)",
        f"{statistics.median(infer):.0f} us, {statistics.median(health):.0f} us", "", "")
    row("worker hop / one wake-up of each side", f"{hop:.0f} us / {wakeups:.0f} us", f"{hop / wakeups:.2f}x", "~1x")


def bench_large(args, servers):
    n = 1 << 20
    body = infer_request("count", bytes(n))

    def measure(s):
        return h2load(s, SERVICE + "Infer", body, 4, 2, args.seconds)

    r = rates(interleave(args.runs, servers, measure))
    for name, (per_cpu, per_s) in r.items():
        row(f"1 MiB inline: {name}", f"{per_cpu * n / 1e9:.2f} GB/s of CPU, {per_s * n / 1e9:.2f} GB/s", "", "")
    row("1 MiB inline tensor in / bare responder", "",
        f"{r['modeld'][0] / r['responder'][0]:.2f}x", ">= 0.8x")


async def load_until(port, seconds, callers):
    """(calls, failures) of `callers` concurrent grpcio callers."""
    request = infer_request("identity", b"\1\2\3\4")
    calls, failures = 0, []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = channel.unary_unary(SERVICE + "Infer")
        end = time.monotonic() + seconds

        async def caller():
            nonlocal calls
            while time.monotonic() < end:
                try:
                    await infer(request, timeout=20)
                    calls += 1
                except grpc.aio.AioRpcError as e:
                    failures.append(f"{e.code().name}: {e.details()}")

        await asyncio.gather(*(caller() for _ in range(callers)))
    return calls, failures


async def kill_under_load(server, seconds, kills):
    load = asyncio.create_task(load_until(server.port, seconds, 50))
    killed = 0
    for i in range(kills):
        await asyncio.sleep(seconds / (kills + 1))
        children = server.children()
        if len(children) > 1:
            os.kill(children[i % len(children)], signal.SIGKILL)
            killed += 1
    calls, failures = await load
    return calls, failures, killed


def bench_recovery(args, build):
    server = modeld(build, workers=2)
    try:
        calls, failures, killed = asyncio.run(kill_under_load(server, args.seconds * args.runs, args.runs))
    finally:
        server.stop()
    row("kill -9 of a worker under load, another up: failed", f"{killed} kills, {calls} calls", f"{len(failures)}", "0")
    for text in failures[:3]:
        print("   ", text)


def bench_memory(servers):
    n = 1000
    for s in servers:
        before = rss_kib(s.pid)
        sockets = []
        for _ in range(n):
            c = socket.create_connection(("127.0.0.1", s.port))
            c.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0")
            sockets.append(c)
        for c in sockets:
            while len(c.recv(4096)) == 0:
                pass
        row(f"RSS per idle connection: {s.name}", f"{(rss_kib(s.pid) - before) / n:.1f} KiB", "", "<= 48")
        for c in sockets:
            c.close()


def kind_of(build):
    with open(f"{build}/flags") as f:
        flags = f.read().split()
    if "-flto" not in flags:
        return "a build with LTO=0"
    return "a build by a profile (make pgo)" if "-fprofile-use" in flags else "a plain build"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", default="build")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--seconds", type=int, default=3)
    args = p.parse_args()
    if os.cpu_count() < 2:
        sys.exit("bench needs two CPUs")
    os.sched_setaffinity(0, {1})
    build = os.path.abspath(args.build)
    port = free_port()
    servers = [Server("responder", [f"{build}/bench/responder", str(port)], port, wait_line)]
    if os.path.exists(f"{build}/bench/grpcpp_echo"):
        port = free_port()
        servers.append(Server("grpc++", [f"{build}/bench/grpcpp_echo", str(port)], port, wait_line))
    servers.append(modeld(build))
    print(f"{kind_of(build)}; {args.runs} interleaved rounds of {args.seconds} s each; server on CPU 0, clients and workers on CPU 1")
    row("what", "measured", "ratio", "to reach")
    try:
        bench_small(args, servers)
        bench_metrics(args, build)
        bench_hop(args, servers[-1], build)
        bench_large(args, [s for s in servers if s.name != "grpc++"])
        bench_memory([s for s in servers if s.name != "grpc++"])
    finally:
        for s in servers:
            s.stop()
    bench_recovery(args, build)


if __name__ == "__main__":
    main()
