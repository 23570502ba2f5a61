"""Who may do what: the whole table, and the limits of one person beyond it."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from agent.model.principals import Grant, Principal, Role, authorise

ACTIONS: dict[str, Action] = {
    "unlock": Unlock(endpoint="strike"),
    "lock": Lock(endpoint="strike"),
    "sound_siren": SoundSiren(endpoint="siren"),
    "stop_siren": StopSiren(endpoint="siren"),
    "switch_light": SwitchLight(endpoint="stairs", on=True),
    "ring": Ring(endpoint="bell"),
    "answer_call": AnswerCall(),
    "end_call": EndCall(),
    "start_talk": StartTalk(),
    "set_notify": SetNotify(mode="mute"),
    "set_alarm": SetAlarm(mode="away"),
}
# Written out by hand, not derived: a change of the table is a decision.
MAY: dict[Role, set[str]] = {
    "resident": set(ACTIONS),
    "admin": set(ACTIONS),
    "system": set(ACTIONS),
    "guest": {"unlock", "lock", "switch_light"},
    "installer": {"lock", "sound_siren", "stop_siren", "switch_light", "ring"},
}


def someone(role: Role, grant: Grant | None = None) -> Principal:
    return Principal(name="x", role=role, via="test", grant=grant or Grant())


def test_the_tables_are_whole() -> None:
    assert set(MAY) == set(get_args(Role))
    assert {type(action) for action in ACTIONS.values()} == set(get_args(Action))


@pytest.mark.parametrize(("role", "name"), list(itertools.product(MAY, ACTIONS)))
def test_every_role_and_every_action(role: Role, name: str) -> None:
    reason = authorise(someone(role), ACTIONS[name], 0)
    if name in MAY[role]:
        assert reason is None
    else:
        assert reason == f"role {role} may not {name}"


def test_an_unknown_role_may_nothing() -> None:
    for action in ACTIONS.values():
        assert authorise(someone("owner"), action, 0) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize(("role", "name"), list(itertools.product(MAY, ACTIONS)))
def test_whoever_is_limited_to_a_door_has_that_door_and_nothing_of_the_house(role: Role, name: str) -> None:
    """Muting the house, arming it and taking its calls are not part of any endpoint."""
    reason = authorise(someone(role, Grant(endpoints=("strike",))), ACTIONS[name], 0)
    assert (reason is None) == (name in MAY[role] and name in ("unlock", "lock"))


@pytest.mark.parametrize("endpoints", [(), ("strike",), ("bell", "siren", "stairs", "strike")])
@pytest.mark.parametrize("role", ["resident", "guest", "admin"])
def test_nobody_with_limits_mutes_or_arms_the_house_in_any_form(
    role: Role, endpoints: tuple[str, ...]
) -> None:
    principal = someone(role, Grant(endpoints=endpoints))
    for mode in ("mute", "force", "default"):
        for names in ((), endpoints, ("bell",)):
            assert authorise(principal, SetNotify(mode=mode, endpoints=names), 0) is not None
    for armed in ("away", "stay", "night", "disarmed"):
        assert authorise(principal, SetAlarm(mode=armed), 0) is not None
    assert authorise(principal, AnswerCall(), 0) is not None
    assert authorise(principal, EndCall(call_id="c1"), 0) is not None


def test_a_grant_without_endpoints_may_nothing() -> None:
    for role, action in itertools.product(MAY, ACTIONS.values()):
        assert authorise(someone(role, Grant(endpoints=())), action, 0) is not None


@pytest.mark.parametrize(
    ("now_ns", "reason"),
    [(99, "not yet valid"), (100, None), (199, None), (200, "no longer valid"), (10**30, "no longer valid")],
)
def test_a_window_begins_with_its_first_instant_and_ends_before_its_last(
    now_ns: int, reason: str | None
) -> None:
    grant = Grant(not_before_ns=100, not_after_ns=200)
    assert authorise(someone("guest", grant), ACTIONS["unlock"], now_ns) == reason


@given(
    st.sampled_from(sorted(MAY)),
    st.sampled_from(sorted(ACTIONS)),
    st.none() | st.integers(0, 10),
    st.none() | st.integers(0, 10),
    st.none() | st.sets(st.sampled_from(["strike", "siren", "stairs", "bell"])),
    st.integers(0, 10),
)
def test_limits_only_take_away(
    role: Role, name: str, begin: int | None, end: int | None, endpoints: set[str] | None, now_ns: int
) -> None:
    names = None if endpoints is None else tuple(endpoints)
    grant = Grant(not_before_ns=begin, not_after_ns=end, endpoints=names)
    allowed = authorise(someone(role, grant), ACTIONS[name], now_ns) is None
    expected = (
        name in MAY[role]
        and (begin is None or begin <= now_ns)
        and (end is None or now_ns < end)
        and (names is None or target(ACTIONS[name]) in names)
    )
    assert allowed == expected
