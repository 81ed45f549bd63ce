"""clients/python: a plain gRPC client over TCP, shared memory on a Unix socket."""
import contextlib
import gc
import linecache
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import messages as m
from daemon import wait_for

sys.path.insert(0, os.path.join(m.ROOT, "clients", "python"))
import modeld  # noqa: E402
from modeld._messages import GetLimits  # noqa: E402


@pytest.fixture(scope="module")
def server(start_once):
    repository = os.path.join(m.ROOT, "conf", "models")
    return start_once(models=["identity", "simple", "digits"], repository=repository)


@pytest.fixture
def local(server):
    with modeld.connect(server.unix) as c:
        yield c


@pytest.fixture
def remote(server):
    with modeld.connect(server.tcp) as c:
        yield c


def charged(server):
    with modeld.connect(server.unix) as c:
        return c._handoff.limits["user_used_bytes"]


DTYPES = [np.bool_, np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64, np.float16,
          np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("where", ["local", "remote"])
def test_every_dtype_and_shape(request, where, dtype):
    client = request.getfixturevalue(where)
    for shape in [(), (3,), (2, 0, 4), (2, 3, 4), (300, 400)]:
        array = (np.arange(int(np.prod(shape, dtype=int))) % 2).astype(dtype).reshape(shape)
        out = client.infer("identity", array)
        assert out.dtype == array.dtype and out.shape == array.shape and np.array_equal(out, array)


def test_connection_says_what_it_uses(local, remote):
    assert local.uses_shared_memory and not remote.uses_shared_memory


def test_strings(local, remote):
    array = np.array([["a", "\u00e4"], ["", "long" * 10000]])
    for client in (local, remote):
        out = client.infer("identity", array)
        assert out.shape == (2, 2) and [x.decode() for x in out.reshape(-1)] == list(array.reshape(-1))


def test_bf16(local, remote):
    array = np.array([0x3F80, 0x4000], np.uint16)
    for client in (local, remote):
        assert np.array_equal(client.infer("identity", array, dtype="bf16"), array)


def test_arrays_of_ml_dtypes(local, remote):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([[1.5, -2], [3, 4]], ml_dtypes.bfloat16)
    for client in (local, remote):
        out = client.infer("identity", array)
        assert out.dtype == np.uint16 and out.tobytes() == array.tobytes() and out.shape == array.shape
        with pytest.raises(ValueError, match="float8_e4m3fn"):
            client.infer("identity", array.astype(ml_dtypes.float8_e4m3fn))
    room = local.empty((2, 2), ml_dtypes.bfloat16)
    room[...] = array
    assert local.infer("identity", room).tobytes() == array.tobytes()


def test_dtype_converts_what_is_safe_and_refuses_the_rest(local, remote):
    whole = np.arange(-3, 3, dtype=np.int16)
    for client in (local, remote):
        for name, dtype in (("i16", np.int16), ("i64", np.int64), ("f32", np.float32)):
            out = client.infer("identity", whole, dtype=name)
            assert out.dtype == dtype and np.array_equal(out, whole)
        for array, name in ((np.arange(3, dtype=np.int32), "f32"), (np.arange(3, dtype=np.float16), "bf16"),
                            (np.arange(3, dtype=np.float32), "bf16"), (np.arange(3, dtype=np.float64), "f32"),
                            (np.arange(3, dtype=np.int32), "u32"), (np.arange(3, dtype=np.int16), "f16"),
                            (np.arange(3, dtype=np.uint8), "bytes"), (np.array(["a"]), "u8")):
            with pytest.raises(ValueError, match="is not sent as " + name):
                client.infer("identity", array, dtype=name)
        with pytest.raises(ValueError, match="unknown dtype 'float'"):
            client.infer("identity", whole, dtype="float")


def test_each_input_has_its_own_dtype(local):
    a, b = np.arange(32, dtype=np.int16).reshape(2, 16), np.full((2, 16), 3, np.int32)
    for dtype in ({"INPUT0": "i32"}, {"INPUT0": "i32", "INPUT1": "i32"}, "i32"):
        result = local.infer_all("simple", {"INPUT0": a, "INPUT1": b}, dtype=dtype)
        assert np.array_equal(result["OUTPUT0"], a + b)
    with pytest.raises(ValueError, match="'INPUT2', which is not sent"):
        local.infer_all("simple", {"INPUT0": a, "INPUT1": b}, dtype={"INPUT2": "i32"})


@pytest.mark.parametrize("elements", [[3, 5], [None, b"x"], [1.5, "x"], [np.int64(7)], [True, b"x"], [bytearray(b"x")]])
def test_objects_that_are_no_strings_are_refused(local, remote, elements):
    for client in (local, remote):
        with pytest.raises(ValueError, match="element 0 of an array of objects is .*, neither str nor bytes"):
            client.infer("identity", np.array(elements, object))


def test_masked_arrays_are_refused(local):
    with pytest.raises(ValueError, match="masked"):
        local.infer("identity", np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]))


