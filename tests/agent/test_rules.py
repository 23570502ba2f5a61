from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from harness.door import Recorded, who
from trio.testing import MockClock

from agent import rules
from agent.model.actions import Action, SwitchLight, Unlock
from agent.model.events import (
    ActionAccepted,
    AnyEvent,
    ButtonPressed,
    ContactChanged,
    DoorChanged,
    LightChanged,
    LockChanged,
)
from agent.model.outcomes import Done, Outcome, Refused
from agent.model.principals import Principal
from agent.rules import EVENTS, MAX_RUNNING, RuleConfig

LIGHT = SwitchLight(endpoint="stairs", on=True)


def a_rule(on: str = "button_pressed", **more: Any) -> RuleConfig:
    return msgspec.convert(
        {"on": on, "then": {"do": "switch_light", "endpoint": "stairs", "on": True}, **more}, RuleConfig
    )


class Bench:
    """Rules on a log; `submit` notes who asked for what and takes `delay_s`."""

    def __init__(self, *configs: RuleConfig) -> None:
        self.log = Recorded()
        self.configs = configs
        self.asked: list[tuple[Action, Principal]] = []
        self.running = 0
        self.most_running = 0
        self.delay_s = 0.0
        self.refusal = ""

    async def submit(self, action: Action, principal: Principal) -> Outcome:
        self.asked.append((action, principal))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await trio.sleep(self.delay_s)
        finally:
            self.running -= 1
        if self.refusal:
            return Refused(action_id="a", reason=self.refusal)
        return Done(action_id="a")

    @asynccontextmanager
    async def armed(self, after: int = 0) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(
                partial(rules.run, self.configs, log=self.log, submit=self.submit, after=after)
            )
            yield
            nursery.cancel_scope.cancel()

    async def happen(self, *events: AnyEvent, wait_s: float = 0.0) -> int:
        """Publish; how often something has been asked for since."""
        before = len(self.asked)
        for event in events:
            self.log.publish(event)
        await trio.sleep(wait_s)
        await trio.testing.wait_all_tasks_blocked()
        return len(self.asked) - before


PRESS = ButtonPressed(endpoint="bell")


async def test_a_rule_acts_in_its_own_name(autojump_clock: MockClock) -> None:
    bench = Bench(a_rule(name="light at night"), a_rule("door_changed"))
    async with bench.armed():
        assert await bench.happen(PRESS) == 1
        assert await bench.happen(DoorChanged(endpoint="strike", state="open")) == 1
        assert await bench.happen(LightChanged(endpoint="stairs", on=False)) == 0
    (action, first), (_, second) = bench.asked
    assert action == LIGHT
    assert (first.name, first.role, first.via, first.proven_locally) == (
        "rule:light at night",
        "system",
        "rules",
        True,
    )
    assert second.name == "rule:2"


async def test_where_compares_every_field(autojump_clock: MockClock) -> None:
    bench = Bench(
        a_rule(
            "contact_changed",
            where={"endpoint": "smoke", "role": "smoke", "active": True},
            at_most_every_s=0.1,
        )
    )
    async with bench.armed():
        assert await bench.happen(ContactChanged(endpoint="smoke", role="smoke", active=False), wait_s=1) == 0
        assert await bench.happen(ContactChanged(endpoint="other", role="smoke", active=True), wait_s=1) == 0
        assert await bench.happen(ContactChanged(endpoint="smoke", role="smoke", active=True), wait_s=1) == 1


async def test_where_compares_numbers_by_value(autojump_clock: MockClock) -> None:
    bench = Bench(a_rule("lock_changed", where={"hold_s": 5}))
    async with bench.armed():
        assert await bench.happen(LockChanged(endpoint="strike", state="locked")) == 0
        assert await bench.happen(LockChanged(endpoint="strike", state="unlocked", hold_s=5.0)) == 1


