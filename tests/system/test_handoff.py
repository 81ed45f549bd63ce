"""Local clients that share memory with the models: what they get, what bad ones get, and that nothing is left."""
import array
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading

import grpc
import pytest

import messages as m
from callers import stop
from daemon import as_user, wait_for
from raw_handoff import Raw, memfd

MIB = 1 << 20
INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, EXHAUSTED, PRECONDITION = 3, 5, 6, 8, 9
CANCELLED, DEADLINE, UNAVAILABLE = 1, 4, 14


@pytest.fixture(scope="module")
def d(daemon):
    daemon.local = daemon.channel(daemon.unix)
    daemon.infer("identity", b"x", channel=daemon.local)
    return daemon


def n_mappings(pid):
    return sum("memfd:" in line for line in open(f"/proc/{pid}/maps"))


class Base:
    """What the daemon and its workers hold, to be compared with later."""

    def __init__(self, d):
        self.d = d
        d.status()
        self.wait_idle()
        self.before = self.held()

    def held(self):
        workers = self.d.workers()
        return (self.d.n_descriptors(), n_mappings(self.d.pid), [n_mappings(w) for w in workers],
                [len(os.listdir(f"/proc/{w}/fd")) for w in workers])

    def idle(self):
        s = self.d.status()
        return s.handoff_connections == s.handoff_regions == s.handoff_region_bytes == 0

    def wait_idle(self):
        wait_for("no handoff connections and regions", self.idle)

    def check(self):
        self.wait_idle()
        wait_for("descriptors and mappings at the base", lambda: self.held() == self.before, 20)


@pytest.fixture
def base(d):
    b = Base(d)
    yield b
    b.check()


@pytest.fixture
def raw(d, base):
    r = Raw(d)
    yield r
    r.close()


def ref_request(model, token, size, shape, offset=0, output=None, dtype="u8"):
    """output: (token, offset, size)"""
    parameters = {}
    if output:
        parameters = {"output_region": output[0].hex(), "output_offset": str(output[1]), "output_size": str(output[2])}
    ref = m.worker.TensorRef(region_id=token.hex(), offset=offset, size=size, shape=shape, dtype=dtype)
    return m.worker.InferRequest(model_id=model, tensor_ref=ref, parameters=parameters)


def infer_ref(d, *args, channel=None, **more):
    return d.call(m.WORKER_SERVICE + "Infer", ref_request(*args, **more), m.worker.InferResponse, channel)


def copied(d):
    s = d.status()
    return s.tensor_bytes_copied_in, s.tensor_bytes_copied_out, s.tensor_bytes_handed


# --- what they get --------------------------------------------------------------------------------
def test_limits(raw):
    limits = raw.limits()
    assert limits.protocol == 1
    assert limits.total_bytes == limits.user_bytes
    assert 0 < limits.total_bytes <= 10 << 30
    assert limits.user_regions == 1024 and limits.user_used_regions == 0
    assert limits.max_inline_bytes == 64 * 1024 and limits.max_requests == 64


def test_fast_path_inline(raw):
    region, memory = raw.allocate(4096)
    memory[:4] = b"abcd"
    answer = raw.infer_wait("identity", region.number, 4)
    assert answer.outputs[0].data == b"abcd" and list(answer.outputs[0].dims) == [4]
    assert answer.outputs[0].name and answer.worker == "cpu:0/0" and answer.total_ns > 0
    assert raw.infer_wait("identity", region.number, 2, offset=2).outputs[0].data == b"cd"


@pytest.mark.parametrize("size", [4, MIB, 100 * MIB])
def test_fast_path_to_a_target_copies_nothing(d, raw, size):
    region, memory = raw.allocate(2 * size)
    pattern = os.urandom(4096)[:size]
    memory[:len(pattern)] = memory[size - len(pattern):size] = pattern
    before = copied(d)
    out = raw.infer_wait("identity", region.number, size, target=(region.number, size, size)).outputs[0]
    assert (out.region, out.offset, out.length, out.data) == (region.number, size, size, b"")
    assert memory[size:size + len(pattern)] == memory[2 * size - len(pattern):2 * size] == pattern
    after = copied(d)
    assert after[:2] == before[:2] and after[2] - before[2] == 2 * size


