"""Endpoints on a Portero IO device: the reference device on a real pseudo-terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from harness.door import Recorded

from agent.endpoints.health import Health
from agent.endpoints.io import LINK_LOST, IoBoard, IoConfig, IoEndpoint, boards, run_all
from agent.endpoints.remote import RemoteEndpoint
from agent.model.actions import Action, Lock, SoundSiren, SwitchLight, Unlock
from agent.model.errors import EndpointError
from agent.model.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ContactChanged,
    HardwareFailed,
    HardwareRecovered,
    LightChanged,
    LockChanged,
    SirenChanged,
)

# The reference device: relays 0 and 1, inputs 2 and 3, a lamp 4.
ENDPOINTS: dict[str, dict[str, Any]] = {
    "gate": {"channel": 0, "acts_as": "lock", "default_s": 3},
    "horn": {"channel": 1, "acts_as": "siren"},
    "bell": {"channel": 2, "acts_as": "button"},
    "window": {"channel": 3, "acts_as": "contact", "role": "tamper", "inverted": True},
    "lamp": {"channel": 4, "acts_as": "light", "default_s": 0},
}


class Hall:
    def __init__(self, endpoints: dict[str, dict[str, Any]]) -> None:
        self.log = Recorded()
        self.remotes = {
            name: RemoteEndpoint(
                name, msgspec.convert({"kind": "io"} | plain, IoEndpoint), log=self.log,
                health=Health(name, self.log),
            )
            for name, plain in endpoints.items()
        }  # fmt: skip
        self.boards = boards({"panel": IoConfig(device="sim")}, self.remotes, simulated=True)

    @property
    def board(self) -> IoBoard:
        return self.boards["panel"]

    @property
    def hand(self) -> Any:
        return self.board.hand

    async def until(self, met: Any, within_s: float = 5.0) -> None:
        with trio.fail_after(within_s):
            while not met():
                await trio.sleep(0.005)

    def events(self, kind: type) -> list[Any]:
        return list(self.log.events(kind))

    async def connected(self) -> None:
        await self.until(lambda: all(not remote.problem for remote in self.remotes.values()))

    async def do(self, action: Action) -> str | None:
        try:
            command = self.remotes[action.endpoint].perform(  # type: ignore[union-attr]
                action, by="ana", action_id="a1"
            )
        except EndpointError as error:
            return error.reason
        assert command is not None
        with trio.fail_after(5):
            return await command.failure()

    def is_on(self, channel: int) -> bool:
        return bool(self.hand.firmware.levels >> channel & 1)


@asynccontextmanager
async def hall(endpoints: dict[str, dict[str, Any]] | None = None) -> AsyncIterator[Hall]:
    it = Hall(ENDPOINTS if endpoints is None else endpoints)
    async with trio.open_nursery() as nursery:
        await nursery.start(run_all, it.boards)
        yield it
        nursery.cancel_scope.cancel()


async def test_a_lock_opens_for_its_time_and_says_who() -> None:
    async with hall() as it:
        await it.connected()
        assert await it.do(Unlock(endpoint="gate", hold_s=0.3)) is None
        assert it.is_on(0)
        await it.until(lambda: len(it.events(LockChanged)) == 2)
        assert it.events(LockChanged) == [
            LockChanged(endpoint="gate", state="unlocked", by="ana", action_id="a1", hold_s=0.3),
            LockChanged(endpoint="gate", state="locked", reason="time over"),
        ]
        assert not it.is_on(0)


async def test_locking_siren_and_light() -> None:
    async with hall() as it:
        await it.connected()
        assert await it.do(Unlock(endpoint="gate")) is None
        assert await it.do(Lock(endpoint="gate")) is None
        await it.until(lambda: it.remotes["gate"].state() == "locked")
        assert it.events(LockChanged)[1].by == "ana"
        assert await it.do(SoundSiren(endpoint="horn", duration_s=0.2)) is None
        await it.until(lambda: [one.on for one in it.events(SirenChanged)] == [True, False])
        assert await it.do(SwitchLight(endpoint="lamp", on=True)) is None
        await it.until(lambda: [one.on for one in it.events(LightChanged)] == [True])
        assert it.is_on(4)


async def test_what_is_so_already_is_told_as_done() -> None:
    async with hall() as it:
        await it.connected()
        for _ in range(2):
            assert await it.do(SwitchLight(endpoint="lamp", on=True)) is None
        await it.until(lambda: len(it.events(LightChanged)) == 2)


async def test_a_bell_and_a_contact() -> None:
    async with hall() as it:
        await it.connected()
        assert it.events(ContactChanged) == [ContactChanged(endpoint="window", role="tamper", active=True)]
        it.hand.move(2, True)
        await it.until(lambda: it.events(ButtonPressed))
        it.hand.move(2, False)
        it.hand.move(3, True)
        await it.until(lambda: len(it.events(ContactChanged)) == 2)
        assert len(it.events(ButtonReleased)) == 1
        assert it.events(ButtonHeld) == []


async def test_a_lost_link_is_safe_on_both_sides_within_a_second() -> None:
    async with hall() as it:
        await it.connected()
        assert await it.do(Unlock(endpoint="gate", hold_s=20)) is None
        firmware = it.hand.firmware
        begun = trio.current_time()
        it.hand.to_host.cut = it.hand.to_device.cut = True
        await it.until(lambda: not firmware.levels & 1 and it.events(HardwareFailed))
        assert trio.current_time() - begun < 1.0
        await it.until(lambda: it.remotes["gate"].state() == "locked")
        assert it.events(LockChanged)[-1].reason == LINK_LOST
        assert "off" in str(await it.do(Unlock(endpoint="gate")))
        it.hand.to_host.cut = it.hand.to_device.cut = False
        await it.connected()
        assert it.events(HardwareRecovered)
        assert not it.is_on(0), "nothing of before comes back"


async def test_pulled_out_restarted_and_back() -> None:
    async with hall() as it:
        await it.connected()
        assert await it.do(Unlock(endpoint="gate", hold_s=20)) is None
        it.hand.unplug()
        await it.until(lambda: it.remotes["gate"].problem)
        assert it.board.status()["problem"]
        it.hand.plug()
        await it.connected()
        assert await it.do(Unlock(endpoint="gate", hold_s=20)) is None
        it.hand.reboot()
        await it.until(lambda: it.remotes["gate"].state() == "locked")
        await it.connected()
        assert it.board.status()["device"] == "portero-io"


async def test_an_order_whose_answer_is_lost_is_carried_out_once() -> None:
    async with hall() as it:
        await it.connected()
        it.hand.to_host.drop = 1
        executed = it.hand.firmware.executed
        assert await it.do(SoundSiren(endpoint="horn", duration_s=5)) is None
        assert it.hand.firmware.executed == executed + 1


async def test_a_relay_that_the_device_cannot_switch() -> None:
    async with hall() as it:
        await it.connected()
        it.hand.firmware.broken.add(0)
        assert "cannot switch" in str(await it.do(Unlock(endpoint="gate")))
        assert it.events(LockChanged) == []


async def test_channels_that_are_something_else() -> None:
    endpoints = {
        "gate": {"channel": 2, "acts_as": "lock"},
        "bell": {"channel": 0, "acts_as": "button"},
        "far": {"channel": 30, "acts_as": "light"},
    }
    async with hall(endpoints) as it:
        await it.until(lambda: len(it.events(HardwareFailed)) == 3)
        assert it.remotes["gate"].problem == "channel 2 is an input, no lock"
        assert it.remotes["bell"].problem == "channel 0 is an output, no button"
        assert it.remotes["far"].problem == "the device has no channel 30: it has 5"
        assert await it.do(Unlock(endpoint="gate")) == "channel 2 is an input, no lock"


async def test_stopped_it_lets_everything_fall() -> None:
    async with hall() as it:
        await it.connected()
        assert await it.do(Unlock(endpoint="gate", hold_s=20)) is None
        firmware = it.hand.firmware
    assert not firmware.levels & 1 or it.remotes["gate"].state() == "locked"


@pytest.mark.parametrize(
    "wrong", [{"channel": 32}, {"channel": -1}, {"acts_as": "led"}, {"acts_as": "lock", "inverted": True}]
)
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    plain = {"kind": "io", "channel": 0, "acts_as": "contact"}
    msgspec.convert(plain, IoEndpoint)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plain | wrong, IoEndpoint)
