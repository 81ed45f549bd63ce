"""Runs a TritonPythonModel as it is: what its model.py imports as triton_python_backend_utils, and what calls it.

What is here is what Triton's python backend documents.
"""
import asyncio
import contextlib
import inspect
import json
import os
import queue
import sys
import threading

import numpy as np

from . import dtypes, pbtxt
from .coroutines import settle
from .errors import Cancelled, InvalidArgument, ModelError, NotFound, Unavailable, Unimplemented

MODULE = "triton_python_backend_utils"
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
# Responses of a decoupled model that wait for one request: as many as a client that reads slowly can have it hold.
SENT_MAX = 64
TRITONSERVER_REQUEST_FLAG_SEQUENCE_START, TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 1, 2


class TritonModelException(Exception):
    pass


class TritonError:
    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message="", code=INTERNAL):
        self._message, self._code = str(message), code

    def message(self):
        return self._message

    def code(self):
        return self._code

    def __str__(self):
        return self._message


_ERRORS = {TritonError.NOT_FOUND: NotFound, TritonError.INVALID_ARG: InvalidArgument, TritonError.UNSUPPORTED: Unimplemented,
           TritonError.UNAVAILABLE: Unavailable, TritonError.CANCELLED: Cancelled}


def _code_of(e):
    """TritonError's, for what another model's refusal was raised as."""
    return next((code for code, kind in _ERRORS.items() if isinstance(e, kind)), TritonError.INTERNAL)


class Tensor:
    def __init__(self, name, array):
        if not isinstance(array, np.ndarray):
            raise TritonModelException("a Tensor is made of a numpy array; from_dlpack() takes others")
        self._name, self._array = name, array

    @staticmethod
    def from_dlpack(name, tensor):
        if hasattr(tensor, "detach"):  # torch
            return Tensor(name, tensor.detach().cpu().numpy())
        return Tensor(name, np.from_dlpack(tensor if hasattr(tensor, "__dlpack__") else _Capsule(tensor)))

    def name(self):
        return self._name

    def as_numpy(self):
        return self._array

    def shape(self):
        return list(self._array.shape)

    def triton_dtype(self):
        return numpy_to_triton_type(self._array.dtype.type)

    def is_cpu(self):
        return True

    def to_dlpack(self):
        return self.__dlpack__()

    def __dlpack__(self, **options):
        # DLPack of older consumers cannot say that memory is read-only: they get a copy.
        array = self._array
        return (array if array.flags.writeable else array.copy()).__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class _Capsule:
    """What torch.utils.dlpack.to_dlpack() gives, as what numpy takes: a tensor on the host."""

    def __init__(self, capsule):
        self._capsule = capsule

    def __dlpack__(self, **options):
        return self._capsule

    def __dlpack_device__(self):
        return 1, 0  # kDLCPU


class InferenceResponse:
    def __init__(self, output_tensors=(), error=None, parameters=None):
        self._tensors = list(output_tensors or ())
        self._error = TritonError(error) if isinstance(error, str) else error
        self._parameters = parameters

    def output_tensors(self):
        return self._tensors

    def has_error(self):
        return self._error is not None

    def error(self):
        return self._error

    def parameters(self):
        return json.dumps(self._parameters or {})


class InferenceResponseSender:
    def __init__(self, request):
        self._request = request
        self.sent = queue.Queue()  # responses; None: it was the last
        self._is_over = False

    def send(self, response=None, flags=0):
        if response is not None:
            self.put(response)
        if flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL:
            self.put(None)

    def put(self, what):
        """Waits while SENT_MAX wait, of a model that streams; what comes for a request that is over is dropped."""
        if not self._is_over:
            self.sent.put(what)

    def bound(self):
        """Ahead of what is sent: by another thread than takes it, which is as quick as the client."""
        self.sent.maxsize = SENT_MAX

    def end(self):
        """Nothing more is taken; who waits in put() goes on."""
        self._is_over = True
        with contextlib.suppress(queue.Empty):
            while True:
                self.sent.get_nowait()

    def is_cancelled(self):
        return self._request.is_cancelled()


