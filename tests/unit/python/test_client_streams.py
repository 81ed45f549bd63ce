"""Several answers to one request: the client's handoff connection, with a daemon that says what the test says."""
import contextlib
import gc
import os
import socket
import threading
import time

import pytest

import messages
from python_models import modeld
from modeld import _device, _handoff

h = messages.handoff


class Daemon:
    def __init__(self):
        self.socket, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asked, self._came = [], threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def connect(self):
        return _handoff.Handoff(self._theirs, None)

    def _serve(self):
        with contextlib.suppress(OSError):
            while record := self.socket.recv(1 << 17):
                request = h.Envelope.FromString(record)
                if request.WhichOneof("body") == "get_limits":
                    self.send(request.seq, limits=h.Limits(protocol=1))
                with self._came:
                    self._asked.append(request)
                    self._came.notify_all()

    def send(self, seq, fds=(), **body):
        socket.send_fds(self.socket, [h.Envelope(seq=seq, **body).SerializeToString()], list(fds))

    def answer(self, seq, value, more):
        self.send(seq, inferred=h.Inferred(outputs=[h.Tensor(name="y", dtype=2, dims=[1], data=bytes([value]))], more=more))

    def kinds(self):
        with self._came:
            return [r.WhichOneof("body") for r in self._asked]

    def next(self, what):
        """The first request of that kind that was not taken yet."""
        def found():
            return next((r for r in self._asked if r.WhichOneof("body") == what), None)
        with self._came:
            assert self._came.wait_for(found, 60), f"no {what} came"
            request = found()
            self._asked.remove(request)
            return request


@pytest.fixture
def daemon():
    d = Daemon()
    yield d
    d.socket.close()


@pytest.fixture
def client(daemon):
    c = daemon.connect()
    yield c
    c.close()


def begin(client, partial=True):
    seq = client.number()
    client.infer(seq, "m", [], [], [], None, {}, partial=partial)
    return seq


def take(client, seq):
    answer, fds = client.inferred(seq, time.monotonic() + 60)
    assert not fds
    return answer.outputs[0].data[0], bool(answer.more)


def ask_another(daemon, client):
    """By its wait whatever was sent before is received as well."""
    seq = begin(client, partial=False)
    while daemon.next("infer").seq != seq:
        pass
    daemon.answer(seq, 99, False)
    assert take(client, seq) == (99, False)


def test_they_come_in_order(daemon, client):
    seq = begin(client)
    for k in range(3):
        daemon.answer(seq, k, k < 2)
    assert [take(client, seq) for _ in range(3)] == [(0, True), (1, True), (2, False)]
    ask_another(daemon, client)


def test_others_receive_them_meanwhile(daemon, client):
    seq = begin(client)
    daemon.answer(seq, 0, True)
    daemon.answer(seq, 1, True)
    ask_another(daemon, client)
    daemon.answer(seq, 2, False)
    ask_another(daemon, client)
    assert [take(client, seq) for _ in range(3)] == [(0, True), (1, True), (2, False)]


def test_an_error_ends_them(daemon, client):
    seq = begin(client)
    daemon.answer(seq, 0, True)
    daemon.send(seq, error=h.Error(code=13, message="it failed"))
    assert take(client, seq) == (0, True)
    with pytest.raises(modeld.ModeldError, match="it failed"):
        client.inferred(seq, time.monotonic() + 60)
    ask_another(daemon, client)


@pytest.mark.parametrize("partial, answers", [(False, [True]), (True, [False, False]), (True, [True, False, True])],
                         ids=["unasked", "behind the last", "again"])
def test_those_that_are_not_due_end_the_connection(daemon, client, partial, answers):
    seq = begin(client, partial)
    for k, more in enumerate(answers):
        daemon.answer(seq, k, more)
    with pytest.raises(modeld.ConnectionLost, match="what was not asked"):
        ask_another(daemon, client)


def test_what_is_forgotten_is_cancelled_and_its_memory_kept_until_then(daemon, client):
    class Memory:
        gone = False

        def __del__(self):
            Memory.gone = True

    seq = begin(client)
    daemon.answer(seq, 0, True)
    assert take(client, seq) == (0, True)
    client.forget(seq, Memory())
    cancel = daemon.next("cancel")
    assert cancel.cancel.of == seq
    daemon.answer(seq, 1, True)
    ask_another(daemon, client)
    gc.collect()
    assert not Memory.gone
    daemon.send(cancel.seq, error=h.Error(code=1, message="cancelled"))
    ask_another(daemon, client)
    gc.collect()
    assert Memory.gone and "cancel" not in daemon.kinds()


