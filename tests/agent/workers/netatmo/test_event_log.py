"""Ids that last and stay in order."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from agent.model.events import AgentStopping
from agent.model.records import Entry
from agent.workers.netatmo.event_log import event_id, seq_of, session_id, subevent_id, text_of

EVENT = AgentStopping(reason="")


def entry(seq: int, at_ns: int = 1_700_000_000_000_000_000, boot_id: str = "b") -> Entry:
    return Entry(boot_id=boot_id, seq=seq, at_ns=at_ns, event=EVENT)


@given(st.integers(0, 2**48 - 1), st.integers(-(2**62), 2**62), st.text(max_size=8))
def test_an_id_holds_its_number(seq: int, at_ns: int, boot_id: str) -> None:
    made = event_id(entry(seq, at_ns, boot_id))
    assert re.fullmatch("[0-9a-f]{24}", made)
    assert seq_of(made) == seq
    assert seq_of(made.upper()) == seq


@given(st.text(max_size=30))
def test_other_texts_are_no_ids(text: str) -> None:
    found = seq_of(text)
    assert found is None or len(text) == 24


def test_ids_tell_time_and_boot() -> None:
    assert event_id(entry(1)).startswith("6553f100")
    assert event_id(entry(1)) != event_id(entry(1, boot_id="c"))
    assert event_id(entry(1)) < event_id(entry(2))
    assert event_id(entry(9)) < event_id(entry(1, 1_700_000_001_000_000_000))


def test_others_look_like_uuids() -> None:
    form = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert re.fullmatch(form, session_id("c1"))
    assert re.fullmatch(form, subevent_id(entry(1)))
    assert session_id("c1") != session_id("c2")


def test_texts() -> None:
    assert text_of("<Door>", "missed_call") == "&lt;Door&gt;: nobody answered"
    assert text_of("Siren", "siren_sounding", 1) == "Siren: siren is sounding"
    assert text_of("Siren", "whatever") == "Siren: whatever"
