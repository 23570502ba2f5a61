"""Refusals are told at once and summed up after."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.access.denials import MANY, MAX_EVENTS_PER_PERIOD, PERIOD_S, Denials
from agent.model.events import AccessDenied


def add(
    denials: Denials, now: float, *, peer: str = "p", account: str = "a", reason: str = "wrong"
) -> AccessDenied | None:
    return denials.add(worker="web", peer=peer, account=account, reason=reason, now=now)


def test_the_first_is_told_at_once_and_the_rest_in_one() -> None:
    denials = Denials()
    assert add(denials, 0.0) == AccessDenied(worker="web", peer="p", account="a", reason="wrong", count=1)
    assert add(denials, 1.0) is None
    assert add(denials, 2.0, reason="too many attempts") is None
    assert denials.next_at == PERIOD_S
    assert denials.due(PERIOD_S - 0.1) == []
    assert denials.due(PERIOD_S) == [
        AccessDenied(worker="web", peer="p", account="a", reason="too many attempts", count=2)
    ]
    assert denials.due(2 * PERIOD_S) == []
    assert denials.next_at is None


def test_one_event_per_period_while_it_goes_on() -> None:
    denials = Denials()
    events = 0
    for tenth in range(1000):
        events += add(denials, tenth / 10) is not None
        events += len(denials.due(tenth / 10))
    assert events == 1 + 9


def test_a_flood_of_names_is_one_event() -> None:
    denials = Denials()
    told = [add(denials, 0.0, account=f"name{number}") for number in range(1000)]
    assert sum(event is not None for event in told) == MAX_EVENTS_PER_PERIOD + 1
    events = denials.due(PERIOD_S)
    assert [(event.peer, event.account) for event in events] == [(MANY, MANY)]
    assert events[0].count == 1000 - MAX_EVENTS_PER_PERIOD - 1


def test_an_attack_for_hours_does_not_push_the_history_out() -> None:
    """New names all the time: the journal keeps a year in 256 MB, or few days at 33 events in ten seconds."""
    denials = Denials()
    events = counted = 0
    for second in range(3600):
        due = denials.due(float(second))
        told = [add(denials, float(second), account=f"{second}.{number}") for number in range(20)]
        found = [*due, *(event for event in told if event is not None)]
        events += len(found)
        counted += sum(event.count for event in found)
    counted += sum(event.count for event in denials.due(4000.0))
    assert counted == 3600 * 20
    assert events < 2 * 3600 / PERIOD_S + 2 * MAX_EVENTS_PER_PERIOD


def test_the_same_names_for_hours_do_not_push_it_out_either() -> None:
    denials = Denials()
    events = 0
    for second in range(3600):
        events += len(denials.due(float(second)))
        for number in range(30):
            events += add(denials, float(second), account=str(number)) is not None
    assert events < 2 * 3600 / PERIOD_S + 2 * MAX_EVENTS_PER_PERIOD


def test_after_an_attack_single_refusals_are_told_again() -> None:
    denials = Denials()
    for number in range(1000):
        add(denials, 0.0, account=str(number))
    now = 0.0
    while denials.next_at is not None:
        now = denials.next_at
        denials.due(now)
    assert now < 10 * 60
    assert add(denials, now + 600, account="anna") is not None


def test_what_a_stranger_typed_is_short_and_printable() -> None:
    event = add(Denials(), 0.0, account="\x1b[31m" + "x" * 500, peer="p" * 500)
    assert event is not None
    assert event.account == "?[31m" + "x" * 59
    assert len(event.peer) == 64


@given(st.lists(st.tuples(st.integers(0, 60), st.floats(0, 5)), max_size=200))
def test_every_refusal_is_counted_once(steps: list[tuple[int, float]]) -> None:
    denials, now, counted = Denials(), 0.0, 0
    for number, pause_s in steps:
        now += pause_s
        counted += sum(event.count for event in denials.due(now))
        event = add(denials, now, account=str(number))
        counted += event.count if event else 0
    counted += sum(event.count for event in denials.due(now + PERIOD_S))
    assert counted == len(steps)
