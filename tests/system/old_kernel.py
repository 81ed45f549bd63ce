"""A daemon whose kernel does not know SO_PASSRIGHTS (Linux before 6.16)."""
import concurrent.futures
import ctypes
import errno
import platform
import struct

import pytest

SO_PASSRIGHTS = 83
SETSOCKOPT = {"x86_64": 54, "aarch64": 208}.get(platform.machine())
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # of classic BPF
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, THIRD_ARGUMENT = 0, 32  # where struct seccomp_data has them
libc = ctypes.CDLL(None, use_errno=True)

needs_setsockopt = pytest.mark.skipif(SETSOCKOPT is None, reason="the number of setsockopt(2) is not known here")


class Program(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("code", ctypes.c_char_p)]


CODE = [(LOAD, 0, 0, NUMBER), (JUMP_EQUAL, 0, 3, SETSOCKOPT), (LOAD, 0, 0, THIRD_ARGUMENT), (JUMP_EQUAL, 0, 1, SO_PASSRIGHTS),
        (RETURN, 0, 0, ERRNO | errno.ENOPROTOOPT), (RETURN, 0, 0, ALLOW)]


def refuse():
    code = b"".join(struct.pack("HBBI", *one) for one in CODE)
    program = Program(len(CODE), code)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "seccomp")


def without_passrights(start, *args, **options):
    """start(...), by a thread whose children inherit the filter: between fork and exec gRPC's threads would be in the way."""
    with concurrent.futures.ThreadPoolExecutor(1, initializer=refuse) as pool:
        return pool.submit(start, *args, **options).result()
