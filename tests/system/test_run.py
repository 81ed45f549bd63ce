"""`make run`, which is the first thing that a new user does: scripts/run with and without a terminal."""
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from daemon import BUILD, PATIENCE_S, ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path):
    """scripts/run keeps its log and sockets below BUILD: a directory of the test's own, with the programs in it."""
    build = tmp_path / "build"
    build.mkdir()
    for name in os.listdir(BUILD):
        if name != "run":
            os.symlink(os.path.join(BUILD, name), build / name)
    if not (build / "venv").exists():
        os.symlink(os.path.join(ROOT, "build", "venv"), build / "venv")
    env = dict(os.environ, BUILD=str(build), MODELD_LISTEN="127.0.0.1:0, unix:modeld.sock",
               XDG_RUNTIME_DIR=str(tmp_path))
    env.pop("NOTIFY_SOCKET", None)
    env.pop("RUNTIME_DIRECTORY", None)
    return env


def no_daemon_left(log):
    pid = int(re.search(r"modeld [\d.]+ pid=(\d+)", log).group(1))
    assert not os.path.exists(f"/proc/{pid}")


def check_output(text):
    assert "modeld is ready at 127.0.0.1:" in text
    assert len(re.findall(r"\b\d{1,3}\.\d ?%", text)) >= 20, "a probability for each of 20 pictures"
    assert re.search(r"compute", text) and re.search(r"total", text)
    assert "cpu:0/0" in text and "digits" in text


def test_without_a_terminal(environment):
    done = subprocess.run(["scripts/run"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE_S * 3)
    assert done.returncode == 0, done.stdout + done.stderr
    check_output(done.stdout)
    assert done.stdout.rstrip().endswith("run: stopped") and "Ctrl-C" not in done.stdout
    no_daemon_left(open(os.path.join(environment["BUILD"], "run", "modeld.log")).read())


@pytest.mark.skipif(os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode,
                    reason="needs root and namespaces")
def test_root_without_a_session_is_found_by_its_socket(environment):
    """In a mount namespace, where /run is empty."""
    environment.pop("XDG_RUNTIME_DIR")
    inside = "mount -t tmpfs tmpfs /run && exec scripts/run"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", inside], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE_S * 3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unix:/run/modeld/modeld.sock" in open(os.path.join(environment["BUILD"], "run", "modeld.log")).read()


def read_until(fd, mark, text=""):
    end = time.monotonic() + PATIENCE_S * 3
    while mark not in text:
        assert select.select([fd], [], [], max(0, end - time.monotonic()))[0], text
        try:
            more = os.read(fd, 65536)
        except OSError:  # the terminal's other end is closed
            more = b""
        assert more, f"ended before {mark!r}: {text}"
        text += more.decode(errors="replace")
    return text


@pytest.mark.parametrize("end", ["ctrl-c", "hang-up"])
def test_on_a_terminal(environment, end):
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        # A shell cannot trap what it inherits as ignored.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.execvpe("scripts/run", ["scripts/run"], environment)
    text = read_until(terminal, "serving until Ctrl-C")
    text = read_until(terminal, "demo.py", text)
    check_output(text)
    address = re.search(r"ready at (\S+?);", text).group(1)
    # It goes on serving, and the commands that it shows work.
    done = subprocess.run(["build/modelctl", "infer", "digits", "--input", "conf/samples/digits/00_2.pgm", "--shape",
                           "1,8,8", "-a", address], executable=os.path.join(BUILD, "modelctl"), cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("probabilities: f32[1,10]"), done.stderr
    if end == "ctrl-c":
        os.write(terminal, b"\x03")
        read_until(terminal, "run: stopped")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    else:
        os.kill(pid, signal.SIGHUP)
        os.waitpid(pid, 0)
    os.close(terminal)
    no_daemon_left(open(os.path.join(environment["BUILD"], "run", "modeld.log")).read())


def test_port_in_use(environment, start):
    d = start(models=["identity"])
    environment["MODELD_LISTEN"] = d.tcp
    done = subprocess.run(["scripts/run"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE_S * 3)
    assert done.returncode == 1
    assert d.tcp in done.stderr and "in use" in done.stderr and "MODELD_LISTEN=" in done.stderr
    assert d.infer("identity", b"x").tensor_data.data == b"x"
