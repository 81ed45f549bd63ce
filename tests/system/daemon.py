"""A real modeld, started for a test: waits for READY=1, knows its addresses, workers and log, and checks at the
end that it left nothing behind."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import grpc

import messages as m

ROOT = m.ROOT
BUILD = os.path.abspath(os.environ.get("MODELD_TEST_BUILD", os.path.join(ROOT, "build")))
MODELCTL = os.path.join(BUILD, "modelctl")
SANITIZED = "asan" in os.path.basename(BUILD)
# Generous: a loaded machine is no failure; a hang is.
PATIENCE_S = 60
# What clients are charged for, as the daemon tells when it ends.
CHARGES = {"connections", "calls", "held_bytes", "compressing_bytes", "clients", "requests", "arena_bytes", "output_bytes",
           "expected_output_bytes", "regions", "region_bytes", "device_bytes", "unread"}


def wait_for(what, condition, seconds=PATIENCE_S):
    """For what has no event to wait on: ask until it is so."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.01)


def alive(pid):
    try:
        state = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def status_field(pid, field):
    return int(re.search(rf"{field}:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))


def as_user(uid):
    """A command ahead of one that another user is to run, with what lies where they may not look. Root alone may."""
    may_look = "+dac_read_search"
    return ["setpriv", f"--reuid={uid}", "--clear-groups", f"--inh-caps={may_look}", f"--ambient-caps={may_look}"]


def open_to_others(*paths):
    """Could another user look at these, whose modes are those of anybody's files?"""
    def ways(path):
        while path != "/":
            yield path
            path = os.path.dirname(path)

    return all(os.path.exists(way) and os.stat(way).st_mode & 1 for path in paths for way in ways(os.path.abspath(path)))


class Daemon:
    """`sets`: section.key=value; `models`: names served from tests/models (or `repository`; "": what config says). `preexec` is called in
    the process that becomes the daemon; `stderr`: a descriptor that gets the log instead of self.log_path."""

    def __init__(self, *sets, models=None, repository=None, workers="cpu:0", config=None, env=None, ready=True,
                 preexec=None, stderr=None, listen="127.0.0.1:0, unix:modeld.sock"):
        self.directory = tempfile.mkdtemp(prefix="modeld-test-")
        self.repository = os.path.join(ROOT, "tests", "models") if repository is None else repository
        self.log_path = os.path.join(self.directory, "log")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.directory, "notify"))
        self.notify.settimeout(PATIENCE_S)
        argv = [os.path.join(BUILD, "modeld"), "--config", config or os.path.join(ROOT, "conf", "modeld.conf")]
        values = [f"server.listen={listen}", f"server.runtime_dir={self.directory}",
                  f"worker.workers={workers}", "server.log_level=debug", "metrics.listen="]
        if self.repository:
            values.append(f"models.repository={self.repository}")
        if models is not None:
            values += [f"models.serve={', '.join(models)}", f"models.default={models[0]}"]
        for value in values + list(sets):
            argv += ["--set", value]
        environment = dict(os.environ, NOTIFY_SOCKET=os.path.join(self.directory, "notify"), **(env or {}))
        environment.pop("JOURNAL_STREAM", None)
        self.process = None
        self.channels = []
        self.checked = False
        self.has_whole_log = stderr is None
        try:
            self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=stderr or open(self.log_path, "wb"),
                                            env=environment, preexec_fn=preexec)
            self.pid = self.process.pid
            if ready:
                self.wait_ready()
        except BaseException:
            # Nobody else has it yet who could end it.
            self.close()
            raise

    # --- start --------------------------------------------------------------------------------
    def log(self):
        return open(self.log_path, encoding="utf-8", errors="replace").read()

    def wait_notification(self, text):
        while True:
            try:
                data = self.notify.recv(4096).decode()
            except socket.timeout:
                raise AssertionError(f"no {text} from the daemon:\n{self.log()}")
            if text in data:
                return data

    def wait_ready(self):
        self.notify.settimeout(0.05)
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if "READY=1" in self.notify.recv(4096).decode():
                    break
            except socket.timeout:
                assert self.process.poll() is None, f"the daemon ended: {self.process.returncode}\n{self.log()}"
                assert time.monotonic() < end, f"not ready\n{self.log()}"
        self.notify.settimeout(PATIENCE_S)

    @property
    def addresses(self):
        return re.findall(r"listening address=(\S+)", self.log())

    @property
    def tcp(self):
        return next(a for a in self.addresses if not a.startswith("unix:"))

    @property
    def port(self):
        return int(self.tcp.rsplit(":", 1)[1])

    @property
    def unix(self):
        return "unix:" + os.path.join(self.directory, "modeld.sock")

    # --- talk ---------------------------------------------------------------------------------
    def channel(self, address=None, **options):
        defaults = {"grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1,
                    "grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0}
        defaults.update({f"grpc.{k}": v for k, v in options.items()})
        c = grpc.insecure_channel(address or self.tcp, options=list(defaults.items()))
        self.channels.append(c)
        return c

    def call(self, path, request, reply, channel=None, timeout=PATIENCE_S, **kw):
        channel = channel or self.shared_channel()
        return channel.unary_unary(path, request_serializer=lambda r: r.SerializeToString(),
                                   response_deserializer=reply.FromString)(request, timeout=timeout, **kw)

    def shared_channel(self):
        if not self.channels:
            self.channel()
        return self.channels[0]

    def infer(self, model, data, shape=None, dtype="u8", parameters=None, channel=None, timeout=PATIENCE_S, **kw):
        return self.call(m.WORKER_SERVICE + "Infer", infer_request(model, data, shape, dtype, parameters),
                         m.worker.InferResponse, channel, timeout, **kw)

    def status(self):
        return self.call(m.CONTROL_SERVICE + "GetServerStatus", m.control.ServerStatusRequest(),
                         m.control.ServerStatusResponse)

    def check_health(self, name=""):
        return self.call(m.HEALTH_SERVICE + "Check", m.health.HealthCheckRequest(service=name),
                         m.health.HealthCheckResponse).status

    def workers(self):
        return [w.pid for w in self.status().workers if w.pid]

    def kill_a_worker(self):
        """SIGKILL for one that is ready; one that has just gone by itself does not count."""
        while True:
            ready = wait_for("a ready worker", lambda: [w.pid for w in self.status().workers if w.state == "ready"])
            try:
                os.kill(ready[0], signal.SIGKILL)
                return
            except ProcessLookupError:
                pass

    def wait_workers_ready(self, n):
        return wait_for(f"{n} ready workers", lambda: sum(w.state == "ready" for w in self.status().workers) == n)

    def modelctl(self, *args, **kw):
        return subprocess.run([MODELCTL, *args, "--address", self.tcp], capture_output=True, text=True,
                              timeout=PATIENCE_S, **kw)

    def heap_kib(self):
        """Resident memory without the arenas, which are populated in the background."""
        return status_field(self.pid, "RssAnon")

    def n_descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # --- end ----------------------------------------------------------------------------------
    def children(self):
        try:
            return [int(p) for p in open(f"/proc/{self.pid}/task/{self.pid}/children").read().split()]
        except FileNotFoundError:
            return []

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """SIGTERM, exit status 0, nothing left behind. Returns the log."""
        for c in self.channels:
            c.close()
        workers = self.children()
        if self.process.poll() is None:
            self.terminate()
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon did not end after SIGTERM:\n{self.log()[-8000:]}")
        finally:
            self.checked = True
        for pid in workers:
            wait_for(f"end of worker {pid}", lambda pid=pid: not alive(pid), 10)
        assert code == 0, f"exit code {code}:\n{self.log()[-8000:]}"
        self.check_log()
        self.check_accounts()
        return self.log()

    def wait_end(self, code=0):
        """It ends by itself, or was told to."""
        assert self.process.wait(PATIENCE_S) == code, self.log()[-8000:]
        self.checked = True
        self.check_log()
        if code == 0:
            self.check_accounts()

    def check_log(self):
        for bad in ("AddressSanitizer", "runtime error:", "LeakSanitizer", "Assertion", "stalled: "):
            assert bad not in self.log(), self.log()[-8000:]

    def check_accounts(self):
        """In the end nobody is charged for anything, whatever its kind."""
        log = self.log()
        charges = re.findall(r" (\w+)=(\d+)", "\n".join(re.findall(r" debug +accounts of .*", log)))
        assert not [c for c in charges if c[1] != "0"], charges
        if self.has_whole_log and " debug " in log:
            assert {kind for kind, _ in charges} == CHARGES, charges

    def close(self):
        """Whatever happened: no process and no directory is left."""
        for c in self.channels:
            c.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.notify.close()
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def starting(**given):
    """A function that starts a Daemon with these options and more. In the end each is stopped and checked."""
    started = []

    def begin(*sets, **options):
        d = Daemon(*sets, **given, **options)
        started.append(d)
        return d

    yield begin
    try:
        for d in started:
            if not d.checked:
                d.stop()
    finally:
        for d in started:
            d.close()


def infer_request(model, data, shape=None, dtype="u8", parameters=None, request_id=""):
    tensor = m.worker.TensorData(data=data, shape=[len(data)] if shape is None else shape, dtype=dtype)
    return m.worker.InferRequest(model_id=model, tensor_data=tensor, parameters=parameters or {},
                                 request_id=request_id)
