"""What a model knows of where it runs, and of the request that it answers."""
import contextvars
from operator import index

import numpy as np

from .errors import FailedPrecondition

# The call that runs in this thread, or in this coroutine; or a function that says so.
_current = contextvars.ContextVar("call", default=None)


def current_call():
    """None: there is none, or it is over."""
    call = _current.get()
    if callable(call):
        call = call()
    return None if call is None or call.is_over else call


def set_usual_call(function):
    """In this thread function() says which call runs, unless one is bound."""
    _current.set(function)


def dims_of(shape):
    """As plain numbers: what they are multiplied to must not be cut off at 64 bits. TypeError, ValueError"""
    dims = tuple(index(n) for n in (shape if hasattr(shape, "__iter__") else (shape,)))
    if any(n < 0 for n in dims):
        raise ValueError(f"empty() of {list(dims)}: a dimension is negative")
    return dims


class Request:
    """One of several that infer_batch() is given."""
    __slots__ = ("inputs", "parameters", "wanted", "traceparent", "id", "sequence", "sequence_flags", "tracestate")

    def __init__(self, inputs, parameters, wanted, traceparent="", id="", sequence=0, sequence_flags=0,
                 tracestate=""):
        self.inputs = inputs          # {name: array}
        self.parameters = parameters  # {key: value} of the request's own
        self.wanted = wanted          # names of outputs that the client asked for
        self.traceparent = traceparent  # W3C trace context, "": none
        self.id = id                    # what its client calls it, "": nothing
        self.sequence = sequence        # that it is a step of: a number or a text; 0: of none
        self.sequence_flags = sequence_flags  # 1: its first step, 2: its last
        self.tracestate = tracestate    # what goes with traceparent, "": nothing

    def __getitem__(self, name):
        return self.inputs[name]


class Context:
    """A model's. What is said of the request is that of the one which runs in this thread, or in this coroutine."""

    def __init__(self, *, name, version, path, device, worker, parameters, settings, log, others=None):
        self.name = name
        self.version = version
        self.path = path              # the version's directory
        self.worker_device = device   # as the daemon calls it: "cpu:0", "cuda:1"
        self.device = "cuda:0" if device.startswith("cuda:") else "cpu"
        self.worker = worker
        self.parameters = parameters  # of model.conf
        self.settings = settings      # of [backend.python]
        self.log = log
        self.max_batch_size = 0       # rows that are joined; 0: model.conf says nothing
        self._others = others

    def model(self, name):
        """Another model, to be asked through the daemon: an object with infer() and infer_all() (others.py)."""
        if self._others is None:
            raise FailedPrecondition("there is no daemon here that could be asked for other models")
        return self._others.model(name)

    def bind(self, call):
        """For the worker: the call that runs in this thread, until unbind() of what this returns."""
        return _current.set(call)

    def unbind(self, bound):
        _current.reset(bound)

    def current(self):
        """The call that runs in this thread, or in this coroutine."""
        call = current_call()
        if call is None:
            raise RuntimeError("there is no request here: this is for the thread that runs infer(), while it does")
        return call

    @property
    def request_parameters(self):
        """{key: value} of the request; {} for several that were joined."""
        return self.current().parameters

    @property
    def wanted(self):
        """Names of outputs that the client asked for: others need not be computed."""
        return self.current().wanted

    @property
    def traceparent(self):
        """W3C trace context of the request, for what the model tells of it elsewhere; "": none, or several that were joined."""
        return self.current().traceparent

    @property
    def tracestate(self):
        """What tracing systems say of the trace, beside traceparent; "": nothing."""
        return self.current().tracestate

    def cancelled(self):
        """Nobody waits for the answer any more."""
        return self.current().cancelled()

    def empty(self, shape, dtype=np.float32, output=None):
        """An array, all zero, in memory that the client's answer is sent from: returned as the output, it is not copied.
        `output`: its name, where there are several."""
        return self.current().empty(shape, np.dtype(dtype), output)
