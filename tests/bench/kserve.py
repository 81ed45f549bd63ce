#!/usr/bin/env python3
"""What KServe's ModelInfer costs beside ModelWorkerService's Infer, in instructions of the daemon a call (valgrind counts them, so that
other programs do nothing to it), and how long custom_zero_1_float32 takes by perf_analyzer and by `modelctl bench`."""
import argparse
import os
import re
import signal
import struct
import subprocess
import tempfile
from contextlib import contextmanager

from bench import SERVICE, field, free_port, infer_request, varint

HERE = os.path.dirname(os.path.abspath(__file__))
TRITON = os.path.join(HERE, "..", "models", "triton")
LARGE = 4194304


@contextmanager
def daemon(build, repository, before=()):
    """(process, address)"""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="kserve-") as directory:
        sets = [f"server.listen={address}", f"server.runtime_dir={directory}", f"models.repository={repository}", "models.serve=*",
                "models.default=", "worker.workers=cpu:0 x1", "server.log_level=warning"]
        config = os.path.join(HERE, "..", "..", "conf", "modeld.conf")
        p = subprocess.Popen([*before, f"{build}/modeld", "--config", config, *(w for s in sets for w in ("--set", s))],
                             cwd=directory, stderr=subprocess.DEVNULL)
        try:
            subprocess.run([f"{build}/modelctl", "wait-ready", "--address", address], check=True)
            yield p, address
        finally:
            p.send_signal(signal.SIGTERM)
            p.wait()


def model_infer(model):
    dims = b"".join(varint(n) for n in (1, 16))
    return field(1, model.encode()) + field(5, field(1, b"INPUT0") + field(2, b"FP32") + field(3, dims)) + field(7, bytes(64))


CALLS = {
    "Infer": (SERVICE + "Infer", lambda model: infer_request(model, bytes(64), "f32", [1, 16])),
    "ModelInfer": ("/inference.GRPCInferenceService/ModelInfer", model_infer),
}


def ask(address, path, body, n):
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"\0" + struct.pack(">I", len(body)) + body)
        f.flush()
        out = subprocess.run(["h2load", "-c10", "-m10", "-t1", f"-n{n}", "-w24", "-W26", "-H", "te: trailers", "-H",
                              "content-type: application/grpc", "-d", f.name, f"http://{address}{path}"],
                             capture_output=True, text=True, check=True).stdout
    assert f" {n} succeeded" in out, out


def instructions(build, call, model, n):
    path, body = CALLS[call][0], CALLS[call][1](model)
    with tempfile.TemporaryDirectory(prefix="callgrind-") as directory:
        counted = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={directory}/out",
                   f"--log-file={directory}/log"]
        with daemon(build, os.path.join(HERE, "models"), counted) as (p, address):
            ask(address, path, body, 200)
            subprocess.run(["callgrind_control", "-i", "on", str(p.pid)], check=True, capture_output=True)
            ask(address, path, body, n)
            subprocess.run(["callgrind_control", "-i", "off", str(p.pid)], check=True, capture_output=True)
        found = 0
        for name in os.listdir(directory):
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as f:
                found = max([found, *(int(x) for x in re.findall(r"^(?:summary|totals): (\d+)", f.read(), re.M))])
    return found / n


def perf_analyzer(program, address, elements, shared):
    memory = ["--shared-memory", "system", "--output-shared-memory-size", str(4 * elements)] if shared else []
    out = subprocess.run([program, "-u", address, "-i", "grpc", "-m", "custom_zero_1_float32", "--shape", f"INPUT0:{elements}",
                          "--measurement-mode", "count_windows", "--measurement-request-count", "1000" if elements == 1 else "10",
                          "-r", "3", "-s", "10000", *memory], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"p50 latency: (\d+) usec", out).group(1))


def modelctl(build, address, elements, shared):
    out = subprocess.run([f"{build}/modelctl", "bench", "custom_zero_1_float32", "-s", "5", "-d", str(elements), "--address", address,
                          *(["--shm"] if shared else [])], capture_output=True, text=True, check=True).stdout
    return float(re.search(r"p50 +([\d.]+) us", out).group(1))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", required=True)
    options.add_argument("--requests", type=int, default=3000)
    o = options.parse_args()
    build = os.path.abspath(o.build)
    for model, what in ("echo", "joined"), ("identity", "not joined"):
        count = {call: instructions(build, call, model, o.requests) for call in CALLS}
        print(f"small unary, {what}: Infer {count['Infer']:,.0f}, ModelInfer {count['ModelInfer']:,.0f} instructions: "
              f"{count['ModelInfer'] / count['Infer']:.2f}x (to reach: <= 1.1x)", flush=True)
    program = os.path.join(build, "perf_analyzer", "run")
    if not os.path.exists(program):
        print("scripts/get-perf-analyzer has not been run")
        return
    print(f"{'custom_zero_1_float32, one at a time, p50':45} {'perf_analyzer':>14} {'modelctl bench':>15}")
    with daemon(build, TRITON) as (_, address):
        for elements in 1, LARGE:
            for shared in False, True:
                print(f"{elements:>9,} elements, {'shared memory' if shared else 'inline':21} "
                      f"{perf_analyzer(program, address, elements, shared):>14,} us {modelctl(build, address, elements, shared):>12,.0f} us",
                      flush=True)


if __name__ == "__main__":
    main()
