"""SIGUSR2: another process takes the daemon's place, and nobody notices; sockets that a service manager has opened."""
import os
import signal
import socket
import sys
import threading

import numpy as np
import pytest

import daemon as daemon_module
import messages as m
from callers import Callers
from daemon import BUILD, alive, wait_for

sys.path.insert(0, os.path.join(m.ROOT, "clients", "python"))
import modeld  # noqa: E402
from local_callers import LocalCallers  # noqa: E402

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


def test_no_request_of_a_local_client_fails(start, successors):
    d = start(models=["identity"])
    callers = LocalCallers(d.unix, 4, shared=2, pause=0.002)  # so that the daemons have some of the processor, too
    try:
        pids = [d.pid]
        for _ in range(2):
            done = callers.done
            wait_for("requests", lambda: callers.done > done + 20 or callers.failures)
            os.kill(pids[-1], signal.SIGUSR2)
            pids.append(int(d.wait_notification("MAINPID=").split("=")[1]))
            successors.append(pids[-1])
            assert d.wait_notification("READY=1")
            wait_for("the end of the one before", lambda: not alive(pids[-2]))
        done = callers.done
        wait_for("requests", lambda: callers.done > done + 20 or callers.failures)
    finally:
        callers.stop()
    assert not callers.failures, callers.failures
    assert d.process.wait(60) == 0
    d.checked = True
    end(pids[-1])


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
    said = d.wait_notification("STATUS=serving; takeover 1 has failed: process ")
    assert said.endswith(" has ended") and "was to take our place has ended" in d.log()
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    assert serving_pid(d, d.channel()) == d.pid


ACTIVATOR = """#!{python}
import os, socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.connect({at!r})
    _, given, _, _ = socket.recv_fds(s, 1, 8)
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(given)]
os.closerange(3, 100)
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)), LISTEN_FDNAMES="grpc:handoff:grpc")
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""
UNIX = {"modeld.sock": socket.SOCK_STREAM, "handoff.sock": socket.SOCK_SEQPACKET}


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """Plays a service manager: it listens, and what is started gets its sockets, which stay its own. Yields their directory."""
    made = [socket.socket(socket.AF_UNIX, kind) for kind in UNIX.values()]
    for s, name in zip(made, UNIX):
        s.bind(str(tmp_path / name))
        s.listen(16)
    made.append(socket.create_server(("127.0.0.1", 0)))
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(tmp_path / "door"))
    door.listen(1)

    def give():
        with door.accept()[0] as connection:
            socket.send_fds(connection, [b"x"], [s.fileno() for s in made])

    giving = threading.Thread(target=give, daemon=True)
    giving.start()
    program = tmp_path / "modeld"
    program.write_text(ACTIVATOR.format(python=sys.executable, at=str(tmp_path / "door"), program=os.path.join(BUILD, "modeld")))
    program.chmod(0o755)
    monkeypatch.setattr(daemon_module, "BUILD", str(tmp_path))
    yield tmp_path
    for s in (*made, door):
        s.close()


def check_it_listens_on_those(d, directory):
    assert "given to us" not in d.log() and not (directory / "modeld.sock.lock").exists()
    with modeld.connect(f"unix:{directory}/modeld.sock") as client:
        assert client.uses_shared_memory and client.infer("identity", np.arange(1 << 15)).sum() == sum(range(1 << 15))


def check_they_stay(directory):
    """Who connects now waits for the next daemon."""
    for name, kind in UNIX.items():
        with socket.socket(socket.AF_UNIX, kind) as s:
            s.connect(str(directory / name))


def test_sockets_of_a_service_manager(start, manager):
    """It listens on what it is given; the sockets are not its own: they and their files stay when it ends."""
    d = start(f"server.runtime_dir={manager}", models=["identity"])
    assert len(d.addresses) == 2
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    check_it_listens_on_those(d, manager)
    d.stop()
    check_they_stay(manager)


def test_sockets_of_a_service_manager_stay_its_own_after_a_takeover(start, manager, successors):
    d = start(f"server.runtime_dir={manager}", models=["identity"])
    pid = upgrade(d, successors)
    assert d.wait_notification("READY=1")
    check_it_listens_on_those(d, manager)
    end(pid)
    check_they_stay(manager)