def test_not_contiguous_and_foreign_byte_order(local, remote):
    array = np.arange(100000, dtype=np.float32).reshape(100, 1000)
    for client in (local, remote):
        assert np.array_equal(client.infer("identity", array.T), array.T)
        assert np.array_equal(client.infer("identity", array[::2, ::3]), array[::2, ::3])
        assert np.array_equal(client.infer("identity", array.astype(">f4")), array)


def test_digits(local, remote):
    image = np.zeros((2, 8, 8), np.float32)
    assert np.allclose(local.infer("digits", image), remote.infer("digits", image))
    info = local.model("digits")
    assert info.inputs[0].shape == (-1, 8, 8) and info.inputs[0].dtype == "f32"


def test_several_inputs_and_outputs(local, remote):
    a, b = np.arange(32, dtype=np.int32).reshape(2, 16), np.full((2, 16), 3, np.int32)
    result = local.infer_all("simple", {"INPUT0": a, "INPUT1": b})
    assert np.array_equal(result["OUTPUT0"], a + b) and np.array_equal(result["OUTPUT1"], a - b)
    assert result.timings.total_us > 0 and result.timings.worker == "cpu:0/0"
    one = local.infer_all("simple", {"INPUT0": a, "INPUT1": b}, outputs=["OUTPUT1"])
    assert list(one) == ["OUTPUT1"]


def test_several_inputs_and_outputs_over_tcp(remote):
    a, b = np.arange(32, dtype=np.int32).reshape(2, 16), np.full((2, 16), 3, np.int32)
    both = {"INPUT0": a, "INPUT1": b}
    result = remote.infer_all("simple", both)
    assert list(result) == ["OUTPUT0", "OUTPUT1"]
    assert np.array_equal(result["OUTPUT0"], a + b) and np.array_equal(result["OUTPUT1"], a - b)
    assert result.timings.batch_size == 0, "that is not said there"
    for outputs in (["OUTPUT1"], ["OUTPUT1", "OUTPUT0"]):
        assert list(remote.infer_all("simple", both, outputs=outputs)) == sorted(outputs), "in the model's order"
    assert np.array_equal(remote.infer("simple", both), a + b)
    assert np.array_equal(remote.infer("simple", both, parameters={"output": "OUTPUT1"}), a - b)
    out = np.empty((2, 16), np.int32)
    assert remote.infer("simple", both, out=out) is out and np.array_equal(out, a + b)
    assert list(remote.infer_all("identity", a)) == ["OUTPUT0"], "an output has its own name"


def check_simple(c, model):
    a, b = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)
    both = c.infer_all(model, {"INPUT0": a, "INPUT1": b})
    assert both["OUTPUT0"].tolist() == (a + b).tolist() and both["OUTPUT1"].tolist() == (a - b).tolist()
    assert c.infer_all(model, {"INPUT0": a, "INPUT1": b}, outputs=["OUTPUT1"])["OUTPUT1"].tolist() == (a - b).tolist()
    assert c.infer(model, {"INPUT0": a, "INPUT1": b}).tolist() == (a + b).tolist()


@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_version(request, where):
    client = request.getfixturevalue(where)
    check_simple(client, "simple:1")
    for n in (4, 1 << 17):
        assert client.infer("identity:1", np.ones(n)).sum() == n
    with pytest.raises(modeld.ModeldError) as e:
        check_simple(client, "simple:9")
    assert e.value.code == "NOT_FOUND"


