"""The handoff connection: memory and requests over a SOCK_SEQPACKET socket (docs/handoff.md, proto/handoff.proto)."""
from __future__ import annotations

import array
import itertools
import os
import select
import socket
import threading
import time
import weakref
from typing import Dict, List, Mapping, Optional, Sequence, Set, Tuple, Type, TypeVar, Union

from ._memory import Region
from ._messages import (Allocate, Cancel, Data, Envelope, EnvelopeBody, Error, GetLimits, Infer, Inferred, Limits, Parameter, Register,
                        Registered, Target, Tensor, Unregister)
from .errors import ConnectionLost, DecodeError, ModeldError

MESSAGE_MAX = 128 * 1024
# An answer that is on its way when the time is up is waited for.
_GRACE_S = 0.1
# Answers to one request that nobody takes, as other threads receive them: beyond, the request is given up.
UNREAD_MAX = 256
_UNREAD_TEXT = f"{UNREAD_MAX} answers of one request wait to be read"
# What is waited for.
B = TypeVar("B", Limits, Registered, Inferred)
# In their order, each with its descriptors.
_Came = Tuple[Tuple[EnvelopeBody, List[int]], ...]
# W3C Trace Context: traceparent and tracestate.
Trace = Tuple[str, str]
NO_TRACE: Trace = ("", "")


def to_trace(carrier: Optional[Mapping[str, str]]) -> Trace:
    """Of what propagators of OpenTelemetry fill."""
    return (str(carrier.get("traceparent", "")), str(carrier.get("tracestate", ""))) if carrier else NO_TRACE


def mapped(registered: Registered, fds: List[int]) -> Region:
    """The region that the daemon made."""
    if len(fds) != 1 or not registered.region or not registered.number:
        raise ConnectionLost("the daemon's answer has no descriptor of the region that it made")
    return Region(registered.number, bytes(registered.region), registered.size, fds[0])


def _goes_on(answers: _Came) -> bool:
    """The last of them is not the last that there is."""
    body = answers[-1][0] if answers else None
    return isinstance(body, Inferred) and bool(body.more)


def _exception(error: Error) -> ModeldError:
    raised = ModeldError.from_number(error.code, error.message)
    raised.needed = {output.name: output.length for output in error.outputs}
    return raised


