"""`portero keys`: the tags and codes with which residents open the door at its readers."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import click

from agent.commands.exits import Failure
from agent.commands.moment import Moment
from agent.commands.output import json_option, local_time, print_json, print_line, print_table
from agent.commands.state import connect, state_option

PIECE_BYTES = 45_000
MAX_FILE_BYTES = 8 * 1024 * 1024
LEARN_S = 70.0
IMPORT_S = 120.0


@click.group(short_help="Add, list, import and revoke tags and codes.")
@state_option
def keys() -> None:
    """Add, list, import and revoke tags and codes.

    A key is a tag, a code at a keypad, or a tag with a code. The door keeps hashes of them only, so it can
    never show a number or a code again. API keys of programs are `portero api-key`.
    """


def _key_options(command: Any) -> Any:
    """What a key may be given, whichever way it comes."""
    for option in reversed(
        [
            click.option("--holder", default="", metavar="NAME", help="Whose it is."),
            click.option("--flat", default="", metavar="FLAT", help="Where that person lives."),
            click.option("--endpoint", "endpoints", multiple=True, metavar="E",
                         help="Only this lock; repeatable. Absent: whatever lock a reader opens."),
            click.option("--valid-from", "valid_from_ns", type=Moment(future=True),
                         help="Not before: 2h, 14:30, 2026-11-23."),
            click.option("--valid-until", "valid_until_ns", type=Moment(future=True),
                         help="Not after: 2d, 2026-11-23T14:30."),
            click.option("--schedule", default="", metavar="HOURS",
                         help='Only then: "mon-fri 08:00-18:00; sat 09:00-12:00".'),
            click.option("--uses", type=click.IntRange(1, 1_000_000), metavar="N",
                         help="So often, then no more."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@keys.command()
@click.option("--tag", default="", metavar="NUMBER", help="62E3086CED, 0012345678 or 123,45678.")
@click.option("--code", is_flag=True, help="Make a code of six digits, shown this once.")
@click.option("--code-stdin", is_flag=True, help="Read the code, and below it a duress code, if any.")
@_key_options
@json_option
@state_option
def add(tag: str, code: bool, code_stdin: bool, as_json: bool, **given: Any) -> None:
    """Add a key.

    With --tag and a code it is a tag that needs its code. A duress code opens as well, and raises a silent
    alarm (the event `duress_signalled`).
    """
    plain = _plain(given) | {"tag": tag}
    if code_stdin:
        plain["code"], plain["duress"] = (sys.stdin.readline(64).strip() for _ in range(2))
        if not plain["code"]:
            raise Failure("there is no code on standard input")
    if not tag and not code and not code_stdin:
        raise click.UsageError("say --tag NUMBER, --code, or both.")
    with connect() as agent:
        answer = agent.ask("keys_add", key=plain, generate=code and not code_stdin)
    _print_added(answer, as_json)


@keys.command()
@click.argument("reader")
@_key_options
@json_option
@state_option
def learn(reader: str, as_json: bool, **given: Any) -> None:
    """Make the next tag that is held to READER a key; it opens nothing this time."""
    if not as_json:
        print_line(f"hold the tag to {reader} now (60 s)")
    with connect() as agent:
        answer = agent.ask("keys_learn", timeout_s=LEARN_S, reader=reader, key=_plain(given))
    _print_added(answer, as_json)


@keys.command("list")
@click.option("--source", metavar="SOURCE", help="Only of this source: local, file, or a VMS.")
@json_option
@state_option
def list_(source: str | None, as_json: bool) -> None:
    """List the keys; never their numbers or codes."""
    with connect() as agent:
        rows = agent.ask("keys_list", source=source)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print_line("no keys; `portero keys add --holder NAME --code` adds one")
        return
    print_table(
        ("ID", "HOLDER", "FLAT", "KEY", "SOURCE", "LIMITS"),
        [
            (row["id"], row["holder"] or "-", row["flat"] or "-", row["method"], row["source"], _limits(row))
            for row in rows
        ],
    )


@keys.command()
@click.argument("key_id", metavar="ID")
@json_option
@state_option
def revoke(key_id: str, as_json: bool) -> None:
    """End a key by its ID, at once. One that a VMS administers comes back with its next file."""
    with connect() as agent:
        rows = agent.ask("keys_revoke", id=key_id)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_line(f"key {row['id']}{_of(row)}: revoked")


@keys.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--force", is_flag=True, help="Also when most of the keys would go.")
@click.option("--source", default="file", metavar="SOURCE", help="Whose keys they are; default `file`.")
@json_option
@state_option
def import_(file: Path, dry_run: bool, force: bool, source: str, as_json: bool) -> None:
    """Make the keys of a source those of FILE, .xlsx or .csv: all at once, or not at all.

    Keys of other sources, such as those added by hand, stay.
    """
    if file.stat().st_size > MAX_FILE_BYTES:
        raise Failure(f"{file}: larger than {MAX_FILE_BYTES >> 20} MiB")
    content = file.read_bytes()
    with connect() as agent:
        for start in range(0, max(len(content), 1), PIECE_BYTES):
            piece = base64.b64encode(content[start : start + PIECE_BYTES]).decode()
            agent.ask("keys_piece", data=piece, first=start == 0)
        answer = agent.ask(
            "keys_import", timeout_s=IMPORT_S, file=file.name, source=source, dry_run=dry_run, force=force
        )
    if as_json:
        print_json(answer)
        return
    for sentence in answer["refused"]:
        click.echo(f"{file}: {sentence}", err=True)
    would = "would be " if dry_run else ""
    print_line(
        f"keys of {source}: {answer['added']} {would}added, {answer['changed']} {would}changed, "
        f"{answer['removed']} {would}removed"
    )


@keys.command()
@json_option
@state_option
def history(as_json: bool) -> None:
    """Show how the keys changed, the newest change first."""
    with connect() as agent:
        rows = agent.ask("keys_history")
    if as_json:
        print_json(rows)
        return
    print_table(
        ("WHEN", "SOURCE", "ADDED", "CHANGED", "REMOVED", "FILE", "BY", "CAN BE UNDONE"),
        [
            (
                local_time(row["at_ns"]), row["source"], row["added"], row["changed"], row["removed"],
                row["file"] or "-", row["by"], "yes" if row["can_return"] else "no",
            )
            for row in rows
        ],
    )  # fmt: skip


@keys.command()
@click.argument("source")
@json_option
@state_option
def rollback(source: str, as_json: bool) -> None:
    """Undo the last change of the keys of SOURCE; a second time, that is done again."""
    with connect() as agent:
        answer = agent.ask("keys_rollback", timeout_s=IMPORT_S, source=source)
    if as_json:
        print_json(answer)
        return
    changes = ", ".join(f"{answer[what]} {what}" for what in ("added", "changed", "removed"))
    print_line(f"keys of {source}: {changes}")


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in given.items() if value is not None}
    plain["endpoints"] = list(given["endpoints"]) or None
    return plain


def _print_added(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(row)
        return
    print_line(f"key {row['id']}{_of(row)}: added ({row['method']}{_and(_limits(row))})")
    if row.get("code"):
        print_line(f"code {row['code']} (shown this once)")


def _of(row: dict[str, Any]) -> str:
    return f" of {row['holder']}" if row["holder"] else ""


def _and(text: str) -> str:
    return "" if text == "-" else f", {text}"


def _limits(row: dict[str, Any]) -> str:
    parts = [
        f"from {local_time(row['valid_from_ns'])}" if row["valid_from_ns"] else "",
        f"until {local_time(row['valid_until_ns'])}" if row["valid_until_ns"] else "",
        row["schedule"],
        f"{row['uses_left']} uses left" if row["uses_left"] is not None else "",
        ", ".join(row["endpoints"]) if row["endpoints"] is not None else "",
        "with duress code" if row["duress"] else "",
        "" if row["enabled"] else "disabled",
    ]
    return "; ".join(part for part in parts if part) or "-"
