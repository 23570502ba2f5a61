"""A ring of the bell on its way to a server elsewhere: the text at once, then the voice, then a picture."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

import trio

from agent.model.errors import PeerError
from agent.model.events import CallChanged
from agent.model.records import Entry, Gap
from agent.runtime import Context
from agent.workers.zello.client_hearing import OpenCalls
from agent.workers.zello.client_line import Line
from agent.workers.zello.client_session import Session
from agent.workers.zello.client_talk import Talk
from agent.workers.zello.config import CloudConfig
from agent.workers.zello.errors import Reaction
from agent.workers.zello.packets import image_packet
from agent.workers.zello.ring import MAX_AGE_S, RingMessage, RingMessages
from agent.workers.zello.snapshot import Picture
from agent.workers.zello.wire import Command, Reply, SendImage, SendText

PICTURE_LATE_S = 60.0
RETRY_S = 1.0
MOST_TRIES = 5
MAX_AT_ONCE = 8
_NS_PER_S = 1_000_000_000

TakePicture = Callable[[], Awaitable[Picture | None]]

logger = logging.getLogger(__name__)


class _Slot:
    """A picture that is being taken."""

    def __init__(self) -> None:
        self.taken = trio.Event()
        self.picture: Picture | None = None


class Ringing:
    """Follows the calls at the door. One message per call: a second press in a call sends nothing.

    A ring older than 30 s is not sent. call_changed: called after `calls` was told of a change.
    take: a picture of the visitor, or None.
    """

    def __init__(
        self,
        config: CloudConfig,
        context: Context,
        line: Line,
        talk: Talk,
        calls: OpenCalls,
        *,
        call_changed: Callable[[], None],
        take: TakePicture,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._config = config
        self._context = context
        self._line = line
        self._board = line.board
        self._talk = talk
        self._calls = calls
        self._call_changed = call_changed
        self._messages = RingMessages(
            config.ring,
            endpoints=context.endpoints,
            notifications=context.notifications,
            lock=config.commands.lock,
        )
        self._take = take
        self._clock_ns = clock_ns
        self._at_work = 0

    async def run(self) -> None:
        """Tell of rings for ever; those from before are only looked at for which calls are open."""
        events = self._context.events
        began = events.last_seq
        async with trio.open_nursery() as nursery:
            async for item in events.follow(after=0):
                if isinstance(item, Gap):
                    logger.error("missed entries first=%d last=%d", item.first, item.last)
                    self._calls.forget()
                    self._call_changed()
                elif isinstance(event := item.event, CallChanged):
                    self._calls.changed(event.call_id, event.state)
                    self._call_changed()
                    message = self._messages.message(item, self._clock_ns())
                    if message is not None and item.seq > began and self._may_tell():
                        nursery.start_soon(self._tell, item, message)

    def _may_tell(self) -> bool:
        if self._config.listen_only or not self._config.username or self._config.door == "never":
            return False
        if self._at_work >= MAX_AT_ONCE:
            self._board.count("rings_not_told")
            return False
        return True

    async def _tell(self, entry: Entry, message: RingMessage) -> None:
        """One ring in every channel."""
        age_s = max(0.0, (self._clock_ns() - entry.at_ns) / _NS_PER_S)
        rung_at = trio.current_time() - age_s
        slot = _Slot()
        self._at_work += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._photograph, slot)
                for channel in self._config.channels:
                    nursery.start_soon(self._tell_channel, channel, message, slot, rung_at)
        finally:
            self._at_work -= 1

    async def _photograph(self, slot: _Slot) -> None:
        # At once, while the visitor looks at the bell; it is sent later.
        if self._config.ring.image:
            slot.picture = await self._take()
        slot.taken.set()

    async def _tell_channel(self, channel: str, message: RingMessage, slot: _Slot, rung_at: float) -> None:
        if message.text:
            command = SendText(text=message.text, channel=channel, recipient=self._config.ring.recipient)
            with trio.move_on_at(rung_at + MAX_AGE_S):
                if await self._ask(channel, command) is not None:
                    self._board.count("rings_told")
        if self._config.ring.image:
            if self._config.ring.voice and self._context.voice.enabled:
                await self._talk.until_said(message.call_id, channel)
            with trio.move_on_at(rung_at + PICTURE_LATE_S):
                await slot.taken.wait()
                if slot.picture is not None:
                    await self._show(channel, slot.picture)

    async def _show(self, channel: str, picture: Picture) -> None:
        command = SendImage(
            width=picture.width,
            height=picture.height,
            source="camera",
            content_bytes=len(picture.jpeg),
            thumbnail_bytes=len(picture.thumbnail),
            channel=channel,
            recipient=self._config.ring.recipient,
        )
        answered = await self._ask(channel, command)
        if answered is None:
            return
        session, reply = answered
        if not reply.image_id:
            self._board.complain("an image was taken without an id", channel)
            return
        try:
            await session.send_packet(image_packet(reply.image_id, "thumbnail", picture.thumbnail))
            await session.send_packet(image_packet(reply.image_id, "full", picture.jpeg))
        except PeerError:
            self._board.count("images_not_sent")
        else:
            self._board.count("images_out")

    async def _ask(self, channel: str, command: SendText | SendImage) -> tuple[Session, Reply] | None:
        """The session that agreed, and its reply; None when it is refused for good, or not possible here."""
        for _ in range(MOST_TRIES):
            session = await self._line.ready(channel)
            if session is None or not _supported(session, channel, command):
                break
            try:
                reply = await session.request(command)
            except PeerError:
                # It may have been sent; told twice is better than not at all.
                await trio.sleep(RETRY_S)
                continue
            if reply.success:
                return session, reply
            match self._line.refused(session, channel, reply.error):
                case Reaction.PAUSE | Reaction.RETRY | Reaction.RETRY_LATER | Reaction.WAIT_ONLINE:
                    await trio.sleep(RETRY_S)
                case Reaction.RECONNECT | Reaction.RECONNECT_AFRESH:
                    continue
                case _:
                    break
        self._board.count("images_not_sent" if isinstance(command, SendImage) else "rings_not_told")
        return None


def _supported(session: Session, channel: str, command: Command) -> bool:
    status = session.channels[channel]
    return status.images if isinstance(command, SendImage) else status.texts
