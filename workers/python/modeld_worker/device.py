"""Whether a model takes tensors that lie on its GPU. imports.py has what such a worker does; others do not load it."""
import os

# Of [parameters].
PARAMETER = "device_tensors"


def takes_tensors(parameters):
    """Says a model so, that has these [parameters]?"""
    return parameters.get(PARAMETER, "no") in ("yes", "true", "on", "1")


def imports_of(device):
    """Imports, or None: this process takes none. It is settled before its model is loaded, by the [parameters] that it was started
    with."""
    lines = os.environ.get("MODELD_PARAMETERS", "").split("\n")
    if not device.startswith("cuda:") or not takes_tensors(dict(line.split("=", 1) for line in lines if "=" in line)):
        return None
    from .imports import Imports
    return Imports()
