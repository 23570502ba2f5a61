"""From the event log to every client that wants to know, as fast as the sockets take it."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable
from functools import lru_cache

import trio
from msgspec import Struct

from agent.bus import Reader
from agent.model.events import AccountChanged, ContactChanged
from agent.model.records import Entry, Gap
from agent.net.websocket import Peer, fan_out, text_frame
from agent.workers.zmes.config import CauseKey
from agent.workers.zmes.filter import MonitorFilter
from agent.workers.zmes.push import push_job
from agent.workers.zmes.revocation import revoke, revoke_the_gone
from agent.workers.zmes.state import ServerState
from agent.workers.zmes.tokens import MAX_COUNT
from agent.workers.zmes.translate import NEVER_MUTED, Monitor, alarm_item, announce, event_id
from agent.workers.zmes.wire import AlarmItem, encode_alarm

_NS_PER_S = 1_000_000_000

logger = logging.getLogger(__name__)
_parse_filter = lru_cache(maxsize=512)(MonitorFilter.parse)


class OpenAlarm(Struct, frozen=True, kw_only=True):
    """A start that was told. withheld: receivers whose interval kept it back; their end is kept back too."""

    identity: str
    cause: CauseKey
    withheld: frozenset[str | int]


class Selected(Struct, frozen=True, kw_only=True):
    """Whom one alarm goes to. also_pushed: connected phones that get the push as well."""

    plain: list[Peer]
    also_pushed: list[Peer]
    phones: list[str]
    withheld: set[str | int]


class Delivery:
    """Follows the log; one task, and no await between an event and the first 64 sends.

    Open alarms are at most one per kind and endpoint.
    """

    def __init__(self, state: ServerState, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._state = state
        self._clock_ns = clock_ns
        self._open: dict[tuple[str, str], OpenAlarm] = {}

    async def run(self) -> None:
        """Deliver for ever, from now on; whose account has changed hears nothing of what comes after.

        Of what was before, a fire that still burns is told: better twice than never.
        """
        events = self._state.context.events
        began = events.last_seq
        reader = events.follow(after=0)
        async with trio.open_nursery() as closing:
            for entry in await _burning(reader, began):
                await self.deliver(entry)
            async for item in reader:
                if isinstance(item, Gap):
                    logger.error("missed entries first=%d last=%d", item.first, item.last)
                    self._state.counters.events_missed += item.last - item.first + 1
                    # An end may have been among them: an alarm must not look open for ever.
                    self._open.clear()
                    revoke_the_gone(self._state, closing)
                elif isinstance(item.event, AccountChanged):
                    revoke(item.event, self._state, closing)
                else:
                    await self.deliver(item)

    async def deliver(self, entry: Entry) -> None:
        """Tell everybody who wants to know of one entry."""
        announcement = announce(entry.event, self._state.config.alarm_on)
        if announcement is None:
            return
        monitor = self._state.monitors.of_endpoint(announcement.endpoint)
        if monitor is None:
            return
        if announcement.ended:
            self._state.burning.pop(monitor.endpoint, None)
        key = (announcement.kind, announcement.endpoint)
        known = self._open.pop(key, None) if announcement.ended else self._open.get(key)
        if announcement.ended and known is None:
            return
        if announcement.once and known is not None and not announcement.ended:
            return
        if self._state.context.notifications.suppressed(monitor.endpoint):
            return
        age_ns = self._clock_ns() - entry.at_ns
        # A fire is not over because the clock was set.
        if not monitor.never_muted and age_ns > self._state.config.max_age_s * _NS_PER_S:
            logger.warning("too old to be told seq=%d", entry.seq)
            self._state.counters.alarms_stale += 1
            return
        config, settings = self._state.config, self._state.settings
        if known is not None and announcement.ended:
            if not settings.flag("send_event_end_notification", config.end_messages):
                return
            identity, cause = known.identity, known.cause
        else:
            assert announcement.cause is not None
            identity, cause = event_id(self._state.context.boot_number, entry.seq), announcement.cause
            known = None
        selected = self._select(monitor, entry.at_ns, known)
        if known is None:
            self._open[key] = OpenAlarm(identity=identity, cause=cause, withheld=frozenset(selected.withheld))
        item = alarm_item(
            cause,
            monitor,
            identity,
            settings.causes(config.causes),
            ended=announcement.ended,
            picture_url=config.picture_url if settings.flag("include_picture", True) else None,
        )
        if monitor.never_muted and known is None:
            self._state.burning[monitor.endpoint] = item
        await self._send(item, selected)
        self._state.show()

    def _select(self, monitor: Monitor, at_ns: int, known: OpenAlarm | None) -> Selected:
        """Who is told of a start, or with `known` of its end, by mode, list and interval, in this order.

        Muted endpoints never come here. Starts are stamped; an end follows its start, whatever the interval.
        Smoke and carbon monoxide wait for no interval and are held against no monthly limit.
        """
        state = self._state
        forced = state.context.notifications.mode(monitor.endpoint) == "force"
        selected = Selected(plain=[], also_pushed=[], phones=[], withheld=set())

        def wanted(key: str | int, wishes: MonitorFilter) -> bool:
            if known is not None:
                return key not in known.withheld and (forced or wishes.wants(monitor.id))
            if not forced:
                if not wishes.wants(monitor.id):
                    return False
                interval_s = 0.0 if monitor.never_muted else wishes.interval_s(monitor.id)
                if not state.last_sent.due(key, monitor.id, interval_s, at_ns):
                    selected.withheld.add(key)
                    return False
            state.told(key, monitor.id, at_ns)
            return True

        connected = set()
        for number, session in state.sessions.items():
            if not session.receives_alarms(at_ns):
                continue
            connected.add(session.token)
            if not wanted(session.token or number, session.filter):
                continue
            if self._takes_push(session.token, monitor, at_ns):
                selected.also_pushed.append(session.peer)
                selected.phones.append(session.token)
            else:
                selected.plain.append(session.peer)
        if state.push is not None:
            for token in list(state.tokens):
                registration = state.tokens.get(token)
                if token in connected or registration is None or not registration.enabled:
                    continue
                wishes = _parse_filter(registration.monlist, registration.intlist)
                if wanted(token, wishes) and self._takes_push(token, monitor, at_ns):
                    selected.phones.append(token)
        return selected

    def _takes_push(self, token: str, monitor: Monitor, at_ns: int) -> bool:
        """True when a push goes to this phone; counts it."""
        push, tokens = self._state.push, self._state.tokens
        registration = tokens.get(token) if token else None
        if push is None or registration is None or not registration.enabled:
            return False
        month = datetime.datetime.fromtimestamp(at_ns / _NS_PER_S, tz=datetime.UTC).month - 1
        limit = MAX_COUNT if monitor.never_muted else push.monthly_limit
        return tokens.count_push(token, month=month, limit=limit)

    async def _send(self, item: AlarmItem, selected: Selected) -> None:
        """One encoding and one frame for everybody (a second one for those who also get a push)."""
        for peers, supplementary in ((selected.plain, False), (selected.also_pushed, True)):
            if peers:
                frame = text_frame(encode_alarm(item, supplementary=supplementary).encode())
                await fan_out(peers, frame)
                self._state.counters.alarms_sent += len(peers)
        if self._state.push is not None:
            tag_event_id = self._state.settings.flag("tag_alarm_event_id", False)
            for token in selected.phones:
                badge = self._state.tokens.next_badge(token)
                self._state.push.offer(push_job(token, item, badge=badge, tag_event_id=tag_event_id))


async def _burning(reader: Reader, last: int) -> list[Entry]:
    """Read up to entry `last`; where detectors of smoke and carbon monoxide were active then."""
    found: dict[str, Entry] = {}
    while reader.cursor < last:
        item = await anext(reader)
        if isinstance(item, Entry) and isinstance(item.event, ContactChanged):
            contact = item.event
            if contact.role in NEVER_MUTED:
                found.pop(contact.endpoint, None)
                if contact.active:
                    found[contact.endpoint] = item
    return list(found.values())
