"""An intercom on a simulated card, with an event log that remembers and calls that are real."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
from harness.door import Counting, ObedientJournal, Recorded, who
from harness.sound import speech

from agent.calls import Calls, CallsConfig
from agent.dispatch import Dispatch
from agent.intercom.config import VoiceConfig
from agent.intercom.intercom import Intercom
from agent.model.actions import CALL_TARGET, TALK_TARGET, Action, StartTalk
from agent.model.events import AnyEvent, ButtonPressed, MicrophoneChanged, TalkEnded, TalkStarted
from agent.model.outcomes import Done, Outcome
from agent.runtime import Playback, Transmission
from agent.voice import chime
from agent.voice.codec import Codec
from hw.audio_fake import SimulatedCard
from hw.ports import AudioSink, AudioSource

PERIOD_S = 0.02
MOST_S = 1000.0


class Studio:
    """intercom: under test. card: the hand at the plug. log: everything told. Wants a mock clock."""

    def __init__(
        self,
        folder: Path,
        *,
        card: SimulatedCard | None = None,
        calls: CallsConfig | None = None,
        **config: Any,
    ) -> None:
        for sound in (chime.ring, chime.accepted, chime.refused, chime.announcement):
            sound()  # made before, as at the door
        plain = {"microphone": "sim", "speaker": "sim", **config}
        self.config = msgspec.convert(plain, VoiceConfig)
        self.folder = folder
        self.log = Recorded()
        self.card = card or SimulatedCard()
        self.sources: list[AudioSource] = []
        self.sinks: list[AudioSink] = []
        self.intercom = Intercom(
            self.config,
            log=self.log,
            recordings=folder / "recordings",
            open_source=self._open_source,
            open_sink=self._open_sink,
        )
        self.calls = Calls(calls or CallsConfig(), log=self.log, new_id=Counting("c"))
        self.dispatch = Dispatch(
            log=self.log,
            journal=ObedientJournal(),
            performers={CALL_TARGET: self.calls, TALK_TARGET: self.intercom},
            new_id=Counting("a"),
        )

    async def _open_source(self, device: str) -> AudioSource:
        await trio.lowlevel.checkpoint()
        source = self.card.open_source()
        self.sources.append(source)
        return source

    async def _open_sink(self, device: str) -> AudioSink:
        await trio.lowlevel.checkpoint()
        sink = self.card.open_sink()
        self.sinks.append(sink)
        return sink

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The intercom and the calls, from a card that was looked at once to a stop."""
        # Time jumps: a test that waits for what never comes would run through years of it.
        with trio.fail_after(MOST_S):
            async with self._opened():
                yield

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(self.calls.run, after=0))
            await nursery.start(partial(self.intercom.run, after=0))
            await trio.sleep(0.1)
            yield
            nursery.cancel_scope.cancel()

    def press(self, endpoint: str = "bell") -> None:
        self.log.publish(ButtonPressed(endpoint=endpoint))

    async def do(self, action: Action, name: str = "ana") -> Outcome:
        return await self.dispatch.submit(action, who(name=name))

    @asynccontextmanager
    async def talking(self, name: str = "ana") -> AsyncIterator[Playback]:
        """Somebody who asked and may speak."""
        outcome = await self.do(StartTalk(), name)
        assert isinstance(outcome, Done), outcome
        async with self.intercom.incoming(by=name, via="test") as playback:
            yield playback

    async def speak(self, playback: Playback, duration_s: float, *, finish: bool = True) -> bytes:
        """Say something in real time; what was said."""
        said = speech(duration_s)
        for packet in packets(said):
            playback.push(packet)
            await trio.sleep(PERIOD_S)
        if finish:
            await playback.finish()
        return said

    def told(self, *kinds: type) -> list[AnyEvent]:
        return self.log.events(*kinds)

    def microphone(self) -> list[tuple[bool, str]]:
        """When it was on and why."""
        return [(event.on, event.reason) for event in self.log.events(MicrophoneChanged)]  # type: ignore[union-attr]

    def talks(self) -> list[tuple[str, str]]:
        """Who began and who ended, why."""
        story = []
        for event in self.log.events(TalkStarted, TalkEnded):
            match event:
                case TalkStarted(by=by):
                    story.append((by, "started"))
                case TalkEnded(by=by, reason=reason):
                    story.append((by, reason))
        return story


def packets(pcm: bytes, packet_ms: int = 20) -> Iterator[bytes]:
    """Voice packets of whole frames of `pcm`."""
    codec = Codec(16_000, packet_ms * 1000)
    for number, at in enumerate(range(0, len(pcm) - codec.frame_bytes + 1, codec.frame_bytes)):
        yield codec.encode_packet(1, number, pcm[at : at + codec.frame_bytes])


def decoded(received: list[bytes]) -> bytes:
    """The sound of packets in order."""
    codec = Codec(16_000, 20_000)
    return b"".join(codec.decode_packet(packet)[1] for packet in received)


async def receive(transmission: Transmission, *, packet_ms: int = 20, stream_id: int = 9) -> list[bytes]:
    """All packets of a transmission until it is over."""
    received: list[bytes] = []
    with transmission.encoded(packet_ms=packet_ms) as voice:
        while (packet := await voice.packet(stream_id)) is not None:
            received.append(packet)
    return received
