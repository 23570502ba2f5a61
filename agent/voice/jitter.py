"""The jitter buffer: packets in any order and at any time in, one turn after the other out.

Time is an argument, durations are microseconds by the packets' own TOC, for senders announce what they like.

Source: Zello Channel API, "Stream data": a server numbers the packets of a stream by one; RFC 3550, section
6.4.1, for the idea that jitter is the spread of transit times.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import Final, NamedTuple

from msgspec import Struct

TARGET_MIN_US: Final = 40_000
TARGET_MAX_US: Final = 200_000
CAPACITY_US: Final = 10_000_000
CAPACITY_BYTES: Final = 1_048_576
OVERFLOW_CHUNK_US: Final = 1_000_000
GAP_CONCEALED_MAX: Final = 5  # packets; a longer gap is skipped
RESTART_BELOW: Final = 1_000  # a packet id so much lower begins a new count
TALK_PAUSE_S: Final = 1.0
READY_AFTER_S: Final = 0.2
JITTER_ASSUMED_S: Final = 0.02
JITTER_PERCENTILE: Final = 0.98
MARGIN_STEP_US: Final = 10_000  # for each time that a packet came when it was too late to wait for it
MARGIN_MAX_US: Final = 60_000
MARGIN_FADES_US: Final = 300_000_000
TRANSITS_KEPT: Final = 256
TRANSITS_TRUSTED: Final = 10


class Turn(Struct, frozen=True, gc=False):
    """What is to be played next. packet: None when it is lost: conceal so much sound.

    jumped: it does not continue what was played before.
    """

    packet: bytes | None
    duration_us: int
    jumped: bool


class _Entry(NamedTuple):
    seq: int
    packet: bytes | None
    duration_us: int
    jumped: bool


class Transits:
    """The spread of transit times over the last few seconds of packets.

    A transit is when a packet came, less when its sound was due: only differences mean anything. Sorted, so
    that the fastest and the percentile are looked up; the clocks of both ends may differ, the window forgets.
    """

    def __init__(self) -> None:
        self._sorted: list[float] = []
        self._recent: deque[float] = deque()

    def add(self, transit_s: float) -> None:
        if len(self._recent) == TRANSITS_KEPT:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(transit_s)
        insort(self._sorted, transit_s)

    def clear(self) -> None:
        self._sorted.clear()
        self._recent.clear()

    @property
    def jitter_s(self) -> float:
        """How much later than the fastest all but the worst fiftieth were."""
        if not self._sorted:
            return 0.0
        return self._sorted[int(JITTER_PERCENTILE * (len(self._sorted) - 1))] - self._sorted[0]

    @property
    def trusted(self) -> bool:
        return len(self._recent) >= TRANSITS_TRUSTED


class JitterBuffer:
    """Up to ten seconds of one stream, in order.

    Full: the oldest second gives way, in one piece, which leaves more to understand than many small holes.
    `late` counts packets whose turn was over, `dropped` those that gave way, `duplicates` repeated ids.

    Packets are ordered by id. An id so far back that it must be a new count continues the stream; a stream
    whose ids never move is taken in the order of arrival.
    """

    def __init__(self, *, period_us: int = 20_000) -> None:
        self._period_us = period_us
        self._queue: deque[_Entry] = deque()
        self._queue_bytes = 0
        self._next_seq = 0
        self._newest_id: int | None = None
        self._newest_seq = -1
        self._newest_end_us = 0
        self._numbered = True
        self._moved = False
        self._overflowed = False
        self._last_packet: bytes | None = None
        self._arrived_s = 0.0
        self._waiting_since_s = 0.0
        self._transits = Transits()
        self._jitter_s = JITTER_ASSUMED_S
        self._margin_us = 0.0
        self._missed = False
        self.last_us = period_us
        self.depth_us = 0
        self.target_us = TARGET_MIN_US
        self.late = 0
        self.dropped = 0
        self.duplicates = 0

    @property
    def jitter_s(self) -> float:
        """The spread of arrivals that the target is made for."""
        return self._jitter_s

    def put(self, packet_id: int, packet: bytes | None, duration_us: int, now_s: float) -> None:
        """Take a packet that came at `now_s`; None for one that came broken and keeps its place."""
        if not self._queue:
            self._waiting_since_s = now_s
        paused = now_s - self._arrived_s > TALK_PAUSE_S
        self._arrived_s = now_s
        if self._missed and not paused:
            self._margin_us = min(self._margin_us + MARGIN_STEP_US, MARGIN_MAX_US)
        self._missed = False
        newest_id = self._newest_id
        jumped = False
        if newest_id is None or packet_id == newest_id:
            if newest_id is not None and self._is_duplicate(packet):
                self.duplicates += 1
                return
            seq = self._newest_seq + 1
        else:
            step = packet_id - newest_id
            jumped = step <= -RESTART_BELOW
            # A stream that begins to count has not lost what it did not count before.
            seq = self._newest_seq + (1 if jumped or not self._numbered else step)
            self._numbered = True
            self._moved = True
        step = seq - self._newest_seq
        due_us = self._newest_end_us + (step - 1) * duration_us
        if paused or jumped or step > GAP_CONCEALED_MAX + 1:
            self._transits.clear()
        self._transits.add(now_s - due_us / 1e6)
        self._aim(duration_us)
        if step > 0:
            self._newest_id = packet_id
            self._newest_seq = seq
            self._newest_end_us = due_us + duration_us
            self._last_packet = packet
        self._insert(_Entry(seq, packet, duration_us, jumped))

    def take(self) -> Turn | None:
        """What is to be played now, or None while there is nothing."""
        if not self._queue:
            self._missed = True
            return None
        gap = self._queue[0].seq - self._next_seq
        if 0 < gap <= GAP_CONCEALED_MAX and not self._overflowed:
            self._next_seq += 1
            return Turn(None, self.last_us, False)
        seq, packet, duration_us, jumped = self._queue.popleft()
        self._forget(packet, duration_us)
        self._next_seq = seq + 1
        self.last_us = duration_us
        jumped = jumped or gap > 0 or self._overflowed
        self._overflowed = False
        return Turn(packet, duration_us, jumped)

    def ready(self, now_s: float) -> bool:
        """Enough to begin: the target is reached, or what is there has waited for as long as may be."""
        if not self._queue:
            return False
        return self.depth_us >= self.target_us or now_s - self._waiting_since_s >= READY_AFTER_S

    def _is_duplicate(self, packet: bytes | None) -> bool:
        """The newest id once more: again the same packet, or a sender that does not count?"""
        if self._moved or (self._numbered and packet == self._last_packet):
            return True
        self._numbered = False
        return False

    def _aim(self, duration_us: int) -> None:
        jitter_s = self._transits.jitter_s
        # The first few say too little; after a pause what was known before still holds.
        self._jitter_s = jitter_s if self._transits.trusted else max(jitter_s, self._jitter_s)
        self._margin_us -= self._margin_us * duration_us / MARGIN_FADES_US
        # A packet and a period on top: that much comes and goes in one piece.
        wanted_us = round(self._jitter_s * 1e6 + self._margin_us) + duration_us + self._period_us
        self.target_us = min(max(wanted_us, TARGET_MIN_US), TARGET_MAX_US)

    def _insert(self, entry: _Entry) -> None:
        queue = self._queue
        if entry.seq < self._next_seq:
            self.late += 1
            return
        if not queue or entry.seq > queue[-1].seq:
            queue.append(entry)
        else:
            place = bisect_left(queue, entry.seq, key=_seq_of)
            if queue[place].seq == entry.seq:
                self.duplicates += 1
                return
            queue.insert(place, entry)
        self.depth_us += entry.duration_us
        self._queue_bytes += len(entry.packet) if entry.packet is not None else 0
        if self.depth_us > CAPACITY_US or self._queue_bytes > CAPACITY_BYTES:
            self._overflow()

    def _overflow(self) -> None:
        depth_us = self.depth_us - OVERFLOW_CHUNK_US
        while len(self._queue) > 1 and (self.depth_us > depth_us or self._queue_bytes > CAPACITY_BYTES):
            _, packet, duration_us, _ = self._queue.popleft()
            self._forget(packet, duration_us)
            self.dropped += 1
        self._next_seq = self._queue[0].seq
        self._overflowed = True

    def _forget(self, packet: bytes | None, duration_us: int) -> None:
        self.depth_us -= duration_us
        self._queue_bytes -= len(packet) if packet is not None else 0


def _seq_of(entry: _Entry) -> int:
    return entry.seq