@pytest.mark.parametrize("size", [4, 100 * MIB])
def test_tensor_ref(d, raw, size):
    fd = memfd(max(size, 4096))
    os.pwrite(fd, b"wxyz", 0)
    source = raw.register(fd, read_only=True)
    target, memory = raw.allocate(size)
    before = copied(d)
    out = infer_ref(d, "identity", source.region, size, [size], output=(target.region, 0, size), channel=d.local)
    assert out.WhichOneof("output") == "tensor_ref"
    assert (out.tensor_ref.region_id, out.tensor_ref.offset, out.tensor_ref.size) == (target.region.hex(), 0, size)
    assert list(out.tensor_ref.shape) == [size] and out.tensor_ref.dtype == "u8"
    assert memory[:4] == b"wxyz"
    after = copied(d)
    assert after[:2] == before[:2] and after[2] - before[2] == 2 * size
    os.close(fd)


def test_tensor_ref_in_data_out_and_the_reverse(d, raw):
    region, memory = raw.allocate(4096)
    memory[:4] = b"1234"
    assert infer_ref(d, "identity", region.region, 4, [4], channel=d.local).tensor_data.data == b"1234"
    # From the loopback, whoever knows the token.
    out = d.infer("identity", b"5678", parameters={"output_region": region.region.hex(), "output_offset": "64"}, channel=d.local)
    assert out.tensor_ref.size == 4 and memory[64:68] == b"5678"


def test_pipelined_answers_and_limit(d, raw):
    region, memory = raw.allocate(4096)
    memory[:8] = b"\0" * 8
    seqs = {raw.infer("identity", region.number, 8) for _ in range(50)}
    assert {raw.receive()[0].seq for _ in range(50)} == seqs
    memory[:1] = bytes([200])
    for _ in range(66):
        raw.infer("sleep", region.number, 1)
    refused = [raw.receive()[0] for _ in range(2)]
    assert all(a.error.code == EXHAUSTED and "max_requests" in a.error.message for a in refused)


# --- what bad input gets --------------------------------------------------------------------------
def test_bad_memory(raw, tmp_path):
    def refused(fd, text, code=INVALID_ARGUMENT, **more):
        answer = raw.register(fd, **more)
        os.close(fd)
        assert answer.code == code and text in answer.message

    refused(memfd(4096, seals=0), "not sealed")
    refused(memfd(8192), "has 8192 bytes, not 4096", size=4096)
    refused(memfd(4096), "has 4096 bytes, not 8192", size=8192)
    refused(memfd(100), "not whole pages")
    refused(memfd(0), "bytes", size=0)
    refused(os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR), "not a memfd", size=4096)
    refused(os.pipe()[0], "not a memfd", size=4096)
    fd = memfd(4096)
    refused(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY), "open for reading and writing")
    assert raw.register(fd, fds=[]).code == INVALID_ARGUMENT
    assert raw.register(fd, fds=[fd, fd]).code == INVALID_ARGUMENT
    token = raw.register(fd).region
    refused(fd, "already", ALREADY_EXISTS)
    assert len(token) == 16
    try:
        huge = memfd(2 * MIB, flags=os.MFD_HUGETLB)
    except OSError:
        return
    refused(huge, "MFD_HUGETLB")


def test_too_much(raw):
    assert raw.ask(allocate=m.handoff.Allocate(size=11 << 30)).code == EXHAUSTED
    assert raw.ask(allocate=m.handoff.Allocate(size=2**64 - 1)).code == INVALID_ARGUMENT
    assert raw.ask(allocate=m.handoff.Allocate(size=0)).code == INVALID_ARGUMENT


