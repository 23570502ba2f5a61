"""One stream of the door's voice on its way out: paced, padded, bounded, and stopped whatever happens."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

import trio

from agent.model.errors import PeerError
from agent.runtime import EncodedVoice
from agent.workers.zello.client_session import OwnStream, Session
from agent.workers.zello.packets import HEADER_BYTES, voice_packet

KEPT_S = 2.0
LEAST_PACKETS = 3
MOST_S = 60.0
CATCH_UP = 2.0
WATCH_S = 0.5

# What a decoder plays as nothing: wide-band CELT frames of 20 ms, one, two and three of them in a packet.
SILENCE: Final = {
    20: b"\xb8\xff\xfe",
    40: b"\xb9\xff\xfe\xff\xfe",
    60: b"\xbb\x03\xff\xfe\xff\xfe\xff\xfe",
}


class End(Enum):
    """How a stream ended."""

    SAID = "said to its end"
    LIMIT = "the longest message is over"
    STOPPED = "the server ended it"
    INTERRUPTED = "the connection was lost"


class OutgoingStream:
    """Sends what the microphone gives as one stream that has been started.

    What waited for the start is sent at twice its speed at most: a burst would not be played by all. A
    server that takes it slower than it is spoken loses the oldest, beyond two seconds.
    """

    def __init__(self, session: Session, stream: OwnStream, voice: EncodedVoice) -> None:
        self.sent = 0
        self.dropped = 0
        self._session = session
        self._stream = stream
        self._voice = voice
        self._packet_s = voice.packet_ms / 1000
        self._kept: deque[bytes] = deque(maxlen=int(KEPT_S / self._packet_s))
        self._spoken = False
        self._arrived = trio.lowlevel.ParkingLot()
        self._next_id = 0

    async def send(self, channel: str) -> End:
        """Send until the transmission is over, then stop the stream.

        Cancellation: the stream is stopped at the server, which takes 1.5 s at most.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                end = await self._forward()
                nursery.cancel_scope.cancel()
        finally:
            await self._session.stop_stream(self._stream, channel)
        return end

    async def _listen(self) -> None:
        while (data := await self._voice.packet(self._stream.stream_id)) is not None:
            if len(self._kept) == self._kept.maxlen:
                self.dropped += 1
            self._kept.append(data)
            self._arrived.unpark_all()
        self._spoken = True
        self._arrived.unpark_all()

    async def _forward(self) -> End:
        began = trio.current_time()
        earliest = began
        try:
            while True:
                if self._stream.ended is not None:
                    return End.STOPPED
                if self._session.ended:
                    return End.INTERRUPTED
                if self.sent * self._packet_s >= MOST_S:
                    return End.LIMIT
                if self._kept:
                    await trio.sleep_until(earliest)
                    data = self._kept.popleft()
                elif not self._spoken:
                    with trio.move_on_after(WATCH_S):
                        await self._arrived.park()
                    continue
                elif self.sent < LEAST_PACKETS:
                    # "empty message" otherwise, and some players drop what is shorter.
                    data = voice_packet(self._stream.stream_id, self._next_id, SILENCE[self._voice.packet_ms])
                else:
                    break
                await self._session.send_packet(data)
                self.sent += 1
                self._next_id = int.from_bytes(data[HEADER_BYTES - 4 : HEADER_BYTES], "big") + 1
                earliest = trio.current_time() + self._packet_s / CATCH_UP
            # A stop that overtakes the sound takes it away from some players.
            await trio.sleep_until(began + self.sent * self._packet_s)
        except PeerError:
            return End.INTERRUPTED
        return End.SAID
