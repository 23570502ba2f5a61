"""`portero user`: who may do what at this door. Works with and without a running agent."""

from __future__ import annotations

from typing import Any

import click

from agent.commands.accounts import ask
from agent.commands.moment import Moment
from agent.commands.output import json_option, local_time, print_json, print_line, print_table, printable
from agent.commands.password import password_stdin_option, read_password
from agent.commands.state import state_option

ROLES = ("resident", "guest", "installer", "admin")


@click.group(short_help="Add, change, list and remove users.")
@state_option
def user() -> None:
    """Add, change, list and remove users.

    \b
    resident   everything that a key does: open, answer, mute, light, siren
    guest      open, lock and light
    installer  siren, light, lock and ring, to test the wiring; cannot open
    admin      as a resident, and may administer
    """


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the user may do.")
@password_stdin_option
@click.option(
    "--valid-from", "valid_from_ns", type=Moment(future=True), help="Not before: 2h, 14:30, 2026-11-23."
)
@click.option(
    "--valid-until", "valid_until_ns", type=Moment(future=True), help="Not after: 2d, 2026-11-23T14:30."
)
@click.option("--endpoint", "endpoints", multiple=True, metavar="E", help="Only these endpoints; repeatable.")
@json_option
@state_option
def add(
    name: str,
    role: str,
    password_stdin: bool,
    valid_from_ns: int | None,
    valid_until_ns: int | None,
    endpoints: tuple[str, ...],
    as_json: bool,
) -> None:
    """Add a user.

    Without --password-stdin a good password is made and shown once.
    """
    if valid_from_ns is not None and valid_until_ns is not None and valid_from_ns >= valid_until_ns:
        raise click.UsageError("--valid-until must be later than --valid-from.")
    if role == "guest" and valid_until_ns is None:
        raise click.UsageError("a guest needs an end: --valid-until, such as --valid-until 2d.")
    answer = ask(
        "user_add",
        name=name,
        role=role,
        password=_given(password_stdin),
        valid_from_ns=valid_from_ns,
        valid_until_ns=valid_until_ns,
        endpoints=endpoints or None,
    )
    _print_secret("password", answer, f"{name}: added as {role}", as_json)


@user.command()
@click.argument("name")
@json_option
@state_option
def remove(name: str, as_json: bool) -> None:
    """Remove a user and all of the user's keys."""
    _print_done(ask("user_remove", name=name), f"{name}: removed", as_json)


@user.command("list")
@json_option
@state_option
def list_(as_json: bool) -> None:
    """List the users."""
    users: list[dict[str, Any]] = ask("user_list")
    if as_json:
        print_json(users)
        return
    rows = [
        (
            row["name"],
            row["role"],
            "yes" if row["enabled"] else "NO",
            _when(row.get("valid_from_ns")),
            _when(row.get("valid_until_ns")),
            "all" if row.get("endpoints") is None else ", ".join(row["endpoints"]) or "none",
            _count(row.get("keys", 0)),
            _pin(row),
        )
        for row in users
    ]
    print_table(("NAME", "ROLE", "ENABLED", "FROM", "UNTIL", "ENDPOINTS", "KEYS", "PIN"), rows)
    if not rows:
        print_line("no users yet; `portero user add NAME --role resident` adds one")


@user.command()
@click.argument("name")
@password_stdin_option
@json_option
@state_option
def password(name: str, password_stdin: bool, as_json: bool) -> None:
    """Set a user's password.

    Without --password-stdin a good one is made and shown once.
    """
    answer = ask("user_password", name=name, password=_given(password_stdin))
    _print_secret("password", answer, f"{name}: password set", as_json)


@user.command()
@click.argument("name")
@click.option("--pin-stdin", is_flag=True, help="Read the PIN from the first line of standard input.")
@click.option("--generate", is_flag=True, help="Make one and show it once.")
@click.option("--remove", is_flag=True, help="Take the PIN away.")
@json_option
@state_option
def pin(name: str, pin_stdin: bool, generate: bool, remove: bool, as_json: bool) -> None:
    """Set a user's PIN, which is asked for twice.

    A PIN has 4 to 12 digits. It opens the door from an intercom where another system knows who speaks, and
    logs nobody in anywhere else. Ten wrong ones within a day lock it; setting it anew unlocks it.
    """
    if pin_stdin + generate + remove > 1:
        raise click.UsageError("only one of --pin-stdin, --generate and --remove.")
    if remove:
        _print_done(ask("user_pin", name=name, remove=True), f"{name}: PIN removed", as_json)
        return
    if generate:
        from agent.access.pins import generate_pin

        chosen = generate_pin()
    else:
        todo = "Pipe it in with --pin-stdin, or let one be made with --generate."
        chosen = read_password(f"PIN of {printable(name)}", pin_stdin, todo=todo, confirm=True, what="PIN")
    ask("user_pin", name=name, pin=chosen)
    _print_secret("pin", {"pin": chosen if generate else None}, f"{name}: PIN set", as_json)


@user.command()
@click.argument("name")
@json_option
@state_option
def enable(name: str, as_json: bool) -> None:
    """Let a disabled user in again."""
    _print_done(ask("user_enable", name=name, enabled=True), f"{name}: enabled", as_json)


@user.command()
@click.argument("name")
@json_option
@state_option
def disable(name: str, as_json: bool) -> None:
    """Keep a user out without removing the account."""
    _print_done(ask("user_enable", name=name, enabled=False), f"{name}: disabled", as_json)


def _given(password_stdin: bool) -> str | None:
    return read_password("", True, todo="Give it on the first line.") if password_stdin else None


def _print_secret(kind: str, answer: dict[str, Any], done: str, as_json: bool) -> None:
    """The answer, and the secret in it if the door made one."""
    if as_json:
        print_json(answer)
        return
    print_line(done)
    if answer.get(kind):
        print_line(f"{kind} {answer[kind]} (shown this once)")


def _print_done(answer: dict[str, Any], done: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_line(done)


def _pin(row: dict[str, Any]) -> str:
    if not row.get("pin"):
        return "-"
    return "LOCKED" if row.get("pin_locked") else "yes"


def _when(at_ns: int | None) -> str:
    return "-" if at_ns is None else local_time(at_ns)


def _count(keys: Any) -> int:
    return len(keys) if isinstance(keys, list | tuple) else int(keys)
