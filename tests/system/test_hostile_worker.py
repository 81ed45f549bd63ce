"""A worker that lies, once in each field, with each kind of descriptor, in each state (hostile_worker.c): the daemon ends it,
says why, and serves on; a worker beside it and its callers do not notice."""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from callers import Callers
from daemon import ROOT, SANITIZED, wait_for

sys.path.insert(0, os.path.join(ROOT, "workers", "python"))
from modeld_worker import wire  # noqa: E402

U64 = wire.U64_MAX
REGION = wire.REGION_BIT + 1
# The worker ends as it should, though nobody has to like what it said.
HARMLESS = None
MALFORMED = "a message that is malformed or beyond the limits of the protocol"
ODD_OUTPUT = "an output that is not inside the worker's output memory"
ODD_SIZE = "an output whose size does not fit its shape"
ODD_NUMBER = "a wrong number of outputs"
ODD_KIND = "it is not of a kind that a worker has"
ODD_DTYPE = "an output whose dtype is not as declared"
TOO_LARGE = "all would be larger than"
NO_SIZE = "it has not that size"
# What hostile_worker.c calls the messages of wire.py, and those in them.
MESSAGES = {"hello": wire.Hello, "map": wire.Map, "unmap": wire.Unmap, "unmapped": wire.Unmapped, "pong": wire.Pong,
            "unloaded": wire.Unloaded, "loaded": wire.Loaded, "loaded.declaration": wire.Declaration, "partial": wire.Partial,
            "tensor": wire.Tensor, "done": wire.Done, "result": wire.Result, "bye": wire.Bye}


# --- In each field ------------------------------------------------------------------------------


def beyond_limits(field):
    """What no message may have there."""
    if isinstance(field, wire.Text):
        return [f"long:{field.limit + 1}", "nul", "beyond", "endless"]
    if isinstance(field, wire.Messages):
        return [f"times:{field.count + 1}", "beyond", "endless"] + ["missing"] * (field.low > 0)
    values = ["endless"]
    if 1 < field.high < U64:  # 1: a truth, which any number but 0 is
        values.append(field.high + 1)
    if field.low:
        values.append((field.low - 1) & U64)
    if isinstance(field, wire.Numbers):
        values.append(f"times:{field.count + 1}")
    return values


def in_fields():
    return {f"{name}.{field.name}={value}": MALFORMED
            for name, of in MESSAGES.items() for field in of.FIELDS.values() for value in beyond_limits(field)}


