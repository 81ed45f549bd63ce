"""A client of the handoff socket that is as rude as a test wants it: records go out as they are given."""
import array
import contextlib
import fcntl
import mmap
import os
import socket

import messages as m

MESSAGE_MAX = 128 * 1024
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
F32, U8 = 12, 2


def memfd(size, seals=SEALS, flags=0):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | flags)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Raw:
    def __init__(self, daemon, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.socket.connect(os.path.join(daemon.directory, "handoff.sock"))
        self.seq = 0
        self.memories = []

    def close(self):
        """What it has of memory goes, too: as long as it is there, it is charged."""
        for memory in self.memories:
            with contextlib.suppress(BufferError):
                memory.close()
        self.socket.close()

    def send_bytes(self, record, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([record], control)

    def send(self, fds=(), **body):
        self.seq += 1
        self.send_bytes(m.handoff.Envelope(seq=self.seq, **body).SerializeToString(), fds)
        return self.seq

    def receive(self):
        """(envelope, descriptors); None at the end of the connection."""
        data, control, flags, _ = self.socket.recvmsg(MESSAGE_MAX, socket.CMSG_SPACE(32))
        fds = array.array("i")
        for level, kind, payload in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload)
        return (m.handoff.Envelope.FromString(data), list(fds)) if data else None

    def ask(self, fds=(), **body):
        """The answer's body; descriptors are in self.fds."""
        seq = self.send(fds, **body)
        answer, self.fds = self.receive()
        assert answer.seq == seq
        return getattr(answer, answer.WhichOneof("body"))

    def limits(self):
        return self.ask(get_limits=m.handoff.GetLimits())

    def register(self, fd, size=None, read_only=False, fds=None, device=""):
        size = os.fstat(fd).st_size if size is None else size
        return self.ask([fd] if fds is None else fds,
                        register=m.handoff.Register(size=size, read_only=read_only, device=device))

    def allocate(self, size):
        """(Registered, mapping)"""
        answer = self.ask(allocate=m.handoff.Allocate(size=size))
        memory = mmap.mmap(self.fds[0], answer.size)
        os.close(self.fds[0])
        self.memories.append(memory)
        return answer, memory

    def unregister(self, token):
        return self.ask(unregister=m.handoff.Unregister(region=token))

    def infer(self, model, region, length, dtype=U8, dims=None, offset=0, target=None, **more):
        """target: (region, offset, room). Returns the seq."""
        tensor = m.handoff.Tensor(dtype=dtype, dims=[length] if dims is None else dims, region=region, offset=offset,
                                  length=length)
        targets = [m.handoff.Target(region=target[0], offset=target[1], length=target[2])] if target else []
        return self.send(infer=m.handoff.Infer(model=model, inputs=[tensor], targets=targets, **more))

    def infer_wait(self, *args, **more):
        seq = self.infer(*args, **more)
        answer, _ = self.receive()
        assert answer.seq == seq
        return getattr(answer, answer.WhichOneof("body"))
