"""Somebody rings: what the channels are told of it in writing, and the picture that follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.model.records import Entry
from agent.workers.zello.channel import Channel
from agent.workers.zello.config import SnapshotConfig
from agent.workers.zello.ring import RingMessages
from agent.workers.zello.snapshot import take

if TYPE_CHECKING:
    from agent.workers.zello.door import Door
    from agent.workers.zello.hall import Hall

MAX_PICTURES = 2  # being taken at one time


class Bell:
    """Owned by the server's main function. The voice of a ring is the door's own business."""

    def __init__(
        self,
        hall: Hall,
        door: Door,
        snapshot: SnapshotConfig | None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._hall = hall
        self._door = door
        self._snapshot = snapshot
        self._clock_ns = clock_ns
        self._taking = 0
        self._messages = {
            channel: RingMessages(
                channel.config.ring,
                endpoints=hall.context.endpoints,
                notifications=hall.context.notifications,
                lock=hall.config.commands.lock,
            )
            for channel in hall.channels.values()
            if channel.has_door
        }

    def ring(self, entry: Entry) -> None:
        """A call begins: tell it at once, and show the picture when there is one."""
        now_ns = self._clock_ns()
        shown: list[Channel] = []
        for channel, messages in self._messages.items():
            message = messages.message(entry, now_ns)
            if message is None:
                continue
            ring = channel.config.ring
            if message.text:
                self._door.say(channel, message.text, ring.recipient)
            if ring.image and channel.config.images:
                shown.append(channel)
        if self._snapshot is not None and shown and self._taking < MAX_PICTURES:
            self._taking += 1
            self._hall.errands.start_soon(self._show, self._snapshot, shown)

    async def _show(self, snapshot: SnapshotConfig, channels: list[Channel]) -> None:
        """Take one picture for all channels."""
        try:
            async with self._hall.context.guard("snapshot"):
                picture = await take(snapshot)
                if picture is None:
                    return
                for channel in channels:
                    self._hall.gallery.show(
                        channel,
                        sender=self._hall.config.door_user,
                        full=picture.jpeg,
                        thumbnail=picture.thumbnail,
                        width=picture.width,
                        height=picture.height,
                        recipient=channel.config.ring.recipient,
                    )
        finally:
            self._taking -= 1
