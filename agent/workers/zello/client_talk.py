"""The visitor's voice to every channel: when it may begin, what a refusal means, when it begins again."""

from __future__ import annotations

import math
from collections import OrderedDict

import trio

from agent.model.errors import PeerError
from agent.runtime import Context, EncodedVoice, Transmission
from agent.workers.zello.client_line import Line
from agent.workers.zello.client_session import OwnStream, Session
from agent.workers.zello.client_stream import End, OutgoingStream
from agent.workers.zello.config import CloudConfig
from agent.workers.zello.errors import ErrorCode, Reaction, reaction_to
from agent.workers.zello.wire import CodecHeader, StartStream

LATE_S = 10.0
BUSY_S = 5.0
BUSY_RETRY_S = 1.0
LOOK_AGAIN_S = 1.0
NOT_READY_S = 0.5
START_GAP_S = 1.5
WOODPECKER_FIRST_S = 1.5
WOODPECKER_MOST_S = 8.0
MOST_FAILURES = 5
APPEARS_S = 1.0
SAID_S = 30.0
PACKET_MS_ASKED_FOR = 60
MAX_RINGS = 64


class Refused(Exception):
    """A stream will not be started. simpler: it may be, with 60 ms a packet."""

    def __init__(self, reason: str, *, simpler: bool = False) -> None:
        super().__init__(reason)
        self.simpler = simpler


class _Floor:
    """One channel: our streams there come one after the other, and not too often."""

    def __init__(self) -> None:
        self.turn = trio.Lock()
        self.started_at = -math.inf
        self.woodpecker_s = WOODPECKER_FIRST_S


