"""The life of a worker: what each message asks for, in the order in which they came.

The main thread reads the channel and runs batches on the spot, which costs no wake-up of another thread. While it is at
something that takes long (a load, a slow run) the watch reads in its place: a Ping is answered whatever runs. Whoever reads
handles all messages at once, but those that take time: these wait for the main thread.
"""
import functools
import os
import sys
import time
from collections import deque

from . import codec, device, express, log, warmup, wire
from .channel import Channel, Closed
from .context import current_call
from .errors import Fatal
from .executor import Answer, Executor
from .lanes import Lanes
from .memory import Arena, MapError, Views
from .model import LoadError, Model
from .others import Others
from .outputs import Outputs
from .raised import FatalError, clean, is_fatal, last_line, mend, trace_of
from .status import EXIT_CONFIG, EXIT_DEVICE_LOST, EXIT_INTERNAL, EXIT_OK
from .watch import LOAD_LIMIT_S, Watch

# Answers of models that are quicker wait for each other, but no longer than that.
QUICK_NS = 60_000
ANSWER_NS = 200_000

PR_SET_DUMPABLE = 4

NEW, READY, DRAINED = range(3)
_ALLOWED = {NEW: (wire.Setup,), DRAINED: (),
            READY: (wire.Load, wire.Unload, wire.Run, wire.Cancel, wire.Release, wire.Ping, wire.Drain, wire.Map, wire.Unmap,
                    wire.Unmapped, wire.Import)}