@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_a_model_that_is_loaded_for_the_request(start, where):
    repository = os.path.join(m.ROOT, "conf", "models")
    d = start("models.serve=*", "models.default=", "models.control=explicit", "models.load_on_request=yes", repository=repository)
    with modeld.connect(getattr(d, where)) as c:
        check_simple(c, "simple")
        assert c.infer("identity", np.ones(1 << 17)).sum() == 1 << 17


@pytest.mark.parametrize("names, outputs, text", [
    (["INPUT0", "x"], None, "model 'simple' has no input 'x'; its inputs are 'INPUT0', 'INPUT1'"),
    (["INPUT0", "INPUT1"], ["OUTPUT0", "y"], "model 'simple' has no output 'y'; its outputs are 'OUTPUT0', 'OUTPUT1'"),
    (["INPUT0", "INPUT1", "INPUT2"], None, "no input 'INPUT2'")])
def test_wrong_names_over_tcp(remote, names, outputs, text):
    a = np.zeros((1, 16), np.int32)
    with pytest.raises(modeld.ModeldError, match=text) as e:
        remote.infer_all("simple", dict.fromkeys(names, a), outputs=outputs)
    assert e.value.code == "INVALID_ARGUMENT"


def test_errors_of_several_inputs_over_tcp(remote):
    a = np.zeros((1, 16), np.int32)
    with pytest.raises(modeld.ModeldError) as e:
        remote.infer_all("simple", {"INPUT0": a, "INPUT1": np.zeros((1, 15), np.int32)})
    assert e.value.code == "INVALID_ARGUMENT" and "INPUT1" in e.value.message
    with pytest.raises(modeld.ModeldError) as e:
        remote.infer_all("nosuch", {"INPUT0": a, "INPUT1": a})
    assert e.value.code == "NOT_FOUND"


def test_empty_lies_in_shared_memory_and_nothing_is_copied(server, local):
    before = server.status()
    array = local.empty((1024, 1024), np.float32)
    array[...] = np.random.default_rng(1).random(array.shape)
    out = local.infer("identity", array)
    assert np.array_equal(out, array)
    after = server.status()
    assert after.tensor_bytes_received == before.tensor_bytes_received
    assert after.tensor_bytes_sent == before.tensor_bytes_sent
    assert after.tensor_bytes_handed - before.tensor_bytes_handed >= 2 * array.nbytes


def test_parts_of_an_array_go_by_reference_too(local):
    array = local.empty((10, 65536), np.uint8)
    array[...] = np.arange(10, dtype=np.uint8)[:, None]
    outs = [local.infer("identity", array[i]) for i in range(10)]
    assert all((out == i).all() for i, out in enumerate(outs))


def test_memory_is_given_back_when_arrays_go(server):
    base = charged(server)
    with modeld.connect(server.unix) as client:
        arrays = [client.infer("identity", client.empty(40 << 20, np.uint8)) for _ in range(3)]
        view = arrays[0][1000:2000]
        assert client._memory.bytes_used >= 3 * (40 << 20)
        del arrays
        gc.collect()
        assert 40 << 20 <= client._memory.bytes_used < 2 * (40 << 20)
        assert view.shape == (1000,)
        del view
        gc.collect()
        assert client._memory.bytes_used == 0
    # Of others on the same daemon, pools may shrink meanwhile.
    wait_for("the charges to come back", lambda: charged(server) <= base)


def test_results_outlive_the_connection(server):
    with modeld.connect(server.unix) as client:
        out = client.infer("identity", np.full(1 << 20, 9, np.uint8))
    assert (out == 9).all()


def test_errors(local, remote):
    for client in (local, remote):
        with pytest.raises(modeld.ModeldError) as e:
            client.infer("nosuch", np.zeros(1 << 20, np.uint8))
        assert e.value.code == "NOT_FOUND" and "nosuch" in e.value.message
        with pytest.raises(modeld.ModeldError) as e:
            client.infer("digits", np.zeros((1, 9, 9), np.float32))
        assert e.value.code == "INVALID_ARGUMENT"
    with pytest.raises(ValueError, match="complex"):
        local.infer("identity", np.zeros(3, np.complex64))
    with pytest.raises(modeld.ModeldError):
        modeld.connect("127.0.0.1:1", timeout=1).models()
    with pytest.raises(modeld.ConnectionLost):
        modeld.connect("unix:/nonexistent/modeld.sock", handoff="/nonexistent/handoff.sock")


