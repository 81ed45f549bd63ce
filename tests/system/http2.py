"""A small raw HTTP/2 client: it sends what it is told to, right or wrong, and keeps what comes back. HPACK is the
package's; framing is here, so that every byte and every boundary is the test's."""
import socket
import struct
from urllib.parse import unquote

import hpack

import messages as m

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 7, 8, 9, 11
SETTINGS_INITIAL_WINDOW, SETTINGS_HEADER_LIST = 4, 6
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_MAX = 16384
PATIENCE_S = 60
INFER = m.WORKER_SERVICE + "Infer"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def message(data, flag=0, length=None):
    """A gRPC message: flag, length, payload."""
    return struct.pack(">BI", flag, len(data) if length is None else length) + data


def grpc_headers(path=INFER, **changes):
    """The headers of a call; a change to None leaves one out. Names are written with _ for -."""
    headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "test",
               "content-type": "application/grpc", "te": "trailers"}
    for name, value in changes.items():
        name = name.replace("_", "-")
        headers[":" + name if name in ("method", "scheme", "authority") else name] = value
    return [(k, v) for k, v in headers.items() if v is not None]


def headers_frame(encoder, stream, headers, end=False):
    """HEADERS and as many CONTINUATIONs as it takes."""
    block = encoder.encode(headers)
    kind, flags, out = HEADERS, END_STREAM if end else 0, b""
    while True:
        part, block = block[:FRAME_MAX], block[FRAME_MAX:]
        out += frame(kind, flags | (0 if block else END_HEADERS), stream, part)
        if not block:
            return out
        kind, flags = CONTINUATION, 0


class Reply:
    def __init__(self):
        self.blocks, self.data, self.reset, self.ended = [], b"", None, False
        self.end_in_data = False

    @property
    def http(self):
        return int(self.blocks[0][":status"])

    @property
    def status(self):
        return int(self.blocks[-1]["grpc-status"])

    @property
    def text(self):
        return unquote(self.blocks[-1].get("grpc-message", ""))

    @property
    def trailers_only(self):
        return len(self.blocks) == 1 and not self.data

    def messages(self):
        found, rest = [], self.data
        while rest:
            flag, n = struct.unpack(">BI", rest[:5])
            found.append((flag, rest[5:5 + n]))
            rest = rest[5 + n:]
        return found


class Connection:
    """`credit`: give back flow-control credit for what is read. `unix`: by the Unix socket. `port`: of a proxy, say."""

    def __init__(self, daemon, settings=(), preface=True, credit=True, receive_buffer=None, unix=False, port=None):
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(daemon.unix.removeprefix("unix:") if unix else ("127.0.0.1", port or daemon.port))
        if not unix:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.credit = credit
        self.buffer, self.replies, self.block = b"", {}, b""
        self.goaways, self.pongs, self.settings, self.credits = [], [], {}, {}
        self.closed = False
        self.next_stream = 1
        if preface:
            self.send(PREFACE + frame(SETTINGS, payload=b"".join(struct.pack(">HI", *s) for s in settings)))
            self.ping()  # now the server's windows and limits are known and acknowledged

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # --- out ----------------------------------------------------------------------------------
    def send(self, data):
        self.socket.sendall(data)

    def send_frame(self, kind, flags=0, stream=0, payload=b""):
        self.send(frame(kind, flags, stream, payload))

    def headers_frame(self, stream, headers, end=False):
        return headers_frame(self.encoder, stream, headers, end)

    def open(self, headers=None, end=False):
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.send(self.headers_frame(stream, headers or grpc_headers(), end))
        return stream

    def data(self, stream, body, end=True, cuts=()):
        """One DATA frame, or several cut at these offsets; never longer than a frame may be."""
        at, out = 0, b""
        for cut in list(cuts) + [len(body)]:
            while True:
                part = body[at:min(cut, at + FRAME_MAX)]
                at += len(part)
                out += frame(DATA, END_STREAM if end and at == len(body) and cut == len(body) else 0, stream, part)
                if at >= cut:
                    break
        self.send(out)

    def call(self, body=b"", headers=None, cuts=(), **changes):
        stream = self.open(headers or grpc_headers(**changes))
        self.data(stream, body, cuts=cuts)
        return self.reply(stream)

    def infer(self, data=b"abc", **changes):
        request = m.worker.InferRequest(model_id="identity", tensor_data=m.worker.TensorData(
            data=data, shape=[len(data)], dtype="u8"))
        return self.call(message(request.SerializeToString()), **changes)

    # --- in -----------------------------------------------------------------------------------
    def read(self):
        """Take the next frame in; False at the connection's end."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                more = self.socket.recv(1 << 20)
            except (ConnectionResetError, BrokenPipeError):
                more = b""
            if not more:
                self.closed = True
                return False
            self.buffer += more
        n = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        payload, self.buffer = self.buffer[9:9 + n], self.buffer[9 + n:]
        self.take(kind, flags, stream, payload)
        return True

    def answer(self, *args):
        try:
            self.send_frame(*args)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has gone; read() finds what it said before

    def take(self, kind, flags, stream, payload):
        reply = self.replies.setdefault(stream, Reply()) if stream and kind != WINDOW_UPDATE else None
        if kind in (HEADERS, CONTINUATION):
            self.block += payload
            if flags & END_HEADERS:
                reply.blocks.append(dict(self.decoder.decode(self.block)))
                self.block = b""
            reply.ended |= kind == HEADERS and bool(flags & END_STREAM)
        elif kind == DATA:
            reply.data += payload
            reply.end_in_data |= bool(flags & END_STREAM)
            reply.ended |= reply.end_in_data
            if self.credit and payload:
                for s in (0, stream):
                    self.answer(WINDOW_UPDATE, 0, s, struct.pack(">I", len(payload)))
        elif kind == RST_STREAM:
            reply.reset = struct.unpack(">I", payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            self.settings.update(struct.iter_unpack(">HI", payload))
            self.answer(SETTINGS, ACK)
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == PING:
            self.answer(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            self.credits.setdefault(stream, []).append(struct.unpack(">I", payload)[0])
        elif kind == GOAWAY:
            self.goaways.append((*struct.unpack(">II", payload[:8]), payload[8:]))

    def until(self, condition, what):
        while not condition():
            assert self.read(), f"connection ended before {what}; goaway {self.goaways}"

    def reply(self, stream):
        r = self.replies.setdefault(stream, Reply())
        self.until(lambda: r.ended or r.reset is not None, f"the reply to stream {stream}")
        return r

    def ping(self):
        """A round trip: whatever was sent before has been looked at."""
        n = len(self.pongs)
        self.send_frame(PING, 0, 0, struct.pack(">Q", n))
        self.until(lambda: len(self.pongs) > n, "the pong")

    def wait_closed(self):
        """Read to the connection's end. Returns the last GOAWAY: (last stream, code, debug data), or None."""
        while not self.closed:
            self.read()
        return self.goaways[-1] if self.goaways else None
