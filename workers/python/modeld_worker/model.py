"""A model that was loaded: the code of its directory, and what it declares.

model.py has a class `Model`, or functions of the same names: infer, and where it wants infer_batch, load, unload. Or it
has a class `TritonPythonModel`.
"""
import importlib.util
import inspect
import os
import sys

from . import declare, device, torchserve, triton, wire
from .context import Context
from .coroutines import in_loop, is_coroutine
from .declare import DeclarationError
from .log import Voice
from .raised import trace_of
from .sklearn_model import Estimator
from .torch_model import Program

FILE = "model.py"
PLAIN, GENERATOR = "plain", "generator"
AROUND = "write a function around it, as in def infer(x): return f(x)"
# Of [parameters]: calls of a coroutine that overlap.
CONCURRENCY = "concurrency"


class LoadError(Exception):
    """The model cannot be loaded; the text is for people."""


class Model:
    """What the executor runs. `infer` takes arrays in the order of `inputs`; `infer_batch`, where there is one, a list of
    requests."""

    def __init__(self, load, setup, others=None):
        self.number = load.model
        self.name = load.name
        self._backend = load.backend
        self.voice = Voice(setup.worker, load.name)
        self.compute_ns = None  # what it took lately; None: it has not run
        self.memory_bytes = 0
        self.load_s = 0
        parameters = {p.key: p.value for p in load.parameters}
        prefix = load.backend + "."
        self.context = Context(
            name=load.name, version=load.version, path=load.path, device=setup.device, worker=setup.worker,
            parameters=parameters, log=self.voice, others=others,
            settings={p.key[len(prefix):]: p.value for p in setup.settings if p.key.startswith(prefix)})
        self._unload = None
        self.inputs = self.outputs = ()
        self.infer = self.infer_batch = None
        self.kind = PLAIN
        self.by_keyword = False
        self.wants_context = False
        self.is_async = False
        self.max_batch_size = 0
        self.lanes = 1          # batches that run at once

    def load(self, max_batch_size):
        """Imports the model's code, calls its load(), settles what it declares. LoadError, or whatever that raises."""
        code = self._code()
        self.context.max_batch_size = 0 if max_batch_size == wire.U32_MAX else max_batch_size
        _call_with(getattr(code, "load", None), self.context)
        self._unload = getattr(code, "unload", None)
        self.infer = getattr(code, "infer", None)
        self.infer_batch = getattr(code, "infer_batch", None)
        if not callable(self.infer) and not callable(self.infer_batch):
            raise LoadError(f"{FILE} has no class Model and no function infer")
        self.lanes = self._choose_lanes()
        if self.infer:
            self._look_at_infer()
            self.infer = in_loop(self.infer)
        self.infer_batch = in_loop(self.infer_batch)
        try:
            self._declare(code, max_batch_size)
        except DeclarationError as e:
            raise LoadError(str(e)) from None

    def _code(self):
        # It may import what lies beside it, and so may what is unpickled.
        if self.context.path not in sys.path:
            sys.path.insert(0, self.context.path)
        if self._backend == "sklearn":
            self._needs_host("scikit-learn's estimators")
            return Estimator()
        if self._backend == "torch":
            return Program()
        path = self.context.path
        if "handler" in self.context.parameters or _has(path, torchserve.FILE) and not _has(path, FILE):
            self._needs_host("handlers of TorchServe")
            torchserve.provide()
            return torchserve.Handler(_import(path, self.context.parameters.get("handler", torchserve.FILE)))
        triton.provide()
        return self._instance(_import(path, FILE))

    def _instance(self, module):
        made = getattr(module, "TritonPythonModel", None)
        if made:
            self._needs_host("models of Triton's python backend")
            return triton.adapt(made, self.context)
        made = getattr(module, "Model", None)
        return made() if inspect.isclass(made) else module

    def _needs_host(self, what):
        if device.takes_tensors(self.context.parameters):
            raise LoadError(f"{device.PARAMETER}: {what} take no tensors on the GPU")

    def _look_at_infer(self):
        if inspect.isgeneratorfunction(self.infer) or inspect.isasyncgenfunction(self.infer):
            self.kind = GENERATOR
        try:
            names = inspect.signature(self.infer).parameters
        except ValueError:
            raise LoadError(f"infer does not tell what it takes: {AROUND}") from None
        self.wants_context = "context" in names
        self.by_keyword = any(p.kind in (p.VAR_KEYWORD, p.KEYWORD_ONLY) for p in names.values())
        nameless = [name for name, p in names.items() if p.kind is p.POSITIONAL_ONLY]
        if self.by_keyword and nameless:
            # As numpy.negative does, most of whose parameters are no inputs.
            raise LoadError(f"infer takes '{nameless[0]}' by its place alone, and others by their names: {AROUND}")

    def _choose_lanes(self):
        """Coroutines overlap."""
        given = self.context.parameters.get(CONCURRENCY)
        self.is_async = any(is_coroutine(f) for f in (self.infer, self.infer_batch))
        if not self.is_async:
            if given is not None:
                raise LoadError(f"{CONCURRENCY} = {given} is for a model whose infer, or infer_batch, is a coroutine (async def)")
            return 1
        if given is None:
            return wire.LANES_FREE
        if not (given.isascii() and given.isdigit() and 1 <= int(given) <= wire.LANES_FREE):
            raise LoadError(f"{CONCURRENCY} = {given} is no number from 1 to {wire.LANES_FREE}")
        return int(given)

    def _declare(self, code, max_batch_size):
        parameters = self.context.parameters
        self.inputs = self._declared("inputs", parameters, code, declare.inputs_of)
        self.outputs = self._declared("outputs", parameters, code, declare.outputs_of)
        self._order_inputs()
        self._choose_batching(min(max_batch_size, _own_batch_size(code)))
        declare.check(self.inputs, "input", self.max_batch_size > 0)
        declare.check(self.outputs, "output", self.max_batch_size > 0)
        self.output_index = {d.name: i for i, d in enumerate(self.outputs)}

    def _declared(self, what, parameters, code, of_function):
        """model.conf comes first, then what the code says, then what its function looks like."""
        if what in parameters:
            return self._of_conf(what, parameters[what])
        given = getattr(code, what, None)
        if given is not None:
            return declare.of_mapping(given() if callable(given) else given)
        if not self.infer:
            raise DeclarationError(f"infer_batch says nothing of {what}: declare {what} = {{...}} beside it")
        return of_function(self.infer)

    @staticmethod
    def _of_conf(what, text):
        try:
            return declare.parse_list(text)
        except DeclarationError as e:
            raise DeclarationError(f"[parameters] {what}: {e}") from None

    def _order_inputs(self):
        """infer() is called in the order of its own parameters, whatever the order elsewhere."""
        if not self.infer:
            return
        taken = declare.parameters_of(self.infer)
        if taken is None:
            return
        names = [d.name for d in self.inputs]
        required = [n for n in taken if n in names or not self._has_default(n)]
        if sorted(required) != sorted(names):
            raise DeclarationError(f"infer takes {', '.join(required) or 'nothing'}, and the inputs declared are "
                                   f"{', '.join(names) or 'none'}")
        by_name = {d.name: d for d in self.inputs}
        self.inputs = [by_name[n] for n in required]

    def _has_default(self, name):
        p = inspect.signature(self.infer).parameters[name]
        return p.default is not p.empty

    def _choose_batching(self, max_batch_size):
        """Requests are joined where the administrator says so, or the model takes them as a list."""
        rows = all(d.dims and d.dims[0] == -1 for d in [*self.inputs, *self.outputs]) and self.inputs
        if self.kind == GENERATOR:
            self.max_batch_size = 0
        elif max_batch_size != wire.U32_MAX:
            self.max_batch_size = max_batch_size
        elif self.infer_batch and rows:
            self.max_batch_size = max_batch_size

    @property
    def decoupled(self):
        return self.kind == GENERATOR

    def loaded(self):
        return wire.Loaded(
            model=self.number, ok=1, inputs=[d.message() for d in self.inputs],
            outputs=[d.message() for d in self.outputs], memory_bytes=self.memory_bytes,
            max_batch_size=self.max_batch_size, lanes=self.lanes, decoupled=int(self.decoupled))

    def unload(self):
        unload, self._unload = self._unload, None
        self.infer = self.infer_batch = None
        try:
            if unload:
                unload()
        except BaseException as e:
            self.voice.say(1, "unload failed", trace_of(e))


def _call_with(function, context):
    """load(context), or load() where it does not want one."""
    if not function:
        return
    function = in_loop(function)
    returned = function(context) if inspect.signature(function).parameters else function()
    if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        raise LoadError("load has a yield in it: nothing of it would ever run")


def _own_batch_size(code):
    """What the model's code says of it."""
    own = getattr(code, "max_batch_size", wire.U32_MAX)
    if type(own) is not int or own < 0:
        raise DeclarationError(f"max_batch_size is {own!r}, and must be a whole number, 0 or more")
    return own


def _has(directory, name):
    return os.path.isfile(os.path.join(directory, name))


def _import(directory, name):
    """The module of a version's model.py. Each has a name of its own."""
    path = os.path.join(directory, name)
    if not os.path.isfile(path):
        raise LoadError(f"{path} is not there")
    name = f"modeld_model_{abs(hash(path)):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