def test_timeout(start):
    d = start(models=["sleep"])
    with modeld.connect(d.unix) as client:
        array = client.empty(1, np.int32)
        array[0] = 60000
        with pytest.raises(modeld.ModeldError) as e:
            client.infer("sleep", array, timeout=0.1)
        assert e.value.code == "DEADLINE_EXCEEDED"
        # Its memory is not used again while the model may still write to it.
        assert client._memory.bytes_used >= array.nbytes + 64
        os.kill(d.children()[0], signal.SIGKILL)
        d.wait_workers_ready(1)


@pytest.fixture
def still(start):
    """A daemon that stands still, and a client that has memory of it already."""
    d = start(models=["identity"])
    big = np.zeros(100_000, np.uint8)
    with modeld.connect(d.unix) as warm, modeld.connect(d.unix) as cold:
        warm.infer("identity", big)
        os.kill(d.pid, signal.SIGSTOP)
        try:
            yield warm, cold, big
        finally:
            os.kill(d.pid, signal.SIGCONT)
    wait_for("the regions' end", lambda: d.status().handoff_regions == 0)


def test_a_timeout_holds_while_the_daemon_stands_still(still):
    """Whatever it is that has to be waited for: the answer, memory, what the model is; from several threads."""
    warm, cold, big = still
    ended = []

    def call(client, array):
        with pytest.raises(modeld.ModeldError, match="DEADLINE_EXCEEDED"):
            client.infer("identity", array, timeout=0.5)
        ended.append(client)

    calls = [(warm, big[:10]), (warm, big), (warm, big), (warm, np.zeros(40 << 20, np.uint8)), (cold, big[:10]), (cold, big)]
    threads = [threading.Thread(target=call, args=c, daemon=True) for c in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert len(ended) == len(calls)


def test_a_timeout_holds_where_nothing_can_be_sent(still):
    warm, _, big = still
    with pytest.raises(TimeoutError):
        while True:
            warm._handoff.forget(warm._handoff.send(GetLimits(), end=time.monotonic() + 0.1))
    with pytest.raises(modeld.ModeldError, match="DEADLINE_EXCEEDED"):
        warm.infer("identity", big, timeout=0.1)


@pytest.mark.parametrize("timeout", [None, float("inf"), 1e30])
def test_a_timeout_without_end(server, timeout):
    with modeld.connect(server.unix, timeout=timeout) as client:
        for n in (10, 100_000):
            assert client.infer("identity", np.ones(n, np.uint8), timeout=timeout).sum() == n


def mappings():
    with open("/proc/self/maps") as f:
        return sum("memfd:" in line for line in f)


def test_close_frees_at_once(server):
    """Without the collector of cycles, and while the client is still there."""
    gc.collect()
    gc.disable()
    try:
        before = mappings()
        client = modeld.connect(server.unix)
        client.infer("identity", np.ones(100_000, np.uint8))
        assert mappings() > before
        client.close()
        assert mappings() == before
    finally:
        gc.enable()


def test_interrupted_request_keeps_its_memory(start):
    """An exception out of a signal handler leaves infer(): what the model still writes to is not lent again."""
    d = start(models=["sleep"])

    class Interrupted(BaseException):
        pass

    def interrupt(*_):
        raise Interrupted

    with modeld.connect(d.unix) as client:
        array = client.empty(1, np.int32)
        array[0] = 1000
        client.model("sleep")
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Interrupted):
                client.infer("sleep", array)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        others = [client.empty(64, np.uint8) for _ in range(100)]
        for other in others:
            other[:] = 0xAA
        quick = client.empty(1, np.int32)
        quick[0] = 0
        client.infer("sleep", quick)  # answered after the one that was interrupted
        assert all((other == 0xAA).all() for other in others)


def memfds():
    """Descriptors that are shared memory."""
    n = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            n += os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:")
    return n


class Interrupted(BaseException):
    pass