def test_it_may_have_ended_when_the_cancel_comes(daemon, client):
    seq = begin(client)
    client.forget(seq)
    cancel = daemon.next("cancel")
    daemon.answer(seq, 1, False)
    daemon.send(cancel.seq, error=h.Error(code=1, message="cancelled"))
    ask_another(daemon, client)


def test_what_is_read_to_its_end_is_not_cancelled(daemon, client):
    seq = begin(client)
    daemon.answer(seq, 0, False)
    take(client, seq)
    client.forget(seq)
    ask_another(daemon, client)
    assert "cancel" not in daemon.kinds()


def test_regions_of_answers_that_nobody_wants_are_given_back(daemon, client):
    seq = begin(client)
    client.forget(seq)
    daemon.next("cancel")
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    daemon.send(seq, [fd], inferred=h.Inferred(room=[h.Registered(region=b"t" * 16, number=7, size=4096)], more=True))
    os.close(fd)
    ask_another(daemon, client)
    assert daemon.next("unregister").unregister.region == b"t" * 16


def test_what_nobody_reads_is_bounded(daemon, client):
    seq = begin(client)
    for k in range(_handoff.UNREAD_MAX + 10):
        daemon.answer(seq, k % 200, True)
        if k % 50 == 0:
            ask_another(daemon, client)
    ask_another(daemon, client)
    cancel = daemon.next("cancel")
    assert cancel.cancel.of == seq and "cancel" not in daemon.kinds()
    daemon.send(cancel.seq, error=h.Error(code=1, message="cancelled"))
    assert [take(client, seq)[0] for _ in range(_handoff.UNREAD_MAX)] == [k % 200 for k in range(_handoff.UNREAD_MAX)]
    with pytest.raises(modeld.ModeldError, match="wait to be read") as e:
        client.inferred(seq, time.monotonic() + 60)
    assert e.value.code == "RESOURCE_EXHAUSTED"
    ask_another(daemon, client)


def test_a_destructor_waits_for_who_is_sending(daemon, client):
    seq = begin(client)
    with client._sending:
        client.abandon(seq)
        assert "cancel" not in daemon.kinds()
    ask_another(daemon, client)
    assert daemon.next("cancel").cancel.of == seq


class Next:
    """A daemon that takes nothing more of its first connection, nor of all before the last."""

    def __init__(self, path, n):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen()
        self._serving = threading.Thread(target=self._serve, args=(n,), daemon=True)
        self._serving.start()

    def _serve(self, n):
        for left in reversed(range(n)):
            connection, _ = self._listener.accept()
            with connection:
                while record := connection.recv(1 << 17):
                    request = h.Envelope.FromString(record)
                    if request.WhichOneof("body") == "get_limits":
                        answer = h.Envelope(seq=request.seq, limits=h.Limits(protocol=1))
                        if left:
                            connection.shutdown(socket.SHUT_RD)
                    else:
                        answer = h.Envelope(seq=request.seq, inferred=h.Inferred(
                            outputs=[h.Tensor(name="y", dtype=2, dims=[1], data=b"7")]))
                    connection.send(answer.SerializeToString())

    def close(self):
        self._listener.close()


@pytest.fixture
def going(tmp_path):
    """going(n) -> a client, whose n-th connection is the first to be served"""
    made = []

    def begin_daemon(n):
        path = str(tmp_path / "handoff.sock")
        made.append(Next(path, n))
        made.append(modeld.Client("unix:" + str(tmp_path / "none.sock"), handoff=path, timeout=60))
        return made[-1]

    yield begin_daemon
    for m in reversed(made):
        m.close()


def test_is_asked_of_the_next_daemon_where_one_goes(going):
    assert [int(answer["y"][0]) for answer in going(3).stream("m", {}, timeout=60)] == [ord("7")]


def test_memory_on_a_gpu_is_handed_to_the_next_daemon_where_one_goes(going, monkeypatch):
    asked = []

    def refuse(memory, *_):
        asked.append(memory)
        if len(asked) < 3:
            raise _handoff.NotTaken("it goes")
        return "handed over"

    monkeypatch.setattr(_device.DeviceMemory, "register", refuse)
    monkeypatch.setattr(_device.DeviceMemory, "empty", refuse)
    client = going(1)
    assert client.device_register(None) == "handed over"
    asked.clear()
    assert client.device_empty(1) == "handed over"


def test_memory_on_a_gpu_takes_too_long(going, monkeypatch):
    def wait(*_):
        raise TimeoutError

    monkeypatch.setattr(_device.DeviceMemory, "empty", wait)
    with pytest.raises(modeld.ModeldError) as e:
        going(1).device_empty(1)
    assert e.value.code == "DEADLINE_EXCEEDED"
