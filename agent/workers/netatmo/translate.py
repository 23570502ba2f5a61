"""What the cloud tells, in the door's own words: reports, rings and contacts. Pure, no state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Literal

from agent.model.events import CloudReported, ContactRole
from agent.workers.netatmo.catalogue import PRODUCTS, meaning_of
from agent.workers.netatmo.loose import Scalar
from agent.workers.netatmo.push_wire import Push
from agent.workers.netatmo.wire import StoredEvent

Step = Literal["ring", "answered", "missed", "over"]
_STEPS: dict[str, Step] = {"incoming_call": "ring", "accepted_call": "answered", "missed_call": "missed"}
_SIGNALS: dict[str, Step] = {"offer": "ring", "rescind": "over", "terminate": "over"}

# What a contact endpoint of a role follows: the event, and the numbers that mean active and calm.
# Source: "Events subtypes".
_ACTIVE: dict[str, dict[int | str, bool]] = {
    "smoke": {1: True, 0: False},
    "co_detected": {1: True, 2: True, 0: False},
    "tampered": {1: True, 0: False},
    "siren_tampered": {1: True, 0: False},
    "siren_sounding": {1: True, 0: False},
}
_SIREN: dict[str, bool] = {"sound": True, "warning": True, "no_sound": False}
_DOOR: dict[str, bool] = {"open": True, "closed": False}
MAX_NAMES = 20


def step_of(push: Push) -> Step | None:
    """What a push says of a call; None: nothing."""
    if push.kind == "rtc":
        return _SIGNALS.get(push.call)
    return _STEPS.get(push.kind)


def step_of_event(event: StoredEvent) -> Step | None:
    """The same of an event, or a part of one, of the history."""
    return _STEPS.get(event.type)


def contact_events(product: str, role: ContactRole) -> tuple[str, ...]:
    """Which events tell a contact endpoint of this role, on such a module, that it is active or calm."""
    if role == "tamper":
        return ("tampered", "siren_tampered")
    match product:
        case "NSD":
            return ("smoke",)
        case "NCO":
            return ("co_detected",)
        case "NACamDoorTag":
            return ("tag_open",)
        case "NIS" | "NOC":
            return ("siren_sounding",)
        case _ if product in PRODUCTS:
            return ()
        case _:  # an unknown one may be the next generation of a detector
            return ("smoke", "co_detected", "siren_sounding")


def contact_told(kind: str, sub_type: int | str, product: str, role: ContactRole) -> bool | None:
    """Whether an event makes a contact active or calm; None: it says nothing of it."""
    if kind not in contact_events(product, role):
        return None
    if kind == "tag_open":  # it was left open; that it was closed is told by the state alone
        return True
    return _ACTIVE.get(kind, {}).get(sub_type)


def contact_read(values: Mapping[str, Scalar], product: str, role: ContactRole) -> bool | None:
    """The same out of a module's state."""
    if role == "tamper":
        return None
    if product == "NACamDoorTag":
        return _DOOR.get(str(values.get("status", "")))
    return siren_read(values, product) if product in ("NIS", "NOC") else None


def siren_read(values: Mapping[str, Scalar], product: str) -> bool | None:
    """Whether a siren sounds; None while its state does not say."""
    field = "siren_status" if product == "NOC" else "status"
    word = str(values.get(field, ""))
    return True if word.startswith("playing_record") else _SIREN.get(word)


def light_read(values: Mapping[str, Scalar]) -> bool | None:
    """Whether a floodlight shines: `auto` does not say. Of a staircase light nothing is ever told."""
    return {"on": True, "off": False}.get(str(values.get("floodlight", "")))


def reported_push(
    push: Push, *, source: str, product: str, device: str, unique_id: str, module: str,
    persons: Mapping[str, str], at_s: int = 0,
) -> CloudReported:  # fmt: skip
    """A push as an event of the house. product, device, unique_id, module: as the mirror knows them."""
    return CloudReported(
        source=source,
        product=product or push.product,
        kind=push.kind,
        device=device,
        unique_id=unique_id,
        module=module,
        sub_type=push.sub_type if push.sub_type != "" else push.call,
        meaning=meaning_of(push.kind, push.sub_type, push.call),
        event_id=push.event_id,
        session_id=push.session_id,
        persons=named((person.id for person in push.persons), persons),
        message=push.message,
        at_s=push.timestamp or at_s,
    )


def reported_event(
    event: StoredEvent, *, source: str, product: str, device: str, unique_id: str, module: str,
    persons: Mapping[str, str], parent: StoredEvent | None = None,
) -> CloudReported:  # fmt: skip
    """An event of the history. parent: of which it is a part; the id and the module are its."""
    return CloudReported(
        source=source,
        product=product,
        kind=event.type,
        device=device,
        unique_id=unique_id,
        module=module,
        sub_type=event.sub_type,
        meaning=meaning_of(event.type, event.sub_type),
        event_id=(parent.id if parent is not None else "") or event.id,
        session_id=event.session_id or (parent.session_id if parent is not None else ""),
        persons=named((event.person_id,) if event.person_id else (), persons),
        message=event.message,
        at_s=event.time or (parent.time if parent is not None else 0),
    )


def named(ids: Iterable[str], persons: Mapping[str, str]) -> tuple[str, ...]:
    """People by name, an unnamed face by its id."""
    return tuple(persons.get(one) or one for one in islice(ids, MAX_NAMES))
