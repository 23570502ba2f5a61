"""The keys of this door: all in memory for the decision, every change on the disk before it counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
from msgspec import Struct
from msgspec.structs import replace

from agent.entrance import keyfile
from agent.entrance.decision import Index
from agent.entrance.key import MAX_KEYS, Digester, Key, KeyRefusal, Wanted, key_of
from agent.entrance.keyfile import FILE_ERRORS, Change, Version
from agent.model.events import KeysChanged

LOCAL = "local"
MOST_REMOVED = 0.5  # of a source's keys, by one file, unless it is forced
FEW_KEYS = 10

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Plan(Struct, frozen=True, kw_only=True):
    """What a set of keys would change. brake: why that is not done unless forced, or empty."""

    change: Change
    brake: str = ""


class KeyStore:
    """Made by `open`. Decisions go on when the disk dies; a change that cannot be written is not made.

    index: to be read by whoever decides. problem: what was wrong at the start.
    """

    def __init__(
        self, path: Path, keys: Iterable[Key], digester: Digester, *, problem: str,
        report: Callable[[KeysChanged], object], clock_ns: Callable[[], int],
    ) -> None:  # fmt: skip
        self._path = path
        self._keys = {(key.source, key.id): key for key in keys}
        self.digester = digester
        self.problem = problem
        self.index = Index(self._keys.values())
        self._report = report
        self._clock_ns = clock_ns
        self._changing = trio.Lock()
        self._thread = trio.CapacityLimiter(1)

    @classmethod
    def open(
        cls, folder: Path, *, report: Callable[[KeysChanged], object],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> KeyStore:  # fmt: skip
        """Read the keys. Blocks for disk. Never raises: without them the door does all but open to tags."""
        path = folder / "keys.db"
        keys: list[Key] = []
        try:
            digester = Digester(keyfile.read_secret(folder))
            keys, problem = keyfile.load(path)
        except (*FILE_ERRORS, KeyRefusal) as error:
            digester, problem = Digester(b"\0" * 32), f"keys cannot be read: {error}"
        if problem:
            _log.critical("keys problem=%s", problem)
        return cls(path, keys, digester, problem=problem, report=report, clock_ns=clock_ns)

    def listed(self) -> list[Key]:
        """All keys, by holder and id."""
        return sorted(self._keys.values(), key=lambda key: (key.holder.casefold(), key.id, key.source))

    async def add(self, wanted: Wanted, *, by: str, source: str = LOCAL) -> Key:
        """Add a key. Raises: KeyRefusal."""
        key = key_of(wanted, self.digester, source=source, created_ns=self._clock_ns())
        async with self._changing:
            if (source, key.id) in self._keys:
                raise KeyRefusal(f"there is such a key already: {key.id}")
            if len(self._keys) >= MAX_KEYS:
                raise KeyRefusal(f"at most {MAX_KEYS} keys")
            if not key.tag:
                taken = self.index.by_code(key.code) or (key.duress and self.index.by_code(key.duress))
                if taken:
                    raise KeyRefusal("that code is taken: choose another")
            await self._write(Change(source=source, put=(key,), added=1), file="", by=by)
        return key

    async def remove(self, key_id: str, *, by: str) -> list[Key]:
        """End a key, whatever source it is of; the ones that were. Raises: KeyRefusal."""
        async with self._changing:
            found = [key for key in self._keys.values() if key.id == key_id]
            if not found:
                raise KeyRefusal(f"there is no key {key_id[:64]!r}")
            for key in found:
                await self._write(Change(source=key.source, drop=(key.id,), removed=1), file="", by=by)
        return found

    def plan(self, keys: Iterable[Key], source: str) -> Plan:
        """What would change if these were all keys of the source."""
        new = {key.id: key for key in keys}
        old = self._of(source)
        put = []
        changed = 0
        for key_id, key in new.items():
            known = old.get(key_id)
            if known is None:
                put.append(key)
            elif replace(known, created_ns=0, uses_left=None) != replace(key, created_ns=0, uses_left=None):
                put.append(replace(key, created_ns=known.created_ns))
                changed += 1
        drop = tuple(key_id for key_id in old if key_id not in new)
        change = Change(
            source=source, put=tuple(put), drop=drop, added=len(put) - changed, changed=changed,
            removed=len(drop),
        )  # fmt: skip
        brake = ""
        if len(old) > FEW_KEYS and len(drop) > len(old) * MOST_REMOVED:
            brake = f"it would remove {len(drop)} of {len(old)} keys: is the file whole? Force it if it is"
        if len(self._keys) - len(drop) + change.added > MAX_KEYS:
            brake = f"more than {MAX_KEYS} keys"
        return Plan(change=change, brake=brake)

    async def apply(
        self, keys: Iterable[Key], source: str, *, file: str, by: str, force: bool = False
    ) -> Change:
        """Make these the keys of the source, all at once; what has changed. Raises: KeyRefusal."""
        async with self._changing:
            plan = self.plan(keys, source)
            if plan.brake and not force:
                raise KeyRefusal(plan.brake)
            if plan.change.put or plan.change.drop:
                await self._write(plan.change, file=file, by=by)
        return plan.change

    async def use(self, key: Key) -> bool:
        """Take one use away, durably; False when there was none left, or the disk does not take it."""
        async with self._changing:
            known = self._keys.get((key.source, key.id))
            if known is None or known.uses_left is None or known.uses_left < 1:
                return False
            used = replace(known, uses_left=known.uses_left - 1)
            try:
                await trio.to_thread.run_sync(partial(keyfile.use, self._path, used), limiter=self._thread)
            except FILE_ERRORS as error:
                _log.error("use of a key not stored, so it does not open error=%s", error)
                return False
            self._keys[used.source, used.id] = used
            self.index = Index(self._keys.values())
            return True

    async def history(self) -> list[Version]:
        """The changes that are remembered, the newest first. Raises: KeyRefusal."""
        return await self._ask(partial(keyfile.versions, self._path))

    async def rollback(self, source: str, *, by: str) -> Change:
        """Undo the last change of a source. Raises: KeyRefusal."""
        for version in await self.history():
            if version.source == source:
                keys = await self._ask(partial(keyfile.before, self._path, version.number))
                if keys is None:
                    break
                return await self.apply(keys, source, file=f"before {version.number}", by=by, force=True)
        raise KeyRefusal(f"there is no earlier version of the keys of {source[:64]!r}")

    async def _ask(self, work: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(work, limiter=self._thread)
        except FILE_ERRORS as error:
            raise KeyRefusal(f"the keys cannot be read now: {error}") from error

    async def _write(self, change: Change, *, file: str, by: str) -> None:
        """Raises: KeyRefusal, with nothing changed. Cancellation: a write that has begun counts."""
        at_ns = self._clock_ns()
        before = list(self._of(change.source).values())
        write = partial(keyfile.write, self._path, change, before, at_ns=at_ns, file=file[:128], by=by)
        try:
            await trio.to_thread.run_sync(write, limiter=self._thread)
        except FILE_ERRORS as error:
            _log.error("keys not written error=%s", error)
            raise KeyRefusal("the change could not be written to the disk") from error
        for key_id in change.drop:
            self._keys.pop((change.source, key_id), None)
        self._keys |= {(key.source, key.id): key for key in change.put}
        self.index = Index(self._keys.values())
        self._report(
            KeysChanged(
                source=change.source, added=change.added, changed=change.changed, removed=change.removed,
                file=file[:128], by=by,
            )
        )  # fmt: skip

    def _of(self, source: str) -> dict[str, Key]:
        return {key.id: key for key in self._keys.values() if key.source == source}
