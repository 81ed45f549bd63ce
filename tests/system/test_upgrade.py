"""SIGUSR2: another process takes the daemon's place, and nobody notices; sockets that a service manager has opened."""
import os
import signal
import sys

import numpy as np
import pytest

import daemon as daemon_module
import messages as m
from callers import Callers
from daemon import BUILD, alive, wait_for

sys.path.insert(0, os.path.join(m.ROOT, "clients", "python"))
import modeld  # noqa: E402

CALLERS = 50


@pytest.fixture
def successors():
    """Daemons that are nobody's children end with the test."""
    pids = []
    yield pids
    for pid in pids:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def serving_pid(d, channel):
    return d.call(m.CONTROL_SERVICE + "GetServerStatus", m.control.ServerStatusRequest(), m.control.ServerStatusResponse,
                  channel=channel).pid


def upgrade(d, successors):
    """SIGUSR2, until the old process is gone. Returns the new one's pid."""
    os.kill(d.pid, signal.SIGUSR2)
    message = d.wait_notification("MAINPID=")
    pid = int(message.split("=")[1])
    successors.append(pid)
    assert d.process.wait(60) == 0, d.log()
    d.checked = True
    return pid


def end(pid):
    os.kill(pid, signal.SIGTERM)
    wait_for("its end", lambda: not alive(pid))


def test_no_call_fails(start, successors):
    d = start(models=["identity"])
    # As gRPC is by default: what the server has not begun is sent again.
    callers = Callers(d, CALLERS, enable_retries=1)
    try:
        wait_for("calls", lambda: callers.done > CALLERS)
        pid = upgrade(d, successors)
        done = callers.done
        wait_for("calls of the new one", lambda: callers.done > done + CALLERS)
    finally:
        callers.stopping.set()
        for t in callers.threads:
            t.join()
    assert callers.failures == []
    assert d.wait_notification("READY=1") and serving_pid(d, d.channel()) == pid
    assert os.path.exists(d.unix[5:])
    end(pid)
    assert not os.path.exists(d.unix[5:]) and not os.path.exists(d.unix[5:] + ".lock")
    d.check_log()


def test_a_local_client_connects_anew_by_itself(start, successors):
    d = start(models=["identity"])
    with modeld.connect(d.unix) as client:
        assert client.infer("identity", np.arange(1 << 15)).sum() == sum(range(1 << 15))
        pid = upgrade(d, successors)
        assert client.infer("identity", np.arange(1 << 15)).sum() == sum(range(1 << 15))
        assert client.uses_shared_memory and client.is_ready()
    end(pid)


def test_twice(start, successors):
    d = start(models=["identity"])
    first = upgrade(d, successors)
    assert d.wait_notification("READY=1")
    os.kill(first, signal.SIGUSR2)
    second = int(d.wait_notification("MAINPID=").split("=")[1])
    successors.append(second)
    wait_for("the end of the first", lambda: not alive(first))
    assert d.wait_notification("READY=1")
    assert serving_pid(d, d.channel(d.unix)) == second
    end(second)


def test_one_that_cannot_start_changes_nothing(start, tmp_path):
    """What it reads is wrong by now: it ends, and the old one goes on."""
    config = tmp_path / "modeld.conf"
    config.write_text("[server]\nlog_level = debug\n")
    d = start(models=["identity"], config=str(config))
    config.write_text("[server]\nnonsense = 1\n")
    os.kill(d.pid, signal.SIGUSR2)
    wait_for("its end", lambda: "was to take our place has ended" in d.log())
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    assert serving_pid(d, d.channel()) == d.pid


ACTIVATOR = """#!{python}
import os, socket, sys
made = [socket.socket(socket.AF_UNIX, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)]
for s, name in zip(made, ("modeld.sock", "handoff.sock")):
    s.bind(os.path.join({directory!r}, name))
    s.listen(16)
made.append(socket.create_server(("127.0.0.1", 0)))
for i, fd in enumerate([os.dup2(s.fileno(), 100 + i) for i, s in enumerate(made)]):
    os.dup2(fd, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="3", LISTEN_FDNAMES="grpc:handoff:grpc")
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""


def test_sockets_of_a_service_manager(start, tmp_path, monkeypatch):
    """It listens on what it is given; the files are not its own: they stay when it ends."""
    program = tmp_path / "modeld"
    program.write_text(ACTIVATOR.format(python=sys.executable, directory=str(tmp_path), program=os.path.join(BUILD, "modeld")))
    program.chmod(0o755)
    monkeypatch.setattr(daemon_module, "BUILD", str(tmp_path))
    d = start(f"server.runtime_dir={tmp_path}", models=["identity"])
    assert "given to us" not in d.log() and len(d.addresses) == 2
    assert not (tmp_path / "modeld.sock.lock").exists()
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    with modeld.connect(f"unix:{tmp_path}/modeld.sock") as client:
        assert client.uses_shared_memory and client.infer("identity", np.arange(1 << 15)).sum() == sum(range(1 << 15))
    d.stop()
    assert (tmp_path / "modeld.sock").exists() and (tmp_path / "handoff.sock").exists()
