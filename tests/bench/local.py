"""local.py: what a local client's request takes: by handoff, by gRPC with a TensorRef, inline; against a memcpy and a
Unix-socket transfer of as many bytes. Prints a table of medians (over --runs rounds, each a median of --rounds
requests) and the ratios that matter. Client, daemon and worker share one
CPU, as they take turns: a wake-up is then a context switch, and not what the hypervisor makes of an interrupt to another
CPU.
"""
import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "clients", "python"))
SIZES = [4, 1 << 20, 100 << 20]
WAYS = ["handoff", "grpc-ref", "in-out", "python", "changing", "inline", "memcpy", "socket"]


def pin(pid, cpu):
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {cpu})


class Daemon:
    def __init__(self, build, busy_poll_us):
        self.directory = tempfile.mkdtemp(prefix="modeld-local-")
        self.build = build
        self.process = subprocess.Popen(
            [f"{build}/modeld", "--config", f"{HERE}/../../conf/modeld.conf", "--set", "server.listen=unix:modeld.sock",
             "--set", f"server.runtime_dir={self.directory}", "--set", f"models.repository={HERE}/models", "--set",
             "models.default=count", "--set", "metrics.listen=", "--set", "server.log_level=warning", "--set",
             f"server.busy_poll_us={busy_poll_us}"])
        self.address = f"unix:{self.directory}/modeld.sock"
        self.handoff = f"{self.directory}/handoff.sock"
        subprocess.run([f"{build}/modelctl", "wait-ready", "--address", self.address], check=True)
        pin(self.process.pid, 1)
        for worker in open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split():
            pin(worker, 1)

    def copied(self):
        """Tensor bytes that the daemon copied by itself, in and out."""
        out = subprocess.run([f"{self.build}/modelctl", "status", "--json", "--address", self.address],
                             capture_output=True, text=True, check=True).stdout
        return [int(re.search(rf'"tensor_bytes_{name}": (\d+)', out).group(1)) for name in
                ("copied_in", "copied_out", "handed")]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def measure(daemon, build, busy_poll_us, rounds, sizes, found):
    out = subprocess.run([f"{build}/bench/local", daemon.handoff, daemon.address, str(busy_poll_us), str(rounds),
                          *map(str, sizes)], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        way, size, ns = line.split()
        found.setdefault((way, int(size)), []).append(int(ns) / 1000)


def python_client(daemon, rounds):
    """Medians of a 4-byte request by the Python client: over gRPC (grpcio), and over the handoff socket."""
    import modeld
    import numpy as np
    with modeld.connect(daemon.address) as client:
        arrays = {"gRPC": np.zeros(4, np.uint8), "fast path": client.empty(4, np.uint8)}
        times = {name: [] for name in arrays}
        for _ in range(rounds):
            for name, array in arrays.items():
                began = time.perf_counter()
                client.infer("count", array)
                times[name].append((time.perf_counter() - began) * 1e6)
    return {name: statistics.median(t) for name, t in times.items()}


def python_in_and_out(daemon, rounds, sizes, found):
    """An array in, an array out, by the Python client: of one size, and of sizes that change by a fifth."""
    import modeld
    import numpy as np
    with modeld.connect(daemon.address) as client:
        for size in sizes:
            array = client.empty(size, np.uint8)
            array[:] = 7
            for way, lengths in (("python", [size]), ("changing", [size, size - size // 5, size - size // 10])):
                times = []
                for i in range(min(rounds, 30 if size > 10 << 20 else rounds) + 2):
                    sent = array[:lengths[i % len(lengths)]]
                    began = time.perf_counter()
                    result = client.infer("identity", sent)
                    times.append((time.perf_counter() - began) * 1e6)
                    assert result.nbytes == sent.nbytes and result[-1] == 7
                found.setdefault((way, size), []).append(statistics.median(times[2:]))


def nothing_copied(daemon, build):
    """By reference the daemon's copy counters stand still; returns the bytes handed over meanwhile."""
    import modeld
    import numpy as np
    before = daemon.copied()
    with modeld.connect(daemon.address) as client:
        array = client.empty(100 << 20, np.uint8)
        for _ in range(10):
            client.infer("count", array)
    after = daemon.copied()
    return after[0] - before[0] + after[1] - before[1], after[2] - before[2]


def text(us):
    return f"{us:,.1f} us" if us < 1000 else f"{us / 1000:,.2f} ms"


def table(found, sizes):
    names = {4: "4 B", 1 << 20: "1 MiB", 100 << 20: "100 MiB"}
    print(f"{'':<44}" + "".join(f"{names[s]:>14}" for s in sizes))
    labels = {"handoff": "handoff socket (fast path)", "grpc-ref": "gRPC, TensorRef", "inline": "gRPC, inline",
              "in-out": "handoff socket, in and out, C", "python": "the same, Python, from the third call on",
              "changing": "the same, results of changing sizes", "memcpy": "memcpy",
              "socket": "Unix socket to a process and back"}
    for way in WAYS:
        if (way, sizes[0]) not in found:
            continue
        print(f"{labels[way]:<44}" + "".join(f"{text(found[way, s]):>14}" for s in sizes))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", default="build")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--rounds", type=int, default=1000)
    p.add_argument("--busy-poll-us", type=int, default=50)
    args = p.parse_args()
    build = os.path.abspath(args.build)
    os.sched_setaffinity(0, {1})
    for busy in (0, args.busy_poll_us):
        daemon = Daemon(build, busy)
        sizes = SIZES if busy == 0 else SIZES[:1]
        found = {}
        try:
            for _ in range(args.runs):
                measure(daemon, build, busy, args.rounds, sizes, found)
                if busy == 0:
                    python_in_and_out(daemon, args.rounds, sizes, found)
            by_python = python_client(daemon, args.rounds)
            copied, handed = nothing_copied(daemon, build)
        finally:
            daemon.stop()
        median = {key: statistics.median(values) for key, values in found.items()}
        print(f"\nlocal clients, one request at a time, busy_poll_us = {busy}")
        table(median, sizes)
        if busy == 0:
            print(f"100 MiB / 4 B by handoff: {median['handoff', SIZES[2]] / median['handoff', 4]:.2f}x (to reach: <= 1.1x)")
            for way, label in (("in-out", "C client"), ("python", "Python client"),
                               ("changing", "Python client, changing sizes")):
                print(f"100 MiB in and out / memcpy, {label}: {median[way, SIZES[2]] / median['memcpy', SIZES[2]]:.2f}x "
                      "(to reach: <= 1.5x)")
            print(f"1 MiB in and out, Python client: {text(median['python', SIZES[1]])} (to reach: <= 300 us)")
            print(f"tensor bytes copied by modeld while {handed:,} were handed over: {copied} (to reach: 0)")
        print(f"fast path / gRPC for 4 B, C client: {median['handoff', 4] / median['inline', 4]:.2f}x inline, "
              f"{median['handoff', 4] / median['grpc-ref', 4]:.2f}x TensorRef (to reach: <= 0.5x)")
        print(f"fast path / gRPC for 4 B, Python client (grpcio): {text(by_python['fast path'])} / "
              f"{text(by_python['gRPC'])}: {by_python['fast path'] / by_python['gRPC']:.2f}x")


if __name__ == "__main__":
    main()
