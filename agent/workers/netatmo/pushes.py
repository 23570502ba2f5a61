"""Follows the house's log and tells webhooks what concerns them, at once."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import trio

from agent.model.events import (
    AccountChanged,
    AgentStarted,
    AnyEvent,
    CallChanged,
    ContactChanged,
    LightChanged,
    LockChanged,
    NotifyChanged,
    SirenChanged,
)
from agent.model.records import Entry, Gap
from agent.runtime import Context
from agent.workers.netatmo.access import Grants
from agent.workers.netatmo.config import ServerConfig
from agent.workers.netatmo.event_log import event_id, told_of
from agent.workers.netatmo.home import ALIAS, Home, is_on
from agent.workers.netatmo.push_body import Bodies, Push
from agent.workers.netatmo.subscribers import Subscribers

MAX_CALLS = 64
_NS = 1_000_000_000

logger = logging.getLogger(__name__)


class Pushes:
    """What was told, and so what is news.

    A siren that is muted (`monitoring` off) is not told of, at quiet hours it is: it does not sound for
    nothing. A bell is told of as the house has it for every protocol. In getevents all of it is found.
    missed: entries that were overwritten before they were told.
    """

    def __init__(
        self,
        config: ServerConfig,
        context: Context,
        home: Home,
        grants: Grants,
        subscribers: Subscribers,
        bodies: Bodies,
    ) -> None:
        self._config = config
        self._context = context
        self._home = home
        self._grants = grants
        self._subscribers = subscribers
        self._bodies = bodies
        self._calls: OrderedDict[str, str] = OrderedDict()
        self._on: set[str] = set()
        self._muted = {siren.endpoint for siren in home.sirens if not home.watched(siren)}
        self.missed = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell for ever. After a start of the agent from its first entry on, else from now on."""
        context, subscribers = self._context, self._subscribers
        after = 0
        if subscribers.told_boot == context.boot_number:
            after = context.events.last_seq
            self._on = set(self._on_now())
        subscribers.told_boot = context.boot_number
        task_status.started()
        await subscribers.try_to_store()
        async for item in context.events.follow(after=after):
            if isinstance(item, Gap):
                logger.error("missed entries first=%d last=%d", item.first, item.last)
                self.missed += item.last - item.first + 1
                for entry in self._caught_up(item):
                    self._tell(entry)
                await self._check_grants()
                continue
            self._tell(item)
            if isinstance(item.event, AccountChanged):
                await self._check_grants()

    def _tell(self, entry: Entry) -> None:
        pushes = list(self._pushes(entry))
        if pushes and self._context.authenticator.admits(self._config.user):
            self._subscribers.tell(pushes, frozenset(grant.id for grant in self._grants.listed()))

    async def _check_grants(self) -> None:
        """A token may have ended: what it brought about ends with it."""
        await self._grants.try_to_prune()
        await self._subscribers.keep(self._grants.listed())

    def _pushes(self, entry: Entry) -> Iterator[Push]:
        now = trio.current_time()
        match entry.event:
            case CallChanged() as call:
                yield from self._call(entry, call, now)
            case SirenChanged(endpoint=name, on=on) | ContactChanged(endpoint=name, role="tamper", active=on):
                told = told_of(entry, self._home)
                if told is not None and self._is_news(
                    name, on, hush=self._hushed(name, told.module.endpoint)
                ):
                    yield self._bodies.told(told, now)
            case NotifyChanged(endpoint=name, mode=mode):
                told = told_of(entry, self._home)
                if told is not None and (mode == "mute") != (name in self._muted):
                    self._muted ^= {name}
                    yield self._bodies.told(told, now)
            case LockChanged(endpoint=name, state=state, by=by):
                yield from self._switched(entry, name, state == "unlocked", by, now)
            case LightChanged(endpoint=name, on=on, by=by):
                yield from self._switched(entry, name, on, by, now)
            case AgentStarted():
                told = told_of(entry, self._home)
                if told is not None:
                    yield self._bodies.told(told, now)

    def _call(self, entry: Entry, call: CallChanged, now: float) -> Iterable[Push]:
        """A call that was not told of when it rang is not told of later."""
        module = self._home.of_endpoint.get(call.endpoint)
        known = call.call_id in self._calls
        if module is None or (not known and self._context.notifications.suppressed(call.endpoint)):
            return ()
        if call.state == "ringing":
            self._calls[call.call_id] = event_id(entry)
            if len(self._calls) > MAX_CALLS:
                self._calls.popitem(last=False)
            # Told of later than it happened (an agent that starts takes its time), it rings for less long.
            now -= max(0.0, (time.time_ns() - entry.at_ns) / _NS)
        parent = self._calls.get(call.call_id, event_id(entry))
        if call.state in ("ended", "missed"):
            self._calls.pop(call.call_id, None)
        return self._bodies.call(entry, call, module, parent, now)

    def _switched(self, entry: Entry, name: str, on: bool, by: str, now: float) -> Iterator[Push]:
        """The states of outputs: of the vendor's modules when that was asked for, of an alias always."""
        if by:
            self._home.used_s[name] = entry.at_ns // _NS
        if not self._is_news(name, on):
            return
        for module in self._home.modules.values():
            if module.endpoint == name and (self._config.report_state or module.type == ALIAS):
                changed = self._home.told_state(module, on=on)
                row = {"id": module.id, "type": module.type, **changed}
                yield self._bodies.device_event(entry, [row], module.reads, now)

    def _is_news(self, name: str, on: bool, *, hush: bool = False) -> bool:
        """Whether this was told otherwise until now; what is hushed when it begins has no end to tell."""
        if on == (name in self._on) or (on and hush):
            return False
        self._on ^= {name}
        return True

    def _hushed(self, *names: str) -> bool:
        return any(self._context.notifications.mode(name) == "mute" for name in names)

    def _on_now(self) -> Iterator[str]:
        """Whatever sounds, is lit, open or tampered with."""
        for info in self._context.endpoints:
            if info.kind in ("siren", "lock", "light"):
                if is_on(self._context.state_of(info.name)):
                    yield info.name
            elif info.role == "tamper" and self._context.state_of(info.name).state == "active":
                yield info.name

    def _caught_up(self, gap: Gap) -> Iterator[Entry]:
        """Entries that say how it is now, in place of those that are gone. Old rings are not among them."""
        on = set(self._on_now())
        for info in self._context.endpoints:
            name = info.name
            event: AnyEvent
            match info.kind:
                case "siren":
                    event = SirenChanged(endpoint=name, on=name in on)
                case "light":
                    event = LightChanged(endpoint=name, on=name in on)
                case "lock":
                    event = LockChanged(endpoint=name, state="unlocked" if name in on else "locked")
                case "contact" if info.role == "tamper":
                    event = ContactChanged(endpoint=name, role="tamper", active=name in on)
                case _:
                    continue
            log = self._context.events
            yield Entry(boot_id=log.boot_id, seq=gap.last, at_ns=time.time_ns(), event=event)