def interrupt(at, call):
    """call(), with an exception ahead of the at-th line of the package, where a signal's handler may run: not on the way
    into and out of `with lock`, which are one call each, nor where no call is between two lines. False: there are fewer
    lines. Destructors cannot pass an exception on."""
    package = os.path.dirname(modeld.__file__)
    spared = ("with ", "if self._reader is me", "self._reader = None")
    left = at

    def trace(frame, event, _):
        nonlocal left
        if not frame.f_code.co_filename.startswith(package) or frame.f_code.co_name in ("__del__", "give"):
            return None
        if event == "line" and not linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith(spared):
            left -= 1
            if left == 0:
                raise Interrupted
        return trace

    sys.settrace(trace)
    try:
        call()
    except Interrupted:
        pass
    finally:
        sys.settrace(None)
    return left <= 0


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_an_exception_between_any_two_lines_leaves_nothing(start, step):
    """As KeyboardInterrupt is: no lock stays held, no answer is lost, and no memory, region or descriptor is kept."""
    d = start(models=["identity"])
    data = np.arange(100_000, dtype=np.uint8)

    def infer():
        assert np.array_equal(client.infer("identity", data, timeout=60), data)

    def kept():
        limits = client._handoff.get_limits(60)
        return [memfds(), limits["user_used_regions"], client._memory.bytes_used,
                len(client._handoff._answers), len(client._handoff._dropped), len(client._handoff._sent)]

    gc.collect()  # what tests before this one left in circles is not to go meanwhile
    with modeld.connect(d.unix) as client:
        infer()
        infer()
        before, at = kept(), 1
        while interrupt(at, infer):
            infer()
            wait_for(f"nothing is left of line {at}", lambda: all(now <= was for now, was in zip(kept(), before)))
            at += step
        assert at > 500


def test_close_wakes_whoever_waits(start):
    d = start(models=["sleep"])
    client = modeld.connect(d.unix)
    array = client.empty(1, np.int32)
    array[0] = 2000
    errors = []

    def run():
        try:
            client.infer("sleep", array)
        except modeld.ModeldError as e:
            errors.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for("a batch", lambda: any(w.batches_in_flight for w in d.status().workers))
    client.close()
    thread.join(20)
    assert not thread.is_alive() and isinstance(errors[0], modeld.ConnectionLost)


FORK = """
import os, sys
import numpy as np
import modeld
client = modeld.connect(sys.argv[1])
remote = modeld.connect(sys.argv[1], handoff=False)
array = client.empty(100, np.uint8)
array[:] = 7
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    for use in (lambda: client.empty(100, np.uint8), lambda: client.infer_all("identity", array),
                lambda: remote.infer("identity", np.ones(10, np.uint8)), lambda: remote.models()):
        try:
            use()
            os._exit(1)
        except modeld.ConnectionLost as e:
            if "fork" not in str(e):
                os._exit(2)
    client.close()
    os.read(read, 1)
    os._exit(0)
assert (client.infer("identity", array) == 7).all()
assert (remote.infer("identity", array) == 7).all()
client.close()
sys.stdout.write("closed\\n")
sys.stdout.flush()
sys.stdin.readline()
os.write(write, b"x")
sys.exit(os.waitpid(pid, 0)[1])
"""


