"""Other models, asked through the daemon by a handoff connection (docs/handoff.md): tensors stay in shared memory."""
import contextlib
import socket
import threading
import time
from math import prod

import numpy as np

from . import errors
from .context import current_call, dims_of

# Below this a copy is cheaper than a region.
SHARE_MIN_BYTES = 64 * 1024


class Others:
    """What the worker asks by. Any thread. It connects when it is asked first; `time_left()` is what the run has, in seconds,
    None: it may take for ever."""

    def __init__(self, fd, views, time_left):
        self._fd = fd  # None: there is none
        self._views = views
        self._time_left = time_left
        self._connecting = threading.Lock()
        self._link = None
        self._shared = {}  # region of the connection, by the id of the view that it is

    def model(self, name):
        return Other(self, name)

    def link(self):
        with self._connecting:
            if self._link is None:
                if self._fd is None:
                    raise errors.FailedPrecondition("this worker cannot ask for other models: the daemon gave it no connection")
                self._link = _Link(self._fd)
                self._views.on_unmap = self._drop
            return self._link

    def empty(self, shape, dtype):
        dims = dims_of(shape)
        kind = np.dtype(dtype)
        nbytes = prod(dims) * kind.itemsize
        return self.link().memory.take(nbytes).array(kind, dims, nbytes)

    def end(self, timeout):
        """Of time.monotonic(); None: never. DeadlineExceeded"""
        left = self._time_left()
        given = [t for t in (timeout, left) if t is not None]
        if not given:
            return None
        if min(given) <= 0:
            raise errors.DeadlineExceeded("there is no time left to ask for another model")
        return time.monotonic() + min(given)

    # --- What this worker was given to read ---------------------------------------------------

    def tensor(self, link, name, kind, array, blocks, end):
        """Where the array lies, or a copy of it."""
        if kind != "bytes" and array.nbytes >= SHARE_MIN_BYTES and array.flags.c_contiguous:
            where = self._views.find(array)
            number = where and self._share(link, where[0], end)
            if number:
                return link.messages.Tensor(name, link.dtypes.number_of(kind), array.shape, number, where[1], array.nbytes)
        return link.request.place(link.memory, name, kind, array, blocks, end)

    def _share(self, link, id, end):
        """The region that the view is; None: the daemon does not want it."""
        if id not in self._shared:
            fd, size = self._views.descriptor(id)
            try:
                self._shared[id] = link.handoff.register(fd, size, end)
            except link.errors.ConnectionLost:
                raise
            except link.errors.ModeldError:
                self._shared[id] = None
        registered = self._shared[id]
        return registered and registered.number

    def _drop(self, id):
        """The daemon takes the view back."""
        registered = self._shared.pop(id, None)
        if registered:
            try:
                self._link.handoff.unregister(registered.region)
            except self._link.errors.ModeldError:
                pass  # gone with the connection


class _Link:
    """The connection, with its memory and what is known of the sizes of outputs."""

    def __init__(self, fd):
        from .client import _dtypes, _handoff, _memory, _messages, _request, _results, _rooms, _stream
        from .client import errors as client_errors
        self.dtypes, self.messages, self.request, self.results = _dtypes, _messages, _request, _results
        self.errors, self.stream = client_errors, _stream
        self.handoff = _handoff.Handoff(socket.socket(fileno=fd), None)
        self.memory = _memory.Memory(self.handoff.allocate, self.handoff.release)
        self.rooms = _rooms.Rooms()
        self.names = {}  # of a model's outputs, in its order


def _trace():
    """That of the request which asks."""
    call = current_call()
    return ("", "") if call is None else (call.traceparent, call.tracestate)


