"""The one way to move something: authorise, write it down, act, tell.

Nothing else may call an actuating port. Whatever happens, `submit` answers with an Outcome, and every
submission leaves its trace in the event log: accepted or refused, and failed when it did not happen. Only
what an account asks too fast leaves one trace for all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import trio

from agent.bus import EventLog
from agent.model.actions import Action, target
from agent.model.errors import EndpointError, JournalError
from agent.model.events import ActionAccepted, ActionFailed, ActionRefused, JournalFailed
from agent.model.outcomes import Busy, Done, Failed, Outcome, Refused
from agent.model.principals import Principal, authorise
from agent.quota import MAX_ACCOUNTS, AccountQuotas
from agent.runtime import Pending, Performer

BUSY_AFTER_S = 2.0
BARRIER_S = 1.0
REMOTE_S = 8.0  # for a foreign system to take something on
# Actions leave entries in a journal of limited size: whoever asks without end would push history out of it.
ACTIONS_AT_ONCE = 60
ACTIONS_HZ = 3.0
UNLIMITED = frozenset({"control", "rules"})  # who administers this machine; rules pace themselves
TOO_MANY = "too many requests"

logger = logging.getLogger(__name__)


class Barrier(Protocol):
    """The durable side of the event log."""

    async def flushed(self, seq: int) -> None:
        """Return when entry `seq` is on disk. Raises: JournalError."""


class Dispatch:
    """Serialises actions per target and keeps the order: authorised, stored, done, told."""

    def __init__(
        self,
        *,
        log: EventLog,
        journal: Barrier,
        performers: Mapping[str, Performer],
        new_id: Callable[[], str],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._log = log
        self._journal = journal
        self._performers = performers
        self._new_id = new_id
        self._clock_ns = clock_ns
        self._locks = {name: trio.Lock() for name in performers}
        self._pace = AccountQuotas(ACTIONS_AT_ONCE, ACTIONS_HZ)
        self._hasty: set[str] = set()

    async def submit(self, action: Action, principal: Principal) -> Outcome:
        """Carry out `action` for `principal`, or say why not.

        Cancellation: before the act nothing has moved and the log says `ActionFailed`; the act itself
        does not await and so is never cut in half. What a foreign system was asked for may still happen.
        """
        await trio.lowlevel.checkpoint()
        action_id = self._new_id()
        if not self._in_time(principal):
            return self._too_many(action_id, action, principal)
        name = target(action)
        performer = self._performers.get(name)
        if performer is None:
            return self._refused(action_id, action, principal, f"no endpoint named {name[:64]!r}")
        reason = authorise(principal, action, self._clock_ns())
        if reason is not None:
            return self._refused(action_id, action, principal, reason)
        with trio.move_on_after(BUSY_AFTER_S) as waiting:
            await self._locks[name].acquire()
        if waiting.cancelled_caught:
            self._log.publish(
                ActionRefused(action_id=action_id, action=action, principal=principal, reason="busy")
            )
            return Busy(action_id=action_id)
        try:
            # Asked again: a guest's time may have ended in the queue.
            reason = authorise(principal, action, self._clock_ns()) or performer.refuse(action)
            if reason is not None:
                return self._refused(action_id, action, principal, reason)
            return await self._carry_out(action_id, action, principal, performer)
        finally:
            self._locks[name].release()

    async def _carry_out(
        self, action_id: str, action: Action, principal: Principal, performer: Performer
    ) -> Outcome:
        accepted = self._log.publish(ActionAccepted(action_id=action_id, action=action, principal=principal))
        failure: str | None = "abandoned before it acted"
        try:
            problem = await self._stored(accepted.seq)
            if problem is not None and not performer.acts_without_journal(action, principal):
                failure = f"not done, because it cannot be written down: {problem}"
            else:
                if problem is not None:
                    logger.critical(
                        "unjournalled action=%s by=%s via=%s problem=%s",
                        type(action).__name__, principal.name, principal.via, problem,
                    )  # fmt: skip
                    self._log.publish(JournalFailed(reason=f"acted without a journal entry: {problem}"))
                pending = performer.perform(action, by=principal.name, action_id=action_id)
                if pending is not None:
                    failure = "abandoned while another system was asked: it may have acted"
                    failure = await _taken_on(pending)
                else:
                    failure = None
        except EndpointError as error:
            failure = error.reason
        finally:
            if failure is not None:
                self._log.publish(
                    ActionFailed(action_id=action_id, action=action, principal=principal, reason=failure)
                )
        if failure is not None:
            return Failed(action_id=action_id, reason=failure)
        return Done(action_id=action_id)

    async def _stored(self, seq: int) -> str | None:
        """None when entry `seq` is durable, else what is wrong with the journal."""
        try:
            with trio.fail_after(BARRIER_S):
                await self._journal.flushed(seq)
        except trio.TooSlowError:
            return f"no confirmation within {BARRIER_S:g} s"
        except JournalError as error:
            return str(error)
        return None

    def _in_time(self, principal: Principal) -> bool:
        """False when this account asks faster than a household does."""
        if principal.via in UNLIMITED or self._pace.take(principal.name, trio.current_time()):
            self._hasty.discard(principal.name)
            return True
        return False

    def _too_many(self, action_id: str, action: Action, principal: Principal) -> Outcome:
        """Refuse; written down once until the account may ask again."""
        if principal.name in self._hasty:
            return Refused(action_id=action_id, reason=TOO_MANY)
        if len(self._hasty) >= MAX_ACCOUNTS:
            self._hasty.clear()
        self._hasty.add(principal.name)
        return self._refused(action_id, action, principal, TOO_MANY)

    def _refused(self, action_id: str, action: Action, principal: Principal, reason: str) -> Refused:
        logger.info("refused action=%s by=%s via=%s reason=%s", action, principal.name, principal.via, reason)
        self._log.publish(
            ActionRefused(action_id=action_id, action=action, principal=principal, reason=reason)
        )
        return Refused(action_id=action_id, reason=reason)


async def _taken_on(pending: Pending) -> str | None:
    """None when the foreign system has taken it on, else why not."""
    with trio.move_on_after(REMOTE_S):
        return await pending.failure()
    return f"no answer of the other system within {REMOTE_S:g} s: it may have acted"
