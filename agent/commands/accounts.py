"""Users and keys: asked of the running agent, or changed in its store when none runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.exits import NO_AGENT, TRY_AGAIN, Failure
from agent.commands.output import printable
from agent.commands.state import ACCESS_FILE, LOCK_FILE, connect, state_dir

if TYPE_CHECKING:
    from agent.access.store import AccessStore


def ask(command: str, **arguments: Any) -> Any:
    """The answer to one of the agent's user and key commands. Raises: Failure, AgentError."""
    arguments = {name: value for name, value in arguments.items() if value is not None}
    try:
        agent = connect()
    except Failure as failure:
        if failure.exit_code != NO_AGENT:
            raise
        directory = state_dir()
        if not directory.is_dir():
            raise
    else:
        with agent:
            return agent.ask(command, **arguments)
    import trio

    with _held(directory):
        return trio.run(partial(_answer, directory / ACCESS_FILE, command, arguments))


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """The state directory, ours as it is an agent's while that runs."""
    _become_owner(directory)
    lock = os.open(directory / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(
                f"an agent is just starting or stopping in {directory}",
                code=TRY_AGAIN,
                todo="Try again in a few seconds.",
            ) from None
        yield
    finally:
        os.close(lock)


def _become_owner(directory: Path) -> None:
    """As root, go on as the directory's owner: a file of root's in it would lock the agent out."""
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


async def _answer(path: Path, command: str, arguments: dict[str, Any]) -> Any:
    from agent.access.store import AccessStore

    opened = AccessStore.open(path)
    if opened.problem is not None:
        click.echo(f"portero: {printable(opened.problem)}", err=True)
    store = opened.store
    try:
        return await _carry_out(store, command, arguments)
    finally:
        await store.close()


async def _carry_out(store: AccessStore, command: str, arguments: dict[str, Any]) -> Any:
    """As agent/answers.py does it for the control socket."""
    import msgspec

    match command:
        case "user_add":
            name, role = arguments.pop("name"), arguments.pop("role")
            password = await store.add_user(name, role=role, **arguments)
            return {"name": name, "role": role, "password": password}
        case "user_remove":
            await store.remove_user(arguments["name"])
            return {}
        case "user_password":
            return {"password": await store.set_password(arguments["name"], arguments.get("password"))}
        case "user_pin":
            await store.set_pin(arguments["name"], None if arguments.get("remove") else arguments["pin"])
            return {}
        case "user_enable":
            await store.set_enabled(arguments["name"], arguments["enabled"])
            return {}
        case "user_list":
            return [msgspec.to_builtins(user) for user in store.list_users()]
        case "key_add":
            return {"key": await store.add_api_key(arguments["user"], arguments["name"])}
        case "key_list":
            return [msgspec.to_builtins(key) for key in store.list_api_keys(arguments.get("user"))]
        case "key_revoke":
            await store.revoke_api_key(arguments["id"])
            return {}
        case _:
            raise ValueError(f"no such command: {command}")