def test_spans_and_regions(d, raw):
    region, _ = raw.allocate(4096)
    for offset, length in [(4096, 1), (1, 4096), (2**64 - 1, 2), (2**63, 2**63), (0, 4097)]:
        answer = raw.infer_wait("identity", region.number, length, offset=offset, dims=[min(length, 2**63 - 1)])
        assert answer.code == INVALID_ARGUMENT and "region of 4096 bytes" in answer.message
        answer = raw.infer_wait("identity", region.number, 1, target=(region.number, offset, length))
        assert answer.code == INVALID_ARGUMENT and "region of 4096 bytes" in answer.message
    assert raw.infer_wait("identity", region.number + 1, 1).code == NOT_FOUND
    assert raw.infer_wait("identity", region.number, 8, dims=[4]).code == INVALID_ARGUMENT
    assert raw.infer_wait("none", region.number, 1).code == NOT_FOUND
    answer = raw.unregister(b"x" * 16)
    assert answer.code == NOT_FOUND
    raw.unregister(region.region)
    assert raw.infer_wait("identity", region.number, 1).code == NOT_FOUND
    assert raw.unregister(region.region).code == NOT_FOUND


def test_read_only_region_takes_no_output(raw):
    fd = memfd(4096)
    region = raw.register(fd, read_only=True)
    os.close(fd)
    answer = raw.infer_wait("identity", region.number, 4, target=(region.number, 0, 4))
    assert answer.code == INVALID_ARGUMENT and "read_only" in answer.message


def test_large_output_needs_a_target(raw):
    region, _ = raw.allocate(MIB)
    answer = raw.infer_wait("identity", region.number, 64 * 1024 + 1)
    assert answer.code == PRECONDITION and "max_inline_bytes" in answer.message
    assert len(raw.infer_wait("identity", region.number, 64 * 1024).outputs[0].data) == 64 * 1024


def test_output_larger_than_its_target(d, raw):
    region, memory = raw.allocate(4 * MIB)
    memory[:2 * MIB] = os.urandom(2 * MIB)
    small = raw.infer_wait("identity", region.number, 16, target=(region.number, 2 * MIB, 8)).outputs[0]
    assert small.data == memory[:16] and small.region == 0
    before = d.status().models
    answer = raw.infer_wait("identity", region.number, 2 * MIB, target=(region.number, 2 * MIB, MIB))
    assert answer.code == PRECONDITION
    assert [(o.name, o.length, list(o.dims)) for o in answer.outputs] == [("OUTPUT0", 2 * MIB, [2 * MIB])]
    seq = raw.infer("identity", region.number, 2 * MIB, target=(region.number, 2 * MIB, MIB), make_room=True)
    envelope, fds = raw.receive()
    answer, = envelope.inferred.outputs
    room, = envelope.inferred.room
    assert envelope.seq == seq and answer.region == room.number and len(fds) == 1
    with mmap.mmap(fds[0], room.size) as made:
        assert made[answer.offset:answer.offset + answer.length] == memory[:2 * MIB]
    os.close(fds[0])
    assert memory[2 * MIB:3 * MIB] == bytes(MIB), "nothing is written to a target that is too small"
    # The region is as good as any other.
    again = raw.infer_wait("identity", room.number, 2 * MIB, target=(region.number, 2 * MIB, 2 * MIB)).outputs[0]
    assert again.region == region.number and memory[2 * MIB:] == memory[:2 * MIB]
    raw.unregister(room.region)
    runs = [sum(model.batches for model in models) for models in (before, d.status().models)]
    assert runs[1] - runs[0] == 3, "each request ran once"


def test_forged_and_stale_tokens(d, raw):
    region, _ = raw.allocate(4096)
    forged = bytes([region.region[0] ^ 1]) + region.region[1:]
    texts = set()
    raw.unregister(region.region)
    for token in (forged, region.region, b"", b"\0" * 40):
        with pytest.raises(grpc.RpcError) as e:
            infer_ref(d, "identity", token, 4, [4], channel=d.local)
        assert e.value.code() == grpc.StatusCode.NOT_FOUND
        texts.add(e.value.details().replace(token.hex()[:64], ""))
    assert len(texts) == 1


