from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.actions import (
    Action,
    AnswerCall,
    EndCall,
    Lock,
    SoundSiren,
    StopSiren,
    SwitchLight,
    Unlock,
)
from agent.model.outcomes import Busy, Done, Failed, Outcome, Refused
from agent.runtime import EndpointInfo
from agent.workers.zello.config import CommandsConfig, RingConfig
from agent.workers.zello.people import NO_PIN, NOT_HERE, NOT_KNOWN, TOO_MANY, TRY_LATER, WRONG_PIN
from agent.workers.zello.translate import (
    PIN_COMMANDS,
    TextCommand,
    action_for,
    parse_command,
    ring_text,
    words_of,
)
from agent.workers.zello.words import CommandName

NAMES: tuple[CommandName, ...] = get_args(CommandName)
HOUSE = (
    EndpointInfo(name="bell", label="Front door", kind="button"),
    EndpointInfo(name="gate", label="Gate", kind="lock"),
    EndpointInfo(name="door", label="Entrance", kind="lock"),
    EndpointInfo(name="lamp", label="Stairs", kind="light"),
    EndpointInfo(name="horn", label="Siren", kind="siren"),
)
OUTCOMES: list[Outcome] = [
    Done(action_id="a"),
    Busy(action_id="a"),
    Refused(action_id="a", reason="role guest may not sound_siren"),
    Failed(action_id="a", reason="door: no voltage"),
]


@pytest.mark.parametrize(
    ("text", "name", "pin"),
    [
        ("open", "open", ""),
        (" Open! ", "open", ""),
        ("OPEN 4711", "open", "4711"),
        ("open: 4711.", "open", "4711"),
        ("open\n4711", "open", "4711"),
        ("open 47 11", "open", "4711"),
        ("open 47-11", "open", "4711"),
        ("open ４７１１", "open", "4711"),
        ("close", "close", ""),
        ("light", "light", ""),
        ("Light off", "light_off", ""),
        ("siren", "siren", ""),
        ("siren off", "siren_off", ""),
        ("Siren off, 4711", "siren_off", "4711"),
        ("accept", "accept", ""),
        ("hang up", "end", ""),
    ],
)
def test_commands(text: str, name: CommandName, pin: str) -> None:
    assert parse_command(text, {}) == TextCommand(name, pin)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "4711",
        "open4711",
        "open sesame",
        "open the window",
        "open 4711 please",
        "please open",
        "is the door open?!",
        "opens",
        "light 4711",
        "siren 4711",
        "accept 1",
        "auf",
        "abrir",
        "open " + "1" * 200,
        "open\x004711",
    ],
)
def test_talk_between_people(text: str) -> None:
    assert parse_command(text, {}) is None


def test_words_of_the_operator() -> None:
    words: dict[CommandName, str] = {"open": "Tür auf", "siren_off": "open", "light": ""}
    assert parse_command("tür auf 4711", words) == TextCommand("open", "4711")
    assert parse_command("open 12", words) == TextCommand("siren_off", "12")
    assert parse_command("light", words) is None


def test_the_longest_word_counts() -> None:
    words: dict[CommandName, str] = {"open": "auf", "siren_off": "auf 2"}
    assert parse_command("auf 2", words) == TextCommand("siren_off", "")
    assert parse_command("auf 2 4711", words) == TextCommand("siren_off", "4711")
    assert parse_command("auf 4711", words) == TextCommand("open", "4711")


def test_a_pin_is_in_no_repr() -> None:
    assert "4711" not in repr(TextCommand("open", "4711"))


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("open", Unlock(endpoint="gate")),
        ("close", Lock(endpoint="gate")),
        ("light", SwitchLight(endpoint="lamp", on=True)),
        ("light_off", SwitchLight(endpoint="lamp", on=False)),
        ("siren", SoundSiren(endpoint="horn")),
        ("siren_off", StopSiren(endpoint="horn")),
        ("accept", AnswerCall()),
        ("end", EndCall()),
    ],
)
def test_what_the_door_is_asked(name: CommandName, action: Action) -> None:
    assert action_for(TextCommand(name, ""), HOUSE, CommandsConfig()) == action


def test_the_endpoint_that_is_meant() -> None:
    config = CommandsConfig(lock="door", light="attic", siren="door")
    assert action_for(TextCommand("open", "1"), HOUSE, config) == Unlock(endpoint="door")
    assert action_for(TextCommand("close", ""), HOUSE, config) == Lock(endpoint="door")
    for name in ("light", "light_off", "siren", "siren_off"):
        assert action_for(TextCommand(name, ""), HOUSE, config) is None


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("accept", "end")])
def test_a_door_without_it(name: CommandName) -> None:
    assert action_for(TextCommand(name, ""), HOUSE[:1], CommandsConfig()) is None


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_honest_and_no_commands_themselves(name: CommandName) -> None:
    """Two doors on one channel must not command each other."""
    answers = {words_of(TextCommand(name, "4711"), outcome) for outcome in OUTCOMES}
    assert len(answers) == len(OUTCOMES)
    for answer in answers | {NOT_KNOWN, NO_PIN, WRONG_PIN, TOO_MANY, TRY_LATER, NOT_HERE}:
        assert "4711" not in answer
        assert "opened" not in answer.lower()
        assert parse_command(answer, {}) is None


def test_a_reason_is_told_but_not_a_long_one() -> None:
    told = words_of(TextCommand("open", ""), Refused(action_id="a", reason="not yet valid."))
    assert told == "I may not do that: not yet valid."
    assert len(words_of(TextCommand("open", ""), Failed(action_id="a", reason="x" * 5000))) < 200


def test_only_what_moves_the_house_open_takes_a_pin() -> None:
    assert {"open", "siren_off"} == PIN_COMMANDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{bell}: somebody is at the door ({time})", "{time}: somebody is at the door (18:05)"),
        ("{door} {other} {{bell}} {", "Entrance {other} {{time}} {"),
        ("{0} %s {bell.x}", "{0} %s {bell.x}"),
        ("", ""),
    ],
)
def test_the_words_of_a_ring(text: str, expected: str) -> None:
    """A label that looks like a place is not filled in."""
    assert ring_text(RingConfig(text=text), door="Entrance", bell="{time}", clock="18:05") == expected


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=140), st.sampled_from(["", "open ", "siren off "]))
def test_any_text(text: str, before: str) -> None:
    command = parse_command(before + text, {})
    if command is not None:
        assert command.pin == "" or (command.pin.isascii() and command.pin.isdigit())
        assert command.pin == "" or command.name in PIN_COMMANDS
