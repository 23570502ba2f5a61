"""What is let in: each alarm once, and never more than the event log can stand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.model.events import CameraAlarm
from agent.workers.zmes.client_intake import BURST, RATE_HZ, REMEMBERED, Intake


def alarm(event: int, monitor: int = 1, *, ended: bool = False) -> CameraAlarm:
    return CameraAlarm(
        source="zm", monitor_id=str(monitor), monitor="Yard", cause="Motion", event_id=str(event), ended=ended
    )


def test_the_same_alarm_is_let_in_once() -> None:
    intake = Intake()
    assert intake.judge(alarm(1), 0) == "report"
    assert intake.judge(alarm(1), 100) == "duplicate"
    assert intake.judge(alarm(1, ended=True), 101) == "report"
    assert intake.judge(alarm(1, ended=True), 102) == "duplicate"
    assert intake.judge(alarm(1, monitor=2), 103) == "report"
    assert (intake.counts.alarms, intake.counts.duplicates, intake.counts.dropped) == (3, 2, 0)


def test_the_least_recently_seen_is_forgotten_first() -> None:
    intake = Intake()
    for number in range(REMEMBERED):
        assert intake.judge(alarm(number), number) == "report"
    assert intake.judge(alarm(0), 300) == "duplicate"
    assert intake.judge(alarm(1000), 301) == "report"
    assert intake.judge(alarm(0), 302) == "duplicate"
    assert intake.judge(alarm(1), 303) == "report"


def test_a_flood_is_cut_to_a_burst_and_then_the_rate() -> None:
    intake = Intake()
    let_in = sum(intake.judge(alarm(number), 0) == "report" for number in range(1000))
    assert let_in == BURST
    assert intake.counts.dropped == 1000 - BURST
    let_in = sum(intake.judge(alarm(1000 + number), number / 100) == "report" for number in range(1000))
    assert abs(let_in - RATE_HZ * 9.99) <= 1


def test_a_dropped_alarm_is_not_remembered() -> None:
    intake = Intake(burst=1, rate_hz=1)
    assert intake.judge(alarm(1), 0) == "report"
    assert intake.judge(alarm(2), 0) == "flood"
    assert intake.judge(alarm(2), 1) == "report"


def test_a_duplicate_costs_nothing_of_the_rate() -> None:
    intake = Intake(burst=2, rate_hz=1)
    assert intake.judge(alarm(1), 0) == "report"
    for _ in range(10):
        assert intake.judge(alarm(1), 0) == "duplicate"
    assert intake.judge(alarm(2), 0) == "report"


@given(st.lists(st.tuples(st.integers(0, 500), st.booleans(), st.floats(0, 0.2))))
def test_never_above_the_rate_and_everything_counted(
    steps: list[tuple[int, bool, float]],
) -> None:
    intake = Intake()
    now_s = 0.0
    reported = 0
    for event, ended, pause_s in steps:
        now_s += pause_s
        reported += intake.judge(alarm(event, ended=ended), now_s) == "report"
        assert reported <= BURST + RATE_HZ * now_s + 1e-6
    counts = intake.counts
    assert counts.alarms == reported
    assert counts.alarms + counts.dropped + counts.duplicates == len(steps)


def test_a_quiet_night_does_not_save_up_a_bigger_burst() -> None:
    intake = Intake()
    assert intake.judge(alarm(0), 0) == "report"
    assert sum(intake.judge(alarm(number), 8 * 3600) == "report" for number in range(1, 500)) == BURST
