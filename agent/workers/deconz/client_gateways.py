"""All gateways that the door follows, and what a person may ask about them."""

from __future__ import annotations

from typing import Annotated

import msgspec
import trio
from msgspec import Meta

from agent.model.errors import CommandError
from agent.runtime import Context, Question
from agent.workers.deconz.client import Follower
from agent.workers.deconz.config import DeconzConfig

WAIT_S = 60.0
Wait = Annotated[float, Meta(ge=1, le=600)]


class Gateways:
    """One follower per gateway; answers `pair`, `gateway_status` and `gateway_devices`."""

    def __init__(self, config: DeconzConfig, context: Context) -> None:
        only = len(config.gateway) == 1
        self._followers = {
            gateway.name: Follower(
                gateway,
                context,
                [
                    remote
                    for remote in context.remotes
                    if remote.config.gateway == gateway.name or (only and not remote.config.gateway)
                ],
            )
            for gateway in config.gateway
        }
        context.answer("pair", self._pair)
        context.answer("gateway_status", self._status)
        context.answer("gateway_devices", self._devices)

    async def run(self) -> None:
        """Follow all of them for ever."""
        async with trio.open_nursery() as nursery:
            for follower in self._followers.values():
                nursery.start_soon(follower.run)

    async def _pair(self, question: Question) -> object:
        name = question.get("gateway", str | None, None)
        wait_s = question.get("wait_s", Wait, WAIT_S)
        if name is None and len(self._followers) == 1:
            name = next(iter(self._followers))
        follower = self._followers.get(name) if name is not None else None
        if follower is None:
            names = ", ".join(self._followers)
            raise CommandError(
                f"say which gateway: {names}" if name is None else f"no gateway named {name!r}: {names}"
            )
        return await follower.pair(wait_s)

    async def _status(self, question: Question) -> object:
        await trio.lowlevel.checkpoint()
        return [follower.status() for follower in self._followers.values()]

    async def _devices(self, question: Question) -> object:
        await trio.lowlevel.checkpoint()
        return [
            msgspec.to_builtins(row) for follower in self._followers.values() for row in follower.devices()
        ]
