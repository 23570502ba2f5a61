"""The door as a member of its channels: it rings, speaks, listens, and does what it is told in writing."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

import trio

from agent.model.actions import StartTalk
from agent.model.principals import Principal, authorise
from agent.net.websocket import text_frame
from agent.runtime import Transmission
from agent.workers.zello.channel import Channel
from agent.workers.zello.commands import SendText
from agent.workers.zello.door_ear import DoorEar
from agent.workers.zello.events import TextReceived, encode_told
from agent.workers.zello.packets import HEADER_BYTES, CodecHeader
from agent.workers.zello.people import obey
from agent.workers.zello.stream import VoiceStream
from agent.workers.zello.translate import parse_command

if TYPE_CHECKING:
    from agent.workers.zello.downlink import Downlink
    from agent.workers.zello.hall import Hall

MAX_ERRANDS = 2  # of one connection: a command may wait for its lock, and for a password hash

logger = logging.getLogger(__name__)


class Door:
    """Owned by the server's main function. calls: the open ones, by id."""

    def __init__(self, hall: Hall) -> None:
        self.calls: set[str] = set()
        self._hall = hall
        self._name = hall.config.door_user
        self._channels = [channel for channel in hall.channels.values() if channel.has_door]
        self._errands: Counter[Downlink] = Counter()

    # ----- the door's mouth on the channels -----

    async def speak(self) -> None:
        """Stream every transmission of the door, for ever."""
        number = 0
        while True:
            transmission = await self._hall.context.voice.transmission(number)
            number = transmission.number
            channels = [channel for channel in self._channels if self._carries(channel, transmission)]
            if channels:
                await self._transmit(transmission, channels)

    def _carries(self, channel: Channel, transmission: Transmission) -> bool:
        if transmission.reason != "ring":
            return True
        suppressed = self._hall.context.notifications.suppressed(transmission.endpoint)
        return channel.config.ring.voice and not suppressed

    async def _transmit(self, transmission: Transmission, channels: list[Channel]) -> None:
        """Encode once, for all channels; on each of them whenever the floor is the door's."""
        relay, packet_ms = self._hall.relay, self._hall.config.packet_ms
        preempts = transmission.reason != "visitor"
        streams: dict[Channel, VoiceStream] = {}
        try:
            with transmission.encoded(packet_ms=packet_ms) as voice:
                codec = CodecHeader(voice.sample_rate_hz, 1, voice.packet_ms)
                while (packet := await voice.packet(1)) is not None:
                    for channel in channels:
                        stream = streams.get(channel)
                        if stream is None or stream.over:
                            recipient = channel.config.ring.recipient if transmission.reason == "ring" else ""
                            if not self._take_floor(channel, recipient, preempt=preempts and stream is None):
                                continue
                            stream = streams[channel] = relay.begin(
                                channel, sender=self._name, owner=None, recipient=recipient,
                                claimed=codec, claimed_ms=codec.packet_ms,
                            )  # fmt: skip
                        relay.packet(stream, packet[HEADER_BYTES:])
        finally:
            for stream in streams.values():
                relay.finish(stream)

    def _take_floor(self, channel: Channel, recipient: str, *, preempt: bool) -> bool:
        """True when the door may begin: the floor is free, or a ring takes it from somebody."""
        holder = channel.holder
        if recipient or holder is None:
            return True
        if not preempt or holder.owner is None or (holder.ear is not None and holder.ear.wanted):
            # Somebody speaks to the visitor: that is no reason to take the word from them.
            return False
        self._hall.relay.cut(holder)
        return True

    # ----- the door's ear -----

    def yields(self, channel: Channel, principal: Principal | None) -> bool:
        """True when somebody may begin to talk; the door's own stream is ended for them if it is to be."""
        holder = channel.holder
        if holder is None:
            return channel.is_free(trio.current_time())
        if holder.owner is not None or principal is None or not self._plays(channel):
            return False
        if not self._hall.context.voice.interruptible:
            return False
        if authorise(principal, StartTalk(), time.time_ns()) is not None:
            return False
        self._hall.relay.cut(holder)
        return True

    def listen(self, stream: VoiceStream, principal: Principal, link: Downlink) -> None:
        """Play a stream at the door, if it is meant to be heard there; the relay goes on in any case."""
        if not self._plays(stream.channel):
            return
        if not self._hall.talks.take(principal.name, trio.current_time()):
            self.say(stream.channel, "Not heard at the door: too many talks", link.account)
        else:
            stream.ear = DoorEar()
            self._hall.errands.start_soon(self._play, stream, stream.ear, principal, link)

    def _plays(self, channel: Channel) -> bool:
        door = channel.config.door
        return self._hall.context.voice.enabled and (
            door == "always" or (door == "calls" and bool(self.calls))
        )

    async def _play(self, stream: VoiceStream, ear: DoorEar, principal: Principal, link: Downlink) -> None:
        async with self._hall.context.guard(f"talk {principal.name}"):
            await ear.run(self._hall.context, principal)
        if ear.refusal:
            self.say(stream.channel, f"Not heard at the door: {ear.refusal}", link.account)

    def call_changed(self, call_id: str, *, is_open: bool) -> None:
        """Follow the calls: what is said outside of one is not for the visitor."""
        if is_open:
            self.calls.add(call_id)
        else:
            self.calls.discard(call_id)
        if not self.calls:
            for stream in self._hall.relay.live.values():
                if stream.ear is not None and stream.channel.config.door == "calls":
                    stream.ear.end(cut=True)

    # ----- in writing -----

    def say(self, channel: Channel, text: str, recipient: str = "") -> None:
        """A text of the door, for all or for one user; also while somebody talks."""
        if not channel.config.texts:
            return
        frame = text_frame(
            encode_told(
                TextReceived(
                    message_id=self._hall.ids.next(),
                    channel=channel.name,
                    sender=self._name,
                    text=text,
                    recipient=recipient,
                )
            )
        )
        for link in channel.audience(None, recipient):
            link.tell(frame)

    def is_secret(self, channel: Channel, command: SendText) -> bool:
        """True when others must not read it: it has somebody's PIN in it."""
        if not self._reads(channel, command):
            return False
        found = parse_command(command.text, self._hall.config.commands.words)
        return found is not None and bool(found.pin)

    def read(self, channel: Channel, command: SendText, link: Downlink, principal: Principal | None) -> None:
        """Do what a text says, if it is a command; the answer goes to its writer alone."""
        if not self._reads(channel, command):
            return
        if parse_command(command.text, self._hall.config.commands.words) is None:
            return
        if self._errands[link] >= MAX_ERRANDS:
            self.say(channel, "Still busy with what you wrote before.", link.account)
            return
        self._errands[link] += 1
        self._hall.errands.start_soon(self._obey, channel, command.text, link, principal)

    def _reads(self, channel: Channel, command: SendText) -> bool:
        return (
            channel.has_door and self._hall.config.commands.enabled and command.recipient in ("", self._name)
        )

    async def _obey(self, channel: Channel, text: str, link: Downlink, principal: Principal | None) -> None:
        account = link.account
        try:
            async with self._hall.context.guard(f"command {account}"):
                answer = await obey(
                    text,
                    who=principal,
                    account=account,
                    peer=link.peer.address,
                    context=self._hall.context,
                    config=self._hall.config.commands,
                )
                if answer is not None:
                    self.say(channel, answer, account)
        finally:
            self._errands[link] -= 1
            if not self._errands[link]:
                del self._errands[link]