WITHIN_LIMITS = {
    "hello.protocol=3": "hello: protocol 3, expected", "hello.protocol=missing": "hello: protocol 0, expected",
    "hello.protocol=fixed": MALFORMED, "hello.slots=text": MALFORMED, "hello.sandbox=number": MALFORMED,
    "hello.slots=0": "hello: 0 slots", "hello.slots=100000": "hello: 100000 slots",
    "hello.sandbox=binary": HARMLESS, "hello.copies=binary": HARMLESS, "hello.copies=long:256": MALFORMED,
    "map.size=0": NO_SIZE, "map.size=4096": NO_SIZE, f"map.size={U64}": TOO_LARGE, f"map.size={1 << 40}": TOO_LARGE,
    "map.writable=1": ODD_KIND, f"map.id={REGION}": ODD_KIND, "map.id=2": ODD_OUTPUT, "map.id=missing": MALFORMED,
    "unmap.id=1": ODD_OUTPUT, "unmap.id=2": "unmap: there is no segment 0x2",
    "unmapped.id=1": "unmapped: memory 0x1 was not to be unmapped", "pong.nonce=0": "pong: nonce 0 was not asked for",
    "unloaded.model=1": "unloaded: model 1 was not to be unloaded",
    "loaded.model=7777": "loaded: model 7777 was not to be loaded", "loaded.lanes=17": "more lanes than it was to have",
    "loaded.lanes=0": HARMLESS, "loaded.ok=0": HARMLESS, "loaded.max_batch_size=4": HARMLESS,
    f"loaded.memory_bytes={U64}": HARMLESS, "loaded.inputs=missing": HARMLESS, "loaded.inputs=times:2": HARMLESS,
    "loaded.outputs=times:2": HARMLESS, "loaded.outputs=missing": HARMLESS,
    "loaded.declaration.any_shape=1": MALFORMED, "loaded.declaration.name=missing": HARMLESS,
    "loaded.declaration.name=binary": HARMLESS, "loaded.declaration.dims=missing": HARMLESS,
    "loaded.declaration.dtype=0": HARMLESS, "loaded.error=binary": HARMLESS,
    "done.batch=0": "done: batch 0 is not in flight", "done.batch=9999": "done: batch 9999 is not in flight",
    f"done.batch={U64}": f"done: batch {U64} is not in flight", f"done.compute_ns={U64}": HARMLESS,
    "done.results=times:2": "a wrong number of results", "result.code=5": ODD_NUMBER, "result.outputs=missing": ODD_NUMBER,
    "result.outputs=times:2": ODD_NUMBER, "result.message=binary": HARMLESS, "result.hold=0": "outputs without a hold",
    f"result.hold={U64}": HARMLESS, "result.joined=0": HARMLESS, "result.joined=2": "a result of more items than there are",
    "tensor.index=1": "an output index out of range", "tensor.dtype=1": ODD_DTYPE, "tensor.dtype=12": ODD_DTYPE,
    "tensor.arena=2": ODD_OUTPUT, f"tensor.arena={REGION}": ODD_OUTPUT, "tensor.offset=65530": ODD_OUTPUT,
    f"tensor.offset={U64 - 15}": ODD_OUTPUT, f"tensor.offset={1 << 63}": ODD_OUTPUT, "tensor.length=15": ODD_SIZE,
    "tensor.length=0": ODD_SIZE, f"tensor.length={U64}": ODD_SIZE, "tensor.dims=15": ODD_SIZE,
    f"tensor.dims={(1 << 63) - 1}": ODD_SIZE, "tensor.dims=missing": ODD_SIZE, "tensor.dims=times:2": ODD_SIZE,
    f"tensor.generation={U64}": HARMLESS, "partial.batch=9999": "partial: batch 9999 is not in flight",
    "partial.item=1": "an answer of an item that it has not", "partial.hold=0": "an answer in part that holds nothing",
    f"partial.hold={U64}": HARMLESS, "partial.last=0": "is not declared decoupled", "partial.outputs=missing": ODD_NUMBER,
    "partial.outputs=times:2": ODD_NUMBER, f"partial.compute_ns={U64}": HARMLESS, "partial.nothing=1": HARMLESS,
    "bye.reason=binary": HARMLESS,
}

# --- With each kind of descriptor -----------------------------------------------------------------

KINDS = ["segment", "unsealed", "shrinks", "short", "empty", "null", "zero", "file", "proc", "path", "directory", "pipe",
         "epoll", "socket", "records", "channel"]


def with_descriptors():
    rows = {f"{name}.fd={kind}": f"message '{name}' with a descriptor" for name in ("hello", "done") for kind in KINDS}
    rows |= {f"{name}.fd=segment": f"message '{name}' with a descriptor"
             for name in ("ready", "loaded", "partial", "unmap", "pong", "unmapped", "unloaded", "bye")}
    rows |= {f"map.fd={kind}": "refused: it is not sealed" for kind in KINDS}
    return rows | {"map.fd=segment": HARMLESS, "map.fd=path": "cannot be mapped", "map.fd=none": "map: no descriptor came along",
                   "map.fd=two": MALFORMED, "hello.fd=two": MALFORMED, "done.fd=two": MALFORMED}


# --- In each state --------------------------------------------------------------------------------

def written():
    """number -> name, of the messages of wire.proto"""
    with open(os.path.join(ROOT, "proto", "wire.proto"), encoding="utf-8") as f:
        envelope = f.read().split("oneof body {")[1].split("}")[0]
    return {int(number): name for name, number in re.findall(r"(\w+) = (\d+);", envelope)}


WRITTEN = written()
# With nothing in them these are none.
NOT_EMPTY = {"run", "done", "map", "unmap", "unmapped", "import", "imported"}
# What a state admits, and what is then wrong with it.
LOADS = {"loaded": "loaded: model 0 was not to be loaded", "unloaded": "unloaded: model 0 was not to be unloaded",
         "pong": "pong: nonce 0 was not asked for"}
SERVES = LOADS | {"partial": "partial: batch 0 is not in flight"}
ADMITTED = {"spawned": {"hello": "hello: protocol 0, expected", "bye": "message 'hello' is not allowed after bye"}, "loading": SERVES | {"ready": "ready: for the second time"},
            "ready": SERVES, "stopping": LOADS | {"bye": "bye: for the second time"}, "over": {"bye": "bye: for the second time"}}
