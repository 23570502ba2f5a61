"""What one logged-on client does: talks, shows, writes. Each call gives the reply, or the error to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from agent.model.errors import MalformedMessage
from agent.model.principals import Principal
from agent.net.websocket import text_frame
from agent.quota import AccountQuotas
from agent.workers.zello.access import Right
from agent.workers.zello.channel import Channel
from agent.workers.zello.commands import SendImage, SendLocation, SendText, StartStream, StopStream
from agent.workers.zello.downlink import Downlink
from agent.workers.zello.errors import ErrorCode
from agent.workers.zello.events import LocationReceived, Reply, TextReceived, encode_told
from agent.workers.zello.packets import MAX_IMAGE_BYTES, ImagePacket, VoicePacket, decode_packet
from agent.workers.zello.stream import VoiceStream

if TYPE_CHECKING:
    from agent.workers.zello.door import Door
    from agent.workers.zello.hall import Hall

REMEMBERED_STREAMS = 16
MAX_LIVE_STREAMS = 4


class Uplink:
    """Belongs to its session. A client that names no channel means its only one."""

    def __init__(self, link: Downlink, hall: Hall, door: Door) -> None:
        self._link = link
        self._hall = hall
        self._door = door
        self._principal: Principal | None = None
        self._asked: tuple[str, ...] = ()
        self._listen_only = False
        self._channels: dict[str, tuple[Channel, Right]] = {}
        self._streams: dict[int, VoiceStream] = {}
        self._stopped: set[int] = set()
        self._granted: VoiceStream | None = None

    def settle(self, principal: Principal | None, asked: tuple[str, ...], *, listen_only: bool) -> None:
        """A logon succeeded; channels that are not asked for any more are left."""
        self._principal = principal
        self._asked = asked
        self._listen_only = listen_only
        for name in [name for name in self._channels if name not in asked]:
            self._leave(self._channels.pop(name)[0])

    def enter(self, channel: Channel, right: Right) -> None:
        """Come online on a channel, or hear again how it stands."""
        known = channel.name in self._channels
        self._channels[channel.name] = (channel, right)
        channel.join(self._link, right)
        if not known:
            self._hall.relay.join(self._link, channel)

    def close(self) -> None:
        """Leave everything; listeners still hear out what was said. Idempotent."""
        for channel, _ in self._channels.values():
            self._leave(channel)
        self._channels.clear()
        self._granted = None
        self._hall.gallery.forget(self._link)

    def packet(self, data: bytes) -> str:
        """A binary message; the error to tell, or nothing."""
        try:
            packet = decode_packet(data)
            match packet:
                case VoicePacket():
                    return self._voice(packet)
                case ImagePacket():
                    return self._image_part(packet)
                case _:
                    return ""  # somebody has seen a third type; nobody knows what it is for
        except MalformedMessage as error:
            if error.where == "image packet":
                return ErrorCode.INVALID_REQUEST
            self._hall.counters.packets_invalid += 1
            return ErrorCode.INVALID_AUDIO

    def start(self, command: StartStream, seq: int | None) -> Reply | str:
        """Ask for the floor."""
        where = self._to(command.channel)
        if isinstance(where, str):
            return where
        channel, right = where
        if self._listen_only or right != "talk":
            return ErrorCode.LISTEN_ONLY
        if not self._hall.starts.take(self._link.account, trio.current_time()):
            return ErrorCode.WOODPECKER
        mine = [stream for stream in self._streams.values() if not stream.over]
        for stream in mine:
            if stream.channel is channel:
                # A client begins again when it has lost track of what it began before.
                self._hall.relay.finish(stream)
        if len(mine) >= MAX_LIVE_STREAMS:
            return ErrorCode.FAILED_START
        private = bool(command.recipient) and command.recipient != channel.door_user
        if not private and not self._door.yields(channel, self._principal):
            return ErrorCode.CHANNEL_BUSY
        stream = self._hall.relay.begin(
            channel,
            sender=self._link.account,
            owner=self._link,
            recipient=command.recipient,
            claimed=command.codec,
            claimed_ms=command.packet_ms,
        )
        self._granted = stream
        self._streams[stream.id] = stream
        while len(self._streams) > REMEMBERED_STREAMS:
            oldest = next(iter(self._streams))
            del self._streams[oldest]
            self._stopped.discard(oldest)
        if not private and self._principal is not None:
            self._door.listen(stream, self._principal, self._link)
        return Reply(seq=seq or 0, stream_id=stream.id)

    def stop(self, command: StopStream, seq: int | None) -> Reply | str:
        """The talk is over."""
        number = command.stream_id
        if not number:
            # What a client says whose start was refused, or that lost the reply.
            granted = self._granted
            if granted is None or granted.over:
                return ErrorCode.FAILED_STOP
            number = granted.id
        stream = self._streams.get(number)
        if stream is None:
            return ErrorCode.INVALID_STREAM_ID
        if number in self._stopped:
            return ErrorCode.FAILED_STOP
        # Also for one that we ended before: the client could not know.
        self._stopped.add(number)
        self._hall.relay.finish(stream)
        return Reply(seq=seq or 0)

    def image(self, command: SendImage, seq: int | None) -> Reply | str:
        """Announce an image."""
        where = self._may_send(command.channel, "images", self._hall.images)
        if isinstance(where, str):
            return where
        if max(command.content_bytes, command.thumbnail_bytes) > MAX_IMAGE_BYTES:
            return ErrorCode.INVALID_REQUEST
        number = self._hall.gallery.expect(where, self._link, self._link.account, command)
        return Reply(seq=seq or 0, image_id=number)

    def text(self, command: SendText, seq: int | None) -> Reply | str:
        """A text for the channel or one user; the door may take it for a command."""
        where = self._may_send(command.channel, "texts", self._hall.writings)
        if isinstance(where, str):
            return where
        self._hall.counters.texts += 1
        if not self._door.is_secret(where, command):
            frame = text_frame(
                encode_told(
                    TextReceived(
                        message_id=self._hall.ids.next(),
                        channel=where.name,
                        sender=self._link.account,
                        text=command.text,
                        recipient=command.recipient,
                    )
                )
            )
            for link in where.audience(self._link, command.recipient):
                link.tell(frame)
        self._door.read(where, command, self._link, self._principal)
        return Reply(seq=seq or 0)

    def location(self, command: SendLocation, seq: int | None) -> Reply | str:
        """A position for the channel or one user."""
        where = self._may_send(command.channel, "locations", self._hall.writings)
        if isinstance(where, str):
            return where
        self._hall.counters.locations += 1
        frame = text_frame(
            encode_told(
                LocationReceived(
                    message_id=self._hall.ids.next(),
                    channel=where.name,
                    sender=self._link.account,
                    latitude=command.latitude,
                    longitude=command.longitude,
                    accuracy_m=command.accuracy_m,
                    address=command.address,
                    recipient=command.recipient,
                )
            )
        )
        for link in where.audience(self._link, command.recipient):
            link.tell(frame)
        return Reply(seq=seq or 0)

    def _voice(self, packet: VoicePacket) -> str:
        stream = self._granted if packet.stream_id == 0 else self._streams.get(packet.stream_id)
        if stream is None:
            # Number 0 is of somebody who has not heard our reply, which was a refusal.
            return ErrorCode.INVALID_STREAM_ID if packet.stream_id else ""
        self._hall.relay.packet(stream, packet.payload)
        return ""

    def _image_part(self, packet: ImagePacket) -> str:
        if not packet.jpeg:
            return ErrorCode.INVALID_REQUEST
        taken = self._hall.gallery.take(self._link, packet)
        return "" if taken == "taken" else ErrorCode.FAILED_SEND

    def _to(self, name: str) -> tuple[Channel, Right] | str:
        """The channel that a command is for, or the error."""
        if not name:
            if len(self._asked) != 1:
                return ErrorCode.NOT_ENOUGH_PARAMS
            name = self._asked[0]
        return self._channels.get(name) or ErrorCode.CHANNEL_NOT_READY

    def _may_send(self, name: str, what: str, quotas: AccountQuotas) -> Channel | str:
        where = self._to(name)
        if isinstance(where, str):
            return where
        channel, right = where
        if self._listen_only or right != "talk":
            return ErrorCode.LISTEN_ONLY
        allowed = getattr(channel.config, what) and quotas.take(self._link.account, trio.current_time())
        if not allowed:
            return ErrorCode.FAILED_SEND
        return channel

    def _leave(self, channel: Channel) -> None:
        for stream in self._streams.values():
            if stream.channel is channel:
                self._hall.relay.finish(stream)
        channel.leave(self._link)
        self._link.cut_channel(channel)
