"""The debouncer alone: timestamps in, edges out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hw.debounce import CHATTER_AFTER_S, Debouncer
from hw.ports import Edge

DEBOUNCE_S = 0.05


def feed(debouncer: Debouncer, *changes: tuple[bool, float]) -> list[Edge]:
    return [edge for active, at in changes for edge in debouncer.change(Edge(active, at))]


def test_the_first_change_counts_at_once() -> None:
    debouncer = Debouncer(DEBOUNCE_S, False)
    assert feed(debouncer, (True, 1.0)) == [Edge(True, 1.0)]
    assert debouncer.active
    assert debouncer.settling


def test_bounces_of_five_milliseconds_are_one_press() -> None:
    debouncer = Debouncer(DEBOUNCE_S, False)
    changes = [(step % 2 == 0, 1.0 + step * 0.0005) for step in range(11)]
    assert feed(debouncer, *changes) == [Edge(True, 1.0)]
    assert debouncer.settle(True, 1.06) is None
    assert (debouncer.changes, debouncer.ignored, debouncer.settling) == (11, 10, False)


def test_a_release_inside_the_window_is_seen_when_it_closes() -> None:
    debouncer = Debouncer(DEBOUNCE_S, False)
    assert feed(debouncer, (True, 1.0), (False, 1.03)) == [Edge(True, 1.0)]
    assert debouncer.settle(False, 1.08) == Edge(False, 1.03)
    assert not debouncer.active


def test_a_release_inside_the_window_is_seen_by_the_next_press() -> None:
    debouncer = Debouncer(DEBOUNCE_S, False)
    edges = feed(debouncer, (True, 1.0), (False, 1.03), (True, 1.2))
    assert edges == [Edge(True, 1.0), Edge(False, 1.03), Edge(True, 1.2)]


def test_a_window_nobody_closed_ends_by_itself() -> None:
    debouncer = Debouncer(DEBOUNCE_S, False)
    edges = feed(debouncer, (True, 1.0), (False, 2.0), (True, 3.0))
    assert edges == [Edge(True, 1.0), Edge(False, 2.0), Edge(True, 3.0)]


def test_the_window_lasts_until_the_line_is_quiet() -> None:
    debouncer = Debouncer(DEBOUNCE_S, False)
    changes = [(step % 2 == 0, 1.0 + step * 0.04) for step in range(10)]
    assert feed(debouncer, *changes) == [Edge(True, 1.0)]
    assert debouncer.settle(False, 1.5) == Edge(False, 1.0 + 9 * 0.04)


def test_a_level_ahead_of_its_change_is_reported_once() -> None:
    """The line is read before the callback of its change has run."""
    debouncer = Debouncer(DEBOUNCE_S, False)
    feed(debouncer, (True, 1.0))
    assert debouncer.settle(False, 1.06) == Edge(False, 1.06)
    assert debouncer.settling
    assert feed(debouncer, (False, 1.0599), (True, 1.0605), (False, 1.061)) == []
    assert debouncer.settle(False, 1.2) is None
    assert not debouncer.settling


def test_a_level_that_disagrees_with_history_only_keeps_the_window_open() -> None:
    debouncer = Debouncer(DEBOUNCE_S, False)
    feed(debouncer, (True, 1.0), (False, 1.01))
    assert debouncer.settle(True, 1.07) is None
    assert debouncer.settling
    assert debouncer.settle(True, 1.2) is None
    assert not debouncer.settling


def test_a_repeated_level_is_not_an_edge() -> None:
    debouncer = Debouncer(DEBOUNCE_S, False)
    assert feed(debouncer, (False, 1.0)) == []
    assert debouncer.ignored == 1


def test_chattering_is_flagged_and_taken_back() -> None:
    debouncer = Debouncer(DEBOUNCE_S, False)
    steps = int(CHATTER_AFTER_S / 0.01) + 2
    before = [(step % 2 == 0, 1.0 + step * 0.01) for step in range(steps - 5)]
    assert feed(debouncer, *before) == [Edge(True, 1.0)]
    assert not debouncer.chattering
    rest = [(step % 2 == 0, 1.0 + step * 0.01) for step in range(steps - 5, steps)]
    assert feed(debouncer, *rest) == []
    assert debouncer.chattering
    debouncer.settle(rest[-1][0], 3.0)
    assert not debouncer.chattering


def test_without_debounce_every_change_counts() -> None:
    debouncer = Debouncer(0.0, False)
    changes = [(True, 1.0), (False, 1.0), (True, 1.0001)]
    assert feed(debouncer, *changes) == [Edge(active, at) for active, at in changes]
    assert not debouncer.settling


@settings(max_examples=200, deadline=None)
@given(
    gaps=st.lists(st.floats(0.0, 0.2), max_size=60),
    debounce_s=st.sampled_from([0.0, 0.01, 0.05]),
    initial=st.booleans(),
)
def test_any_alternating_wire(gaps: list[float], debounce_s: float, initial: bool) -> None:
    """Edges alternate, begin with the first change, keep their order, and end at the level of the wire."""
    debouncer = Debouncer(debounce_s, initial)
    level, at = initial, 1.0
    edges: list[Edge] = []
    for gap in gaps:
        at += gap
        level = not level
        edges.extend(debouncer.change(Edge(level, at)))
    last = debouncer.settle(level, at + 1.0)
    edges.extend([last] if last is not None else [])
    assert [edge.active for edge in edges] == [(index % 2 == 0) != initial for index in range(len(edges))]
    assert [edge.at for edge in edges] == sorted(edge.at for edge in edges)
    assert debouncer.active == level
    assert not debouncer.settling
    if gaps:
        assert edges[0].at == 1.0 + gaps[0]
    assert debouncer.changes == len(gaps)
