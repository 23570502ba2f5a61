"""The readers beside the locks: kept open, listened to, and what they read handed on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Any

import trio

from agent.bus import EventLog
from agent.endpoints.health import Health
from agent.entrance.config import SIMULATED, ReaderConfig
from agent.entrance.doorkeeper import Doorkeeper
from agent.entrance.panel import Panel, Presented
from agent.model.errors import CommandError
from hw.keypad import Keypad
from hw.rdm6300 import Rdm6300
from hw.reader_sim import SimulatedReader
from hw.readings import Framer, KeypadStuck, KeyPress, TagRead
from hw.serial import SerialPort, keep_open
from hw.wiegand import Wiegand

WAITING = 4  # more is dropped: nobody holds that many cards to a reader and means it
LEARN_S = 60.0
STUCK = "a key sticks, or somebody leans on it"
FRAMERS: dict[str, Callable[[], Framer]] = {"rdm6300": Rdm6300, "wiegand": Wiegand, "keypad": Keypad}

logger = logging.getLogger(__name__)


class Reader:
    """One of them. `run` is its owner: one task listens, one decides."""

    def __init__(
        self, name: str, config: ReaderConfig, *, doorkeeper: Doorkeeper, health: Health,
        device: Callable[[], str],
    ) -> None:  # fmt: skip
        self.name = name
        self.config = config
        self.health = health
        self.reads = 0
        self.dropped = 0
        self._doorkeeper = doorkeeper
        self._device = device
        self._framer = FRAMERS[config.kind]()
        self._panel = Panel(config.accepts, code_digits=config.code_digits)
        self._learner: trio.MemorySendChannel[str] | None = None
        self._send, self._receive = trio.open_memory_channel[Presented](WAITING)

    async def run(self) -> None:
        """For ever; a device that goes is opened again when it is back."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._decide)
            await keep_open(self._open, self._listen, self.health.failed)

    async def learn(self) -> str:
        """The number of the next tag, which opens nothing. Raises: CommandError after a minute."""
        if self.config.kind == "keypad":
            raise CommandError(f"{self.name} reads no tags")
        if self._learner is not None:
            raise CommandError(f"{self.name} is waiting for somebody else's tag")
        self._learner, receive = trio.open_memory_channel[str](1)
        try:
            with trio.fail_after(LEARN_S):
                return await receive.receive()
        except trio.TooSlowError:
            raise CommandError(f"no tag was held to {self.name} within {LEARN_S:g} s") from None
        finally:
            self._learner = None

    def status(self) -> dict[str, Any]:
        """For `portero status`."""
        return {
            "name": self.name,
            "kind": self.config.kind,
            "opens": self.config.opens,
            "problem": self.health.problem,
            "reads": self.reads,
            "noise": self._framer.noise,
            "refused": self._framer.refused,
            "dropped": self.dropped,
        }

    def _open(self) -> SerialPort:
        return SerialPort.open(self.name, self._device(), self.config.baud_hz)

    async def _listen(self, port: SerialPort) -> None:
        """Raises: HardwareError when the device is gone."""
        self.health.works()
        self._framer = FRAMERS[self.config.kind]()  # half a frame of before belongs to nothing
        while True:
            data = b""
            with trio.move_on_at(self._panel.deadline if self._panel.deadline != inf else inf):
                data = await port.receive_some()
            now = trio.current_time()
            self._hand_on(self._panel.expire(now))
            for reading in self._framer.feed(data, now):
                match reading:
                    case TagRead(number=number):
                        self.reads += 1
                        if self._learner is not None:
                            self._learner.send_nowait(number)
                            self._learner = None
                            continue
                        self._hand_on(self._panel.tag(number, now))
                    case KeyPress(key=key):
                        self._hand_on(self._panel.key(key, now))
                    case KeypadStuck(stuck=True):
                        self.health.failed(STUCK)
                    case KeypadStuck():
                        self.health.works()

    def _hand_on(self, presented: Presented | None) -> None:
        if presented is None:
            return
        try:
            self._send.send_nowait(presented)
        except trio.WouldBlock:
            self.dropped += 1

    async def _decide(self) -> None:
        async for presented in self._receive:
            await self._doorkeeper.present(self.name, self.config, presented)


class Readers:
    """All of them. hands: of the simulated ones, for `portero sim`."""

    def __init__(self, configs: Mapping[str, ReaderConfig], doorkeeper: Doorkeeper, *, log: EventLog) -> None:
        self.hands: dict[str, SimulatedReader] = {}
        self.all: dict[str, Reader] = {}
        for name, config in configs.items():
            if config.device == SIMULATED:
                hand = self.hands[name] = SimulatedReader(config.kind)
                device: Callable[[], str] = hand.where
            else:
                device = partial(str, config.device)
            self.all[name] = Reader(
                name, config, doorkeeper=doorkeeper, health=Health(name, log), device=device
            )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """For ever."""
        async with trio.open_nursery() as nursery:
            for reader in self.all.values():
                nursery.start_soon(reader.run)
            task_status.started()

    async def learn(self, name: str) -> str:
        """The number of the next tag at a reader. Raises: CommandError."""
        reader = self.all.get(name)
        if reader is None:
            names = ", ".join(self.all) or "none: give the door a table [readers.NAME]"
            raise CommandError(f"no reader named {name[:40]!r}; there are {names}")
        return await reader.learn()

    def problems(self) -> list[str]:
        """What does not work, in words."""
        return [f"{name}: {one.health.problem}" for name, one in self.all.items() if one.health.problem]

    def status(self) -> list[dict[str, Any]]:
        """For `portero status`."""
        return [reader.status() for reader in self.all.values()]