# The states of hostile_worker.c, and which the daemon has it in then.
STATES = {"spawned": "spawned", "set_up": "loading", "loading": "loading", "ready": "ready", "running": "ready",
          "stopping": "stopping", "over": "over"}


def said(state, number):
    name = WRITTEN.get(number)
    if not name or name in NOT_EMPTY:
        return MALFORMED
    if number not in wire.TYPES:
        return ""  # no worker need know it: any reason is good
    refused = f"message '{name}' is not allowed " + ("after bye" if state == "over" else state)
    return ADMITTED[state].get(name, refused)


def in_state(name, state):
    rows = {f"{name}.says={number}": said(state, number) for number in range(max(WRITTEN) + 2)}
    rows |= {f"{name}.record={record}": MALFORMED for record in ("cut", "long", "garbage", "tail")}
    rows |= {f"{name}.record=many": said(state, 12), f"{name}.does=flood": said(state, 12)}
    return rows | {f"{name}.does=exit": "exit status 0: the model, or a library, ended the process", f"{name}.does=crash": "signal 6", f"{name}.does=close": "signal 9"}


def in_states():
    rows = {}
    for name, state in STATES.items():
        rows |= in_state(name, state)
    rows["over.does=exit"] = HARMLESS  # which is what is wanted then
    del rows["over.does=close"]  # as long as [worker] drain_timeout_ms
    return rows


# --- The trial --------------------------------------------------------------------------------------

# What is told only at the end.
LATE = ("stopping", "over", "bye")
ROWS = list((in_fields() | WITHIN_LIMITS | with_descriptors() | in_states()).items())
AT_ONCE = 120
if SANITIZED:  # starting a worker takes a daemon with sanitizers many times as long
    ROWS, AT_ONCE = ROWS[::4], 40


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "worker"
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-o", path,
                    os.path.join(ROOT, "tests", "system", "hostile_worker.c")], check=True)
    return path


def reasons(log):
    """model -> why a worker of its own was lost, the last time; None: it ended as it should"""
    owners = dict(re.findall(r"worker of a model's own worker=(\S+) model=(\S+)", log))
    lost = re.findall(r'worker lost worker=(\S+) .*? why="(.*)"', log)
    clean = re.findall(r"worker ended worker=(\S+) .*exit status 0", log)
    return {owners.get(w): None for w in clean} | {owners.get(w): why for w, why in lost}


def served(d, model):
    try:
        d.infer(model, b"x" * 16)
        return True
    except grpc.RpcError:
        return False


@pytest.mark.parametrize("rows", [ROWS[i:i + AT_ONCE] for i in range(0, len(ROWS), AT_ONCE)], ids=lambda rows: rows[0][0])
def test_each_lie_costs_its_own_worker(start, repository, program, rows):
    for i, (lie, _) in enumerate(rows):
        os.makedirs(os.path.join(repository.directory, f"m{i}", "1"))
        repository.write(f"m{i}/model.conf", f"[model]\nbackend = liar\n[parameters]\nlie = {lie}\n")
    d = start(f"backend.liar.worker={program}", "worker.sandbox=off", f"worker.max_model_workers={len(rows)}",
              "worker.breaker_crashes=1", "dispatch.retry_wait_ms=0", "models.serve=*", "models.default=identity",
              repository=repository.directory)
    beside = Callers(d, 2, pause=0.01)
    try:
        with ThreadPoolExecutor(8) as pool:
            answered = list(pool.map(lambda i: served(d, f"m{i}"), range(len(rows))))
        ends = [f"m{i}" for i, (lie, expected) in enumerate(rows) if expected is not None and not lie.startswith(LATE)]
        assert not [model for model in ends if answered[int(model[1:])]]
        wait_for("their ends", lambda: all(reasons(d.log()).get(model) for model in ends))
        beside.wait_done(5)
    finally:
        done, failures = beside.stop()
    assert done and not failures, failures
    assert [(w.restarts, w.state) for w in d.status().workers if w.name == "cpu:0/0"] == [(0, "ready")]
    why = reasons(d.stop())
    ended = [(lie, expected, why.get(f"m{i}", "not at all")) for i, (lie, expected) in enumerate(rows)]
    wrong = [row for row in ended if (row[1] not in row[2] if row[1] is not None and row[2] else row[1] is not row[2])]
    assert not wrong, wrong
