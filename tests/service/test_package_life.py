"""The package in a Debian of its own, with systemd as process 1: installed, made newer under callers, removed, purged. See machine.py."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from debian import run, why_not
from machine import Machine, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
INSTALL = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")
# What is on disk of a package that is there no more: lists of what was installed once, and logs.
KEPT = re.compile("/var/(lib/dpkg|lib/apt|cache|log)/|/newer|/(modeld|newest)[^/]*\\.deb$")
LISTENS = re.compile(r"^ *\d+: [0-9A-F]+:C384 [0-9A-F]+:0000 0A ", re.M)  # port 50052

pytestmark = pytest.mark.skipif(bool(why_not("debootstrap", "chroot", "unshare", "nsenter")), reason="needs root, debootstrap and a Debian mirror")


def newer(package, by, directory):
    """The same once more, but for its version."""
    tree, made = os.path.join(directory, by), os.path.join(directory, f"{by}.deb")
    run("dpkg-deb", "-R", package, tree)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control, encoding="utf-8") as f:
        text = re.sub(r"^Version: .*$", rf"\g<0>+{by}", f.read(), flags=re.M)
    with open(control, "w", encoding="utf-8") as f:
        f.write(text)
    run("dpkg-deb", "--root-owner-group", "-b", tree, made)
    return made


@pytest.fixture(scope="module")
def root(packages, tmp_path_factory):
    """A Debian that has what the package needs to be installed without a network, in three versions."""
    directory = tmp_path_factory.mktemp("debian")
    path = str(directory / "root")
    run("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,init-system-helpers", "bookworm", path)
    made = newer(packages["modeld"], "newer", str(directory))
    newest = newer(made, "newest", str(directory))
    for name, deb in (("modeld", packages["modeld"]), ("newer", made), ("newest", newest)):
        shutil.copy(deb, os.path.join(path, f"{name}.deb"))
    quiet = dict(env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
    run("chroot", path, "apt-get", "update", "-qq", **quiet)
    run("chroot", path, *INSTALL, "--download-only", "/modeld.deb", **quiet)
    return path


@pytest.fixture
def machine(root):
    with Machine(root) as m:
        yield m


def install(machine):
    machine.run(*INSTALL, "/modeld.deb")
    assert machine.show("SubState") == "running" and machine.show("UnitFileState") == "enabled"


def version(machine):
    return machine.run("dpkg-query", "-W", "-f", "${Version}", "modeld").stdout


def upgrade(machine, *argv):
    """Another process is the service then, without having been restarted."""
    before, pid = version(machine), machine.show("MainPID")
    done = machine.run(*argv)
    assert version(machine) != before
    assert machine.show("SubState") == "running" and machine.show("MainPID") not in ("0", pid)
    assert not os.path.exists(machine.path(f"/proc/{pid}"))
    assert machine.run("readlink", f"/proc/{machine.show('MainPID')}/exe").stdout.strip() == "/usr/bin/modeld"
    return done.stdout + done.stderr


def test_an_upgrade_loses_no_call(machine):
    install(machine)
    began = machine.show("ActiveEnterTimestampMonotonic")
    wait_for("its socket", lambda: os.path.exists(machine.path("/run/modeld/handoff.sock")))
    with machine.outside(sys.executable, os.path.join(HERE, "fifty.py"), machine.path("/run/modeld/modeld.sock"), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True) as callers:
        try:
            assert callers.stdout.readline() == "calling\n"
            said = upgrade(machine, "dpkg", "-i", "/newer.deb")
            said += upgrade(machine, *INSTALL, "/newest.deb")
            results, _ = callers.communicate("")
        finally:
            callers.kill()
    print(results, said)
    for kind, result in json.loads(results).items():
        assert not result["failures"], (kind, result)
    assert machine.show("ActiveEnterTimestampMonotonic") == began and machine.show("NRestarts") == "0"
    status = machine.run("cat", f"/proc/{machine.show('MainPID')}/status").stdout
    assert re.search(r"Uid:\s+(\d+)", status).group(1) == machine.run("id", "-u", "modeld").stdout.strip()


def test_a_process_that_cannot_take_over_is_a_restart(machine):
    """The new version says so, and the service is what the administrator's configuration makes of it."""
    install(machine)
    with open(machine.path("/etc/modeld/modeld.conf"), "a", encoding="ascii") as f:
        f.write("\n[nonsense]\nkey = 1\n")
    done = machine.run("dpkg", "--force-confold", "-i", "/newer.deb")
    assert "takeover 1 has failed" in done.stderr
    assert machine.show("ActiveState") == "failed" and machine.show("ExecMainStatus") == "78"


