"""The socket to the daemon: records and descriptors in, gathered answers out. Any thread."""
import array
import os
import socket
import threading
import time

from . import codec, wire

CONTROL = socket.CMSG_SPACE(4 * 4)
# As plain numbers: those of the module are objects of enumerations, which take their time.
CLOEXEC, CUT, NOSIGNAL = int(socket.MSG_CMSG_CLOEXEC), int(socket.MSG_TRUNC | socket.MSG_CTRUNC), int(socket.MSG_NOSIGNAL)


class Closed(Exception):
    """The daemon is gone."""


def _descriptors(control):
    fds = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
    return list(fds)


class Channel:
    """`beside`: answers of the extension module's, which wait there and leave in the order in which they were made. What waits here is older:
    nothing is added while something waits there."""

    def __init__(self, fd):
        os.set_inheritable(fd, False)  # children of models do not get it
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(True)
        self._buffer = bytearray(wire.RECORD_MAX)
        self._view = memoryview(self._buffer)
        self._sending = threading.Lock()
        self._waiting = []  # bytes of messages that were not sent
        self._n = 0
        self._since = 0
        self.beside = None

    def receive(self):
        """(messages, descriptors) of the next record. The descriptors are the caller's. Closed, WireError"""
        try:
            n, control, flags, _ = self.socket.recvmsg_into([self._buffer], CONTROL, CLOEXEC)
        except ConnectionError:
            raise Closed from None
        fds = _descriptors(control) if control else []
        if n == 0:
            raise Closed
        try:
            if flags & CUT:
                raise wire.WireError("a record is longer than it may be")
            return codec.read_record(bytes(self._view[:n])), fds
        except wire.WireError:
            for fd in fds:
                os.close(fd)
            raise

    def add(self, message, now=False):
        """Sent with what else waits: `now`, or at the next flush(). WireError: it does not fit a record."""
        data = codec.write(message)
        with self._sending:
            if self._n + len(data) > wire.RECORD_MAX or self.beside and self.beside.waits:
                self._flush()
            if not self._waiting:
                self._since = time.perf_counter_ns()
            self._waiting.append(data)
            self._n += len(data)
            if now:
                self._flush()

    def send_with(self, message, fd):
        data = codec.write(message)
        with self._sending:
            self._flush()
            try:
                socket.send_fds(self.socket, [data], [fd], NOSIGNAL)
            except ConnectionError:
                raise Closed from None

    def flush(self):
        if self._waiting or self.beside and self.beside.waits:
            with self._sending:
                self._flush()

    def waits_ns(self):
        """For how long the oldest answer has waited; 0: there is none."""
        return time.perf_counter_ns() - self._since if self._waiting else 0

    def _flush(self):
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._n = 0
            try:
                self.socket.send(data, NOSIGNAL)
            except ConnectionError:
                raise Closed from None
        if self.beside:
            self.beside.flush()
