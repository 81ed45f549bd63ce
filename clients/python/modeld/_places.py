"""Where a client looks for the daemon when nobody says so: the order of src/base/places.h."""
from __future__ import annotations

import errno
import os
import socket
from typing import List

USER_DIR = "modeld"
SYSTEM_DIR = "/run/modeld"
SOCKET = "modeld.sock"
HANDOFF = "handoff.sock"
TCP = "127.0.0.1:50052"


def places() -> List[str]:
    """Addresses, the first that answers being meant."""
    only = os.environ.get("MODELD_ADDRESS")
    if only:
        return [only]
    directory = os.environ.get("XDG_RUNTIME_DIR")
    own = [f"unix:{directory}/{USER_DIR}/{SOCKET}"] if directory else []
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
