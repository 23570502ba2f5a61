"""What a person of this machine may set at the cloud besides endpoints: floodlight, monitoring, persons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import trio

from agent.model.errors import AuthenticationError, CommandError, PeerError
from agent.workers.netatmo.catalogue import ERRORS
from agent.workers.netatmo.client_api import Api, ApiError
from agent.workers.netatmo.client_outputs import refused
from agent.workers.netatmo.client_state import Mirror, Module
from agent.workers.netatmo.wire import Person, part_failures

Floodlight = Literal["on", "off", "auto"]
Monitoring = Literal["on", "off"]
Presence = Literal["home", "away"]
BEGIN_S = 10.0
# Source: "Modify configuration" (floodlight); captures (monitoring).
_FLOODLIGHT = ("NOC",)
_MONITORING = ("NACamera", "NOC", "NPC", "NIS")


async def set_module(
    api: Api, mirror: Mirror, wanted: str, *, floodlight: Floodlight | None, monitoring: Monitoring | None
) -> Module:
    """Set a camera's floodlight or monitoring. Raises: CommandError, which says what to do."""
    module = mirror.find(wanted)
    if module is None:
        names = ", ".join(one.label for one in mirror) or "none yet"
        raise CommandError(f"no module {wanted!r} at the cloud; there are {names}"[:500])
    values: dict[str, str] = {}
    if floodlight is not None:
        _check(module, _FLOODLIGHT, "floodlight")
        values["floodlight"] = floodlight
    if monitoring is not None:
        _check(module, _MONITORING, "monitoring that can be set")
        values["monitoring"] = monitoring
    if not values:
        raise CommandError("say what to set: floodlight or monitoring")
    order: dict[str, Any] = {"id": module.id} | ({"bridge": module.bridge} if module.bridge else {})
    await _write(api, "setstate", {"home": {"id": mirror.home_id, "modules": [order | values]}})
    return module


async def set_persons(
    api: Api, mirror: Mirror, presence: Presence, wanted: Sequence[str]
) -> tuple[Person, ...]:
    """Tell the cameras who is home, or has left; nobody named: all. Raises: CommandError."""
    persons = tuple(_person(mirror, one) for one in wanted)
    if presence == "home":
        persons = persons or mirror.persons
        if not persons:
            raise CommandError("the cloud knows no persons of this home")
        value: dict[str, Any] = {"home_id": mirror.home_id, "person_ids": [one.id for one in persons]}
        await _write(api, "setpersonshome", value)
    elif not persons:
        persons = mirror.persons
        await _write(api, "setpersonsaway", {"home_id": mirror.home_id})
    else:
        for one in persons:  # the method takes one
            await _write(api, "setpersonsaway", {"home_id": mirror.home_id, "person_id": one.id})
    return persons


def _check(module: Module, products: Sequence[str], what: str) -> None:
    if module.type not in products:
        raise CommandError(f"{module.label} is a {module.type}, which has no {what}")


def _person(mirror: Mirror, wanted: str) -> Person:
    found = [one for one in mirror.persons if wanted in (one.id, one.name)]
    if len(found) != 1:
        names = ", ".join(one.name for one in mirror.persons if one.name) or "nobody"
        why = "no" if not found else "more than one"
        raise CommandError(f"{why} person {wanted!r} at the cloud, which knows {names}"[:500])
    return found[0]


async def _write(api: Api, method: str, value: dict[str, Any]) -> None:
    try:
        answer = await api.write(method, value, begin_by=trio.current_time() + BEGIN_S)
    except ApiError as error:
        raise CommandError(refused(error)) from error
    except (PeerError, AuthenticationError) as error:
        raise CommandError(f"{error}: look at `portero netatmo status` whether it was done") from error
    for _, failure in part_failures(answer):
        known = ERRORS.get(failure.code) if isinstance(failure.code, int) else None
        if known is None or known.remedy != "done":
            told = known.meaning if known is not None else failure.message or "no reason given"
            raise CommandError(f"the cloud says: {told} (error {failure.code})")
