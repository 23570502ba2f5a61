"""A lock or light of this house at the cloud: told once, and never believed to have done it.

The cloud says `ok` for any well-formed order, wired or not, and never tells how the lock or the light is.
So `ok` is "taken on", an end is our own timer, and an unlocking whose answer was lost is never repeated:
it would open the door for nobody. Source: captures of BTicino integrations.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import trio

from agent.model.errors import AuthenticationError, PeerError
from agent.runtime import Command, Remote
from agent.workers.netatmo.catalogue import ERRORS
from agent.workers.netatmo.client_api import Api, ApiError
from agent.workers.netatmo.client_state import Mirror, Module
from agent.workers.netatmo.wire import part_failures

ASKED_S = 5.5  # after its expiry whoever asked has given up
DEFAULT_HOLD_S = 5.0
OFF_WITHIN_S = 10.0
OFF_AGAIN_S = 10.0
OFF_TRIES = 30
LAST_OFF_S = 2.0
NOT_TOLD = "the vendor does not report it"
NO_SIREN = "the vendor lets nobody switch a siren: it is told, never sounded"
TIME_OVER = "time over"
STOPPED = "the connection to its cloud has been stopped: it may have acted"

logger = logging.getLogger(__name__)


class Output:
    """One bound output; `run` is its one task.

    api: of the account, None while it is not there. module: what it is now, or why it is nothing.
    ends_at: trio time at which it is over; inf: it is not on, or without an end.
    """

    def __init__(
        self, remote: Remote, mirror: Mirror, api: Callable[[], Api | None],
        module: Callable[[], Module | str], wrote: Callable[[], None],
    ) -> None:  # fmt: skip
        self.ends_at = math.inf
        self._remote = remote
        self._kind: str = remote.config.acts_as
        self._mirror = mirror
        self._api = api
        self._module = module
        self._wrote = wrote
        self._tries = 0

    async def run(self) -> None:
        """Obey for ever.

        Cancellation: an order that is on its way may act; what is on for a while is switched off, within 2 s.
        """
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
            if not math.isinf(self.ends_at):
                with trio.move_on_after(LAST_OFF_S, shield=True):
                    await self._end()

    # ----- what the house asks for -----

    async def _obey(self, command: Command) -> None:
        reason = STOPPED
        try:
            reason = await self._carry_out(command)
        finally:
            if reason:
                command.failed(reason)
            else:
                command.done()
        if reason:
            logger.warning("endpoint=%s not done reason=%s", self._remote.name, reason)

    async def _carry_out(self, command: Command) -> str:
        """Why it was not taken on; empty when it was."""
        module = self._module()
        if isinstance(module, str):
            return module
        if self._kind == "siren":
            return NO_SIREN
        if not command.on and self._is_momentary():
            # There is no order to close, and none is needed: the bolt falls by itself.
            self._switch(False, command)
            return ""
        reason = await self._set(
            module, self._order(module, command.on), begin_by=command.expires_at,
            give_up_at=command.expires_at + ASKED_S,
        )  # fmt: skip
        if not reason:
            self._switch(command.on, command)
        elif command.on and not self._is_momentary() and command.duration_s is not None:
            # It may be on: then it shall not do so for ever.
            self.ends_at = trio.current_time() + command.duration_s
            self._tries = 0
        return reason

    def _switch(self, on: bool, command: Command) -> None:
        self._remote.switched(on, command=command)
        duration_s = command.duration_s
        if self._kind == "lock" and on:
            duration_s = duration_s or DEFAULT_HOLD_S
        self.ends_at = trio.current_time() + duration_s if on and duration_s is not None else math.inf
        self._tries = 0

    async def _end(self) -> None:
        """Its time is over."""
        if self._is_momentary():
            self.ends_at = math.inf
            self._remote.switched(False, reason=NOT_TOLD)
            return
        module = self._module()
        reason = module if isinstance(module, str) else ""
        if isinstance(module, Module):
            now = trio.current_time()
            reason = await self._set(
                module, self._order(module, False), begin_by=now + OFF_WITHIN_S, give_up_at=now + OFF_WITHIN_S
            )
        self._tries += 1
        if reason and self._tries < OFF_TRIES:
            if self._tries == 1:
                logger.error("endpoint=%s not switched off yet reason=%s", self._remote.name, reason)
            self.ends_at = trio.current_time() + OFF_AGAIN_S
            return
        self.ends_at = math.inf
        self._remote.switched(False, reason=reason or TIME_OVER)

    # ----- to the cloud -----

    def _is_momentary(self) -> bool:
        """A lock that falls by itself; one that is wired as staircase light has to be switched off."""
        module = self._module()
        return self._kind == "lock" and (isinstance(module, str) or module.type == "BNDL")

    def _order(self, module: Module, on: bool) -> dict[str, Any]:
        order: dict[str, Any] = {"id": module.id}
        if module.bridge:
            order["bridge"] = module.bridge
        if module.type == "BNDL":
            return order | {"lock": not on}
        if module.type == "NOC":
            return order | {"floodlight": "on" if on else "off"}
        return order | {"on": on}

    async def _set(self, module: Module, order: dict[str, Any], *, begin_by: float, give_up_at: float) -> str:
        """Why it was not taken on; empty when it was."""
        api = self._api()
        if api is None:
            return "not logged in to the cloud"
        value = {"home": {"id": self._mirror.home_id, "modules": [order]}}
        try:
            with trio.fail_at(give_up_at):
                answer = await api.write(
                    "setstate", value, begin_by=begin_by, patience_s=give_up_at - trio.current_time()
                )
        except trio.TooSlowError:
            return "no answer of the cloud in time: it may have acted"
        except ApiError as error:
            return refused(error)
        except (PeerError, AuthenticationError) as error:
            return f"{error}: it may have acted" if isinstance(error, PeerError) else str(error)
        for failed, failure in part_failures(answer):
            known = ERRORS.get(failure.code) if isinstance(failure.code, int) else None
            if failed in ("", module.id, module.bridge) and (known is None or known.remedy != "done"):
                told = known.meaning if known is not None else failure.message or "no reason given"
                return f"the cloud says: {told} (error {failure.code})"
        self._wrote()
        return ""


def refused(error: ApiError) -> str:
    """What a refusal means to whoever asked for it."""
    if error.code == 13:
        return f"{error}: log in again with the scope that this device needs, such as write_mx"
    if error.sent and (error.http_status or 0) >= 500:
        return f"{error}: it may have acted"
    return str(error)
