"""Where it runs without what one takes for granted: /proc, /dev/shm, a root that can be written to, IPv6, descriptors."""
import grp
import os
import resource
import stat

import pytest

from daemon import SANITIZED
from namespaces import MS_BIND, MS_RDONLY, MS_REMOUNT, mount, needs_namespaces, own_mounts, own_network


def serves(d):
    return d.infer("identity", b"abc", channel=d.channel(d.unix)).tensor_data.data == b"abc"


@needs_namespaces
@pytest.mark.skipif(SANITIZED, reason="sanitizers read /proc themselves")
def test_without_proc(start):
    def hide():
        own_mounts()
        mount("none", "/proc", "tmpfs", MS_RDONLY)

    d = start(models=["identity"], preexec=hide)
    assert serves(d)


@needs_namespaces
def test_a_root_that_is_read_only_and_no_shared_memory_file_system(start, tmp_path):
    def freeze():
        own_mounts()
        mount(str(tmp_path), str(tmp_path), None, MS_BIND)
        mount("none", "/dev/shm", "tmpfs", MS_RDONLY)
        mount(None, "/", None, MS_BIND | MS_REMOUNT | MS_RDONLY)

    d = start(f"server.runtime_dir={tmp_path}", models=["identity"], preexec=freeze)
    channel = d.channel(f"unix:{tmp_path}/modeld.sock")
    assert d.infer("identity", b"abc", channel=channel).tensor_data.data == b"abc"
    d.kill_a_worker()
    assert d.infer("identity", b"abc", channel=channel).tensor_data.data == b"abc"


@needs_namespaces
def test_without_ipv6(start):
    def forbid():
        own_network()
        with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w", encoding="ascii") as f:
            f.write("1")

    d = start(models=["identity"], preexec=forbid, listen="*:0, unix:modeld.sock")
    assert [a for a in d.addresses if a.startswith("0.0.0.0:")] and serves(d)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a group that is not ours")
def test_a_mask_that_leaves_nothing_to_others(start):
    group = grp.getgrnam("daemon")
    d = start(f"server.unix_group={group.gr_name}", f"handoff.unix_group={group.gr_name}", models=["identity"],
              preexec=lambda: os.umask(0o077))
    for name in ("modeld.sock", "handoff.sock"):
        st = os.stat(os.path.join(d.directory, name))
        assert stat.S_IMODE(st.st_mode) == 0o660 and st.st_gid == group.gr_gid
    assert serves(d)


def test_few_descriptors(start):
    d = start(models=["identity"], preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
    assert "few descriptors: limits are lowered" in d.log() and serves(d)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a directory of nobody's")
def test_a_runtime_directory_that_nobody_asked_for(start, tmp_path):
    """It cannot be made; with TCP alone that does not matter, else it is said."""
    (tmp_path / "file").write_text("")
    nowhere = f"server.runtime_dir={tmp_path}/file/run"
    d = start(nowhere, "handoff.socket=", models=["identity"], listen="127.0.0.1:0")
    assert d.infer("identity", b"abc").tensor_data.data == b"abc"
    d = start(nowhere, models=["identity"], ready=False)
    d.wait_end(71)
    assert "cannot make the runtime directory" in d.log() and f"{tmp_path}/file/run" in d.log()
