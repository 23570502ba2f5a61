"""One outgoing stream, when the network takes it slower than it is spoken."""

from __future__ import annotations

from typing import cast

import pytest
import trio
from harness.voice import MemoryTransmission

from agent.model.errors import PeerError
from agent.workers.zello.client_session import OwnStream, Session
from agent.workers.zello.client_stream import End, OutgoingStream

OPUS = b"\x58\xff\xfe"


class SlowSession:
    """Takes packets at its own pace. lost: from this packet on the connection is gone."""

    def __init__(self, packet_s: float, lost: int = 10_000) -> None:
        self.packet_s = packet_s
        self.lost = lost
        self.ended = False
        self.packets: list[bytes] = []
        self.stopped: list[int] = []

    async def send_packet(self, data: bytes) -> None:
        await trio.sleep(self.packet_s)
        if len(self.packets) >= self.lost:
            raise PeerError("gone")
        self.packets.append(data)

    async def stop_stream(self, stream: OwnStream, channel: str) -> None:
        self.stopped.append(stream.stream_id)
        await trio.lowlevel.checkpoint()


async def sent(session: SlowSession, seconds: float) -> tuple[End, OutgoingStream]:
    transmission = MemoryTransmission(1, "ring", "c1", "doorbell")
    result: list[End] = []
    with transmission.encoded(packet_ms=60) as voice:
        stream = OutgoingStream(cast(Session, session), OwnStream(5), voice)

        async def send() -> None:
            result.append(await stream.send("door"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            for _ in range(int(seconds / 0.06)):
                transmission.feed(OPUS)
                await trio.sleep(0.06)
            transmission.end()
    return result[0], stream


async def test_the_oldest_words_give_way(autojump_clock: trio.testing.MockClock) -> None:
    session = SlowSession(0.12)
    end, stream = await sent(session, 12)
    assert end is End.SAID
    ids = [int.from_bytes(data[5:9], "big") for data in session.packets]
    assert ids == sorted(set(ids))
    assert ids[-1] == 199
    assert len(ids) + stream.dropped == 200
    assert 60 <= stream.dropped <= 100
    assert session.stopped == [5]


async def test_a_lost_connection_interrupts(autojump_clock: trio.testing.MockClock) -> None:
    session = SlowSession(0, lost=7)
    end, stream = await sent(session, 2)
    assert end is End.INTERRUPTED
    assert stream.sent == 7


@pytest.mark.parametrize("after_s", [0.0, 0.03, 0.5, 1.0])
async def test_cancelled_it_is_stopped(after_s: float, autojump_clock: trio.testing.MockClock) -> None:
    session = SlowSession(0.01)
    with trio.move_on_after(after_s):
        await sent(session, 5)
    assert session.stopped == [5]
