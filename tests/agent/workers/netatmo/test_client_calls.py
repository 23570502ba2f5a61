"""One ring for a call, in whatever order it is told."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workers.netatmo.client_calls import MAX_SESSIONS, Calls, Seen
from agent.workers.netatmo.translate import Step

STEPS: list[Step] = ["ring", "ring", "answered", "missed", "over"]


def take(
    calls: Calls, step: Step, now_s: float = 0.0, *, session: str = "s", event: str = "", device: str = "d",
    module: str = "", age_s: float = 0.0,
) -> str:  # fmt: skip
    verdict, _ = calls.take(
        step, session_id=session, event_id=event, device=device, module=module, age_s=age_s, now_s=now_s
    )
    return verdict


@pytest.mark.parametrize("end", ["answered", "missed", "over"])
def test_a_call_from_its_beginning_to_its_end(end: Step) -> None:
    calls = Calls()
    assert take(calls, "ring") == "ring"
    assert take(calls, "ring", 4) == "nothing"
    assert take(calls, end, 28) == "end"
    assert take(calls, end, 29) == "nothing"
    assert take(calls, "ring", 30) == "late"


@pytest.mark.parametrize("order", list(itertools.permutations(["ring", "ring", "missed"])))
def test_any_order_rings_at_most_once(order: tuple[Step, ...]) -> None:
    calls = Calls()
    assert [take(calls, step) for step in order].count("ring") <= 1


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.floats(0, 100)), max_size=30))
def test_any_story_within_two_minutes_rings_at_most_once(story: list[tuple[Step, float]]) -> None:
    calls = Calls()
    told = [take(calls, step, at) for step, at in sorted(story, key=lambda one: one[1])]
    assert told.count("ring") <= 1


def test_the_module_is_joined_by_the_session() -> None:
    calls = Calls()
    assert take(calls, "ring") == "ring"
    verdict, call = calls.take("ring", session_id="s", event_id="", device="d", module="m", age_s=0, now_s=1)
    assert verdict == "update"
    assert call is not None
    assert call.module == "m"


def test_an_old_one_rings_no_bell_but_its_younger_half_does() -> None:
    calls = Calls()
    assert take(calls, "ring", age_s=61) == "old"
    assert take(calls, "ring", age_s=60) == "ring"


def test_without_a_session_the_event_counts() -> None:
    calls = Calls()
    assert take(calls, "ring", session="", event="e1") == "ring"
    assert take(calls, "ring", session="", event="e1") == "nothing"
    assert take(calls, "ring", session="", event="e2") == "ring"


def test_without_any_id_half_a_minute_of_a_device_is_one_call() -> None:
    calls = Calls()
    assert take(calls, "ring", 0, session="", module="m") == "ring"
    assert take(calls, "ring", 29, session="", module="m") == "nothing"
    assert take(calls, "ring", 29, session="", module="other") == "ring"
    assert take(calls, "ring", 31, session="", module="m") == "ring"


def test_a_call_that_nobody_ends() -> None:
    calls = Calls()
    assert calls.next_overdue() is None
    take(calls, "ring", 10)
    assert calls.next_overdue() == 70
    assert calls.overdue(69) == []
    (call,) = calls.overdue(70)
    assert call.outcome == "unknown outcome"
    assert calls.overdue(100) == []
    assert calls.next_overdue() is None
    assert take(calls, "ring", 80) == "late"


def test_an_end_of_what_nobody_heard() -> None:
    calls = Calls()
    assert take(calls, "missed") == "nothing"
    assert calls.overdue(1000) == []


def test_what_is_over_is_forgotten() -> None:
    calls = Calls()
    take(calls, "ring", 0)
    assert calls.knows("s", 100)
    assert not calls.knows("s", 121)


def test_a_thousand_calls() -> None:
    calls = Calls()
    told = [take(calls, "ring", session=f"s{number}") for number in range(1000)]
    assert told.count("ring") == 1000
    assert sum(calls.knows(f"s{number}", 0) for number in range(1000)) == MAX_SESSIONS


def test_ids_are_remembered_and_bounded() -> None:
    seen = Seen(3)
    assert [seen.add(one) for one in ("a", "b", "a", "c", "d")] == [True, True, False, True, True]
    assert ("a" in seen, "b" in seen, len(seen)) == (True, False, 3)
