from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from harness.scripted_agent import ScriptedAgent

from agent.commands.event_text import endpoint_of, sentence
from agent.journal.opening import open_database
from agent.journal.rows import entry_row, gap_row
from agent.model.actions import SetNotify, Unlock
from agent.model.events import (
    AccessDenied,
    AccountChanged,
    ActionAccepted,
    ActionFailed,
    ActionRefused,
    AgentStarted,
    AgentStopping,
    AlarmChanged,
    AnyEvent,
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    CallChanged,
    CameraAlarm,
    CloudReported,
    ContactChanged,
    DeviceChanged,
    DoorChanged,
    DuressSignalled,
    HardwareFailed,
    HardwareRecovered,
    JournalFailed,
    JournalRecovered,
    KeyRefused,
    KeysChanged,
    KeyUsed,
    LightChanged,
    LockChanged,
    MessageRecorded,
    MicrophoneChanged,
    NotifyChanged,
    SirenChanged,
    TalkEnded,
    TalkStarted,
    WorkerChanged,
    WorkerFailed,
)
from agent.model.principals import Principal
from agent.model.records import Entry, Gap, to_plain

Portero = Callable[..., Result]
ANNA = Principal(name="anna", role="resident", via="zmes")
UNLOCK = Unlock(endpoint="strike")
NOW_NS = time.time_ns()
HOUR_NS = 3_600_000_000_000

SENTENCES: list[tuple[AnyEvent, str]] = [
    (ButtonPressed(endpoint="bell"), "pressed"),
    (ButtonPressed(endpoint="bell", by="anna"), "pressed by anna"),
    (ButtonHeld(endpoint="bell", held_ms=1500), "held for 1500 ms"),
    (ButtonReleased(endpoint="bell", held_ms=80), "released after 80 ms"),
    (CallChanged(call_id="c1", endpoint="bell", state="answered", by="anna"), "call c1 answered by anna"),
    (TalkStarted(by="anna", via="zello"), "anna speaks via zello"),
    (TalkEnded(by="anna", duration_s=2.34, reason="time limit"), "anna spoke for 2.3 s (time limit)"),
    (MicrophoneChanged(on=True, reason="ring", call_id="c1"), "microphone ON (ring, call c1)"),
    (MicrophoneChanged(on=False, reason="test"), "microphone off (test)"),
    (
        MessageRecorded(call_id="c1", endpoint="bell", file="c1.ogg", duration_s=7.2),
        "message of 7 s recorded: c1.ogg (call c1)",
    ),
    (LockChanged(endpoint="strike", state="unlocked", by="anna", hold_s=5.0), "unlocked for 5 s by anna"),
    (LockChanged(endpoint="strike", state="locked", reason="hold over"), "locked (hold over)"),
    (DoorChanged(endpoint="strike", state="left_open"), "door left open"),
    (SirenChanged(endpoint="siren", on=True, duration_s=60.0), "siren on for 60 s"),
    (LightChanged(endpoint="light", on=False, by="anna"), "light off by anna"),
    (ContactChanged(endpoint="smoke", role="smoke", active=True), "smoke contact ACTIVE"),
    (NotifyChanged(endpoint="bell", mode="mute", by="anna"), "notifications: mute by anna"),
    (
        CameraAlarm(source="zm", monitor_id="1", monitor="Yard", cause="Motion", event_id="5", ended=True),
        "camera Yard of zm: end of Motion",
    ),
    (
        CloudReported(
            source="legrand",
            product="NSD",
            kind="smoke",
            device="Kitchen",
            sub_type=1,
            meaning="smoke detected",
        ),
        "Kitchen of legrand: smoke detected",
    ),
    (
        CloudReported(
            source="legrand", product="NACamera", kind="person", unique_id="70:ee", persons=("Ana",)
        ),
        "70:ee of legrand: person (Ana)",
    ),
    (
        DeviceChanged(source="home", device="Shed", unique_id="00:15-01", fact="motion", value=True),
        "Shed of home: motion yes",
    ),
    (
        DeviceChanged(source="home", device="Remote", unique_id="00:15-01", fact="button", value=1002),
        "Remote of home: button 1002",
    ),
    (
        AlarmChanged(state="arming", mode="away", seconds=60, by="anna"),
        "alarm system arming (away) for 60 s by anna",
    ),
    (
        AlarmChanged(state="entry_delay", mode="away", seconds=30, endpoint="strike"),
        "alarm system entry delay (away) for 30 s",
    ),
    (AlarmChanged(state="in_alarm", mode="away", endpoint="strike"), "alarm system IN ALARM (away)"),
    (AlarmChanged(state="disarmed", mode="disarmed", by="anna"), "alarm system disarmed by anna"),
    (
        KeyUsed(reader="front", endpoint="strike", method="tag", key_id="k1", holder="Ana"),
        "opened with a tag of Ana (key k1) at front",
    ),
    (
        KeyRefused(reader="front", method="code", reason="not known", count=3),
        "REFUSED: code at front: not known, 3 times",
    ),
    (
        DuressSignalled(reader="front", endpoint="strike", key_id="k1"),
        "DURESS: opened under threat (key k1) at front",
    ),
    (
        KeysChanged(source="vms", added=2, removed=1, file="keys.xlsx"),
        "keys from vms (keys.xlsx): 2 added, 1 removed",
    ),
    (KeysChanged(source="file", by="local:ana"), "keys from file: no change by local:ana"),
    (
        ActionAccepted(action_id="a", action=UNLOCK, principal=ANNA),
        "accepted: unlock asked by anna (resident, zmes)",
    ),
    (
        ActionRefused(action_id="a", action=UNLOCK, principal=ANNA, reason="no"),
        "REFUSED: unlock asked by anna (resident, zmes): no",
    ),
    (
        ActionFailed(action_id="a", action=UNLOCK, principal=ANNA, reason="stuck"),
        "FAILED: unlock asked by anna (resident, zmes): stuck",
    ),
    (
        AccessDenied(worker="zmes", peer="10.0.0.9", account="root", reason="bad password", count=7),
        "DENIED: root from 10.0.0.9 via zmes (bad password), 7 times",
    ),
    (
        AccountChanged(account="anna", change="key_added", by="local:root"),
        "account anna: key added by local:root",
    ),
    (HardwareFailed(endpoint="strike", reason="gone"), "HARDWARE FAILED: gone"),
    (HardwareRecovered(endpoint="strike"), "hardware works again"),
    (JournalFailed(reason="disk full", moved_to="/x"), "JOURNAL FAILED: disk full, moved to /x"),
    (JournalRecovered(lost_first=3, lost_last=5), "journal stores again, entries 3 to 5 are lost"),
    (WorkerChanged(worker="zmes", state="retrying", reason="gone"), "protocol zmes retrying (gone)"),
    (WorkerFailed(worker="zmes", reason="KeyError", parked=True), "protocol zmes FAILED: KeyError, parked"),
    (
        AgentStarted(version="0.1.0", boot_id="b", boot_number=7, simulated=True),
        "started: portero 0.1.0, start number 7, simulated",
    ),
    (AgentStopping(reason="SIGTERM"), "stopping (SIGTERM)"),
]


