"""Costs that must not grow faster than the work, as counts of system calls: no time is looked at, so a busy machine makes
no difference to speak of. `make bench-scale` shows the same curves in CPU time."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from bursts import Bursts

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")]

REQUESTS = 1024


def repository(path, n):
    for i in range(n):
        (path / f"m{i}" / "1").mkdir(parents=True)
        (path / f"m{i}" / "model.conf").write_text("[model]\nbackend = builtin\n[parameters]\nfunction = identity\n")
    return str(path)


class Counted:
    """System calls of some processes, with all their threads, while it is open: `counts`, by name."""

    def __init__(self, directory, name, pids):
        self.path = os.path.join(directory, name)
        argv = ["strace", "-f", "-c", "-o", self.path]
        for pid in pids:
            argv += ["-p", str(pid)]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        threads = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids)
        while threads:
            line = self.process.stderr.readline()
            if "not permitted" in line:
                pytest.skip("processes may not be traced here")
            assert line, "strace ended"
            found = re.search(r"attached(?: with (\d+) threads)?", line)
            threads -= int(found.group(1) or 1) if found else 0

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        rows = [line.split() for line in open(self.path) if re.match(r"\s*[\d.]+\s", line)]
        self.counts = {row[-1]: int(row[3]) for row in rows if row[-1] != "total"}
        return sum(self.counts.values())


def cost(start, path, models, workers, burst):
    """System calls a request: of the daemon, of the workers; and of the daemon's, how often it went to sleep."""
    path.mkdir()
    names = [f"m{i}" for i in range(models)]
    d = start("server.log_level=info", models=names, repository=repository(path, models),
              workers=f"cpu:0 x{workers}")
    d.wait_workers_ready(workers)
    load = Bursts(d.port, names)
    load.run(REQUESTS // 4, burst)
    daemon = Counted(d.directory, "daemon", [d.pid])
    worker = Counted(d.directory, "workers", d.workers())
    load.run(REQUESTS, burst)
    result = daemon.end() / REQUESTS, worker.end() / REQUESTS, daemon.counts["epoll_wait"] / REQUESTS
    load.close()
    d.stop()
    return result


def test_models_in_turn_on_one_worker_cost_as_one_does(start, tmp_path):
    """64 requests at once for 1, 2 and 4 models: 0.16 calls of the daemon and 0.08 of the worker for each of them. One
    record and one answer for every change of the model would be two calls of each."""
    for models in (1, 2, 4):
        daemon, worker, sleeps = cost(start, tmp_path / str(models), models, 1, 64)
        assert daemon < 0.4 and worker < 0.3 and sleeps < 0.15, (models, daemon, worker, sleeps)


def test_more_workers_cost_as_one_does(start, tmp_path):
    """8 requests at once for 1 and 8 workers: 0.8 calls of the daemon and 0.4 of the workers for each of them. Were each sent
    to another worker, it would be a record, an answer and a wake-up for each."""
    for workers in (1, 8):
        daemon, worker, sleeps = cost(start, tmp_path / str(workers), 1, workers, 8)
        assert daemon < 1.4 and worker < 0.9 and sleeps < 0.5, (workers, daemon, worker, sleeps)