async def test_a_rule_has_its_hours(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    bench = Bench(a_rule(between="22:00-06:00", at_most_every_s=0.1))
    noon_ns = 1_700_049_600 * 10**9  # 2023-11-15 12:00 UTC
    async with bench.armed():
        for hours, fires in ((0, 0), (9.99, 0), (10, 1), (17.9, 1), (18, 0)):
            bench.log._clock_ns = lambda hours=hours: noon_ns + int(hours * 3600 * 10**9)  # type: ignore[misc]
            assert await bench.happen(PRESS, wait_s=1) == fires


async def test_a_rule_waits_between_two_acts(autojump_clock: MockClock) -> None:
    bench = Bench(a_rule(at_most_every_s=10))
    async with bench.armed():
        assert await bench.happen(*[PRESS] * 50) == 1
        assert await bench.happen(PRESS, wait_s=9) == 0
        assert await bench.happen(PRESS, wait_s=2) == 0
        assert await bench.happen(PRESS) == 1


async def test_its_own_doing_does_not_set_a_rule_off(autojump_clock: MockClock) -> None:
    for event in ("light_changed", "action_accepted", "action_refused", "action_failed", "button_pressed"):
        bench = Bench(a_rule(event, name="x", at_most_every_s=0.1))
        own = Principal(name="rule:x", role="system", via="rules")
        kind = EVENTS[event]
        made: dict[str, Any] = {"endpoint": "stairs", "by": "rule:x"}
        if "principal" in kind.__struct_fields__:
            made = {"action_id": "a", "action": LIGHT, "principal": own}
            if "reason" in kind.__struct_fields__:
                made["reason"] = "no"
        elif event == "light_changed":
            made["on"] = True
        async with bench.armed():
            assert await bench.happen(kind(**made), wait_s=1) == 0, event  # type: ignore[arg-type]
            made |= {"principal": who()} if "principal" in made else {"by": "ana"}
            assert await bench.happen(kind(**made), wait_s=1) == 1, event  # type: ignore[arg-type]


async def test_two_rules_that_answer_each_other_are_slowed_down(autojump_clock: MockClock) -> None:
    bench = Bench(
        a_rule("light_changed", name="a", at_most_every_s=0.1),
        a_rule("light_changed", name="b", at_most_every_s=0.1),
    )

    async def submit(action: Action, principal: Principal) -> Outcome:
        await trio.lowlevel.checkpoint()
        bench.asked.append((action, principal))
        bench.log.publish(LightChanged(endpoint="stairs", on=True, by=principal.name))
        return Done(action_id="a")

    bench.submit = submit  # type: ignore[method-assign]
    async with bench.armed():
        assert 2 <= await bench.happen(LightChanged(endpoint="stairs", on=False, by="ana"), wait_s=1) <= 22


async def test_what_is_refused_is_logged_and_the_rule_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bench = Bench(a_rule())
    bench.refusal = "it is a lock"
    async with bench.armed():
        assert await bench.happen(PRESS, wait_s=2) == 1
        assert "it is a lock" in caplog.text
        assert await bench.happen(PRESS) == 1


async def test_one_rule_never_acts_twice_at_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(a_rule(at_most_every_s=0.1))
    bench.delay_s = 5
    async with bench.armed():
        assert await bench.happen(PRESS, wait_s=1) == 1
        assert await bench.happen(PRESS, wait_s=1) == 0
        assert "still busy" in caplog.text
        await trio.sleep(4)
        assert await bench.happen(PRESS) == 1
    assert bench.most_running == 1


async def test_at_most_sixteen_act_at_once_and_a_busy_rule_starves_nobody(autojump_clock: MockClock) -> None:
    bench = Bench(*(a_rule() for _ in range(MAX_RUNNING + 4)))
    bench.delay_s = 5
    async with bench.armed():
        assert await bench.happen(PRESS, wait_s=1) == MAX_RUNNING
        await trio.sleep(5)
        assert await bench.happen(PRESS) == MAX_RUNNING
    assert bench.most_running == MAX_RUNNING
    slow, quick = a_rule(name="slow"), a_rule("door_changed", name="quick")
    bench = Bench(slow, quick)
    bench.delay_s = 3600
    async with bench.armed():
        await bench.happen(PRESS)
        bench.delay_s = 0
        for _ in range(3):
            assert await bench.happen(PRESS, DoorChanged(endpoint="strike", state="open"), wait_s=2) == 1


async def test_what_happened_before_it_was_armed_counts_from_its_mark(autojump_clock: MockClock) -> None:
    bench = Bench(a_rule(at_most_every_s=0.1))
    bench.log.publish(PRESS)
    mark = bench.log.last_seq
    bench.log.publish(DoorChanged(endpoint="strike", state="open"))
    bench.log.publish(PRESS)
    async with bench.armed(after=mark):
        assert await bench.happen() == 1


async def test_a_rule_that_was_lapped_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(a_rule(at_most_every_s=0.1))
    async with bench.armed():
        assert await bench.happen(*[DoorChanged(endpoint="strike", state="open")] * 5000, PRESS) == 1
    assert "missed entries" in caplog.text


async def test_stopping_ends_what_is_under_way(autojump_clock: MockClock) -> None:
    bench = Bench(a_rule())
    bench.delay_s = 3600
    async with bench.armed():
        await bench.happen(PRESS)
        assert bench.running == 1
    assert bench.running == 0


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        ({"on": "button_pressd"}, "no event 'button_pressd'; there are access_denied, "),
        ({"where": {"enpoint": "bell"}}, "button_pressed has no field 'enpoint'; it has endpoint, by"),
        ({"where": {"endpoint": True}}, "where.endpoint of button_pressed never is True"),
        (
            {"on": "door_changed", "where": {"state": "opened"}},
            "where.state of door_changed never is 'opened'",
        ),
        ({"on": "light_changed", "where": {"on": "yes"}}, "where.on of light_changed never is 'yes'"),
        (
            {"on": "action_accepted", "where": {"action": "unlock"}},
            "where.action of action_accepted never is",
        ),
        ({"where": {"type": "button_pressed/1"}}, "has no field 'type'"),
        ({"between": "9-17"}, "expected \"HH:MM-HH:MM\", got '9-17'"),
        ({"at_most_every_s": 0}, ">= 0.1"),
        ({"then": {"do": "unlock"}}, "missing required field `endpoint`"),
        ({"then": {"do": "explode", "endpoint": "door"}}, "'explode'"),
        ({"then": {"do": "unlock", "endpoint": "strike", "hold_s": float("nan")}}, "> 0"),
        ({"name": "x" * 65}, "length <= 64"),
        ({"whre": {}}, "unknown field `whre`"),
    ],
)
def test_a_bad_rule_says_what_is_wrong(plain: dict[str, Any], text: str) -> None:
    whole = {"on": "button_pressed", "then": {"do": "unlock", "endpoint": "strike"}, **plain}
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(whole, RuleConfig)
    assert text in str(caught.value)


def test_every_event_can_be_a_cause() -> None:
    assert len(EVENTS) == len(AnyEvent.__args__)
    for name in EVENTS:
        a_rule(name)
    assert a_rule().then == LIGHT
    assert isinstance(a_rule(then={"do": "unlock", "endpoint": "strike"}).then, Unlock)


def test_an_accepted_action_is_an_event_with_a_principal() -> None:
    assert "principal" in ActionAccepted.__struct_fields__  # what the loop guard looks at
