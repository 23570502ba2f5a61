"""Alarms to phones that are not connected, through Firebase (FCM HTTP v1).

A queue of its own, so that a slow or dead service never holds up anybody: when it is full the oldest waiting
message gives way, because the newest alarm is the one that matters.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import trio
from msgspec import Struct

from agent.model.errors import MalformedMessage
from agent.wire.json import decode_any
from agent.workers.zmes.config import PushConfig
from agent.workers.zmes.replies import ascii_json
from agent.workers.zmes.tokens import TokenStore
from agent.workers.zmes.wire import AlarmItem

if TYPE_CHECKING:
    import httpx

QUEUE_SIZE = 256
SENDERS = 4
ATTEMPT_S = 10.0
RETRY_AFTER_S = 2.0
MAX_ANSWER_BYTES = 16_384
MAX_KEY_BYTES = 16_384

Verdict = Literal["sent", "retry", "unregistered", "refused"]

logger = logging.getLogger(__name__)


class PushJob(Struct, frozen=True, kw_only=True):
    """One message for one phone."""

    token: str
    body: bytes

    def __repr__(self) -> str:
        return "PushJob(token=<hidden>)"


class PushCounters(Struct, kw_only=True):
    """What became of the messages."""

    sent: int = 0
    dropped: int = 0
    failed: int = 0


class Push:
    """Sends what it is offered, SENDERS at a time, each message twice at most.

    changed: called when the counters have changed.
    """

    def __init__(self, config: PushConfig, tokens: TokenStore, changed: Callable[[], None]) -> None:
        self._config = config
        self._changed = changed
        self._tokens = tokens
        self._waiting: deque[PushJob] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self.monthly_limit = config.monthly_limit
        self.counters = PushCounters()

    def offer(self, job: PushJob) -> None:
        """Queue a message without waiting; the oldest one gives way when QUEUE_SIZE wait."""
        if len(self._waiting) >= QUEUE_SIZE:
            self._waiting.popleft()
            self.counters.dropped += 1
        self._waiting.append(job)
        self._arrived.unpark()

    async def run(self) -> None:
        """Send for ever. Cancellation: messages in flight may or may not have arrived."""
        # Imported here: a door without push does not pay for an HTTP client.
        import httpx

        limits = httpx.Limits(max_connections=SENDERS, max_keepalive_connections=SENDERS)
        async with (
            httpx.AsyncClient(
                timeout=ATTEMPT_S, limits=limits, trust_env=False, follow_redirects=False
            ) as client,
            trio.open_nursery() as nursery,
        ):
            for _ in range(SENDERS):
                nursery.start_soon(self._send_all, client)

    async def _send_all(self, client: httpx.AsyncClient) -> None:
        while True:
            while not self._waiting:
                await self._arrived.park()
            await self._send(client, self._waiting.popleft())

    async def _send(self, client: httpx.AsyncClient, job: PushJob) -> None:
        verdict = await self._attempt(client, job)
        if verdict == "retry":
            await trio.sleep(RETRY_AFTER_S)
            verdict = await self._attempt(client, job)
        match verdict:
            case "sent":
                self.counters.sent += 1
            case "unregistered":
                logger.info("a phone is no longer registered with the push service, disabled")
                self._tokens.disable(job.token)
                self.counters.failed += 1
            case _:
                self.counters.failed += 1
        self._changed()

    async def _attempt(self, client: httpx.AsyncClient, job: PushJob) -> Verdict:
        import httpx

        try:
            key = await trio.to_thread.run_sync(_read_key, self._config.key_file)
        except (OSError, UnicodeDecodeError) as error:
            logger.error(
                "push key not readable path=%s error=%s", self._config.key_file, type(error).__name__
            )
            return "refused"
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json; charset=utf-8"}
        answer = b""
        try:
            with trio.fail_after(ATTEMPT_S):
                async with client.stream(
                    "POST", self._config.url, content=job.body, headers=headers
                ) as response:
                    async for chunk in response.aiter_bytes():
                        answer += chunk
                        if len(answer) > MAX_ANSWER_BYTES:
                            break
        except (httpx.InvalidURL, UnicodeError) as error:
            # Of the configuration; it shall not take the bell down.
            logger.error("push url cannot be used error=%s", type(error).__name__)
            return "refused"
        except (httpx.HTTPError, trio.TooSlowError, OSError) as error:
            logger.warning("push not delivered error=%s", type(error).__name__)
            return "retry"
        verdict = judge(response.status_code, answer[:MAX_ANSWER_BYTES])
        if verdict in ("retry", "refused"):
            logger.warning("push not accepted status=%d", response.status_code)
        return verdict


def judge(status: int, answer: bytes) -> Verdict:
    """What an answer of the push service means for the message and the phone.

    A bare 404 is a wrong `url` and says nothing of the phone; the service's own is a JSON object.
    """
    if 200 <= status < 300:
        return "sent"
    if status == 429 or status >= 500:
        return "retry"
    if status in (400, 404) and (
        b"UNREGISTERED" in answer or (status == 404 and _error_status(answer) == "NOT_FOUND")
    ):
        return "unregistered"
    return "refused"


def push_job(token: str, item: AlarmItem, *, badge: int, tag_event_id: bool) -> PushJob:
    """The message for one phone; `data` has the names that the apps read, all of them text."""
    body = f"{item.cause} ({item.event_id})" if tag_event_id else item.cause
    notification = {"title": item.name, "body": body}
    if item.picture:
        notification["image"] = item.picture
    message: dict[str, Any] = {
        "token": token,
        "notification": notification,
        "data": {
            "eid": item.event_id,
            "mid": item.monitor_id,
            "monitorName": item.name,
            "cause": item.cause,
            "notification_foreground": "true",
        },
        "android": {"priority": "high"},
        "apns": {
            "headers": {"apns-priority": "10"},
            "payload": {"aps": {"sound": "default", "badge": badge}},
        },
    }
    return PushJob(token=token, body=ascii_json({"message": message}).encode())


def _error_status(answer: bytes) -> str:
    try:
        plain = decode_any(answer, "push answer", max_bytes=MAX_ANSWER_BYTES)
    except MalformedMessage:
        return ""
    error = plain.get("error") if isinstance(plain, dict) else None
    return str(error.get("status")) if isinstance(error, dict) else ""


def _read_key(path: str) -> str:
    with Path(path).open("rb") as file:
        key = file.read(MAX_KEY_BYTES).decode("ascii").strip()
    if not key.isprintable() or not key:
        raise OSError("expected one line of text")
    return key
