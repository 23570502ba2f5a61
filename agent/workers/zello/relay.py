"""From one talker to everybody who hears them: each packet is framed once, whoever listens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import trio

from agent.net.websocket import binary_frame
from agent.workers.zello.agenda import Agenda
from agent.workers.zello.channel import Channel
from agent.workers.zello.config import ServerConfig
from agent.workers.zello.counters import Counters
from agent.workers.zello.downlink import Downlink
from agent.workers.zello.ids import Ids
from agent.workers.zello.packets import CodecHeader
from agent.workers.zello.stream import VoiceStream

START_HOLD_S = 0.3  # so long an announcement waits for the packet that makes it true
IDLE_S = 10.0  # then somebody who sends nothing loses the floor

logger = logging.getLogger(__name__)


class Relay:
    """The live streams of all channels. changed: called when one began or ended."""

    def __init__(
        self,
        config: ServerConfig,
        agenda: Agenda,
        counters: Counters,
        ids: Ids,
        changed: Callable[[], None],
    ) -> None:
        self.live: dict[int, VoiceStream] = {}
        self._config = config
        self._agenda = agenda
        self._counters = counters
        self._ids = ids
        self._changed = changed

    def begin(
        self,
        channel: Channel,
        *,
        sender: str,
        owner: Downlink | None,
        recipient: str = "",
        claimed: CodecHeader | None = None,
        claimed_ms: int = 20,
    ) -> VoiceStream:
        """A new stream, which takes the floor if it needs it: the caller has seen that it is free."""
        now = trio.current_time()
        stream = VoiceStream(
            self._ids.next(),
            channel,
            sender=sender,
            recipient=recipient,
            owner=owner,
            claimed=claimed or CodecHeader(),
            claimed_ms=claimed_ms,
            max_rate=self._config.max_rate,
            now=now,
        )
        self.live[stream.id] = stream
        if stream.needs_floor:
            channel.holder = stream
        stream.timers = [
            self._agenda.after(START_HOLD_S, partial(self._announce, stream, None)),
            self._agenda.after(self._config.max_stream_s, partial(self._expire, stream, "time limit")),
        ]
        self._watch(stream)
        self._counters.streams += 1
        self._changed()
        return stream

    def packet(self, stream: VoiceStream, payload: bytes) -> None:
        """Relay one Opus packet as it comes. Raises: MalformedMessage when it is none, and sends nothing."""
        if stream.over:
            return
        data = stream.take(payload, trio.current_time())
        if data is None:
            self._counters.packets_fast += 1
            return
        self._counters.packets += 1
        if not stream.start_frame:
            self._announce(stream, payload)
        frame = binary_frame(data)
        for hearing in stream.audience:
            hearing.give(frame)
        if stream.ear is not None:
            stream.ear.push(data)
        if stream.audio_s >= self._config.max_stream_s:
            self._expire(stream, "time limit")

    def finish(self, stream: VoiceStream, *, tell_owner: bool = False) -> None:
        """The talker is done: listeners are told when they have heard it all. Idempotent."""
        if self._close(stream, at_once=False, tell_owner=tell_owner):
            for hearing in list(stream.audience):
                hearing.link.end(hearing)

    def cut(self, stream: VoiceStream) -> None:
        """Take the floor from a talker: they and the listeners are told at once. Idempotent."""
        if self._close(stream, at_once=True, tell_owner=True):
            for hearing in list(stream.audience):
                hearing.link.cut(hearing)

    def join(self, link: Downlink, channel: Channel) -> None:
        """Somebody came online while others talk: they hear the rest."""
        for stream in self.live.values():
            if (
                stream.channel is channel
                and stream.start_frame
                and stream.owner is not link
                and stream.recipient in ("", link.account)
            ):
                link.begin(stream)

    def talking(self) -> str:
        """Who has the floor of which channel, for a status page."""
        return ", ".join(f"{stream.sender} ({stream.channel.name})" for stream in self.live.values())

    def _announce(self, stream: VoiceStream, first: bytes | None) -> None:
        if stream.over or stream.start_frame:
            return
        stream.start_frame = stream.announcement(first)
        for link in stream.channel.audience(stream.owner, stream.recipient):
            link.begin(stream)
        # What came with the first packet is heard with it.
        for hearing in stream.audience:
            hearing.missed_s = 0.0

    def _watch(self, stream: VoiceStream) -> None:
        """End a stream that has fallen silent; look again when that could be."""
        if stream.over:
            return
        due = stream.last_at + IDLE_S
        if trio.current_time() >= due:
            self._expire(stream, "silence")
        else:
            stream.timers[2:] = [self._agenda.at(due, partial(self._watch, stream))]

    def _expire(self, stream: VoiceStream, reason: str) -> None:
        if not stream.over:
            logger.info("stream ended channel=%r by=%r reason=%s", stream.channel.name, stream.sender, reason)
        self.finish(stream, tell_owner=True)

    def _close(self, stream: VoiceStream, *, at_once: bool, tell_owner: bool) -> bool:
        if stream.over:
            return False
        stream.over = True
        self.live.pop(stream.id, None)
        for timer in stream.timers:
            timer.cancel()
        stream.channel.release(stream, at_once=at_once)
        if stream.ear is not None:
            stream.ear.end(cut=at_once)
        if tell_owner and stream.owner is not None:
            stream.owner.tell(stream.stop_frame())
        self._changed()
        return True
