"""A lock, siren or light at a gateway: told what to do, and above all told to stop again."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping

import trio
from msgspec import Struct

from agent.runtime import Command, Remote
from agent.workers.deconz.client_debts import Debt
from agent.workers.deconz.client_device import Device, Scalar
from agent.workers.deconz.client_link import Link
from agent.workers.deconz.client_rest import PUT_S
from agent.workers.deconz.client_translate import is_on, order_for
from agent.workers.deconz.client_verdict import Verdict

TRIES_S = (0.0, 2.0, 6.0)
UNLOCK_TRIES_S = (0.0, 1.0)  # the second, too, begins before the command has expired
ASKED_S = 6.0  # after its expiry whoever asked has given up; see dispatch.REMOTE_S
STOP_EVERY_S = 5.0
LAST_STOP_S = 2.0
LAST_STOP_EVERY_S = 0.5
CONFIRM_S = 10.0
DRAIN_S = 0.01
MAX_SIREN_S = 900.0
TIME_OVER = "time over"
STOPPED = "the connection to its gateway has been stopped"

logger = logging.getLogger(__name__)


class _Expected(Struct):
    """What the device should report soon, and why."""

    on: bool
    until: float
    command: Command | None = None
    reason: str = ""


class Output:
    """One bound output. `run` is its one task; what it owes to the house survives the end of that.

    device: the device that it is now, or why there is none. ends_at: trio time from which on it is to be
    stopped, again and again until the gateway takes that on; inf: nothing is owed. debt: of a lock, what
    outlives even a killed agent.
    """

    def __init__(self, remote: Remote, link: Link, device: Callable[[], Device | str], debt: Debt) -> None:
        self.ends_at = 0.0 if debt.owed else math.inf
        self._debt = debt
        self._remote = remote
        self._kind: str = remote.config.acts_as
        self._link = link
        self._device = device
        self._risky = False  # an order that needs an end is on its way
        self._expected: _Expected | None = None
        self._tells_alert = False
        self._complained = False

    async def run(self) -> None:
        """Obey for ever. Cancellation: what sounds, is open or shines for a while is ended, within 2 s."""
        try:
            while True:
                command: Command | None = None
                with trio.move_on_at(self.ends_at):
                    command = await self._remote.command()
                if command is not None:
                    await self._obey(command)
                elif trio.current_time() >= self.ends_at:
                    await self._end()
        finally:
            with trio.move_on_after(LAST_STOP_S, shield=True):
                await self._leave()

    # ----- what the device tells -----

    def minds(self, told: Mapping[str, Scalar]) -> bool:
        """Whether something that the device told says how it is."""
        return "alert" in told if self._kind == "siren" else "on" in told or "lockstate" in told

    def confirm(self, device: Device) -> None:
        """The device told how it is, or was read."""
        if self._kind == "siren":
            # Gateways say "none" whatever it does; from those that once said "lselect" it means the end.
            alert = device.state.get("alert")
            if alert == "lselect":
                self._tells_alert = True
                self._switched(True)
            elif alert == "none" and self._tells_alert:
                self._tells_alert = False
                self._switched(False)
            return
        known = is_on(device, self._kind)
        if known is not None:
            self._switched(*known)

    def _switched(self, on: bool, reason: str = "") -> None:
        expected = self._expected
        if expected is None or expected.on != on or trio.current_time() > expected.until:
            self._remote.switched(on, reason=reason)
            return
        self._expected = None
        self._remote.switched(on, command=expected.command, reason=reason or expected.reason)

    # ----- what the house asks for -----

    async def _obey(self, command: Command) -> None:
        reason = f"{STOPPED}: it may have acted"
        try:
            verdict = await self._carry_out(command)
            reason = "" if verdict.kind == "taken" else verdict.reason or "no reason given"
        finally:
            if reason:
                command.failed(reason)
            else:
                command.done()

    async def _carry_out(self, command: Command) -> Verdict:
        device = self._device()
        if isinstance(device, str):
            return Verdict(kind="refused", reason=device)
        on, duration_s = command.on, self._duration_s(command)
        expected = _Expected(on=on, until=math.inf, command=command)
        self._expected = expected
        self._risky = on and duration_s is not None
        if on and self._kind == "siren":
            self._tells_alert = False
        if self._risky:
            await self._debt.take()
        verdict = await self._try(device, command, duration_s)
        self._risky = False
        now = trio.current_time()
        expected.until = now + CONFIRM_S
        if verdict.kind == "taken":
            self._set_end(now + duration_s if on and duration_s is not None else math.inf)
            self._taken(expected)
        else:
            if self._expected is expected and verdict.clear:
                self._expected = None
            refused = verdict.kind == "refused" or (verdict.kind == "busy" and verdict.clear)
            if on and duration_s is not None and not refused:
                self._set_end(now + duration_s)
            elif not on and not math.isinf(self.ends_at):
                self.ends_at = min(self.ends_at, now + STOP_EVERY_S)
            logger.warning("endpoint=%s not done reason=%s", self._remote.name, verdict.reason)
        self._settle()
        return verdict

    async def _try(self, device: Device, command: Command, duration_s: float | None) -> Verdict:
        """Ask, and ask again while the gateway is busy and the one who asked is still there.

        An unlocking is repeated only when the gateway itself said that it did not take it on.
        """
        order = order_for(device, self._kind, command.on, duration_s)
        unlocks = self._kind == "lock" and command.on
        begun = trio.current_time()
        asked_until = command.expires_at + ASKED_S
        last_begin = command.expires_at if unlocks else asked_until
        verdict = await self._link.put(order, begin_by=command.expires_at, give_up_at=asked_until)
        for after_s in (UNLOCK_TRIES_S if unlocks else TRIES_S)[1:]:
            if verdict.kind != "busy" or (unlocks and not verdict.clear) or begun + after_s > last_begin:
                break
            await trio.sleep_until(begun + after_s)
            verdict = await self._link.put(order, begin_by=last_begin, give_up_at=asked_until)
        return verdict

    def _duration_s(self, command: Command) -> float | None:
        if command.on and self._kind == "siren":
            return min(command.duration_s or MAX_SIREN_S, MAX_SIREN_S)
        return command.duration_s if command.on else None

    # ----- what it owes -----

    async def _end(self) -> None:
        """Its time is over."""
        device = self._device()
        if isinstance(device, str):
            verdict = Verdict(kind="refused", reason=device)
        else:
            self._expected = expected = _Expected(on=False, until=math.inf, reason=TIME_OVER)
            verdict = await self._stop(device)
            expected.until = trio.current_time() + CONFIRM_S
            if verdict.kind == "taken":
                self._set_end(math.inf)
                self._taken(expected)
                return
        self.ends_at = trio.current_time() + STOP_EVERY_S
        if not self._complained:
            self._complained = True
            logger.error("endpoint=%s not stopped yet reason=%s", self._remote.name, verdict.reason)

    async def _leave(self) -> None:
        """On the way out: a last try to stop, and nobody is left waiting."""
        with trio.move_on_after(DRAIN_S):
            while True:
                (await self._remote.command()).failed(STOPPED)
        if not self._risky and math.isinf(self.ends_at):
            return
        self._risky = False
        self.ends_at = trio.current_time()
        while True:
            device = self._device()
            if isinstance(device, Device) and (await self._stop(device)).kind == "taken":
                break
            await trio.sleep(LAST_STOP_EVERY_S)
        self._set_end(math.inf)
        if self._kind == "siren":
            self._remote.switched(False, reason=STOPPED)

    async def _stop(self, device: Device) -> Verdict:
        order = order_for(device, self._kind, on=False)
        now = trio.current_time()
        return await self._link.put(order, begin_by=now + PUT_S, give_up_at=now + PUT_S)

    def _set_end(self, at: float) -> None:
        self.ends_at = at
        self._complained = False
        self._settle()

    def _settle(self) -> None:
        """Forget on the disk, too, what is no longer owed."""
        if math.isinf(self.ends_at) and not self._risky:
            self._debt.settle()

    def _taken(self, expected: _Expected) -> None:
        """The gateway took it on: of a siren no more is heard, others may be as they should be already."""
        if self._expected is not expected:
            return  # it told so in the meantime
        device = self._device()
        known = is_on(device, self._kind) if isinstance(device, Device) else None
        if self._kind == "siren" or (known is not None and known[0] == expected.on):
            self._switched(expected.on)
