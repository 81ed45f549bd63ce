"""Clients that cancel, stop half-way and vanish, workers that are killed, all at random and at once: whoever behaves
gets every answer, soon, and in the end nothing is left. MODELD_CHURN_S is the time it takes, MODELD_CHURN_SEED makes
another order of events."""
import os
import random
import socket
import struct
import threading
import time

import pytest

import http2 as h
import messages as m
from callers import holds_nothing, undisturbed
from daemon import infer_request
from http2 import Connection, grpc_headers, message

SECONDS = float(os.environ.get("MODELD_CHURN_S", "5"))
SEED = int(os.environ.get("MODELD_CHURN_SEED", "1"))


def body(rng):
    if rng.random() < 0.5:
        data = infer_request("sleep", struct.pack("<i", rng.choice([0, 0, 1, 5, 30])), [1], "i32")
    else:
        data = infer_request("identity", bytes(rng.choice([0, 1, 100, 10000, 300000])))
    return message(data.SerializeToString())


def misbehave(c, rng):
    """A few calls on one connection, each whole, cut, reset, too late or none of these."""
    for _ in range(rng.randrange(1, 6)):
        late = {"grpc_timeout": f"{rng.choice([1, 5, 20, 100])}m"} if rng.random() < 0.3 else {}
        stream = c.open(grpc_headers(m.WORKER_SERVICE + rng.choice(["Infer", "InferStream"]), **late))
        whole = body(rng)
        cut = rng.choice([len(whole), len(whole), len(whole), rng.randrange(len(whole))])
        c.data(stream, whole[:cut], end=cut == len(whole) and rng.random() < 0.8)
        if rng.random() < 0.5:
            time.sleep(rng.choice([0, rng.random() * 0.02]))
            c.send_frame(h.RST_STREAM, 0, stream, struct.pack(">I", h.CANCEL))
    time.sleep(rng.choice([0, rng.random() * 0.05]))
    if rng.random() < 0.5:
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def vandal(daemon, rng, end):
    while time.monotonic() < end:
        window = rng.choice([0, 1000, 65535, 1 << 20])
        try:
            with Connection(daemon, settings=[(h.SETTINGS_INITIAL_WINDOW, window)], credit=False) as c:
                misbehave(c, rng)
        except (ConnectionResetError, BrokenPipeError):
            pass


def killer(daemon, rng, end):
    """A request that loses two workers is failed: so whoever lost one is served before the next is killed. What lost
    a worker runs before what has come since, of each model."""
    while time.monotonic() < end:
        time.sleep(rng.random())
        daemon.kill_a_worker()
        daemon.infer("identity", b"")
        daemon.infer("sleep", struct.pack("<i", 0), [1], "i32")


@pytest.mark.parametrize("kills", [False, True])
@pytest.mark.parametrize("slots", [1, 128])
def test_who_behaves_is_served(start, kills, slots):
    d = start(f"worker.slots={slots}", "worker.backoff_max_ms=50", "worker.breaker_crashes=1000",
              models=["identity", "sleep"])
    end = time.monotonic() + SECONDS
    threads = [threading.Thread(target=vandal, args=(d, random.Random(SEED * 100 + i), end)) for i in range(3)]
    if kills:
        threads.append(threading.Thread(target=killer, args=(d, random.Random(SEED), end)))
    with undisturbed(d):
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    holds_nothing(d)
