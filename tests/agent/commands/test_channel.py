"""A channel as a command sees it, on servers that behave badly."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from harness.event_server import SocketWire, listening

from agent.commands.channel import Channel, ChannelAddress, open_channel
from agent.model.errors import AuthenticationError, PeerError
from agent.supervise import leaves
from agent.workers.zello.wire import StopStream, TextReceived

ONLINE = {"command": "on_channel_status", "channel": "C", "status": "online", "users_online": 3}


def address(url: str) -> ChannelAddress:
    return ChannelAddress(url=url, tls=None, user="ana", password="s e c r e t", channel="C")


async def visit(
    behave: Callable[[SocketWire], Awaitable[Any]], then: Callable[[Channel], Awaitable[Any]] | None = None
) -> None:
    """Come to a server of this behaviour. Raises: what `open_channel` does, out of its group."""
    try:
        async with listening(behave, tls=None) as url, open_channel(address(url)) as channel:
            if then is not None:
                await then(channel)
    except BaseExceptionGroup as group:
        (error,) = leaves(group)
        raise error from None


async def accept(wire: SocketWire) -> None:
    logon = json.loads(await wire.receive())
    assert (logon["command"], logon["channels"]) == ("logon", ["C"])
    await wire.send(json.dumps({"seq": logon["seq"], "success": True}))


async def test_what_nobody_understands_is_passed_over() -> None:
    async def behave(wire: SocketWire) -> None:
        await accept(wire)
        for nonsense in ("rubbish", "[]", '{"command": 5}', '{"command": "on_new_thing"}', '{"seq": 99}'):
            await wire.send(nonsense)
        await wire.send(json.dumps(ONLINE))
        text = {"command": "on_text_message", "channel": "C", "from": "x", "message_id": 1, "text": "hi"}
        await wire.send(json.dumps(text))
        await wire.receive()

    async def then(channel: Channel) -> None:
        assert channel.users_online == 3
        heard = await channel.heard()
        assert isinstance(heard, TextReceived)
        assert heard.text == "hi"

    await visit(behave, then)


async def test_refusals_and_ends_have_their_words() -> None:
    async def refuse(wire: SocketWire) -> None:
        logon = json.loads(await wire.receive())
        await wire.send(json.dumps({"seq": logon["seq"], "error": "not authorized"}))
        await wire.receive()

    async def no_such(wire: SocketWire) -> None:
        await accept(wire)
        status = {"command": "on_channel_status", "channel": "C", "status": "offline"}
        await wire.send(json.dumps({**status, "error": "channel not found"}))
        await wire.receive()

    async def leave(wire: SocketWire) -> None:
        await accept(wire)
        await wire.close(1001)

    with pytest.raises(AuthenticationError, match="not authorized"):
        await visit(refuse)
    with pytest.raises(PeerError, match="channel 'C': channel not found"):
        await visit(no_such)
    with pytest.raises(PeerError, match="1001"):
        await visit(leave)


async def test_a_silent_server_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands.channel.ANSWER_S", 0.2)
    monkeypatch.setattr("agent.commands.channel.ONLINE_S", 0.2)

    async def silent(wire: SocketWire) -> None:
        await wire.receive()
        await trio.sleep_forever()

    async def never_online(wire: SocketWire) -> None:
        await accept(wire)
        await trio.sleep_forever()

    async def then_silent(wire: SocketWire) -> None:
        await accept(wire)
        await wire.send(json.dumps(ONLINE))
        await trio.sleep_forever()

    async def stop(channel: Channel) -> None:
        await channel.ask(StopStream(stream_id=1, channel="C"))

    with pytest.raises(PeerError, match=r"did not answer within 0\.2 s"):
        await visit(silent)
    with pytest.raises(PeerError, match=r"did not come online within 0\.2 s"):
        await visit(never_online)
    with pytest.raises(PeerError, match=r"did not answer within 0\.2 s"):
        await visit(then_silent, stop)


def test_nobody_reads_a_password() -> None:
    assert "s e c r e t" not in repr(address("ws://127.0.0.1:1/"))
