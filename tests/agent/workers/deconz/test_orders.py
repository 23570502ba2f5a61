from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.actions import Action, Lock, SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.outcomes import Busy, Done, Failed, Outcome, Refused
from agent.runtime import EndpointInfo
from agent.workers.deconz.faults import Refusal
from agent.workers.deconz.orders import (
    Order,
    failure_of,
    group_order,
    light_order,
    results,
    sensor_orders,
)
from agent.workers.deconz.translate import Kind
from agent.workers.deconz.wire import Error, Success

SIREN = EndpointInfo(name="siren", label="", kind="siren", hold_s=60, max_s=180)
STAIRS = EndpointInfo(name="stairs", label="", kind="light", hold_s=120)
PORCH = EndpointInfo(name="porch", label="", kind="light", max_s=600)
LOCK = EndpointInfo(name="strike", label="", kind="lock")
WHERE = "/lights/1/state"
LOCK_CONFIG = {"lock": True, "on": True, "reachable": True}


@pytest.mark.parametrize(
    ("kind", "info", "body", "action", "confirmed"),
    [
        ("siren", SIREN, {"alert": "lselect"}, SoundSiren(endpoint="siren"), {"alert": "lselect"}),
        # Tenths of a second, which is what Home Assistant means.
        ("siren", SIREN, {"alert": "lselect", "ontime": 100}, SoundSiren(endpoint="siren", duration_s=10),
         {"alert": "lselect", "ontime": 100}),
        ("siren", SIREN, {"alert": "lselect", "ontime": 65534}, SoundSiren(endpoint="siren", duration_s=180),
         {"alert": "lselect", "ontime": 1800}),
        ("siren", SIREN, {"alert": "lselect", "ontime": 0}, SoundSiren(endpoint="siren"),
         {"alert": "lselect"}),
        ("siren", SIREN, {"ontime": 5, "alert": "lselect"}, SoundSiren(endpoint="siren", duration_s=0.5),
         {"alert": "lselect", "ontime": 5}),
        ("siren", SIREN, {"alert": "select"}, SoundSiren(endpoint="siren", duration_s=1),
         {"alert": "select"}),
        ("siren", SIREN, {"alert": "none"}, StopSiren(endpoint="siren"), {"alert": "none"}),
        ("siren", SIREN, {"alert": "none", "ontime": 9}, StopSiren(endpoint="siren"), {"alert": "none"}),
        ("light", STAIRS, {"on": True}, SwitchLight(endpoint="stairs", on=True), {"on": True}),
        ("light", STAIRS, {"on": False}, SwitchLight(endpoint="stairs", on=False), {"on": False}),
        ("light", STAIRS, {"on": True, "ontime": 50}, SwitchLight(endpoint="stairs", on=True, duration_s=5),
         {"on": True, "ontime": 50}),
        ("light", PORCH, {"on": True, "ontime": 864_000},
         SwitchLight(endpoint="porch", on=True, duration_s=600), {"on": True, "ontime": 6000}),
        ("light", STAIRS, {"on": True, "transitiontime": 4}, SwitchLight(endpoint="stairs", on=True),
         {"on": True}),
        ("light", STAIRS, {"on": True, "alert": "none"}, SwitchLight(endpoint="stairs", on=True),
         {"on": True, "alert": "none"}),
        ("light", STAIRS, {"alert": "none"}, None, {"alert": "none"}),
        ("old_lock", LOCK, {"on": True}, Lock(endpoint="strike"), {"on": True}),
        ("old_lock", LOCK, {"on": False}, Unlock(endpoint="strike"), {"on": False}),
        ("old_lock", LOCK, {"alert": "none"}, None, {"alert": "none"}),
    ],
)  # fmt: skip
def test_what_a_light_is_told(
    kind: Kind, info: EndpointInfo, body: dict[str, Any], action: Action | None, confirmed: dict[str, Any]
) -> None:
    order = light_order(kind, info, body, WHERE)
    assert order.actions == (() if action is None else (action,))
    assert order.confirmed == confirmed


