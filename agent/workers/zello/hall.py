"""What all connections of the channel server share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from agent.quota import AccountQuotas
from agent.runtime import Context
from agent.workers.zello.agenda import Agenda
from agent.workers.zello.channel import Channel
from agent.workers.zello.config import ServerConfig
from agent.workers.zello.counters import Counters
from agent.workers.zello.gate import Gate
from agent.workers.zello.ids import Ids
from agent.workers.zello.images import Gallery
from agent.workers.zello.relay import Relay

if TYPE_CHECKING:
    from agent.workers.zello.session import Session

PAGE_INTERVAL_S = 1.0
# So many at once, then so many a second: a client that is out of its mind must not fill the others' outboxes,
STARTS = (10, 2.0)
WRITINGS = (20, 5.0)
IMAGES = (4, 0.5)
# and nobody the journal: each talk at the door is written down, and what is old gives way.
TALKS = (20, 0.5)


class Hall:
    """Owned by the server's main function; sessions and the door use it, all on the trio thread.

    errands: the server's nursery for what takes a while and belongs to no connection's own task.
    """

    def __init__(self, config: ServerConfig, context: Context, gate: Gate, errands: trio.Nursery) -> None:
        self.errands = errands
        self.config = config
        self.context = context
        self.gate = gate
        self.agenda = Agenda()
        self.counters = Counters()
        self.ids = Ids()
        self.relay = Relay(config, self.agenda, self.counters, self.ids, self.changed)
        self.gallery = Gallery(self.agenda, self.counters, self.ids)
        self.channels = {
            channel.name: Channel(channel, self.agenda, door_user=config.door_user)
            for channel in config.channels
        }
        self.starts = AccountQuotas(*STARTS)
        self.writings = AccountQuotas(*WRITINGS)
        self.images = AccountQuotas(*IMAGES)
        self.talks = AccountQuotas(*TALKS)
        self.sessions: dict[int, Session] = {}
        self._next_number = 1
        self._showing = False

    def enter(self, session: Session) -> int:
        """Count a connection in; the number is its own for the life of this server."""
        number = self._next_number
        self._next_number += 1
        self.sessions[number] = session
        self.changed()
        return number

    def leave(self, number: int) -> None:
        """Count a connection out."""
        self.sessions.pop(number, None)
        self.changed()

    def of_account(self, account: str) -> list[Session]:
        """The connections that somebody is logged on with, oldest first."""
        return [session for session in self.sessions.values() if account and session.account == account]

    def hang_up(self, session: Session, code: int, reason: str) -> None:
        """End a connection from outside: nothing is told there from here on."""
        session.end()
        self.errands.start_soon(session.peer.close, code, reason)

    def changed(self) -> None:
        """Something on the status page is no longer right: it is put right within PAGE_INTERVAL_S."""
        if not self._showing:
            self._showing = True
            self.agenda.after(PAGE_INTERVAL_S, self.show)

    def show(self) -> None:
        """Put the figures on the status page."""
        self._showing = False
        page, counters = self.context.page, self.counters
        page("channel", next(iter(self.channels)))
        page("connections", len(self.sessions))
        page("users_online", len({session.account for session in self.sessions.values()} - {""}))
        page("talking", self.relay.talking())
        page("streams", counters.streams)
        page("streams_unheard", counters.streams_unheard)
        page("packets", counters.packets)
        page("packets_slow", counters.packets_slow)
        page("packets_fast", counters.packets_fast)
        page("packets_invalid", counters.packets_invalid)
        page("texts", counters.texts)
        page("locations", counters.locations)
        page("images", counters.images)
        page("images_slow", counters.images_slow)
        page("logons", counters.logons)
        page("bad_logons", counters.bad_logons)
        page("malformed", counters.malformed)
        page("events_missed", counters.events_missed)
