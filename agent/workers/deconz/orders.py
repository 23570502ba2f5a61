"""From the body of a PUT to what the door is asked for, and from its outcome to a result. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from agent.model.actions import Action, Lock, SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.outcomes import Busy, Done, Failed, Outcome, Refused
from agent.runtime import EndpointInfo
from agent.workers.deconz.faults import (
    INTERNAL,
    Refusal,
    bad_value,
    missing,
    no_parameter,
    read_only,
    success,
)
from agent.workers.deconz.translate import Kind
from agent.workers.deconz.wire import Error, Json, Result

TENTHS = 10
MAX_ONTIME = 86_400 * TENTHS
CHIRP_S = 1.0
_ALERTS = ("none", "select", "lselect")


class Order(Struct, frozen=True, kw_only=True):
    """What one request asks for.

    actions: what the door is to do; none when it is so already. confirmed: the parameters with their values,
    as they hold; the first of them is the one that is told when it cannot be done.
    """

    actions: tuple[Action, ...] = ()
    confirmed: Json


def light_order(kind: Kind, info: EndpointInfo, body: Json, address: str) -> Order:
    """What a light is to do. All parameters are looked at first. Raises: Refusal when one is bad."""
    match kind:
        case "siren":
            return _siren(info, body, address)
        case "old_lock":
            return _old_lock(info, body, address)
        case _:
            return _lights((info,), body, address)


def group_order(infos: Sequence[EndpointInfo], any_on: bool, body: Json, address: str) -> Order:
    """What the lights of the group are to do; `toggle` turns them all to what most are not."""
    if "toggle" not in body:
        return _lights(infos, body, address)
    rest = {name: value for name, value in body.items() if name != "toggle"}
    if not isinstance(body["toggle"], bool) or "on" in rest:
        raise Refusal(bad_value(address, "toggle"))
    if body["toggle"]:
        return _lights(infos, rest | {"on": not any_on}, address)
    return _lights(infos, rest, address) if rest else Order(confirmed=body)


def sensor_orders(
    kind: Kind, info: EndpointInfo | None, config: Json, body: Json, address: str
) -> list[Order | Error]:
    """What each parameter of a sensor's config asks for; a bad one does not keep the others from it."""
    return [_sensor(kind, info, config, name, value, address) for name, value in body.items()]


def failure_of(outcome: Outcome, address: str, name: str, *, again: bool) -> Error | None:
    """The error that an outcome is, None when it was done.

    again: it does no harm to try it again. Clients do that by themselves when they hear "busy", up to six
    seconds later, and so they never hear it of a lock.
    """
    match outcome:
        case Done():
            return None
        case Busy() if again:
            return Error(type=INTERNAL, address=f"{address}/{name}", description="Internal error, 951")
        case Busy():
            return bad_value(address, name, "busy")
        case Refused(reason=reason) | Failed(reason=reason):
            return bad_value(address, name, reason)


def results(order: Order, failures: Sequence[Error], address: str) -> list[Result]:
    """What is told of a whole order. failures: one for each action that was not done."""
    if failures and len(failures) == len(order.actions):
        return [failures[0]]
    taken: list[Result] = [success(address, name, value) for name, value in order.confirmed.items()]
    return taken + list(failures[:1])


def _siren(info: EndpointInfo, body: Json, address: str) -> Order:
    """No `on`: "all lights on" shall not sound it. `ontime` is tenths here, as Home Assistant means it.

    A gateway passes it on as seconds. "blink" would be the lamp alone, "all" all sirens of a network.
    """
    errors: list[Error] = []
    for name, value in body.items():
        if name == "alert":
            if value not in _ALERTS:
                errors.append(bad_value(address, name))
        elif name != "ontime":
            errors.append(no_parameter(address, name))
        elif _ontime_s(value, info) is None:
            errors.append(bad_value(address, name))
    if "alert" not in body and "ontime" in body:
        errors.insert(0, missing(address))
    if errors:
        raise Refusal(*errors)
    alert = body["alert"]
    confirmed: Json = {"alert": alert}
    action: Action = StopSiren(endpoint=info.name)
    if alert == "select":
        action = SoundSiren(endpoint=info.name, duration_s=min(CHIRP_S, _most_s(info)))
    elif alert == "lselect":
        duration_s = _ontime_s(body.get("ontime", 0), info) or None
        action = SoundSiren(endpoint=info.name, duration_s=duration_s)
        if duration_s is not None:
            confirmed["ontime"] = round(duration_s * TENTHS)
    return Order(actions=(action,), confirmed=confirmed)