class Talk:
    """Follows the door's transmissions; one stream per channel and transmission at a time.

    A ring's message is dropped when it cannot begin within ten seconds, or within five when somebody talks;
    the other side of a call goes on trying for as long as the call lasts.
    """

    def __init__(self, config: CloudConfig, context: Context, line: Line) -> None:
        self._config = config
        self._context = context
        self._line = line
        self._board = line.board
        self._floors = {channel: _Floor() for channel in config.channels}
        self._rings: OrderedDict[str, dict[str, bool]] = OrderedDict()
        self._progress = trio.lowlevel.ParkingLot()

    async def run(self) -> None:
        """Speak for ever. Cancellation: what is being said is stopped at the server."""
        after = 0
        async with trio.open_nursery() as nursery:
            while True:
                transmission = await self._context.voice.transmission(after)
                after = transmission.number
                if not self._wanted(transmission):
                    continue
                if transmission.reason == "ring":
                    self._rings[transmission.call_id] = dict.fromkeys(self._config.channels, False)
                    while len(self._rings) > MAX_RINGS:
                        self._rings.popitem(last=False)
                for channel in self._config.channels:
                    nursery.start_soon(self._speak, transmission, channel)
                self._progress.unpark_all()

    async def until_said(self, call_id: str, channel: str) -> None:
        """Return when the voice of a ring has been said in a channel, or will not be: 30 s at most."""
        with trio.move_on_after(APPEARS_S):
            while call_id not in self._rings:
                await self._progress.park()
        with trio.move_on_after(SAID_S):
            while not self._rings.get(call_id, {}).get(channel, True):
                await self._progress.park()

    def _wanted(self, transmission: Transmission) -> bool:
        if self._config.listen_only or not self._config.username or self._config.door == "never":
            return False
        if transmission.reason != "ring":
            return True
        return self._config.ring.voice and not self._context.notifications.suppressed(transmission.endpoint)

    async def _speak(self, transmission: Transmission, channel: str) -> None:
        """Say one transmission in one channel, beginning again after an interruption."""
        try:
            began = trio.current_time()
            last_start = math.inf if transmission.reason == "visitor" else began + LATE_S
            packet_ms: int = self._config.packet_ms
            while True:
                # Made before anything is waited for: it keeps what is said meanwhile.
                with transmission.encoded(packet_ms=packet_ms) as voice:
                    try:
                        end = await self._say(transmission, channel, voice, last_start)
                    except Refused as refused:
                        if refused.simpler and packet_ms != PACKET_MS_ASKED_FOR:
                            packet_ms = PACKET_MS_ASKED_FOR
                            continue
                        self._board.count("streams_not_sent")
                        self._board.show("not_sent", f"{channel}: {refused}")
                        return
                if end is End.INTERRUPTED:
                    self._board.count("streams_interrupted")
                if (
                    end is End.SAID
                    or transmission.over
                    or (end is not End.INTERRUPTED and transmission.reason != "visitor")
                ):
                    return
        finally:
            if (ring := self._rings.get(transmission.call_id)) is not None and transmission.reason == "ring":
                ring[channel] = True
            self._progress.unpark_all()

    async def _say(
        self, transmission: Transmission, channel: str, voice: EncodedVoice, last_start: float
    ) -> End:
        floor = self._floors[channel]
        async with floor.turn:
            session, stream = await self._start(transmission, channel, voice, last_start)
            self._board.count("streams_out")
            outgoing = OutgoingStream(session, stream, voice)
            try:
                return await outgoing.send(channel)
            finally:
                self._board.count("packets_out", outgoing.sent)
                if outgoing.dropped:
                    self._board.count("packets_dropped", outgoing.dropped)

    async def _start(
        self, transmission: Transmission, channel: str, voice: EncodedVoice, last_start: float
    ) -> tuple[Session, OwnStream]:
        """Get the floor of a channel. Raises: Refused."""
        floor = self._floors[channel]
        busy_until = math.inf
        failures = 0
        while True:
            if failures and transmission.over:
                raise Refused("over before it could begin")
            session = None
            with trio.move_on_at(min(last_start, trio.current_time() + LOOK_AGAIN_S)):
                session = await self._line.ready(channel)
            if session is None:
                if barred := self._line.barred(channel):
                    raise Refused(barred)
                if transmission.over or trio.current_time() >= last_start:
                    raise Refused("not online in time")
                continue
            pause_s = BUSY_RETRY_S
            error = ErrorCode.CHANNEL_BUSY.value
            if not self._line.somebody_talks(channel):
                await trio.sleep_until(floor.started_at + START_GAP_S)
                floor.started_at = trio.current_time()
                try:
                    started = await session.start_stream(
                        StartStream(
                            codec=CodecHeader(voice.sample_rate_hz, 1, voice.packet_ms),
                            packet_ms=voice.packet_ms,
                            channel=channel,
                            recipient=self._config.ring.recipient if transmission.reason == "ring" else "",
                        )
                    )
                except PeerError as lost:
                    if trio.current_time() > last_start:
                        raise Refused(lost.reason) from lost
                    failures += not session.ended
                    continue
                if isinstance(started, OwnStream):
                    floor.woodpecker_s = WOODPECKER_FIRST_S
                    return session, started
                error = started.error
                pause_s = self._pause_after(session, channel, floor, error)
            failures += 1
            now = trio.current_time()
            busy_until = min(busy_until, now + BUSY_S)
            patient = transmission.reason == "visitor" and reaction_to(error) is Reaction.PAUSE
            if not patient and (now + pause_s > busy_until or failures > MOST_FAILURES):
                raise Refused(error)
            await trio.sleep(pause_s)

    def _pause_after(self, session: Session, channel: str, floor: _Floor, error: str) -> float:
        """Seconds until the start may be tried once more. Raises: Refused when it may not."""
        reaction = self._line.refused(session, channel, error)
        match reaction:
            case Reaction.PAUSE if error.strip().lower() == ErrorCode.WOODPECKER:
                pause_s = floor.woodpecker_s
                floor.woodpecker_s = min(pause_s * 2, WOODPECKER_MOST_S)
                return pause_s
            case Reaction.PAUSE | Reaction.RETRY | Reaction.RETRY_LATER:
                return BUSY_RETRY_S
            case Reaction.WAIT_ONLINE | Reaction.RECONNECT | Reaction.RECONNECT_AFRESH:
                return NOT_READY_S
            case _:
                raise Refused(error, simpler=reaction is Reaction.SIMPLER)
