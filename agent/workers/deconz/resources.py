"""One light or sensor as clients read it, and the part of it that changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent import __version__
from agent.runtime import EndpointInfo
from agent.workers.deconz.translate import FORMS, NEVER, Kind, Shown, last_updated
from agent.workers.deconz.wire import Changed, Json

MANUFACTURER = "Portero"
ALERTS = ("none", "select", "lselect")
CLOCK_SLACK_MS = 1000


class Resource:
    """A light or sensor; belongs to the bridge.

    key: its lasting name in the directory. endpoint: what it shows; empty for what is none of the door's.
    seen: its `lastseen`.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        number: str,
        address: str,
        key: str,
        name: str,
        info: EndpointInfo | None = None,
        seen: str = "",
    ) -> None:
        form = FORMS[kind]
        self.kind: Kind = kind
        self.form = form
        self.r = form.r
        self.id = number
        self.uniqueid = f"{address}-{form.ep:02x}" + (f"-{form.cluster}" if form.cluster else "")
        self.key = key
        self.name = name
        self.info = info
        self.seen = seen
        self.config: Json = {}
        self.state: Json = {"buttonevent": None} if kind == "button" else {}
        self._updated_ms = 0
        if self.r == "sensors":
            self.state["lastupdated"] = NEVER

    @property
    def endpoint(self) -> str:
        """The endpoint that it shows, or an empty name."""
        return "" if self.info is None else self.info.name

    @property
    def is_light(self) -> bool:
        """Whether it is something that "all lights" means: neither sirens nor locks are."""
        return self.kind == "light"

    def begin(self, shown: Shown) -> None:
        """Take over how it is at the start, of which nobody is told."""
        self.config.update(shown.config)
        self.state.update(shown.state)

    def set_config(self, values: Mapping[str, Any], *, notify_all: bool) -> list[Changed]:
        """Take over values of `config`; the message when something is another now."""
        changed = _differing(self.config, values)
        self.config.update(changed)
        if not changed:
            return []
        return [Changed(**self._identity(), config=dict(self.config if notify_all else changed))]

    def set_state(
        self, values: Mapping[str, Any], at_ns: int, *, notify_all: bool, always: bool = False
    ) -> list[Changed]:
        """Take over values of `state`; the message when something is another now, or `always`: a button's
        same code again is another press."""
        changed = dict(values) if always else _differing(self.state, values)
        if not changed:
            return []
        if self.r == "sensors":
            changed["lastupdated"] = self._stamp(at_ns)
        self.state.update(changed)
        return [Changed(**self._identity(), state=dict(self.state if notify_all else changed))]

    def named(self, name: str) -> Changed:
        """Take over a name; the message, which has it alone: clients do not read it from `attr`."""
        self.name = name
        return Changed(**self._identity(), name=name)

    def now(self) -> list[Changed]:
        """What a client that has just connected is told.

        Never a button's state: any word of that is a press to Home Assistant. Of a keypad, all but its
        `action`, which is an event as well.
        """
        told = []
        if self.r == "sensors":
            told.append(Changed(**self._identity(), config=dict(self.config)))
        if self.kind != "button":
            state = {key: value for key, value in self.state.items() if key != "action"}
            told.append(Changed(**self._identity(), state=state))
        return told

    def body(self, etag: str) -> Json:
        """The whole resource."""
        plain: Json = {
            "etag": etag,
            "lastannounced": None,
            "lastseen": self.seen,
            "manufacturername": MANUFACTURER,
            "modelid": self.form.model,
            "name": self.name,
            "swversion": __version__,
            "type": self.form.type,
            "uniqueid": self.uniqueid,
            "state": dict(self.state),
        }
        if self.r == "lights":
            plain["hascolor"] = False
            if self.kind == "siren":
                plain["capabilities"] = {"alerts": list(ALERTS)}
                plain["config"] = dict(self.config)
            return plain
        plain["ep"] = self.form.ep
        plain["config"] = dict(self.config)
        if self.kind == "button":
            plain["mode"] = 1
        return plain

    def _identity(self) -> dict[str, Any]:
        return {"r": self.r, "id": self.id, "uniqueid": self.uniqueid}

    def _stamp(self, at_ns: int) -> str:
        """Never the same twice in a row: clients know a press from its repetition by the time alone."""
        at_ms = at_ns // 1_000_000
        if at_ms <= self._updated_ms < at_ms + CLOCK_SLACK_MS:
            at_ms = self._updated_ms + 1
        self._updated_ms = at_ms
        return last_updated(at_ms * 1_000_000)


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    return {key: value for key, value in new.items() if key not in old or old[key] != value}
