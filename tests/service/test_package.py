"""The Debian packages: made, looked at by lintian, installed into a bare root, run there, removed again."""
import glob
import os
import shutil
import socket
import subprocess

import pytest

from debian import run, why_not

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def test_they_are_built_by_a_profile(packages):
    (flags,) = glob.glob(os.path.join(ROOT, "build", "deb", "modeld-*", "build", "flags"))
    with open(flags) as f:
        assert "-fprofile-use" in f.read().split()
    assert os.path.exists(os.path.join(os.path.dirname(flags), "trained"))


def test_what_is_made(packages):
    assert set(packages) == {"modeld", "libmodeld0", "libmodeld-dev", "python3-modeld"}
    listed = run("dpkg-deb", "-c", packages["modeld"])
    for path in ("./usr/bin/modeld", "./usr/libexec/modeld/modeld-worker", "./lib/systemd/system/modeld.service", "./lib/systemd/system/modeld@.service",
                 "./usr/share/man/man5/modeld.conf.5.gz", "./usr/lib/sysusers.d/modeld.conf", "./usr/lib/modeld/backends/onnxruntime.so"):
        assert f" {path}\n" in listed
    assert run("dpkg-deb", "-I", packages["modeld"], "conffiles").split() == ["/etc/modeld/modeld.conf"]


@pytest.mark.skipif(bool(why_not("lintian")), reason="needs root and lintian")
def test_lintian_finds_no_error(packages):
    run("lintian", "--allow-root", "--fail-on", "error", *packages.values())


@pytest.mark.skipif(bool(why_not("debootstrap", "chroot", "unshare")), reason="needs root, debootstrap and a Debian mirror")
def test_installed_into_a_bare_root(packages, tmp_path):
    root = str(tmp_path / "root")
    run("debootstrap", "--variant=minbase", "bookworm", root)
    for path in packages.values():
        shutil.copy(path, root)
    names = [f"/{os.path.basename(packages[n])}" for n in ("modeld", "libmodeld0", "libmodeld-dev")]
    quiet = dict(env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
    run("chroot", root, "apt-get", "update", "-qq", **quiet)
    run("chroot", root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *names, **quiet)
    assert run("chroot", root, "id", "-Gn", "modeld").strip() == "modeld"
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "127.0.0.1:%d" % free.getsockname()[1]
    # In namespaces of its own, where /proc can be mounted and goes with it.
    inside = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    daemon = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", inside, root, "modeld", "--config", "/etc/modeld/modeld.conf",
         "--set", f"server.listen={address}", "--set", "server.runtime_dir=/run",
         "--set", "models.serve=identity", "--set", "models.default=identity", "--set", "metrics.listen="])
    try:
        run("chroot", root, "modelctl", "wait-ready", "--address", address, "--timeout", "60")
        run("chroot", root, "modelctl", "infer", "identity", "--fill", "1", "--shape", "4", "--dtype", "u8", "--address", address)
        daemon.terminate()
        assert daemon.wait(60) == 0
    finally:
        daemon.kill()
        daemon.wait()
    run("chroot", root, "apt-get", "purge", "-y", "-qq", "modeld", "libmodeld0", "libmodeld-dev", **quiet)
    for path in ("usr/bin/modeld", "usr/lib/modeld", "usr/libexec/modeld", "etc/modeld", "usr/share/modeld",
                 "lib/systemd/system/modeld.service"):
        assert not os.path.exists(os.path.join(root, path)), path
