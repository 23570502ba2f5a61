"""Whole key files (`runtime.KeyFiles`): read in a child, turned into keys, compared, applied all at once."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec
import trio
from msgspec import Struct

from agent.entrance.key import Digester, Key, KeyRefusal, Wanted, key_of
from agent.entrance.sheet import MAX_FILE_BYTES, Row
from agent.entrance.store import KeyStore
from agent.runtime import KeyFileResult

CHILD_S = 60.0
MAX_TOLD = 50
_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%d.%m.%Y %H:%M", "%d.%m.%Y")

_log = logging.getLogger(__name__)


class _Answer(Struct):
    rows: list[Row] = []
    error: str = ""


class Importer:
    """One file at a time."""

    def __init__(self, store: KeyStore, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._store = store
        self._clock_ns = clock_ns
        self._turn = trio.Lock()

    async def apply(self, content: bytes, *, file: str, source: str, by: str) -> KeyFileResult:
        """See runtime.KeyFiles. Raises: KeyRefusal."""
        return await self.load(content, file=file, source=source, by=by)

    async def load(
        self, content: bytes, *, file: str, source: str, by: str, dry_run: bool = False, force: bool = False
    ) -> KeyFileResult:
        """The same; dry_run: only say what would change. force: also when most keys would go."""
        async with self._turn:
            rows = await _rows_of(content)
            now_ns = self._clock_ns()
            make = partial(keys_of, rows, self._store.digester, source=source, created_ns=now_ns)
            keys, refused = await trio.to_thread.run_sync(make)
            if not keys:
                raise KeyRefusal(f"no row of it is a key: {'; '.join(refused[:3]) or 'it is empty'}")
            if dry_run:
                plan = self._store.plan(keys, source)
                change = plan.change
                refused = [*([plan.brake] if plan.brake else []), *refused]
            else:
                change = await self._store.apply(keys, source, file=file, by=by, force=force)
        told = tuple(refused[:MAX_TOLD])
        if len(refused) > MAX_TOLD:
            told += (f"and {len(refused) - MAX_TOLD} more",)
        return KeyFileResult(added=change.added, changed=change.changed, removed=change.removed, refused=told)


def keys_of(
    rows: list[Row], digester: Digester, *, source: str, created_ns: int
) -> tuple[list[Key], list[str]]:
    """The keys of the rows, and a sentence for each row that is none."""
    found: dict[str, tuple[int, Key]] = {}
    refused = []
    for row in rows:
        if row.problem:
            refused.append(f"row {row.number}: {row.problem}")
            continue
        try:
            key = key_of(_wanted(row.cells), digester, source=source, created_ns=created_ns)
        except KeyRefusal as error:
            refused.append(f"row {row.number}: {error}")
            continue
        first = found.setdefault(key.id, (row.number, key))
        if first[1] != key:
            refused.append(f"row {row.number}: the same key as in row {first[0]}, which counts")
    return [key for _, key in found.values()], refused


def _wanted(cells: dict[str, str]) -> Wanted:
    """Raises: KeyRefusal."""
    return Wanted(
        holder=cells.get("holder", "")[:64],
        flat=cells.get("flat", "")[:64],
        tag=cells.get("number", ""),
        code=cells.get("code", ""),
        valid_from_ns=_moment(cells.get("from", "")),
        valid_until_ns=_moment(cells.get("until", "")),
        schedule=cells.get("schedule", ""),
    )


def _moment(text: str) -> int | None:
    """Local time of the door. Raises: KeyRefusal."""
    if not text:
        return None
    for form in _FORMATS:
        try:
            return int(datetime.strptime(text, form).astimezone().timestamp()) * 10**9
        except (ValueError, OverflowError, OSError):
            continue
    raise KeyRefusal(f"{text[:20]!r} is no date such as 2026-12-31 or 31.12.2026")


async def _rows_of(content: bytes) -> list[Row]:
    """Raises: KeyRefusal. Cancellation: the child is killed."""
    if len(content) > MAX_FILE_BYTES:
        raise KeyRefusal(f"the file is larger than {MAX_FILE_BYTES >> 20} MiB")
    command = [sys.executable, "-m", "agent.entrance.sheet_child"]
    try:
        with trio.fail_after(CHILD_S):
            done = await trio.run_process(
                command, stdin=content, capture_stdout=True, stderr=subprocess.DEVNULL, check=False
            )
    except (trio.TooSlowError, OSError) as error:
        raise KeyRefusal("the file takes too long to read") from error
    if done.returncode != 0:
        _log.error("key file: its reader ended status=%d", done.returncode)
        raise KeyRefusal("the file cannot be read: it needs more memory or time than a key file does")
    try:
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except msgspec.MsgspecError as error:
        raise KeyRefusal("the file cannot be read") from error
    if answer.error:
        raise KeyRefusal(answer.error)
    return answer.rows