def _lights(infos: Sequence[EndpointInfo], body: Json, address: str) -> Order:
    errors: list[Error] = []
    for name, value in body.items():
        if name == "on":
            if not isinstance(value, bool):
                errors.append(bad_value(address, name))
        elif name == "ontime":
            if any(_ontime_s(value, info) is None for info in infos):
                errors.append(bad_value(address, name))
        elif name == "alert":
            if value != "none":
                errors.append(bad_value(address, name, "a relay does not blink"))
        elif name == "transitiontime":
            if not _is_number(value):
                errors.append(bad_value(address, name))
        else:
            errors.append(no_parameter(address, name))
    if "on" not in body and ("ontime" in body or ("alert" not in body and not errors)):
        errors.append(missing(address))
    if errors:
        raise Refusal(*errors)
    confirmed: Json = {name: body[name] for name in ("on", "alert") if name in body}
    if "on" not in body:
        return Order(confirmed=confirmed)
    if not body["on"]:
        actions = tuple(SwitchLight(endpoint=info.name, on=False) for info in infos)
        return Order(actions=actions, confirmed=confirmed)
    times = {info.name: _ontime_s(body.get("ontime", 0), info) or None for info in infos}
    if told := [time_s for time_s in times.values() if time_s is not None]:
        confirmed["ontime"] = round(max(told) * TENTHS)
    return Order(
        actions=tuple(
            SwitchLight(endpoint=name, on=True, duration_s=duration_s) for name, duration_s in times.items()
        ),
        confirmed=confirmed,
    )


def _old_lock(info: EndpointInfo, body: Json, address: str) -> Order:
    """`on` is locked: gateways have it so."""
    errors: list[Error] = []
    for name, value in body.items():
        if name not in ("on", "alert"):
            errors.append(no_parameter(address, name))
        elif not (isinstance(value, bool) if name == "on" else value == "none"):
            errors.append(bad_value(address, name))
    if errors:
        raise Refusal(*errors)
    if "on" not in body:
        return Order(confirmed=body)
    action: Action = Lock(endpoint=info.name) if body["on"] else Unlock(endpoint=info.name)
    confirmed: Json = {name: body[name] for name in ("on", "alert") if name in body}
    return Order(actions=(action,), confirmed=confirmed)


def _sensor(
    kind: Kind, info: EndpointInfo | None, config: Json, name: str, value: Any, address: str
) -> Order | Error:
    if name not in config:
        return no_parameter(address, name)
    if name not in ("lock", "on"):
        return read_only(address, name)
    if not isinstance(value, bool):
        return bad_value(address, name)
    if name == "on":
        return Order(confirmed={name: True}) if value else read_only(address, name)
    assert kind == "lock"
    assert info is not None
    action: Action = Lock(endpoint=info.name) if value else Unlock(endpoint=info.name)
    return Order(actions=(action,), confirmed={name: value})


def _ontime_s(value: Any, info: EndpointInfo) -> float | None:
    """Seconds, no more than the device is good for; 0 for its own time. None for what is no time."""
    if not _is_number(value) or value > MAX_ONTIME:
        return None
    return min(float(value) / TENTHS, _most_s(info))


def _most_s(info: EndpointInfo) -> float:
    return MAX_ONTIME / TENTHS if info.max_s is None else min(info.max_s, MAX_ONTIME / TENTHS)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
