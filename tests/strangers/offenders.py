"""What one does to a daemon that others use. Each is called with (daemon, door, over) and goes on until over is set; who is thrown
out comes again. What it finds wrong with others' calls on a connection that it shares, it raises."""
import concurrent.futures
import contextlib
import gzip
import os
import random
import signal
import socket
import struct
import threading
import time

import grpc

import http2 as h
import messages as m
from backends import compile_text
from callers import stop
from daemon import infer_request, wait_for
from harness import HANDOFF, TCP, UNIX
from http2 import Connection, frame, grpc_headers, message
from raw_handoff import Raw, memfd
from test_handoff import lingering_socket
from test_hostile import BROKEN, HEADERS_BLOCK
from test_loading import ODD, repository

MIB = 1 << 20
I32 = 8  # proto/dtype.h
STAY_S = 12  # the patience of these daemons is 5 s
GONE = (OSError, EOFError, AssertionError)
STREAM = m.WORKER_SERVICE + "InferStream"


class Harmless(Exception):
    """The offender does not do what he is there for: the case proves nothing."""


def bites(what, condition):
    try:
        wait_for(what, condition)
    except AssertionError as e:
        raise Harmless(what) from e


def identity(n):
    return message(infer_request("identity", bytes(n)).SerializeToString())


def sleep(ms):
    return message(infer_request("sleep", struct.pack("<i", ms), [1], "i32").SerializeToString())


def connect(d, door, **options):
    return Connection(d, unix=door == UNIX, **options)


def again(over, visit, pause=0.01):
    """One visit after the other; that one ends badly is what is to be expected."""
    while not over.is_set():
        try:
            visit()
        except GONE:
            pass
        over.wait(pause)


def beside(over, n, visit, pause=0.01):
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        for done in [pool.submit(again, over, visit, pause) for _ in range(n)]:
            done.result()


def stay(over, connections, step=lambda c: None):
    """Hold these, and do that with each once a second: for longer than the daemon has patience, then they are left."""
    end = time.monotonic() + STAY_S
    while not over.is_set() and time.monotonic() < end:
        for c in connections:
            with contextlib.suppress(*GONE):
                step(c)
        over.wait(1)
    for c in connections:
        c.__exit__()


# --- input ----------------------------------------------------------------------------------------------


