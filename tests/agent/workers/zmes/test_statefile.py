from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
import trio.testing

from agent.workers.zmes import statefile
from agent.workers.zmes.statefile import (
    MAX_FILE_BYTES,
    RETRY_S,
    StateFile,
    read_file,
    replace_file,
    set_aside,
)


async def until(path: Path, content: bytes) -> None:
    with trio.fail_after(5):
        while read_file(path) != content:
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
    attempts: list[float] = []

    def refuse_twice(path: Path, data: bytes) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(statefile, "replace_file", refuse_twice)
    file = StateFile(tmp_path / "state.json", lambda: b"x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        file.changed()
        while len(attempts) < 3:
            await trio.sleep(RETRY_S)
        await trio.sleep(2 * RETRY_S)
        nursery.cancel_scope.cancel()
    assert len(attempts) == 3


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


def test_reading(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_file(tmp_path / "none") is None
    assert caplog.text == ""
    assert read_file(tmp_path) is None
    assert "not read" in caplog.text
    (tmp_path / "big").write_bytes(b"x" * (MAX_FILE_BYTES + 5))
    found = read_file(tmp_path / "big")
    assert found is not None
    assert len(found) == MAX_FILE_BYTES


def test_setting_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens.json"
    path.write_bytes(b"broken")
    set_aside(path, "no sense")
    assert not path.exists()
    assert (tmp_path / "tokens.json.corrupt").read_bytes() == b"broken"
    assert "CRITICAL" in caplog.text
    set_aside(path, "it is gone")