def _descriptors(control: List[Tuple[int, int, bytes]]) -> List[int]:
    fds: List[int] = []
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received = array.array("i")
            received.frombytes(payload[:len(payload) // received.itemsize * received.itemsize])
            fds += received
    return fds


def _close(fds: List[int]) -> None:
    for fd in fds:
        os.close(fd)


def _left(end: float) -> float:
    return max(0.0, end - time.monotonic())


def _until(end: Optional[float]) -> Optional[float]:
    """What is left; TimeoutError: nothing."""
    if end is None:
        return None
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


# A child must not keep its parent's connections, and so its regions, alive.
_open: "weakref.WeakSet[Handoff]" = weakref.WeakSet()


def _close_in_child() -> None:
    for handoff in _open:
        handoff._socket.close()


os.register_at_fork(after_in_child=_close_in_child)


def _connect(path: str, timeout: Optional[float]) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    connected.settimeout(timeout)
    try:
        connected.connect(path)
    except OSError as e:
        connected.close()
        raise ConnectionLost(f"cannot connect to the handoff socket {path}: {e.strerror}") from e
    return connected


class NotTaken(ConnectionLost):
    """The daemon has not taken the request, and will not: over another connection it may be sent again."""


class Handoff:
    """One connection. Safe from several threads: whoever waits receives for all.

    An exception out of a signal handler (KeyboardInterrupt) may come after any call. What has happened by a system call
    is therefore noted by the same call of list.extend(), between which and the system call there is no place for one; and
    locks are held by `with`, the lock itself being what is entered: Condition is not, it is written in Python.
    """

    def __init__(self, to: Union[str, socket.socket], timeout: Optional[float]) -> None:
        """to: the path of the socket, or one that is connected, which is taken over."""
        self._socket = to if isinstance(to, socket.socket) else _connect(to, timeout)
        self._sending = threading.Lock()
        self._lock = threading.RLock()
        self._receiving = threading.Condition(self._lock)
        self._reader: Optional[object] = None
        self._received: List[Tuple[bytes, list, int, object]] = []  # by recvmsg(), not looked at yet
        self._sent: Dict[int, List[int]] = {}  # by seq, what sendmsg() returned
        self._answers: Dict[int, _Came] = {}
        self._streams: Set[int] = set()  # those that may have several answers
        self._dropped: Dict[int, object] = {}
        self._cancels: Dict[int, int] = {}  # seq of a Cancel: of what
        self._abandoned: List[Tuple[int, object]] = []  # to be forgotten, with what is to be kept
        self._numbers = itertools.count(1)
        self._going = False  # the daemon takes nothing more; it answers what it has taken
        self._retired = False
        self._lost: Optional[str] = None  # why: an exception would keep the frames that it went through, and their arrays
        self._pid = os.getpid()
        _open.add(self)
        self._socket.setblocking(True)
        try:
            self.limits = self.get_limits(timeout)
        except BaseException as e:
            self.close()
            if isinstance(e, ConnectionLost):  # one that goes may have taken the connection just before
                raise NotTaken(e.message) from e
            raise

    def close(self) -> None:
        """Whoever waits is told so; the descriptor is closed when nobody uses it any more."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._lost = self._lost or "the handoff connection was closed"
            self._dropped.clear()
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already
            while self._reader:
                self._receiving.wait()
            self._receiving.notify_all()
        with self._sending:
            self._socket.close()

    def retire(self) -> None:
        """Nothing is sent here any more; it is closed behind the last answer that somebody waits for."""
        self._retired = True
        self._close_if_over()

    def _close_if_over(self) -> None:
        """Not while somebody reads, who asks again then: it may be himself, in a destructor."""
        with self._lock:
            over = not self._reader and (self._lost or not any(self._sent.values()))
        if over:
            self.close()

    def is_lost(self) -> bool:
        """The daemon has ended it, or is about to, or it was closed."""
        if not self._lost and not self._going:
            ended = select.poll()
            ended.register(self._socket, 0)
            # What it has answered before is still to be read, by who waits for it.
            self._going = bool(ended.poll(0))
        return self._going or self._lost is not None

    def check_process(self) -> None:
        """A connection, and its memory, belong to the process that made them."""
        if os.getpid() != self._pid:
            raise ConnectionLost("this connection was made before fork(): connect anew in the child")

    # --- records ------------------------------------------------------------------------------
    def number(self) -> int:
        """The seq of a request that is to be sent: who has it ahead can forget() it, wherever he is interrupted."""
        return next(self._numbers)

    def send(self, body: EnvelopeBody, seq: Optional[int] = None, end: Optional[float] = None,
             fds: Sequence[int] = ()) -> int:
        """Send a request, and descriptors with it; returns its seq for wait(). TimeoutError: not sent by then, of
        time.monotonic()."""
        self.check_process()
        seq = self.number() if seq is None else seq
        record = Envelope(seq, body).pack()
        if len(record) > MESSAGE_MAX:
            raise ModeldError("INVALID_ARGUMENT", f"a request of {len(record)} bytes without its tensors is "
                                                  f"beyond the limit of {MESSAGE_MAX}")
        try:
            self._send(record, end, fds, self._sent.setdefault(seq, []))
        except OSError as e:
            if isinstance(e, TimeoutError):
                raise
            why = f"the handoff connection was lost: {e.strerror}"
            if isinstance(e, BrokenPipeError):
                self._going = True  # others' answers still come, and then the end
            else:
                self._lost = self._lost or why
            raise NotTaken(self._lost or why) from e
        if self._abandoned:
            self._forget_abandoned()
        return seq

    def _send(self, record: bytes, end: Optional[float], fds: Sequence[int], sent: List[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while True:
            try:
                with self._sending:
                    sent.extend(map(self._socket.sendmsg, ([record],), (rights,), (socket.MSG_DONTWAIT,)))
                return
            except BlockingIOError:
                if not self._has_room(None if end is None else _left(end) * 1000):
                    raise TimeoutError("the daemon takes no requests") from None

    def _has_room(self, timeout_ms: Optional[float]) -> bool:
        room = select.poll()
        try:
            room.register(self._socket, select.POLLOUT)
        except ValueError:  # closed meanwhile: sending says so
            return True
        return bool(room.poll(timeout_ms))

    def _receive(self, timeout: Optional[float]) -> None:
        """One record into _answers. Called by one thread at a time, without the lock."""
        if self._received:
            self._take_received()
            return
        try:
            # Not settimeout(): that would be the timeout of other threads' sending, too.
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            if not waiting.poll(None if timeout is None else timeout * 1000):
                return
            self._received.extend(map(self._socket.recvmsg, (MESSAGE_MAX,), (socket.CMSG_SPACE(8 * 4),),
                                      (socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC,)))
        except BlockingIOError:
            return
        except OSError as e:
            self._lost = f"the handoff connection was lost: {e.strerror}"
            return
        self._take_received()

    def _take_received(self) -> None:
        """What was received goes to who waits for it. By the reader alone; again, where it was interrupted."""
        data, control, flags, _ = self._received[0]
        fds = _descriptors(control)
        if not data or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            self._refuse(fds, "the handoff connection was closed by the daemon")
            return
        try:
            answer = Envelope.unpack(data)
        except DecodeError as e:
            self._refuse(fds, e.message)
            return
        wanted = self._put(answer.seq, answer.body, fds)
        if wanted is None:
            self._refuse(fds, "the daemon answered what was not asked")
        elif not wanted:
            self._drop(answer.body, fds)
            self._cancel(answer.seq)

    def _put(self, seq: int, body: EnvelopeBody, fds: List[int]) -> Optional[bool]:
        """To who waits for it. False: nobody wants it; None: it is not due."""
        more = _goes_on(((body, fds),))
        with self._lock:
            before = self._answers.get(seq, ())
            if more and seq not in self._streams:
                return None
            if seq in self._dropped:
                self._received = []
                if not more:
                    self._over(seq)
                return False
            if seq not in self._sent or before and not _goes_on(before):
                return None
            if more and len(before) >= UNREAD_MAX:
                # It is given up; what has come is still there to be read.
                self._answers[seq], self._received = (*before, (Error(8, _UNREAD_TEXT), [])), []
                self._dropped[seq] = self._sent.pop(seq)
                return False
            self._answers[seq], self._received = (*before, (body, fds)), []
            return True

    def _over(self, seq: int) -> None:
        """No answer to it comes any more, nor to what it cancelled. With the lock."""
        self._streams.discard(seq)
        self._dropped.pop(seq, None)
        of = self._cancels.pop(seq, None)
        if of is not None:
            self._over(of)

    def _cancel(self, seq: int) -> None:
        """What is dropped of a stream is to end; it is told so once."""
        with self._lock:
            if seq not in self._streams or seq not in self._dropped or seq in self._cancels.values():
                return
            number = self.number()
            self._cancels[number] = seq
        try:
            self.send(Cancel(seq), number)
        except ModeldError:
            pass  # it ends with the connection
        finally:
            self.forget(number)

    def _refuse(self, fds: List[int], why: str) -> None:
        """The record that was received last ends the connection: nothing is believed that comes behind it."""
        self._received = []
        _close(fds)
        self._lose(why)

    def _lose(self, why: str) -> None:
        """The daemon is not believed any more; whoever waits hears of it."""
        self._lost = self._lost or why
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # closed already

    def _drop(self, body: EnvelopeBody, fds: List[int]) -> None:
        """An answer that nobody wants any more, and the region that may have come with it."""
        _close(fds)
        made = body.room if isinstance(body, Inferred) else [body] if isinstance(body, Registered) else ()
        try:
            for registered in made:
                self.unregister(registered.region)
        except ModeldError:
            pass  # the region is gone with the connection

    def wait(self, seq: int, timeout: Optional[float], of: Type[B], n_fds: int = 0) -> Tuple[B, List[int]]:
        """The answer to seq, which is one of those, and its descriptors: n_fds at most, the caller's to close. TimeoutError
        leaves it outstanding."""
        body, fds = self._wait(seq, timeout)
        if isinstance(body, of) and len(fds) <= n_fds:
            return body, fds
        _close(fds)
        if isinstance(body, Error):
            raise _exception(body)
        self._lose("the daemon's answer is of another kind, or has descriptors that are not due")
        raise ConnectionLost(self._lost or "")

    def _wait(self, seq: int, timeout: Optional[float]) -> Tuple[EnvelopeBody, List[int]]:
        try:
            return self._wait_for(seq, timeout)
        finally:
            if self._retired:
                self._close_if_over()

    def _wait_for(self, seq: int, timeout: Optional[float]) -> Tuple[EnvelopeBody, List[int]]:
        end = None if timeout is None else time.monotonic() + timeout
        me = object()
        while True:
            try:
                with self._lock:
                    while self._reader and seq not in self._answers and not self._lost:
                        self._receiving.wait(_until(end))
                    if seq in self._answers:
                        return self._take(seq)
                    if self._lost:
                        raise ConnectionLost(self._lost)
                    self._reader = me
                self._receive(_until(end))
            finally:
                if self._reader is me:
                    with self._lock:
                        self._reader = None
                        self._receiving.notify_all()

    def _take(self, seq: int) -> Tuple[EnvelopeBody, List[int]]:
        """The first of its answers."""
        answers = self._answers[seq]
        if len(answers) == 1 and not _goes_on(answers):
            self._sent.pop(seq, None)
            if seq in self._streams and seq not in self._dropped:
                self._over(seq)
        if len(answers) > 1:
            self._answers[seq] = answers[1:]
            return answers[0]
        return self._answers.pop(seq)[0]

    def forget(self, seq: int, keep: object = None) -> None:
        """Nobody will wait for seq any more. `keep` (memory that it may still write) lives until it ends; not at all, if it
        was never sent. What may have several answers is cancelled."""
        with self._lock:
            answers = self._answers.pop(seq, ())
            sent = self._sent.pop(seq, None)
            if seq in self._dropped or sent and (not answers or _goes_on(answers)):
                self._dropped[seq] = keep
            else:
                self._over(seq)
        for answer in answers:
            self._drop(*answer)
        self._cancel(seq)
        if self._retired:
            self._close_if_over()

    def abandon(self, seq: int, keep: object = None) -> None:
        """As forget(), from a destructor, which may run inside of any call here: at once, unless somebody is sending."""
        if os.getpid() != self._pid:
            return
        self._abandoned.append((seq, keep))
        if self._sending.acquire(blocking=False):
            self._sending.release()
            self._forget_abandoned()

    def _forget_abandoned(self) -> None:
        try:
            while True:
                self.forget(*self._abandoned.pop())
        except IndexError:
            pass

    # --- requests -----------------------------------------------------------------------------
    def get_limits(self, timeout: Optional[float] = None) -> Dict[str, int]:
        seq = self.number()
        try:
            limits, _ = self.wait(self.send(GetLimits(), seq), timeout, Limits)
        except ModeldError:
            raise
        except BaseException:
            self.forget(seq)
            raise
        return {name: getattr(limits, name) for name in limits.__slots__}

    def allocate(self, size: int, end: Optional[float] = None) -> Region:
        """TimeoutError: not there by then, of time.monotonic(); what comes later goes back."""
        seq = self.number()
        try:
            self.send(Allocate(size), seq, end)
            registered, fds = self.wait(seq, None if end is None else _left(end), Registered, 1)
        except ModeldError:
            raise
        except BaseException:
            self.forget(seq)
            raise
        try:
            return mapped(registered, fds)
        finally:
            _close(fds)

    def register(self, fd: int, size: int, end: Optional[float] = None, device: str = "", read_only: bool = True) -> Registered:
        """Memory of somebody else's making, of a GPU's where that is named. TimeoutError, as allocate()"""
        seq = self.number()
        try:
            self.send(Register(size, read_only, device), seq, end, [fd])
            registered, _ = self.wait(seq, None if end is None else _left(end), Registered)
        except ModeldError:
            raise
        except BaseException:
            self.forget(seq)
            raise
        return registered

    def unregister(self, token: Data) -> None:
        """The answer, which is of no interest, is not waited for."""
        seq = self.number()
        try:
            self.send(Unregister(token), seq)
        finally:
            self.forget(seq)

    def release(self, region: Region) -> None:
        try:
            self.unregister(region.token)
        except ModeldError:
            pass  # the connection is gone, and the region with it

    def infer(self, seq: int, model: str, inputs: List[Tensor], targets: List[Target], outputs: List[str],
              end: Optional[float], parameters: Dict[str, str], partial: bool = False, trace: Trace = NO_TRACE,
              make_room: bool = True) -> None:
        """Outputs that find no room in their targets come in a region of the daemon's making, or, without make_room, are an
        error that tells their sizes. Its answer: inferred().
        partial: there may be several, as a decoupled model gives them, each but the last with `more`."""
        timeout_us = 0 if end is None else max(1, int(_left(end) * 1e6))
        if partial:
            self._streams.add(seq)
        self.send(Infer(model, inputs, targets, outputs, timeout_us, [Parameter(k, v) for k, v in parameters.items()],
                        make_room=make_room, partial=partial, traceparent=trace[0], tracestate=trace[1]), seq, end)

    def inferred(self, seq: int, end: Optional[float]) -> Tuple[Inferred, List[int]]:
        """The next answer to infer(), and the descriptor of its room, if it has one: the caller's to close. TimeoutError: it is
        not on its way at `end` (of time.monotonic())."""
        return self.wait(seq, None if end is None else end + _GRACE_S - time.monotonic(), Inferred, 1)
