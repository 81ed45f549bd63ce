"""What is done to the service, under a systemd that test_systemd.py has booted: one function a scenario."""
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

MODELCTL = "/opt/modeld/bin/modelctl"
LOG = "/run/modeld.log"
PATIENCE_S = 60


def systemctl(*words, check=True):
    return subprocess.run(["systemctl", *words], check=check, capture_output=True, text=True)


def show(name, unit="modeld.service"):
    return systemctl("show", unit, "--property", name, "--value").stdout.strip()


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"{what}: {systemctl('status', '--no-pager', 'modeld', check=False).stdout}"
        time.sleep(0.02)


def modelctl(*words, check=True):
    """Without an address: it finds the service by itself."""
    return subprocess.run([MODELCTL, *words], check=check, capture_output=True, text=True)


def start():
    systemctl("start", "modeld.service")
    assert show("ActiveState") == "active" and show("SubState") == "running"
    return int(show("MainPID"))


def start_and_stop():
    pid = start()
    assert modelctl("infer", "digits", "--fill", "0").stdout.startswith("probabilities: f32[1,10]")
    assert modelctl("infer", "identity", "--dtype", "u8", "--shape", "3", "--fill", "ramp").returncode == 0
    assert " sandbox on: " in modelctl("status", "-o", "wide").stdout
    status = open(f"/proc/{pid}/status", encoding="ascii").read()
    assert re.search(r"Uid:\s+[1-9]", status), "it runs as root"
    assert re.search(r"NoNewPrivs:\s+1", status) and re.search(r"CapEff:\s+0+\n", status)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    began = time.monotonic()
    systemctl("stop", "modeld.service")
    assert time.monotonic() - began < 10
    assert show("Result") == "success" and show("ActiveState") == "inactive"
    assert not os.path.exists("/run/modeld")


def a_crash_is_followed_by_a_start():
    pid = start()
    os.kill(pid, signal.SIGKILL)
    wait_for("another daemon", lambda: show("ActiveState") == "active" and show("MainPID") not in ("0", str(pid)))
    assert modelctl("status").returncode == 0


def a_daemon_that_stands_still_is_replaced():
    pid = start()
    os.kill(pid, signal.SIGSTOP)
    wait_for("another daemon", lambda: show("ActiveState") == "active" and show("MainPID") not in ("0", str(pid)))
    assert show("NRestarts") == "1"
    assert modelctl("status").returncode == 0


def reload_reads_the_repository():
    pid = start()
    assert modelctl("infer", "added", "--dtype", "u8", "--shape", "1", "--fill", "1", check=False).returncode != 0
    os.makedirs("/opt/modeld/share/modeld/models/added/1")
    with open("/opt/modeld/share/modeld/models/added/model.conf", "w", encoding="ascii") as f:
        f.write("[model]\nbackend = builtin\n[parameters]\nfunction = identity\n")
    systemctl("reload", "modeld.service")
    assert int(show("MainPID")) == pid
    wait_for("the added model", lambda: modelctl(
        "infer", "added", "--dtype", "u8", "--shape", "1", "--fill", "1", check=False).returncode == 0)


def a_bad_configuration_is_not_tried_again():
    with open("/opt/modeld/etc/modeld/modeld.conf", "a", encoding="ascii") as f:
        f.write("\n[nonsense]\nkey = 1\n")
    assert systemctl("start", "modeld.service", check=False).returncode != 0
    assert show("ActiveState") == "failed" and show("NRestarts") == "0" and show("ExecMainStatus") == "78"


def connect_by_tcp():
    socket.create_connection(("127.0.0.1", 50052), timeout=PATIENCE_S).close()


class Connecting:
    """Somebody who connects again and again."""

    def __init__(self, connect=connect_by_tcp):
        self.connect = connect
        self.done, self.refused, self.stopping = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping.is_set():
            try:
                self.connect()
                self.done += 1
            except OSError as e:
                self.refused.append(str(e))
            time.sleep(0.001)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self.refused


def a_restart_refuses_nobody():
    pid = start()
    connecting = Connecting()
    wait_for("connections", lambda: connecting.done > 5)
    systemctl("restart", "modeld.service")
    assert show("ActiveState") == "active" and show("MainPID") not in ("0", str(pid))
    done = connecting.done
    wait_for("connections afterwards", lambda: connecting.done > done + 5)
    assert connecting.stop() == []
    assert modelctl("infer", "digits", "--fill", "0", "--address", "127.0.0.1:50052").returncode == 0


