"""What tests start themselves leaves nothing behind, whatever becomes of it."""
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

import daemon
from daemon import ROOT, Daemon, alive, wait_for


@pytest.fixture
def temporary(monkeypatch, tmp_path_factory):
    """Where the daemon's directory is made; a socket's path is short. pytest's own is where it was."""
    tmp_path_factory.getbasetemp()
    directory = tempfile.mkdtemp(prefix="modeld-harness-")
    monkeypatch.setattr(tempfile, "tempdir", directory)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def started(monkeypatch):
    """The processes that are started from now on."""
    processes, popen = [], subprocess.Popen

    def begin(*args, **kw):
        processes.append(popen(*args, **kw))
        return processes[-1]

    monkeypatch.setattr(daemon.subprocess, "Popen", begin)
    return processes


def left(directory):
    return [name for name in os.listdir(directory) if name.startswith("modeld-test-")]


def slow_model(directory):
    (directory / "slow").mkdir()
    (directory / "slow" / "model.conf").write_text(
        "[model]\nbackend = builtin\n[parameters]\nfunction = identity\nload_ms = 3600000\n")
    return str(directory)


def test_a_start_that_is_given_up(temporary, started, tmp_path, monkeypatch):
    """The daemon is not ready in time: nobody but the constructor has it."""
    workers = []

    def give_up(d):
        wait_for("a worker", d.children)
        workers.extend(d.children())
        raise AssertionError("not ready")

    monkeypatch.setattr(Daemon, "wait_ready", give_up)
    with pytest.raises(AssertionError, match="not ready"):
        Daemon(models=["slow"], repository=slow_model(tmp_path))
    process, = started
    assert process.returncode is not None and workers
    for pid in workers:
        wait_for(f"end of worker {pid}", lambda pid=pid: not alive(pid))
    assert not left(temporary)


def test_a_daemon_that_ends_at_once(temporary, started):
    with pytest.raises(AssertionError, match="the daemon ended: 78"):
        Daemon("server.no_such_key=1")
    assert started[0].returncode == 78 and not left(temporary)


def test_a_program_that_is_not_there(temporary, monkeypatch):
    monkeypatch.setattr(daemon, "BUILD", "/nowhere")
    with pytest.raises(FileNotFoundError):
        Daemon()
    assert not left(temporary)


ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def heed_signals():
    """What runs in the background was told to ignore some."""
    for number in ENDS:
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", ENDS)
def test_stages_that_are_given_up_leave_nothing_that_runs_beside_them(tmp_path, number):
    """As from a terminal, which tells all of its group."""
    beside, stage = tmp_path / "beside", tmp_path / "stage"
    with subprocess.Popen([os.path.join(ROOT, "scripts", "run-stages"), "--beside", f"sh -c 'echo $$ >{beside}; exec sleep 1000'",
                           "stage", f"echo >{stage}; exec sleep 1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True, preexec_fn=heed_signals) as p:
        wait_for("both", lambda: stage.exists() and beside.exists() and beside.read_text().strip())
        pid = int(beside.read_text())
        os.killpg(p.pid, number)
        assert p.wait() == 128 + number
    wait_for("its end", lambda: not alive(pid))
