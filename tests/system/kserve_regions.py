"""Tensors in shared memory as Triton's clients name them, and what they raise."""
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException


def shared(name, array, datatype, region, offset=0, size=None):
    t = triton.InferInput(name, list(array.shape), datatype)
    t.set_shared_memory(region, array.nbytes if size is None else size, offset)
    return t


def wanted(name, region, size, offset=0):
    o = triton.InferRequestedOutput(name)
    o.set_shared_memory(region, size, offset)
    return o


def refused(call):
    """(status, message)"""
    with pytest.raises(InferenceServerException) as e:
        call()
    return e.value.status().removeprefix("StatusCode."), e.value.message()
