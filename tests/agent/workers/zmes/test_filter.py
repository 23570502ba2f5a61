from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workers.zmes.filter import MAX_INTERVAL_S, MAX_KEYS, LastSent, MonitorFilter
from agent.workers.zmes.wire import MAX_MONITORS

S = 1_000_000_000


@pytest.mark.parametrize("monlist", ["", "-1", "0", " 0 "])
def test_these_lists_mean_every_monitor_without_intervals(monlist: str) -> None:
    found = MonitorFilter.parse(monlist, "60,60")
    assert found.wants("1")
    assert found.wants("77")
    assert found.interval_s("1") == 0


@pytest.mark.parametrize(
    ("monlist", "intlist", "expected"),
    [
        ("1,2,4", "0,60,3600", {"1": 0, "2": 60, "4": 3600}),
        ("1,2,4", "0,60", {"1": 0, "2": 60, "4": 0}),
        ("1,2", "", {"1": 0, "2": 0}),
        (" 1 , 2 ", " 5 , 1.5 ", {"1": 5, "2": 1.5}),
        ("1,2,3,4", "-5,x,inf,nan", {"1": 0, "2": 0, "3": 0, "4": 0}),
        ("1", "1e30", {"1": MAX_INTERVAL_S}),
        ("1", "5,6,7", {"1": 5}),
        ("1,1", "5,9", {"1": 5}),
        ("0,1", "0,60", {"0": 0, "1": 60}),
    ],
)
def test_intervals_go_by_position(monlist: str, intlist: str, expected: dict[str, float]) -> None:
    found = MonitorFilter.parse(monlist, intlist)
    assert {monitor_id: found.interval_s(monitor_id) for monitor_id in expected} == expected
    assert all(found.wants(monitor_id) for monitor_id in expected)
    assert not found.wants("99")
    assert found.interval_s("99") == 0


def test_a_list_of_something_else_wants_nothing() -> None:
    found = MonitorFilter.parse("front door", "")
    assert not found.wants("1")


def test_entries_beyond_the_bound_are_not_looked_at() -> None:
    found = MonitorFilter.parse(",".join(str(number) for number in range(1, MAX_MONITORS + 10)), "")
    assert found.wants(str(MAX_MONITORS))
    assert not found.wants(str(MAX_MONITORS + 1))


@given(st.text(max_size=100), st.text(max_size=100))
def test_any_lists(monlist: str, intlist: str) -> None:
    found = MonitorFilter.parse(monlist, intlist)
    assert found.interval_s("1") >= 0


@pytest.mark.parametrize(
    ("later_ns", "due"), [(59 * S, False), (60 * S - 1, False), (60 * S, True), (61 * S, True), (-1, True)]
)
def test_due_after_the_interval_or_a_clock_set_back(later_ns: int, due: bool) -> None:
    times = LastSent()
    assert times.due("phone", "1", 60, 100 * S)
    times.stamp("phone", "1", 100 * S)
    assert times.due("phone", "1", 60, 100 * S + later_ns) is due
    assert times.due("phone", "2", 60, 100 * S)
    assert times.due(1, "1", 60, 100 * S)


def test_tokens_are_kept_in_the_file_and_connections_are_not() -> None:
    times = LastSent()
    times.stamp("phone", "1", 1_700_000_000_500_000_000)
    times.stamp("gone", "1", 1_700_000_000_000_000_000)
    times.stamp(3, "1", 1_700_000_000_000_000_000)
    plain = json.loads(json.dumps(times.to_plain()))
    assert plain == {"phone": {"1": 1_700_000_000.5}, "gone": {"1": 1_700_000_000.0}}
    again = LastSent()
    again.restore(plain, {"phone"})
    assert not again.due("phone", "1", 60, 1_700_000_059_000_000_000)
    assert again.due("gone", "1", 60, 1_700_000_001_000_000_000)


@pytest.mark.parametrize("plain", [None, [], {"phone": 5}, {"phone": {"1": "x"}}, {"phone": {"1": 1e300}}])
def test_a_file_that_does_not_fit_is_left_out(plain: object) -> None:
    times = LastSent()
    times.restore(plain, {"phone"})
    assert times.due("phone", "1", 60, S)


def test_a_connection_is_forgotten() -> None:
    times = LastSent()
    times.stamp(3, "1", 5 * S)
    times.forget(3)
    times.forget(4)
    assert times.due(3, "1", 60, 6 * S)


def test_the_receiver_told_longest_ago_is_forgotten_first() -> None:
    times = LastSent()
    for number in range(MAX_KEYS):
        times.stamp(number, "1", number)
    times.stamp(0, "1", S)
    times.stamp("new", "1", S)
    assert times.due(1, "1", 3600, S)
    assert not times.due(0, "1", 3600, S)
    assert not times.due("new", "1", 3600, S)