@pytest.mark.parametrize(("event", "text"), SENTENCES, ids=lambda value: type(value).__name__)
def test_sentences(event: AnyEvent, text: str) -> None:
    assert sentence(to_plain(event)) == text


def test_every_event_has_a_sentence() -> None:
    assert {type(event) for event, _ in SENTENCES} == set(AnyEvent.__args__)


def test_event_of_a_newer_version_is_shown_plainly() -> None:
    assert sentence({"type": "comet_seen/1", "endpoint": "sky", "tail": 3}) == "comet seen tail=3"
    assert sentence({"type": "lock_changed/2", "latch": "up"}) == "lock changed latch=up"
    assert sentence({"type": "alarm_changed/2", "state": "asleep"}) == "alarm changed state=asleep"
    assert sentence({"type": "device_changed/1", "value": 0}) == "device changed"
    assert (
        endpoint_of(to_plain(ActionAccepted(action_id="a", action=SetNotify(mode="mute"), principal=ANNA)))
        == ""
    )


@pytest.fixture
def stored(state: Path) -> Path:
    """A journal: start, a ring three hours ago, a gap, an unlock now."""
    events: list[tuple[int, AnyEvent]] = [
        (NOW_NS - 4 * HOUR_NS, AgentStarted(version="0.1.0", boot_id="b", boot_number=1)),
        (NOW_NS - 3 * HOUR_NS, ButtonPressed(endpoint="doorbell")),
        (NOW_NS, ActionAccepted(action_id="a", action=UNLOCK, principal=ANNA)),
        (NOW_NS, LockChanged(endpoint="strike", state="unlocked", by="anna\x1b[2J")),
    ]
    rows = [
        entry_row(Entry(boot_id="b", seq=seq, at_ns=at_ns, event=event))
        for seq, (at_ns, event) in zip((1, 2, 6, 7), events, strict=True)
    ]
    rows.insert(2, gap_row(Gap(first=3, last=5), boot_id="b", at_ns=NOW_NS - 2 * HOUR_NS))
    database = open_database(state / "journal.db")
    database.commit(rows)
    database.close()
    return state


