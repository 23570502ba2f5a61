from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
import trio.testing

from agent import statefile
from agent.statefile import (
    RETRY_S,
    StateFile,
    read_file,
    replace_file,
    set_aside,
)


async def until(path: Path, content: bytes) -> None:
    with trio.fail_after(5):
        while read_file(path, 100) != content:
            await trio.sleep(0.005)


async def test_changes_reach_the_disk_for_our_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    content = b"one"
    file = StateFile(path, lambda: content)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        await trio.testing.wait_all_tasks_blocked()
        assert not path.exists()
        file.changed()
        await until(path, b"one")
        content = b"two"
        file.changed()
        await until(path, b"two")
        nursery.cancel_scope.cancel()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


async def test_the_last_change_is_written_on_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    file = StateFile(path, lambda: b"last")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        await trio.testing.wait_all_tasks_blocked()
        file.changed()
        nursery.cancel_scope.cancel()
    assert path.read_bytes() == b"last"


async def test_a_full_disk_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    attempts: list[bytes] = []

    def refuse_twice(path: Path, data: bytes) -> None:
        attempts.append(data)
        if len(attempts) < 3:
            raise OSError(28, "No space left on device")
        replace_file(path, data)

    monkeypatch.setattr(statefile, "replace_file", refuse_twice)
    file = StateFile(tmp_path / "state.json", lambda: b"x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        file.changed()
        while len(attempts) < 3:
            await trio.sleep(RETRY_S)
        await trio.sleep(2 * RETRY_S)
        nursery.cancel_scope.cancel()
    assert attempts == [b"x"] * 3
    assert (tmp_path / "state.json").read_bytes() == b"x"


def test_what_is_there_is_read_and_what_is_broken_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_file(path, 100) is None
    replace_file(path, b"x" * 110)
    assert len(read_file(path, 100) or b"") == 101
    set_aside(path, "too long")
    assert not path.exists()
    assert (tmp_path / "state.json.corrupt").exists()
    set_aside(path, "not there")  # says so, and goes on


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        read_file(tmp_path / "state.json", 100)
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_crash_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"old")

    def power_cut(descriptor: int) -> None:
        raise OSError(5, "power cut")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="power cut"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    replace_file(path, b"newer", mode=0o644)  # what the crash left behind does not stand in the way
    assert path.read_bytes() == b"newer"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_link_that_somebody_laid_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "state.json.new").symlink_to(victim)
    replace_file(tmp_path / "state.json", b"ours")
    assert victim.read_bytes() == b"precious"
