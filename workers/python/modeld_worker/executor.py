"""Runs a batch: resolves its inputs, calls the model, and writes what it gives where the daemon reads it.

A joined run writes each output once, and an item's part of it is a slice of the same memory. When a joined run fails,
its items are run again, each alone, so that only the one at fault pays.
"""
import time
from itertools import islice
from math import prod

import numpy as np

from . import dtypes, wire
from .context import Request, dims_of
from .errors import Cancelled, ModelError
from .given import INTERNAL, RunError, by_index, check_output, refused
from .memory import GRANULE, ArenaError
from .model import GENERATOR
from .raised import FatalError, clean, forget_calls, is_fatal, last_line, mend, model_says, trace_of
from .watch import time_left

CANCELLED, INVALID, EXHAUSTED = 1, 3, 8
UNWANTED = "nobody waits for the answer any more"
# A model's sys.exit() is its mistake, like any other; and so is what libraries raise that is no Exception (a panic in Rust).
RAISED = BaseException


class Answer:
    """A result, and what it has in output memory; items that ran as one share the list."""
    __slots__ = ("code", "message", "outputs", "blocks", "joined", "compute_ns")

    def __init__(self, code=0, message="", outputs=(), blocks=None, joined=0):
        self.code, self.message, self.outputs = code, message, outputs
        self.blocks, self.joined = blocks, joined
        self.compute_ns = 0  # of one that ran alone


class Call:
    """One call of the model, as its context sees it."""

    def __init__(self, executor, model, item, targets):
        self.executor = executor
        self.model = model
        self.parameters = {p.key: p.value for p in item.parameters} if item is not None else {}
        self.traceparent = item.traceparent if item is not None else ""
        self.tracestate = item.tracestate if item is not None else ""
        self.item = item  # None: it has nothing special
        self.targets = targets
        self.lent = []  # (array, block) of empty()
        self.wanted_indexes = None
        self.bound = None  # of the context
        self.is_over = False

    @property
    def wanted(self):
        return [self.model.outputs[i].name for i in self.wanted_indexes]

    def cancelled(self):
        return self.executor.is_cancelled

    def time_left(self):
        """Seconds, before the time of its batch is nearly over; None: any time."""
        return time_left(self.executor.began)

    def empty(self, shape, dtype, output):
        if dtype.hasobject or not dtype.itemsize:
            raise TypeError("memory for an answer holds numbers; return str or bytes as they are")
        array, block = self.executor.lend(dims_of(shape), dtype)
        self.lent.append((array, block))
        return array

    def take_lent(self, array):
        """The block that is exactly `array`, which is the answer's from now on; None."""
        address = array.__array_interface__["data"][0]
        for i, (lent, block) in enumerate(self.lent):
            if lent.__array_interface__["data"][0] == address and array.nbytes <= block.size:
                del self.lent[i]
                return block
        return None

    def give_back(self):
        while self.lent:
            block = self.lent.pop()[1]  # and the array is gone, unless the model has it
            self.executor.give_back([block])