class Other:
    """Another model, as context.model() gives it."""

    def __init__(self, others, name):
        self._others = others
        self.name = name

    def empty(self, shape, dtype=np.float32):
        """An uninitialised array in memory that is handed over without a copy."""
        return self._others.empty(shape, dtype)

    def infer(self, inputs, *, dtype=None, parameters=None, timeout=None):
        """Its first output. inputs: an array for the first input, or {name: array}; dtype as the Python client has it."""
        return next(iter(self.infer_all(inputs, dtype=dtype, parameters=parameters, timeout=timeout).values()))

    def stream(self, inputs, *, outputs=None, dtype=None, parameters=None, timeout=None):
        """Its answers as they come, any number where it is decoupled: an iterator of what infer_all() gives. The timeout is that
        of all of them. Where the iterator goes before its end, the request is cancelled."""
        return (answer for answer in self.answers(inputs, outputs=outputs, dtype=dtype, parameters=parameters,
                                                  timeout=timeout) if answer)

    def answers(self, inputs, *, outputs=None, dtype=None, parameters=None, timeout=None):
        """As stream(), with the last one also where it has no outputs."""
        link = self._others.link()
        end = self._others.end(timeout)
        with self.raising(link):
            sent, blocks = link.request.to_send(inputs, dtype), []
            return Answers(self, link, link.stream.Answers(
                link.handoff, link.memory, self.name, self._tensors(link, sent, blocks, end), outputs or (),
                {str(k): str(v) for k, v in (parameters or {}).items()}, end, (sent, blocks), _trace()))

    def infer_all(self, inputs, *, outputs=None, dtype=None, parameters=None, timeout=None):
        """{name: array} of its outputs, those named or all. The arrays lie in shared memory; nobody else writes there."""
        link = self._others.link()
        end = self._others.end(timeout)
        with self.raising(link):
            return self._ask(link, link.request.to_send(inputs, dtype), outputs, parameters or {}, end)

    @contextlib.contextmanager
    def raising(self, link):
        """What the client raises, as what models do."""
        try:
            yield
        except link.errors.ModeldError as e:
            raise errors.of_code(e.code)(f"model '{self.name}': {e.message}") from None
        except TimeoutError:
            raise errors.DeadlineExceeded(f"model '{self.name}' did not answer in time") from None

    def _tensors(self, link, sent, blocks, end):
        return [self._others.tensor(link, name, kind, array, blocks, end) for name, (kind, array) in sent.items()]

    def _ask(self, link, sent, outputs, parameters, end):
        blocks, places = [], {}
        tensors = self._tensors(link, sent, blocks, end)
        total = sum(t.length for t in tensors)
        for name in outputs or link.names.get(self.name, ()):
            link.request.add_place(link.memory, places, name, link.rooms.expect(self.name, name, "any", None, -1, total), end)
        answer = self._exchange(link, tensors, places, outputs, parameters, end, (sent, blocks))
        for t in answer.outputs:
            link.rooms.note(self.name, t.name, t.length, total)
        if not outputs:
            link.names[self.name] = [t.name for t in answer.outputs]
        return dict(link.results.collect(answer, places))

    def _exchange(self, link, tensors, places, outputs, parameters, end, keep):
        handoff = link.handoff
        seq = handoff.number()
        try:
            handoff.infer(seq, self.name, tensors, [p.target(n) for n, p in places.items()], list(outputs or ()), end,
                          {str(k): str(v) for k, v in parameters.items()}, trace=_trace())
            answer, fds = handoff.inferred(seq, end)
        except link.errors.ModeldError as e:
            if not outputs and e.code == "INVALID_ARGUMENT":
                link.names.pop(self.name, None)  # another version may have other ones
            raise
        except BaseException:
            # The request goes on, and so does its memory.
            handoff.forget(seq, keep=(keep, places))
            raise
        link.results.adopt(link.memory, answer, fds, places)
        return answer


class Answers:
    """An iterator of the answers to one request, as they come."""

    def __init__(self, other, link, answers):
        self._other, self._link, self._answers = other, link, answers

    def __iter__(self):
        return self

    def __next__(self):
        with self._other.raising(self._link):
            return dict(next(self._answers))

    def close(self):
        """What has not come is not wanted."""
        self._answers.close()
