"""The door as the gateway that clients believe it to be: every resource, as it is, and what changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from msgspec.structs import replace

from agent.model.events import AlarmChanged, AnyEvent, HardwareFailed, HardwareRecovered
from agent.model.records import Entry
from agent.runtime import Context, EndpointInfo, EndpointState
from agent.workers.deconz.alarms import ID as ALARM_ID
from agent.workers.deconz.alarms import AlarmSystem
from agent.workers.deconz.config import ServerConfig
from agent.workers.deconz.directory import ALARM, DOOR_SUFFIX, GATEWAY, Directory
from agent.workers.deconz.etag import ETags
from agent.workers.deconz.resources import Resource
from agent.workers.deconz.translate import (
    FORMS,
    HOLD,
    PRESS,
    Kind,
    Shown,
    after,
    button_codes,
    kinds_of,
    last_seen,
    shown,
)
from agent.workers.deconz.wire import Changed, Json

SYSTEM = "deconz"  # what lives on gateways is shown by its own
GROUP_ID = "1"
GROUP_NAME = "Door"

logger = logging.getLogger(__name__)


class Bridge:
    """All that clients read and follow; belongs to the trio thread, and never waits.

    What changed is returned as messages, in the order in which they are to be told.
    lights, sensors: by id. alarm: None where the door has no alarm system.
    """

    def __init__(
        self,
        config: ServerConfig,
        context: Context,
        directory: Directory,
        *,
        daylight: Shown | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.etags = ETags()
        self.directory = directory
        self.lights: dict[str, Resource] = {}
        self.sensors: dict[str, Resource] = {}
        self.alarm: AlarmSystem | None = None
        self._context = context
        self._configured_notify_all = config.notify_all
        self._group_state = {"all_on": False, "any_on": False}
        self._down: dict[str, bool] = {}
        self._of_endpoint: dict[str, list[Resource]] = {}
        self._seen = last_seen(clock_ns())
        for info in context.endpoints:
            if info.system != SYSTEM and info.name not in config.hide:
                for kind in kinds_of(info, config.lock_as):
                    self._add_part(info, kind)
        # What the log tells after this number is not in these states yet.
        self.states_at = context.events.last_seq
        self._states = {name: context.state_of(name) for name in self._of_endpoint}
        for name, parts in self._of_endpoint.items():
            for resource in parts:
                resource.begin(shown(resource.kind, self._states[name]))
        if context.alarm() is not None:
            keypad = self._add("keypad", device=ALARM, key=ALARM, name="Alarm")
            if keypad is not None:
                self.alarm = AlarmSystem(context.alarm, keypad, tuple(self.sensors.values()))
        if daylight is not None:
            sun = self._add("daylight", device=GATEWAY, key=GATEWAY, name="Daylight")
            if sun is not None:
                sun.begin(daylight)
        self._group_state = self._lights_now()

    # ----- what clients read -----

    @property
    def notify_all(self) -> bool:
        """Whether all attributes are told of what changed, or only the changed ones."""
        return self.directory.notify_all(self._configured_notify_all)

    def find(self, r: str, number: str) -> Resource | None:
        """A light or sensor by its id or unique id."""
        resources = self.lights if r == "lights" else self.sensors
        known = resources.get(number)
        if known is None and ":" in number:
            number = number.lower()
            known = next((other for other in resources.values() if other.uniqueid == number), None)
        return known

    def body(self, resource: Resource) -> Json:
        """A light or sensor."""
        body = resource.body(self.etags.of(resource.r, resource.id))
        if self.alarm is not None and resource is self.alarm.keypad:
            body["state"]["seconds_remaining"] = self.alarm.seconds_left
        return body

    def map_of(self, r: str) -> Json:
        """All of a kind by id."""
        match r:
            case "lights" | "sensors":
                resources = self.lights if r == "lights" else self.sensors
                return {number: self.body(resource) for number, resource in resources.items()}
            case "groups":
                return {} if (group := self.group()) is None else {GROUP_ID: group}
            case "alarmsystems":
                return {} if self.alarm is None else {ALARM_ID: self.alarm.body()}
            case _:
                return {}

    def members(self) -> list[Resource]:
        """The lights of the group: those that "off" means. Never a lock, nor a siren."""
        return [light for light in self.lights.values() if light.is_light]

    def group(self) -> Json | None:
        """The one group; None where the door has no lights."""
        members = self.members()
        if not members:
            return None
        on = self._group_state["any_on"]
        return {
            "action": {
                "alert": "none", "bri": 0, "colormode": "hs", "ct": 0, "effect": "none", "hue": 0, "on": on,
                "sat": 0, "scene": None, "xy": [0, 0],
            },
            "devicemembership": [],
            "etag": self.etags.of("groups", GROUP_ID),
            "id": GROUP_ID,
            "lights": [light.id for light in members],
            "name": self.directory.name("groups", GROUP_ID) or GROUP_NAME,
            "scenes": [],
            "state": dict(self._group_state),
            "type": "LightGroup",
        }  # fmt: skip

    def snapshot(self) -> list[Changed]:
        """All that a client has to hear that has just connected: nothing is told twice to it otherwise."""
        told: list[Changed] = []
        for resource in (*self.lights.values(), *self.sensors.values()):
            told += resource.now()
        if self.members():
            told.append(self._group_changed())
        if self.alarm is not None:
            told += self.alarm.now()
        return told

    # ----- what happens -----

    def note(self, entry: Entry) -> list[Changed]:
        """An entry of the log."""
        event = entry.event
        match event:
            case AlarmChanged():
                if self.alarm is None or entry.seq <= self.states_at:
                    return []
                told = self.alarm.note(event, entry.at_ns, notify_all=self.notify_all)
                return self._touched(told, entry.at_ns)
            case HardwareFailed() | HardwareRecovered() if event.endpoint not in self._states:
                return self._touched(self._contacts_of_doors(entry.at_ns), entry.at_ns)
            case _:
                name = getattr(event, "endpoint", "")
                if name not in self._states:
                    return []
                told = self._pressed(name, event, entry.at_ns)
                if entry.seq > self.states_at:
                    told += self._become(name, after(event, self._states[name]), entry.at_ns)
                return self._touched(told, entry.at_ns)

    def reread(self, at_ns: int) -> list[Changed]:
        """Everything as it is now, where entries were missed; of buttons nothing is told."""
        self.states_at = self._context.events.last_seq
        self._down.clear()
        told: list[Changed] = []
        for name in self._states:
            told += self._become(name, self._context.state_of(name), at_ns)
        if self.alarm is not None:
            told += self.alarm.reread(at_ns, notify_all=self.notify_all)
        return self._touched(told, at_ns)

    def sun(self, daylight: Shown, at_ns: int) -> list[Changed]:
        """The sun is somewhere else."""
        for resource in self.sensors.values():
            if resource.kind == "daylight":
                told = resource.set_state(daylight.state, at_ns, notify_all=self.notify_all)
                return self._touched(told, at_ns)
        return []

    def rename(self, resource: Resource, name: str) -> list[Changed]:
        """A client gives a name."""
        self.directory.rename(resource.r, resource.key, name)
        self.etags.touch(resource.r, resource.id)
        return [resource.named(name)]

    def rename_group(self, name: str) -> list[Changed]:
        """A client gives the group a name."""
        self.directory.rename("groups", GROUP_ID, name)
        self.etags.touch("groups", GROUP_ID)
        return [Changed(r="groups", id=GROUP_ID, name=name)]

    # ----- inside -----

    def _add_part(self, info: EndpointInfo, kind: Kind) -> None:
        label = info.label or info.name
        is_door = kind == "door"
        resource = self._add(
            kind,
            device=info.name,
            key=info.name + (DOOR_SUFFIX if is_door else ""),
            name=f"{label} contact" if is_door else label,
            info=info,
        )
        if resource is not None:
            self._of_endpoint.setdefault(info.name, []).append(resource)

    def _add(
        self, kind: Kind, *, device: str, key: str, name: str, info: EndpointInfo | None = None
    ) -> Resource | None:
        r = FORMS[kind].r
        address, number = self.directory.address(device), self.directory.id(r, key)
        if address is None or number is None:
            return None
        resource = Resource(
            kind,
            number=number,
            address=address,
            key=key,
            name=self.directory.name(r, key) or name,
            info=info,
            seen=self._seen,
        )
        (self.lights if r == "lights" else self.sensors)[number] = resource
        return resource

    def _become(self, name: str, now: EndpointState, at_ns: int) -> list[Changed]:
        """An endpoint is so; the messages of what that changes."""
        if now == self._states[name]:
            return []
        self._states[name] = now
        told: list[Changed] = []
        notify_all = self.notify_all
        for resource in self._of_endpoint[name]:
            new = shown(resource.kind, now)
            told += resource.set_config(new.config, notify_all=notify_all)
            told += resource.set_state(new.state, at_ns, notify_all=notify_all)
        if any(resource.is_light for resource in self._of_endpoint[name]):
            state = self._lights_now()
            if state != self._group_state:
                self._group_state = state
                told.append(self._group_changed())
        return told

    def _pressed(self, name: str, event: AnyEvent, at_ns: int) -> list[Changed]:
        """What a button tells; nothing of a press of which the beginning was not told."""
        button = next((part for part in self._of_endpoint[name] if part.kind == "button"), None)
        codes = button_codes(event, self._down.get(name, False)) if button is not None else ()
        if button is None or not codes:
            return []
        if codes[0] == PRESS:
            if self._context.notifications.suppressed(name):
                return []
            if len(codes) == 1:
                self._down[name] = False
        elif name not in self._down:
            return []
        elif codes[0] == HOLD:
            self._down[name] = True
        else:
            del self._down[name]
        told: list[Changed] = []
        for code in codes:
            values = {"buttonevent": code}
            told += button.set_state(values, at_ns, notify_all=self.notify_all, always=True)
        return told

    def _contacts_of_doors(self, at_ns: int) -> list[Changed]:
        """The contact of some door fails, or works again: it has a name of its own in the log."""
        told: list[Changed] = []
        for name, parts in self._of_endpoint.items():
            if any(part.kind == "door" for part in parts):
                problem = self._context.state_of(name).door_problem
                told += self._become(name, replace(self._states[name], door_problem=problem), at_ns)
        return told

    def _lights_now(self) -> dict[str, bool]:
        on = [bool(light.state["on"]) for light in self.members()]
        return {"all_on": bool(on) and all(on), "any_on": any(on)}

    def _group_changed(self) -> Changed:
        return Changed(r="groups", id=GROUP_ID, state=dict(self._group_state))

    def _touched(self, told: list[Changed], at_ns: int) -> list[Changed]:
        """The same messages; what they are about has new tags."""
        for r, number in {(change.r, change.id) for change in told}:
            self.etags.touch(r, number)
        for change in told:
            resource = self.find(change.r, change.id) if change.r in ("lights", "sensors") else None
            if resource is not None:
                resource.seen = last_seen(at_ns)
        return told