def the_first_client_starts_it():
    systemctl("start", "modeld.socket")
    assert show("ActiveState") == "inactive"
    assert modelctl("wait-ready", "--timeout", "60", "--address", "127.0.0.1:50052").returncode == 0
    wait_for("the service", lambda: show("ActiveState") == "active")
    assert modelctl("status").returncode == 0


LOCAL = "/run/modeld-handoff/"


def connect_to_handoff():
    """Waits where the queue is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(LOCAL + "handoff.sock")


def infer_locally():
    modelctl("wait-ready", "--timeout", "60", "--address", f"unix:{LOCAL}modeld.sock")
    done = modelctl("infer", "digits", "--fill", "0", "--address", f"unix:{LOCAL}modeld.sock", check=False)
    assert ": f32[1,10], " in done.stdout, done.stderr


def unix_sockets_of_systemd_stay():
    """The first local client starts the service; none is refused over a restart and a takeover; a stop leaves the files."""
    conf = "/opt/modeld/etc/modeld/modeld.conf"
    with open(conf, encoding="ascii") as f:
        text = f.read().replace(", unix:modeld.sock\n", f", unix:{LOCAL}modeld.sock\n", 1)
    with open(conf, "w", encoding="ascii") as f:
        f.write(text.replace("\nsocket = handoff.sock\n", f"\nsocket = {LOCAL}handoff.sock\n", 1))
    systemctl("start", "modeld-handoff.socket")
    assert show("ActiveState") == "inactive"
    connecting = Connecting(connect_to_handoff)
    wait_for("the service", lambda: show("ActiveState") == "active")
    infer_locally()
    pid = show("MainPID")
    systemctl("restart", "modeld.service")
    assert show("ActiveState") == "active" and show("MainPID") not in ("0", pid)
    infer_locally()
    pid = show("MainPID")
    systemctl("kill", "--signal=USR2", "--kill-whom=main", "modeld.service")
    wait_for("another process", lambda: show("MainPID") not in ("0", pid))
    wait_for("the end of the first", lambda: not os.path.exists(f"/proc/{pid}"))
    infer_locally()
    assert connecting.stop() == []
    assert "given to us" not in open(LOG, encoding="utf-8").read()
    systemctl("stop", "modeld.service")
    assert show("Result") == "success"
    infer_locally()
    wait_for("the service", lambda: show("ActiveState") == "active")


def another_process_takes_over():
    pid = start()
    connecting = Connecting()
    systemctl("kill", "--signal=USR2", "--kill-whom=main", "modeld.service")
    wait_for("another process", lambda: show("MainPID") not in ("0", str(pid)))
    wait_for("the end of the first", lambda: not os.path.exists(f"/proc/{pid}"))
    assert connecting.stop() == []
    seen = int(show("WatchdogTimestampMonotonic"))
    wait_for("a sign of life", lambda: int(show("WatchdogTimestampMonotonic")) > seen)
    assert show("ActiveState") == "active" and show("NRestarts") == "0"
    assert modelctl("infer", "digits", "--fill", "0").returncode == 0
    systemctl("stop", "modeld.service")
    assert show("Result") == "success"


def workers_have_limits():
    """By the controllers that there are: the kernel ends a worker that takes more memory, or RLIMIT_DATA holds it."""
    groups = "memory" in open("/sys/fs/cgroup/cgroup.controllers", encoding="ascii").read().split()
    most = 64 << 20 if groups else 1 << 30
    with open("/opt/modeld/etc/modeld/modeld.conf", encoding="ascii") as f:
        text = f.read().replace("\nmax_memory_bytes = 0\nmax_cpu_percent", f"\nmax_memory_bytes = {most}\nmax_cpu_percent")
    with open("/opt/modeld/etc/modeld/modeld.conf", "w", encoding="ascii") as f:
        f.write(text)
    pid = start()
    worker = int(re.search(r"cpu:0/0 .* pid (\d+)", modelctl("status").stdout).group(1))
    assert modelctl("infer", "identity", "--dtype", "u8", "--shape", "3", "--fill", "1").returncode == 0
    takes = r"[\d.]+ MiB of 64\.0 MiB" if groups else r"up to 1\.0 GiB of private memory"
    assert re.search(f"^ +takes {takes}", modelctl("status", "-o", "wide").stdout, re.M)
    group = show("ControlGroup")
    if groups:
        assert f"0::{group}/daemon\n" in open(f"/proc/{pid}/cgroup", encoding="ascii").read()
        assert f"0::{group}/worker-{pid}-" in open(f"/proc/{worker}/cgroup", encoding="ascii").read()
        modelctl("infer", "identity", "--dtype", "u8", "--shape", "99000000", "--fill", "1", check=False)
        wait_for("the end of the worker", lambda: f"by the kernel, for [worker] max_memory_bytes = {most}" in modelctl("status").stdout)
        os.kill(pid, signal.SIGKILL)
        wait_for("another daemon", lambda: show("ActiveState") == "active" and show("MainPID") not in ("0", str(pid)))
    else:
        assert f"max_memory_bytes = {most} by RLIMIT_DATA" in open(LOG, encoding="utf-8").read()
        assert re.search(rf"Max data size +{most} +{most} ", open(f"/proc/{worker}/limits", encoding="ascii").read())
    assert modelctl("infer", "identity", "--dtype", "u8", "--shape", "3", "--fill", "1").returncode == 0
    systemctl("stop", "modeld.service")
    assert show("Result") == "success"


class Fifty:
    """Callers over TCP with what gRPC does by default: calls that the server has not begun are sent again."""

    def __init__(self):
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
        import grpc
        from callers import Callers
        self.channels = []
        self.grpc = grpc
        self.callers = Callers(self, 50)
        self.goes_on()

    def channel(self):
        self.channels.append(self.grpc.insecure_channel("127.0.0.1:50052", [("grpc.use_local_subchannel_pool", 1)]))
        return self.channels[-1]

    def goes_on(self):
        done = self.callers.done
        wait_for("calls", lambda: self.callers.done > done + 100)

    def failures(self, what):
        self.goes_on()
        done, failures = self.callers.stop()
        print(f"{what}: {done} calls, {len(failures)} failed, the slowest took {self.callers.slowest * 1000:.0f} ms")
        return failures


def a_restart_loses_no_call():
    pid = start()
    fifty = Fifty()
    systemctl("restart", "modeld.service")
    assert show("ActiveState") == "active" and show("MainPID") not in ("0", str(pid))
    assert fifty.failures("systemctl restart") == []


def an_upgrade_loses_no_call():
    pid = start()
    fifty = Fifty()
    systemctl("kill", "--signal=USR2", "--kill-whom=main", "modeld.service")
    wait_for("another process", lambda: show("MainPID") not in ("0", str(pid)))
    wait_for("the end of the first", lambda: not os.path.exists(f"/proc/{pid}"))
    assert fifty.failures("SIGUSR2") == []


def instances_are_apart():
    """Here without GPUs: what an instance is for, its file of environment variables says."""
    for i in "01":
        with open(f"/opt/modeld/etc/modeld/{i}.env", "w", encoding="ascii") as f:
            f.write("WORKERS=cpu:0\n")
        systemctl("start", f"modeld@{i}.service")
    pids = [show("MainPID", f"modeld@{i}.service") for i in "01"]
    assert len(set(pids)) == 2 and "0" not in pids
    for i in "01":
        done = modelctl("infer", "digits", "--fill", "0", "--address", f"unix:/run/modeld-{i}/modeld.sock")
        assert ": f32[1,10], " in done.stdout
    systemctl("stop", "modeld@0.service")
    assert show("Result", "modeld@0.service") == "success" and not os.path.exists("/run/modeld-0")
    assert modelctl("status", "--address", "unix:/run/modeld-1/modeld.sock").returncode == 0
    systemctl("stop", "modeld@1.service")


def main():
    wait_for("process 1", lambda: systemctl("is-system-running", check=False).stdout.strip() in ("running", "degraded"))
    try:
        globals()[sys.argv[1]]()
    except BaseException:
        print(systemctl("status", "--no-pager", "--full", "modeld", check=False).stdout)
        if os.path.exists(LOG):
            print(open(LOG, encoding="utf-8", errors="replace").read())
        raise


if __name__ == "__main__":
    main()
