"""Client of modeld, the inference daemon.

    import modeld, numpy as np
    client = modeld.connect()
    probabilities = client.infer("digits", np.zeros((1, 64), np.float32))

On a Unix socket large arrays travel in shared memory without a copy; over TCP it is a plain gRPC client.
"""
from ._device import DeviceArray, DeviceRegion
from ._results import Result, Timings
from ._models import ModelInfo, TensorInfo
from .client import Client, connect
from .errors import ConnectionLost, ModeldError

__all__ = ["Client", "ConnectionLost", "DeviceArray", "DeviceRegion", "ModelInfo", "ModeldError", "Result", "TensorInfo", "Timings", "connect"]
__version__ = "0.2.0"
