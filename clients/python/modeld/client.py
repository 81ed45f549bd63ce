"""The client: one connection to a modeld daemon."""
from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Any, Callable, Dict, Generator, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

import grpc
import numpy as np

from . import _device, _dtypes, _kserve, _places
from ._device import DeviceArray, DeviceMemory, DeviceRegion
from ._handoff import NO_TRACE, Handoff, NotTaken, Trace, to_trace
from ._memory import Block, Memory, Region
from ._messages import (HealthCheckRequest, HealthCheckResponse, Inferred, InferRequest, InferResponse, Message, ModelInferResponse,
                        ServerStatusRequest, ServerStatusResponse, TensorData)
from ._models import ModelInfo, model_info, unknown_names
from ._request import Dtypes, Inputs, add_place, place, to_send
from ._results import Out, Result, Sent, adopt, collect, copy_out, of_reply, out_places
from ._rooms import FIRST_BYTES, Rooms
from ._stream import Answers, by_grpc, in_time, of_kserve, of_worker
from .errors import ConnectionLost, DecodeError, ModeldError

M = TypeVar("M", bound=Message)
R = TypeVar("R")
_WORKER = "/remotemedia.model_registry.v1.ModelWorkerService/"
_CONTROL = "/modeld.control.v1.Control/"
_HEALTH = "/grpc.health.v1.Health/"
# Below this an inline copy is cheaper than asking for memory; arrays of empty() always go by reference.
HANDOFF_MIN_BYTES = 64 * 1024
# Connections that are tried for one request, where each is given up before it has taken it.
_CONNECTIONS = 16
# Whoever waits longer than eleven days waits for ever.
_LONGEST_S = 1e6


def connect(address: Optional[str] = None, *, handoff: Union[str, bool, None] = None,
            timeout: float = 10.0) -> "Client":
    """Connect to a daemon.

    address: "unix:/path" or "host:port"; default $MODELD_ADDRESS, else the first that answers of
    $XDG_RUNTIME_DIR/modeld/modeld.sock (without such a variable /tmp/modeld-UID/modeld.sock, while that directory is the
    user's alone), /run/modeld/modeld.sock and 127.0.0.1:50052.
    handoff: path of the handoff socket; None: $MODELD_HANDOFF, else handoff.sock beside the address's Unix
    socket, when it is there; False: never use it.
    """
    return Client(address or _places.find(), handoff=handoff, timeout=timeout)


def _handoff_path(address: str, handoff: Union[str, bool, None]) -> Optional[str]:
    if handoff is False:
        return None
    if isinstance(handoff, str):
        return handoff
    if not address.startswith("unix:"):
        if handoff:
            raise ValueError("the handoff needs a Unix socket: pass its path")
        return None
    path = os.environ.get("MODELD_HANDOFF") or os.path.join(os.path.dirname(address[5:]), _places.HANDOFF)
    if handoff or os.path.exists(path):
        return path
    return None


