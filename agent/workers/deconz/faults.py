"""What REST says no with: the protocol's own error types, in words that repeat no value of a client."""

from __future__ import annotations

from agent.model.errors import AgentError
from agent.workers.deconz.wire import Error, Success

MAX_ECHO_CHARS = 64

UNAUTHORISED = 1
BAD_JSON = 2
NO_RESOURCE = 3
NO_METHOD = 4
MISSING = 5
NO_PARAMETER = 6
BAD_VALUE = 7
READ_ONLY = 8
LOCKED = 101
INTERNAL = 901
BUSY = 951
TOO_MANY = 11

STATUS = {
    UNAUTHORISED: 403,
    LOCKED: 403,
    NO_RESOURCE: 404,
    NO_METHOD: 404,
    INTERNAL: 503,
    BUSY: 503,
}


class Refusal(AgentError):
    """A request that is answered with errors alone. status: absent: that of the first error."""

    def __init__(self, *errors: Error, status: int | None = None) -> None:
        super().__init__("; ".join(error.description for error in errors))
        self.errors = errors
        self.status = STATUS.get(errors[0].type, 400) if status is None else status


# ----- the errors; an address holds no key, and no description what a client said -----


def unauthorised(address: str) -> Error:
    """Nobody with this key."""
    return Error(type=UNAUTHORISED, address=address, description="unauthorized user")


def bad_json(address: str) -> Error:
    """No body, none that is JSON, or none that is an object with something in it."""
    return Error(type=BAD_JSON, address=address, description="body contains invalid JSON")


def no_resource(address: str) -> Error:
    """There is no such thing."""
    return Error(type=NO_RESOURCE, address=address, description=f"resource, {address}, not available")


def no_method(method: str, address: str) -> Error:
    """Not with this method."""
    text = f"method, {method[:MAX_ECHO_CHARS]}, not available for resource, {address}"
    return Error(type=NO_METHOD, address=address, description=text)


def missing(address: str) -> Error:
    """Something has to be in the body that is not."""
    return Error(type=MISSING, address=address, description="missing parameters in body")


def no_parameter(address: str, name: str) -> Error:
    """The resource has no such parameter."""
    name = name[:MAX_ECHO_CHARS]
    return Error(
        type=NO_PARAMETER, address=f"{address}/{name}", description=f"parameter, {name}, not available"
    )


def bad_value(address: str, name: str, why: str = "") -> Error:
    """Not with this value, or not now; the value is not repeated."""
    name = name[:MAX_ECHO_CHARS]
    text = f"invalid value for parameter, {name}" + (f": {why}" if why else "")
    return Error(type=BAD_VALUE, address=f"{address}/{name}", description=text)


def read_only(address: str, name: str) -> Error:
    """Clients cannot change this."""
    name = name[:MAX_ECHO_CHARS]
    return Error(
        type=READ_ONLY, address=f"{address}/{name}", description=f"parameter, {name}, is not modifiable"
    )


def success(address: str, name: str, value: object) -> Success:
    """A parameter was taken on."""
    return Success(what={f"{address}/{name}": value})
