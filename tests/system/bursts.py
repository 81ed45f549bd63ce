"""Small inferences over one connection, in bursts that are one write of ours each: a load whose costs can be counted."""
import socket
import struct

import http2 as h
from daemon import infer_request


def literal(name, value):
    """A header field that no table remembers, so that each call's block is the same."""
    name, value = name.encode(), value.encode()
    assert len(name) < 127 and len(value) < 127
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Bursts:
    """Requests for `models` in turn."""

    def __init__(self, port, models):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(h.PREFACE + h.frame(h.SETTINGS))
        self.header = b"".join(literal(k, v) for k, v in h.grpc_headers())
        self.bodies = [h.message(infer_request(name, b"x").SerializeToString()) for name in models]
        self.stream, self.sent, self.rest = 1, 0, b""

    def burst(self, n):
        out = []
        for _ in range(n):
            body = self.bodies[self.sent % len(self.bodies)]
            out.append(h.frame(h.HEADERS, h.END_HEADERS, self.stream, self.header) +
                       h.frame(h.DATA, h.END_STREAM, self.stream, body))
            self.stream, self.sent = self.stream + 2, self.sent + 1
        self.socket.sendall(b"".join(out))
        credit = 0
        while n:
            self.rest += self.socket.recv(1 << 20)
            at = 0
            while len(self.rest) - at >= 9:
                length = int.from_bytes(self.rest[at:at + 3], "big")
                if len(self.rest) - at < 9 + length:
                    break
                kind, flags = self.rest[at + 3], self.rest[at + 4]
                assert kind != h.GOAWAY and kind != h.RST_STREAM
                credit += length if kind == h.DATA else 0
                n -= kind == h.HEADERS and flags & h.END_STREAM == h.END_STREAM
                at += 9 + length
            self.rest = self.rest[at:]
        self.socket.sendall(h.frame(h.WINDOW_UPDATE, 0, 0, struct.pack(">I", credit)))

    def run(self, requests, burst):
        for _ in range(requests // burst):
            self.burst(burst)

    def close(self):
        self.socket.close()
