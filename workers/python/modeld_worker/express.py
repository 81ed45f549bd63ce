"""The way that most runs take, in an extension module (native/native.h); where that is not there loop.py does it all."""
import importlib.util
import os
import sys
import threading

import numpy as np

from . import codec, dtypes
from .channel import Closed
from .context import set_usual_call
from .model import PLAIN
from .wire import WireError

FILE = "_native.abi3.so"
# native.h: PLAN_TENSORS_MAX
TENSORS_MAX = 16


def native():
    """The extension module: where modeld is installed it lies here, where it was built beside the program. None: there is
    none for this interpreter, or MODELD_NATIVE=0 says that it is not wanted."""
    if os.environ.get("MODELD_NATIVE") == "0":
        return None
    here = os.path.dirname(os.path.abspath(__file__))
    for place in (here, os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "modeld-python-native")):
        path = os.path.join(place, FILE)
        if os.path.isfile(path):
            try:
                spec = importlib.util.spec_from_file_location("_native", path)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
            except ImportError:
                return None
    return None


class Express:
    """Of the main thread. `answer(batch, answers, compute_ns)` is called for what infer() gave that is no plain array, or
    raised; `begin()` before what may take long; `release(holds)` for what the daemon has read;
    `flush()` sends all that waits, here and elsewhere."""

    def __init__(self, module, fd, views, outputs, executor, *, answer, begin, release, flush, busy_poll_us):
        self._executor = executor
        self._answer = answer
        self._thread = threading.get_ident()
        self._call = None  # of what runs, once somebody has asked
        self.native = module.Express(
            fd=fd, ndarray=np.ndarray, dtypes=tuple(dtypes.NUMPY), views=views, begin=begin, reserve=outputs.reserve,
            release=release, conclude=self._conclude, closed=Closed, malformed=WireError, busy_poll_us=busy_poll_us,
            concatenate=np.concatenate, flush=flush)
        set_usual_call(self._current)

    def add(self, model):
        if model.kind != PLAIN or model.lanes > 1 or model.is_async or model.infer_batch or model.by_keyword or \
                max(len(model.inputs), len(model.outputs)) > TENSORS_MAX:
            return
        self.native.add(model.number, model, model.infer, {"context": model.context} if model.wants_context else None,
                        *(tuple((d.name, d.dtype, d.dims) for d in of) for of in (model.inputs, model.outputs)),
                        model.max_batch_size)

    def _current(self):
        """The Call of what runs; made when somebody asks, which few models do."""
        if threading.get_ident() != self._thread:
            return None
        if self._call is None:
            running = self.native.running()
            if running is None:
                return None
            self._call = self._executor.begin_elsewhere(*running)
            # Who cancelled it in between has found the executor without it.
            if self.native.running()[-1]:
                self._executor.is_cancelled = True
        return self._call

    def _conclude(self, model, batch, given, raised, compute_ns, record=None, arrays=None):
        call = self._current()
        self._call = None
        if record is None:
            answers = [self._executor.conclude(model, call, given, raised)]
        else:
            run, = codec.read_record(record)
            answers, more_ns = self._executor.conclude_joined(model, call, run, arrays, given, raised)
            compute_ns += more_ns
        self._answer(batch, answers, compute_ns)
