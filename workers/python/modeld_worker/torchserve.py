"""Runs a handler of TorchServe as it is: a class with initialize() and handle(), or a function handle(data, context).

Its input is `data`, a row a request of the handler's; its output `output`, a row for what the handler answers to each. What
handlers import of TorchServe itself (ts.torch_handler.base_handler) is here where TorchServe is not installed.
"""
import importlib.util
import inspect
import json
import os
import sys
import types

import numpy as np

from .errors import InvalidArgument, ModelError

FILE = "handler.py"


class PredictionException(Exception):
    """ts.utils.util's: a handler refuses a request."""

    def __init__(self, message, error_code=500):
        super().__init__(message)
        self.message, self.error_code = message, error_code


class BaseHandler:
    """ts.torch_handler.base_handler's, for a TorchScript file."""

    def initialize(self, context):
        import torch
        properties = context.system_properties
        gpu = properties["gpu_id"]
        self.context, self.manifest = context, context.manifest
        self.device = torch.device("cpu" if gpu is None else f"cuda:{gpu}")
        path = os.path.join(properties["model_dir"], context.manifest["model"].get("serializedFile", ""))
        if not os.path.isfile(path):
            raise ModelError("the handler wants a TorchScript file (model.pt), and there is none")
        self.model = torch.jit.load(path, map_location=self.device)
        self.model.eval()
        self.initialized = True

    def preprocess(self, data):
        import torch
        return torch.as_tensor(data, device=self.device)

    def inference(self, data, *args, **kwargs):
        import torch
        with torch.no_grad():
            return self.model(data.to(self.device), *args, **kwargs)

    def postprocess(self, data):
        return data.tolist()

    def handle(self, data, context):
        self.context = context
        return self.postprocess(self.inference(self.preprocess(data)))


class _Nothing:
    """Takes whatever is said of metrics."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


class HandlerContext:
    """What TorchServe tells a handler."""

    def __init__(self, context):
        directory = context.path
        model = {"modelName": context.name, "modelVersion": context.version, "handler": FILE}
        serialized = context.parameters.get("serialized_file") or _first(directory, (".pt", ".pth"))
        if serialized:
            model["serializedFile"] = serialized
        if os.path.isfile(os.path.join(directory, "model.py")):
            model["modelFile"] = "model.py"
        self.manifest = {"model": model}
        self.model_name = context.name
        self.model_yaml_config = dict(context.parameters)
        self.system_properties = {
            "model_dir": directory, "gpu_id": None if context.device == "cpu" else 0, "server_name": "modeld",
            "server_version": "", "batch_size": context.max_batch_size or 1}
        self.metrics = _Nothing()

    def get_request_id(self, idx=0):
        return ""

    def get_request_header(self, idx, key):
        return None

    def get_all_request_header(self, idx):
        return {}

    def set_response_content_type(self, idx, value):
        pass

    def set_response_header(self, idx, key, value):
        pass

    def set_response_status(self, code=200, phrase="", idx=0):
        if code >= 400:
            raise PredictionException(phrase or f"the handler answered with status {code}", code)


def _first(directory, endings):
    return next((name for name in sorted(os.listdir(directory)) if name.endswith(endings)), None)


def provide():
    """What `from ts.torch_handler.base_handler import BaseHandler` finds."""
    if "ts" in sys.modules or importlib.util.find_spec("ts"):
        return
    for name, content in (("ts", {}), ("ts.torch_handler", {}), ("ts.torch_handler.base_handler", {"BaseHandler": BaseHandler}),
                          ("ts.utils", {}), ("ts.utils.util", {"PredictionException": PredictionException})):
        module = types.ModuleType(name)
        module.__dict__.update(content)
        module.__path__ = []
        sys.modules[name] = module


class Handler:
    """The code that the worker runs."""
    inputs = {"data": "bytes[-1]"}
    outputs = {"output": "bytes[-1]"}

    def __init__(self, module):
        self._module = module

    def load(self, context):
        made = _class_of(self._module)
        self._handler = made() if made else self._module
        self._context = context
        self._told = HandlerContext(context)
        if hasattr(self._handler, "initialize"):
            self._handler.initialize(self._told)
        if not callable(getattr(self._handler, "handle", None)):
            raise ModelError(f"{FILE} has no function handle(data, context), and no class with initialize and handle")

    def infer(self, data):
        rows = [{"data": row} for row in data]
        step = self._context.max_batch_size or 1
        given = []
        for at in range(0, len(rows), step):
            given += self._handle(rows[at:at + step])
        output = np.empty(len(given), object)
        output[:] = [_text(one) for one in given]
        return output

    def _handle(self, rows):
        try:
            given = self._handler.handle(rows, self._told)
        except Exception as e:
            if type(e).__name__ == "PredictionException" and getattr(e, "error_code", 500) < 500:
                raise InvalidArgument(str(e.message)) from None
            raise
        if not isinstance(given, (list, tuple)) or len(given) != len(rows):
            n = len(given) if isinstance(given, (list, tuple)) else type(given).__name__
            raise ModelError(f"the handler answered {n} to {len(rows)} requests: it must return a list of as many")
        return given


def _class_of(module):
    """The handler's class, of those that the module itself defines; None: it has none."""
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    return next((c for c in own if hasattr(c, "handle") and hasattr(c, "initialize")), None)


def _text(answer):
    """As TorchServe sends it: bytes and text as they are, anything else as JSON."""
    if isinstance(answer, (bytes, bytearray)):
        return bytes(answer)
    if isinstance(answer, str):
        return answer.encode()
    return json.dumps(answer, default=lambda value: value.tolist()).encode()
