"""What one connection is told: control messages at once, streams one after the other, images in one piece."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import trio

from agent.net.websocket import Peer
from agent.workers.zello.agenda import Agenda, Appointment
from agent.workers.zello.counters import Counters

if TYPE_CHECKING:
    from agent.workers.zello.stream import VoiceStream

SLOW_S = 2.0  # older sound than this is not added to for a client that does not read
SLOW_MESSAGES = 400
WAIT_S = 5.0  # how long a stream waits for the end of another one on the same connection
MAX_WAITING = 4
MAX_WAITING_FRAMES = 1000
IMAGE_BACKLOG_BYTES = 512 * 1024


class Hearing:
    """One stream on its way to one connection. Frames wait in `waiting` while another stream is being heard.

    begun_at: when its first sound went out. missed_s: sound of the stream before this listener came.
    """

    __slots__ = ("begun_at", "ended", "link", "missed_s", "patience", "stopping", "stream", "waiting")

    def __init__(self, link: Downlink, stream: VoiceStream) -> None:
        self.link = link
        self.stream = stream
        self.begun_at = 0.0
        self.missed_s = stream.audio_s
        self.ended = False
        self.waiting: list[bytes] | None = []
        self.patience: Appointment | None = None
        self.stopping: Appointment | None = None

    def give(self, frame: bytes) -> None:
        """A frame of sound, to be sent, kept, or dropped."""
        peer = self.link.peer
        if self.waiting is not None:
            if len(self.waiting) < MAX_WAITING_FRAMES:
                self.waiting.append(frame)
            else:
                self.link.counters.packets_slow += 1
        elif peer.pending_messages and (peer.pending_s > SLOW_S or peer.pending_messages > SLOW_MESSAGES):
            self.link.counters.packets_slow += 1
        else:
            peer.send(frame)

    def heard_at(self) -> float:
        """When this listener has heard all of it: a player must not be told the end before."""
        stream = self.stream
        return max(self.begun_at + stream.audio_s - self.missed_s, stream.last_at + stream.packet_s)


class Downlink:
    """One connection as the relay sees it. account: who is on it, empty for somebody without an account.

    The makers' own client mixes up two streams, and two images, that overlap on one connection.
    """

    def __init__(self, peer: Peer, agenda: Agenda, counters: Counters) -> None:
        self.peer = peer
        self.account = ""
        self.counters = counters
        self._agenda = agenda
        self._now: Hearing | None = None
        self._queue: deque[Hearing] = deque()

    def tell(self, frame: bytes) -> None:
        """Send a control message; the outbox of the connection bounds what may wait."""
        self.peer.send(frame)

    def begin(self, stream: VoiceStream) -> None:
        """Let this connection hear an announced stream from now on, or as soon as another one has ended."""
        hearing = Hearing(self, stream)
        now = self._now
        if now is None:
            self._start(hearing)
        elif stream.owner is None and now.stream.owner is not None:
            # The door goes before people: nobody may keep somebody else from hearing it, as with a private
            # talk that does not end, or with one on another channel.
            self._queue.appendleft(hearing)
            self.cut(now)
        elif len(self._queue) < MAX_WAITING:
            hearing.patience = self._agenda.after(WAIT_S, partial(self.cut, hearing))
            self._queue.append(hearing)
        else:
            self.counters.streams_unheard += 1
            return
        stream.audience.append(hearing)

    def end(self, hearing: Hearing) -> None:
        """The stream is over: tell it when its sound has been heard."""
        hearing.ended = True
        if hearing is self._now and hearing.stopping is None:
            if hearing.heard_at() <= trio.current_time():
                self._stop(hearing)
            else:
                hearing.stopping = self._agenda.at(hearing.heard_at(), partial(self._stop, hearing))

    def cut(self, hearing: Hearing) -> None:
        """End it here and now; one that has waited until now is never told of at all."""
        if hearing is self._now:
            self._stop(hearing)
        elif hearing in self._queue:
            self._queue.remove(hearing)
            self.counters.streams_unheard += 1
            self._forget(hearing)

    def cut_channel(self, channel: object) -> None:
        """The connection leaves a channel."""
        for hearing in [*self._queue, *([self._now] if self._now is not None else [])]:
            if hearing.stream.channel is channel:
                self.cut(hearing)

    def image(self, frames: tuple[bytes, ...]) -> None:
        """An announcement and both parts, behind one another; not for a connection that is far behind."""
        if self.peer.pending_bytes > IMAGE_BACKLOG_BYTES:
            self.counters.images_slow += 1
            return
        for frame in frames:
            self.peer.send(frame)

    def close(self) -> None:
        """The connection is gone: nothing is sent any more."""
        hearings = [*self._queue, *([self._now] if self._now is not None else [])]
        self._queue.clear()
        self._now = None
        for hearing in hearings:
            self._forget(hearing)

    def _start(self, hearing: Hearing) -> None:
        self._now = hearing
        if hearing.patience is not None:
            hearing.patience.cancel()
        hearing.begun_at = trio.current_time()
        waiting, hearing.waiting = hearing.waiting or [], None
        self.peer.send(hearing.stream.start_frame)
        for frame in waiting:
            self.peer.send(frame)
        if hearing.ended:
            self.end(hearing)

    def _stop(self, hearing: Hearing) -> None:
        if hearing is not self._now:
            return
        self._now = None
        self._forget(hearing)
        self.peer.send(hearing.stream.stop_frame())
        if self._queue:
            self._start(self._queue.popleft())

    def _forget(self, hearing: Hearing) -> None:
        for timer in (hearing.patience, hearing.stopping):
            if timer is not None:
                timer.cancel()
        hearing.waiting = []
        if hearing in hearing.stream.audience:
            hearing.stream.audience.remove(hearing)