def test_garbage_costs_the_peer_alone(d, raw, base):
    for record, fds in [(b"\xff" * 100, 0), (b"\x08\x01", 0), (b"x", 9),
                        (m.handoff.Envelope(limits=m.handoff.Limits()).SerializeToString(), 0)]:
        bad = Raw(d)
        fd = memfd(4096)
        bad.send_bytes(record, [fd] * fds)
        with _ended(bad):
            pass
        os.close(fd)
        bad.close()
    assert raw.limits().protocol == 1


class _ended:
    """The connection ends, whichever way."""

    def __init__(self, raw):
        self.raw = raw

    def __enter__(self):
        try:
            assert self.raw.receive() is None
        except ConnectionResetError:
            pass

    def __exit__(self, *_):
        return False


def lingering_socket(seconds):
    """A TCP socket whose last close() waits: its peer does not read. Returns it and what keeps it so."""
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    receiver, _ = listener.accept()
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
    sender.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            sender.send(bytes(65536))
    return sender, (listener, receiver)


@pytest.mark.parametrize("how", ["refused", "unread", "many", "long", "empty", "behind an empty one"])
def test_descriptors_whose_closing_waits_stall_nobody(d, base, how):
    lingering, keep = lingering_socket(3600)
    raw = Raw(d)
    # The daemon sleeps meanwhile, so that its reference is the last one.
    stop(d.pid)
    if how == "refused":
        raw.send([lingering.fileno()], register=m.handoff.Register(size=4096))
    elif how == "unread":
        raw.send_bytes(b"\xff")
        raw.send_bytes(b"\xff", [lingering.fileno()])
    elif how == "many":
        raw.send_bytes(b"\xff", [0] * 100 + [lingering.fileno()])
    elif how == "empty":
        raw.send_bytes(b"", [lingering.fileno()])
    elif how == "behind an empty one":
        raw.send_bytes(b"")
        raw.send_bytes(b"\xff", [lingering.fileno()])
    else:
        raw.send_bytes(bytes(200_000), [lingering.fileno()])
    lingering.close()
    os.kill(d.pid, signal.SIGCONT)
    other = Raw(d, timeout=20)
    assert other.limits().protocol == 1
    assert d.status().handoff_connections >= 2
    other.close()
    raw.close()
    for s in keep:
        s.close()


def test_descriptors_on_a_connection_that_is_refused_stall_nobody(start):
    """It was sent before anybody took the connection."""
    d = start("handoff.max_connections=1", models=["identity"])
    raw = Raw(d)
    assert raw.limits().protocol == 1
    lingering, keep = lingering_socket(3600)
    stop(d.pid)
    refused = Raw(d)
    refused.send_bytes(b"\xff", [lingering.fileno()])
    lingering.close()
    os.kill(d.pid, signal.SIGCONT)
    try:
        assert refused.receive() is None
    except ConnectionResetError:
        pass  # as its record was not read
    assert raw.limits().protocol == 1
    for s in (refused, raw, *keep):
        s.close()


