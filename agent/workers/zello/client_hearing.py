"""Voices from a server elsewhere on their way to the door's loudspeaker: one at a time, the first wins."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import AsyncExitStack

import trio

from agent.model.actions import StartTalk
from agent.model.errors import EndpointError
from agent.model.outcomes import Busy, Done
from agent.runtime import Context, Playback
from agent.workers.zello.client_board import Board
from agent.workers.zello.config import CloudConfig
from agent.workers.zello.wire import StreamStarted, VoicePacket

IDLE_S = 3.0
RESUME_S = 10.0
MAX_STREAMS = 32
KEPT_PACKETS = 500
_NOBODY = "nobody"


class HeardStream:
    """Somebody talks. refused: the door does not play it. heard_at: when the last packet came."""

    def __init__(self, started: StreamStarted, account: str) -> None:
        self.started = started
        self.account = account
        self.refused = not account
        self.heard_at = trio.current_time()
        self.kept: deque[bytes] = deque(maxlen=KEPT_PACKETS)
        self.playback: Playback | None = None
        self.over = trio.Event()
        self.stopped = False

    @property
    def live(self) -> bool:
        """True while it counts as somebody talking: its stop may be missing."""
        return not self.stopped and trio.current_time() - self.heard_at < IDLE_S


class Hearing:
    """The streams of one connection, by their ids, 32 at most (the oldest gives way).

    Stops can be missing: three seconds without a packet end what is played, and a packet within ten more
    begins it again. door_open: tells whether the door listens now.
    """

    def __init__(
        self,
        config: CloudConfig,
        context: Context,
        board: Board,
        nursery: trio.Nursery,
        *,
        door_open: Callable[[], bool],
    ) -> None:
        self._config = config
        self._context = context
        self._board = board
        self._nursery = nursery
        self._door_open = door_open
        self._streams: OrderedDict[int, HeardStream] = OrderedDict()
        self._playing: HeardStream | None = None

    def somebody_talks(self, channel: str) -> bool:
        """True while a stream of others is on a channel."""
        return any(stream.live and stream.started.channel == channel for stream in self._streams.values())

    def started(self, started: StreamStarted) -> None:
        """Somebody begins to talk; their account is asked for when the first packet comes."""
        config = self._config
        if started.recipient and started.recipient != config.username:
            self._board.count("streams_for_others")
            return
        if started.sender == config.username and config.username:
            return
        self._board.count("streams_in")
        self._board.show("talker", started.sender or "?")
        account = config.people.get(started.sender, "") if config.door != "never" else ""
        if not account:
            self._board.count("streams_not_played")
        for other in list(self._streams.values()):
            # Nobody speaks twice at once in one channel: then the stop of the older was lost.
            if (other.started.sender, other.started.channel) == (started.sender, started.channel):
                self._end(other)
        self._streams[started.stream_id] = HeardStream(started, account)
        while len(self._streams) > MAX_STREAMS:
            self._end(next(iter(self._streams.values())))

    def stopped(self, stream_id: int) -> None:
        """Somebody has finished; a stream that nobody announced is nobody's."""
        if (stream := self._streams.get(stream_id)) is not None:
            self._end(stream)

    def door_closed(self) -> None:
        """The door does not listen any more: what is being played ends at once."""
        if self._playing is not None:
            self._playing.refused = True
            self._playing.over.set()

    def voice(self, packet: VoicePacket) -> None:
        """A packet: played, kept until it may be, or dropped."""
        stream = self._streams.get(packet.stream_id)
        if stream is None:
            self._board.count("packets_unknown")
            return
        now = trio.current_time()
        if now - stream.heard_at > IDLE_S + RESUME_S:
            self._end(stream)
            self._board.count("packets_unknown")
            return
        stream.heard_at = now
        if stream.refused or not packet.payload:
            return
        if stream.playback is not None:
            if not self._context.authenticator.admits(stream.account):
                # Removed or disabled, or its time is over: what was allowed a moment ago is no more.
                stream.refused = True
                stream.over.set()
                return
            stream.playback.push(packet.data)
            if stream.playback.cut:
                stream.refused = True
                stream.over.set()
        elif self._playing is None:
            stream.kept.append(packet.data)
            self._begin(stream)
        elif stream is self._playing or self._playing.stopped:
            # Not yet allowed, or the one before is just being played to its end.
            stream.kept.append(packet.data)
        else:
            self._board.count("packets_not_played")

    def _begin(self, stream: HeardStream) -> None:
        if not self._door_open():
            stream.refused = True
            stream.kept.clear()
            self._board.count("streams_not_played")
            return
        self._playing = stream
        self._nursery.start_soon(self._play, stream)

    def _end(self, stream: HeardStream) -> None:
        stream.stopped = True
        stream.over.set()
        if self._streams.get(stream.started.stream_id) is stream:
            del self._streams[stream.started.stream_id]
        if not any(each.live for each in self._streams.values()):
            self._board.show("talker", _NOBODY)

    async def _play(self, stream: HeardStream) -> None:
        """Ask whether they may, then play until the stream stops, falls silent or is cut."""
        try:
            principal = self._context.authenticator.principal(
                stream.account, via=self._context.name, peer=f"{self._config.name}:{stream.started.sender}"
            )
            if principal is None:
                self._refuse(stream, "the account may not come in")
                return
            outcome = await self._context.submit(StartTalk(), principal)
            if not isinstance(outcome, Done):
                self._refuse(stream, "busy" if isinstance(outcome, Busy) else outcome.reason)
                return
            async with AsyncExitStack() as stack:
                try:
                    playback = await stack.enter_async_context(
                        self._context.voice.incoming(by=principal.name, via=self._context.name)
                    )
                except EndpointError as error:
                    self._refuse(stream, error.reason)
                    return
                self._board.count("streams_played")
                for data in stream.kept:
                    playback.push(data)
                stream.kept.clear()
                stream.playback = playback
                await self._until_over(stream)
                stream.playback = None
                # Who only fell silent has been played to the end already, and may go on at any time.
                if stream.stopped and not stream.refused:
                    await playback.finish()
        finally:
            stream.playback = None
            stream.kept.clear()
            self._playing = None
            for waiting in list(self._streams.values()):
                if waiting.kept and not waiting.refused and self._playing is None:
                    self._begin(waiting)

    async def _until_over(self, stream: HeardStream) -> None:
        while not stream.over.is_set() and trio.current_time() < stream.heard_at + IDLE_S:
            with trio.move_on_at(stream.heard_at + IDLE_S):
                await stream.over.wait()
        if not stream.over.is_set():
            self._board.count("streams_fell_silent")
            if not any(each.live for each in self._streams.values()):
                self._board.show("talker", _NOBODY)

    def _refuse(self, stream: HeardStream, reason: str) -> None:
        stream.refused = True
        self._board.count("streams_not_played")
        self._board.show("not_played", f"{stream.started.sender}: {reason}")


class OpenCalls:
    """The calls at the door that are ringing or answered, by their ids; bounded by forgetting the oldest."""

    MOST = 64

    def __init__(self) -> None:
        self._open: OrderedDict[str, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._open)

    def changed(self, call_id: str, state: str) -> None:
        """Follow a CallChanged."""
        if state in ("ringing", "answered"):
            self._open[call_id] = None
            while len(self._open) > self.MOST:
                self._open.popitem(last=False)
        else:
            self._open.pop(call_id, None)

    def forget(self) -> None:
        """Entries were missed: assume that nothing is open."""
        self._open.clear()
