"""What a model has raised, as the client and the log are told of it. A model's exceptions are its own code: what they say of
themselves is asked for with care, and cut before anything else looks at it."""
import os
import re
import resource
import traceback

from .errors import Fatal, ModelError

INTERNAL = 13
ERROR_MAX = 511
# Characters of a text that are looked at: more than a line of the log holds, or an error.
TEXT_MAX = 8192
# Characters of a traceback that a line of the log has room for, most of them of its end: that says what was raised.
TRACE_MAX = 1600
_PATH = re.compile(r"(?<![\w./~-])/(?:[\w.@%=+~-]+/)+([\w.@%=+~-]+)")
# How PyTorch says that a device's context is lost, by itself or in what TorchScript raised. In the middle of a line it may be
# a client's words, which are to end no process.
_CUDA = re.compile(r"(?:\A|\n(?:\w+: )?)CUDA error")


class FatalError(Exception):
    """This process cannot go on."""


def text_of(e):
    """What str() makes of it, its beginning at least."""
    try:
        return str(e)[:TEXT_MAX]
    except BaseException:
        return "<exception str() failed>"  # as tracebacks have it


def is_fatal(e):
    """The model says so, or its device's context is lost."""
    return isinstance(e, (Fatal, FatalError)) or type(e).__name__ == "AcceleratorError" or \
        isinstance(e, RuntimeError) and _CUDA.search(text_of(e)) is not None


def last_line(e):
    """What a traceback says behind the calls, without notes."""
    if isinstance(e, SyntaxError):
        return f"{type(e).__name__}: {text_of(e)}"  # with its place, which the traceback has further up
    name, text = type(e).__qualname__, text_of(e)
    module = type(e).__module__
    if isinstance(module, str) and module not in ("builtins", "__main__"):
        name = f"{module}.{name}"
    return f"{name}: {text}" if text else name


def mend(e):
    """What most likely mends what was raised, to stand behind its last line; "": nobody knows."""
    sandboxed = "files" in os.environ.get("MODELD_SANDBOX_STATE", "")
    if issubclass(type(e), ModuleNotFoundError):
        hidden = ", or it lies where [worker] sandbox_read is to name it" if sandboxed else ""
        return f" (the model's interpreter has no such package{hidden})"
    if issubclass(type(e), MemoryError):
        limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
        return "" if limit == resource.RLIM_INFINITY else f" ([worker] max_memory_bytes = {limit}, by RLIMIT_DATA)"
    if issubclass(type(e), PermissionError) and sandboxed:
        return " (the sandbox: [worker] sandbox_read, sandbox_write)"
    return ""


def trace_of(e):
    """The traceback; of one that is too long its beginning and its end."""
    try:
        text = "".join(traceback.format_exception(type(e), e, e.__traceback__)).strip()
    except BaseException:
        text = f"{last_line(e)} (and no traceback can be made of it)"
    return text if len(text) <= TRACE_MAX else f"{text[:TRACE_MAX // 4]} ... {text[-TRACE_MAX * 3 // 4:]}"


def forget_calls(e):
    """A model may keep what it raises, and raise it again: it keeps no run's arrays."""
    BaseException.with_traceback(e, None)


def model_says(e):
    """(code, text) of a ModelError, for the client. INTERNAL where its code is none of an error."""
    try:
        code = e.code
    except BaseException:
        code = INTERNAL
    return code if type(code) is int and 1 <= code <= 16 else INTERNAL, clean(text_of(e) or type(e).__name__)


def clean(text):
    """For clients: on one line, not too long, of a path its last name alone."""
    text = "".join(c if c.isprintable() else " " for c in text[:TEXT_MAX])
    text = _PATH.sub(lambda match: match[1], text)
    data = text.encode("utf-8", "replace")[:ERROR_MAX]
    return data.decode("utf-8", "ignore") or "the model gave no reason"