def slow_uploads(d, door, over):
    """Together more than the arena; a byte a second each."""
    def visit():
        connections = []
        for n in [60 * MIB] * 5 + [10 * MIB] * 6 + [MIB // 2] * 4 + [MIB // 16] * 8:
            c = connect(d, door)
            connections.append(c)
            c.send(c.headers_frame(1, grpc_headers()) + frame(h.DATA, 0, 1, identity(n)[:100]))
        bites("the arena in use", lambda: d.status().arena_used_bytes >= 80 * MIB)
        stay(over, connections, lambda c: c.send(frame(h.DATA, 0, 1, b"x")))
    again(over, visit)


def waiting_regions(d, _, over):
    """A hundred regions of 1 MiB, each with a request that waits for those before."""
    def visit():
        raw = Raw(d)
        for _ in range(100):
            number = sleep_region(raw, 200, MIB)
            raw.infer("sleep", number, 4, dims=[1], dtype=I32)
        bites("regions", lambda: d.status().handoff_regions >= 100)
        over.wait(2)
        raw.close()
    again(over, visit)


def sleep_region(raw, ms, size=4096):
    """A region that begins with that number; its own number."""
    answer, memory = raw.allocate(size)
    struct.pack_into("<i", memory, 0, ms)
    memory.close()
    return answer.number


def held_input(d, door, over):
    """Streams whose next requests have come while one is run: megabytes a call that nobody can take yet."""
    body = sleep(200) * (MIB // len(sleep(200)))

    def visit():
        connections = [connect(d, door) for _ in range(4)]
        for c in connections:
            for _ in range(24):
                c.data(c.open(grpc_headers(STREAM)), body, end=False)
        bites("calls that wait", lambda: d.status().calls > 96)
        stay(over, connections)
    again(over, visit)


# --- output ---------------------------------------------------------------------------------------------


def unread_replies(d, door, over, n=100, body=None, **headers):
    """Replies for a socket that nobody reads: a hundred of 256 KiB."""
    body = body or identity(MIB // 4)

    def visit():
        c = connect(d, door, receive_buffer=65536, settings=[(h.SETTINGS_INITIAL_WINDOW, 2**31 - 1)])
        c.socket.settimeout(5)  # a proxy may take no more from who does not read
        c.send(frame(h.WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 65536)))
        for _ in range(n):
            c.data(c.open(grpc_headers(**headers)), body)
        bites("replies that wait", lambda: d.status().calls > 21)  # of the twenty bystanders and this one
        stay(over, [c])
    again(over, visit)


def unread_large_replies(d, door, over):
    """Each of them is more than the kernel takes of a connection. The requests are small: nothing has to be read to send them."""
    request = infer_request("identity", bytes(12 * MIB)).SerializeToString()
    unread_replies(d, door, over, 24, message(gzip.compress(request), 1), grpc_encoding="gzip")


def unread_replies_handoff(d, _, over):
    body = m.handoff.Infer(model="identity", inputs=[m.handoff.Tensor(dtype=2, dims=[60000], data=bytes(60000))])

    def visit():
        raw = Raw(d, timeout=1)
        try:
            while not over.is_set():
                raw.send(infer=body)
        except TimeoutError:
            pass  # nothing more is taken from him
        finally:
            over.wait(1)
            raw.close()
    again(over, visit)


def unread_streams(d, door, over):
    """Eight calls of a connection are not read; others' calls on it go on."""
    with connect(d, door, settings=[(h.SETTINGS_INITIAL_WINDOW, 1000)], credit=False) as c:
        c.send_frame(h.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30))
        while not over.is_set():
            unread = [c.open() for _ in range(8)]
            for s in unread:
                c.data(s, identity(MIB // 2))
                c.until(lambda stream=s: stream in c.replies and c.replies[stream].data, "what the window allows")
            for _ in range(100):
                assert c.infer(b"others go on").status == 0
                over.wait(0.02)
            for s in unread:
                c.send_frame(h.RST_STREAM, 0, s, struct.pack(">I", h.CANCEL))


def many_streams(d, door, over):
    """Thirty streams of two hundred requests each are no offence: all of them are answered."""
    def one(channel):
        call = channel.stream_stream(STREAM, request_serializer=lambda r: r.SerializeToString(),
                                     response_deserializer=m.worker.InferResponse.FromString)
        assert sum(1 for _ in call((infer_request("identity", bytes(1000)) for _ in range(200)), timeout=120)) == 200

    with grpc.insecure_channel(d.unix if door == UNIX else d.tcp, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        failed = []

        def again_and_again():
            while not over.is_set() and not failed:
                try:
                    one(channel)
                except (grpc.RpcError, AssertionError) as e:
                    failed.append(repr(e))

        threads = [threading.Thread(target=again_and_again) for _ in range(30)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failed, failed


# --- long turns -----------------------------------------------------------------------------------------


def bombs(d, door, over):
    """Small calls that inflate to 32 MiB each, sixty at once, and replies that are to be compressed."""
    body = message(gzip.compress(infer_request("identity", bytes(32 * MIB)).SerializeToString(), 1), 1)

    def visit():
        with connect(d, door) as c:
            streams = [c.open(grpc_headers(grpc_encoding="gzip", grpc_accept_encoding="gzip")) for _ in range(60)]
            for s in streams:
                c.data(s, body)
            if c.reply(streams[0]).status != 8:
                raise Harmless("it was inflated")
    again(over, visit)


# --- descriptors ----------------------------------------------------------------------------------------


def hoarding(d, door, over):
    """All connections, or regions, that there are; and a worker ends meanwhile."""
    raw = Raw(d)

    def regions():
        while True:
            answer = raw.ask(allocate=m.handoff.Allocate(size=4096))
            if not raw.fds:
                if "_regions" not in answer.message:
                    raise Harmless(answer.message)
                return
            os.close(raw.fds[0])

    def connection():
        """Not Raw: with a timeout of Python's connect() fails at once where the queue is full, and the visit would end."""
        s = socket.socket(socket.AF_INET) if door == TCP else \
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET if door == HANDOFF else socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", STAY_S, 0))
        s.connect(("127.0.0.1", d.port) if door == TCP else
                  os.path.join(d.directory, "handoff.sock" if door == HANDOFF else "modeld.sock"))
        return s

    held = []

    def visit():
        regions()
        d.kill_a_worker()
        for _ in range(400):
            held.append(connection())
        bites("refusals", lambda: "connections refused" in d.log())
        over.wait(3)
        while held:
            held.pop().close()

    again(over, visit)
    raw.close()


def descriptors_that_close_slowly(d, door, over):
    """The last close() of each waits for a minute."""
    kept = []

    def visit():
        lingering, keep = lingering_socket(60)
        kept.append(keep)
        try:
            if door == HANDOFF:
                raw = Raw(d)
                raw.send([lingering.fileno()], register=m.handoff.Register(size=4096))
                raw.send_bytes(b"\xff", [lingering.fileno()])
            else:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(d.unix.removeprefix("unix:"))
                    socket.send_fds(s, [b"PRI * HTTP/2.0\r\n"], [lingering.fileno()])
        finally:
            # Not by us, who would wait: the other end goes, and its close() is at once.
            threading.Thread(target=lingering.close, daemon=True).start()
    again(over, visit, 0.2)
    for keep in kept:
        for s in keep:
            s.close()


# --- the log --------------------------------------------------------------------------------------------


def provoking_lines(d, door, over):
    def visit():
        if door == HANDOFF:
            raw = Raw(d)
            raw.send_bytes(b"\xff" * 64)
            raw.receive()
            raw.close()
            return
        with connect(d, door) as c:
            c.send(frame(h.PING, 0, 0, bytes(8)) * 20)
            c.wait_closed()
    beside(over, 4, visit, 0)


class Stuck:
    """A pipe for a log that is read until the daemon is ready, and never again."""

    def __init__(self):
        self.reading, self.writing = os.pipe()

    def pump(self, d):
        os.close(self.writing)
        log = open(d.log_path, "ab", buffering=0)
        while b"ready models_ready" not in open(d.log_path, "rb").read():
            log.write(os.read(self.reading, 65536))


# --- models ---------------------------------------------------------------------------------------------


def calls(d, over, n, request, pause=0.0, **options):
    """n callers of that, whatever they are answered."""
    def visit():
        try:
            call(request, timeout=30)
        except grpc.RpcError:
            pass

    with grpc.insecure_channel(d.tcp, [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]) as channel:
        call = channel.unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                   response_deserializer=m.worker.InferResponse.FromString)
        beside(over, n, visit, pause)


def slow_work(d, _, over):
    calls(d, over, 8, infer_request("sleep", struct.pack("<i", 1000), [1], "i32"))


def crashes(d, _, over):
    calls(d, over, 1, infer_request("crash", b"x"), 0.5)


def hangs(d, _, over):
    calls(d, over, 2, infer_request("hang", b"x"), 0.5)


def loads_that_end_badly(d, _, over):
    """A model that crashes while it is loaded, and one that never is: again and again."""
    def visit():
        for name in ("abort", "hang"):
            d.modelctl("load", name)
    again(over, visit, 0.2)


def odd_repository(path):
    """identity and sleep, and two models of a backend whose load crashes or hangs. -> folder, [backend's folder]"""
    compile_text(path, "odd", ODD)
    models = path / "models"
    repository(models, identity=("identity",), sleep=("sleep",))
    for how in ("abort", "hang"):
        (models / how / "1").mkdir(parents=True)
        (models / how / "model.conf").write_text(f"[model]\nbackend = odd\n[parameters]\nhow = {how}\n")
    return str(models), str(path)


def stalls(d, _, over):
    """The daemon stands still for longer than a worker may, again and again."""
    while not over.is_set():
        stop(d.pid)
        over.wait(3)
        os.kill(d.pid, signal.SIGCONT)
        over.wait(1)


# --- the protocol ---------------------------------------------------------------------------------------


def breaches(d, door, over):
    """Each frame that ends a connection, and noise."""
    rng = random.Random(1)

    def visit():
        with connect(d, door) as c:
            c.send(rng.choice(list(BROKEN.values())))
            c.wait_closed()
        with connect(d, door) as c:
            for _ in range(20):
                c.send(frame(rng.randrange(12), rng.randrange(256), rng.choice([0, 1, 3, rng.randrange(2**31)]),
                             rng.randbytes(rng.choice([0, 4, 8, rng.randrange(2000)]))))
    beside(over, 2, visit)


def garbage_handoff(d, _, over):
    rng = random.Random(1)

    def visit():
        raw = Raw(d)
        fd = memfd(4096)
        try:
            raw.send_bytes(rng.choice([b"\xff" * 100, b"\x08\x01", b"x", b"", rng.randbytes(1000)]), [fd] * rng.choice([0, 1, 9]))
            raw.receive()
        finally:
            os.close(fd)
            raw.close()
    beside(over, 2, visit)


WRONG = [dict(connection="close"), dict(te="gzip"), dict(method=None), dict(method="GET"), dict(content_type="text/plain"),
         dict(path="/nope"), dict(grpc_timeout="5x"), dict(x_long="x" * 20000), dict(grpc_encoding="nope")]


def wrong_requests(d, door, over):
    """Of people who share a connection one asks wrongly, a hundred times: the others' calls on it go on."""
    with connect(d, door) as c:
        for i in range(10000):
            if over.is_set():
                break
            c.call(identity(4)[:9 if i % 2 else 100], headers=grpc_headers(**WRONG[i % len(WRONG)]))
            if i % 10 == 0:
                assert c.infer(b"others go on").status == 0
            over.wait(0.01)
        assert not c.goaways


def floods(d, door, over):
    """What must be answered, never read; headers without an end; headers that unpack to megabytes."""
    def visit():
        with connect(d, door, receive_buffer=4096) as c:
            c.socket.settimeout(1)
            for _ in range(500):
                c.send(frame(h.SETTINGS) * 1000)
        with connect(d, door) as c:
            c.send(frame(h.HEADERS, 1, 1, HEADERS_BLOCK) + frame(h.CONTINUATION, 0, 1, b"\x82") * 20000)
            c.wait_closed()
        with connect(d, door) as c:
            c.reply(c.open(grpc_headers() + [("x-bomb", "b" * 3900)], end=True))
            for stream in range(3, 20, 2):
                c.send(frame(h.HEADERS, 5, stream, HEADERS_BLOCK + b"\xbe" * 16000))
            c.reply(3)
    again(over, visit)


def cancels(d, door, over):
    """Calls that are reset as soon as they are begun (CVE-2023-44487)."""
    body = frame(h.DATA, 1, 1, sleep(10))[9:]

    def visit():
        with connect(d, door) as c:
            for stream in range(1, 100000, 2):
                c.send(c.headers_frame(stream, grpc_headers()) + frame(h.DATA, 1, stream, body) +
                       frame(h.RST_STREAM, 0, stream, struct.pack(">I", h.CANCEL)))
                if over.is_set():
                    return
    beside(over, 2, visit)


def cancels_handoff(d, _, over):
    def visit():
        raw = Raw(d)
        number = sleep_region(raw, 10)
        while not over.is_set():
            seq = raw.infer("sleep", number, 4, dims=[1], dtype=I32)
            cancel = raw.send(cancel=m.handoff.Cancel(of=seq))
            while raw.receive()[0].seq != cancel:
                pass  # an answer that came first
        raw.close()
    beside(over, 2, visit)


def deadlines(d, door, over):
    """A hundred calls at once whose time is over before they can be run."""
    def visit():
        with connect(d, door) as c:
            while not over.is_set():
                streams = [c.open(grpc_headers(grpc_timeout="5m")) for _ in range(100)]
                for s in streams:
                    c.data(s, sleep(50))
                for s in streams:
                    c.reply(s)
                    del c.replies[s]
    again(over, visit)


def nothing(d, _, over):
    over.wait()
