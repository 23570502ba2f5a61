"""Residents on a voice channel of a running door: who hears everything, talks at any pace, and writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
from harness.agent_process import AgentProcess
from harness.phones import trust
from harness.quick_door import PASSWORDS

from agent.commands.channel import Channel, ChannelAddress, open_channel
from agent.voice.codec import Codec
from agent.workers.zello.wire import (
    CodecHeader,
    ErrorTold,
    SendText,
    StartStream,
    StopStream,
    StreamStarted,
    StreamStopped,
    TextReceived,
    VoicePacket,
)

RATE_HZ = 16_000
PACKET_S = 0.02
PERIOD_BYTES = 640
PATIENCE_S = 8.0
FRONT = "Front door"
T = TypeVar("T")


class TalkHeard:
    """One stream as a listener hears it. at: when it began, by trio's clock."""

    def __init__(self, sender: str) -> None:
        self.sender = sender
        self.at = trio.current_time()
        self.pcm = b""
        self.packets = 0
        self.over = False
        self._codec = Codec(RATE_HZ)

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / RATE_HZ

    def add(self, packet: bytes) -> None:
        self.packets += 1
        self.pcm += self._codec.decode_packet(packet)[1]


class Resident:
    """One connection that is logged on. talks, texts, errors: all that came, in order."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.talks: list[TalkHeard] = []
        self.texts: list[TextReceived] = []
        self.errors: list[str] = []
        self.stopped: set[int] = set()
        self._live: dict[int, TalkHeard] = {}
        self._news = trio.Event()

    async def read(self) -> None:
        """Take everything in until the connection ends; the resident's task. Raises: PeerError at its end."""
        while True:
            match await self.channel.heard():
                case StreamStarted() as begun:
                    self._live[begun.stream_id] = TalkHeard(begun.sender)
                    self.talks.append(self._live[begun.stream_id])
                case VoicePacket() as packet if packet.stream_id in self._live:
                    self._live[packet.stream_id].add(packet.data)
                case StreamStopped(stream_id=number):
                    self.stopped.add(number)
                    if number in self._live:
                        self._live.pop(number).over = True
                case TextReceived() as text:
                    self.texts.append(text)
                case ErrorTold(error=error):
                    self.errors.append(error)
            self._news.set()
            self._news = trio.Event()

    @property
    def live(self) -> int:
        """Streams that began and were not ended."""
        return len(self._live)

    async def until(self, found: Callable[[], T], within_s: float = PATIENCE_S) -> T:
        """What `found` gives once it is something, looked at whenever something came."""
        with trio.move_on_after(within_s):
            while not (value := found()):
                await self._news.wait()
            return value
        raise AssertionError(
            f"not within {within_s:g} s; talks {[(t.sender, t.seconds, t.over) for t in self.talks]}, "
            f"texts {[text.text for text in self.texts]}, errors {self.errors}"
        )

    async def talk_of(self, sender: str, nth: int = 0, within_s: float = PATIENCE_S) -> TalkHeard:
        """The nth talk of somebody, when it is over."""

        def heard() -> TalkHeard | None:
            theirs = [talk for talk in self.talks if talk.sender == sender]
            return theirs[nth] if len(theirs) > nth and theirs[nth].over else None

        talk = await self.until(heard, within_s)
        assert talk is not None
        return talk

    async def start(self) -> int:
        """Ask for the floor; the stream. Raises: AssertionError with the server's word."""
        reply = await self.channel.ask(
            StartStream(codec=CodecHeader(RATE_HZ, 1, 20), packet_ms=20, channel=self.channel.name)
        )
        assert reply.stream_id is not None, reply.error
        return reply.stream_id

    async def refused(self) -> str:
        """Ask for the floor and be refused; the server's word."""
        reply = await self.channel.ask(
            StartStream(codec=CodecHeader(RATE_HZ, 1, 20), packet_ms=20, channel=self.channel.name)
        )
        assert not reply.success
        return reply.error

    async def send(self, stream: int, pcm: bytes, *, pace: float = 1.0) -> None:
        """Send the sound, `pace` times as fast as it is spoken."""
        codec, begun = Codec(RATE_HZ), trio.current_time()
        for number, at in enumerate(range(0, len(pcm), PERIOD_BYTES)):
            await trio.sleep_until(begun + number * PACKET_S / pace)
            period = pcm[at : at + PERIOD_BYTES].ljust(PERIOD_BYTES, b"\0")
            await self.channel.send(codec.encode_packet(stream, number, period))

    async def stop(self, stream: int) -> None:
        await self.channel.ask(StopStream(stream_id=stream, channel=self.channel.name))

    async def say(self, pcm: bytes, *, pace: float = 1.0) -> None:
        """A whole talk."""
        stream = await self.start()
        await self.send(stream, pcm, pace=pace)
        await self.stop(stream)

    async def write(self, text: str, recipient: str = "") -> None:
        """To all on the channel, or to one."""
        reply = await self.channel.ask(SendText(text=text, channel=self.channel.name, recipient=recipient))
        assert reply.success, reply.error


@asynccontextmanager
async def resident(agent: AgentProcess, user: str = "ana", channel: str = FRONT) -> AsyncIterator[Resident]:
    """Somebody on a channel of the door's own server. An end of the connection ends the context too."""
    address = ChannelAddress(
        url=agent.url("zello"), tls=trust(agent), user=user, password=PASSWORDS[user], channel=channel
    )
    async with open_channel(address) as opened, trio.open_nursery() as nursery:
        person = Resident(opened)
        nursery.start_soon(person.read)
        yield person
        nursery.cancel_scope.cancel()
