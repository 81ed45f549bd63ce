"""Workers on GPUs, with a stand-in for CUDA's runtime (tests/support/fakecuda): what each worker sees, what it
copies, and what an error of a GPU costs."""
import glob
import os
import re
import shutil
import struct
import subprocess

import grpc
import pytest

import messages as m
from callers import Callers, begin
from daemon import BUILD, ROOT, infer_request, open_to_others, status_field, wait_for

FAKE = os.path.join(BUILD, "fakecuda")
BLAS = os.path.join(FAKE, "blas")
MODELS = os.path.join(ROOT, "tests", "gpu", "models")


@pytest.fixture
def gpu(start, tmp_path):
    """gpu(*sets, fake=settings of the stand-in, ...) -> Daemon"""

    def begin(*sets, fake="", models=("identity",), workers="cuda:0", env=None, **options):
        return start(f"worker.program={FAKE}/modeld-worker", f"worker.backend_dirs={FAKE}/backends",
                     "memory.input_arena_bytes=128M", "worker.output_arena_bytes=128M",
                     f"worker.sandbox_write={tmp_path}", *sets,
                     repository=options.pop("repository", MODELS), models=list(models), workers=workers,
                     env={"FAKECUDA": fake, **(env or {})}, **options)

    return begin


def mlp(row, widths):
    """What workers/backends/cuda/mlp.c computes."""
    for layer, (depth, width) in enumerate(zip(widths, widths[1:])):
        out = []
        for c in range(width):
            total = (c % 5) / 8 + sum(row[k] * (((k * 31 + c * 17 + layer * 7) % 13) / 64 - 6 / 64)
                                      for k in range(depth))
            out.append(total if layer == len(widths) - 2 else max(total, 0))
        row = out
    return row


def test_a_gpu_answers(gpu):
    d = gpu()
    for n in (0, 1, 1000, 70000, 5 << 20):
        data = os.urandom(n)
        assert d.infer("identity", data).tensor_data.data == data
    assert "device opened" in d.log() and "inputs=pinned" in d.log()
    assert "staged" not in d.log()
    assert [w.copies for w in d.status().workers] == ["pinned"]


@pytest.mark.skipif(os.geteuid() != 0 or not open_to_others(BUILD, ROOT), reason="only root's workers may be somebody else")
def test_a_worker_on_a_gpu_may_be_another_user(gpu):
    d = gpu("worker.user=64100-64199")
    worker, = d.status().workers
    assert "user 64100" in worker.sandbox and status_field(worker.pid, "Uid") == 64100
    for n in (1000, 5 << 20):
        data = os.urandom(n)
        assert d.infer("identity", data).tensor_data.data == data


def test_runs_of_one_model_overlap(gpu, tmp_path):
    """A model that says nothing of instances has three, each with a stream of its own."""
    log = tmp_path / "streams"
    d = gpu("model.max_batch_size=0", fake=f"copy_us=400000 log={log}")
    calls = [begin(d, infer_request("identity", bytes([i]))) for i in range(3)]
    assert [c.result(60).tensor_data.data for c in calls] == [bytes([i]) for i in range(3)]
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 3


def test_copies_in_kernels_and_copies_out_overlap(gpu, tmp_path):
    """Of three requests one is copied in while another computes and the third is copied out: the stand-in lets none of
    the three end before."""
    log = tmp_path / "streams"
    d = gpu("model.max_batch_size=0", fake=f"meet=1 log={log}")
    calls = [begin(d, infer_request("identity", bytes([i]))) for i in range(3)]
    assert [c.result(60).tensor_data.data for c in calls] == [bytes([i]) for i in range(3)]
    assert sum(line.split()[1] == "met" for line in log.read_text().splitlines()) == 1


