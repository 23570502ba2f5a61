"""How a command gets a password: from standard input or typed unseen, never as an argument."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from agent.commands.exits import Failure

MOST_CHARS = 1024

F = TypeVar("F", bound=Callable[..., Any])


def password_stdin_option(function: F) -> F:
    """`--password-stdin`: an argument would show in the list of processes and stay in the shell's history."""
    return click.option(
        "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
    )(function)


def read_password(
    prompt: str, from_stdin: bool, *, todo: str, confirm: bool = False, what: str = "password"
) -> str:
    """A password (or `what` it is) that is not empty. Raises: Failure: there is none, and nobody to ask."""
    if from_stdin:
        password = sys.stdin.readline(MOST_CHARS + 2).removesuffix("\n").removesuffix("\r")
    elif sys.stdin.isatty():
        password = str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))
    else:
        raise Failure(f"there is no {what}, and nobody to ask for one", todo=todo)
    if not password:
        raise Failure(f"the {what} is empty", todo=todo)
    if len(password) > MOST_CHARS:
        raise Failure(f"the {what} is longer than {MOST_CHARS} characters")
    return password
