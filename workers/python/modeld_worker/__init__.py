"""What a model.py may import from the worker that runs it (docs/python.md)."""
from .errors import (Cancelled, FailedPrecondition, Fatal, InvalidArgument, ModelError, NotFound, ResourceExhausted,
                     Unimplemented)

__all__ = ["Cancelled", "FailedPrecondition", "Fatal", "InvalidArgument", "ModelError", "NotFound", "ResourceExhausted",
           "Unimplemented"]