@pytest.mark.parametrize("fake", ["", "readonly=0"])
def test_what_a_model_does_not_write_is_nobodys(gpu, fake):
    """Device memory that held another's tensor comes back without anything of it."""
    d = gpu(fake=fake, models=["identity", "part"])
    for n in (1000, 100000):
        secret = b"\xa5" * n
        for writes, kept in (("nothing", 0), ("half", n // 2), ("all", n)):
            for _ in range(4):
                assert d.infer("identity", secret).tensor_data.data == secret
            data = b"\x11" * n
            reply = d.infer("part", data, parameters={"writes": writes}).tensor_data.data
            assert reply == data[:kept] + bytes(n - kept)


def test_copies_are_staged_where_memory_cannot_be_registered(gpu):
    d = gpu(fake="readonly=0")
    for n in (0, 1, 1000, 70000, 5 << 20):
        data = os.urandom(n)
        assert d.infer("identity", data).tensor_data.data == data
    assert "inputs=staged" in d.log()
    assert [w.copies for w in d.status().workers] == ["staged"]
    assert "copies staged" in d.modelctl("status", "-o", "wide").stdout


def test_a_perceptron_is_right(gpu):
    d = gpu(models=["mlp"])
    rows = [[((r * 7 + i) % 11) / 10 for i in range(64)] for r in range(3)]
    reply = d.infer("mlp", struct.pack("<192f", *sum(rows, [])), [3, 64], "f32").tensor_data
    assert list(reply.shape) == [3, 10]
    got = struct.unpack("<30f", reply.data)
    for r, row in enumerate(rows):
        assert got[r * 10:r * 10 + 10] == pytest.approx(mlp(row, [64, 256, 10]), abs=1e-4)


def test_the_example_for_gpus_computes_there(gpu, tmp_path):
    """docs/examples/scale_cuda_backend.c."""
    log = tmp_path / "streams"
    d = gpu(models=["scale"], fake=f"log={log}")
    for shape in ([1, 1], [3, 1000]):
        values = [i - 700.0 for i in range(shape[0] * shape[1])]
        reply = d.infer("scale", struct.pack(f"<{len(values)}f", *values), shape, "f32").tensor_data
        assert list(reply.shape) == shape
        assert list(struct.unpack(f"<{len(values)}f", reply.data)) == [v / 2 for v in values]
    assert [line.split(None, 1)[1] for line in log.read_text().splitlines()].count("kernel scale") == 2


def test_the_example_for_gpus_says_what_is_wrong(gpu, tmp_path):
    for name, factor in (("doubled", "2"), ("broken", "many")):
        (tmp_path / "models" / name / "1").mkdir(parents=True)
        (tmp_path / "models" / name / "model.conf").write_text(f"[model]\nbackend = scale_cuda\n[parameters]\nfactor = {factor}\n")
    d = gpu(models=["doubled", "broken"], repository=tmp_path / "models")
    states = {x.name: x for x in d.status().models}
    assert states["doubled"].state == "ready" and states["broken"].state == "failed"
    assert "factor of model 'broken' is no number" in states["broken"].detail


def perceptron(tmp_path, **parameters):
    """A repository with an mlp of these parameters."""
    (tmp_path / "models" / "mlp" / "1").mkdir(parents=True)
    lines = "".join(f"{key} = {value}\n" for key, value in {"function": "mlp", "widths": "8,16,4", **parameters}.items())
    (tmp_path / "models" / "mlp" / "model.conf").write_text(
        f"[model]\nbackend = cuda\nmax_batch_size = 128\ninstances = 1\n[parameters]\n{lines}")
    return tmp_path / "models"


def check_perceptron(d, n_rows):
    rows = [[((r * 7 + i) % 11) / 10 for i in range(8)] for r in range(n_rows)]
    reply = d.infer("mlp", struct.pack(f"<{8 * n_rows}f", *sum(rows, [])), [n_rows, 8], "f32").tensor_data
    got = struct.unpack(f"<{4 * n_rows}f", reply.data)
    for r, row in enumerate(rows):
        assert got[r * 4:r * 4 + 4] == pytest.approx(mlp(row, [8, 16, 4]), abs=1e-4)


def streamed(log):
    """What the streams have done, one word or two each."""
    return [line.split(None, 1)[1] for line in log.read_text().splitlines()]


@pytest.mark.parametrize("library, gemm, rows, kernel", [
    (BLAS, "auto", 20, "modeld_dense_blas"), (BLAS, "auto", 2, "modeld_dense"), (BLAS, "kernel", 20, "modeld_dense"),
    ("/nowhere", "auto", 20, "modeld_dense")])
def test_many_rows_go_by_cublaslt_where_it_is(gpu, tmp_path, library, gemm, rows, kernel):
    log = tmp_path / "streams"
    d = gpu(models=["mlp"], repository=perceptron(tmp_path, gemm=gemm), fake=f"log={log}", env={"LD_LIBRARY_PATH": library})
    check_perceptron(d, rows)
    assert [what for what in streamed(log) if what.startswith("kernel")] == [f"kernel {kernel}"] * 2


@pytest.mark.parametrize("library", [BLAS, "/nowhere"])
def test_a_perceptron_as_graphs(gpu, tmp_path, library):
    """One is recorded for each number of rows, then used again; above 64 rows there is none."""
    log = tmp_path / "streams"
    d = gpu(models=["mlp"], repository=perceptron(tmp_path, graphs="yes"), fake=f"log={log}",
            env={"LD_LIBRARY_PATH": library})
    for n_rows in (3, 64, 3, 17, 3, 65):
        check_perceptron(d, n_rows)
    assert streamed(log).count("graph") == 5
    for n_rows in range(1, 20):  # more than are kept
        check_perceptron(d, n_rows)


def test_rows_are_joined_on_the_gpu(gpu):
    d = gpu("model.max_queue_delay_us=20000", models=["mlp"])
    rows = [[((r * 3 + i) % 13) / 12 for i in range(64)] for r in range(16)]
    call = d.shared_channel()
    futures = []
    for row in rows:
        futures.append(call.unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                        response_deserializer=m.worker.InferResponse.FromString).future(
            infer_request("mlp", struct.pack("<64f", *row), [1, 64], "f32"), timeout=60))
    for row, future in zip(rows, futures):
        got = struct.unpack("<10f", future.result().tensor_data.data)
        assert got == pytest.approx(mlp(row, [64, 256, 10]), abs=1e-4)


def test_each_worker_sees_its_gpu_alone(gpu):
    uuids = {f"cuda:{i}": f"GPU-0000000{i + 1}-0000-4000-8000-00000000000{i + 1}" for i in range(8)}
    d = gpu(fake="devices=8", workers=", ".join([*list(uuids)[:7], "cuda:" + uuids["cuda:7"]]))
    log = d.log()
    for name, uuid in uuids.items():
        device = name if name != "cuda:7" else "cuda:" + uuid
        assert f"device={device} name=\"Stand-in GPU\" uuid={uuid}" in log
    assert len(d.workers()) == 8


def test_all_gpus_that_there_are(gpu):
    d = gpu(fake="devices=3", workers="cpu:0, cuda:all x2", models=["identity"], ready=False,
            env={"LD_LIBRARY_PATH": FAKE, "FAKENVML": "devices=3"})
    d.wait_notification("READY=1")
    names = {w.name for w in d.status().workers}
    assert names == {"cpu:0/0", *(f"cuda:{i}/{k}" for i in range(3) for k in range(2))}


def test_all_gpus_where_one_is_divided(gpu):
    """Each instance is a device of its own, and serves."""
    instances = [f"cuda:MIG-00000001-0000-5000-8000-00000000000{i}" for i in (1, 3)]
    d = gpu(fake="devices=2", workers="cuda:all",
            env={"LD_LIBRARY_PATH": FAKE, "FAKENVML": "devices=2 mig=0"})
    assert [w.device for w in d.status().workers] == [*instances, "cuda:GPU-00000002-0000-4000-8000-000000000002"]
    assert {w.state for w in d.status().workers} == {"ready"}
    for instance in instances:
        assert f"device={instance} name=\"Stand-in GPU\"" in d.log()
    assert d.infer("identity", b"x").tensor_data.data == b"x"


def test_numbers_count_what_the_daemon_sees(gpu):
    d = gpu(fake="devices=8", workers="cuda:0, cuda:1", env={"CUDA_VISIBLE_DEVICES": "6,2"})
    assert "device=cuda:0 name=\"Stand-in GPU\" uuid=GPU-00000007" in d.log()
    assert "device=cuda:1 name=\"Stand-in GPU\" uuid=GPU-00000003" in d.log()


def test_an_illegal_access_costs_one_gpu_a_moment(gpu):
    d = gpu(fake="devices=2", models=["identity", "fault"], workers="cuda:0, cuda:1")
    callers = Callers(d, 8)
    callers.wait_done(100)
    with pytest.raises(grpc.RpcError) as e:
        d.infer("fault", b"\1")
    assert e.value.code() == grpc.StatusCode.INTERNAL
    callers.wait_done(100)
    assert callers.stop()[1] == []
    # The model that did it has workers of its own now.
    wait_for("the others' workers", lambda: [w.state for w in d.status().workers if not w.model] == ["ready"] * 2)
    assert "cudaErrorIllegalAddress (700)" in d.log()
    assert d.infer("fault", b"\0").tensor_data.data == b"\0"


def test_a_lost_context_is_answered_by_the_next_process(gpu, tmp_path):
    d = gpu(fake=f"fail=cudaEventQuery:1:719 once={tmp_path}/once")
    data = os.urandom(100000)
    assert d.infer("identity", data).tensor_data.data == data
    assert "cudaErrorLaunchFailure (719)" in d.log()
    assert sum(w.restarts for w in d.status().workers) == 1


def test_a_kernel_that_hangs_is_ended_by_the_daemon(gpu, tmp_path):
    """Whether the request itself is sent again is not this test's matter."""
    d = gpu("model.run_timeout_ms=500", fake=f"stall=1 once={tmp_path}/once")
    with pytest.raises(grpc.RpcError) as e:
        d.infer("identity", b"x")
    assert e.value.code() == grpc.StatusCode.INTERNAL
    assert "run_timeout_ms = 500" in e.value.details()
    assert d.infer("identity", b"x").tensor_data.data == b"x"


def test_memory_of_the_gpu_is_a_requests_matter(gpu):
    d = gpu(fake="memory_mib=8")
    with pytest.raises(grpc.RpcError) as e:
        d.infer("identity", bytes(6 << 20))
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "the device is out of memory" in e.value.details()
    assert d.infer("identity", bytes(3 << 20)).tensor_data.data == bytes(3 << 20)
    assert sum(w.restarts for w in d.status().workers) == 0


def test_a_process_that_finds_no_memory_again_and_again_is_replaced(gpu):
    d = gpu(fake="memory_mib=1")
    for _ in range(16):
        with pytest.raises(grpc.RpcError) as e:
            d.infer("identity", bytes(700000))
        assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    wait_for("another process", lambda: sum(w.restarts for w in d.status().workers) == 1)
    assert "out of memory for 16 runs in a row" in d.log()
    assert d.infer("identity", b"x").tensor_data.data == b"x"


def test_an_error_of_a_copy_is_a_requests_matter(gpu):
    d = gpu(fake="fail=cudaMemcpyAsync:2:1")
    with pytest.raises(grpc.RpcError) as e:
        d.infer("identity", bytes(100000))
    assert e.value.code() == grpc.StatusCode.INTERNAL
    assert "cudaErrorInvalidValue (1)" in e.value.details()
    assert d.infer("identity", b"x").tensor_data.data == b"x"


def test_a_gpu_that_is_unusable_is_tried_again_later_and_others_serve(gpu):
    d = gpu(fake="devices=2 fail=cudaSetDevice:1:802", workers="cuda:1, cpu:0", ready=False,
            repository=os.path.join(ROOT, "tests", "models"))
    wait_for("an answer of the processor's worker", lambda: "READY" in d.wait_notification("READY=1"))
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    wait_for("a word about the GPU", lambda: "cudaErrorSystemNotReady (802)" in d.log())
    wait_for("the worker's end", lambda: "exit status 77" in d.log())


@pytest.mark.parametrize("fake, said", [("devices=1", "no such GPU"), ("driver=0", "no CUDA driver")])
def test_a_gpu_that_is_not_there(gpu, fake, said):
    d = gpu(fake=fake, workers="cuda:1, cpu:0", ready=False, repository=os.path.join(ROOT, "tests", "models"))
    d.wait_notification("READY=1")
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    wait_for("a word about the GPU", lambda: said in d.log())


def test_a_gpu_that_is_not_there_is_told_which_are(gpu):
    d = gpu(fake="devices=2", workers="cuda:5, cpu:0", ready=False, repository=os.path.join(ROOT, "tests", "models"),
            env={"LD_LIBRARY_PATH": FAKE, "FAKENVML": "devices=2"})
    d.wait_notification("READY=1")
    wait_for("the GPUs", lambda: "there are cuda:GPU-00000001-0000-4000-8000-000000000001, "
                                 "cuda:GPU-00000002-0000-4000-8000-000000000002" in d.log())


@pytest.mark.parametrize("device", ["cuda:1", "cuda:MIG-00000002-0000-5000-8000-000000000003"])
def test_a_gpu_that_needs_a_reset_is_in_quarantine_until_it_had_one(gpu, tmp_path, device):
    """Others serve meanwhile; what lives there only is not served, and says why."""
    recovery = tmp_path / "recovery"
    only_there = tmp_path / "models" / "fault" / "1"
    only_there.mkdir(parents=True)
    (only_there.parent / "model.conf").write_text(
        f"[model]\nbackend = cuda\ndevices = {device}\nisolation = device\n[parameters]\nfunction = fault\n")
    everywhere = tmp_path / "models" / "identity" / "1"
    everywhere.mkdir(parents=True)
    (everywhere.parent / "model.conf").write_text("[model]\nbackend = cuda\n[parameters]\nfunction = identity\n")
    d = gpu("dispatch.retry_wait_ms=60000", fake="devices=2", workers=f"cuda:0, {device}", models=["fault", "identity"],
            repository=tmp_path / "models",
            env={"LD_LIBRARY_PATH": FAKE, "FAKENVML": f"devices=2 mig=1 recovery_from={recovery}"})
    recovery.write_text("1")
    with pytest.raises(grpc.RpcError):
        d.infer("fault", b"\1")

    def worker():
        return next(w for w in d.status().workers if w.device == device)

    wait_for("the quarantine", lambda: worker().state == "quarantined")
    assert worker().quarantine == "a reset of the GPU (recovery action 1)"
    assert "the driver asks for a reset of the GPU" in d.modelctl("status", "-o", "wide").stdout
    with pytest.raises(grpc.RpcError) as e:
        d.infer("fault", b"\0")
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "in quarantine: the driver asks for a reset" in e.value.details()
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    recovery.write_text("0")
    wait_for("the worker", lambda: worker().state == "ready")
    assert worker().quarantine == ""
    assert d.infer("fault", b"\0").tensor_data.data == b"\0"


def test_figures_of_gpus_are_in_the_status(gpu):
    d = gpu(fake="devices=2", workers="cuda:0, cuda:1",
            env={"LD_LIBRARY_PATH": FAKE, "FAKENVML": "devices=2 xid=31 recovery=1"})
    gpus = wait_for("figures", lambda: list(d.status().gpus) if len(d.status().gpus) == 2 else None)
    assert [g.uuid[:12] for g in gpus] == ["GPU-00000001", "GPU-00000002"]
    assert (gpus[1].busy_percent, gpus[1].temperature_c, gpus[1].memory_total_bytes) == (41, 34, 80 << 30)
    wait_for("the critical error", lambda: d.status().gpus[0].last_xid == 31)
    assert d.status().gpus[1].last_xid == -1
    text = d.modelctl("status", "-o", "wide").stdout
    assert "Stand-in GPU, 41 % busy, 1.0 GiB of 80.0 GiB, 123 W of 700, 34 C, 1980 MHz" in text
    assert "1 critical error, the last Xid 31" in text and "NEEDS HELP: recovery action 1" in text
    wait_for("words in the log", lambda: "xid=31" in d.log() or "asks for help" in d.log())


def test_without_the_library_there_are_no_figures_and_one_line_says_so(gpu):
    d = gpu(env={"LD_LIBRARY_PATH": "/nonexistent"})
    if not d.status().gpus:
        wait_for("the line", lambda: d.log().count("no figures of GPUs") == 1)
    assert d.infer("identity", b"x").tensor_data.data == b"x"


def entry_points():
    """Of CUDA, that a worker and its backend for GPUs may call: what they are linked with, and what the device looks up by name."""
    wanted = set()
    for program in ("modeld-worker", os.path.join("backends", "cuda.so")):
        symbols = subprocess.run(["nm", "-D", "-u", os.path.join(FAKE, program)], capture_output=True, text=True, check=True).stdout
        wanted |= set(re.findall(r"\b(cuda[A-Z]\w*)", symbols))
    for path in glob.glob(os.path.join(ROOT, "workers", "device_cuda*.c")):
        with open(path) as f:
            wanted |= set(re.findall(r'(?:"|\bX\()(cu[A-Z]\w*)', f.read()))
    return wanted


def test_the_stand_in_does_what_is_stated_to_a_gpu(tmp_path):
    """The same statements that `make check-gpu` makes to the real runtime: something is stated of each entry point."""
    env = {**os.environ, "FAKECUDA": f"ipc={tmp_path} calls={tmp_path}/calls"}
    done = subprocess.run([os.path.join(FAKE, "check"), "--agree"], capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0 and "0 are not" in done.stdout and "NO:" not in done.stdout, done.stdout
    called = set((tmp_path / "calls").read_text().split())
    assert entry_points() >= {"cudaMemcpyBatchAsync", "cuMemMap", "cuMemGetAddressRange_v2"}
    assert entry_points() - called == set()


def test_overlap_is_measured_by_event_times():
    """Of the check on a GPU. How far they overlap, on a machine that has other things to do, is not judged here."""
    env = {**os.environ, "FAKECUDA": "copy_us=10000 kernel_us=10000"}
    done = subprocess.run([os.path.join(FAKE, "check"), "--overlap"], capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0 and "NO:" not in done.stdout and "FAILED" not in done.stdout, done.stdout
    alone = [float(x) for x in re.search(r"alone: ([\d.]+) ms in, ([\d.]+), ([\d.]+) out", done.stdout).groups()]
    assert all(ms >= 9.9 for ms in alone), alone  # of each stage its own time, not what it waited for
    together, apart = map(float, re.search(r"copies out \| ([\d.e+]+) ms \| one after the other: ([\d.e+]+)", done.stdout).groups())
    assert together >= 6 * 3 * 9.9 and apart == pytest.approx(18 * sum(alone), rel=0.01)


def test_without_a_stand_in_there_is_no_gpu(start):
    """The worker as it is shipped starts where there is no driver, and says so."""
    d = start(workers="cuda:1023, cpu:0", models=["identity"], ready=False)
    d.wait_notification("READY=1")
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    wait_for("a word about the GPU", lambda: "device=cuda:1023" in d.log())


def test_streams_have_their_models_priority(gpu, tmp_path):
    log = tmp_path / "streams"
    for name in ("low", "normal", "high"):
        (tmp_path / "models" / name / "1").mkdir(parents=True)
        (tmp_path / "models" / name / "model.conf").write_text(
            f"[model]\nbackend = cuda\ninstances = 1\ngpu_priority = {name}\n[parameters]\nfunction = identity\n")
    d = gpu(models=["low", "normal", "high"], repository=tmp_path / "models", fake=f"log={log}")
    assert sorted(what for what in streamed(log) if what.startswith("priority")) == \
        ["priority -2", "priority -5", "priority 0"]
    assert d.infer("high", b"x").tensor_data.data == b"x"


def test_a_model_that_no_gpu_can_load_falls_back_where_it_may(gpu, tmp_path):
    """ONNX Runtime as it is here has no provider for GPUs."""
    for name, more in (("strict", ""), ("lenient", "fallback = cpu:0\n")):
        shutil.copytree(os.path.join(ROOT, "tests", "models", "onnx", "fixed", "1"), tmp_path / "models" / name / "1")
        (tmp_path / "models" / name / "model.conf").write_text(f"[model]\nbackend = onnxruntime\ndevices = cuda:0\n{more}")
    d = gpu(f"worker.backend_dirs={BUILD}/backends", f"backend.onnxruntime.venv={BUILD}/venv", models=["strict", "lenient"],
            repository=tmp_path / "models", workers="cuda:0, cpu:0", ready=False)
    d.wait_notification("READY=1")
    wait_for("the fallback", lambda: {m.name: m.state for m in d.status().models} == {"strict": "failed", "lenient": "ready"})
    assert "onnxruntime-gpu" in next(m.detail for m in d.status().models if m.name == "lenient")


def test_onnx_runtime_without_cuda_says_what_to_install(gpu):
    """The library of the package onnxruntime has no provider for GPUs."""
    d = gpu(f"worker.backend_dirs={BUILD}/backends", f"backend.onnxruntime.venv={BUILD}/venv", models=["fixed"], ready=False,
            repository=os.path.join(ROOT, "tests", "models", "onnx"))
    d.wait_notification("READY=1")
    detail = wait_for("the reason", lambda: [m.detail for m in d.status().models if "load failed" in m.detail])[0]
    assert "load failed on cuda:0" in detail
    assert "has no CUDA provider: install the package onnxruntime-gpu in place of onnxruntime" in detail
