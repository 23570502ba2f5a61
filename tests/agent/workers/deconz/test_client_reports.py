"""What of a gateway's devices is news to the house."""

from __future__ import annotations

from typing import Any

import pytest

from agent.model.events import DeviceChanged
from agent.workers.deconz.client_device import Device, device_from
from agent.workers.deconz.client_reports import BURST, MAX_FACTS, Reports


class Told:
    def __init__(self) -> None:
        self.events: list[DeviceChanged] = []
        self.reports = Reports("home", self.events.append)

    @property
    def facts(self) -> list[tuple[str, Any]]:
        return [(event.fact, event.value) for event in self.events]


def device(number: str = "4", /, **state: Any) -> Device:
    body = {"name": "Smoke", "uniqueid": f"00:15-{number}", "state": state}
    found = device_from("sensors", number, body)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("field", "fact"),
    [
        ("fire", "smoke"), ("carbonmonoxide", "co"), ("water", "water"), ("alarm", "alarm"), ("open", "open"),
        ("presence", "motion"), ("vibration", "vibration"), ("tampered", "tamper"),
    ],
)  # fmt: skip
def test_each_fact_is_told_when_it_changes(field: str, fact: str) -> None:
    told = Told()
    for value in (False, True, True, None, True, False, False):
        told.reports.observe(device(**{field: value}), 1.0)
    assert told.facts == [(fact, True), (fact, False)]
    assert told.events[0] == DeviceChanged(
        source="home", device="Smoke", unique_id="00:15-4", fact=fact, value=True  # type: ignore[arg-type]
    )  # fmt: skip


def test_of_a_new_device_only_an_alarm_is_news() -> None:
    told = Told()
    everything = dict.fromkeys(
        ["fire", "carbonmonoxide", "water", "alarm", "open", "presence", "vibration", "tampered"], True
    )
    told.reports.observe(device(**everything), 1.0)
    assert told.facts == [
        ("smoke", True), ("co", True), ("water", True), ("alarm", True), ("tamper", True)
    ]  # fmt: skip
    told.reports.observe(device(**dict.fromkeys(everything, False)), 2.0)
    assert len(told.facts) == 13


@pytest.mark.parametrize("value", [None, 1, 0, "true", 1.0])
def test_what_is_no_truth_is_not_told(value: object) -> None:
    told = Told()
    told.reports.observe(device(fire=False), 1.0)
    told.reports.observe(device(fire=value), 1.0)
    assert told.facts == []


def test_what_is_an_endpoint_of_this_house_is_left_to_it() -> None:
    told = Told()
    told.reports.observe(device(fire=True, tampered=True), 1.0, skip=frozenset({"fire"}))
    assert told.facts == [("tamper", True)]


def test_in_a_flood_the_newest_state_is_told_and_alarms_first() -> None:
    told = Told()
    for number in range(200):
        told.reports.observe(device(str(number), open=False, fire=False), 1.0)
    for number in range(200):
        told.reports.observe(device(str(number), open=True, fire=number == 150), 1.0)
    assert len(told.facts) == BURST
    told.reports.observe(device("199", open=False, fire=False), 1.0)  # open again before it was told
    now = 1.0
    while (wait := told.reports.intake.flush(now)) is not None:
        now += wait
    assert told.facts[BURST] == ("smoke", True)
    assert len(told.facts) == 200
    assert now == pytest.approx(1 + (200 - BURST) / 20)
    assert "00:15-199" not in {event.unique_id for event in told.events}


def test_in_a_flood_presses_are_dropped() -> None:
    told = Told()
    for _ in range(100):
        told.reports.edge(device(buttonevent=None), "button", 2002, 1.0)
    assert told.facts == [("button", 2002)] * BURST
    assert told.reports.intake.dropped == 100 - BURST


def test_an_alarm_that_ends_before_it_could_be_told_is_over() -> None:
    told = Told()
    for number in range(BURST):
        told.reports.observe(device(f"1{number:03}", fire=True), 1.0)
    told.reports.observe(device("7", fire=True), 1.0)
    told.reports.observe(device("7", fire=False), 1.0)
    assert told.reports.intake.flush(100.0) is None
    assert len(told.facts) == BURST


def test_what_is_remembered_is_bounded() -> None:
    told = Told()
    for number in range(MAX_FACTS + 10):
        told.reports.observe(device(str(number), open=False), 1.0)
    assert len(told.reports._told) == MAX_FACTS
