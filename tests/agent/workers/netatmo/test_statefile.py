"""Small files that outlive the agent."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import trio
from msgspec import Struct

from agent.model.errors import AgentError, PeerError
from agent.workers.netatmo.statefile import StateFile


class Content(Struct, frozen=True):
    number: int = 0


async def test_stored_and_loaded(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "a.json", Content)
    assert await file.load() is None
    await file.store(lambda: Content(5))
    assert await file.load() == Content(5)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"number":"x"}', b"[" * 5000])
async def test_what_makes_no_sense_is_kept_aside(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    assert await StateFile(path, Content).load() is None
    assert not path.exists()
    assert (tmp_path / "a.json.corrupt").read_bytes() == data


async def test_a_disk_that_refuses(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.mkdir()
    file = StateFile(path, Content)
    with pytest.raises(PeerError, match="cannot be read"):
        await file.load()
    with pytest.raises(AgentError, match="cannot be written"):
        await file.store(Content)


async def test_the_last_of_many_writes_has_everything(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "a.json", Content)
    number = 0

    async def change() -> None:
        nonlocal number
        number += 1
        await file.store(lambda: Content(number))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(change)
    assert await file.load() == Content(20)
