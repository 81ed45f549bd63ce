"""lives.py: models that come and go: how soon memory is back after an unload, what callers see of a reload, and what a request
takes that has its model loaded. Medians over --runs rounds, in one run of one daemon each."""
import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import grpc

from bench import HERE, SERVICE, infer_request, modeld, row

ONNX = os.path.join(HERE, "..", "models", "onnx", "identity_f32")
CALLERS = 8
RELOADS = 20


def pss_kib(server):
    """Of the daemon and its workers together."""
    total = 0
    for pid in [server.pid, *server.children()]:
        try:
            total += int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{pid}/smaps_rollup").read(), re.M).group(1))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


class Bed:
    """A daemon whose models callers load: `onnx`, and `identity`, which is there."""

    def __init__(self, build, *extra):
        self.directory = tempfile.mkdtemp(prefix="modeld-lives-")
        os.makedirs(os.path.join(self.directory, "identity"))
        shutil.copytree(ONNX, os.path.join(self.directory, "onnx"))
        self.configure(1000)
        self.build = build
        self.server = modeld(build, 1, [f"models.repository={self.directory}", "models.control=explicit", "models.load=identity",
                                        *extra])
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.call = self.channel.unary_unary(SERVICE + "Infer")
        self.request = infer_request("onnx", bytes(16), "f32", [2, 2])

    def configure(self, max_queue_size):
        path = os.path.join(self.directory, "identity", "model.conf")
        with open(path + "~", "w") as f:
            f.write(f"[model]\nbackend = builtin\nmax_queue_size = {max_queue_size}\n[parameters]\nfunction = identity\n")
        os.replace(path + "~", path)

    def ctl(self, *args):
        subprocess.run([f"{self.build}/modelctl", *args, "--address", f"127.0.0.1:{self.server.port}"], check=True)

    def infer_ms(self):
        began = time.monotonic()
        self.call(self.request, timeout=60)
        return (time.monotonic() - began) * 1000

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.channel.close()
        self.server.stop()
        shutil.rmtree(self.directory)


def bench_unload(runs, build):
    """Until the daemon and its workers hold what they held before the load, and half a MiB."""
    took, back = [], []
    with Bed(build, "models.isolation=model") as bed:
        for i in range(runs + 1):
            before = pss_kib(bed.server)
            bed.ctl("load", "onnx")
            bed.infer_ms()
            loaded = pss_kib(bed.server)
            began = time.monotonic()
            bed.ctl("unload", "onnx")
            while pss_kib(bed.server) > before + 512:
                if time.monotonic() > began + 10:
                    sys.exit(f"memory is not back: {before} KiB before, {pss_kib(bed.server)} KiB now")
            if i > 0:
                took.append((time.monotonic() - began) * 1000)
                back.append((loaded - pss_kib(bed.server)) / 1024)
    row("unload to memory back (onnxruntime, isolation = model)", f"{statistics.median(back):.0f} MiB in "
        f"{statistics.median(took):.0f} ms", "", "")


async def reload_under_load(bed):
    """(slowest call before, slowest call during the reloads, calls that failed), in milliseconds"""
    request = infer_request("identity", b"\1\2\3\4")
    slowest, failed, end = [0.0, 0.0], 0, asyncio.Event()
    during = 0

    async with grpc.aio.insecure_channel(f"127.0.0.1:{bed.server.port}") as channel:
        infer = channel.unary_unary(SERVICE + "Infer")

        async def caller():
            nonlocal failed
            while not end.is_set():
                began, phase = time.monotonic(), during
                try:
                    await infer(request, timeout=60)
                except grpc.aio.AioRpcError:
                    failed += 1
                slowest[phase] = max(slowest[phase], (time.monotonic() - began) * 1000)

        callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
        await asyncio.sleep(0.5)
        slowest[0] = 0
        began = time.monotonic()
        await asyncio.sleep(1)
        during = 1
        for i in range(RELOADS):
            bed.configure(1001 + i)
            process = await asyncio.create_subprocess_exec(f"{bed.build}/modelctl", "reload", "identity", "--address",
                                                           f"127.0.0.1:{bed.server.port}")
            if await process.wait() != 0:
                sys.exit("reload failed")
            if time.monotonic() - began < 1 + (i + 1) / RELOADS:
                await asyncio.sleep(1 + (i + 1) / RELOADS - (time.monotonic() - began))
        end.set()
        await asyncio.gather(*callers)
    return slowest[0], slowest[1], failed


def bench_reload(build):
    with Bed(build) as bed:
        before, during, failed = asyncio.run(reload_under_load(bed))
    row(f"slowest call of {CALLERS} callers: a second before, during {RELOADS} reloads", f"{before:.1f} ms, {during:.1f} ms, "
        f"{failed} failed", f"{during / before:.1f}x", "")


def bench_on_request(runs, build):
    """The first request of a model that is not loaded, and those that follow."""
    cold, warm = [], []
    with Bed(build, "models.load_on_request=yes") as bed:
        for i in range(runs + 1):
            first = bed.infer_ms()
            following = statistics.median(bed.infer_ms() for _ in range(50))
            bed.ctl("unload", "onnx")
            if i > 0:
                cold.append(first)
                warm.append(following)
    row("load on request (onnxruntime): first request, those that follow",
        f"{statistics.median(cold):.1f} ms, {statistics.median(warm):.2f} ms", "", "")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", default="build")
    p.add_argument("--runs", type=int, default=5)
    args = p.parse_args()
    build = os.path.abspath(args.build)
    os.sched_setaffinity(0, {1})
    print("\nmodels that come and go")
    bench_unload(args.runs, build)
    bench_reload(build)
    bench_on_request(args.runs, build)


if __name__ == "__main__":
    main()
