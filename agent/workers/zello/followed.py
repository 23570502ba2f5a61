"""What the event log says to the channel server: somebody rang, a call is over, an account has changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agent.model.events import AccountChanged, AnyEvent, CallChanged
from agent.model.records import Entry, Gap
from agent.workers.zello.errors import CloseCode, ErrorCode

if TYPE_CHECKING:
    from agent.workers.zello.bell import Bell
    from agent.workers.zello.door import Door
    from agent.workers.zello.hall import Hall

# A connection does not remember whether it came with a password or with which key: all of them come again.
ENDING = frozenset({"removed", "disabled", "password", "key_revoked"})

logger = logging.getLogger(__name__)


async def follow_log(hall: Hall, door: Door, bell: Bell) -> None:
    """Follow for ever: rings from now on, of what was before only which calls are open."""
    events = hall.context.events
    began = events.last_seq
    async for item in events.follow(after=0):
        if isinstance(item, Gap):
            if item.last > began:
                _missed(item, hall, door)
        elif item.seq > began:
            _take(item, hall, door, bell)
        else:
            _calls(item.event, door)


def _take(entry: Entry, hall: Hall, door: Door, bell: Bell) -> None:
    match entry.event:
        case CallChanged(state="ringing") as event:
            door.call_changed(event.call_id, is_open=True)
            bell.ring(entry)
        case CallChanged():
            _calls(entry.event, door)
        case AccountChanged(account=account, change=change) if change in ENDING:
            _end(account, change, hall)
        case _:
            pass


def _calls(event: AnyEvent, door: Door) -> None:
    if isinstance(event, CallChanged):
        door.call_changed(event.call_id, is_open=event.state in ("ringing", "answered"))


def _missed(gap: Gap, hall: Hall, door: Door) -> None:
    """The end of a call may have been among them, and the end of an account."""
    logger.error("missed entries first=%d last=%d", gap.first, gap.last)
    hall.counters.events_missed += gap.last - gap.first + 1
    for call_id in list(door.calls):
        door.call_changed(call_id, is_open=False)
    for account in {session.account for session in hall.sessions.values()} - {""}:
        if not hall.context.authenticator.admits(account):
            _end(account, "gone", hall)


def _end(account: str, change: str, hall: Hall) -> None:
    hall.gate.forget(account)
    for session in hall.of_account(account):
        logger.info("session ended account=%r change=%s peer=%s", account, change, session.peer.address)
        hall.hang_up(session, CloseCode.NOT_AUTHORIZED, ErrorCode.NOT_AUTHORIZED)
