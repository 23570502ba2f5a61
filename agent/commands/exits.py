"""How the command ends: exit codes, and failures that say what to do next."""

from __future__ import annotations

import sys
from typing import IO, Any

import click

OK = 0
PROBLEM = 1
USAGE = 2
NO_AGENT = 3
BUSY = 4
HARDWARE = 5
TRY_AGAIN = 75
CONFIG = 78
INTERRUPTED = 130
BROKEN_PIPE = 141


class Failure(click.ClickException):
    """An expected failure: one text, an exit code, and what to do now."""

    def __init__(self, message: str, *, code: int = PROBLEM, todo: str = "") -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click declares a class variable and reads the instance
        self.todo = todo

    def show(self, file: IO[Any] | None = None) -> None:
        from agent.commands.output import folded

        for line in self.message.splitlines() or [""]:
            click.echo(folded(f"portero: {line}", 2, sys.stderr), err=True, file=file)
        for line in self.todo.splitlines():
            click.echo(f"  {folded(line, 2, sys.stderr)}", err=True, file=file)

    @classmethod
    def of_os_error(cls, error: OSError) -> Failure:
        """The failure of a file or socket that this account cannot use."""
        where = f"{error.filename}: " if error.filename else ""
        todo = ""
        if isinstance(error, PermissionError):
            todo = "This account may not do that; try it with sudo, or as the account that runs the door."
        return cls(f"{where}{error.strerror or error}", todo=todo)

    @classmethod
    def of_agent_error(cls, error: Exception) -> Failure:
        """The failure that an error of the agent's own kinds means to somebody at a terminal."""
        from agent.model.errors import ConfigError, ConfigErrors, EndpointError, PeerError

        match error:
            case ConfigErrors():
                return cls("\n".join(str(single) for single in error.errors), code=CONFIG)
            case ConfigError():
                return cls(str(error), code=CONFIG)
            case PeerError():
                return cls(
                    str(error), code=TRY_AGAIN, todo="Try again; `portero doctor` looks for the cause."
                )
            case EndpointError():
                return cls(str(error), code=HARDWARE)
            case _:
                return cls(str(error))
