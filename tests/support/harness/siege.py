"""A door under attack: somebody honest rings all the while, and afterwards the door is weighed."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from harness.agent_process import AgentProcess
from harness.phones import Phone, dial, phone, ring_latency, trust
from harness.quick_door import PASSWORDS
from harness.raw_websocket import RawClient

from agent.control_client import ControlClient

HONEST = "127.0.0.2"
RING_WITHIN_S = 1.0
GROWTH_BYTES = 10 * 1024 * 1024
SETTLE_S = 2.0
MUST_NOT_BE_SAID = (*PASSWORDS.values(), "Traceback")


class Siege:
    """rings_s: from each press to the alarm at the honest phone. app: that phone."""

    def __init__(self, agent: AgentProcess, app: Phone, hand: ControlClient) -> None:
        self.agent = agent
        self._hand = hand
        self.app = app
        self.rings_s: list[float] = []

    async def ring_on(self) -> None:
        """Ring for ever."""
        while True:
            self.rings_s.append(await ring_latency(self.agent, self.app, within_s=10, hand=self._hand))

    async def rings(self, count: int = 1) -> None:
        """Wait for so many more of them."""
        target = len(self.rings_s) + count
        with trio.fail_after(15):
            while len(self.rings_s) < target:
                await trio.sleep(0.01)


@asynccontextmanager
async def attacker(
    agent: AgentProcess, source: str = "127.0.0.66", *, upgrade: bool = True
) -> AsyncIterator[RawClient]:
    """A TLS connection on which any bytes can be sent."""
    stream = trio.SSLStream(
        await dial(agent, source), trust(agent), server_hostname="127.0.0.1", https_compatible=True
    )
    client = RawClient(stream)
    try:
        with trio.fail_after(10):
            await stream.do_handshake()
        if upgrade:
            await client.upgrade()
        yield client
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await client.quit()


@asynccontextmanager
async def besieged(agent: AgentProcess, *secrets: str) -> AsyncIterator[Siege]:
    """The running agent, for an attack in the body.

    Fails when a ring took longer than a second, when the agent has grown or still holds connections a moment
    later, and when its log has a traceback or one of `secrets`.
    """
    with agent.control() as hand:
        async with phone(agent, "ana", PASSWORDS["ana"], source=HONEST) as app:
            siege = Siege(agent, app, hand)
            await ring_latency(agent, app)
            before = agent.rss_bytes()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(siege.ring_on)
                yield siege
                await siege.rings()
                nursery.cancel_scope.cancel()
            deadline = time.monotonic() + SETTLE_S
            while _clients(agent) > 1 and time.monotonic() < deadline:
                await trio.sleep(0.05)
            assert _clients(agent) == 1
            growth = agent.rss_bytes() - before
            slowest_s = max(siege.rings_s)
            print(
                f"rings {len(siege.rings_s)}, slowest {slowest_s * 1e3:.0f} ms, grown by {growth >> 10} KiB"
            )
            assert slowest_s < RING_WITHIN_S
            assert growth < GROWTH_BYTES
    log = agent.log()
    for text in (*MUST_NOT_BE_SAID, *secrets):
        assert text not in log, log
    assert agent.ask("status")["problems"] == []


def _clients(agent: AgentProcess) -> int:
    return int(agent.ask("status")["workers"]["zmes"]["page"]["clients"])


def mutations(message: Any, values: tuple[Any, ...]) -> Iterator[Any]:
    """The message with every part of it, at any depth, replaced by each of the values, and left out."""
    for path in _paths(message):
        for value in values:
            yield _with(message, path, value)
        yield _without(message, path)
    yield from values


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from _paths(part, (*path, key))


def _with(message: Any, path: tuple[str | int, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(message))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def _without(message: Any, path: tuple[str | int, ...]) -> Any:
    copy = json.loads(json.dumps(message))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy
