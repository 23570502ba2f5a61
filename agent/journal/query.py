"""The journal's read side: newest entries, a range, an export; with or without a running agent.

Each call opens the file read-only and closes it again, so a reader never holds up the writer for longer
than one page takes. Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from agent.journal.failures import FILE_ERRORS, describe
from agent.journal.rows import GAP_TYPE, decode_body, type_of
from agent.model.errors import JournalError, MalformedMessage
from agent.model.events import AnyEvent
from agent.model.records import Gap, Unknown, to_plain

BUSY_TIMEOUT_S = 2.0
MAX_PAGE = 10_000
EXPORT_PAGE = 500

ACCESS_TYPES = frozenset(
    {
        "action_accepted",
        "action_refused",
        "action_failed",
        "access_denied",
        "account_changed",
        "key_used",
        "key_refused",
        "duress_signalled",
        "keys_changed",
        "lock_changed",
        "door_changed",
    }
)

_SELECT = (
    "SELECT e.id, b.boot_id, e.seq, e.gap_last, e.at_ns, e.type, e.endpoint, e.body"
    " FROM entries AS e LEFT JOIN boots AS b ON b.id = e.boot"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StoredEntry(Struct, frozen=True, kw_only=True):
    """An entry as it was stored.

    id: the place in this file, the only order that a wrong clock or a lost tail cannot upset.
    type: the event's tag without its version, or `gap`.
    event: `Unknown` when a newer version stored it; a `Gap` stands for entries that were lost.
    """

    id: int
    boot_id: str
    seq: int
    at_ns: int
    type: str
    endpoint: str | None
    event: AnyEvent | Unknown | Gap


class Page(Struct, frozen=True, kw_only=True):
    """Entries from old to new.

    malformed: rows that were skipped because they could not be understood.
    damaged: the file could not be read to the end of the page.
    """

    entries: tuple[StoredEntry, ...]
    malformed: int = 0
    damaged: bool = False


def tail(
    path: Path,
    count: int,
    *,
    types: Sequence[str] = (),
    endpoint: str | None = None,
    access_only: bool = False,
) -> Page:
    """The newest `count` entries that fit.

    types: event types, with or without version; none means all.
    Raises: JournalError when there is no readable journal.
    """
    where, values = _filters(types, endpoint, access_only)
    page = _read(path, f"{where} ORDER BY e.id DESC LIMIT ?", [*values, _bounded(count)])
    return msgspec.structs.replace(page, entries=page.entries[::-1])


def before(path: Path, seq: int | None, count: int, *, types: Sequence[str]) -> Page:
    """The newest `count` entries of these types with a number below `seq` (None: of all), from new to old.

    Raises: JournalError when there is no readable journal.
    """
    where, values = _filters(types, None, False)
    if seq is not None:
        where += " AND e.seq < ?"
        values.append(seq)
    return _read(path, f"{where} ORDER BY e.seq DESC, e.boot DESC LIMIT ?", [*values, _bounded(count)])


def since(
    path: Path,
    *,
    after_seq: int | None = None,
    after_ns: int | None = None,
    types: Sequence[str] = (),
    endpoint: str | None = None,
    access_only: bool = False,
    limit: int = 1000,
) -> Page:
    """The oldest `limit` entries with a higher number than `after_seq` and a later time than `after_ns`.

    Times are as the clock said them; whoever needs every entry exactly once goes by number.
    Raises: JournalError when there is no readable journal.
    """
    where, values = _filters(types, endpoint, access_only)
    order = "e.id"
    if after_seq is not None:
        where += " AND e.seq > ?"
        values.append(after_seq)
        order = "e.seq, e.boot"
    if after_ns is not None:
        where += " AND e.at_ns > ?"
        values.append(after_ns)
    return _read(path, f"{where} ORDER BY {order} LIMIT ?", [*values, _bounded(limit)])


def oldest(path: Path) -> StoredEntry | None:
    """The first entry there is. Raises: JournalError."""
    entries = since(path, limit=1).entries
    return entries[0] if entries else None


def newest(path: Path) -> StoredEntry | None:
    """The last entry there is. Raises: JournalError."""
    entries = tail(path, 1).entries
    return entries[0] if entries else None


def export(path: Path) -> Iterator[bytes]:
    """Every entry from old to new as one line of JSON each, malformed rows left out.

    Raises: JournalError when there is no readable journal, or it is damaged further on.
    """
    after_id = -1
    while True:
        with closing(_connect(path)) as connection:
            page, last_id = _fetch(
                connection, "WHERE e.id > ? ORDER BY e.id LIMIT ?", [after_id, EXPORT_PAGE]
            )
        for entry in page.entries:
            yield to_json(entry) + b"\n"
        if page.damaged:
            raise JournalError(f"{path.name} is damaged after row {last_id}")
        if last_id is None:
            return
        after_id = last_id


def to_json(entry: StoredEntry) -> bytes:
    """One entry as a JSON object: id, boot_id, seq, at, at_ns, and `event` or `gap`."""
    head: dict[str, Any] = {
        "id": entry.id,
        "boot_id": entry.boot_id,
        "seq": entry.seq,
        "at": _iso(entry.at_ns),
        "at_ns": entry.at_ns,
    }
    match entry.event:
        case Gap(first=first, last=last):
            head["gap"] = {"first": first, "last": last}
        case Unknown(raw=raw):
            head["event"] = raw
        case event:
            head["event"] = to_plain(event)
    return msgspec.json.encode(head)


def _filters(types: Sequence[str], endpoint: str | None, access_only: bool) -> tuple[str, list[Any]]:
    where, values = "WHERE 1", []
    wanted = {type_of(name) for name in types}
    if access_only:
        wanted = wanted & ACCESS_TYPES if wanted else set(ACCESS_TYPES)
        if not wanted:
            return "WHERE 0", []
    if wanted:
        where += f" AND e.type IN ({', '.join('?' * len(wanted))})"
        values.extend(sorted(wanted))
    if endpoint is not None:
        where += " AND e.endpoint = ?"
        values.append(endpoint)
    return where, values


def _read(path: Path, clauses: str, values: list[Any]) -> Page:
    with closing(_connect(path)) as connection:
        return _fetch(connection, clauses, values)[0]


def _fetch(connection: sqlite3.Connection, clauses: str, values: list[Any]) -> tuple[Page, int | None]:
    """A page, and the id of the last row read, malformed or not."""
    entries: list[StoredEntry] = []
    malformed, damaged = 0, False
    last_id: int | None = None
    try:
        for row in connection.execute(f"{_SELECT} {clauses}", values):
            last_id = row[0]
            try:
                entries.append(_stored(row))
            except MalformedMessage:
                malformed += 1
    except FILE_ERRORS:
        damaged = True
    return Page(entries=tuple(entries), malformed=malformed, damaged=damaged), last_id


def _stored(row: tuple[Any, ...]) -> StoredEntry:
    """Raises: MalformedMessage for a row that we would not have written."""
    row_id, boot_id, seq, gap_last, at_ns, kind, endpoint, body = row
    if not (isinstance(seq, int) and isinstance(at_ns, int) and isinstance(kind, str)):
        raise MalformedMessage("row", "expected numbers and a type")
    if not (isinstance(boot_id, str) and isinstance(endpoint, str | None)):
        raise MalformedMessage("row", "expected text")
    event: AnyEvent | Unknown | Gap
    if kind == GAP_TYPE:
        if not isinstance(gap_last, int):
            raise MalformedMessage("row", "a gap without its end")
        event = Gap(first=seq, last=gap_last)
    else:
        event = decode_body(body)
    return StoredEntry(
        id=row_id, boot_id=boot_id, seq=seq, at_ns=at_ns, type=kind, endpoint=endpoint, event=event
    )


def _connect(path: Path) -> sqlite3.Connection:
    """A read-only connection; leaves no files behind beside the journal of a stopped agent.

    Raises: JournalError.
    """
    # Without a write-ahead log nobody has the journal open, and reading it as immutable makes none.
    options = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{options}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
        )
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            connection.execute(f"{_SELECT} LIMIT 1").fetchall()
        except BaseException:
            connection.close()
            raise
    except FILE_ERRORS as error:
        raise JournalError(f"{path.name} cannot be read: {describe(error)}") from error
    return connection


def _bounded(count: int) -> int:
    return max(0, min(count, MAX_PAGE))


def _iso(at_ns: int) -> str | None:
    try:
        at = _EPOCH + timedelta(microseconds=at_ns // 1000)
    except OverflowError:
        return None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
