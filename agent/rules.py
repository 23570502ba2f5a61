"""Declarative automations: on an event, between hours, do an action.

    [[rules]]
    name = "light at night"
    on = "button_pressed"
    where = { endpoint = "doorbell" }
    between = "22:00-06:00"
    then = { do = "switch_light", endpoint = "staircase", on = true }

A rule acts as the principal `rule:<name>`; what it did stands in the journal like any other action.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import msgspec
import trio
from msgspec import Meta, Struct

from agent.bus import EventLog
from agent.clock_window import ClockWindow, local_minute
from agent.model.actions import Action
from agent.model.events import AnyEvent
from agent.model.outcomes import Outcome
from agent.model.principals import Principal
from agent.model.records import Entry, Gap, to_plain

MAX_RUNNING = 16
logger = logging.getLogger(__name__)

EVENTS: dict[str, type[Struct]] = {
    str(cls.__struct_config__.tag).partition("/")[0]: cls for cls in AnyEvent.__args__
}


class RuleConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. `where` compares fields of the event; `at_most_every_s` keeps a chattering contact from
    repeating the action, and two rules that set each other off from filling the journal."""

    on: str
    then: Action
    name: Annotated[str, Meta(max_length=64)] = ""
    where: dict[str, str | bool | int | float] = {}
    between: str = "00:00-00:00"
    at_most_every_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 1.0

    def __post_init__(self) -> None:
        if self.on not in EVENTS:
            raise ValueError(f"no event {self.on!r}; there are {', '.join(sorted(EVENTS))}")
        kinds = {field.name: field.type for field in msgspec.structs.fields(EVENTS[self.on])}
        for key, value in self.where.items():
            if key not in kinds:
                raise ValueError(f"{self.on} has no field {key!r}; it has {', '.join(kinds)}")
            try:  # a value that the field never has would make a rule that never acts
                msgspec.convert(value, kinds[key])
            except msgspec.ValidationError as error:
                raise ValueError(f"where.{key} of {self.on} never is {value!r}: {error}") from None
        ClockWindow.parse(self.between)


class Rule:
    """One rule with its memory of when it last acted."""

    def __init__(self, config: RuleConfig, number: int) -> None:
        self.config = config
        self.principal = Principal(
            name=f"rule:{config.name or number}", role="system", via="rules", proven_locally=True
        )
        self._event = EVENTS[config.on]
        self._window = ClockWindow.parse(config.between)
        self._acted_at = float("-inf")

    def fires(self, entry: Entry, now_s: float) -> bool:
        """Does this entry set the rule off? `now_s` is trio time."""
        event = entry.event
        if type(event) is not self._event:
            return False
        if self._is_own(event):
            return False  # no loops
        if now_s - self._acted_at < self.config.at_most_every_s:
            return False
        if not self._window.contains(local_minute(entry.at_ns)):
            return False
        plain = to_plain(event)
        if any(plain.get(key) != value for key, value in self.config.where.items()):
            return False
        self._acted_at = now_s
        return True

    def _is_own(self, event: AnyEvent) -> bool:
        """Is it something that this rule did, or asked for?"""
        asker = getattr(event, "principal", None)
        name = getattr(event, "by", "") if asker is None else asker.name
        return bool(name == self.principal.name)


async def run(
    rules: Sequence[RuleConfig],
    *,
    log: EventLog,
    submit: Callable[[Action, Principal], Awaitable[Outcome]],
    after: int,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Follow the log for ever; an action waits for its endpoint in a task of its own, at most 16 at once."""
    armed = [Rule(config, number) for number, config in enumerate(rules, start=1)]
    running = trio.CapacityLimiter(MAX_RUNNING)

    async def act(rule: Rule) -> None:
        try:
            outcome = await submit(rule.config.then, rule.principal)
        finally:
            running.release_on_behalf_of(rule)
        logger.info("rule=%s outcome=%s", rule.principal.name, outcome)

    async with trio.open_nursery() as nursery:
        task_status.started()
        async for item in log.follow(after=after):
            if isinstance(item, Gap):
                logger.error("rules missed entries first=%d last=%d", item.first, item.last)
                continue
            for rule in armed:
                if not rule.fires(item, trio.current_time()):
                    continue
                try:
                    running.acquire_on_behalf_of_nowait(rule)
                except (trio.WouldBlock, RuntimeError):
                    logger.error("rule=%s dropped: still busy", rule.principal.name)
                    continue
                nursery.start_soon(act, rule)
