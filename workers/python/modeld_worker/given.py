"""What a model gives as its outputs, made arrays and held against what it declared."""
import inspect

import numpy as np

from . import dtypes, wire

INTERNAL = 13


class RunError(Exception):
    """An item fails with this code and text."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def _check_is_made(value):
    """Not what makes values once it is run. RunError"""
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise RunError(INTERNAL, "the model returned a generator: for any number of answers infer itself has a yield in it "
                                 "(as in yield from ...); for one of them return list(...)")
    if inspect.iscoroutine(value):
        value.close()
        raise RunError(INTERNAL, "the model returned a coroutine: infer itself is to be one (async def), and to await it")


def by_index(model, given):
    """{index: value} of what infer() returned."""
    if isinstance(given, dict):
        unknown = [n for n in given if n not in model.output_index]
        if unknown:
            raise RunError(INTERNAL, f"the model gave an output '{unknown[0]}', which it did not declare")
        return {model.output_index[n]: v for n, v in given.items()}
    if len(model.outputs) == 1:
        return {0: given}
    if isinstance(given, (tuple, list)) and len(given) == len(model.outputs):
        return dict(enumerate(given))
    _check_is_made(given)
    raise RunError(INTERNAL, f"the model declares {len(model.outputs)} outputs: return a dict of them, or a tuple")


def as_array(value, want):
    """What is no ndarray: a tensor of another library, a number, a list, a str."""
    _check_is_made(value)
    if isinstance(value, np.ndarray) and np.ma.is_masked(value):
        raise RunError(INTERNAL, f"the model gave output '{want.name}' as a masked array with elements that are masked: fill them (filled())")
    if isinstance(value, (str, bytes)):
        array = np.empty(1, object)
        array[0] = value
        return array
    if hasattr(value, "detach"):  # torch
        value = value.detach()
        if hasattr(value, "cpu"):
            value = value.cpu()
        if str(getattr(value, "dtype", "")) == "torch.bfloat16":
            import torch
            return value.view(torch.int16).numpy().view(np.uint16)
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__") or isinstance(value, np.ndarray):
        return np.asarray(value)
    if hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    try:
        return np.asarray(value, dtypes.NUMPY[want.dtype] if want.dtype not in (0, dtypes.BF16) else None)
    except (TypeError, ValueError) as e:
        raise RunError(INTERNAL, f"the model gave output '{want.name}' as {type(value).__name__}, which is no array: {e}") from None


def refused(want, array, number, rows=""):
    return (f"the model gave output '{want.name}' as {dtypes.NAMES[number] if number else array.dtype} "
            f"{list(array.shape)}{rows}, which is not what it declared: {want.spec()}")


def check_output(model, k, given):
    """(array, number of its dtype) of output k."""
    want = model.outputs[k]
    value = given.get(k)
    if value is None:
        raise RunError(INTERNAL, f"the model gave no output '{want.name}'")
    array = value if type(value) is np.ndarray else as_array(value, want)
    number = dtypes.of_numpy(array.dtype)
    if want.dtype == dtypes.BF16 and array.dtype == np.uint16:
        number = dtypes.BF16
    if not number or array.ndim > wire.RANK_MAX or not want.admits(number, array.shape):
        raise RunError(INTERNAL, refused(want, array, number))
    return array, number
