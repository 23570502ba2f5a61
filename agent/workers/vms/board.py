"""What `portero status` and `portero vms status` show of a VMS."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import trio

from agent.workers.vms.channels import Channels
from agent.workers.vms.wire import (
    CameraStatus,
    DictionaryChanged,
    Push,
    ServerStats,
    StreamStats,
    Unknown,
)

MAX_SEEN = 64
MAX_DICTIONARY = 1000

logger = logging.getLogger(__name__)
Value = str | int | float | bool


class Board:
    """unassigned: our own intercom is not among those that we may see any more."""

    def __init__(self, page: Callable[[str, Value], None]) -> None:
        self.unassigned = False
        self._page = page
        self._values: dict[str, Value] = {}
        self._pushes = self._unknown = self._malformed = 0
        self._intercom = ""
        self._channels: list[dict[str, str]] = []
        self._kinds: set[str] = set()
        self._cameras: dict[int, str] = {}
        self._analytics: dict[str, Any] = {}
        self._dictionary: dict[str, str] = {}
        self.state("offline", "")

    @property
    def is_connected(self) -> bool:
        """Whether pushes come, as far as anybody knows."""
        return self._values.get("state") in ("connected", "unassigned")

    def state(self, state: str, reason: str) -> None:
        """connecting, connected, refused, offline; unassigned in the place of connected."""
        if state == "connected" and self.unassigned:
            state = "unassigned"
        if state != self._values.get("state") and state != "connecting":
            logger.info("vms state=%s reason=%s", state, reason)
        self._show("state", state)
        if state != "connecting":
            self._show("problem", reason)

    def channels(self, channels: Channels, transport: str) -> None:
        """How the channels are."""
        self._channels = [
            {"channel": _masked(one.name), "state": one.state, "reason": one.reason}
            for one in channels.all.values()
        ]
        self._show("transport", transport)
        self._show("channels", sum(one["state"] == "live" for one in self._channels))
        self._show("channels_refused", sum(one["state"] == "refused" for one in self._channels))

    def pushed(self, push: Push) -> None:
        """A push came."""
        self._pushes += 1
        self._show("pushes", self._pushes)
        if isinstance(push, Unknown):
            self._unknown += 1
            self._show("unknown", self._unknown)
            if push.kind not in self._kinds and len(self._kinds) < MAX_SEEN:
                self._kinds.add(push.kind)
                logger.info("a push of a kind that is not known kind=%s", push.kind)

    def seen(self, push: Push) -> None:
        """What is shown, and no more."""
        match push:
            case CameraStatus(camera_id=number, state=state):
                if number in self._cameras or len(self._cameras) < MAX_SEEN:
                    self._cameras[number] = state
            case StreamStats(uid=uid):
                if uid in self._analytics or len(self._analytics) < MAX_SEEN:
                    self._analytics[uid] = {
                        "streams": push.streams, "working": push.working, "cpu_pct": push.cpu_pct,
                    }  # fmt: skip
            case ServerStats(address=address):
                key = address or "server"
                if key in self._analytics or len(self._analytics) < MAX_SEEN:
                    self._analytics[key] = {"load_pct": push.load_pct, "memory_pct": push.memory_pct}
            case DictionaryChanged(diff=diff):
                self._dictionary |= diff
                while len(self._dictionary) > MAX_DICTIONARY:
                    self._dictionary.pop(next(iter(self._dictionary)))

    def intercom(self, status: str) -> None:
        """How our own intercom is there; empty: it is none of ours any more."""
        self._intercom = status
        self._show("intercom", status or "unassigned")
        if self.unassigned != (not status):
            self.unassigned = not status
            if self.is_connected:
                self._show("state", "unassigned" if self.unassigned else "connected")

    def keys_went(self, text: str, good: bool) -> None:
        """How the last file of keys went."""
        self._show("keys", text)
        self._show("keys_good", good)

    def note(self, text: str) -> None:
        """Something that is no reason to do anything."""
        if text.startswith("malformed"):
            self._malformed += 1
            self._show("malformed", self._malformed)
        logger.debug("vms %s", text)

    def reconciled(self) -> None:
        """Everything was looked up."""
        self._show("looked_up", int(self._values.get("looked_up", 0)) + 1)

    def status(self) -> dict[str, Any]:
        """For `portero vms status`."""
        return dict(self._values) | {
            "channels": self._channels,
            "cameras": {str(number): state for number, state in self._cameras.items()},
            "analytics": self._analytics,
            "dictionary": len(self._dictionary),
            "unknown_kinds": sorted(self._kinds),
            "at": trio.current_time(),
        }

    def _show(self, key: str, value: Value) -> None:
        if self._values.get(key) != value or key not in self._values:
            self._values[key] = value
            self._page(key, value)


def _masked(name: str) -> str:
    """The channel of a token is as good as that."""
    head, dot, rest = name.partition("token.")
    return f"{head}token.{rest[:4]}…" if dot else name
