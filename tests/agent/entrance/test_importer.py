"""Whole files become keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from agent.entrance import importer
from agent.entrance.importer import Importer, keys_of
from agent.entrance.key import Digester, KeyRefusal
from agent.entrance.sheet import Row
from agent.entrance.store import KeyStore
from agent.runtime import KeyFileResult

DIGESTER = Digester(bytes(range(32)))


def opened(folder: Path) -> tuple[KeyStore, Importer]:
    store = KeyStore.open(folder, report=lambda event: None)
    return store, Importer(store)


def keys(*rows: dict[str, str]) -> tuple[list[Any], list[str]]:
    numbered = [Row(number, cells) for number, cells in enumerate(rows, start=2)]
    return keys_of(numbered, DIGESTER, source="vms", created_ns=5)


def test_a_row_becomes_a_key() -> None:
    row = {"number": "7BB26E", "code": "4711", "holder": "Ana", "flat": "12", "schedule": "mon-fri"}
    (key,), refused = keys(row | {"from": "2026-01-02", "until": "31.12.2026 10:00"})
    assert refused == []
    assert (key.holder, key.flat, key.source, key.method) == ("Ana", "12", "vms", "tag+code")
    assert key.valid_from_ns < key.valid_until_ns


def test_rows_that_are_none_are_named() -> None:
    found, refused = keys(
        {"number": "zzz"}, {"code": "12"}, {"number": "7BB26E", "until": "soon"}, {"number": "7BB26E"},
        {"number": "7B:B2:6E", "holder": "Ben"}, {"number": "7BB26E"},
    )  # fmt: skip
    assert len(found) == 1
    assert [text.partition(":")[0] for text in refused] == ["row 2", "row 3", "row 4", "row 6"]
    assert "the same key as in row 5" in refused[-1]
    assert "zzz" not in " ".join(refused)


async def test_a_file(tmp_path: Path) -> None:
    store, own = opened(tmp_path)
    content = b"key,name\n7BB26E,Ana\n62E3086CED,Ben\nxx,Cid\n"
    planned = await own.load(content, file="a.csv", source="file", by="me", dry_run=True)
    assert (planned.added, len(store.listed())) == (2, 0)
    done = await own.apply(content, file="a.csv", source="file", by="me")
    assert (done.added, len(done.refused)) == (2, 1)
    assert {key.holder for key in store.listed()} == {"Ana", "Ben"}
    again = await own.apply(content, file="a.csv", source="file", by="me")
    assert again == KeyFileResult(refused=done.refused)
    gone = await own.apply(b"key\n7BB26E\n", file="b.csv", source="file", by="me")
    assert (gone.changed, gone.removed) == (1, 1)


@pytest.mark.parametrize("content", [b"", b"key\n", b"name\nana\n", b"key\nxx\n", b"PK\x03\x04 broken"])
async def test_what_is_no_key_file_changes_nothing(tmp_path: Path, content: bytes) -> None:
    store, own = opened(tmp_path)
    await own.apply(b"key\n7BB26E\n", file="", source="file", by="me")
    with pytest.raises(KeyRefusal):
        await own.apply(content, file="", source="file", by="me")
    assert len(store.listed()) == 1


async def test_a_dry_run_says_that_it_would_be_refused(tmp_path: Path) -> None:
    _, own = opened(tmp_path)
    many = b"key\n" + b"".join(b"%06X\n" % number for number in range(1, 41))
    await own.apply(many, file="", source="file", by="me")
    planned = await own.load(b"key\n000001\n", file="", source="file", by="me", dry_run=True)
    assert "it would remove 39 of 40" in planned.refused[0]
    assert (await own.load(b"key\n000001\n", file="", source="file", by="me", force=True)).removed == 39


async def test_many_bad_rows_are_told_in_short(tmp_path: Path) -> None:
    _, own = opened(tmp_path)
    done = await own.apply(b"key\n7BB26E\n" + b"x\n" * 200, file="", source="file", by="me")
    assert len(done.refused) == importer.MAX_TOLD + 1
    assert done.refused[-1] == "and 150 more"


async def test_a_child_that_dies_or_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, own = opened(tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(KeyRefusal, match="cannot be read"):
        await own.apply(b"key\n7BB26E\n", file="", source="file", by="me")
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(KeyRefusal, match=r"cannot be read|too long"):
        await own.apply(b"key\n7BB26E\n", file="", source="file", by="me")


async def test_cancelled_it_is_applied_whole_or_not_at_all(tmp_path: Path) -> None:
    store, own = opened(tmp_path)
    content = b"key\n" + b"".join(b"%06X\n" % number for number in range(1, 2001))
    for after_s in (0, 0.05, 0.2, 0.4):
        with trio.move_on_after(after_s):
            await own.apply(content, file="", source="file", by="me")
        assert len(store.listed()) in (0, 2000)
