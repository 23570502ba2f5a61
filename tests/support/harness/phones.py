"""Apps that listen to a running door: a foreign websocket library over TLS, from any loopback address."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import trio
from harness.agent_process import REST_S, AgentProcess
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import ClientConnection, connect

from agent.control_client import ControlClient

PATIENCE_S = 5.0


class Phone:
    """One connection of an app. account: whose it is; empty while nobody has logged in."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: object) -> None:
        """Send one message: an object as JSON, text and bytes as they are."""
        with trio.fail_after(PATIENCE_S):
            await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def hear(self, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next message. Raises: trio.TooSlowError, ConnectionClosed."""
        with trio.fail_after(within_s):
            text = await self.connection.recv()
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def log_in(self, user: str, password: str, **more: object) -> dict[str, Any]:
        """The answer to a log-in. more: members beside user and password, such as monlist."""
        await self.say({"event": "auth", "data": {"user": user, "password": password, **more}})
        return await self.hear()

    async def alarm(self, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """The one item of the next alarm; anything else fails the test."""
        message = await self.hear(within_s)
        assert message["event"] == "alarm", message
        (item,) = message["events"]
        assert isinstance(item, dict)
        return item

    async def silent(self, for_s: float = 0.3) -> bool:
        """True when nothing comes."""
        with trio.move_on_after(for_s):
            await self.connection.recv()
            return False
        return True

    async def closed(self, within_s: float = PATIENCE_S) -> int:
        """Wait for the end, passing over what still comes; the code of the server's CLOSE, else 1006."""
        with trio.fail_after(within_s):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed as end:
                return end.rcvd.code if end.rcvd is not None else 1006


def trust(agent: AgentProcess) -> ssl.SSLContext:
    """What an app knows that was given the door's authority."""
    return ssl.create_default_context(cafile=agent.ready["ca"])


async def dial(agent: AgentProcess, source: str = "127.0.0.1") -> trio.SocketStream:
    """A TCP connection to the door's ES port. source: the loopback address it comes from."""
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        await sock.bind((source, 0))
        with trio.fail_after(PATIENCE_S):
            await sock.connect(("127.0.0.1", urlsplit(agent.url()).port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


@asynccontextmanager
async def phone(
    agent: AgentProcess,
    user: str = "",
    password: str = "",
    *,
    source: str = "127.0.0.1",
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Phone]:
    """A connected app, logged in when a user is given."""
    async with connect(
        agent.url(),
        stream=await dial(agent, source),
        ssl=context or trust(agent),
        server_hostname="127.0.0.1",
        close_timeout=1,
    ) as connection:
        app = Phone(connection)
        if user:
            answer = await app.log_in(user, password)
            assert answer["status"] == "Success", answer
        yield app


async def ring_latency(
    agent: AgentProcess, app: Phone, within_s: float = PATIENCE_S, *, hand: ControlClient | None = None
) -> float:
    """Seconds from the press of the button to the alarm at `app`. hand: who presses, if not `agent.press`."""

    def press() -> None:
        if hand is None:
            agent.press()
        else:
            hand.ask("sim", verb="press", endpoint="doorbell", for_ms=20)
            time.sleep(REST_S)

    begun = time.monotonic()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.to_thread.run_sync, press))
        item = await app.alarm(within_s)
        latency_s = time.monotonic() - begun
    assert item["Cause"] == "Ring", item
    return latency_s
