"""A door's ear and mouth in memory, for testing what a worker does with them; no codec is needed."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

import trio

from agent.model.errors import EndpointError

RATE_HZ = 16_000
KEPT_MS = 2000
LATER_PACKETS = 10
Reason = Literal["ring", "visitor", "announcement"]


def voice_packet(stream_id: int, packet_id: int, opus: bytes = b"\x48\xff\xfe") -> bytes:
    """One voice packet as it travels: nine bytes of header and an Opus packet (default: 20 ms of it)."""
    return struct.pack(">BII", 1, stream_id, packet_id) + opus


class MemoryEncodedVoice:
    """See runtime.EncodedVoice: what the test feeds comes out with headers."""

    sample_rate_hz = RATE_HZ

    def __init__(self, transmission: MemoryTransmission, packet_ms: int) -> None:
        self.packet_ms = packet_ms
        self.stream_ids: list[int] = []
        self.dropped = 0
        self._transmission = transmission
        self._waiting: deque[bytes] = deque()
        self._asked = False
        self._packet_id = 0
        self._wakes = trio.lowlevel.ParkingLot()

    def put(self, opus: bytes) -> None:
        limit = LATER_PACKETS if self._asked else KEPT_MS // self.packet_ms
        if len(self._waiting) >= limit:
            self._waiting.popleft()
            self.dropped += 1
            self._packet_id += 1
        self._waiting.append(opus)
        self._wakes.unpark_all()

    def wake(self) -> None:
        self._wakes.unpark_all()

    async def packet(self, stream_id: int) -> bytes | None:
        await trio.lowlevel.checkpoint()
        self._asked = True
        while not self._waiting:
            if self._transmission.over:
                return None
            await self._wakes.park()
        self.stream_ids.append(stream_id)
        packet = voice_packet(stream_id, self._packet_id, self._waiting.popleft())
        self._packet_id += 1
        return packet


class MemoryTransmission:
    """See runtime.Transmission. `streams`: open ones; `made`: all there ever were."""

    def __init__(self, number: int, reason: Reason, call_id: str, endpoint: str) -> None:
        self.number = number
        self.reason: Reason = reason
        self.call_id = call_id
        self.endpoint = endpoint
        self.streams: list[MemoryEncodedVoice] = []
        self.made: list[MemoryEncodedVoice] = []
        self._unheard: list[bytes] = []
        self._over = trio.Event()

    @property
    def over(self) -> bool:
        return self._over.is_set()

    async def wait_over(self) -> None:
        await self._over.wait()

    def feed(self, *opus: bytes) -> None:
        """Opus packets (without header) that every open stream gives out; while there was none yet they are
        kept for the first, so that a test need not wait for the worker."""
        for payload in opus:
            if not self.made:
                self._unheard = [*self._unheard, payload][-100:]
            for stream in self.streams:
                stream.put(payload)

    def end(self) -> None:
        """It is over: streams give what they still have, then None."""
        self._over.set()
        for stream in self.streams:
            stream.wake()

    @contextmanager
    def encoded(self, *, packet_ms: int = 20) -> Iterator[MemoryEncodedVoice]:
        if packet_ms not in (20, 40, 60):
            raise ValueError(f"packets of {packet_ms} ms")
        stream = MemoryEncodedVoice(self, packet_ms)
        for payload in self._unheard:
            stream.put(payload)
        self._unheard = []
        self.streams.append(stream)
        self.made.append(stream)
        try:
            yield stream
        finally:
            self.streams.remove(stream)


class MemoryPlayback:
    """See runtime.Playback. packets: all that was pushed. finished: `finish` was called. ended: no context.

    finish_s: how long `finish` takes.
    """

    def __init__(self, by: str, via: str) -> None:
        self.by = by
        self.via = via
        self.packets: list[bytes] = []
        self.finished = False
        self.ended = False
        self.finish_s = 0.0
        self._cut = ""

    def push(self, packet: bytes) -> None:
        self.packets.append(packet)

    async def finish(self) -> None:
        self.finished = True
        await trio.sleep(self.finish_s)

    @property
    def cut(self) -> str:
        return self._cut

    def cut_now(self, reason: str) -> None:
        """As the door does when the time limit is reached or the sound card is gone."""
        self._cut = reason


class MemoryVoice:
    """See runtime.Voice. A test sets `enabled`, `interruptible` and `refusal` (why nobody may speak in),
    begins transmissions, feeds and ends them, and reads in `playbacks` what came in, oldest first.

    As at the door, `incoming(by=NAME)` needs a StartTalk that was done for the principal of that name, one
    for each time; `House` notes it in `asked`. Unlike the door's it lets nothing end by itself: no time
    limits, and incoming speech ends no transmission.
    """

    def __init__(self, *, enabled: bool = True, interruptible: bool = True) -> None:
        self.enabled = enabled
        self.interruptible = interruptible
        self.refusal = ""
        self.asked: list[str] = []
        self.transmissions: list[MemoryTransmission] = []
        self.playbacks: list[MemoryPlayback] = []
        self._begun = trio.lowlevel.ParkingLot()
        self._speaker: MemoryPlayback | None = None

    def begin(
        self, reason: Reason = "ring", call_id: str = "c1", endpoint: str = "doorbell"
    ) -> MemoryTransmission:
        """The door begins to speak."""
        number = len(self.transmissions) + 1
        transmission = MemoryTransmission(number, reason, call_id, endpoint)
        self.transmissions.append(transmission)
        self._begun.unpark_all()
        return transmission

    @property
    def speaking(self) -> MemoryPlayback | None:
        """Who speaks through the loudspeaker now."""
        return self._speaker

    def incoming_by(self, by: str, via: str | None = None) -> list[bytes]:
        """All packets that somebody pushed (through one worker), over all their playbacks."""
        return [
            packet
            for playback in self.playbacks
            if playback.by == by and via in (None, playback.via)
            for packet in playback.packets
        ]

    async def transmission(self, after: int) -> MemoryTransmission:
        await trio.lowlevel.checkpoint()
        while True:
            for transmission in reversed(self.transmissions):
                if transmission.number > after and not transmission.over:
                    return transmission
            await self._begun.park()

    @asynccontextmanager
    async def incoming(self, *, by: str, via: str) -> AsyncIterator[MemoryPlayback]:
        await trio.lowlevel.checkpoint()
        if self.refusal or self._speaker is not None:
            raise EndpointError("talk", self.refusal or "somebody else speaks")
        if by not in self.asked:
            raise EndpointError("talk", f"{by} did not ask to speak")
        self.asked.remove(by)
        self._speaker = playback = MemoryPlayback(by, via)
        self.playbacks.append(playback)
        try:
            yield playback
        finally:
            playback.ended = True
            self._speaker = None
