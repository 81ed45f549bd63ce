"""A process that has mounts and networks of its own: for preexec functions of daemons."""
import ctypes
import os

import pytest

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def call(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind, flags, options=None):
    call(libc.mount(source and source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags),
                    options and options.encode()))


def own_mounts():
    call(libc.unshare(CLONE_NEWNS))
    mount(None, "/", None, MS_REC | MS_PRIVATE)


def own_network():
    call(libc.unshare(CLONE_NEWNET))


def can_have_namespaces():
    pid = os.fork()
    if pid == 0:
        try:
            own_mounts()
            own_network()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


needs_namespaces = pytest.mark.skipif(os.geteuid() != 0 or not can_have_namespaces(), reason="needs root and namespaces")
