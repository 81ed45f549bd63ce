"""Three hosts: network namespaces on a bridge, below the namespace that the tests are in, which must be theirs alone."""
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000
FRONT = "10.77.0.1"  # where the proxy is, and the callers
# By these connections to a host that is silent end in some ten seconds (docs/proxies.md): for nginx, which leaves it to the kernel.
SETTINGS = {"tcp_retries2": 5, "tcp_keepalive_time": 5, "tcp_keepalive_intvl": 1, "tcp_keepalive_probes": 5}
libc = ctypes.CDLL(None, use_errno=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def why_not():
    """make check-proxies runs the tests in a namespace of their own where it may."""
    with open("/proc/net/dev", encoding="ascii") as f:
        others = {line.split(":")[0].strip() for line in f.readlines()[2:]} - {"lo", "hosts"}
    return "needs root, and a network namespace with nothing in it" if os.geteuid() != 0 or others else ""


def make_bridge(by_settings):
    ip("link", "add", "hosts", "type", "bridge")
    ip("addr", "add", f"{FRONT}/24", "dev", "hosts")
    ip("link", "set", "hosts", "up")
    for name, value in SETTINGS.items() if by_settings else ():
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as f:
            f.write(str(value))


def remove_bridge():
    ip("link", "del", "hosts")


class Host:
    """Number 1 has 10.77.0.2, and so on."""

    def __init__(self, number):
        self.address, self.plug = f"10.77.0.{number + 1}", f"host{number}"
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec sleep infinity"],
                                       stdout=subprocess.PIPE)
        try:
            self.join()
        except BaseException:
            self.end_holder()
            raise

    def join(self):
        if not self.holder.stdout.readline():
            raise RuntimeError("no network namespace can be made")
        self.fd = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        ip("link", "add", self.plug, "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        ip("link", "set", self.plug, "master", "hosts", "up")
        inside = f"ip addr add {self.address}/24 dev eth0 && ip link set eth0 up"
        subprocess.run(["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "sh", "-c", inside], check=True)

    def end_holder(self):
        """It would go on for ever, and keep whoever reads what the tests say waiting."""
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def enter(self):
        """For preexec."""
        if libc.setns(self.fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def unplug(self):
        """As where it has no more power: nothing comes from it, not even that it is gone."""
        ip("link", "set", self.plug, "down")

    def close(self):
        os.close(self.fd)
        self.end_holder()
        subprocess.run(["ip", "link", "del", self.plug], check=False, stderr=subprocess.DEVNULL)