class Stop(Exception):
    """The worker ends with this status."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Loop:
    """handoff_fd: of a connection by which other models can be asked; None: there is none."""

    def __init__(self, fd, handoff_fd=None):
        self._channel = Channel(fd)
        self.socket = self._channel.socket
        self._state = NEW
        self._setup = None
        self._views = Views(keeps=handoff_fd is not None)
        self._outputs = None             # its lock is that of announcements as well
        self._executor = None
        self._imports = None             # None: what is on a GPU is not taken
        self._models = {}
        self._lanes = {}                 # Lanes, by the number of a model that has more than one
        self._express = None             # the extension module's; None: there is none
        self.last_batch = 0
        self._jobs = deque()             # Run, Load, Unload, Drain: for the main thread
        self._running = None             # the Model that runs or is loaded
        self._watch = Watch(self)
        self._others = Others(handoff_fd, self._views, self._time_left)

    # --- Threads ------------------------------------------------------------------------------

    def serve(self):
        """Until the end; returns the exit status."""
        self._watch.start()
        try:
            while True:
                while self._jobs:
                    self._do(self._jobs.popleft())
                self._channel.flush()
                with self._watch.reading():
                    # The watch may have read something for us until now.
                    if not self._jobs:
                        self._read()
                if self._express and not self._jobs:
                    self._watch.begin(long=False)
                    self._express.run()
                    self._watch.end()
        except BaseException as e:  # a handler of a model's signals may raise anything
            return self.conclude(e)

    def _read(self):
        """The main thread: a record, or what is left of one. It is the extension's to run, or was taken."""
        if not self._express:
            self.read()
            return
        rest = self._express.rest()
        if rest:
            self._take_all(codec.read_record(rest), [])
            return
        other = self._express.receive()
        if other:
            data, fds = other
            self._take_all(codec.read_record(data), fds)

    def read(self):
        """One record. Only by the thread that has the channel."""
        self._take_all(*self._channel.receive())

    def take_over(self):
        """Before another thread reads: what the main thread has not begun is to be handled in its order, and what it has
        answered is not to wait."""
        if self._express:
            rest = self._express.rest()
            if rest:
                self._take_all(codec.read_record(rest), [])
        self._channel.flush()

    def _take_all(self, messages, fds):
        try:
            for message in messages:
                self._take(message, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def conclude(self, e, model=None):
        """The exit status for what ended the worker. model: which ran, where that was not the main thread."""
        name = self._setup.worker if self._setup else ""
        model = model or self._runs()
        if isinstance(e, Closed):
            return EXIT_OK
        if isinstance(e, Stop):
            if e.status != EXIT_OK:
                log.line(log.ERROR, "worker stops", worker=name, reason=str(e))
            return e.status
        if isinstance(e, FatalError):
            log.line(log.ERROR, "a backend cannot go on in this process", worker=name,
                     model=model.name if model else "", error=str(e))
            return EXIT_DEVICE_LOST
        if isinstance(e, wire.WireError):
            log.line(log.ERROR, "worker stops", worker=name, reason="malformed message", error=str(e))
            return EXIT_INTERNAL
        log.line(log.ERROR, "worker stops", worker=name, error=last_line(e), trace=trace_of(e))
        return EXIT_INTERNAL

    def voice(self):
        """Of the model that this thread, or this coroutine, is of; None."""
        call = current_call()
        model = call.model if call else self._runs()
        return model and model.voice

    def _runs(self):
        """The model that the main thread is at; None."""
        return self._running or self._express and self._express.model

    def _time_left(self):
        call = current_call()
        return call.time_left() if call else self._watch.time_left()

    # --- Messages that are handled at once ----------------------------------------------------

    def _take(self, message, fds):
        kind = type(message)
        if kind not in _ALLOWED[self._state]:
            raise Stop(EXIT_INTERNAL, f"message out of turn: {kind.__name__}")
        if len(fds) != (kind is wire.Map or kind is wire.Import and not message.handle):
            raise Stop(EXIT_INTERNAL, "a descriptor too many or too few")
        if kind in (wire.Run, wire.Load, wire.Unload, wire.Drain):
            if kind is wire.Run:
                self._check_run(message)
            self._jobs.append(message)
        elif kind is wire.Map:
            self._on_map(message, fds.pop())
        elif kind is wire.Import:
            self._on_import(message, fds[0] if fds else None)
        else:
            self._HANDLERS[kind](self, message)

    def _check_run(self, run):
        order = self._express or self
        if run.batch <= order.last_batch:
            raise Stop(EXIT_INTERNAL, "run with a number that does not come next")
        order.last_batch = run.batch

    def _on_setup(self, setup):
        if setup.protocol != wire.PROTOCOL:
            log.line(log.ERROR, "daemon and worker are of different builds", daemon_protocol=setup.protocol,
                     worker_protocol=wire.PROTOCOL)
            raise Stop(EXIT_CONFIG, "protocol version")
        if not setup.slots or not setup.holds:
            raise Stop(EXIT_INTERNAL, "setup names no slots or holds")
        log.set_level(setup.log_level)
        _close_memory()
        _show_name(setup.worker)
        self._setup = setup
        self._outputs = Outputs(Arena(setup), setup.holds, setup.output_wait_ms / 1000)
        self._imports = device.imports_of(setup.device)
        self._executor = self._new_executor()
        self._begin_express()
        environ = os.environ
        self._channel.add(wire.Hello(
            protocol=wire.PROTOCOL, slots=setup.slots, sandbox=environ.get("MODELD_SANDBOX_STATE", ""),
            sandbox_lacks=environ.get("MODELD_SANDBOX_LACKS", ""), imports=int(self._imports is not None)), now=True)
        with self._outputs.lock:
            self._announce()
        self._state = READY
        self._channel.add(wire.Ready(), now=True)

    def _begin_express(self):
        module = express.native()
        if module:
            self._quick = express.Express(
                module, self.socket.fileno(), self._views.by_id, self._outputs, self._executor, answer=self._answer,
                begin=self._begin_quick, release=self._release, flush=self._channel.flush,
                busy_poll_us=self._setup.busy_poll_us)
            self._express = self._channel.beside = self._quick.native

    def _choose_ways(self):
        """None is quick while there are lanes: holds are numbered in the order of the answers, which come from threads then."""
        for model in self._models.values():
            self._express.drop(model.number)
            if not self._lanes:
                self._quick.add(model)

    def _begin_quick(self):
        self._channel.flush()
        self._watch.begin(long=False)

    def _new_executor(self):
        return Executor(self._views, self._outputs, self._send_partial, self._before_wait, self._imports)

    def _on_map(self, m, fd):
        try:
            self._views.map(fd, m.id, m.size, m.writable)
        except KeyError:
            raise Stop(EXIT_INTERNAL, "map of memory that is mapped") from None
        except MapError as e:
            log.line(log.WARNING, "cannot map memory", worker=self._setup.worker, bytes=m.size, error=str(e))

    def _on_import(self, m, fd):
        if self._imports is None:
            raise Stop(EXIT_INTERNAL, "import of memory by a worker that takes none")
        try:
            error = self._imports.add(m, fd)
        except KeyError:
            raise Stop(EXIT_INTERNAL, "import of memory that is there") from None
        except Fatal as e:
            raise Stop(EXIT_DEVICE_LOST, str(e)) from None
        self._channel.add(wire.Imported(id=m.id, error=error), now=True)

    def _on_cancel(self, m):
        """What has begun may ask; what has not is not begun."""
        if self._express:  # ahead of the executor, which learns of what it runs from there
            self._express.cancel(m.batch)
        self._executor.cancel(m.batch)
        if m.model in self._lanes:
            self._lanes[m.model].cancel(m.lane, m.batch)
        for job in list(self._jobs):
            if type(job) is wire.Run and job.batch == m.batch:
                job.is_cancelled = True

    def _on_unmap(self, m):
        self._views.unmap(m.id)
        if self._imports:
            self._imports.drop(m.id)
        self._channel.add(wire.Unmapped(id=m.id), now=True)

    def _on_unmapped(self, m):
        try:
            with self._outputs.lock:
                self._outputs.arena.unmapped(m.id)
        except KeyError:
            raise Stop(EXIT_INTERNAL, "unmapped: a segment that is in use") from None

    def _on_release(self, m):
        self._release(m.holds)

    def _release(self, holds):
        with self._outputs.lock:
            try:
                for hold in holds:
                    self._outputs.release(hold)
            except KeyError:
                raise Stop(EXIT_INTERNAL, "release of a hold that is not there") from None

    def _on_ping(self, m):
        with self._outputs.lock:
            self._outputs.arena.tick()
            self._announce()
        self._channel.add(wire.Pong(nonce=m.nonce), now=True)

    _HANDLERS = {wire.Setup: _on_setup, wire.Cancel: _on_cancel, wire.Unmap: _on_unmap, wire.Unmapped: _on_unmapped, wire.Release: _on_release,
                 wire.Ping: _on_ping}

    def _announce(self):
        """Segments that are new or given up, before anything names them. Under the lock."""
        arena = self._outputs.arena
        while arena.made:
            segment = arena.made.pop(0)
            self._channel.send_with(wire.Map(id=segment.id, size=segment.size), segment.fd)
        while arena.idle:
            self._channel.add(wire.Unmap(id=arena.idle.pop(0)))

    # --- What takes its time: the main thread -------------------------------------------------

    def _do(self, message):
        kind = type(message)
        if kind is wire.Run:
            self._on_run(message)
        elif kind is wire.Load:
            self._on_load(message)
        elif kind is wire.Unload:
            self._on_unload(message)
        else:
            self._on_drain()

    def _on_run(self, run):
        model = self._models.get(run.model)
        if model is None or run.lane >= model.lanes:
            raise Stop(EXIT_INTERNAL, "run of a model or a lane that is not there")
        if model.lanes > 1:
            self._lanes[run.model].give(run.lane, run)
            return
        quick = model.compute_ns is not None and model.compute_ns < QUICK_NS
        if not quick or self._channel.waits_ns() > ANSWER_NS:
            self._channel.flush()
        self._running = model
        self._watch.begin(long=False)
        answers, compute_ns = self._executor.run(model, run)
        self._watch.end()
        self._running = None
        model.compute_ns = max(compute_ns, (model.compute_ns or 0) // 2)
        self._answer(run.batch, answers, compute_ns)

    def _run_in_lane(self, model, executor, run):
        """In a lane's thread."""
        try:
            self._answer(run.batch, *executor.run(model, run))
            self._channel.flush()
        except BaseException as e:
            log.finish_prints()
            os._exit(self.conclude(e, model))

    def _answer(self, batch, answers, compute_ns):
        with self._outputs.lock:
            results = self._results(answers)
            if self._outputs.arena.made:
                self._announce()
            done = wire.Done(batch=batch, compute_ns=compute_ns, results=results)
            try:
                self._channel.add(done)
                return
            except wire.WireError as e:
                self._take_back(results)
                log.line(log.WARNING, "results cannot be sent", worker=self._setup.worker, error=str(e))
        text = "the batch's results do not fit a message (lower max_batch_size)"
        self._channel.add(wire.Done(batch=batch, results=[wire.Result(code=8, message=text) for _ in answers]))

    def _results(self, answers):
        """wire.Results; what they have in output memory is entered as holds."""
        results, before, number = [], None, 0
        for a in answers:
            if a.code:
                results.append(wire.Result(code=a.code, message=a.message))
                continue
            if a.blocks and a.blocks is not before:
                before = a.blocks
                number = self._outputs.hold(before)
            if a.blocks and not number:
                results.append(wire.Result(code=8, message="so many answers of the worker were not taken by their clients "
                                                           "yet as [worker] max_holds allows"))
                continue
            results.append(wire.Result(outputs=a.outputs, hold=number if a.blocks else 0, joined=a.joined))
        return results

    def _take_back(self, results):
        for hold in {r.hold for r in results if r.hold}:
            self._outputs.release(hold)

    def _before_wait(self):
        """A run waits for memory: what has an answer is sent, and the channel is read meanwhile."""
        self._channel.flush()
        self._watch.hurry()

    def _send_partial(self, batch, item, answer, last):
        """RuntimeError, of which the text is for the client: it cannot be sent."""
        with self._outputs.lock:
            results = self._results([answer])
            self._announce()
            result = results[0]
            if result.code:
                raise RuntimeError(result.message)
            try:
                self._channel.add(wire.Partial(batch=batch, item=item, outputs=result.outputs, hold=result.hold,
                                               last=int(last), compute_ns=answer.compute_ns if last else 0), now=True)
            except wire.WireError:
                self._take_back(results)
                raise RuntimeError("an answer does not fit a message") from None

    def _on_load(self, load):
        self._channel.flush()
        if load.model in self._models:
            raise Stop(EXIT_INTERNAL, "load with a number that is in use")
        model = Model(load, self._setup, self._others)
        self._running = model
        self._watch.begin(long=True, limit_s=LOAD_LIMIT_S)
        error = self._load(model, load)
        self._watch.end()
        self._running = None
        self._log_loaded(load, model, error)
        if error is None:
            self._models[load.model] = model
            if model.lanes > 1:
                self._lanes[load.model] = Lanes([self._new_executor() for _ in range(model.lanes)],
                                                functools.partial(self._run_in_lane, model))
            if self._express:
                self._choose_ways()
            self._channel.add(model.loaded(), now=True)
        else:
            self._channel.add(wire.Loaded(model=load.model, error=clean(error)), now=True)

    def _load(self, model, load):
        """None, or why not."""
        start, before = time.monotonic(), _resident_bytes()
        try:
            model.load(load.max_batch_size)
            self._check_told(model)
            self._warm_up(model, load)
            model.memory_bytes = max(0, _resident_bytes() - before)
            model.load_s = time.monotonic() - start
            return None
        except LoadError as e:
            return str(e)
        except BaseException as e:
            if is_fatal(e):
                raise FatalError(clean(last_line(e))) from e
            model.voice.say(log.WARNING, "model raised while it was loaded", trace_of(e))
            return last_line(e) + mend(e)

    @staticmethod
    def _check_told(model):
        """The daemon is to hear of it in one message."""
        try:
            codec.write(model.loaded())
        except wire.WireError as e:
            model.unload()
            raise LoadError(f"its inputs and outputs cannot be told: {e}") from None

    def _warm_up(self, model, load):
        try:
            warmup.run_all(model, load, self._views, self._outputs, self._setup.scratch_bytes)
        except LoadError:
            model.unload()
            raise

    def _log_loaded(self, load, model, error):
        about = {"worker": self._setup.worker, "model": load.name, "version": load.version, "backend": load.backend}
        if error is None:
            log.line(log.INFO, "model loaded", **about, ms=int(model.load_s * 1000))
        else:
            log.line(log.WARNING, "model not loaded", **about, interpreter=sys.executable, error=error)

    def _on_unload(self, m):
        model = self._models.pop(m.model, None)
        if model is None:
            raise Stop(EXIT_INTERNAL, "unload of a model that is not loaded")
        if self._express:
            self._express.drop(m.model)
        self._unload(model)
        if self._express:
            self._choose_ways()
        log.line(log.INFO, "model unloaded", worker=self._setup.worker, model=model.name, number=model.number)
        self._channel.add(wire.Unloaded(model=m.model, memory_bytes=model.memory_bytes), now=True)

    def _unload(self, model):
        self._running = model
        self._watch.begin(long=True, limit_s=0)
        if model.number in self._lanes:
            self._lanes.pop(model.number).end()
        model.unload()
        self._watch.end()
        self._running = None

    def _on_drain(self):
        """Unloading comes before bye: a model that crashes there must not look like a clean end."""
        for model in self._models.values():
            self._unload(model)
        self._state = DRAINED
        self._channel.add(wire.Bye(reason="drained"), now=True)
        raise Stop(EXIT_OK, "drained")


def _close_memory():
    """Others of the same user are not to look into a process that is sandboxed."""
    if os.environ.get("MODELD_SANDBOX") in ("on", "relaxed"):
        import ctypes
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _show_name(name):
    """What ps and top show."""
    try:
        with open("/proc/self/comm", "w") as f:
            f.write(name[:15])
    except OSError:
        pass


def _resident_bytes():
    """0 where that cannot be known."""
    try:
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0
