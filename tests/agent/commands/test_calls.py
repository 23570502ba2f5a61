from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from harness.scripted_agent import ScriptedAgent

from agent.journal.opening import open_database
from agent.journal.rows import entry_row
from agent.model.events import AgentStarted, AnyEvent, CallChanged, MessageRecorded
from agent.model.records import Entry

Portero = Callable[..., Result]
SOUND = bytes(range(256)) * 200


def ringing(call_id: str) -> CallChanged:
    return CallChanged(call_id=call_id, endpoint="doorbell", state="ringing")


def put(state: Path, events: list[AnyEvent], first: int = 1) -> None:
    database = open_database(state / "journal.db")
    database.commit(
        [
            entry_row(Entry(boot_id="b", seq=seq, at_ns=seq * 1_000_000_000, event=event))
            for seq, event in enumerate(events, start=first)
        ]
    )
    database.close()


@pytest.fixture
def stored(state: Path) -> Path:
    """Answered and ended; missed, with a message; still ringing; and one whose beginning was lost."""
    events: list[AnyEvent] = [
        CallChanged(call_id="lost", endpoint="doorbell", state="ended"),
        ringing("c1"),
        CallChanged(call_id="c1", endpoint="doorbell", state="answered", by="anna"),
        CallChanged(call_id="c1", endpoint="doorbell", state="ended", by="anna", reason="hung up"),
        ringing("c2"),
        CallChanged(call_id="c2", endpoint="doorbell", state="missed", reason="nobody answered"),
        MessageRecorded(call_id="c2", endpoint="doorbell", file="c2.ogg", duration_s=7.4),
        ringing("c3"),
    ]
    put(state, events)
    (state / "recordings").mkdir()
    (state / "recordings" / "c2.ogg").touch()
    return state


def test_people_see_a_table(portero: Portero, stored: Path) -> None:
    lines = portero("calls").stdout.splitlines()
    assert [line.split()[3:] for line in lines[1:]] == [
        ["c1", "ended", "anna"],
        ["c2", "missed", "7", "s"],
        ["c3", "ringing"],
    ]


def test_programs_see_a_list(portero: Portero, stored: Path) -> None:
    rows = json.loads(portero("calls", "--json").stdout)
    assert [row["call_id"] for row in rows] == ["c1", "c2", "c3"]
    assert rows[0] == {
        "call_id": "c1",
        "endpoint": "doorbell",
        "started_at_ns": 2_000_000_000,
        "state": "ended",
        "answered_by": "anna",
        "ended_at_ns": 4_000_000_000,
        "reason": "hung up",
        "file": "",
        "message_s": 0.0,
    }
    assert (rows[1]["state"], rows[1]["file"], rows[1]["message_s"]) == ("missed", "c2.ogg", 7.4)


def test_missed_and_limit(portero: Portero, stored: Path) -> None:
    assert [row["call_id"] for row in json.loads(portero("calls", "--missed", "--json").stdout)] == ["c2"]
    assert [row["call_id"] for row in json.loads(portero("calls", "-n", "1", "--json").stdout)] == ["c3"]


def test_without_a_journal_it_says_what_to_do(portero: Portero) -> None:
    done = portero("calls")
    assert done.exit_code == 1
    assert "no journal" in done.stderr


def test_a_message_is_copied_in_parts(portero: Portero, stored: Path, tmp_path: Path) -> None:
    def part(arguments: dict[str, object]) -> dict[str, object]:
        offset = arguments["offset"]
        assert isinstance(offset, int)
        return {"data": base64.b64encode(SOUND[offset : offset + 30_000]).decode(), "size": len(SOUND)}

    with ScriptedAgent(stored, recording_get=part) as agent:
        done = portero("calls", "save", "c2", str(tmp_path / "out.ogg"))
    assert done.exit_code == 0
    assert (tmp_path / "out.ogg").read_bytes() == SOUND
    assert [arguments["offset"] for name, arguments in agent.asked if name == "recording_get"] == [0, 30_000]
    assert agent.arguments("recording_get")["file"] == "c2.ogg"


def test_a_call_without_a_message_is_told(portero: Portero, stored: Path, tmp_path: Path) -> None:
    done = portero("calls", "save", "c1", str(tmp_path / "out.ogg"))
    assert done.exit_code == 1
    assert "left no message" in done.stderr
    assert not (tmp_path / "out.ogg").exists()


def test_a_message_is_deleted(portero: Portero, stored: Path) -> None:
    with ScriptedAgent(stored, recording_delete={}) as agent:
        done = portero("calls", "delete", "c2")
    assert done.exit_code == 0
    assert agent.arguments("recording_delete") == {"file": "c2.ogg"}


def test_a_message_that_was_deleted_is_told_so(portero: Portero, stored: Path) -> None:
    (stored / "recordings" / "c2.ogg").unlink()
    assert portero("calls", "--missed").stdout.splitlines()[1].endswith("7 s, deleted")
    (row,) = json.loads(portero("calls", "--missed", "--json").stdout)
    assert (row["file"], row["message_s"]) == ("", 7.4)
    done = portero("calls", "save", "c2", str(stored / "out.ogg"))
    assert done.exit_code == 1
    assert "left no message" in done.stderr


def test_a_call_that_a_power_cut_ended_does_not_ring_for_ever(portero: Portero, stored: Path) -> None:
    answered = [ringing("c4"), CallChanged(call_id="c4", endpoint="doorbell", state="answered", by="anna")]
    started = AgentStarted(version="1", boot_id="b", boot_number=2)
    put(stored, [*answered, started, ringing("c5")], first=9)
    rows = {row["call_id"]: row for row in json.loads(portero("calls", "--json").stdout)}
    assert [rows[call]["state"] for call in ("c1", "c2", "c3", "c4", "c5")] == [
        "ended",
        "missed",
        "missed",
        "ended",
        "ringing",
    ]
    assert (rows["c3"]["reason"], rows["c1"]["reason"]) == ("the door was cut off", "hung up")
    assert rows["c4"]["ended_at_ns"] == 11_000_000_000
