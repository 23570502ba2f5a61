"""Do not disturb: which endpoints may make clients ring now, for every protocol alike.

Muting is for rings and nuisance alarms. Smoke and carbon monoxide are never muted, by nobody, at no hour.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from agent.bus import EventLog
from agent.clock_window import ClockWindow, local_minute
from agent.model.actions import Action, SetNotify
from agent.model.errors import EndpointError
from agent.model.events import NotifyChanged, NotifyMode
from agent.model.principals import Principal
from agent.runtime import EndpointInfo

NEVER_MUTED = frozenset({"smoke", "co"})
logger = logging.getLogger(__name__)


class NotifyConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """quiet: times of the day ("22:00-07:00") when only safety alarms and forced endpoints notify.

    quiet_for: further times by endpoint, for that endpoint alone.
    """

    quiet: tuple[str, ...] = ()
    quiet_for: dict[str, tuple[str, ...]] = {}

    def __post_init__(self) -> None:
        for name in ("", *self.quiet_for):
            self.windows(name)

    def windows(self, endpoint: str = "") -> list[ClockWindow]:
        """The quiet times of an endpoint, or those of all. Raises: ValueError."""
        return [ClockWindow.parse(text) for text in (*self.quiet, *self.quiet_for.get(endpoint, ()))]


class Notify:
    """The table of explicit modes; survives restarts in one small file."""

    def __init__(
        self,
        config: NotifyConfig,
        endpoints: Iterable[EndpointInfo],
        *,
        log: EventLog,
        path: Path,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        infos = tuple(endpoints)
        self._windows = {info.name: config.windows(info.name) for info in infos}
        self._windows_of_all = config.windows()
        self._log = log
        self._path = path
        self._clock_ns = clock_ns
        self._names = tuple(info.name for info in infos)
        self._safety = frozenset(info.name for info in infos if info.role in NEVER_MUTED)
        self._modes: dict[str, NotifyMode] = self._load()

    def mode(self, endpoint: str) -> NotifyMode:
        """The explicit mode of an endpoint; `default` when nobody said anything."""
        return self._modes.get(endpoint, "default")

    def suppressed(self, endpoint: str) -> bool:
        """True when no client may be told of `endpoint` now."""
        if endpoint in self._safety:
            return False
        match self.mode(endpoint):
            case "mute":
                return True
            case "force":
                return False
        minute = local_minute(self._clock_ns())
        windows = self._windows.get(endpoint, self._windows_of_all)
        return any(window.contains(minute) for window in windows)

    def refuse(self, action: Action) -> str | None:
        """Unknown endpoints, and muting a smoke or CO detector by name."""
        assert isinstance(action, SetNotify)
        unknown = [name for name in action.endpoints if name not in self._names]
        if unknown:
            return f"no endpoint named {unknown[0]!r}"
        if action.mode == "mute" and any(name in self._safety for name in action.endpoints):
            return "smoke and CO alarms cannot be muted"
        return None

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """Muting is comfort: it works without a journal."""
        return True

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Change the table, store it, tell it. Raises: EndpointError when it cannot be stored."""
        assert isinstance(action, SetNotify)
        names = action.endpoints or self._names
        changed = [
            name
            for name in names
            if self.mode(name) != action.mode and not (action.mode == "mute" and name in self._safety)
        ]
        before = dict(self._modes)
        self._modes.update(dict.fromkeys(changed, action.mode))
        try:
            self._store()
        except OSError as error:
            self._modes = before
            raise EndpointError("notify", f"not stored: {error.strerror or error}") from error
        for name in changed:
            self._log.publish(NotifyChanged(endpoint=name, mode=action.mode, by=by))

    def _load(self) -> dict[str, NotifyMode]:
        try:
            modes = msgspec.json.decode(self._path.read_bytes(), type=dict[str, NotifyMode])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # Unreadable means nothing is muted: a door that rings too often beats one that is silent.
            logger.error("mute table unreadable, nothing is muted path=%s error=%s", self._path, error)
            return {}
        return {name: mode for name, mode in modes.items() if not (mode == "mute" and name in self._safety)}

    def _store(self) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(self._modes))
        os.replace(temporary, self._path)
