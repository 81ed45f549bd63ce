"""What can go wrong, as exceptions."""
from __future__ import annotations

from typing import Dict

_NAMES = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
          "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
          "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"]


class ModeldError(Exception):
    """The daemon refused or failed a request. `code` is the gRPC status ("NOT_FOUND"), `message` its text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.needed: Dict[str, int] = {}  # bytes, by output, where room for them is what was missing

    @classmethod
    def from_number(cls, code: int, message: str) -> "ModeldError":
        return cls(_NAMES[code] if 0 <= code < len(_NAMES) else f"status {code}", message)


class ConnectionLost(ModeldError):
    """The daemon cannot be reached, or went away."""

    def __init__(self, message: str) -> None:
        super().__init__("UNAVAILABLE", message)


class DecodeError(ModeldError):
    """The daemon sent something that is no protobuf message, or not the one that was due."""

    def __init__(self, what: str) -> None:
        super().__init__("INTERNAL", f"the daemon's answer is malformed: {what}")