class InferenceRequest:
    def __init__(self, model_name="", requested_output_names=(), inputs=(), model_version=-1, request_id="",
                 correlation_id=0, flags=0, timeout=0, preferred_memory=None, parameters=None, cancelled=lambda: False):
        self._model_name, self._outputs, self._inputs = model_name, list(requested_output_names), list(inputs)
        self._request_id, self._correlation_id, self._flags, self._timeout = request_id, correlation_id, flags, timeout
        self._parameters = json.loads(parameters) if isinstance(parameters, str) else parameters or {}
        self._version = model_version
        self._cancelled = cancelled
        self.sender = None

    def inputs(self):
        return self._inputs

    def requested_output_names(self):
        return self._outputs

    def request_id(self):
        return self._request_id

    def correlation_id(self):
        return self._correlation_id

    def flags(self):
        return self._flags

    def timeout(self):
        return self._timeout

    def model_name(self):
        return self._model_name

    def parameters(self):
        return json.dumps(self._parameters)

    def is_cancelled(self):
        return self._cancelled()

    def get_response_sender(self):
        if self.sender is None:
            self.sender = InferenceResponseSender(self)
        return self.sender

    # The context of the model that runs here, whose daemon is asked.
    caller = None

    def exec(self, decoupled=False):
        """An InferenceResponse of the model that it names; decoupled: an iterator of them, as they come. Where that model is
        decoupled, the last one has no tensors."""
        return self._stream() if decoupled else self._ask()

    async def async_exec(self, decoupled=False):
        return await asyncio.get_running_loop().run_in_executor(None, self.exec, decoupled)

    def _ask(self):
        try:
            return _response(self._call("infer_all"))
        except ModelError as e:
            return _failure(e)

    def _stream(self):
        try:
            return _Responses(self._call("answers"))
        except ModelError as e:
            return iter([_failure(e)])

    def _call(self, how):
        whole = self._model_name if self._version in (-1, None, "") else f"{self._model_name}:{self._version}"
        return getattr(self.caller.model(whole), how)(
            {t.name(): t.as_numpy() for t in self._inputs}, outputs=self._outputs or None, parameters=self._parameters,
            timeout=self._timeout / 1e6 if self._timeout else None)


def _response(given):
    return InferenceResponse([Tensor(name, array) for name, array in given.items()])


def _failure(e):
    return InferenceResponse(error=TritonError(str(e), _code_of(e)))


class _Responses:
    """Of another model; an error is the last one."""

    def __init__(self, answers):
        self._answers = answers

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return _response(next(self._answers))
        except ModelError as e:
            self._answers = iter(())
            return _failure(e)


class ModelConfig:
    """What auto_complete_config() is given."""

    def __init__(self, config):
        self._config = config

    def as_dict(self):
        return self._config

    def set_max_batch_size(self, n):
        self._config.setdefault("max_batch_size", n)

    def add_input(self, tensor):
        self._add("input", tensor)

    def add_output(self, tensor):
        self._add("output", tensor)

    def _add(self, what, tensor):
        tensors = self._config.setdefault(what, [])
        if all(t["name"] != tensor["name"] for t in tensors):
            tensors.append(tensor)

    def set_dynamic_batching(self):
        self._config.setdefault("dynamic_batching", {})

    def set_model_transaction_policy(self, policy):
        self._config.setdefault("model_transaction_policy", policy)


class Logger:
    """Lines of the worker's log, with the model's name."""
    INFO, WARNING, ERROR, VERBOSE = range(4)
    voice = None

    @classmethod
    def log_info(cls, text):
        cls.voice.info(text)

    @classmethod
    def log_warn(cls, text):
        cls.voice.warning(text)

    @classmethod
    def log_error(cls, text):
        cls.voice.error(text)

    @classmethod
    def log_verbose(cls, text):
        cls.voice.debug(text)

    @classmethod
    def log(cls, text, level=INFO):
        (cls.log_info, cls.log_warn, cls.log_error, cls.log_verbose)[level](text)


def get_input_tensor_by_name(request, name):
    return next((t for t in request.inputs() if t.name() == name), None)


def get_output_tensor_by_name(response, name):
    return next((t for t in response.output_tensors() if t.name() == name), None)


def _config_of(config, what, name):
    config = json.loads(config) if isinstance(config, str) else config
    return next((t for t in config.get(what, []) if t["name"] == name), None)


def get_input_config_by_name(model_config, name):
    return _config_of(model_config, "input", name)


def get_output_config_by_name(model_config, name):
    return _config_of(model_config, "output", name)


def triton_string_to_numpy(name):
    return np.object_ if name == "TYPE_STRING" else dtypes.NUMPY[dtypes.parse(name)].type


def numpy_to_triton_type(dtype):
    return dtypes.of_numpy(np.dtype(dtype))


def using_decoupled_model_transaction_policy(model_config):
    config = json.loads(model_config) if isinstance(model_config, str) else model_config
    return bool(config.get("model_transaction_policy", {}).get("decoupled"))


# --- The adapter ------------------------------------------------------------------------------


def provide():
    """What `import triton_python_backend_utils` finds."""
    sys.modules.setdefault(MODULE, sys.modules[__name__])


def adapt(made, context):
    """The code that the worker runs, of a class TritonPythonModel."""
    config = _read_config(context)
    if hasattr(made, "auto_complete_config"):
        config = made.auto_complete_config(ModelConfig(config)).as_dict()
    config.setdefault("max_batch_size", 0)
    kind = Streaming if using_decoupled_model_transaction_policy(config) else Answering
    return kind(made, context, config)


