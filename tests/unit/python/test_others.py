"""Other models, asked of a daemon that is a thread of the test's."""
import contextlib
import fcntl
import os
import socket
import threading

import numpy as np

import messages
from modeld_worker.memory import SEAL_FUTURE_WRITE, SEAL_GROW, SEAL_SEAL, SEAL_SHRINK, Views
from modeld_worker.others import Others

h = messages.handoff
SIZE = 1 << 20
VIEW, TOKEN, REGION = 3, b"t" * 16, 7
ANSWERS = {
    "get_limits": {"limits": h.Limits(protocol=1)},
    "register": {"registered": h.Registered(region=TOKEN, number=REGION, size=SIZE)},
    "allocate": {"error": h.Error(code=8, message="no room for a guess")},
    "infer": {"inferred": h.Inferred(outputs=[h.Tensor(name="y", dtype=2, dims=[1], data=b"\x05")])},
    "unregister": {"unregistered": h.Unregistered()},
}


def answer(to, asked):
    with to, contextlib.suppress(OSError):
        while True:
            record = to.recv(1 << 17)
            if not record:
                return
            request = h.Envelope.FromString(record)
            asked.append(request)
            to.send(h.Envelope(seq=request.seq, **ANSWERS[request.WhichOneof("body")]).SerializeToString())


def what_was_given():
    """A view as the worker has it of its inputs."""
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_FUTURE_WRITE)
    views = Views(keeps=True)
    views.map(fd, VIEW, SIZE, False)
    return views


def test_what_was_given_is_named_where_it_lies_until_the_daemon_takes_it_back():
    views, asked = what_was_given(), []
    daemon, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=answer, args=(daemon, asked), daemon=True)
    thread.start()
    others = Others(worker.detach(), views, lambda: None)
    x = np.frombuffer(views.readable(VIEW), np.uint8)[4096:4096 + (1 << 18)]
    for _ in range(2):
        assert others.model("m").infer(x).tolist() == [5]
    views.unmap(VIEW)
    others.link().handoff.close()
    thread.join(60)
    asked = [request for request in asked if request.WhichOneof("body") != "allocate"]  # for an output whose size is known
    assert [r.WhichOneof("body") for r in asked] == ["get_limits", "register", "infer", "infer", "unregister"]
    assert asked[1].register.read_only and asked[1].register.size == SIZE
    for request in asked[2:4]:
        given = request.infer.inputs[0]
        assert (given.region, given.offset, given.length, list(given.dims)) == (REGION, 4096, 1 << 18, [1 << 18])
    assert asked[-1].unregister.region == TOKEN
