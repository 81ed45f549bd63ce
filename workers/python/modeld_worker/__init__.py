"""What a model.py may import from the worker that runs it (docs/python.md)."""
from .errors import (Cancelled, DeadlineExceeded, FailedPrecondition, Fatal, InvalidArgument, ModelError, NotFound,
                     ResourceExhausted, Unavailable, Unimplemented)

__all__ = ["Cancelled", "DeadlineExceeded", "FailedPrecondition", "Fatal", "InvalidArgument", "ModelError", "NotFound",
           "ResourceExhausted", "Unavailable", "Unimplemented"]
