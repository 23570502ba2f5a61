"""A whole simulated house behind `House.run`: its board, its log, and hands to move it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
import trio.testing
from harness.door import Recorded

from agent.endpoints import House
from agent.model.actions import Action, target
from agent.model.events import (
    DoorChanged,
    HardwareFailed,
    HardwareRecovered,
    LightChanged,
    LockChanged,
    SirenChanged,
)
from agent.runtime import RemoteConfig
from hw.board import Board, open_board
from hw.fake import FakePins
from hw.pins import EndpointPins

T = TypeVar("T")


class DoorHouse:
    """pins: the hand at the door. log: everything told. house: what is under test. board: while it runs."""

    def __init__(self, endpoints: Mapping[str, EndpointPins | RemoteConfig]) -> None:
        self.endpoints = {
            name: pins for name, pins in endpoints.items() if not isinstance(pins, RemoteConfig)
        }
        self.pins = FakePins()
        self.log = Recorded()
        self.house = House(endpoints, log=self.log)
        self.board: Board | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The house while it runs; afterwards it has been stopped, but its board not closed yet."""
        with open_board(self.endpoints, pins=self.pins) as self.board:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.house.run, self.board)
                await trio.testing.wait_all_tasks_blocked()
                yield
                nursery.cancel_scope.cancel()

    def do(self, action: Action, by: str = "ana", action_id: str = "a1") -> None:
        """What dispatch does once an action is authorised and stored. Raises: EndpointError."""
        self.house.performers[target(action)].perform(action, by=by, action_id=action_id)

    async def chatter(self, name: str, for_s: float = 2.0) -> None:
        """Move this input faster than it can come to rest."""
        for _ in range(round(for_s / 0.02)):
            self.pins.bounce(name, (0.005,) * 4)
            await settle(0.02)

    def locks(self) -> list[tuple[str, str, str]]:
        """(state, by, reason) of every LockChanged."""
        return [(event.state, event.by, event.reason) for event in self._all(LockChanged)]

    def switched(self) -> list[tuple[bool, str, str]]:
        """(on, by, reason) of every change of a siren or light."""
        return [
            (event.on, event.by, event.reason)
            for event in self.log.events()
            if isinstance(event, SirenChanged | LightChanged)
        ]

    def doors(self) -> list[str]:
        return [event.state for event in self._all(DoorChanged)]

    def health(self) -> list[tuple[str, str]]:
        """("failed" or "recovered", endpoint) in order."""
        words = {HardwareFailed: "failed", HardwareRecovered: "recovered"}
        return [
            (words[type(event)], event.endpoint)
            for event in self.log.events()
            if isinstance(event, HardwareFailed | HardwareRecovered)
        ]

    def state(self, name: str) -> str:
        """What `portero status` says."""
        return next(str(row["state"]) for row in self.house.states() if row["name"] == name)

    def energised(self, name: str) -> bool:
        """What an ammeter at the relay says."""
        return self.pins.level(name)

    def _all(self, kind: type[T]) -> list[T]:
        return [event for event in self.log.events() if isinstance(event, kind)]


async def settle(seconds: float = 0.0) -> None:
    """Let time pass and everybody act on it."""
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()
