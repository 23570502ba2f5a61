"""What a lock owes outlives the agent that opened it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from harness.deconz_gateway import DeconzGateway
from harness.deconz_home import Home, followed
from trio.testing import MockClock

from agent.model.actions import Unlock
from agent.workers.deconz.client_debts import Debt

OWED = "owed-lock"


async def test_it_is_on_the_disk_until_it_is_settled(tmp_path: Path) -> None:
    debt = Debt(tmp_path / OWED)
    assert not debt.owed
    await debt.take()
    assert Debt(tmp_path / OWED).owed
    await debt.take()
    debt.settle()
    debt.settle()
    assert (debt.owed, os.listdir(tmp_path)) == (False, [])


async def test_without_a_place_nothing_is_kept() -> None:
    debt = Debt(None)
    await debt.take()
    debt.settle()
    assert not debt.owed


async def test_a_full_disk_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    debt = Debt(tmp_path / OWED)
    await debt.take()
    assert debt.owed
    assert "will not know" in caplog.text


async def test_a_lock_owes_while_it_is_open(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("lock", Unlock(endpoint="lock", hold_s=8)) is None
        assert (tmp_path / OWED).exists()
        await it.put(2)
        await trio.sleep(1)
        assert not (tmp_path / OWED).exists()


async def test_what_the_gateway_refuses_owes_nothing(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        it.gateway.results = [(200, [{"error": {"type": 202, "address": "/", "description": "no"}}])]
        assert await it.home.do("lock", Unlock(endpoint="lock", hold_s=8)) is not None
        assert not (tmp_path / OWED).exists()


async def test_a_killed_agent_locks_when_it_is_back(tmp_path: Path, patient_clock: MockClock) -> None:
    (tmp_path / OWED).write_bytes(b"")  # what a kill -9 leaves behind
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        follower = await home.follower(gateway)
        nursery.start_soon(follower.run)
        await gateway.until(lambda: len(gateway.puts) >= 1)
        assert gateway.puts == [("sensors/3/config", {"lock": True})]
        await trio.sleep(60)
        assert len(gateway.puts) == 1
        assert not (tmp_path / OWED).exists()
        nursery.cancel_scope.cancel()
