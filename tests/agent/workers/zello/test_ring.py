from __future__ import annotations

from datetime import datetime

import pytest
from harness.context import MemoryNotifications

from agent.model.events import AnyEvent, ButtonPressed, CallChanged, CallState
from agent.model.records import Entry
from agent.runtime import EndpointInfo
from agent.workers.zello.config import RingConfig
from agent.workers.zello.ring import MAX_CALLS, RingMessage, RingMessages, clock_text, door_label

S = 1_000_000_000
NOW = 1_800_000_000 * S
HOUSE = (
    EndpointInfo(name="bell", label="Front bell", kind="button"),
    EndpointInfo(name="gate", label="Gate", kind="lock"),
    EndpointInfo(name="door", label="Entrance", kind="lock"),
)


def call(
    call_id: str = "c1", state: CallState = "ringing", *, at_ns: int = NOW, endpoint: str = "bell"
) -> Entry:
    return entry(CallChanged(call_id=call_id, endpoint=endpoint, state=state), at_ns)


def entry(event: AnyEvent, at_ns: int = NOW) -> Entry:
    return Entry(boot_id="b", seq=1, at_ns=at_ns, event=event)


@pytest.fixture
def notifications() -> MemoryNotifications:
    return MemoryNotifications(HOUSE)


@pytest.fixture
def messages(notifications: MemoryNotifications) -> RingMessages:
    config = RingConfig(text="{door}/{bell}/{time}")
    return RingMessages(config, endpoints=HOUSE, notifications=notifications)


def test_a_ring_is_told(messages: RingMessages) -> None:
    clock = datetime.fromtimestamp(NOW // S).strftime("%H:%M")  # noqa: DTZ006
    told = RingMessage(call_id="c1", endpoint="bell", text=f"Gate/Front bell/{clock}")
    assert messages.message(call(), NOW) == told


def test_each_call_once(messages: RingMessages) -> None:
    assert messages.message(call(), NOW) is not None
    assert messages.message(call(), NOW) is None
    assert messages.message(call("c2"), NOW) is not None


@pytest.mark.parametrize("state", ["answered", "ended", "missed"])
def test_nothing_but_the_ringing(messages: RingMessages, state: CallState) -> None:
    assert messages.message(call(state=state), NOW) is None
    assert messages.message(entry(ButtonPressed(endpoint="bell")), NOW) is None


@pytest.mark.parametrize(("age_s", "told"), [(0, True), (30, True), (31, False), (-3600, True)])
def test_nobody_runs_to_an_old_ring(messages: RingMessages, age_s: int, told: bool) -> None:
    assert (messages.message(call(at_ns=NOW - age_s * S), NOW) is not None) is told


def test_what_is_muted_is_not_told_later_either(
    messages: RingMessages, notifications: MemoryNotifications
) -> None:
    notifications.modes["bell"] = "mute"
    assert messages.message(call(), NOW) is None
    notifications.modes["bell"] = "default"
    assert messages.message(call(), NOW) is None
    notifications.quiet = True
    assert messages.message(call("c2"), NOW) is None
    notifications.modes["bell"] = "force"
    assert messages.message(call("c3"), NOW) is not None


def test_what_is_remembered_is_bounded(messages: RingMessages) -> None:
    for number in range(MAX_CALLS + 1):
        assert messages.message(call(f"n{number}"), NOW) is not None
    assert messages.message(call("n0"), NOW) is not None
    assert messages.message(call(f"n{MAX_CALLS}"), NOW) is None


def test_a_bell_without_a_label(messages: RingMessages) -> None:
    told = messages.message(call(endpoint="yard"), NOW)
    assert told is not None
    assert "/yard/" in told.text


def test_what_the_door_is_called() -> None:
    assert door_label(HOUSE) == "Gate"
    assert door_label(HOUSE, "door") == "Entrance"
    assert door_label(HOUSE, "attic") == "door"
    assert door_label(()) == "door"


def test_times_of_day() -> None:
    assert len(clock_text(NOW)) == 5
    assert clock_text(0)[2] == ":"