def test_descriptors_on_the_grpc_socket_stall_nobody(start):
    """They do not get there, or are closed by others."""
    d = start(models=["identity"])
    lingering, keep = lingering_socket(3600)
    guest = socket.socket(socket.AF_UNIX)
    guest.connect(os.path.join(d.directory, "modeld.sock"))
    stop(d.pid)
    try:
        guest.sendmsg([b"PRI * HTTP/2.0\r\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [lingering.fileno()]))])
    except PermissionError:  # SO_PASSRIGHTS, Linux 6.16: it is still ours alone
        lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    lingering.close()
    os.kill(d.pid, signal.SIGCONT)
    assert d.infer("identity", b"others").tensor_data.data == b"others"
    for s in (guest, *keep):
        s.close()


def test_answers_that_are_not_read_count(start):
    """Whose answers with descriptors lie unread, and be it that he has closed the regions, has so many fewer of them."""
    d = start("handoff.user_regions=20", models=["identity"])
    raw = Raw(d)
    for _ in range(30):
        raw.send(allocate=m.handoff.Allocate(size=4096))
    wait_for("answers", lambda: select.select([raw.socket], [], [], 0)[0])
    other = Raw(d)
    wait_for("all of his regions", lambda: other.limits().user_used_regions >= 20)
    error = other.ask(allocate=m.handoff.Allocate(size=4096))
    assert error.code == 8 and "user_regions" in error.message
    raw.close()
    wait_for("none", lambda: other.limits().user_used_regions == 0)
    region, memory = other.allocate(4096)
    memory.close()
    other.close()


def test_memory_that_is_kept_is_charged(start):
    """Who unregisters what was made for him, and keeps it, has so much less: his connection may end, too."""
    d = start("handoff.user_bytes=64K", models=["identity"])
    raw, other = Raw(d), Raw(d)
    kept = []
    while (answer := raw.ask(allocate=m.handoff.Allocate(size=16384))).DESCRIPTOR.name == "Registered":
        kept += raw.fds
        raw.unregister(answer.region)
    assert answer.code == EXHAUSTED and "user_bytes" in answer.message and len(kept) == 4
    mapped = mmap.mmap(kept[0], 16384)
    raw.close()
    for fd in kept:
        os.close(fd)
    wait_for("what is mapped to be left", lambda: other.limits().user_used_bytes == 16384)
    assert other.ask(allocate=m.handoff.Allocate(size=65536)).code == EXHAUSTED
    mapped.close()
    wait_for("nothing", lambda: other.limits().user_used_bytes == 0)
    other.allocate(65536)
    other.close()


def test_a_worker_has_the_regions_that_its_own_batches_named(start):
    """Mapped from the first of them until it is unregistered; who runs other models has neither mapping nor descriptor."""
    d = start("models.isolation=model", models=["identity", "sleep"])
    raw = Raw(d)
    region, _ = raw.allocate(4096)
    raw.infer("identity", region.number, 16, target=(region.number, 64, 16))
    assert raw.receive()[0].WhichOneof("body") == "inferred"
    d.infer("sleep", struct.pack("<i", 0), [1], "i32")

    def that_have_it():
        return [w for w in d.workers() if "modeld-region" in open(f"/proc/{w}/maps").read()]

    def descriptors():
        return [os.readlink(f"/proc/{w}/fd/{fd}") for w in d.workers() for fd in os.listdir(f"/proc/{w}/fd")]

    assert len(that_have_it()) == 1 < len(d.workers())
    assert not any("modeld-region" in name for name in descriptors())
    raw.unregister(region.region)
    wait_for("nobody to have it", lambda: not that_have_it())
    raw.close()


def test_client_that_never_reads(start):
    d = start("handoff.max_output_bytes=256K", models=["identity"])
    raw = Raw(d)
    raw.socket.setblocking(True)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while True:
            raw.send(get_limits=m.handoff.GetLimits())
    assert "max_output_bytes" in d.log()
    assert Raw(d).limits().protocol == 1


def test_quota(start):
    d = start("handoff.user_regions=2", "handoff.user_bytes=1M", "handoff.max_connections=2", models=["identity"])
    a = Raw(d)
    b = Raw(d)
    first, memory = a.allocate(4096)
    a.allocate(4096)
    answer = b.ask(allocate=m.handoff.Allocate(size=4096))
    assert answer.code == EXHAUSTED and "user_regions" in answer.message
    a.unregister(first.region)
    memory.close()
    answer = wait_for("the region's end", lambda: _over(b))
    assert answer.code == EXHAUSTED and "user_bytes" in answer.message
    with _ended(Raw(d)):
        pass
    assert a.limits().user_used_regions == 1


def _over(raw):
    answer = raw.ask(allocate=m.handoff.Allocate(size=2 * MIB))
    return answer if "user_bytes" in answer.message else None


# --- cancelling, deadlines, deaths ----------------------------------------------------------------
def test_cancel_is_answered_when_the_worker_is_done(d, raw):
    region, memory = raw.allocate(4096)
    memory[0] = 100
    running = raw.infer("sleep", region.number, 1)
    queued = [raw.infer("sleep", region.number, 1) for _ in range(5)]
    cancels = {raw.send(cancel=m.handoff.Cancel(of=seq)) for seq in [running] + queued}
    answers = [raw.receive()[0] for _ in cancels]
    assert {a.seq for a in answers} == cancels and all(a.error.code == CANCELLED for a in answers)
    assert raw.ask(cancel=m.handoff.Cancel(of=12345)).code == CANCELLED
    assert raw.limits().protocol == 1


def test_deadline(raw):
    region, memory = raw.allocate(4096)
    memory[0] = 100
    answer = raw.infer_wait("sleep", region.number, 1, timeout_us=1000)
    assert answer.code == DEADLINE


def test_unregister_in_use_is_deferred(d, raw):
    region, memory = raw.allocate(4096)
    memory[0] = 150
    seq = raw.infer("sleep", region.number, 1)
    wait_for("a running request", lambda: d.status().workers[0].batches_in_flight)
    raw.unregister(region.region)
    assert raw.limits().user_used_regions == 1
    answer, _ = raw.receive()
    assert answer.seq == seq and answer.inferred.outputs[0].data == b"\x96"
    memory.close()
    wait_for("the charge's end", lambda: raw.limits().user_used_regions == 0)


CLIENT = """
import sys, os
sys.path.insert(0, {tests!r})
from types import SimpleNamespace
from raw_handoff import Raw
r = Raw(SimpleNamespace(directory={directory!r}))
region, memory = r.allocate(1 << 20)
memory[0] = 50
for i in range(20):
    r.infer("sleep", region.number, 1, target=(region.number, 4096, 16))
print(region.region.hex(), flush=True)
sys.stdin.read()
"""


def client_process(d, prefix=()):
    text = CLIENT.format(tests=os.path.dirname(__file__), directory=d.directory)
    return subprocess.Popen([*prefix, sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)


def test_tokens_are_no_use_over_tcp(start):
    """Unless the administrator says so."""
    for allowed in ("no", "yes"):
        daemon = start(f"handoff.tokens_over_tcp={allowed}", models=["identity"])
        raw = Raw(daemon)
        region, memory = raw.allocate(4096)
        memory[:4] = b"1234"
        if allowed == "yes":
            assert infer_ref(daemon, "identity", region.region, 4, [4]).tensor_data.data == b"1234"
        else:
            with pytest.raises(grpc.RpcError) as e:
                infer_ref(daemon, "identity", region.region, 4, [4])
            assert e.value.code() == grpc.StatusCode.NOT_FOUND and region.region.hex() not in e.value.details()
        memory.close()
        raw.close()


def test_killed_clients_leave_nothing(d, base):
    clients = [client_process(d) for _ in range(3)]
    for c in clients:
        assert len(c.stdout.readline()) == 33
    assert d.status().handoff_regions == 3
    for c in clients:
        c.kill()
        c.communicate()


def test_killed_allocation(d, base):
    for _ in range(5):
        raw = Raw(d)
        raw.send(allocate=m.handoff.Allocate(size=64 * MIB))
        raw.close()


def test_killed_workers_with_targets(start):
    d = start("worker.backoff_max_ms=200", "worker.breaker_crashes=1000", models=["sleep"], workers="cpu:0 x2")
    raw = Raw(d)
    region, memory = raw.allocate(MIB)
    memory[0] = 20
    for _ in range(5):
        d.wait_workers_ready(2)
        for i in range(20):
            raw.infer("sleep", region.number, 1, target=(region.number, 4096 * (i + 1), 1))
        wait_for("running requests", lambda: all(w.batches_in_flight for w in d.status().workers))
        d.kill_a_worker()
        answers = [raw.receive()[0] for _ in range(20)]
        assert all(a.WhichOneof("body") == "inferred" for a in answers), answers
        assert all(memory[4096 * (i + 1)] == 20 for i in range(20))
        memory[4096:25 * 4096] = bytes(24 * 4096)
    raw.unregister(region.region)
    memory.close()
    wait_for("the charge's end", lambda: raw.limits().user_used_bytes == 0)
    raw.close()


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_other_users_are_refused(start):
    d = start("handoff.unix_mode=0666", "server.unix_mode=0666", models=["identity", "sleep"])
    os.chmod(d.directory, 0o755)
    ours = Raw(d)
    region, _ = ours.allocate(4096)
    other = client_process(d, as_user(65534))
    token = bytes.fromhex(other.stdout.readline().strip())
    channel = d.channel(d.unix)
    with pytest.raises(grpc.RpcError) as e:
        infer_ref(d, "identity", token, 4, [4], channel=channel)
    assert e.value.code() == grpc.StatusCode.NOT_FOUND
    assert token.hex() not in e.value.details() and "tokens_over_tcp" in e.value.details()
    assert ours.unregister(token).code == NOT_FOUND
    assert infer_ref(d, "identity", region.region, 4, [4], channel=channel).tensor_data.data == bytes(4)
    other.kill()
    other.communicate()
    ours.close()


def test_a_hundred_clients_come_and_go(d, base):
    """Threads of short-lived clients; every third one breaks off in the middle."""
    failures = []

    def live(number):
        try:
            raw = Raw(d)
            region, memory = raw.allocate(MIB)
            memory[:4] = number.to_bytes(4, "little")
            seqs = [raw.infer("identity", region.number, 4, target=(region.number, 4096 * (i + 1), 4))
                    for i in range(10)]
            if number % 3:
                assert sorted(raw.receive()[0].seq for _ in seqs) == seqs
                assert all(memory[4096 * (i + 1):4096 * (i + 1) + 4] == memory[:4] for i in range(10))
            raw.close()
        except Exception as e:  # noqa: BLE001: told to the test
            failures.append((number, e))

    for start in range(0, 100, 20):
        threads = [threading.Thread(target=live, args=(start + i,)) for i in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert failures == []


# A byte of milliseconds for the model, and a byte that is the client's own. The victims go on until they are killed.
CHURN = """
import itertools, os, sys
sys.path.insert(0, {tests!r})
from raw_handoff import Raw, memfd
class D: directory = {directory!r}
number = int(sys.argv[1])
raw = Raw(D)
if number % 2:
    region, memory = raw.allocate(1 << 20)
else:
    import mmap
    fd = memfd(1 << 20)
    region, memory = raw.register(fd), mmap.mmap(fd, 1 << 20)
mine = bytes([number % 4, number])
memory[:2] = mine
for n in range(10) if number % 3 else itertools.count():
    for i in range(20):
        memory[4096 * (i + 1):4096 * (i + 1) + 2] = b"--"
        raw.infer("sleep", region.number, 2, target=(region.number, 4096 * (i + 1), 2))
    if n == 0:
        print("begun", flush=True)
    for i in range(20):
        answer = raw.receive()[0]
        assert answer.WhichOneof("body") == "inferred", answer
    assert all(memory[4096 * (i + 1):4096 * (i + 1) + 2] == mine for i in range(20))
print("done", flush=True)
"""


@pytest.mark.heavy
@pytest.mark.slow
def test_a_hundred_processes_with_kills_in_the_middle(start):
    """Clients of three users come and go; every third is killed, and workers are, meanwhile: those that live get
    every answer, and descriptors, mappings and charges are back at the base."""
    d = start("handoff.unix_mode=0666", "worker.backoff_max_ms=100", "worker.breaker_crashes=10000",
              "dispatch.retry_wait_ms=60000", models=["sleep"], workers="cpu:0 x2")
    os.chmod(d.directory, 0o755)
    d.wait_workers_ready(2)
    base = Base(d)
    text = CHURN.format(tests=os.path.dirname(__file__), directory=d.directory)
    users = [as_user(uid) for uid in (65534, 65533)] if os.getuid() == 0 else []
    users.append([])
    wanted, failures, clients = 100, [], {}
    begun = killed = 0
    while begun < wanted or clients:
        while begun < wanted and len(clients) < 8:
            clients[begun] = subprocess.Popen([*users[begun % len(users)], sys.executable, "-c", text, str(begun)],
                                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            begun += 1
        number, c = next(iter(clients.items()))
        told = c.stdout.readline()
        if killed < begun // 10:
            killed += 1
            d.kill_a_worker()
        if number % 3 == 0:
            c.kill()
        told += c.stdout.read()
        c.communicate()
        if told != ("begun\ndone\n" if number % 3 else "begun\n"):
            failures.append((number, told))
        del clients[number]
    # A worker that is lost twice with a request is that request's end: with kills this rare none is.
    assert failures == []
    assert killed == 10
    d.wait_workers_ready(2)
    base.check()


def test_memory_that_changes_during_requests(d, raw):
    """The client writes to its input and punches holes into it meanwhile: nobody is hurt."""
    region, memory = raw.allocate(16 * MIB)
    for _ in range(10):
        for i in range(8):
            raw.infer("identity", region.number, 8 * MIB, target=(region.number, 8 * MIB, 8 * MIB))
        for i in range(0, 8 * MIB, 64 * 1024):
            memory[i:i + 4096] = os.urandom(4096)
        memory.madvise(mmap.MADV_REMOVE, 0, 4 * MIB)
        assert all(raw.receive()[0].WhichOneof("body") == "inferred" for _ in range(8))


def test_bytes_tensor_is_checked_by_the_worker(raw):
    region, memory = raw.allocate(4096)
    memory[:5] = (1).to_bytes(4, "little") + b"x"
    assert raw.infer_wait("identity", region.number, 5, dtype=14, dims=[1]).outputs[0].data == memory[:5]
    memory[:4] = b"\xff" * 4
    assert raw.infer_wait("identity", region.number, 5, dtype=14, dims=[1]).code == INVALID_ARGUMENT


# --- the Python client ----------------------------------------------------------------------------
def test_python_client(d, base):
    np = pytest.importorskip("numpy")
    sys.path.insert(0, os.path.join(m.ROOT, "clients", "python"))
    modeld = pytest.importorskip("modeld")
    with modeld.connect(d.unix, handoff=os.path.join(d.directory, "handoff.sock")) as client:
        before = copied(d)
        array = client.empty((1024, 1024), np.uint8)
        array[:] = 7
        result = client.infer("identity", array)
        assert result.shape == array.shape and (result == 7).all()
        assert copied(d)[:2] == before[:2]
        del array, result


# --- the daemon's life ----------------------------------------------------------------------------
def test_drain_finishes_what_is_in_flight(start):
    d = start(models=["sleep"])
    raw = Raw(d)
    region, memory = raw.allocate(4096)
    memory[0] = 200
    seq = raw.infer("sleep", region.number, 1)
    wait_for("a running request", lambda: d.status().workers[0].batches_in_flight)
    d.terminate()
    answer, _ = raw.receive()
    assert answer.seq == seq and answer.inferred.outputs[0].data == b"\xc8"
    assert raw.receive() is None
    raw.close()
    assert d.process.wait(60) == 0
    d.checked = True


def cpu_ticks(pid):
    return sum(int(n) for n in open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13])


def test_busy_polling_answers_and_stops_when_idle(start):
    d = start("server.busy_poll_us=200", models=["identity"])
    raw = Raw(d)
    assert raw.limits().busy_poll_us == 200
    region, memory = raw.allocate(4096)
    for i in range(500):
        memory[0] = i & 255
        assert raw.infer_wait("identity", region.number, 1).outputs[0].data == memory[:1]
    raw.close()
    worker = d.workers()[0]
    before = cpu_ticks(d.pid) + cpu_ticks(worker)
    raw = Raw(d)
    raw.socket.settimeout(1)
    with pytest.raises(socket.timeout):
        raw.receive()
    assert cpu_ticks(d.pid) + cpu_ticks(worker) - before < 20
    raw.close()


def test_no_handoff(start):
    d = start("handoff.socket=", models=["identity"])
    assert not os.path.exists(os.path.join(d.directory, "handoff.sock"))
    with pytest.raises(grpc.RpcError) as e:
        infer_ref(d, "identity", b"x" * 16, 4, [4])
    assert e.value.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_stale_socket_is_replaced(start, tmp_path):
    path = str(tmp_path / "h.sock")
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stale.bind(path)
    stale.close()
    start(f"handoff.socket={path}", models=["identity"]).stop()
    assert not os.path.exists(path)
