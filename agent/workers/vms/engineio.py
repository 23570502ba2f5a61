"""socket.io as laravel-echo-server speaks it, the client's side: Engine.IO 3 and 4, websocket alone. Pure.

One packet per text; the first letter is Engine.IO's (0 open, 1 close, 2 ping, 3 pong, 4 message), in messages
the second is socket.io's (0 connect, 1 disconnect, 2 event, 3 ack, 4 error). We ask for version 4: a server
of version 2 (laravel-echo-server 1.6) takes that and shows itself by no `maxPayload` and an unasked `40`.
Version 3: the client pings. Version 4: the server does, and the client joins with `40`.
Source: Engine.IO and socket.io protocol descriptions; observed with laravel-echo-server 1.6.3,
python-socketio and the JavaScript server.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from agent.model.errors import MalformedMessage
from agent.wire.json import decode_any
from agent.workers.vms.signals import Ending, Noted, Opened, Pushed, Rejected, Signal

MAX_FRAME_BYTES = 1024 * 1024
MAX_NAME_CHARS = 256
MOST_S = 120.0
_EVENT = re.compile(r"42(?:/[^,\[]{0,64},)?(\d{0,9})(\[.*)", re.DOTALL)


def path_of(base: str, version: int = 4) -> str:
    """Where a connection is asked for, below the host."""
    return f"{quote(base.rstrip('/'), safe='/')}/?EIO={version}&transport=websocket"


class EngineIo:
    """One connection. send: texts that are to be sent, in order; the owner takes them away."""

    def __init__(self, now_s: float) -> None:
        self.send: list[str] = []
        self.version = 0  # not known yet
        self._interval_s = 25.0
        self._timeout_s = 20.0
        self._heard_at = now_s
        self._sent_at = now_s
        self._joined = False
        self._attachments = 0

    # ----- what comes -----

    def receive(self, text: str, now_s: float) -> list[Signal]:
        """The signals of a packet. Raises: MalformedMessage, and nothing else for any text."""
        self._heard_at = now_s
        match text[:1]:
            case "0":
                return self._open(text[1:], now_s)
            case "1":
                raise MalformedMessage("socket.io", "closed by the server")
            case "2":
                self.version = self.version or 4
                self.send.append("3" + text[1:64])
            case "3" | "5" | "6":
                pass
            case "4":
                return self._message(text)
            case _:
                raise MalformedMessage("socket.io packet", f"unknown type {text[:1]!r}")
        return []

    def _open(self, text: str, now_s: float) -> list[Signal]:
        plain = decode_any(text.encode("utf-8", "replace"), "engine.io open", max_bytes=65_536)
        if not isinstance(plain, dict):
            raise MalformedMessage("engine.io open", "expected an object")
        self._interval_s = _seconds(plain.get("pingInterval"), 25.0)
        self._timeout_s = _seconds(plain.get("pingTimeout"), 20.0)
        self._sent_at = now_s
        if "maxPayload" in plain:
            self.version = 4
            self.send.append("40")
        return []

    def _message(self, text: str) -> list[Signal]:
        match text[1:2]:
            case "0":
                # Unasked: an older server, in which the client pings.
                self.version = self.version or 3
                if self._joined:
                    return []
                self._joined = True
                return [Opened()]
            case "1":
                raise MalformedMessage("socket.io", "the server has thrown us out")
            case "4":
                raise MalformedMessage("socket.io", f"the server does not let us in: {text[2:102]!r}")
            case "2":
                return self._event(text)
            case _:
                return []  # acknowledgements; binary ones, whose attachments are no texts

    def _event(self, text: str) -> list[Signal]:
        match = _EVENT.fullmatch(text)
        if match is None:
            raise MalformedMessage("socket.io event", "expected a list")
        if match[1]:
            self.send.append(f"43{match[1]}[]")
        plain = decode_any(match[2].encode("utf-8", "replace"), "socket.io event", max_bytes=MAX_FRAME_BYTES)
        if not isinstance(plain, list) or not plain or not isinstance(plain[0], str):
            raise MalformedMessage("socket.io event", "expected a list that begins with a name")
        name, rest = plain[0][:MAX_NAME_CHARS], plain[1:]
        channel = rest[0] if rest and isinstance(rest[0], str) and len(rest[0]) <= MAX_NAME_CHARS else ""
        if name == "subscription_error":
            status = rest[1] if len(rest) > 1 else None
            return [Rejected(channel, status if isinstance(status, int) else 403)] if channel else []
        if name.startswith(("presence:", "client ")):
            return [Noted(name)]
        if not channel or len(rest) < 2:
            return []
        return [Pushed(channel, name, rest[1])]

    # ----- what goes -----

    def subscribe(self, channel: str, headers: dict[str, str]) -> None:
        """Ask for a channel; a success is told by nothing."""
        self._emit("subscribe", {"channel": channel, "auth": {"headers": headers}})

    def unsubscribe(self, channel: str) -> None:
        """Leave it."""
        self._emit("unsubscribe", {"channel": channel, "auth": {"headers": {}}})

    def _emit(self, name: str, data: dict[str, Any]) -> None:
        self.send.append("42" + json.dumps([name, data], separators=(",", ":")))

    # ----- time -----

    def due_at(self) -> float:
        """When `tick` has something to do."""
        silent_at = self._heard_at + self._interval_s + self._timeout_s
        return min(silent_at, self._sent_at + self._interval_s) if self.version == 3 else silent_at

    def tick(self, now_s: float) -> bool:
        """Ping an older server when it is time; False when the server has been silent for too long."""
        if now_s >= self._heard_at + self._interval_s + self._timeout_s:
            return False
        if self.version == 3 and now_s >= self._sent_at + self._interval_s:
            self._sent_at = now_s
            self.send.append("2")
        return True


def ending(close_code: int | None, http_status: int | None) -> Ending:
    """What to do after a connection has ended, or did not come about; socket.io gives no reasons."""
    if http_status in (400, 401, 403, 404, 426):
        return Ending("slowly", f"HTTP {http_status} in place of a connection: another version or path", True)
    if http_status is not None:
        return Ending("soon", f"HTTP {http_status} in place of a connection")
    return Ending("soon", "connection lost")


def _seconds(milliseconds: Any, default_s: float) -> float:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return default_s
    return min(max(milliseconds / 1000, 1.0), MOST_S) if milliseconds == milliseconds else default_s
