"""Which door is meant: the state directory, what stands in it, and the agent that runs on it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agent.commands.exits import NO_AGENT, TRY_AGAIN, Failure

if TYPE_CHECKING:
    from agent.control_client import ControlClient

LOCAL_STATE = Path(".state")
SYSTEM_STATE = Path("/var/lib/portero")
CONTROL_SOCKET = "control.sock"
READY_FILE = "ready.json"
JOURNAL_FILE = "journal.db"
ACCESS_FILE = "access.db"
LOCK_FILE = "lock"
CA_FILE = Path("tls", "ca.pem")
ENVIRONMENT = "PORTERO_STATE"
_META = "agent.commands.state"
_MAX_SOCKET_PATH_BYTES = 107

F = TypeVar("F", bound=Callable[..., Any])


def state_option(function: F) -> F:
    """`--state DIR`, before the subcommand or after it; the one further right counts."""
    option = click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        expose_value=False,
        callback=_remember,
        help=f"State directory of the door. Default: ${ENVIRONMENT}, else ./.state when a door runs there, "
        f"else {SYSTEM_STATE}.",
    )
    return option(function)


def _remember(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.meta[_META] = value


def chosen_state() -> Path | None:
    """The state directory that somebody named, by option or environment."""
    given: Path | None = click.get_current_context().meta.get(_META)
    if given is None and os.environ.get(ENVIRONMENT):
        given = Path(os.environ[ENVIRONMENT])
    return given


def state_dir() -> Path:
    """The state directory that a command is about."""
    chosen = chosen_state()
    if chosen is not None:
        return chosen
    # A stopped simulated door is still the one that is meant where no other was ever installed.
    if (LOCAL_STATE / READY_FILE).exists() or (LOCAL_STATE.is_dir() and not SYSTEM_STATE.exists()):
        return LOCAL_STATE
    return SYSTEM_STATE


def connect() -> ControlClient:
    """The running agent's control socket. Raises: Failure."""
    from agent.control_client import ControlClient
    from agent.model.errors import PeerError

    path = state_dir() / CONTROL_SOCKET
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH_BYTES:
        raise Failure(f"{path} is too long for a socket; choose a shorter state directory")
    try:
        return ControlClient(path)
    except PeerError as error:
        match getattr(error.__cause__, "errno", None):
            case errno.EACCES | errno.EPERM:
                raise Failure(
                    f"this account may not talk to the agent at {path}",
                    todo="Try it with sudo, or as the account that runs the door.",
                ) from error
            case errno.ENOENT | errno.ENOTDIR | errno.ECONNREFUSED:
                raise no_agent() from error
            case _:
                raise


def no_agent() -> Failure:
    """No agent runs on the state directory."""
    return Failure(
        f"no agent is running in {state_dir()}",
        code=NO_AGENT,
        todo="Start the door (`systemctl start portero`, or `portero run --sim` to try one),\n"
        "or name another state directory with --state DIR.",
    )


def ready() -> dict[str, Any]:
    """The content of `ready.json`. Raises: Failure when no agent is ready."""
    path = state_dir() / READY_FILE
    try:
        plain = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise no_agent() from None
    except ValueError as error:
        raise Failure(f"{path}: not JSON", code=TRY_AGAIN) from error
    if not isinstance(plain, dict):
        raise Failure(f"{path}: expected an object", code=TRY_AGAIN)
    return plain
