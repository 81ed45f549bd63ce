"""A machine of namespaces: a Debian of its own, with systemd as process 1 (machine.sh)."""
import os
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE_S = 60
SPACES = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
BARE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}


def wait_for(what, condition, say=lambda: ""):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"{what}: {say()}"
        time.sleep(0.05)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(word) for word in f.read().split()]


class Machine:
    """Runs until the end of `with`, on a copy of the directory `root` that goes with it."""

    def __init__(self, root):
        # Whatever ends, the machine ends with it.
        self.unshare = subprocess.Popen(["unshare", *SPACES, "--fork", "--kill-child", os.path.join(HERE, "machine.sh"), root],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_for("process 1", lambda: children(self.unshare.pid) or self.unshare.poll() is not None)
            self.pid = children(self.unshare.pid)[0]
            wait_for("a system", lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
                     lambda: self.run("systemctl", "list-jobs", check=False).stdout)
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.unshare.kill()
        self.unshare.communicate()

    def run(self, *argv, check=True):
        done = subprocess.run(["nsenter", "--target", str(self.pid), *SPACES, "--root", "--wd=/", *argv], env=BARE, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{argv}\n{done.stdout}{done.stderr}"
        return done

    def outside(self, *argv, **kw):
        """A program of the host's, which has only the network of the machine."""
        return subprocess.Popen(["nsenter", "--target", str(self.pid), "--net", *argv], **kw)

    def path(self, path):
        """Where the host finds it: Unix sockets, too."""
        return f"/proc/{self.pid}/root{path}"

    def show(self, name, unit="modeld.service"):
        return self.run("systemctl", "show", unit, "--property", name, "--value").stdout.strip()
