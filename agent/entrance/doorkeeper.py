"""Decides what becomes of a tag or a code at a reader, does it, and tells of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

import trio

from agent.entrance.attempts import Attempts
from agent.entrance.config import EntranceConfig, ReaderConfig
from agent.entrance.decision import Passback, Refuse, decide
from agent.entrance.key import Key
from agent.entrance.panel import Presented
from agent.entrance.store import KeyStore
from agent.model.actions import Action, Unlock
from agent.model.events import AnyEvent, DuressSignalled, KeyRefused, KeyUsed
from agent.model.outcomes import Done, Outcome
from agent.model.principals import Grant, Principal
from agent.quota import Quota

VIA = "reader"
TOLD_AT_ONCE = 10.0
TOLD_HZ = 0.2

logger = logging.getLogger(__name__)


class Doorkeeper:
    """Of all readers. What is refused is told at once ten times, then every five seconds with a count: nobody
    pushes history out of the journal by holding a card to a reader."""

    def __init__(
        self, config: EntranceConfig, store: KeyStore, *,
        submit: Callable[[Action, Principal], Awaitable[Outcome]], report: Callable[[AnyEvent], object],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self._config = config
        self._store = store
        self._submit = submit
        self._report = report
        self._clock_ns = clock_ns
        self._attempts: dict[str, Attempts] = {}
        self._pace: dict[str, Quota] = {}
        self._untold: dict[str, int] = {}
        self._passback = Passback() if config.anti_passback else None

    async def present(self, name: str, reader: ReaderConfig, presented: Presented) -> bool:
        """Whether the lock was told to open. name: of the reader. Never raises.

        Cancellation: the lock may have been told.
        """
        await trio.lowlevel.checkpoint()
        attempts = self._attempts.setdefault(name, Attempts(self._config))
        now = trio.current_time()
        closed_s = attempts.closed_s(now) if presented.code else 0.0
        verdict = decide(
            presented, reader, self._store.index, self._store.digester, now_ns=self._clock_ns(),
            passback=self._passback,
        )  # fmt: skip
        if closed_s > 0:
            # The same work as at other times; and no word on whether it would have been right.
            self._refused(
                name, presented, Refuse(reason=f"too many wrong codes: closed for {closed_s:.0f} s")
            )
            return False
        if isinstance(verdict, Refuse):
            self._refused(name, presented, verdict)
            if verdict.guess and presented.code and (seconds := attempts.wrong(now)):
                logger.warning("reader=%s codes closed seconds=%g", name, seconds)
            return False
        if presented.code:
            attempts.right()
        key = verdict.key
        if key.uses_left is not None and not await self._store.use(key):
            self._refused(
                name, presented, Refuse(reason="used up, or its use cannot be written down", key=key)
            )
            return False
        self._report(
            KeyUsed(
                reader=name, endpoint=verdict.endpoint, method=presented.method, key_id=key.id,
                holder=key.holder, last=key.uses_left == 1,
            )
        )  # fmt: skip
        if verdict.duress:
            self._report(
                DuressSignalled(reader=name, endpoint=verdict.endpoint, key_id=key.id, holder=key.holder)
            )
        outcome = await self._submit(
            Unlock(endpoint=verdict.endpoint, hold_s=reader.hold_s), _principal(key, name, verdict.endpoint)
        )
        if not isinstance(outcome, Done):
            return False
        if self._passback is not None:
            self._passback.note(key, reader.direction)
        return True

    def _refused(self, name: str, presented: Presented, verdict: Refuse) -> None:
        pace = self._pace.get(name)
        if pace is None:
            pace = self._pace[name] = Quota(TOLD_AT_ONCE, TOLD_HZ, trio.current_time())
        untold = self._untold.get(name, 0)
        if not pace.take(trio.current_time()):
            self._untold[name] = untold + 1
            return
        self._untold[name] = 0
        key = verdict.key
        self._report(
            KeyRefused(
                reader=name, method=presented.method, reason=verdict.reason, count=1 + untold,
                key_id=key.id if key is not None else "", holder=key.holder if key is not None else "",
            )
        )  # fmt: skip


def _principal(key: Key, reader: str, endpoint: str) -> Principal:
    """Somebody who may do this one thing."""
    return Principal(
        name=f"{key.holder} (key {key.id})" if key.holder else f"key {key.id}",
        role="guest",
        via=VIA,
        peer=reader,
        proven_locally=True,
        grant=Grant(endpoints=(endpoint,)),
    )
