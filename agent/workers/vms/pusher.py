"""Pusher protocol 7, the client's side: frames to signals, and what a close means. Pure; time is an argument.

Source: Pusher's protocol description; observed with soketi 1.6.1; the sources of Laravel Reverb and
laravel-websockets for where they differ: `data` may be a string or an object; a `pusher:error` that is not
followed by a close is information; 4201 comes 120 s after the server's last message unless the client pings.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from agent.model.errors import MalformedMessage
from agent.wire.json import decode_any
from agent.workers.vms.signals import Ending, Noted, Opened, Pushed, Rejected, Signal, Subscribed

PROTOCOL = 7
VERSION = "0.1.0"
MAX_FRAME_BYTES = 1024 * 1024
PING_S = 30.0
ANSWER_S = 30.0
MAX_NAME_CHARS = 256


def path_of(base: str, app_key: str) -> str:
    """Where a connection is asked for, below the host."""
    base = base.rstrip("/")
    query = f"protocol={PROTOCOL}&client=portero&version={VERSION}&flash=false"
    return f"{base}/app/{quote(app_key, safe='')}?{query}"


class Pusher:
    """One connection. send: texts that are to be sent, in order; the owner takes them away."""

    def __init__(self, now_s: float) -> None:
        self.send: list[str] = []
        self.last_error: int | None = None
        self._opened = False
        self._ping_s = PING_S
        self._heard_at = now_s
        self._pinged_at: float | None = None

    # ----- what comes -----

    def receive(self, text: str, now_s: float) -> list[Signal]:
        """The signals of a frame. Raises: MalformedMessage, and nothing else for any text."""
        self._heard_at = now_s
        self._pinged_at = None
        plain = decode_any(text.encode("utf-8", "replace"), "pusher frame", max_bytes=MAX_FRAME_BYTES)
        if not isinstance(plain, dict) or not isinstance(plain.get("event"), str):
            raise MalformedMessage("pusher frame", "expected an object with an event")
        event, data = plain["event"], _data(plain.get("data"))
        channel = plain.get("channel")
        channel = channel if isinstance(channel, str) and len(channel) <= MAX_NAME_CHARS else ""
        match event:
            case "pusher:connection_established":
                return [self._established(data)]
            case "pusher:ping":
                self.send.append('{"event":"pusher:pong","data":{}}')
            case "pusher:error":
                return self._error(data)
            case "pusher_internal:subscription_succeeded":
                return [Subscribed(channel)] if channel else []
            case "pusher:subscription_error":
                status = data.get("status") if isinstance(data, dict) else None
                return [Rejected(channel, status if isinstance(status, int) else 403)]
            case _ if event.startswith(("pusher:", "pusher_internal:", "client-")):
                pass
            case _ if channel:
                return [Pushed(channel, event[:MAX_NAME_CHARS], data)]
        return []

    def _established(self, data: Any) -> Signal:
        socket_id = data.get("socket_id") if isinstance(data, dict) else None
        if not isinstance(socket_id, str) or not 0 < len(socket_id) <= MAX_NAME_CHARS:
            raise MalformedMessage("pusher frame", "established without a socket_id")
        timeout_s = data.get("activity_timeout")
        if isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool) and timeout_s >= 1:
            self._ping_s = min(PING_S, float(timeout_s))
        self._opened = True
        return Opened(socket_id)

    def _error(self, data: Any) -> list[Signal]:
        plain = data if isinstance(data, dict) else {}
        code, message = plain.get("code"), str(plain.get("message") or "")[:100]
        self.last_error = code if isinstance(code, int) and not isinstance(code, bool) else None
        told: list[Signal] = [Noted(f"error {code}: {message}")]
        if not self._opened:
            raise MalformedMessage("pusher", f"refused with error {self.last_error}: {message}")
        if self.last_error == 4009:
            # Some servers do not say which channel: whichever waits for its answer.
            told.append(Rejected("", 403))
        return told

    # ----- what goes -----

    def subscribe(self, channel: str, auth: str) -> None:
        """Ask for a channel. auth: of a private one."""
        data = {"channel": channel} | ({"auth": auth} if auth else {})
        self.send.append(json.dumps({"event": "pusher:subscribe", "data": data}, separators=(",", ":")))

    def unsubscribe(self, channel: str) -> None:
        """Leave it; nothing is answered."""
        self.send.append(
            json.dumps({"event": "pusher:unsubscribe", "data": {"channel": channel}}, separators=(",", ":"))
        )

    # ----- time -----

    def due_at(self) -> float:
        """When `tick` has something to do."""
        return self._heard_at + self._ping_s if self._pinged_at is None else self._pinged_at + ANSWER_S

    def tick(self, now_s: float) -> bool:
        """Ping when it is time; False when the server has been silent for too long."""
        if now_s < self.due_at():
            return True
        if self._pinged_at is not None:
            return False
        self._pinged_at = now_s
        self.send.append('{"event":"pusher:ping","data":{}}')
        return True


def ending(close_code: int | None, last_error: int | None, http_status: int | None) -> Ending:
    """What to do after a connection has ended, or did not come about."""
    if http_status is not None:
        if http_status in (400, 401, 403, 404, 426):
            return Ending("slowly", f"HTTP {http_status} in place of a connection: wrong path or key", True)
        return Ending("soon", f"HTTP {http_status} in place of a connection")
    code = close_code if close_code is not None and 4000 <= close_code < 5000 else last_error
    if code is None:
        return Ending("soon", "connection lost")
    if code == 4000:
        return Ending("at_once", "the server wants TLS", tls=True)
    if 4000 <= code < 4100:
        return Ending("slowly", f"the server refuses us (code {code})", True)
    if 4200 <= code < 4300:
        return Ending("at_once", f"the server closed (code {code})")
    return Ending("soon", f"the server closed (code {code})")


def _data(data: Any) -> Any:
    """Strings that are JSON are parsed; others stay."""
    if not isinstance(data, str):
        return data
    try:
        return decode_any(data.encode("utf-8", "replace"), "pusher data", max_bytes=MAX_FRAME_BYTES)
    except MalformedMessage:
        return data
