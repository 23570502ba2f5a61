"""Endpoints on a Portero IO device: a microcontroller with relays, inputs and lamps on a serial line.

An order counts as done when the device has confirmed it. How long a relay stays on is told to the device,
which ends it by itself; when the link is lost, both sides have their outputs off within a second
(docs/portero-io.md).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import trio
from msgspec import Meta, Struct

from agent.endpoints.remote import RemoteCommand, RemoteEndpoint
from agent.runtime import RemoteConfig
from hw.errors import HardwareError
from hw.io_device import IoDevice
from hw.io_link import IoLink
from hw.io_wire import Kind, Welcome
from hw.serial import SerialPort

SIMULATED = "sim"
TIME_OVER = "time over"
LINK_LOST = "link lost"
LONG_PRESS_S = 1.5

logger = logging.getLogger(__name__)


class IoConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device. device: best as /dev/serial/by-id/...: such a name stays with it."""

    device: Annotated[str, Meta(min_length=1, max_length=256)]
    baud_hz: Annotated[int, Meta(ge=9600, le=4_000_000)] = 115_200


class IoEndpoint(RemoteConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="io"):
    """An endpoint on such a device.

    io: which one; absent where there is one. channel: of it, from 0. inverted: an input that is active while
    its circuit is open; of outputs the device knows the polarity.
    """

    channel: Annotated[int, Meta(ge=0, le=31)]
    io: str | None = None
    inverted: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inverted and self.acts_as not in ("button", "contact"):
            raise ValueError("inverted is for a button or a contact: outputs know their polarity")


class IoBoard:
    """One device and its endpoints; the `IoListener` of its link. `run` is its owner.

    simulated: the device is played, by a hand that `portero sim` moves. hand: that one.
    """

    def __init__(
        self, name: str, config: IoConfig, remotes: Sequence[RemoteEndpoint], *, simulated: bool = False
    ) -> None:
        self.name = name
        self.hand: IoDevice | None = None
        self._config = config
        self._remotes = {_config(remote).channel: remote for remote in remotes}
        self._simulated = simulated
        self._link = IoLink(name, self._open, self)
        self._orders: dict[int, RemoteCommand] = {}
        self._pressed_at: dict[int, float] = {}
        self._max_on_ms = 0
        self._kinds: tuple[Kind, ...] = ()

    async def run(self) -> None:
        """For ever. Cancellation: outputs off."""
        async with trio.open_nursery() as nursery:
            if self._simulated:
                self.hand = IoDevice()
                nursery.start_soon(self.hand.run)
            for channel, remote in self._remotes.items():
                if remote.config.acts_as in ("lock", "siren", "light"):
                    nursery.start_soon(self._obey, channel, remote)
            await self._link.run()

    def status(self) -> dict[str, Any]:
        """For `portero status`."""
        device = self._link.device
        return {
            "name": self.name,
            "device": device.device if device is not None else "",
            "firmware": device.firmware if device is not None else "",
            "problem": self._link.problem,
            "noise": self._link.noise,
            "malformed": self._link.malformed,
            "missed": self._link.missed,
        }

    def _open(self) -> SerialPort:
        device = self.hand.device if self.hand is not None else self._config.device
        return SerialPort.open(self.name, device, self._config.baud_hz)

    # ----- what the house asks for -----

    async def _obey(self, channel: int, remote: RemoteEndpoint) -> None:
        while True:
            command = await remote.command()
            self._orders[channel] = command
            try:
                await self._link.set_output(channel, command.on, self._for_ms(channel, command))
            except HardwareError as error:
                command.failed(error.reason)
            except BaseException:
                command.failed(f"{LINK_LOST}: it may have acted")
                raise
            else:
                command.done()
                if self._orders.get(channel) is command:  # it had been so already
                    remote.switched(command.on, command=command)
            finally:
                self._orders.pop(channel, None)

    def _for_ms(self, channel: int, command: RemoteCommand) -> int:
        """A relay is never on without an end; what is to stay on has the longest that the device keeps."""
        if not command.on:
            return 0
        if command.duration_s is None or math.isinf(command.duration_s):
            is_lamp = channel < len(self._kinds) and self._kinds[channel] is Kind.LAMP
            return 0 if is_lamp else self._max_on_ms
        return max(1, round(command.duration_s * 1000))

    # ----- what the device tells (hw.io_link.IoListener) -----

    def up(self, device: Welcome) -> None:
        """See IoListener."""
        logger.info("io=%s device=%s firmware=%s", self.name, device.device, device.firmware)
        self._max_on_ms, self._kinds = device.max_on_ms, device.kinds
        for channel, remote in self._remotes.items():
            problem = _misfit(remote.config.acts_as, channel, device.kinds)
            if problem:
                remote.failed(problem)
                continue
            remote.works()
            if remote.config.acts_as == "contact":
                remote.contact(bool(device.levels >> channel & 1) != _config(remote).inverted)

    def lost(self, reason: str) -> None:
        """See IoListener."""
        self._pressed_at.clear()
        for remote in self._remotes.values():
            if remote.config.acts_as in ("lock", "siren", "light"):
                remote.switched(False, reason=LINK_LOST)
            remote.failed(reason)

    def input_changed(self, channel: int, active: bool) -> None:
        """See IoListener."""
        remote = self._remotes.get(channel)
        if remote is None:
            return
        active = active != _config(remote).inverted
        if remote.config.acts_as == "contact":
            remote.contact(active)
        elif remote.config.acts_as == "button" and active:
            self._pressed_at[channel] = trio.current_time()
            remote.pressed()
        elif remote.config.acts_as == "button" and channel in self._pressed_at:
            held_s = trio.current_time() - self._pressed_at.pop(channel)
            if held_s >= LONG_PRESS_S:
                remote.held(round(held_s * 1000))
            remote.released(round(held_s * 1000))

    def output_changed(self, channel: int, on: bool) -> None:
        """See IoListener."""
        remote = self._remotes.get(channel)
        if remote is None or remote.config.acts_as not in ("lock", "siren", "light"):
            return
        command = self._orders.get(channel)
        if command is not None and command.on == on:
            self._orders.pop(channel)
            remote.switched(on, command=command)
        else:
            remote.switched(on, reason="" if on else TIME_OVER)


def boards(
    configs: Mapping[str, IoConfig], remotes: Mapping[str, RemoteEndpoint], *, simulated: bool
) -> dict[str, IoBoard]:
    """The devices of the house with their endpoints. simulated: those whose device is `sim` are played."""
    made = {}
    for name, config in configs.items():
        own = [
            remote
            for remote in remotes.values()
            if isinstance(remote.config, IoEndpoint) and remote.config.io in (name, None)
        ]
        made[name] = IoBoard(name, config, own, simulated=simulated and config.device == SIMULATED)
    return made


async def run_all(
    devices: Mapping[str, IoBoard], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run all of them for ever."""
    async with trio.open_nursery() as nursery:
        for board in devices.values():
            nursery.start_soon(board.run)
        task_status.started()


def _config(remote: RemoteEndpoint) -> IoEndpoint:
    config = remote.config
    assert isinstance(config, IoEndpoint)
    return config


def _misfit(acts_as: str, channel: int, kinds: Sequence[Kind]) -> str:
    """Why this channel cannot be that; empty when it can."""
    if channel >= len(kinds):
        return f"the device has no channel {channel}: it has {len(kinds)}"
    kind = kinds[channel]
    if (kind is Kind.INPUT) != (acts_as in ("button", "contact")):
        return f"channel {channel} is {'an input' if kind is Kind.INPUT else 'an output'}, no {acts_as}"
    return ""
