"""What a model may raise to choose the status that its client sees. Anything else it raises is INTERNAL."""


class ModelError(Exception):
    """INTERNAL, with this text alone."""
    code = 13


class InvalidArgument(ModelError):
    """The request's data is at fault."""
    code = 3


class DeadlineExceeded(ModelError):
    code = 4


class NotFound(ModelError):
    code = 5


class ResourceExhausted(ModelError):
    code = 8


class FailedPrecondition(ModelError):
    code = 9


class Unimplemented(ModelError):
    code = 12


class Unavailable(ModelError):
    code = 14


class Cancelled(ModelError):
    """Nobody waits any more, as context.cancelled() said."""
    code = 1


class Fatal(ModelError):
    """This process cannot go on (a device's context is lost): the daemon starts another one and asks that."""


def of_code(name):
    """The class for a gRPC status, by its name."""
    return {"INVALID_ARGUMENT": InvalidArgument, "DEADLINE_EXCEEDED": DeadlineExceeded, "NOT_FOUND": NotFound,
            "RESOURCE_EXHAUSTED": ResourceExhausted, "FAILED_PRECONDITION": FailedPrecondition, "UNIMPLEMENTED": Unimplemented,
            "UNAVAILABLE": Unavailable, "CANCELLED": Cancelled}.get(name, ModelError)