def seqs(done: Result) -> list[int]:
    assert done.exit_code == 0, done.stderr
    return [json.loads(line)["seq"] for line in done.stdout.splitlines()]


def test_people_see_lines(portero: Portero, stored: Path) -> None:
    done = portero("events")
    assert done.exit_code == 0
    lines = [line[21:] for line in done.stdout.splitlines()]
    assert lines == [
        "-             started: portero 0.1.0, start number 1",
        "doorbell      pressed",
        "              entries 3 to 5 are missing",
        "strike        accepted: unlock asked by anna (resident, zmes)",
        "strike        unlocked by anna\\x1b[2J",
    ]


def test_programs_see_one_object_per_line(portero: Portero, stored: Path) -> None:
    items = [json.loads(line) for line in portero("events", "--json").stdout.splitlines()]
    assert items[1] == {
        "boot_id": "b",
        "seq": 2,
        "at_ns": NOW_NS - 3 * HOUR_NS,
        "event": {"type": "button_pressed/1", "endpoint": "doorbell", "by": ""},
    }
    assert items[2]["gap"] == {"first": 3, "last": 5}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], [1, 2, 3, 6, 7]),
        (["--limit", "2"], [6, 7]),
        (["--since", "1h"], [6, 7]),
        (["--since", "5h", "-n", "2"], [1, 2]),
        (["--endpoint", "strike"], [6, 7]),
        (["--type", "lock_changed"], [7]),
        (["--type", "lock_changed/1", "--type", "button_pressed"], [2, 7]),
        (["--access"], [6, 7]),
        (["--access", "--type", "button_pressed"], []),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_choice(arguments: list[str], expected: list[int], portero: Portero, stored: Path) -> None:
    assert seqs(portero("events", "--json", *arguments)) == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--since", "soon"], "expected 45s, 10m"),
        (["--limit", "0"], "0 is not in the range"),
        (["--type", "lock_chnged"], "did you mean lock_changed?"),
        (["--type", "xyzzy"], "known are access_denied"),
    ],
)
def test_wrong_arguments(arguments: list[str], text: str, portero: Portero, stored: Path) -> None:
    done = portero("events", *arguments)
    assert done.exit_code == 2
    assert text in done.stderr


def test_no_journal(portero: Portero) -> None:
    done = portero("events")
    assert done.exit_code == 1
    assert "there is no journal" in done.stderr
    assert portero("events", "--follow").exit_code == 3


def test_journal_that_is_none(portero: Portero, state: Path) -> None:
    (state / "journal.db").write_bytes(b"rubbish" * 1000)
    done = portero("events")
    assert done.exit_code == 1
    assert done.stderr


def item(seq: int, event: AnyEvent) -> dict[str, Any]:
    return {"boot_id": "b", "seq": seq, "at_ns": NOW_NS, "event": to_plain(event)}


def test_follow_goes_on_where_the_journal_ends(portero: Portero, stored: Path) -> None:
    with ScriptedAgent(stored) as agent:
        agent.items = [
            item(8, ButtonPressed(endpoint="doorbell")),
            {"gap": {"first": 9, "last": 11}},
            item(12, LockChanged(endpoint="strike", state="locked")),
        ]
        done = portero("events", "--follow", "--json", "-n", "2")
        chosen = portero("events", "--follow", "--json", "--endpoint", "strike", "--access")
        people = portero("events", "-f", "-n", "1")
    assert agent.arguments("events") == {"after": 7}
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("seq") for line in lines] == [6, 7, 8, None, 12]
    assert lines[3] == {"gap": {"first": 9, "last": 11}}
    assert [json.loads(line).get("seq") for line in chosen.stdout.splitlines()] == [6, 7, None, 12]
    assert people.stdout.splitlines()[-1].endswith("strike        locked")
    assert done.exit_code == 1  # the script of the test ends with an error
    assert "the script is at its end" in done.stderr


def test_follow_without_a_journal(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state) as agent:
        agent.items = [item(8, ButtonPressed(endpoint="doorbell"))]
        done = portero("events", "--follow", "--json")
    assert agent.arguments("events") == {"after": None}
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [8]
    assert "showing only what happens from now on" in done.stderr
