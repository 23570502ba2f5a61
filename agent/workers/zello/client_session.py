"""One connection to a server: its requests and their replies, its channels, and what it tells meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import trio

from agent.model.errors import MalformedMessage, PeerError
from agent.net.websocket import ClientPeer
from agent.workers.zello.client_board import Board
from agent.workers.zello.client_policy import Cause, SessionEnded, advice_on, ended_by_error, ended_by_peer
from agent.workers.zello.client_replies import Replies, Waiting
from agent.workers.zello.config import CloudConfig
from agent.workers.zello.wire import (
    ChannelStatus,
    Command,
    ErrorTold,
    Event,
    ImagePacket,
    Logon,
    OtherPacket,
    Reaction,
    Reply,
    StartStream,
    StopStream,
    StreamStopped,
    VoicePacket,
    decode_packet,
    decode_told,
    encode_request,
    reaction_to,
)

REPLY_S = 10.0
ONLINE_S = 15.0
CLOSING_S = 1.5
MAX_MALFORMED_IN_A_ROW = 20
NO_STATUS = "does not come online; upper and lower case of a channel's name count"

logger = logging.getLogger(__name__)


class Ear(Protocol):
    """What a session tells of others; called by its reader, so nothing here may wait or raise."""

    def heard(self, event: Event) -> None:
        """An event that is not about the session itself."""

    def voice(self, packet: VoicePacket) -> None:
        """A voice packet, of any stream."""

    def image(self, packet: ImagePacket) -> None:
        """One part of an image."""


class OwnStream:
    """A stream of ours on this connection. ended: why the server ended it, None while it has not."""

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id
        self.ended: str | None = None


class Session:
    """A connection that is logged on, or about to. Requests may come from any task.

    changed: woken when a channel, a stream or the session itself comes or goes.
    channels: the last status of each. barred: why nothing may be sent to a channel, until it comes online
    again. may_send: false when we, or the server, want only to listen here. refresh_token: given at logon.
    """

    def __init__(
        self,
        peer: ClientPeer,
        config: CloudConfig,
        board: Board,
        changed: trio.lowlevel.ParkingLot,
        *,
        may_send: bool,
        on_online: Callable[[], None],
    ) -> None:
        self.may_send = may_send
        self.channels: dict[str, ChannelStatus] = {}
        self.barred: dict[str, str] = {}
        self.refresh_token = ""
        self._peer = peer
        self._config = config
        self._board = board
        self._on_online = on_online
        self._replies = Replies()
        self._streams: dict[int, OwnStream] = {}
        self._starting = 0
        self._changed = changed
        self._ended: SessionEnded | None = None
        self._scope = trio.CancelScope()
        self._malformed_in_a_row = 0
        self._late_stops: trio.Nursery | None = None

    # ----- life -----

    async def run(self, logon: Logon, ear: Ear) -> SessionEnded:
        """Log on and read for as long as the connection lasts; gives why it does no longer.

        Cancellation: streams that are open are stopped first, for at most 1.5 s.
        """
        with self._scope:
            try:
                async with trio.open_nursery() as nursery:
                    self._late_stops = nursery
                    nursery.start_soon(self._read, ear)
                    await self._log_on(logon)
                    await self._come_online()
            finally:
                # Nobody may wait for a reply any more; who speaks says so while the connection still stands.
                self._ended = self._ended or SessionEnded(Cause.LOST, "the connection is being closed")
                self._replies.hang_up()
                self._changed.unpark_all()
                with trio.CancelScope(deadline=trio.current_time() + CLOSING_S, shield=True):
                    while self._streams or self._starting:
                        await self._changed.park()
        assert self._ended is not None
        return self._ended

    @property
    def ended(self) -> bool:
        """True once nothing can be asked any more."""
        return self._ended is not None

    def end(self, ended: SessionEnded) -> None:
        """End this connection; the first reason counts."""
        if self._ended is None:
            self._ended = ended
            self._scope.cancel()

    async def _log_on(self, logon: Logon) -> None:
        try:
            reply = await self.request(logon)
        except PeerError as error:
            self.end(ended_by_peer(error))
            return
        if reply.error:
            if logon.refresh_token and reaction_to(reply.error) is Reaction.REAUTHENTICATE:
                self.end(SessionEnded(Cause.AFRESH, "the refresh token is not good any more"))
            else:
                self.end(ended_by_error(reply.error, at_logon=True) or SessionEnded(Cause.LOST, reply.error))
        else:
            self.refresh_token = reply.refresh_token

    async def _come_online(self) -> None:
        """A logon that succeeds does not mean a channel that works: the cloud is silent about wrong names."""
        wanted = self._config.channels
        with trio.move_on_after(ONLINE_S):
            while not all(name in self.channels and self.channels[name].online for name in wanted):
                await self._changed.park()
        for name in wanted:
            if name not in self.channels:
                self._board.show(f"channel.{name}", NO_STATUS)
                self._board.complain(f"channel {name}", NO_STATUS)
        if not any(status.online for status in self.channels.values()):
            final = any(_is_final(status) for status in self.channels.values())
            self.end(SessionEnded(Cause.CONFIGURATION if final else Cause.LOST, self._why_offline()))

    def _why_offline(self) -> str:
        told = [
            f"{name}: {advice_on(status.error)}" for name, status in self.channels.items() if status.error
        ]
        return "; ".join(told) or NO_STATUS

    # ----- requests -----

    async def request(self, command: Command) -> Reply:
        """Ask, and wait at most ten seconds for the reply, which may be an error.

        Raises: PeerError when there is none or the connection is gone.
        Cancellation: the server may still do it.
        """
        return await self._exchange(self._replies.expect(command))

    async def _exchange(self, waiting: Waiting) -> Reply:
        try:
            if self._ended is not None:
                await trio.lowlevel.checkpoint()
                raise PeerError(self._ended.reason)
            with trio.fail_after(REPLY_S):
                await self._peer.send_text(encode_request(waiting.command, waiting.seq))
                await waiting.done.wait()
        except trio.TooSlowError as error:
            raise PeerError(f"no reply to {type(waiting.command).__name__} within {REPLY_S:g} s") from error
        finally:
            self._replies.give_up(waiting)
        if waiting.reply is None:
            raise PeerError(self._ended.reason if self._ended is not None else "the connection is gone")
        return waiting.reply

    async def send_packet(self, data: bytes) -> None:
        """Send a binary message. Raises: PeerError."""
        if self._ended is not None:
            await trio.lowlevel.checkpoint()
            raise PeerError(self._ended.reason)
        await self._peer.send_binary(data)

    async def start_stream(self, command: StartStream) -> OwnStream | Reply:
        """A stream, or the reply that refuses it. Raises: PeerError.

        Cancellation: a stream that the server starts all the same is stopped as soon as it says so.
        """
        self._starting += 1
        waiting = self._replies.expect(command)
        try:
            reply = await self._exchange(waiting)
            if reply.error or not reply.stream_id:
                return reply if reply.error else Reply(seq=reply.seq, error="no stream id in the reply")
            return self._streams[reply.stream_id]
        except BaseException:
            # It may have come in the very moment in which we gave up.
            if waiting.reply is not None and waiting.reply.stream_id in self._streams:
                await self.stop_stream(self._streams[waiting.reply.stream_id], command.channel)
            raise
        finally:
            self._starting -= 1
            self._changed.unpark_all()

    async def stop_stream(self, stream: OwnStream, channel: str) -> None:
        """Say that a stream is over, also on the way out under cancellation; bounded, never raises.

        The reply is not waited for: a server that cannot stop what is over may say so.
        """
        with trio.CancelScope(deadline=trio.current_time() + CLOSING_S, shield=True):
            try:
                if stream.ended is None:
                    stop = StopStream(stream_id=stream.stream_id, channel=channel)
                    await self._peer.send_text(encode_request(stop, self._replies.next_seq()))
            except PeerError:
                # Then it is over anyway.
                pass
            finally:
                self._streams.pop(stream.stream_id, None)
                self._changed.unpark_all()

    def why_not(self, channel: str) -> str:
        """Why nothing can be sent to a channel now; empty when it can."""
        if self._ended is not None:
            return "not connected"
        if not self.may_send:
            return "this connection may only listen"
        if channel in self.barred:
            return self.barred[channel]
        status = self.channels.get(channel)
        if status is None or not status.online:
            return "the channel is not online"
        return ""

    # ----- what the server says -----

    async def _read(self, ear: Ear) -> None:
        while True:
            try:
                message = await self._peer.receive()
            except PeerError as error:
                self.end(ended_by_peer(error))
                return
            try:
                if isinstance(message, bytes):
                    packet = decode_packet(message)
                    told: Reply | Event | None = None
                else:
                    told = decode_told(message)
            except MalformedMessage as error:
                self._board.count("malformed")
                logger.debug("cloud=%s malformed=%s", self._config.name, error)
                self._malformed_in_a_row += 1
                if self._malformed_in_a_row >= MAX_MALFORMED_IN_A_ROW:
                    self.end(
                        SessionEnded(Cause.LOST, f"{self._malformed_in_a_row} unreadable messages in a row")
                    )
                    return
                continue
            self._malformed_in_a_row = 0
            if told is None:
                self._hear_packet(packet, ear)
            else:
                self._hear(told, ear)

    def _hear_packet(self, packet: VoicePacket | ImagePacket | OtherPacket, ear: Ear) -> None:
        match packet:
            case VoicePacket():
                ear.voice(packet)
            case ImagePacket():
                ear.image(packet)
            case OtherPacket():
                self._board.count("ignored")

    def _hear(self, told: Reply | Event, ear: Ear) -> None:
        match told:
            case Reply():
                self._hear_reply(told)
            case ChannelStatus():
                self._hear_status(told)
            case StreamStopped(stream_id=stream_id) if stream_id in self._streams:
                self._streams[stream_id].ended = "the server ended the stream"
                self._changed.unpark_all()
            case ErrorTold(error=error):
                self._hear_error(error)
            case _:
                ear.heard(told)

    def _hear_reply(self, reply: Reply) -> None:
        if (waiting := self._replies.came(reply)) is not None:
            # Known from here on: its stop may be the next message.
            if isinstance(waiting.command, StartStream) and reply.success and reply.stream_id:
                self._streams[reply.stream_id] = OwnStream(reply.stream_id)
        elif (late_in := self._replies.late(reply)) is not None and reply.stream_id:
            assert self._late_stops is not None
            self._board.count("late_streams")
            self._late_stops.start_soon(self.stop_stream, OwnStream(reply.stream_id), late_in)

    def _hear_status(self, status: ChannelStatus) -> None:
        if status.channel not in self._config.channels:
            self._board.count("ignored")
            return
        before = self.channels.get(status.channel)
        self.channels[status.channel] = status
        told = (
            "online"
            if status.online
            else f"offline: {advice_on(status.error)}"
            if status.error
            else "offline"
        )
        self._board.show(f"channel.{status.channel}", told)
        self._board.show(f"users.{status.channel}", status.users_online)
        if before is not None and before.online == status.online:
            return
        if status.online:
            self.barred.pop(status.channel, None)
            self._on_online()
            self._board.state("online")
        else:
            if status.error:
                self._board.complain(f"channel {status.channel} is offline", advice_on(status.error))
            if before is not None and not any(each.online for each in self.channels.values()):
                self._board.state("offline", self._why_offline())
        self._changed.unpark_all()

    def _hear_error(self, error: str) -> None:
        self._board.count("errors")
        self._board.show("last_error", error)
        ended = ended_by_error(error, at_logon=False)
        if ended is not None:
            self.end(ended)
            return
        match reaction_to(error):
            case Reaction.LISTEN_ONLY:
                self.may_send = False
            case Reaction.END_MESSAGE:
                for stream in self._streams.values():
                    stream.ended = stream.ended or error
            case Reaction.IGNORE:
                return
            case _:
                pass
        self._board.complain("the server reports an error", advice_on(error))
        self._changed.unpark_all()


def _is_final(status: ChannelStatus) -> bool:
    """True when a channel is offline for a reason that does not pass by itself."""
    return bool(status.error) and (
        status.error_type == "configuration" or reaction_to(status.error) is Reaction.PARK
    )
