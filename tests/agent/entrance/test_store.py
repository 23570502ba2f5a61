"""The keys in memory and on the disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agent.entrance import keyfile
from agent.entrance.key import Digester, Key, KeyRefusal, Wanted
from agent.entrance.store import KeyStore
from agent.model.events import KeysChanged


class Opened:
    def __init__(self, folder: Path) -> None:
        self.told: list[KeysChanged] = []
        self.store = KeyStore.open(folder, report=self.told.append, clock_ns=lambda: 7)


def keys(store: KeyStore, count: int, source: str = "file", **more: Any) -> list[Key]:
    return [
        Key(id=f"k{number}", tag=store.digester.tag(f"{number:06X}"), source=source, **more)
        for number in range(count)
    ]


def broken(monkeypatch: pytest.MonkeyPatch, what: str = "write") -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(keyfile, what, fail)


async def test_added_listed_revoked_and_there_after_a_restart(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    key = await opened.store.add(Wanted(holder="Ana", tag="62E3086CED"), by="me")
    assert opened.told == [KeysChanged(source="local", added=1, by="me")]
    assert opened.store.index.by_tag(key.tag) == [key]
    again = Opened(tmp_path).store
    assert again.listed() == [key]
    assert again.digester.tag("62E3086CED") == key.tag
    await again.remove(key.id, by="me")
    assert again.listed() == []
    assert again.index.by_tag(key.tag) == []
    with pytest.raises(KeyRefusal, match="no key"):
        await again.remove(key.id, by="me")


async def test_what_there_is_already(tmp_path: Path) -> None:
    store = Opened(tmp_path).store
    await store.add(Wanted(tag="62E3086CED"), by="me")
    with pytest.raises(KeyRefusal, match="already"):
        await store.add(Wanted(tag="62:E3:08:6C:ED"), by="me")
    await store.add(Wanted(code="4711", duress="4712"), by="me")
    for taken in (Wanted(code="4712"), Wanted(code="9999", duress="4711")):
        with pytest.raises(KeyRefusal, match="taken"):
            await store.add(taken, by="me")


async def test_a_disk_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(tmp_path)
    key = await opened.store.add(Wanted(code="4711", uses=1), by="me")
    broken(monkeypatch)
    broken(monkeypatch, "use")
    with pytest.raises(KeyRefusal, match="written"):
        await opened.store.add(Wanted(tag="62E3086CED"), by="me")
    assert opened.store.listed() == [key]
    assert not await opened.store.use(key), "a use that cannot be written down opens nothing"
    assert len(opened.told) == 1


async def test_a_code_for_one_delivery(tmp_path: Path) -> None:
    store = Opened(tmp_path).store
    key = await store.add(Wanted(code="4711", uses=1), by="me")
    assert await store.use(key)
    assert not await store.use(key)
    assert [one.uses_left for one in Opened(tmp_path).store.listed()] == [0]


async def test_the_keys_of_a_source_are_replaced_and_others_stay(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    store = opened.store
    mine = await store.add(Wanted(tag="62E3086CED"), by="me")
    await store.apply(keys(store, 5), "file", file="a.xlsx", by="me")
    changed = [*keys(store, 3, holder="Ana"), *keys(store, 5)[3:4]]
    change = await store.apply(changed, "file", file="b.xlsx", by="me")
    assert (change.added, change.changed, change.removed) == (0, 3, 1)
    assert {key.id for key in store.listed()} == {mine.id, "k0", "k1", "k2", "k3"}
    assert opened.told[-1] == KeysChanged(source="file", changed=3, removed=1, file="b.xlsx", by="me")
    told = len(opened.told)
    await store.apply(changed, "file", file="b.xlsx", by="me")
    assert len(opened.told) == told, "nothing changed, so nothing is told"


async def test_how_often_a_key_was_used_survives_its_file(tmp_path: Path) -> None:
    store = Opened(tmp_path).store
    await store.apply(keys(store, 1, uses_left=2), "file", file="", by="me")
    await store.use(store.listed()[0])
    await store.apply(keys(store, 1, uses_left=2), "file", file="", by="me")
    assert [key.uses_left for key in store.listed()] == [1]


async def test_most_of_the_keys_do_not_go_by_one_file(tmp_path: Path) -> None:
    store = Opened(tmp_path).store
    await store.apply(keys(store, 40), "file", file="", by="me")
    with pytest.raises(KeyRefusal, match="remove 35 of 40 keys"):
        await store.apply(keys(store, 5), "file", file="", by="me")
    assert len(store.listed()) == 40
    await store.apply(keys(store, 5), "file", file="", by="me", force=True)
    assert len(store.listed()) == 5
    await store.apply(keys(store, 1), "file", file="", by="me")  # a small house


async def test_the_last_change_is_undone_and_done_again(tmp_path: Path) -> None:
    store = Opened(tmp_path).store
    await store.apply(keys(store, 5), "file", file="a", by="me")
    await store.apply(keys(store, 3), "file", file="b", by="me")
    assert (await store.rollback("file", by="me")).added == 2
    assert len(store.listed()) == 5
    assert (await store.rollback("file", by="me")).removed == 2
    assert len(store.listed()) == 3
    assert len(await store.history()) == 4
    with pytest.raises(KeyRefusal, match="no earlier version"):
        await store.rollback("vms", by="me")


async def test_a_broken_secret_is_told_and_no_reason_not_to_start(tmp_path: Path) -> None:
    Opened(tmp_path)
    (tmp_path / "keys.secret").write_bytes(b"x")
    store = Opened(tmp_path).store
    assert "damaged" in store.problem
    assert store.listed() == []


def test_ten_thousand_keys_are_read_in_no_time(tmp_path: Path) -> None:
    digester = Digester(keyfile.read_secret(tmp_path))
    many = tuple(Key(id=f"k{n}", tag=digester.tag(f"{n:06X}")) for n in range(10_000))
    keyfile.write(tmp_path / "keys.db", keyfile.Change(source="local", put=many), [], at_ns=0, file="", by="")
    assert len(Opened(tmp_path).store.listed()) == 10_000
