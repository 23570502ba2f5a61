"""A channel as a command sees it: logged on to a Zello-compatible server, to talk there or to listen.

The commands are clients like any phone: nothing here knows the agent.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from msgspec import Struct

from agent.model.errors import AuthenticationError, MalformedMessage, PeerError
from agent.net.peer import ClientPeer
from agent.net.websocket_client import connect_websocket
from agent.workers.zello.wire import (
    ChannelStatus,
    Command,
    Event,
    ImagePacket,
    Logon,
    OtherPacket,
    Reply,
    VoicePacket,
    decode_packet,
    decode_told,
    encode_request,
)

ANSWER_S = 10.0
ONLINE_S = 15.0
SILENCE_S = 90.0
CLOSE_S = 1.0
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
HEARD_MAX = 512

Heard = Event | VoicePacket


class ChannelAddress(Struct, frozen=True, kw_only=True):
    """Where to log on, and as whom."""

    url: str
    tls: ssl.SSLContext | None
    user: str
    password: str
    channel: str
    listen_only: bool = False

    def __repr__(self) -> str:
        return f"ChannelAddress(url={self.url!r}, user={self.user!r}, channel={self.channel!r})"


class Channel:
    """A logged-on connection; made by `open_channel`."""

    def __init__(self, peer: ClientPeer, name: str) -> None:
        self._peer = peer
        self.name = name
        self.users_online = 0
        self._seq = 0
        self._replies: dict[int, Reply] = {}
        self._changed = trio.lowlevel.ParkingLot()
        self._tell, self._told = trio.open_memory_channel[Heard](HEARD_MAX)

    async def ask(self, command: Command) -> Reply:
        """The answer to a command. Raises: PeerError when none comes in ten seconds."""
        self._seq += 1
        seq = self._seq
        await self._peer.send_text(encode_request(command, seq))
        try:
            with trio.fail_after(ANSWER_S):
                while seq not in self._replies:
                    await self._changed.park()
        except trio.TooSlowError as error:
            raise PeerError(f"the server did not answer within {ANSWER_S:g} s") from error
        return self._replies.pop(seq)

    async def send(self, packet: bytes) -> None:
        """Send one voice packet, header included. Raises: PeerError."""
        await self._peer.send_binary(packet)

    async def heard(self) -> Heard:
        """The next event or voice packet, from the moment of the logon on. Raises: PeerError at the end."""
        try:
            return await self._told.receive()
        except trio.EndOfChannel as error:
            raise PeerError(self._peer.reason or "the connection is over") from error

    async def read(self) -> None:
        """Take in what the server says until the connection ends; the task that always reads."""
        with self._tell:
            while True:
                try:
                    message = await self._peer.receive()
                except PeerError:
                    return
                heard = _understood(message)
                if isinstance(heard, Reply):
                    self._replies[heard.seq] = heard
                    self._changed.unpark_all()
                elif heard is not None:
                    if isinstance(heard, ChannelStatus):
                        self.users_online = heard.users_online
                    await self._tell.send(heard)


def _understood(message: str | bytes) -> Reply | Heard | None:
    """What came, or None for what a newer server may have to say."""
    try:
        if isinstance(message, str):
            return decode_told(message)
        match decode_packet(message):
            case VoicePacket() as packet:
                return packet
            case ImagePacket() | OtherPacket():
                return None
    except MalformedMessage:
        return None


@asynccontextmanager
async def open_channel(address: ChannelAddress) -> AsyncIterator[Channel]:
    """Connect, log on, and wait until the channel is there.

    Raises: AuthenticationError when the server refuses the account, PeerError for anything else that fails.
    """
    async with connect_websocket(
        address.url,
        ssl_context=address.tls,
        max_message_bytes=MAX_MESSAGE_BYTES,
        silence_timeout_s=SILENCE_S,
        close_timeout_s=CLOSE_S,
    ) as peer:
        channel = Channel(peer, address.channel)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.read)
            reply = await channel.ask(
                Logon(
                    username=address.user,
                    password=address.password,
                    channels=(address.channel,),
                    listen_only=address.listen_only,
                    platform_name="portero",
                )
            )
            if not reply.success:
                raise AuthenticationError(reply.error)
            await _wait_online(channel)
            yield channel
            nursery.cancel_scope.cancel()


async def _wait_online(channel: Channel) -> None:
    try:
        with trio.fail_after(ONLINE_S):
            while True:
                match await channel.heard():
                    case ChannelStatus(channel=name, online=True) if name == channel.name:
                        return
                    case ChannelStatus(error=reason) if reason:
                        raise PeerError(f"channel {channel.name!r}: {reason}")
    except trio.TooSlowError as error:
        raise PeerError(f"channel {channel.name!r} did not come online within {ONLINE_S:g} s") from error