def _read_config(context):
    for directory in (os.path.dirname(context.path.rstrip("/")), context.path):
        try:
            with open(os.path.join(directory, "config.pbtxt")) as f:
                config = pbtxt.parse(f.read())
                config.setdefault("name", context.name)
                return config
        except FileNotFoundError:
            pass
    return {"name": context.name, "backend": "python"}


_CONTROL_TYPES = {"int32_false_true": "TYPE_INT32", "fp32_false_true": "TYPE_FP32", "bool_false_true": "TYPE_BOOL"}


def _control_type(control):
    return next((t for key, t in _CONTROL_TYPES.items() if key in control), control.get("data_type", "TYPE_UINT64"))


def _of_sequences(config, what):
    """Tensors that a step of a sequence has beside its client's: control inputs, and states."""
    batching = config.get("sequence_batching", {})
    states = [{"name": s[f"{what}_name"], "data_type": s["data_type"], "dims": s.get("dims", ())}
              for s in batching.get("state", [])]
    if what == "output":
        return states
    return [{"name": c["name"], "data_type": _control_type(c["control"][0]), "dims": [1]}
            for c in batching.get("control_input", [])] + states


class _Adapter:
    def __init__(self, made, context, config):
        self._made, self._context, self._config = made, context, config
        self.max_batch_size = config["max_batch_size"]
        self.inputs = self._declared("input")
        self.outputs = self._declared("output")
        self._model = None

    def _declared(self, what):
        rows = ["-1"] if self.max_batch_size else []
        return {t["name"]: f"{t['data_type']}[{','.join(rows + [str(d) for d in t.get('dims', ())])}]"
                for t in self._config.get(what, []) + _of_sequences(self._config, what)}

    def load(self, context):
        Logger.voice = context.log
        InferenceRequest.caller = context
        gpu = context.device != "cpu"
        self._model = self._made()
        if hasattr(self._model, "initialize"):
            self._model.initialize({
                "model_config": json.dumps(self._config), "model_instance_kind": "GPU" if gpu else "CPU",
                "model_instance_name": f"{context.name}_0", "model_instance_device_id": "0",
                "model_repository": os.path.dirname(context.path.rstrip("/")), "model_version": context.version,
                "model_name": context.name})

    def unload(self):
        if hasattr(self._model, "finalize"):
            self._model.finalize()

    def _request(self, inputs, parameters, wanted, cancelled, id, sequence, flags):
        return InferenceRequest(self._context.name, wanted, [Tensor(n, a) for n, a in inputs.items()], request_id=id,
                                correlation_id=sequence, flags=flags, parameters=parameters, cancelled=cancelled)


def _outputs(response):
    """{name: array}; raises what the response says is wrong."""
    if not isinstance(response, InferenceResponse):
        raise ModelError(f"execute() answered with {type(response).__name__}, not with an InferenceResponse")
    if response.has_error():
        error = response.error()
        code = error.code() if isinstance(error, TritonError) else TritonError.INTERNAL
        raise _ERRORS.get(code, ModelError)(str(error))
    return {t.name(): t.as_numpy() for t in response.output_tensors()}


class Answering(_Adapter):
    """One answer to each request, returned or sent."""

    def infer_batch(self, requests):
        cancelled = self._context.cancelled
        asked = [self._request(r.inputs, r.parameters, r.wanted, cancelled, r.id, r.sequence, r.sequence_flags)
                 for r in requests]
        responses = settle(self._model.execute(asked))
        if responses is None:
            responses = [None] * len(asked)
        if len(responses) != len(asked):
            raise ModelError(f"execute() answered {len(responses)} of {len(asked)} requests")
        return [self._settle(*pair) for pair in zip(asked, responses)]

    @staticmethod
    def _settle(request, response):
        try:
            if response is None and request.sender:
                response = request.sender.sent.get()
            return _outputs(response)
        except ModelError as e:
            return e


class Streaming(_Adapter):
    """Any number of answers, sent by execute() or after it, by any thread."""

    def infer(self, context, **inputs):
        call = context.current()
        item = call.item
        request = self._request(inputs, call.parameters, call.wanted, call.cancelled, item.id,
                                item.sequence_text or item.sequence, item.sequence_flags)
        sender = request.get_response_sender()
        sender.bound()
        threading.Thread(target=self._execute, args=(request, sender), daemon=True).start()
        try:
            while True:
                response = sender.sent.get()
                if response is None:
                    return
                if isinstance(response, BaseException):
                    raise response
                yield _outputs(response)
        finally:
            sender.end()

    def _execute(self, request, sender):
        try:
            given = self._model.execute([request])
            if inspect.iscoroutine(given):
                asyncio.run(given)
        except BaseException as e:
            sender.put(e)
