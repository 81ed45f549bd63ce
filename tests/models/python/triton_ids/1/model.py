"""Says what a request is called, which step of which sequence it is."""
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        said = [f"{r.request_id()} {r.correlation_id()!r} {r.flags()}" for r in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", np.array([s], object))]) for s in said]
