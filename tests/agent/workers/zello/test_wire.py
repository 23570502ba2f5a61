"""The deviations of docs/zello.md that concern the wire, and what proves each.

 1  channel instead of channels               commands.jsonl
 2  refresh_token missing                     events.jsonl; ours always has one: test_server.py
 3  flags stand in on_channel_status          events.jsonl
 4  a logon on a live connection              commands.jsonl, test_a_logon_on_a_live_connection
 5  no channel in other commands              commands.jsonl
 6  more frames than announced                commands.jsonl, events.jsonl, packets.jsonl, test_toc.py
 7  packet_duration contradicts the header    commands.jsonl
 8  packet and stream ids of zero             packets.jsonl
 9  type or ct                                events.jsonl
10  rgl, no accuracy                          commands.jsonl, events.jsonl
11  for: false, absent or a name              commands.jsonl, events.jsonl
12  more errors than documented               events.jsonl, test_errors.py
13  lengths left out of send_image            commands.jsonl
14  stop_stream without seq, channel or id    commands.jsonl
15  height is the height                      commands.jsonl, events.jsonl
16  keepalive and ping                        commands.jsonl
17  what the document does not mention        all of them
18  several channels                          commands.jsonl
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness.zello_rows import covered

from agent.workers.zello import wire
from agent.workers.zello.wire import TRANSITIONS, State, Step

PAGE = Path(__file__).parents[4] / "docs" / "zello.md"


def test_every_deviation_is_proven_by_a_row() -> None:
    listed = {int(number) for number in re.findall(r"^ ?(\d+)  \S", __doc__ or "", re.MULTILINE)}
    assert listed == covered() == set(range(1, 19))


def test_the_page_tells_of_the_same_ones() -> None:
    told = {
        int(number) for number in re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert told == covered()


def test_a_logon_on_a_live_connection() -> None:
    for state in (State.LISTENING, State.TALKING):
        assert TRANSITIONS[state, Step.LOGGED_ON] is State.TALKING
        assert TRANSITIONS[state, Step.LOGGED_ON_LISTEN_ONLY] is State.LISTENING
        # Credentials that are no good do not take away what others were good for.
        assert TRANSITIONS[state, Step.REFUSED] is state


def test_every_step_of_every_live_state_leads_somewhere() -> None:
    for state in set(State) - {State.CLOSED}:
        for step in Step:
            assert (state, step) in TRANSITIONS
    assert {to for (state, _), to in TRANSITIONS.items() if state is State.CLOSED} == {State.CLOSED}


@pytest.mark.parametrize("step", list(Step))
def test_who_was_refused_may_try_again(step: Step) -> None:
    assert TRANSITIONS[State.REFUSED, step] == TRANSITIONS[State.NEW, step]


def test_everything_that_is_exported_exists() -> None:
    for name in wire.__all__:
        assert getattr(wire, name) is not None