def test_fork(server):
    """A child cannot use its parent's connection, nor keep it alive."""
    environment = dict(os.environ, PYTHONPATH=os.path.join(m.ROOT, "clients", "python"), GRPC_ENABLE_FORK_SUPPORT="0")
    child = subprocess.Popen([sys.executable, "-c", FORK, server.unix], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout.readline() == "closed\n"
    wait_for("the region's end", lambda: server.status().handoff_regions == 0)
    child.communicate("\n")
    assert child.returncode == 0


FORK_MEMORY = """
import mmap, os, sys
import numpy as np
import modeld
client = modeld.connect(sys.argv[1])
kept = client.empty(40 << 20, np.uint8)
kept[:] = 7
unused = client.empty(40 << 20, np.uint8)
unused[:] = 7
del unused
def mapped():
    return sum("modeld" in line and "rw-s" in line for line in open("/proc/self/maps"))
assert mapped() == 2
(read, write), (read_back, write_back) = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    try:
        assert mapped() == 1 and kept[0] == 7
        os.write(write_back, b"x")
        os.read(read, 1)
        assert not kept.any()
        del kept
        assert mapped() == 0
    except BaseException as e:
        sys.stderr.write(repr(e))
        os._exit(1)
    os._exit(0)
os.read(read_back, 1)
assert (kept == 7).all() and mapped() == 2
del kept
client.close()
assert mapped() == 0
os.write(write, b"x")
sys.exit(os.waitpid(pid, 0)[1])
"""


def test_a_child_keeps_none_of_its_parents_memory(server):
    """What no array lies in is unmapped there at once, the rest is empty when the parent has let go of it."""
    environment = dict(os.environ, PYTHONPATH=os.path.join(m.ROOT, "clients", "python"), GRPC_ENABLE_FORK_SUPPORT="0")
    done = subprocess.run([sys.executable, "-c", FORK_MEMORY, server.unix], capture_output=True, text=True, env=environment,
                          timeout=120)
    assert done.returncode == 0, done.stderr


def test_threads_share_a_connection(local):
    failures = []

    def run(value):
        for size in (10, 100000):
            out = local.infer("identity", np.full(size, value, np.uint8))
            if not (out == value).all():
                failures.append(value)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []


def test_worker_killed_in_the_middle(start):
    d = start(models=["sleep"], workers="cpu:0 x2")
    with modeld.connect(d.unix) as client:
        array = client.empty(1, np.int32)
        array[0] = 500
        client.infer("sleep", client.empty(1, np.int32) * 0)
        killer = threading.Thread(target=lambda: [
            os.kill(pid, signal.SIGKILL) for pid in
            wait_for("a batch", lambda: [w.pid for w in d.status().workers if w.batches_in_flight])])
        killer.start()
        out = client.infer("sleep", array)
        killer.join()
        assert out[0] == 500
    assert sum(w.restarts for w in d.status().workers) >= 1


def test_daemon_gone(start):
    d = start(models=["identity"])
    client = modeld.connect(d.unix)
    array = client.empty(1 << 20, np.uint8)
    d.process.kill()
    d.process.wait()
    d.checked = True
    with pytest.raises(modeld.ModeldError):
        client.infer("identity", array)
    assert not client.is_ready()


def test_a_client_outlives_the_daemon(start, tmp_path):
    """By shared memory and without; memory of the daemon that is gone is refused, not taken for the new one's."""
    address = f"unix:{tmp_path}/modeld.sock"
    big = np.arange(100_000, dtype=np.uint8)

    def begin():
        return start(f"handoff.socket={tmp_path}/handoff.sock", models=["identity"], listen=address)

    d = begin()
    with modeld.connect(address) as local, modeld.connect(address, handoff=False) as remote:
        old = local.empty(1000, np.uint8)
        for client in (local, remote):
            assert np.array_equal(client.infer("identity", big), big)
        d.process.kill()
        d.process.wait()
        d.checked = True
        for client in (local, remote):
            with pytest.raises(modeld.ModeldError, match="UNAVAILABLE"):
                client.infer("identity", big)
        d = begin()
        for client in (local, remote):
            wait_for("the daemon", client.is_ready)
            assert np.array_equal(client.infer("identity", big), big)
        with pytest.raises(modeld.ConnectionLost, match="a connection that was lost"):
            local.infer_all("identity", old)
        with pytest.raises(modeld.ConnectionLost, match="a connection that was lost"):
            local.infer("identity", big, out=old)
        assert np.array_equal(local.infer("identity", old.copy()), old)
        new = local.empty(big.shape, np.uint8)
        assert local.infer("identity", big, out=new) is new and np.array_equal(new, big)


@pytest.mark.slow
def test_installs_with_pip(tmp_path):
    target = tmp_path / "site"
    copy = tmp_path / "clients" / "python"
    copy.parent.mkdir()
    subprocess.run(["cp", "-r", os.path.join(m.ROOT, "clients", "python"), copy], check=True)
    # Its messages are made of these.
    subprocess.run(["cp", "-r", os.path.join(m.ROOT, "proto"), tmp_path], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index",
                    "--target", target, copy], check=True)
    out = subprocess.run([sys.executable, "-c", "import modeld; print(modeld.__file__, modeld.connect)"],
                         env={"PYTHONPATH": str(target)}, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(target) in out.stdout and os.path.exists(target / "modeld" / "py.typed")

