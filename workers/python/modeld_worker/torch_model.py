"""Models that need no code: a program that torch.export has written to model.pt2, or a TorchScript file model.pt."""
import os
import warnings

from .errors import InvalidArgument, ModelError

EXPORTED, SCRIPT = "model.pt2", "model.pt"


class Program:
    """Its inputs have the program's names; its output is `output`, unless [parameters] outputs names several."""

    def load(self, context):
        import torch
        self._torch = torch
        self._device = context.device
        self._copies = context.parameters.get("copy_inputs", "no") in ("yes", "true", "on", "1")
        if "threads" in context.parameters:
            torch.set_num_threads(int(context.parameters["threads"]))
        path = next((p for p in (os.path.join(context.path, f) for f in (EXPORTED, SCRIPT)) if os.path.isfile(p)), None)
        if path is None:
            raise ModelError(f"neither {EXPORTED} nor {SCRIPT} is there")
        self._names = self._load_exported(path) if path.endswith(EXPORTED) else self._load_script(path)
        self.inputs = dict.fromkeys(self._names, "any")
        self.outputs = {"output": "any"}

    def _load_exported(self, path):
        program = self._torch.export.load(path)
        self._run = program.module().to(self._device)
        return list(program.graph_signature.user_inputs)

    def _load_script(self, path):
        self._run = self._torch.jit.load(path, map_location=self._device)
        self._run.eval()
        return [a.name for a in self._run.forward.schema.arguments[1:]]

    def infer(self, **inputs):
        # By the program's names, else in the order in which model.conf has them.
        names = self._names if set(self._names) == set(inputs) else inputs
        tensors = [self._tensor(name, inputs[name]) for name in names]
        with self._torch.inference_mode():
            given = self._run(*tensors)
        return given[0] if isinstance(given, (list, tuple)) and len(given) == 1 else given

    def _tensor(self, name, array):
        if hasattr(array, "__cuda_array_interface__"):
            return self._torch.from_dlpack(array)
        if array.dtype.hasobject:
            raise InvalidArgument(f"input '{name}' is made of strings, which no tensor holds")
        if self._copies and self._device == "cpu":
            array = array.copy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it may not be written to: it is a client's
            tensor = self._torch.from_numpy(array)
        return tensor if self._device == "cpu" else tensor.to(self._device, non_blocking=True)