@pytest.mark.parametrize(
    ("kind", "info", "body", "types"),
    [
        ("siren", SIREN, {"on": True}, [6]),
        ("siren", SIREN, {"on": True, "alert": "lselect"}, [6]),
        ("siren", SIREN, {"alert": "blink"}, [7]),
        ("siren", SIREN, {"alert": "all"}, [7]),
        ("siren", SIREN, {"alert": True}, [7]),
        ("siren", SIREN, {"alert": ["none"]}, [7]),
        ("siren", SIREN, {"alert": None}, [7]),
        ("siren", SIREN, {"ontime": 10}, [5]),
        ("siren", SIREN, {"alert": "lselect", "ontime": -1}, [7]),
        ("siren", SIREN, {"alert": "lselect", "ontime": 10**30}, [7]),
        ("siren", SIREN, {"alert": "lselect", "ontime": 1e300}, [7]),
        ("siren", SIREN, {"alert": "lselect", "ontime": "10"}, [7]),
        ("siren", SIREN, {"alert": "lselect", "ontime": True}, [7]),
        ("siren", SIREN, {"alert": "lselect", "ontime": [1]}, [7]),
        ("light", STAIRS, {"on": 1}, [7]),
        ("light", STAIRS, {"on": None}, [7]),
        ("light", STAIRS, {"on": True, "bri": 255}, [6]),
        ("light", STAIRS, {"on": True, "alert": "select"}, [7]),
        ("light", STAIRS, {"ontime": 10}, [5]),
        ("light", STAIRS, {"transitiontime": 4}, [5]),
        ("light", STAIRS, {"on": True, "transitiontime": "fast"}, [7]),
        ("light", STAIRS, {"on": "yes", "hue": 1, "sat": 1}, [7, 6, 6]),
        ("light", STAIRS, {"toggle": True}, [6]),
        ("old_lock", LOCK, {"on": 0}, [7]),
        ("old_lock", LOCK, {"on": False, "ontime": 9}, [6]),
        ("old_lock", LOCK, {"on": False, "alert": "select"}, [7]),
    ],
)  # fmt: skip
def test_one_bad_parameter_refuses_the_whole_request(
    kind: Kind, info: EndpointInfo, body: dict[str, Any], types: list[int]
) -> None:
    with pytest.raises(Refusal) as caught:
        light_order(kind, info, body, WHERE)
    assert [error.type for error in caught.value.errors] == types
    assert caught.value.status == 400
    assert all(error.address.startswith(WHERE) for error in caught.value.errors)


def test_the_group_is_all_lights_at_once() -> None:
    order = group_order([STAIRS, PORCH], False, {"on": True, "ontime": 10_000}, WHERE)
    assert order.actions == (
        SwitchLight(endpoint="stairs", on=True, duration_s=1000),
        SwitchLight(endpoint="porch", on=True, duration_s=600),
    )
    assert order.confirmed == {"on": True, "ontime": 10_000}


@pytest.mark.parametrize("any_on", [True, False])
def test_the_group_toggles(any_on: bool) -> None:
    order = group_order([STAIRS], any_on, {"toggle": True}, WHERE)
    assert order.actions == (SwitchLight(endpoint="stairs", on=not any_on),)
    assert group_order([STAIRS], any_on, {"toggle": False}, WHERE).actions == ()
    for body in ({"toggle": 1}, {"toggle": True, "on": True}):
        with pytest.raises(Refusal):
            group_order([STAIRS], any_on, body, WHERE)


