"""One webhook: one URL, one bounded queue, one task and one connection.

As the vendor sends: signed with the client's secret, ten seconds for an answer, anything but 200 is a
failure, and who fails six times in a row is not told anything for 24 hours.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections import deque
from collections.abc import Callable
from hashlib import sha256

import trio
from msgspec import Struct
from msgspec.structs import replace

from agent.model.errors import PeerError
from agent.workers.netatmo.courier import Courier
from agent.workers.netatmo.destination import Destination
from agent.workers.netatmo.push_body import Push

QUEUE = 64
ANSWER_S = 10.0
RING_AGE_S = 10.0
RING_RETRY_S = 1.0
MAX_FAILURES = 5
BAN_S = 24 * 3600.0

logger = logging.getLogger(__name__)


class Subscription(Struct, frozen=True, kw_only=True):
    """As it is stored. key: whose it is (`Grant.subscriber`). banned_until_s: Unix time, 0 for not banned."""

    key: str
    grant: str
    url: str
    banned_until_s: float = 0.0


class Subscriber:
    """One webhook. sent, failed, dropped: pushes since the start; failures: in a row.

    changed: called when a ban begins. scopes: what its token may read. stopped: ends `run` at once.
    """

    def __init__(
        self,
        subscription: Subscription,
        destination: Destination,
        courier: Courier,
        *,
        scopes: frozenset[str],
        secret: str | None,
        changed: Callable[[], None],
    ) -> None:
        self.subscription = subscription
        self.destination = destination
        self.scopes = scopes
        self.failures = 0
        self.sent = self.failed = self.dropped = 0
        self.stopped = trio.CancelScope()
        self._courier = courier
        self._secret = secret
        self._changed = changed
        self._queue: deque[Push] = deque()
        self._arrived = trio.Event()
        self._leaving = False
        left_s = subscription.banned_until_s - time.time()
        self._banned_until = trio.current_time() + min(BAN_S, left_s) if left_s > 0 else 0.0

    @property
    def banned_s(self) -> float:
        """For how long nothing is sent; 0 when it is not banned."""
        return max(0.0, self._banned_until - trio.current_time())

    def offer(self, push: Push) -> None:
        """Queue a push without waiting. When it is full the oldest that is no ring gives way."""
        if self._leaving or self.banned_s or (push.reads and not push.reads & self.scopes):
            return
        if len(self._queue) >= QUEUE:
            oldest = next((waiting for waiting in self._queue if not waiting.ring), self._queue[0])
            self._queue.remove(oldest)
            self.dropped += 1
        self._queue.append(push)
        self._arrived.set()

    def leave(self, last: Push) -> None:
        """Send what is being sent, then `last`, and end."""
        self._queue.clear()
        self.offer(last)
        self._leaving = True
        self._arrived.set()

    async def run(self) -> None:
        """Send what is offered, in order, until `leave`. Cancellation: what waits is not sent."""
        try:
            while self._queue or not self._leaving:
                if not self._queue:
                    self._arrived = trio.Event()
                    await self._arrived.wait()
                    continue
                await self._deliver(self._queue.popleft())
        finally:
            self._courier.close()

    async def _deliver(self, push: Push) -> None:
        if push.ring and trio.current_time() > push.at + RING_AGE_S:
            self.dropped += 1
            await trio.lowlevel.checkpoint()
            return
        status = await self._attempt(push)
        if status is None and push.ring and trio.current_time() + RING_RETRY_S <= push.at + RING_AGE_S:
            await trio.sleep(RING_RETRY_S)
            status = await self._attempt(push)
        if status == 200:
            self.sent += 1
            self.failures = 0
            return
        self.failed += 1
        self.failures += 1
        if self.failures > MAX_FAILURES:
            self._ban()

    async def _attempt(self, push: Push) -> int | None:
        """The status; 0 when there was none in time, None when there was no connection."""
        headers: list[tuple[str, str]] = []
        if self._secret is not None:
            headers.append(("X-Netatmo-secret", signature(self._secret, push.body)))
        try:
            with trio.fail_after(ANSWER_S):
                status = await self._courier.post(push.body, headers)
        except trio.TooSlowError:
            logger.info("webhook timed out to=%s push=%s", self.destination.where, push.type)
            return 0
        except PeerError as error:
            logger.info("webhook failed push=%s reason=%s", push.type, error)
            return None
        if status != 200:
            logger.info("webhook refused to=%s push=%s status=%d", self.destination.where, push.type, status)
        return status

    def _ban(self) -> None:
        logger.warning("webhook banned for 24 h to=%s failures=%d", self.destination.where, self.failures)
        self._banned_until = trio.current_time() + BAN_S
        self.subscription = replace(self.subscription, banned_until_s=time.time() + BAN_S)
        self.dropped += len(self._queue)
        self._queue.clear()
        self.failures = 0
        self._changed()


def signature(secret: str, body: bytes) -> str:
    """HMAC-SHA256 of the body's very bytes, in hexadecimal."""
    return hmac.digest(secret.encode(), body, sha256).hex()
