"""torch_loop.py MODEL.PY [MILLISECONDS [DEVICE]]: runs the model in a loop of PyTorch's own, and tells check (torch.c) what that takes
and where the worker finds it, a line NAME=VALUE each. Where there is no PyTorch, or it sees no GPU, one line says so, and the exit
status is 1."""
import importlib.util
import os
import signal
import statistics
import sys
import time

LIMIT_S = 100
SAMPLES_MIN, SAMPLES_MAX = 20, 100_000


def load(path):
    spec = importlib.util.spec_from_file_location("model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loop(torch, net, device, seconds):
    """Seconds of each run: a row from the host's memory, and what comes of it there."""
    x = torch.zeros(1, 64)
    if device != "cpu":
        x = x.pin_memory()
    taken, end = [], time.perf_counter() + seconds
    with torch.inference_mode():
        while len(taken) < SAMPLES_MIN or (len(taken) < SAMPLES_MAX and time.perf_counter() < end):
            start = time.perf_counter()
            net(x.to(device, non_blocking=True)).cpu()
            taken.append(time.perf_counter() - start)
    return taken


def places(torch):
    """Directories that this interpreter imports from."""
    given = [*sys.path, sys.prefix, sys.base_prefix, os.path.dirname(torch.__file__)]
    return sorted({os.path.realpath(p) for p in given if os.path.isdir(p) and "," not in p})


def main(path, milliseconds="400", device="cuda:0"):
    try:
        import torch
    except Exception as e:
        return f"{sys.executable} has no PyTorch: {e}"
    if device != "cpu" and not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} of {sys.executable} sees no GPU"
    net = load(path).mlp(device)
    seconds = float(milliseconds) / 1000
    loop(torch, net, device, 0)
    taken = loop(torch, net, device, seconds)
    print(f"python={sys.executable}")
    print(f"version={torch.__version__}")
    print(f"device={'cpu:0' if device == 'cpu' else device}")
    print(f"latency_us={statistics.median(taken) * 1e6:.2f}")
    print(f"rate={len(taken) / sum(taken):.1f}")
    print(f"read={', '.join(places(torch))}")
    print(f"library_path={os.environ.get('LD_LIBRARY_PATH', '')}")
    return None


if __name__ == "__main__":
    # What hangs ends.
    signal.alarm(LIMIT_S)
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    try:
        why = main(*sys.argv[1:])
    except Exception as e:
        why = f"the loop in PyTorch failed: {type(e).__name__}: {e}"
    if why:
        print(" ".join(why.split()))
    sys.exit(1 if why else 0)