class Executor:
    """One thread runs batches at a time. `partial(batch, item, answer, last)` sends an answer ahead of the batch's;
    `before_wait()` is called before memory is waited for. imports: what is on the GPU; None: nothing can be."""

    def __init__(self, views, outputs, partial, before_wait, imports=None):
        self._views = views
        self._imports = imports
        self._outputs = outputs
        self._partial = partial
        self._before_wait = before_wait
        self._batch = 0   # that runs ...
        self.began = None  # ... since then (time.monotonic()) ...
        self.is_cancelled = False  # ... and whose callers have all given up
        self._finished = []  # its answers so far, where its items run one by one; None: not known yet
        self._joined = False

    # --- Output memory ------------------------------------------------------------------------

    def allocate(self, length, name):
        """Of joined items, those that fit are run one by one sooner than there is room for all."""
        try:
            return self._outputs.allocate(length, None if self._joined else self._on_full)
        except ArenaError as e:
            raise RunError(EXHAUSTED, f"output '{name}' {e}") from None

    def _on_full(self):
        """What is finished of the batch has its answer at once, so that its memory is released the sooner."""
        for i, answer in enumerate(self._finished):
            if answer and answer.blocks:
                self._finished[i] = self._answer_early(i, answer)
        self._before_wait()

    def _answer_early(self, i, answer):
        try:
            self._partial(self._batch, i, answer, last=True)
        except RuntimeError as e:
            return Answer(EXHAUSTED, str(e))
        return Answer()

    def give_back(self, blocks):
        if blocks:
            self._outputs.give_back(blocks)

    def lend(self, shape, dtype):
        block = self.allocate(prod(shape) * dtype.itemsize, "of context.empty()")
        try:
            array = np.ndarray(shape, dtype, block.segment.memory, block.offset)
        except BaseException:
            self.give_back([block])
            raise
        array.fill(0)  # it was another client's
        self._outputs.arena.guard(block, array)
        return array, block

    # --- Inputs -------------------------------------------------------------------------------

    def _resolve(self, model, item):
        inputs = item.inputs
        if len(inputs) != len(model.inputs):
            raise RunError(INTERNAL, f"{len(inputs)} inputs came, the model declares {len(model.inputs)}")
        return [self._resolve_one(i, want, inputs[i]) for i, want in enumerate(model.inputs)]

    def _resolve_one(self, i, want, t):
        dims, number = t.dims, t.dtype
        if t.index != i:
            raise RunError(INTERNAL, "inputs came in the wrong order")
        size = dtypes.SIZES[number]
        if not want.admits(number, dims) or size and prod(dims) * size != t.length:
            raise RunError(INTERNAL, f"input '{want.name}': {dtypes.NAMES[number]} {list(dims)} of {t.length} bytes is not "
                                     "what the model declares")
        array = self._imports.input(want, t) if self._imports else None
        if array is not None:
            return array
        view = self._views.readable(t.arena)
        if view is None and self._views.wants(t.arena):
            raise RunError(EXHAUSTED, f"input '{want.name}': this worker has no room to map its memory")
        if view is None:
            raise RunError(INTERNAL, f"input '{want.name}': its memory is not mapped in this worker")
        if t.length > len(view) or t.offset > len(view) - t.length:
            raise RunError(INTERNAL, f"input '{want.name}': its span is outside of its memory")
        if not size:
            return _bytes_input(i, view[t.offset:t.offset + t.length], dims)
        try:
            array = np.ndarray(dims, dtypes.NUMPY[number], view, t.offset)
        except ValueError as e:  # nothing is in it, and its other dimensions are beyond numpy's numbers
            raise RunError(INVALID, f"input '{want.name}': {e}") from None
        # A client may let its tensors begin anywhere; a model need not expect that.
        return array.copy() if t.arena & wire.REGION_BIT and t.offset % GRANULE else array

    # --- One alone ----------------------------------------------------------------------------

    def _run_alone(self, model, run, i, arrays):
        start = time.perf_counter_ns()
        answer = self._run_item(model, run, i, arrays)
        if self._imports and self._imports.names(run.items[i]):
            answer = self._settle(model, answer)
        answer.compute_ns = time.perf_counter_ns() - start
        return answer

    def _settle(self, model, answer):
        """What the model has begun on the GPU may read a client's memory still, or write it."""
        try:
            self._imports.settle()
            return answer
        except RAISED as e:
            self.give_back(answer.blocks)
            return self._failed(model, e)

    def _run_item(self, model, run, i, arrays):
        item = run.items[i]
        call = self._begin(model, item, item.targets)
        blocks = []
        try:
            if model.kind == GENERATOR:
                self._run_generator(model, run, i, arrays, call)
                return Answer(joined=1)
            if model.infer_batch:
                given = self._infer_batch(model, [self._request(model, item, arrays, call)])[0]
            else:
                given = self._infer(model, arrays)
            return Answer(outputs=self._write_all(model, call, given, blocks), blocks=blocks, joined=1)
        except RAISED as e:
            self.give_back(blocks)
            return self._failed(model, e)
        finally:
            self._end(model, call)

    def _run_generator(self, model, run, i, arrays, call):
        answers = self._infer(model, arrays)
        for given in answers:
            if self.is_cancelled:
                answers.close()
                raise Cancelled(UNWANTED)
            blocks = []
            try:
                outputs = self._write_all(model, call, given, blocks)
            except RAISED:
                self.give_back(blocks)
                raise
            self._partial(run.batch, i, Answer(outputs=outputs, blocks=blocks), last=False)

    def _begin(self, model, item, targets):
        call = Call(self, model, item, targets)
        call.wanted_indexes = item.outputs or range(len(model.outputs))
        call.bound = model.context.bind(call)
        return call

    def _end(self, model, call):
        call.is_over = True
        if call.bound is not None:
            model.context.unbind(call.bound)
        if call.lent:
            call.give_back()

    def begin_elsewhere(self, model, batch, traceparent, tracestate, since, is_joined, is_cancelled):
        """The Call of a run whose infer() somebody else has called, of items with nothing special."""
        self._batch, self.began, self.is_cancelled, self._joined = batch, since, is_cancelled, is_joined
        call = Call(self, model, None, ())
        call.traceparent, call.tracestate = traceparent, tracestate
        call.wanted_indexes = range(len(model.outputs))
        return call

    def conclude(self, model, call, given, raised):
        """The Answer of it: infer() has given this, or raised that. FatalError"""
        self._finished = []
        blocks = []
        try:
            if raised is None:
                return Answer(outputs=self._write_all(model, call, given, blocks), blocks=blocks, joined=1)
        except RAISED as e:
            self.give_back(blocks)
            return self._failed(model, e)
        finally:
            self._end(model, call)
            self._outputs.take_waited_ns()  # that was no time of the next run's
        # Raised once more it had a traceback with this frame, which has it: what infer() had would stay for long.
        return self._failed(model, raised)

    def _infer(self, model, arrays):
        if model.by_keyword:
            given = {d.name: a for d, a in zip(model.inputs, arrays)}
            return model.infer(**given, context=model.context) if model.wants_context else model.infer(**given)
        if model.wants_context:
            return model.infer(*arrays, context=model.context)
        return model.infer(*arrays)

    def _request(self, model, item, arrays, call):
        return Request({d.name: a for d, a in zip(model.inputs, arrays)},
                       {p.key: p.value for p in item.parameters}, call.wanted, item.traceparent, item.id,
                       item.sequence_text or item.sequence, item.sequence_flags, item.tracestate)

    @staticmethod
    def _infer_batch(model, requests):
        given = model.infer_batch(requests)
        if given is None or isinstance(given, (dict, str, bytes)):
            raise RunError(INTERNAL, f"infer_batch gave {type(given).__name__}: it answers with a list, of one answer to each request")
        given = list(islice(given, len(requests) + 1))
        if len(given) > len(requests):
            raise RunError(INTERNAL, f"the model answered more than the {len(requests)} requests that there are")
        if len(given) < len(requests):
            raise RunError(INTERNAL, f"the model answered {len(given)} of {len(requests)} requests")
        for one in given:
            if isinstance(one, BaseException) and len(given) == 1:
                raise one
        return given

    # --- Several together ---------------------------------------------------------------------

    def _joinable(self, model, run, resolved):
        first = run.items[0]
        if model.max_batch_size == 0:
            return False
        rows = 0
        for item, arrays in zip(run.items, resolved):
            if list(item.outputs) != list(first.outputs) or (item.parameters and not model.infer_batch):
                return False
            n = len(arrays[0]) if arrays and arrays[0].ndim else -1
            for a, b in zip(arrays, resolved[0]):
                if a.ndim == 0 or len(a) != n or a.dtype != b.dtype or a.shape[1:] != b.shape[1:]:
                    return False
            rows += n
        return rows <= model.max_batch_size

    def _run_joined(self, model, run, resolved):
        """Answers of all items; None: they are still to be run one by one."""
        call = self._begin(model, run.items[0], ())
        call.parameters, call.traceparent, call.tracestate = {}, "", ""
        return self._join(model, run, resolved, call, lambda: self._infer(model, [np.concatenate(a) for a in zip(*resolved)]))

    def _join(self, model, run, resolved, call, infer):
        """As _run_joined(), of what infer() gives or raises."""
        blocks = []
        self._joined = True
        try:
            if model.infer_batch:
                return self._run_list(model, run, resolved, call)
            given = by_index(model, infer())
            return self._deal(model, run, call, given, [len(arrays[0]) for arrays in resolved], blocks)
        except RAISED as e:
            self.give_back(blocks)
            if is_fatal(e):
                self._failed(model, e)
            forget_calls(e)
            return None
        finally:
            self._joined = False
            self._end(model, call)

    def conclude_joined(self, model, call, run, resolved, given, raised):
        """(Answers, nanoseconds that it took beyond infer()) of a run of several items, to whose joined inputs infer() has
        given this, or raised that. FatalError"""
        def infer():
            if raised is not None:
                raise raised
            return given

        start = time.perf_counter_ns()
        answers = self._finished = [None] * len(run.items)
        answers = self._join(model, run, resolved, call, infer) or answers
        answers = self._one_by_one(model, run, resolved, answers)
        return answers, time.perf_counter_ns() - start - self._outputs.take_waited_ns()

    def _run_list(self, model, run, resolved, call):
        given = self._infer_batch(model, [self._request(model, item, arrays, call)
                                          for item, arrays in zip(run.items, resolved)])
        # What each of them has is its own, and may be waited for.
        self._joined = False
        answers = self._finished = []
        for item, one in zip(run.items, given):
            call.targets = item.targets
            own = []
            try:
                if isinstance(one, BaseException):
                    raise one
                answers.append(Answer(outputs=self._write_all(model, call, one, own), blocks=own, joined=len(given)))
            except RAISED as e:
                self.give_back(own)
                answers.append(self._failed(model, e))
        return answers

    def _deal(self, model, run, call, given, rows, blocks):
        """Each output is written once; items get slices."""
        total = sum(rows)
        answers = [Answer(outputs=[], blocks=blocks, joined=len(rows)) for _ in rows]
        for k in call.wanted_indexes:
            array, number = check_output(model, k, given)
            if array.ndim == 0 or len(array) != total:
                raise RunError(INTERNAL, refused(model.outputs[k], array, number, f" for {total} rows"))
            parts, at = [], 0
            for n in rows:
                parts.append(array[at:at + n])
                at += n
            self._deal_output(model, run, call, k, number, array, parts, answers, blocks)
        return answers

    def _deal_output(self, model, run, call, k, number, array, parts, answers, blocks):
        packed = [dtypes.pack_bytes(p) for p in parts] if number == dtypes.BYTES else None
        sizes = [len(p) for p in packed] if packed else [p.nbytes for p in parts]
        targets = [_target(item.targets, k, n) for item, n in zip(run.items, sizes)]
        block = None
        if not all(targets):
            block = self._place(model, k, array, sum(sizes), call, blocks, b"".join(packed) if packed else None)
        at = 0
        for i, part in enumerate(parts):
            t = targets[i] and self._to_target(targets[i], packed[i] if packed else part, k, number, part.shape)
            answers[i].outputs.append(t or _tensor(k, number, part.shape, block.segment.id, block.offset + at, sizes[i]))
            at += sizes[i]

    # --- Outputs ------------------------------------------------------------------------------

    def _write_all(self, model, call, given, blocks):
        values = by_index(model, given)
        return [self._write(model, call, k, values, blocks) for k in call.wanted_indexes]

    def _write(self, model, call, k, given, blocks):
        written = self._imports.output(model, k, given, call.targets) if self._imports and call.targets else None
        if written:
            return written
        array, number = check_output(model, k, given)
        data = dtypes.pack_bytes(array) if number == dtypes.BYTES else None
        length = array.nbytes if data is None else len(data)
        target = _target(call.targets, k, length) if call.targets else None
        if target:
            written = self._to_target(target, array if data is None else data, k, number, array.shape)
            if written:
                return written
        block = self._place(model, k, array, length, call, blocks, data)
        return _tensor(k, number, array.shape, block.segment.id, block.offset, length)

    def _place(self, model, k, array, length, call, blocks, data):
        """The Block where the array, or its packed data, lies."""
        if data is None and call.lent and array.flags.c_contiguous and array.dtype.isnative:
            block = call.take_lent(array)
            if block:
                blocks.append(block)
                return block
        block = self.allocate(length, model.outputs[k].name)
        blocks.append(block)
        memory = block.segment.memory
        if data is not None:
            memory[block.offset:block.offset + length] = data
        elif length:
            to = np.ndarray(array.shape, array.dtype.newbyteorder("=") if array.dtype.byteorder == ">" else array.dtype,
                            memory, block.offset)
            to[...] = array
        return block

    def _to_target(self, target, given, k, number, shape):
        """The Tensor there; None where it cannot be written to."""
        view = self._views.writable(target.arena)
        if view is None and self._views.wants(target.arena):
            raise RunError(EXHAUSTED, "this worker has no room to map the region that an output goes to")
        if view is None or target.length > len(view) or target.offset > len(view) - target.length:
            raise RunError(INTERNAL, "the place for an output is not in a region that can be written")
        if isinstance(given, bytes):
            length = len(given)
            view[target.offset:target.offset + length] = given
        else:
            length = given.nbytes
            to = np.ndarray(shape, dtypes.NUMPY[number], view, target.offset)
            to[...] = given.view(np.uint16) if number == dtypes.BF16 else given
        return _tensor(k, number, shape, target.arena, target.offset, length, target.generation)

    # --- A batch ------------------------------------------------------------------------------

    def cancel(self, batch):
        """Any thread."""
        if batch == self._batch:
            self.is_cancelled = True

    def run(self, model, run):
        """(Answers, one an item; nanoseconds that it took). FatalError"""
        if getattr(run, "is_cancelled", False):
            return [Answer(CANCELLED, UNWANTED) for _ in run.items], 0
        start = time.perf_counter_ns()
        self.began = time.monotonic()
        self.is_cancelled = False
        self._batch = run.batch
        answers, resolved = [None] * len(run.items), []
        self._finished = answers
        for i, item in enumerate(run.items):
            try:
                resolved.append(self._resolve(model, item))
            except RAISED as e:  # also that there is no memory for a copy
                resolved.append(None)
                answers[i] = self._failed(model, e)
        if len(run.items) > 1 and all(r is not None for r in resolved) and self._joinable(model, run, resolved):
            answers = self._run_joined(model, run, resolved) or answers
        answers = self._one_by_one(model, run, resolved, answers)
        return answers, time.perf_counter_ns() - start - self._outputs.take_waited_ns()

    def _one_by_one(self, model, run, resolved, answers):
        """The answers, with those that there are none of yet."""
        self._finished = answers
        for i, arrays in enumerate(resolved):
            if answers[i] is None:
                answers[i] = self._run_alone(model, run, i, arrays)
        return answers

    def try_out(self, model, arrays):
        """Runs the model once with these inputs, as a request would; what it answers is given back. The Answer, for its code
        and message. FatalError"""
        self.began = None
        self.is_cancelled = False
        self._finished = []
        answer = self._run_item(model, wire.Run(items=[wire.Item()]), 0, arrays)
        self.give_back(answer.blocks)
        self._outputs.take_waited_ns()
        return answer

    def _failed(self, model, e):
        """The Answer for what a model raised. FatalError"""
        try:
            if isinstance(e, RunError):
                return Answer(e.code, clean(str(e)))
            if is_fatal(e):
                model.voice.error(trace_of(e))
                raise FatalError(clean(last_line(e))) from e
            if isinstance(e, ModelError):
                return Answer(*model_says(e))
            model.voice.say(1, "model raised", trace_of(e))
            if isinstance(e, MemoryError):
                return Answer(EXHAUSTED, clean(last_line(e) + mend(e)))
            return Answer(INTERNAL, clean(last_line(e)))
        finally:
            forget_calls(e)


def _bytes_input(i, view, dims):
    try:
        return dtypes.unpack_bytes(view, tuple(dims))
    except ValueError as e:
        raise RunError(INVALID, f"input {i}: {e}") from None


def _tensor(index, dtype, shape, arena, offset, length, generation=0):
    return wire.Tensor(index=index, dtype=dtype, dims=shape, arena=arena, generation=generation, offset=offset, length=length)


def _target(targets, output, length):
    for target in targets:
        if target.output == output and length <= target.length:
            return target
    return None
