"""`portero calls`: who rang, who answered, and the messages of those whom nobody answered."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from agent.commands.exits import Failure
from agent.commands.output import json_option, local_time, print_json, print_line, print_table
from agent.commands.state import JOURNAL_FILE, connect, state_dir, state_option

if TYPE_CHECKING:
    from agent.journal.query import StoredEntry

SHOWN = 20
MOST = 1000
PER_CALL = 12  # entries that one call leaves at most, for the page that is read
RECORDINGS = "recordings"
TYPES = ("call_changed", "message_recorded", "agent_started")


class Row(Struct, kw_only=True):
    """One call, put together from its events; times in UTC nanoseconds.

    file: of the message while it is there, message_s: how long it is, or was.
    """

    call_id: str
    endpoint: str
    started_at_ns: int
    state: str = "ringing"
    answered_by: str = ""
    ended_at_ns: int | None = None
    reason: str = ""
    file: str = ""
    message_s: float = 0.0


@click.group(invoke_without_command=True, short_help="Show calls, and the messages visitors left.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, MOST), default=SHOWN, show_default=True, metavar="N",
    help="At most the newest N.",
)  # fmt: skip
@click.option("--missed", is_flag=True, help="Only those that nobody answered.")
@json_option
@state_option
@click.pass_context
def calls(context: click.Context, limit: int, missed: bool, as_json: bool) -> None:
    """Show calls, newest last, and the messages that visitors left.

    The journal is read from its file, with or without a running agent.
    """
    if context.invoked_subcommand is not None:
        return
    rows = _rows(limit, missed)
    if as_json:
        import msgspec

        print_json([msgspec.to_builtins(row) for row in rows])
    elif not rows:
        print_line("no calls")
    else:
        print_table(
            ("WHEN", "BELL", "CALL", "STATE", "ANSWERED BY", "MESSAGE"),
            [
                (
                    local_time(row.started_at_ns),
                    row.endpoint,
                    row.call_id,
                    row.state,
                    row.answered_by,
                    _message_text(row),
                )
                for row in rows
            ],
        )


def _message_text(row: Row) -> str:
    if not row.message_s:
        return ""
    return f"{row.message_s:.0f} s" if row.file else f"{row.message_s:.0f} s, deleted"


def _rows(limit: int, missed: bool) -> list[Row]:
    from agent.journal import query

    path = state_dir() / JOURNAL_FILE
    if not path.exists():
        raise Failure(
            f"{path}: there is no journal",
            todo="The first start of the door makes it. Is it in another directory? --state DIR",
        )
    wanted = query.MAX_PAGE if missed else min(limit * PER_CALL, query.MAX_PAGE)
    page = query.tail(path, wanted, types=TYPES)
    rows = _together(page.entries)
    folder = path.with_name(RECORDINGS)
    for row in rows:
        if row.file and not (folder / row.file).exists():
            row.file = ""
    if missed:
        rows = [row for row in rows if row.state == "missed"]
    return rows[-limit:]


def _together(entries: tuple[StoredEntry, ...]) -> list[Row]:
    """The calls whose beginning is among the entries, oldest first."""
    from agent.model.events import AgentStarted, CallChanged, MessageRecorded

    rows: dict[str, Row] = {}
    for entry in entries:
        match entry.event:
            case AgentStarted():
                for row in rows.values():
                    if row.ended_at_ns is None:
                        # The power went: nobody was left to tell the end.
                        row.state = "ended" if row.answered_by else "missed"
                        row.ended_at_ns, row.reason = entry.at_ns, "the door was cut off"
            case CallChanged(call_id=call_id, state="ringing", endpoint=endpoint):
                rows[call_id] = Row(call_id=call_id, endpoint=endpoint, started_at_ns=entry.at_ns)
            case CallChanged(call_id=call_id, state=state, by=by, reason=reason) if call_id in rows:
                row = rows[call_id]
                row.state = state
                if state == "answered":
                    row.answered_by = by
                else:
                    row.ended_at_ns = entry.at_ns
                    row.reason = reason
            case MessageRecorded(call_id=call_id, file=file, duration_s=seconds) if call_id in rows:
                # One that a power cut interrupted is told at the next start.
                rows[call_id].file = file
                rows[call_id].message_s = seconds
    return list(rows.values())


def _message(call_id: str) -> str:
    """The file name of a call's message. Raises: Failure."""
    for row in _rows(MOST, missed=False):
        if row.call_id == call_id and row.file:
            return row.file
    raise Failure(f"call {call_id} left no message", todo="`portero calls` lists them.")


@calls.command()
@click.argument("call_id")
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@json_option
@state_option
def save(call_id: str, file: Path, as_json: bool) -> None:
    """Copy the message of a call to FILE (Ogg Opus; any player plays it)."""
    name = _message(call_id)
    data = bytearray()
    with connect() as agent:
        while True:
            part: dict[str, Any] = agent.ask("recording_get", file=name, offset=len(data))
            chunk = base64.b64decode(part["data"])
            data += chunk
            if not chunk or len(data) >= part["size"]:
                break
    file.write_bytes(data)
    if as_json:
        print_json({"call_id": call_id, "path": str(file), "bytes": len(data)})
    else:
        print_line(f"{file}: {len(data)} bytes")


@calls.command()
@click.argument("call_id")
@json_option
@state_option
def delete(call_id: str, as_json: bool) -> None:
    """Delete the message of a call; the call stays in the journal."""
    name = _message(call_id)
    with connect() as agent:
        agent.ask("recording_delete", file=name)
    if as_json:
        print_json({"call_id": call_id, "file": name})
    else:
        print_line(f"message of call {call_id} deleted")
