#!/usr/bin/env python3
"""Mixed stress: onnx's own models, many served at once by two workers, called by threads in every way and at random, so
that requests are joined as it happens. What comes back is what ONNX Runtime says: to the bit where a request ran alone,
and but for the last bits of floating-point numbers where it ran as one with others.

    tests/conformance/mixed.py [--requests N] [--models N] [--threads N] [--seed N]

Prints how many ran in which way and "N passed, N failed"; exit status 1 where anything is wrong.
"""
import argparse
import collections
import os
import random
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "system"), os.path.join(HERE, "..", "..", "clients", "python")]
import cases as all_cases  # noqa: E402
import modeld  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
from daemon import Daemon, wait_for  # noqa: E402
from reference import Reference, Refused, close, same  # noqa: E402

WORKERS = 2
SHOWN_MAX = 20
CHUNK = 300  # models that are served at once
PHASE = 100  # requests


class Subject:
    """A model, and the feeds that ONNX Runtime answers, with what it says."""

    def __init__(self, case):
        self.case, self.feeds = case, []

    def prepare(self, directory):
        os.makedirs(directory)
        path = os.path.join(directory, "model.onnx")
        onnx.save(self.case.model, path)
        if not all(isinstance(v, np.ndarray) for v in self.case.feed.values()):
            return
        mirrored = {k: np.ascontiguousarray(np.flip(v)) if v.ndim else v for k, v in self.case.feed.items()}
        for feed in (self.case.feed, mirrored):
            try:
                session = Reference(path)
                want = session.run(feed)
                again = session.run(feed)
            except Refused:
                continue
            if all(same(want[k], again[k]) for k in want):
                self.feeds.append((feed, want))


class Stress:
    def __init__(self, address, subjects, requests, seed):
        self.address, self.subjects, self.left, self.seed = address, subjects, requests, seed
        self.lock = threading.Lock()
        self.ways, self.wrong = collections.Counter(), []

    def next(self, rng):
        """The next one to ask; None: that was all. For a while most ask a few of them, so that they meet."""
        with self.lock:
            self.left -= 1
            if self.left < 0:
                return None
            favoured = random.Random(self.seed * 1000003 + self.left // PHASE)
        return favoured.choice(self.subjects) if rng.random() < 0.7 else rng.choice(self.subjects)

    def fail(self, text):
        with self.lock:
            self.wrong.append(text)

    def run(self, number):
        rng = random.Random(self.seed * 1000 + number)
        held = collections.deque(maxlen=8)  # results stay what they were while others come
        with modeld.connect(self.address) as local, modeld.connect(self.address, handoff=False) as remote:
            while (subject := self.next(rng)) is not None:
                feed, want = rng.choice(subject.feeds)
                try:
                    self.ask(rng, subject.case.name, feed, want, local, remote, held)
                except (modeld.ModeldError, ValueError) as e:
                    self.fail(f"{subject.case.name}: {type(e).__name__}: {e}")
            for check in held:
                check()

    def ask(self, rng, name, feed, want, local, remote, held):
        way = rng.choice(["gRPC", "shared memory", "empty()"])
        if way == "gRPC" and len(feed) == 1 and want:
            output = rng.choice(list(want))
            result = remote.infer_all(name, feed, outputs=[output])
        else:
            if way == "empty()":
                feed = {k: in_shared_memory(local, v) for k, v in feed.items()}
            result = local.infer_all(name, feed)
        joined = result.timings.batch_size > 1
        with self.lock:
            self.ways[way, "joined" if joined else "alone"] += 1

        def check():
            for key, value in result.items():
                if not (close if joined else same)(value, want[key]):
                    self.fail(f"{name}, {way}, {result.timings.batch_size} together: {key} = {str(value)[:100]}, not "
                              f"{str(want[key])[:100]}")
                    return

        check()
        if rng.random() < 0.1:
            held.append(check)


def in_shared_memory(client, array):
    if array.dtype.kind in "OSU":
        return array
    room = client.empty(array.shape, array.dtype)
    room[...] = array
    return room


def serve(subjects, requests, options):
    """Returns the Stress that was run."""
    with tempfile.TemporaryDirectory(prefix="modeld-mixed-") as repository:
        for subject in subjects:
            subject.prepare(os.path.join(repository, subject.case.name, "1"))
        d = Daemon(f"models.default={subjects[0].case.name}", "model.max_queue_delay_us=1000",
                   f"worker.workers=cpu:0 x{WORKERS}",
                   repository=repository, ready=False)
        try:
            wait_for("the daemon", lambda: os.path.exists(os.path.join(d.directory, "handoff.sock")), 60)
            unix = "unix:" + os.path.join(d.directory, "modeld.sock")
            with modeld.connect(unix) as client:
                wait_for("all models",
                         lambda: all(i.state in ("ready", "failed") for i in client.models().values()), 600)
                ready = {name for name, info in client.models().items() if info.state == "ready"}
            stress = Stress(unix, [s for s in subjects if s.feeds and s.case.name in ready], requests, options.seed)
            threads = [threading.Thread(target=stress.run, args=(i,)) for i in range(options.threads)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            restarts = sum(w.restarts for w in d.status().workers)
            if restarts:
                stress.fail(f"{restarts} workers were lost")
            d.stop()
        finally:
            d.close()
    return stress


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=50000)
    parser.add_argument("--models", type=int, default=0, help="so many, evenly spread; default all")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chosen = all_cases.collect()
    if options.models and options.models < len(chosen):
        chosen = [chosen[i * len(chosen) // options.models] for i in range(options.models)]
    served, ways, wrong = 0, collections.Counter(), []
    for at in range(0, len(chosen), CHUNK):
        part = chosen[at:at + CHUNK]
        share = options.requests * (at + len(part)) // len(chosen) - options.requests * at // len(chosen)
        stress = serve([Subject(case) for case in part], share, options)
        served, wrong = served + len(stress.subjects), wrong + stress.wrong
        ways += stress.ways
        print(f"{at + len(part)} of {len(chosen)}", file=sys.stderr, flush=True)
    print(f"\n{served} models that are served, {WORKERS} workers, {options.threads} threads\n")
    for (way, company), n in sorted(ways.items()):
        print(f"  {n:6}  {way}, {company}")
    for text in wrong[:SHOWN_MAX]:
        print(f"\nWRONG: {text}")
    print(f"\n{options.requests - len(wrong)} passed, {len(wrong)} failed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