def test_what_is_stopped_is_left_alone_but_started_where_it_is_enabled(machine):
    install(machine)
    machine.run("systemctl", "disable", "--now", "modeld.service")
    machine.run("dpkg", "-i", "/newer.deb")
    assert machine.show("ActiveState") == "inactive" and machine.show("UnitFileState") == "disabled"


def test_what_still_starts_is_started_anew(machine):
    """The first start hangs behind READY=1: it is not waited for."""
    install(machine)
    machine.run("systemctl", "stop", "modeld.service")
    directory = machine.path("/run/systemd/system/modeld.service.d")
    os.makedirs(directory)
    with open(os.path.join(directory, "hang.conf"), "w", encoding="ascii") as f:
        f.write("[Service]\nTimeoutStartSec=infinity\n"
                "ExecStartPost=/bin/sh -c '[ -e %S/modeld/second ] || { touch %S/modeld/second; exec sleep infinity; }'\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "--no-block", "modeld.service")
    wait_for("its second half", lambda: machine.show("SubState") == "start-post" and os.path.exists(machine.path("/var/lib/modeld/second")))
    upgrade(machine, "timeout", "60", "dpkg", "-i", "/newer.deb")


def test_sockets_that_were_enabled_listen_when_it_comes_back(machine):
    """Removed and installed again, with what systemctl was told before."""
    install(machine)
    machine.run("systemctl", "disable", "--now", "modeld.service")
    machine.run("systemctl", "enable", "--now", "modeld.socket")
    machine.run("dpkg", "--remove", "modeld")
    assert not listens(machine)
    machine.run("dpkg", "-i", "/newer.deb")
    assert machine.show("ActiveState", "modeld.socket") == "active" and machine.show("ActiveState") == "inactive"
    assert machine.show("ActiveState", "modeld-handoff.socket") == "inactive" and listens(machine)


def left(machine):
    found = machine.run("find", "/", "-xdev", "-name", "*modeld*").stdout.split()
    return [path for path in found if not KEPT.search(path)]


def listens(machine):
    return bool(LISTENS.search(machine.run("cat", "/proc/net/tcp").stdout)) or "/run/modeld" in machine.run("cat", "/proc/net/unix").stdout


def test_nothing_is_left(machine):
    """Also of sockets that listen, of instances, of what they kept; before the package is purged its configuration stays."""
    assert left(machine) == []
    install(machine)
    machine.run("systemctl", "disable", "--now", "modeld.service")
    machine.run("systemctl", "enable", "--now", "modeld.socket", "modeld-handoff.socket")
    with open(machine.path("/etc/modeld/0.env"), "w", encoding="ascii") as f:
        f.write("WORKERS=cpu:0\n")
    machine.run("systemctl", "enable", "--now", "modeld@0.service")
    machine.run("modelctl", "wait-ready", "--timeout", "60", "--address", "127.0.0.1:50052")
    assert machine.show("SubState") == "running" and listens(machine)
    machine.run("apt-get", "remove", "-y", "-qq", "modeld")
    for unit in ("modeld.service", "modeld.socket", "modeld-handoff.socket", "modeld@0.service"):
        assert machine.show("ActiveState", unit) in ("inactive", "failed"), unit
    assert not listens(machine)
    assert not glob.glob(machine.path("/run/modeld*"))
    assert os.path.exists(machine.path("/etc/modeld/modeld.conf"))
    machine.run("apt-get", "purge", "-y", "-qq", "modeld")
    assert left(machine) == []
