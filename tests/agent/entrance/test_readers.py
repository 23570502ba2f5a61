"""Readers on real pseudo-terminals, down to the one who decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from harness.door import Recorded

from agent.endpoints.health import Health
from agent.entrance.config import SIMULATED, ReaderConfig
from agent.entrance.doorkeeper import Doorkeeper
from agent.entrance.panel import Presented
from agent.entrance.readers import Readers
from agent.model.errors import CommandError
from agent.model.events import HardwareFailed, HardwareRecovered

ANA = "62E3086CED"


class Keeper:
    """Remembers what it was shown. slow_s: how long it takes."""

    def __init__(self) -> None:
        self.shown: list[Presented] = []
        self.slow_s = 0.0
        self._changed = trio.lowlevel.ParkingLot()

    async def present(self, name: str, reader: ReaderConfig, presented: Presented) -> bool:
        self.shown.append(presented)
        self._changed.unpark_all()
        await trio.sleep(self.slow_s)
        return True

    async def wait(self, count: int) -> None:
        with trio.fail_after(5):
            while len(self.shown) < count:
                await self._changed.park()


class Hall:
    def __init__(self, readers: Readers, keeper: Keeper, log: Recorded) -> None:
        self.readers = readers
        self.keeper = keeper
        self.log = log
        self.hand = readers.hands["front"]
        self.reader = readers.all["front"]

    async def until(self, kind: type) -> None:
        with trio.fail_after(10):
            while not self.log.events(kind):
                await trio.sleep(0.01)


@asynccontextmanager
async def hall(kind: Any, **more: Any) -> AsyncIterator[Hall]:
    log, keeper = Recorded(), Keeper()
    config = ReaderConfig(device=SIMULATED, kind=kind, opens="strike", **more)
    readers = Readers({"front": config}, cast(Doorkeeper, keeper), log=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(readers.run)
        await trio.testing.wait_all_tasks_blocked()
        yield Hall(readers, keeper, log)
        nursery.cancel_scope.cancel()
    for hand in readers.hands.values():
        hand.close()


async def test_an_em4100_tag() -> None:
    async with hall("rdm6300") as it:
        it.hand.send(b"noise")
        it.hand.show(ANA)
        it.hand.show(ANA)
        await it.keeper.wait(1)
        assert it.keeper.shown == [Presented(method="tag", tag=ANA)]
        assert it.readers.status()[0] == {
            "name": "front", "kind": "rdm6300", "opens": "strike", "problem": "", "reads": 1, "noise": 5,
            "refused": 0, "dropped": 0,
        }  # fmt: skip


async def test_a_wiegand_keypad() -> None:
    async with hall("wiegand", accepts="both") as it:
        it.hand.show("7BB26E")
        it.hand.type("4711#")
        await it.keeper.wait(1)
        assert it.keeper.shown == [Presented(method="tag+code", tag="7BB26E", code="4711")]


async def test_a_keypad() -> None:
    async with hall("keypad", code_digits=4) as it:
        it.hand.type("4711")
        await it.keeper.wait(1)
        assert it.keeper.shown == [Presented(method="code", code="4711")]


async def test_pulled_out_and_back_under_another_name() -> None:
    async with hall("rdm6300") as it:
        it.hand.unplug()
        await it.until(HardwareFailed)
        assert "unplugged" in it.reader.health.problem
        assert it.readers.problems()
        it.hand.plug()
        await it.until(HardwareRecovered)
        await trio.sleep(0.05)
        it.hand.show(ANA)
        await it.keeper.wait(1)
        assert it.readers.problems() == []


async def test_half_a_frame_before_is_nothing_after() -> None:
    async with hall("rdm6300") as it:
        it.hand.send(b"\x0262E3086C")
        await trio.sleep(0.05)
        it.hand.unplug()
        it.hand.plug()
        await it.until(HardwareRecovered)
        await trio.sleep(0.05)
        it.hand.send(b"ED08\x03")
        it.hand.show("0000000001")
        await it.keeper.wait(1)
        assert it.keeper.shown == [Presented(method="tag", tag="0000000001")]


async def test_who_shows_faster_than_the_door_decides_is_not_queued_without_end() -> None:
    async with hall("wiegand") as it:
        it.keeper.slow_s = 100
        for number in range(1, 50):
            it.hand.show(f"{number:06X}")
        await it.keeper.wait(1)
        with trio.fail_after(5):
            while it.reader.reads < 49:
                await trio.sleep(0.01)
        assert it.reader.dropped >= 40


async def test_the_next_tag_is_learnt_and_opens_nothing() -> None:
    async with hall("rdm6300") as it:
        learnt: list[str] = []

        async def learn() -> None:
            learnt.append(await it.readers.learn("front"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(learn)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(CommandError, match="somebody else's"):
                await it.readers.learn("front")
            it.hand.show(ANA)
        assert learnt == [ANA]
        assert it.keeper.shown == []
        with pytest.raises(CommandError, match="there are front"):
            await it.readers.learn("back")


async def test_nobody_comes_with_a_tag(autojump_clock: trio.testing.MockClock) -> None:
    log = Recorded()
    config = ReaderConfig(device="/nowhere", kind="rdm6300", opens="strike")
    readers = Readers({"front": config}, cast(Doorkeeper, Keeper()), log=log)
    with pytest.raises(CommandError, match="no tag was held"):
        await readers.learn("front")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readers.run)
        await trio.sleep(300)
        nursery.cancel_scope.cancel()
    assert len(log.events(HardwareFailed)) == 1, "a reader that is not there is told once"


async def test_a_key_that_sticks_is_told() -> None:
    async with hall("keypad") as it:
        it.hand.send(b"5" * 40)
        await it.until(HardwareFailed)
        assert "sticks" in it.reader.health.problem
        assert isinstance(it.reader.health, Health)