def test_a_lock_is_told_by_its_config_and_the_rest_is_not_for_clients() -> None:
    orders = sensor_orders(
        "lock",
        LOCK,
        LOCK_CONFIG,
        {"lock": False, "on": True, "reachable": False, "delay": 1, "ledindication": True},
        "/sensors/2/config",
    )
    assert orders[0] == Order(actions=(Unlock(endpoint="strike"),), confirmed={"lock": False})
    assert orders[1] == Order(confirmed={"on": True})
    assert [order.type for order in orders[2:] if isinstance(order, Error)] == [8, 6, 6]
    (locked,) = sensor_orders("lock", LOCK, LOCK_CONFIG, {"lock": True}, "/sensors/2/config")
    assert locked == Order(actions=(Lock(endpoint="strike"),), confirmed={"lock": True})


@pytest.mark.parametrize(
    ("body", "kind"),
    [({"lock": 0}, 7), ({"lock": None}, 7), ({"lock": "false"}, 7), ({"on": False}, 8), ({"on": 1}, 7)],
)
def test_a_bad_value_of_a_sensor(body: dict[str, Any], kind: int) -> None:
    (error,) = sensor_orders("lock", LOCK, LOCK_CONFIG, body, "/sensors/2/config")
    assert isinstance(error, Error)
    assert error.type == kind


def test_only_a_lock_has_a_lock() -> None:
    (error,) = sensor_orders("smoke", SIREN, {"on": True, "reachable": True}, {"lock": False}, "/x")
    assert isinstance(error, Error)
    assert error.type == 6


@pytest.mark.parametrize(
    ("outcome", "again", "kind"),
    [
        (Done(action_id="a"), True, None),
        (Refused(action_id="a", reason="not for siren"), True, 7),
        (Failed(action_id="a", reason="the relay is gone"), True, 7),
        (Busy(action_id="a"), True, 901),
        # A client would open the door by itself, six seconds later.
        (Busy(action_id="a"), False, 7),
        (Refused(action_id="a", reason="x"), False, 7),
        (Failed(action_id="a", reason="x"), False, 7),
    ],
)
def test_what_became_of_it(outcome: Outcome, again: bool, kind: int | None) -> None:
    failure = failure_of(outcome, WHERE, "on", again=again)
    assert (None if failure is None else failure.type) == kind
    if isinstance(outcome, Refused | Failed):
        assert failure is not None
        assert outcome.reason in failure.description


def test_results_of_parts() -> None:
    order = group_order([STAIRS, PORCH], False, {"on": True}, "/groups/1/action")
    error = Error(type=7, address="/groups/1/action/on", description="no")
    done = Success(what={"/groups/1/action/on": True})
    assert results(order, [], "/groups/1/action") == [done]
    assert results(order, [error], "/groups/1/action") == [done, error]
    assert results(order, [error, error], "/groups/1/action") == [error]


def attempt(made: Callable[[], Order]) -> tuple[Order | None, set[int]]:
    """The order, else the types of the errors."""
    try:
        return made(), set()
    except Refusal as refusal:
        return None, {error.type for error in refusal.errors}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["on", "alert", "ontime", "toggle", "transitiontime", "lock"]) | st.text(max_size=8)


@given(
    st.sampled_from([("siren", SIREN), ("light", STAIRS), ("light", PORCH), ("old_lock", LOCK)]),
    st.dictionaries(NAMES, VALUES | st.sampled_from(["none", "select", "lselect"]), min_size=1, max_size=4),
)
def test_any_body_at_all(what: tuple[Kind, EndpointInfo], body: dict[str, Any]) -> None:
    kind, info = what
    order, types = attempt(lambda: light_order(kind, info, body, WHERE))
    assert types <= {5, 6, 7}
    assert order is None or order.confirmed
    for action in () if order is None else order.actions:
        assert 0 < (getattr(action, "duration_s", None) or 1) <= 86_400
    for found in sensor_orders("lock", LOCK, LOCK_CONFIG, body, "/sensors/1/config"):
        assert isinstance(found, Order) or found.type in (6, 7, 8)
    attempt(lambda: group_order([STAIRS, PORCH], False, body, WHERE))
