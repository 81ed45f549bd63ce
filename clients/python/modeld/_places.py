"""Where a client looks for the daemon when nobody says so: the order of src/base/places.h."""
from __future__ import annotations

import errno
import os
import socket
import stat
from typing import List, Optional

USER_DIR = "modeld"
OWN = "/tmp/modeld-"
SYSTEM_DIR = "/run/modeld"
SOCKET = "modeld.sock"
HANDOFF = "handoff.sock"
TCP = "127.0.0.1:50052"


def own_directory() -> str:
    return f"{OWN}{os.geteuid()}"


def is_ours(directory: str) -> bool:
    """A directory, no link to one, of this user's, that nobody else may enter."""
    try:
        st = os.lstat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(st.st_mode) and st.st_uid == os.geteuid() and not st.st_mode & 0o077


def _user() -> Optional[str]:
    directory = os.environ.get("XDG_RUNTIME_DIR")
    if directory:
        return f"{directory}/{USER_DIR}"
    return own_directory() if os.geteuid() != 0 and is_ours(own_directory()) else None


def places() -> List[str]:
    """Addresses, the first that answers being meant."""
    only = os.environ.get("MODELD_ADDRESS")
    if only:
        return [only]
    user = _user()
    own = [f"unix:{user}/{SOCKET}"] if user else []
    return [*own, f"unix:{SYSTEM_DIR}/{SOCKET}", TCP]


def answers(path: str) -> bool:
    """Somebody listens on the Unix socket, and we may connect."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.setblocking(False)
        try:
            s.connect(path)
        except OSError as e:
            return e.errno == errno.EAGAIN  # its queue is full
    return True


def find() -> str:
    """The first that answers; the last is not asked."""
    listed = places()
    for address in listed[:-1]:
        if answers(address[len("unix:"):]):
            return address
    return listed[-1]
