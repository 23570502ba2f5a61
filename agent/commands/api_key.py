"""`portero api-key`: API keys, the passwords of programs. Works with and without a running agent."""

from __future__ import annotations

from typing import Any

import click

from agent.commands.accounts import ask
from agent.commands.output import json_option, local_time, print_json, print_line, print_table
from agent.commands.state import state_option


@click.group(short_help="Add, list and revoke API keys.")
@state_option
def api_key() -> None:
    """Add, list and revoke API keys.

    A key logs a program in as its user, in place of the password; it can be revoked alone.
    """


@api_key.command()
@click.argument("user")
@click.argument("name")
@json_option
@state_option
def add(user: str, name: str, as_json: bool) -> None:
    """Add a key for USER; NAME says what it is for.

    The key is shown once: the door keeps only a hash of it.
    """
    answer = ask("key_add", user=user, name=name)
    if as_json:
        print_json(answer)
    else:
        print_line(f"key {answer['key']} (shown this once)")


@api_key.command("list")
@click.argument("user", required=False)
@json_option
@state_option
def list_(user: str | None, as_json: bool) -> None:
    """List the keys of USER, or of everybody; never the keys themselves."""
    keys: list[dict[str, Any]] = ask("key_list", user=user)
    if as_json:
        print_json(keys)
        return
    if not keys:
        print_line("no keys; `portero api-key add USER NAME` adds one")
        return
    names = list(keys[0])
    rows = [[_cell(name, row.get(name)) for name in names] for row in keys]
    print_table([name.removesuffix("_ns").replace("_", " ").upper() for name in names], rows)


@api_key.command()
@click.argument("key_id", metavar="ID")
@json_option
@state_option
def revoke(key_id: str, as_json: bool) -> None:
    """Revoke a key by its ID, at once."""
    answer = ask("key_revoke", id=key_id)
    if as_json:
        print_json(answer)
    else:
        print_line(f"key {key_id}: revoked")


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return local_time(value) if name.endswith("_ns") and isinstance(value, int) else str(value)
