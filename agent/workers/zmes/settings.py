"""What escontrol clients changed: marks of monitors this door does not have, and a few harmless settings.

The modes of the door's own endpoints are not here: they belong to the whole house and live in the core.
Nothing that opens, authenticates, listens or encrypts can be edited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

from agent.model.errors import MalformedMessage
from agent.model.events import NotifyMode
from agent.wire.json import decode_any
from agent.workers.zmes.config import CauseKey
from agent.workers.zmes.replies import ascii_json, text_of
from agent.workers.zmes.translate import Monitor
from agent.workers.zmes.wire import MAX_SHORT_CHARS

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_UNKNOWN = 256
MAX_CAUSE_CHARS = 64

Flag = Literal["send_event_end_notification", "include_picture", "tag_alarm_event_id"]
Value = str | int | float | bool

FLAGS: tuple[Flag, ...] = get_args(Flag)
CAUSE_KEYS: dict[str, CauseKey] = {f"cause_{cause}": cause for cause in get_args(CauseKey)}
_MARKS: dict[NotifyMode, int] = {"mute": -1, "default": 0, "force": 1}


class Settings:
    """changed: called after everything that belongs in the file.

    Of monitors that this door does not have, MAX_UNKNOWN marks are kept; further ones are not stored.
    """

    def __init__(
        self, unknown: Mapping[str, int], edits: Mapping[str, Value], changed: Callable[[], None]
    ) -> None:
        self._unknown = dict(unknown)
        self._edits = dict(edits)
        self._changed = changed

    def flag(self, key: Flag, default: bool) -> bool:
        """A yes-or-no setting."""
        value = _as_flag(self._edits.get(key))
        return default if value is None else value

    def causes(self, configured: Mapping[CauseKey, str]) -> Mapping[CauseKey, str]:
        """The words for causes: edited ones over configured ones."""
        edited = {CAUSE_KEYS[key]: str(value) for key, value in self._edits.items() if key in CAUSE_KEYS}
        return {**configured, **edited} if edited else configured

    def edit(self, key: str, value: Any) -> bool:
        """Set a setting; False when there is none of this name, or it cannot have this value."""
        if not _fits(key, value):
            return False
        self._edits[key] = value
        self._changed()
        return True

    def mark(self, monitor_ids: Iterable[str], mode: Literal["mute", "force"]) -> None:
        """Remember a mark of monitors that this door does not have."""
        for monitor_id in monitor_ids:
            if monitor_id in self._unknown or len(self._unknown) < MAX_UNKNOWN:
                self._unknown[monitor_id] = _MARKS[mode]
        self._changed()

    def reset(self) -> None:
        """Forget everything."""
        self._unknown.clear()
        self._edits.clear()
        self._changed()

    def table(self, monitors: Iterable[Monitor], mode: Callable[[str], NotifyMode]) -> dict[str, Any]:
        """What `get` shows: -1 muted, 0 as each client asked, 1 forced; then one member per edit."""
        notifications = dict(self._unknown)
        for monitor in monitors:
            notifications[monitor.id] = 0 if monitor.never_muted else _MARKS[mode(monitor.endpoint)]
        return {"notifications": notifications, **self._edits}

    def to_bytes(self) -> bytes:
        """The file."""
        return ascii_json({"notifications": self._unknown, "edits": self._edits}).encode()


def decode_settings(data: bytes) -> tuple[dict[str, int], dict[str, Value]]:
    """Marks and edits of the file; what may no longer be edited is left out.

    Raises: MalformedMessage.
    """
    plain = decode_any(data, "settings file", max_bytes=MAX_FILE_BYTES)
    if not isinstance(plain, dict):
        raise MalformedMessage("settings file", "expected an object")
    marks, edits = plain.get("notifications"), plain.get("edits")
    if not isinstance(marks, dict) or not isinstance(edits, dict):
        raise MalformedMessage("settings file", "expected objects under notifications and edits")
    unknown = {
        key: mark
        for key, mark in list(marks.items())[:MAX_UNKNOWN]
        if type(mark) is int and mark in (-1, 1) and len(key) <= MAX_SHORT_CHARS
    }
    return unknown, {key: value for key, value in edits.items() if _fits(key, value)}


def _fits(key: str, value: Any) -> bool:
    if key in FLAGS:
        return _as_flag(value) is not None
    if key in CAUSE_KEYS:
        return isinstance(value, str) and 0 < len(value) <= MAX_CAUSE_CHARS and value.isprintable()
    return False


def _as_flag(value: Any) -> bool | None:
    """yes or no in any case, 1 or 0, true or false; None for anything else."""
    if isinstance(value, bool):
        return value
    return {"yes": True, "1": True, "no": False, "0": False}.get(text_of(value).lower())
