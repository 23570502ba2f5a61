"""One channel: who is on it, who has the floor, and how many that are, told at most once a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from agent.net.websocket import text_frame
from agent.workers.zello.access import Right
from agent.workers.zello.agenda import Agenda, Appointment
from agent.workers.zello.config import ChannelConfig
from agent.workers.zello.events import ChannelStatus, encode_told

if TYPE_CHECKING:
    from agent.workers.zello.downlink import Downlink
    from agent.workers.zello.stream import VoiceStream

STATUS_INTERVAL_S = 1.0
# Who begins now is heard behind the rest of what was said before; with more than this left, it is busy.
OVERLAP_S = 1.0


class Channel:
    """members: connections that are online here, and what each may do. door_user: the door's name.

    holder: who talks; None while the channel is free.
    """

    def __init__(self, config: ChannelConfig, agenda: Agenda, *, door_user: str) -> None:
        self.config = config
        self.name = config.name
        self.door_user = door_user
        self.members: dict[Downlink, Right] = {}
        self.holder: VoiceStream | None = None
        self._agenda = agenda
        self._heard_until = 0.0
        self._told_at = -STATUS_INTERVAL_S
        self._telling: Appointment | None = None
        self._last_told: dict[Downlink, int] = {}

    @property
    def has_door(self) -> bool:
        """True when the door is on this channel."""
        return self.config.door != "never"

    @property
    def users_online(self) -> int:
        """Connections, and the door."""
        return len(self.members) + self.has_door

    def join(self, link: Downlink, right: Right) -> None:
        """Somebody comes online: they are told at once, the others within a second."""
        known = link in self.members
        self.members[link] = right
        self._last_told[link] = self.users_online
        link.tell(self.status())
        if not known:
            self._changed()

    def leave(self, link: Downlink) -> None:
        """Somebody goes."""
        if self.members.pop(link, None) is not None:
            self._last_told.pop(link, None)
            self._changed()

    def status(self) -> bytes:
        """The frame of on_channel_status."""
        config = self.config
        return text_frame(
            encode_told(
                ChannelStatus(
                    channel=self.name,
                    online=True,
                    users_online=self.users_online,
                    images=config.images,
                    texts=config.texts,
                    locations=config.locations,
                )
            )
        )

    def audience(self, sender: Downlink | None, recipient: str) -> list[Downlink]:
        """Who is told of something: all but the sender, or the connections of one user."""
        return [
            link
            for link in self.members
            if link is not sender and (not recipient or (link.account == recipient and recipient))
        ]

    def is_free(self, now: float) -> bool:
        """True when nobody talks, and what was said has nearly been heard."""
        return self.holder is None and self._heard_until - now <= OVERLAP_S

    def release(self, stream: VoiceStream, *, at_once: bool) -> None:
        """The stream is over. at_once: the rest of it is not heard any more."""
        if self.holder is stream:
            self.holder = None
            self._heard_until = trio.current_time() if at_once else stream.ends_at()

    def _changed(self) -> None:
        if self._telling is None or not self._telling.pending:
            self._telling = self._agenda.at(self._told_at + STATUS_INTERVAL_S, self._tell)

    def _tell(self) -> None:
        self._told_at = trio.current_time()
        frame, count = self.status(), self.users_online
        for link in self.members:
            if self._last_told[link] != count:
                self._last_told[link] = count
                link.tell(frame)
