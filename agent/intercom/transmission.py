"""The door speaks: one transmission, and the packets that each protocol makes of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import trio

from agent.intercom.card import PERIOD_BYTES, PERIOD_MS, RATE_HZ
from agent.intercom.microphone import Heard
from agent.voice.codec import Codec, CodecSettings

TransmissionReason = Literal["ring", "visitor", "announcement"]
KEPT_PERIODS = 100  # two seconds: a peer that has to be connected or asked first hears the beginning
LATER_PACKETS = 10
OPENING_PERIODS = 25  # for streams that are made a moment after the beginning
PACKETS_MS = (20, 40, 60)


class EncodedStream:
    """See runtime.EncodedVoice. Costs nothing but the queue while nobody asks for packets."""

    sample_rate_hz = RATE_HZ

    def __init__(self, transmission: DoorTransmission, packet_ms: int, settings: CodecSettings) -> None:
        self.packet_ms = packet_ms
        self.dropped = 0
        self._transmission = transmission
        self._codec = Codec(RATE_HZ, packet_ms * 1000, settings)
        self._need = packet_ms // PERIOD_MS
        self._waiting: deque[bytes] = deque()
        self._limit = KEPT_PERIODS
        self._asked = False
        self._packet_id = 0
        self._wakes = trio.lowlevel.ParkingLot()

    def hear(self, pcm: bytes) -> None:
        """Take a period; the oldest packet's worth of too many gives way, and its number with it."""
        waiting = self._waiting
        waiting.append(pcm)
        if len(waiting) > self._limit:
            for _ in range(self._need):
                waiting.popleft()
            self.dropped += 1
            if self._asked:
                self._packet_id += 1
        if len(waiting) >= self._need:
            self._wakes.unpark_all()

    def wake(self) -> None:
        """The transmission is over."""
        self._wakes.unpark_all()

    async def packet(self, stream_id: int) -> bytes | None:
        """See runtime.EncodedVoice."""
        await trio.lowlevel.checkpoint()
        self._asked = True
        waiting = self._waiting
        while len(waiting) < self._need and not self._transmission.over:
            await self._wakes.park()
        if not waiting:
            return None
        pcm = b"".join(waiting.popleft() for _ in range(min(self._need, len(waiting))))
        pcm += bytes(self._need * PERIOD_BYTES - len(pcm))
        # What was kept for a slow start is still given; nothing new is added to such a backlog.
        self._limit = max(LATER_PACKETS * self._need, min(self._limit, len(waiting)))
        packet = self._codec.encode_packet(stream_id, self._packet_id, pcm)
        self._packet_id += 1
        return packet


class DoorTransmission:
    """See runtime.Transmission. A listener of the microphone while it lasts."""

    def __init__(
        self,
        number: int,
        reason: TransmissionReason,
        *,
        call_id: str,
        endpoint: str,
        settings: CodecSettings,
        before: Iterable[bytes] = (),
    ) -> None:
        self.number = number
        self.reason: TransmissionReason = reason
        self.call_id = call_id
        self.endpoint = endpoint
        self._settings = settings
        self._opening: list[bytes] | None = list(before)[-OPENING_PERIODS:]
        self._streams: list[EncodedStream] = []
        self._over = trio.Event()

    @property
    def over(self) -> bool:
        """See runtime.Transmission."""
        return self._over.is_set()

    async def wait_over(self) -> None:
        """See runtime.Transmission."""
        await self._over.wait()

    def end(self) -> None:
        """It is over; what the streams still have is theirs."""
        if self.over:
            return
        self._over.set()
        self._opening = None
        for stream in self._streams:
            stream.wake()

    def hear(self, heard: Heard) -> None:
        """See microphone.Listener."""
        if self.over:
            return
        if self._opening is not None:
            self._opening.append(heard.pcm)
            if len(self._opening) > OPENING_PERIODS:
                self._opening = None
        for stream in self._streams:
            stream.hear(heard.pcm)

    @contextmanager
    def encoded(self, *, packet_ms: int = 20) -> Iterator[EncodedStream]:
        """See runtime.Transmission. One that is made within the first half second hears the beginning too.

        Raises: ValueError for another `packet_ms`.
        """
        if packet_ms not in PACKETS_MS:
            raise ValueError(f"packets of {packet_ms} ms")
        stream = EncodedStream(self, packet_ms, self._settings)
        for pcm in self._opening or ():
            stream.hear(pcm)
        self._streams.append(stream)
        try:
            yield stream
        finally:
            self._streams.remove(stream)
