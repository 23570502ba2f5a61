"""One talk on a channel: its packets with our numbers, its clock, and who hears it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.net.websocket import text_frame
from agent.workers.zello.events import StreamStarted, StreamStopped, encode_told
from agent.workers.zello.packets import CodecHeader, voice_packet
from agent.workers.zello.toc import collapsed, duration_us, true_header

if TYPE_CHECKING:
    from agent.workers.zello.agenda import Appointment
    from agent.workers.zello.channel import Channel
    from agent.workers.zello.door_ear import DoorEar
    from agent.workers.zello.downlink import Downlink, Hearing

RATE_BURST_S = 2.0  # what a client may have collected before it heard that it may talk
MOST_BYTES_PER_S = 64_000  # 510 kbit/s is the most that Opus makes; padding may be anything


class VoiceStream:
    """Belongs to the relay. owner: who talks; None is the door. recipient: the one user it is for, or empty.

    Senders' packet ids and announced durations are not looked at: ids count from 0 here, time is told by
    each packet itself. audio_s: sound that was relayed. over: ended, by whomever.
    start_frame: what a listener is told first, built when the stream is announced.
    """

    __slots__ = (
        "_claimed",
        "_claimed_ms",
        "_max_rate",
        "_next_packet",
        "_relayed_bytes",
        "_stop_frame",
        "audience",
        "audio_s",
        "channel",
        "dropped",
        "ear",
        "id",
        "last_at",
        "over",
        "owner",
        "packet_s",
        "recipient",
        "sender",
        "start_frame",
        "started_at",
        "timers",
    )

    def __init__(
        self,
        stream_id: int,
        channel: Channel,
        *,
        sender: str,
        recipient: str,
        owner: Downlink | None,
        claimed: CodecHeader,
        claimed_ms: int,
        max_rate: float,
        now: float,
    ) -> None:
        self.id = stream_id
        self.channel = channel
        self.sender = sender
        self.recipient = recipient
        self.owner = owner
        self.started_at = self.last_at = now
        self.audio_s = self.packet_s = 0.0
        self.dropped = 0
        self.over = False
        self.start_frame = b""
        self.audience: list[Hearing] = []
        self.timers: list[Appointment] = []
        self.ear: DoorEar | None = None
        self._claimed = claimed
        self._claimed_ms = claimed_ms
        self._max_rate = max_rate
        self._next_packet = 0
        self._relayed_bytes = 0
        self._stop_frame = b""

    @property
    def needs_floor(self) -> bool:
        """True when nobody else may talk on the channel meanwhile."""
        return not self.recipient or self.recipient == self.channel.door_user

    def take(self, payload: bytes, now: float) -> bytes | None:
        """The voice message to relay, or None for one that came too fast.

        Raises: MalformedMessage when it is no Opus packet.
        """
        packet_s = duration_us(payload) / 1e6
        number = self._next_packet
        self._next_packet += 1
        self.last_at = now
        allowed_s = RATE_BURST_S + self._max_rate * (now - self.started_at)
        size = self._relayed_bytes + len(payload)
        if self.audio_s + packet_s > allowed_s or size > MOST_BYTES_PER_S * allowed_s:
            self.dropped += 1
            return None
        self._relayed_bytes = size
        self.audio_s += packet_s
        self.packet_s = packet_s
        return voice_packet(self.id, number, payload)

    def ends_at(self) -> float:
        """When all of it has been heard by somebody who heard it from the start, without delay."""
        return max(self.started_at + self.audio_s, self.last_at + self.packet_s)

    def announcement(self, first: bytes | None) -> bytes:
        """The frame of on_stream_start; true by the first packet, or the sender's claim when there is none.

        Raises: MalformedMessage when the packet is none.
        """
        if first is None:
            codec = collapsed(self._claimed, self._claimed_ms)
        else:
            codec = true_header(first, self._claimed)
        return text_frame(
            encode_told(
                StreamStarted(
                    stream_id=self.id,
                    channel=self.channel.name,
                    sender=self.sender,
                    codec=codec,
                    packet_ms=codec.packet_ms,
                    recipient=self.recipient,
                )
            )
        )

    def stop_frame(self) -> bytes:
        """The frame of on_stream_stop, built once."""
        if not self._stop_frame:
            self._stop_frame = text_frame(encode_told(StreamStopped(stream_id=self.id)))
        return self._stop_frame
