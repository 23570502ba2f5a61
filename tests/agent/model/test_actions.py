from __future__ import annotations

import math
from typing import Any, get_args

import msgspec
import pytest

from agent.model.actions import (
    Action,
    AnswerCall,
    EndCall,
    Lock,
    Ring,
    SetAlarm,
    SetNotify,
    SoundSiren,
    StartTalk,
    StopSiren,
    SwitchLight,
    Unlock,
    target,
)

TABLE: list[tuple[Action, dict[str, Any], str]] = [
    (Unlock(endpoint="a"), {"do": "unlock", "endpoint": "a", "hold_s": None}, "a"),
    (Unlock(endpoint="a", hold_s=2.5), {"do": "unlock", "endpoint": "a", "hold_s": 2.5}, "a"),
    (Lock(endpoint="a"), {"do": "lock", "endpoint": "a"}, "a"),
    (SoundSiren(endpoint="a"), {"do": "sound_siren", "endpoint": "a", "duration_s": None}, "a"),
    (StopSiren(endpoint="a"), {"do": "stop_siren", "endpoint": "a"}, "a"),
    (
        SwitchLight(endpoint="a", on=True),
        {"do": "switch_light", "endpoint": "a", "on": True, "duration_s": None},
        "a",
    ),
    (Ring(endpoint="a"), {"do": "ring", "endpoint": "a"}, "a"),
    (AnswerCall(), {"do": "answer_call", "call_id": ""}, "call"),
    (EndCall(call_id="c"), {"do": "end_call", "call_id": "c"}, "call"),
    (
        SetNotify(mode="mute", endpoints=("a", "b")),
        {"do": "set_notify", "mode": "mute", "endpoints": ["a", "b"]},
        "notify",
    ),
    (StartTalk(), {"do": "start_talk"}, "talk"),
    (SetAlarm(mode="night"), {"do": "set_alarm", "mode": "night"}, "alarm"),
    (SetAlarm(mode="disarmed"), {"do": "set_alarm", "mode": "disarmed"}, "alarm"),
]


def test_the_table_is_whole() -> None:
    assert {type(action) for action, _, _ in TABLE} == set(get_args(Action))


@pytest.mark.parametrize(("action", "plain", "name"), TABLE)
def test_actions_and_their_plain_form(action: Action, plain: dict[str, Any], name: str) -> None:
    assert msgspec.to_builtins(action, builtin_types=()) == {**plain, **_tuples(plain)}
    assert msgspec.convert(plain, Action) == action
    assert target(action) == name


def _tuples(plain: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) for key, value in plain.items() if isinstance(value, list)}


@pytest.mark.parametrize("hold_s", [0, -1, math.nan, math.inf, -math.inf, 86_400.1, 10**400, "5", True])
@pytest.mark.parametrize(
    ("do", "field"), [("unlock", "hold_s"), ("sound_siren", "duration_s"), ("switch_light", "duration_s")]
)
def test_a_duration_that_is_no_time_is_refused(do: str, field: str, hold_s: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"do": do, "endpoint": "a", "on": True, field: hold_s}, Action)


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"do": "open"},
        {"do": "unlock"},
        {"do": "unlock", "endpoint": ""},
        {"do": "unlock", "endpoint": "x" * 65},
        {"do": "unlock", "endpoint": 5},
        {"do": "switch_light", "endpoint": "a"},
        {"do": "set_alarm"},
        {"do": "set_alarm", "mode": "armed"},
        {"do": "set_alarm", "mode": "in_alarm"},
        {"do": "set_notify"},
        {"do": "set_notify", "mode": "silent"},
        {"do": "set_notify", "mode": "mute", "endpoints": "bell"},
        {"do": ["unlock"]},
        [],
        None,
    ],
)
def test_what_is_no_action(plain: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plain, Action)