class Client:
    """See connect(). Safe from several threads. A context manager."""

    def __init__(self, address: str, *, handoff: Union[str, bool, None] = None, timeout: float = 10.0) -> None:
        self.address = address
        self._timeout = _finite(timeout)
        self._channel = grpc.insecure_channel(address, options=[
            ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)])
        self._pid = os.getpid()
        self._models: Dict[str, ModelInfo] = {}
        self._default_model = ""
        self._rooms = Rooms()
        self._handoff: Optional[Handoff] = None
        self._memory: Optional[Memory] = None
        self._device: Optional[DeviceMemory] = None
        # Of connections that were lost, as long as arrays lie there.
        self._former: "weakref.WeakSet[Region]" = weakref.WeakSet()
        self._connecting = threading.Lock()
        self._closed = False
        self._path = _handoff_path(address, handoff)
        if self._path:
            _taken(lambda: self._open_handoff(self._path, self._timeout))

    def _open_handoff(self, path: Optional[str], timeout: Optional[float]) -> None:
        assert path
        self._handoff = Handoff(path, timeout)
        self._memory = Memory(self._handoff.allocate, self._handoff.release)
        self._device = DeviceMemory(self._handoff)

    def _local(self, end: Optional[float] = None) -> Tuple[Handoff, Memory]:
        """The connection, and its memory; anew where it was lost, since a daemon that was started again knows nothing of it."""
        assert self._path and self._handoff and self._memory
        self._handoff.check_process()
        with self._connecting:
            if self._handoff.is_lost() and not self._closed:
                lost, memory, device = self._handoff, self._memory, self._device
                self._open_handoff(self._path, self._timeout if end is None else max(0.01, end - time.monotonic()))
                self._models = {}
                self._former.update(memory.regions())
                memory.close()
                if device:
                    device.close()
                lost.retire()
            return self._handoff, self._memory

    def _check_memory(self, array: np.ndarray) -> None:
        if any(region.holds(array) for region in self._former):
            raise ConnectionLost("the array lies in memory of a connection that was lost: make another one with "
                                 "empty(), or give a copy")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Arrays that lie in shared memory stay valid."""
        self._closed = True
        self._channel.close()
        if self._handoff and self._memory:
            self._memory.close()
            if self._device:
                self._device.close()
            self._handoff.close()

    @property
    def uses_shared_memory(self) -> bool:
        return self._handoff is not None

    def _check_usable(self) -> None:
        if os.getpid() != self._pid:
            raise ConnectionLost("this connection was made before fork(): connect anew in the child")
        if self._closed:
            raise ConnectionLost("the client is closed")

    # --- questions ----------------------------------------------------------------------------
    def _call(self, path: str, request: Message, of: Type[M], timeout: Optional[float], trace: Trace = NO_TRACE) -> M:
        """The reply, which is one of those."""
        self._check_usable()
        try:
            reply: bytes = self._channel.unary_unary(path)(request.pack(), timeout=timeout, metadata=_headers(trace))
        except grpc.RpcError as e:
            raise ModeldError(e.code().name, e.details() or "") from None
        return of.unpack(reply)

    def is_ready(self, model: str = "") -> bool:
        """Is the server (or the model) serving? False also when it does not answer."""
        try:
            reply = self._call(_HEALTH + "Check", HealthCheckRequest(model), HealthCheckResponse, self._timeout)
            return reply.status == HealthCheckResponse.SERVING
        except ModeldError:
            return False

    def models(self) -> Dict[str, ModelInfo]:
        """All models that the daemon serves."""
        return self._ask_models(self._timeout)

    def _ask_models(self, timeout: Optional[float]) -> Dict[str, ModelInfo]:
        reply = self._call(_CONTROL + "GetServerStatus", ServerStatusRequest(), ServerStatusResponse, timeout)
        self._default_model = reply.default_model or self._default_model
        self._models = found = {m.name: model_info(m) for m in reply.models}
        return found

    def model(self, name: str = "") -> ModelInfo:
        """One model; "" is the default one. Remembered once it is ready."""
        return self._find_model(name, self._timeout)

    def _find_model(self, name: str, timeout: Optional[float]) -> ModelInfo:
        known = self._known(name, timeout)
        if known is None:
            raise _no_such(name)
        return known

    def _known(self, name: str, timeout: Optional[float]) -> Optional[ModelInfo]:
        """None: it is not among those that the daemon serves by this name now. It may be loaded for a request all the same,
        and it may be a version, "name:2"."""
        known = self._models.get(name or self._default_model)
        if known is None or known.state != "ready":
            self._ask_models(timeout)
            known = self._models.get(name or self._default_model)
        return known

    # --- memory -------------------------------------------------------------------------------
    def empty(self, shape: Union[int, Sequence[int]], dtype: Any = np.float32) -> np.ndarray:
        """An uninitialised array that lies in shared memory where there is any: requests name it, nobody
        copies it. It is given back when it is collected."""
        dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
        kind = np.dtype(dtype)
        if self._memory is None or kind.hasobject:
            return np.empty(dims, kind)
        nbytes = int(np.prod(dims, dtype=np.int64)) * kind.itemsize
        return _taken(lambda: self._local()[1].take(nbytes)).array(kind, dims, nbytes)

    # --- on a GPU -----------------------------------------------------------------------------
    def _on_device(self, end: Optional[float]) -> Tuple[Handoff, Memory, DeviceMemory]:
        if self._memory is None:
            raise ModeldError("FAILED_PRECONDITION", "tensors on a GPU go by the handoff socket, which this connection has not")
        handoff, memory = self._local(end)
        assert self._device
        return handoff, memory, self._device

    def device_empty(self, shape: Union[int, Sequence[int]], dtype: str = "f32", gpu: int = 0) -> DeviceArray:
        """An uninitialised tensor on GPU `gpu`, as CUDA counts them in this process, in memory that is shared with the daemon: requests
        name it, nobody copies it. dtype: modeld's name. It is given back when it is collected."""
        dims = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
        return _answered(lambda: self._on_device(None)[2].empty(gpu, dtype, dims, self._until_timeout()), self._timeout)

    def device_register(self, tensor: Any) -> DeviceRegion:
        """Hand over the memory that another library's tensor lies in, for requests to name without a copy until release().
        FAILED_PRECONDITION: it is none that CUDA exports (cuMemCreate() with a descriptor asked for)."""
        return _answered(lambda: self._on_device(None)[2].register(tensor, self._until_timeout()), self._timeout)

    def _until_timeout(self) -> Optional[float]:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def device_infer(self, model: str, inputs: Any, *, outputs: Optional[Sequence[str]] = None, dtype: Dtypes = None,
                     parameters: Optional[Mapping[str, str]] = None, timeout: Optional[float] = None,
                     trace: Optional[Mapping[str, str]] = None) -> _device.Result:
        """Run a model on what lies on a GPU, and return its outputs there, by name.

        inputs: a tensor with __cuda_array_interface__ or __dlpack__ (of torch, cupy, ...; contiguous), or {name: tensor}, of which some
        may be arrays on the host. One in memory that device_empty() made or device_register() handed over is named where it lies;
        any other is copied once, on the GPU. An output that takes more than was foreseen has the model run once more.
        """
        timeout = _finite(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        return _answered(lambda: self._device_infer(model, inputs, outputs, dtype, dict(parameters or {}), end, to_trace(trace)),
                         timeout)

    def _device_infer(self, model: str, inputs: Any, outputs: Optional[Sequence[str]], dtype: Dtypes, parameters: Dict[str, str],
                      end: Optional[float], trace: Trace) -> _device.Result:
        info = self._find_model(model, self._left(end))
        call = _device.Call(*self._on_device(end), model, inputs, dtype, end)
        rows = call.tensors[0].dims[0] if call.tensors[0].dims else -1
        wanted = [o for o in info.outputs if outputs is None or o.name in outputs]
        rooms = {o.name: max(FIRST_BYTES, self._rooms.expect(model, o.name, o.dtype, o.shape, rows, call.total)) for o in wanted}
        try:
            return self._noted(model, call.total, *call.run(rooms, parameters, trace))
        except ModeldError as e:
            if not e.needed:
                raise
            rooms.update({name: took for name, took in e.needed.items() if name in rooms})
        return self._noted(model, call.total, *call.run(rooms, parameters, trace))

    def _noted(self, model: str, total: int, answer: Inferred, result: _device.Result) -> _device.Result:
        for t in answer.outputs:
            self._rooms.note(model, t.name, t.length, total)
        return result

    # --- inference ----------------------------------------------------------------------------
    def infer(self, model: str, inputs: Inputs, *, dtype: Dtypes = None,
              parameters: Optional[Mapping[str, str]] = None, timeout: Optional[float] = None,
              out: Optional[np.ndarray] = None, trace: Optional[Mapping[str, str]] = None) -> np.ndarray:
        """Run a model and return its first output (or the one that parameters["output"] names).

        inputs: one array for the model's first input, or {name: array}; {} for a model that has none.
        dtype: modeld's name of the dtype to send, for all inputs or {name: dtype}. An array of another one is
        converted where numpy calls that safe, else refused; "bf16" takes the bits in a uint16 array.
        timeout: seconds until DEADLINE_EXCEEDED, whatever it is that takes so long; None or inf: for ever.
        out: an array of empty() that the result is written to, and which is returned: itself where it has the result's
        shape, else a view of its beginning. Another dtype, or a larger result, is a ValueError.
        trace: W3C Trace Context, {"traceparent": ..., "tracestate": ...}, as opentelemetry.propagate.inject() fills it: what
        modeld and the model tell of the request is part of that trace.
        """
        wanted = (parameters or {}).get("output")
        result = self.infer_all(model, inputs, outputs=[wanted] if wanted else None, dtype=dtype,
                                parameters=parameters, timeout=timeout, first_only=not wanted, out=out, trace=trace)
        if not result:
            raise DecodeError("no output")
        return next(iter(result.values()))

    def infer_all(self, model: str, inputs: Inputs, *, outputs: Optional[Sequence[str]] = None,
                  dtype: Dtypes = None, parameters: Optional[Mapping[str, str]] = None,
                  timeout: Optional[float] = None, first_only: bool = False, out: Out = None,
                  trace: Optional[Mapping[str, str]] = None) -> Result:
        """Run a model and return its outputs (those named, or all) by name; out: arrays by the output's name, and all else
        as infer() has it."""
        sent, context = to_send(inputs, dtype), to_trace(trace)
        options = dict(parameters or {})
        timeout = _finite(timeout)
        if self._by_handoff(sent, outputs, first_only, out):
            end = None if timeout is None else time.monotonic() + timeout
            return _answered(lambda: self._infer_handoff(model, sent, outputs, options, end, first_only, out, context), timeout)
        return copy_out(self._infer_grpc(model, sent, outputs, options, timeout, first_only, context), out)

    def stream(self, model: str, inputs: Inputs, *, outputs: Optional[Sequence[str]] = None, dtype: Dtypes = None,
               parameters: Optional[Mapping[str, str]] = None, timeout: Optional[float] = None,
               trace: Optional[Mapping[str, str]] = None) -> Generator[Result, None, None]:
        """The model's answers as they come, any number where it is decoupled, each as infer_all() gives it. Where the iterator
        goes ahead of its end, or is closed, the request is cancelled. timeout: seconds until DEADLINE_EXCEEDED, for all of them."""
        sent, timeout, context = to_send(inputs, dtype), _finite(timeout), to_trace(trace)
        options = dict(parameters or {})
        end = None if timeout is None else time.monotonic() + timeout
        if self._memory is None:
            return self._stream_grpc(model, sent, outputs, options, end, context)
        return in_time(_answered(lambda: self._begin_stream(model, sent, outputs, options, end, context), timeout), timeout)

    def _begin_stream(self, model: str, sent: Sent, outputs: Optional[Sequence[str]], parameters: Dict[str, str],
                      end: Optional[float], trace: Trace) -> Answers:
        handoff, memory = self._local(end)
        for _, array in sent.values():
            self._check_memory(array)
        blocks: List[Block] = []
        tensors = [place(memory, name, kind, array, blocks, end) for name, (kind, array) in sent.items()]
        return Answers(handoff, memory, model, tensors, outputs or (), parameters, end, (sent, blocks), trace)

    def _by_handoff(self, sent: Sent, outputs: Optional[Sequence[str]], first_only: bool, out: Out) -> bool:
        if self._memory is None:
            return False
        if out is not None or len(sent) != 1 or not first_only and (outputs is None or len(outputs) > 1):
            return True
        return any(a.nbytes >= HANDOFF_MIN_BYTES or self._memory.find(a) for _, a in sent.values())

    # --- by gRPC ------------------------------------------------------------------------------
    def _infer_grpc(self, model: str, sent: Sent, outputs: Optional[Sequence[str]], parameters: Dict[str, str],
                    timeout: Optional[float], first_only: bool, trace: Trace) -> Result:
        """By ModelWorkerService, which carries one tensor each way, or by KServe's service."""
        end = None if timeout is None else time.monotonic() + timeout
        if outputs is None and not first_only:
            info = self._known(model, self._left(end))
            if info is None:
                return self._infer_unknown(model, sent, outputs, parameters, end, trace)
            outputs = [o.name for o in info.outputs]
        if len(sent) > 1 or outputs is not None and len(outputs) > 1:
            return self._infer_several(model, sent, outputs, parameters, end, trace)
        request = _worker_request(model, sent, outputs, parameters)
        reply = self._call(_WORKER + "Infer", request, InferResponse, _until(end), trace)
        return of_reply(reply, parameters.get("output") or "output")

    def _stream_grpc(self, model: str, sent: Sent, outputs: Optional[Sequence[str]], parameters: Dict[str, str],
                     end: Optional[float], trace: Trace) -> Generator[Result, None, None]:
        """By ModelWorkerService, which carries one tensor each way and the status of what fails, or by KServe's service."""
        info = self._known(model, self._left(end))
        if info is None and "" in sent:
            raise _no_such(model)
        if info is not None:
            info = self._checked(info, model, sent, outputs, end)
            sent = {name or info.inputs[0].name: given for name, given in sent.items()}
            outputs = list(outputs or ()) or [o.name for o in info.outputs]
        if len(sent) <= 1 and outputs and len(outputs) == 1:
            request: Message = _worker_request(model, sent, outputs, parameters)
            name = parameters["output"]
            return self._begin_grpc(_WORKER + "InferStream", request, end, trace, lambda replies: of_worker(replies, name))
        parameters.pop("output", None)
        request = _kserve.request(info.name if info else model, sent, outputs, parameters)
        return self._begin_grpc(_kserve.STREAM_PATH, request, end, trace, of_kserve)

    def _begin_grpc(self, path: str, request: Message, end: Optional[float], trace: Trace,
                    read: Callable[[Iterable[bytes]], Iterator[Result]]) -> Generator[Result, None, None]:
        """The one request of a call with any number of answers is sent at once, as it is where they come by the handoff."""
        self._check_usable()
        return by_grpc(self._channel.unary_stream(path)(request.pack(), timeout=_until(end), metadata=_headers(trace)), read)

    def _infer_several(self, model: str, sent: Sent, outputs: Optional[Sequence[str]], parameters: Dict[str, str],
                       end: Optional[float], trace: Trace) -> Result:
        """outputs: none is the model's first."""
        info = self._known(model, self._left(end))
        if info is None:
            return self._infer_unknown(model, sent, outputs, parameters, end, trace)
        info = self._checked(info, model, sent, outputs, end)
        parameters.pop("output", None)
        # An array without a name is for the first input.
        named = {name or info.inputs[0].name: given for name, given in sent.items()}
        wanted = list(outputs or ()) or [o.name for o in info.outputs][:1]
        return self._model_infer(info.name, named, wanted, parameters, end, trace)

    def _checked(self, info: ModelInfo, model: str, sent: Sent, outputs: Optional[Sequence[str]], end: Optional[float]) -> ModelInfo:
        """The model, which has inputs and outputs of these names. INVALID_ARGUMENT"""
        if unknown_names(info, sent, outputs):  # it may be another version by now
            self._ask_models(self._left(end))
            info = self._find_model(model, self._left(end))
        wrong = unknown_names(info, sent, outputs)
        if wrong:
            raise ModeldError("INVALID_ARGUMENT", wrong)
        return info

    def _left(self, end: Optional[float]) -> Optional[float]:
        """Of a question that is asked on the way."""
        return self._timeout if end is None else _until(end)

    def _infer_unknown(self, model: str, sent: Sent, outputs: Optional[Sequence[str]], parameters: Dict[str, str],
                       end: Optional[float], trace: Trace) -> Result:
        """By the names that the caller gives. outputs: none is all."""
        if "" in sent:
            raise _no_such(model)
        parameters.pop("output", None)
        return self._model_infer(model, sent, outputs, parameters, end, trace)

    def _model_infer(self, model: str, sent: Sent, outputs: Optional[Sequence[str]], parameters: Dict[str, str],
                     end: Optional[float], trace: Trace) -> Result:
        request = _kserve.request(model, sent, outputs, parameters)
        return _kserve.result(self._call(_kserve.PATH, request, ModelInferResponse, _until(end), trace))

    # --- by handoff ---------------------------------------------------------------------------
    def _infer_handoff(self, model: str, sent: Sent, outputs: Optional[Sequence[str]],
                       parameters: Dict[str, str], end: Optional[float], first_only: bool, out: Out,
                       trace: Trace) -> Result:
        handoff, memory = self._local(end)
        for given in [array for _, array in sent.values()] + _arrays_of(out):
            self._check_memory(given)
        blocks: List[Block] = []
        tensors = [place(memory, name, kind, array, blocks, end) for name, (kind, array) in sent.items()]
        info = self._known(model, self._left(end))
        declared = info.outputs if info else []
        names = list(outputs) if outputs is not None else [o.name for o in declared][:1 if first_only else None]
        parameters.pop("output", None)
        total = sum(t.length for t in tensors)
        places = out_places(memory, names, sent, out)
        for d in declared:
            if d.name in names and d.name not in places:
                rows = tensors[0].dims[0] if tensors and tensors[0].dims else -1
                add_place(memory, places, d.name, self._rooms.expect(model, d.name, d.dtype, d.shape, rows, total), end)
        targets = [to.target(name) for name, to in places.items()]
        seq = handoff.number()
        try:
            handoff.infer(seq, model, tensors, targets, names, end, parameters, trace=trace)
            # The daemon answers only when nothing writes to the targets any more; the caller is told in time.
            answer, fds = handoff.inferred(seq, end)
        except ModeldError as e:
            if isinstance(e, ConnectionLost):
                handoff.forget(seq, keep=(sent, blocks, places))
            for name, took in e.needed.items():
                self._rooms.note(model, name, took, total)
            raise
        except BaseException:
            # Out of time or interrupted: the request goes on, and so does its memory.
            handoff.forget(seq, keep=(sent, blocks, places))
            raise
        adopt(memory, answer, fds, places)
        for t in answer.outputs:
            self._rooms.note(model, t.name, t.length, total)
        return collect(answer, places)


def _worker_request(model: str, sent: Sent, outputs: Optional[Sequence[str]], parameters: Dict[str, str]) -> InferRequest:
    """Of one input at most; the names are added to the parameters."""
    if outputs:
        parameters.setdefault("output", outputs[0])
    request = InferRequest(model, parameters=parameters)
    for name, (kind, array) in sent.items():
        if name:
            parameters.setdefault("input", name)
        request.tensor_data = TensorData(_dtypes.contents(kind, array), array.shape, kind)
    return request


def _headers(trace: Trace) -> Optional[List[Tuple[str, str]]]:
    named = zip(("traceparent", "tracestate"), trace)
    return [(name, value) for name, value in named if value] or None


def _taken(ask: Callable[[], R]) -> R:
    """Over the next connection, where a daemon that goes has not taken it any more."""
    for _ in range(_CONNECTIONS - 1):
        try:
            return ask()
        except NotTaken:
            pass
    return ask()


def _answered(ask: Callable[[], R], timeout: Optional[float]) -> R:
    """As _taken(). DEADLINE_EXCEEDED"""
    try:
        return _taken(ask)
    except TimeoutError:
        raise ModeldError("DEADLINE_EXCEEDED", f"no answer within {timeout} s") from None


def _no_such(model: str) -> ModeldError:
    return ModeldError("NOT_FOUND", f"model '{model}' is unknown")


def _arrays_of(out: Out) -> List[np.ndarray]:
    given = list(out.values()) if isinstance(out, Mapping) else [out]
    return [array for array in given if isinstance(array, np.ndarray)]


def _until(end: Optional[float]) -> Optional[float]:
    return None if end is None else max(0.0, end - time.monotonic())


def _finite(timeout: Optional[float]) -> Optional[float]:
    return None if timeout is None or timeout > _LONGEST_S else timeout
