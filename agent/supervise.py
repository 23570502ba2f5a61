"""The restart boundary: what may go wrong in one protocol stays in that protocol.

Only this module may say `except Exception`. Expected errors (a peer is away) are retried quietly, refused
credentials are parked, and a bug of ours is logged with its traceback, told to the house and retried slowly.
Parked means: tried again once an hour, because nobody stands next to a door to restart it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import trio

from agent.model.errors import AuthenticationError, ConfigError, MalformedMessage, PeerError
from agent.model.events import WorkerChanged, WorkerFailed
from agent.net.backoff import Backoff

HEALTHY_S = 60.0
BUG_FIRST_S = 10.0
BUG_MOST_S = 600.0
BUGS_UNTIL_PARKED = 8
PARKED_RETRY_S = 3600.0
BUG_REPORT_EVERY_S = 10.0
REASON_CHARS = 200

EXPECTED = (PeerError, AuthenticationError, ConfigError)

Report = Callable[[WorkerChanged | WorkerFailed], object]
logger = logging.getLogger(__name__)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The single exceptions of a group of any depth, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def _only(error: BaseException, *kinds: type[BaseException]) -> bool:
    return all(isinstance(leaf, kinds) for leaf in leaves(error))


class _Supervisor:
    """Retry state of one worker."""

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self._report = report
        self._state = ""
        self._quiet = Backoff()
        self._bug = Backoff(first_s=BUG_FIRST_S, max_s=BUG_MOST_S)
        self._bugs = 0

    def healthy(self) -> None:
        """Forget past failures: the worker ran for a while."""
        self._quiet.reset()
        self._bug.reset()
        self._bugs = 0

    def say(self, state: str, reason: str = "") -> None:
        """Tell the house, once per change of state."""
        if state == self._state:
            return
        self._state = state
        reason = reason[:REASON_CHARS]
        logger.info("worker=%s state=%s%s", self.name, state, f" reason={reason}" if reason else "")
        self._report(WorkerChanged(worker=self.name, state=state, reason=reason))  # type: ignore[arg-type]

    def delay_after(self, error: Exception) -> float:
        """Seconds to wait before the next attempt; reports what happened."""
        found = list(leaves(error))
        if _only(error, *EXPECTED) and not _only(error, PeerError):
            reason = "; ".join(str(leaf) for leaf in found)
            logger.error("worker=%s parked reason=%s", self.name, reason)
            self.say("parked", reason)
            return PARKED_RETRY_S
        if _only(error, PeerError):
            self.say("retrying", str(found[0]))
            asked = [
                leaf.retry_after_s for leaf in found if isinstance(leaf, PeerError) and leaf.retry_after_s
            ]
            # A peer may ask for patience, not for oblivion.
            return min(max([self._quiet.next_s(), *asked]), PARKED_RETRY_S)
        parked = self._bugs + 1 >= BUGS_UNTIL_PARKED
        self.bug(error, parked=parked)
        self.say("parked" if parked else "retrying", _short(error))
        return PARKED_RETRY_S if parked else self._bug.next_s()

    def bug(self, error: Exception, *, parked: bool) -> None:
        """Count, log and tell a bug of ours."""
        self._bugs += 1
        logger.error("worker=%s failed=%d", self.name, self._bugs, exc_info=error)
        self._report(WorkerFailed(worker=self.name, reason=_short(error), parked=parked))


async def supervise(
    name: str,
    run: Callable[..., Awaitable[None]],
    *,
    report: Report,
    strict: bool = False,
    settle_s: float = 0.0,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run `run(task_status=...)` again and again until it returns by itself.

    started() is called when the worker is ready or has failed for the first time, whichever is first, so
    that one sick protocol never holds up the door. strict: re-raise bugs (tests).
    settle_s: after a failure an attempt that has started counts as running only when it has lasted this long:
    for a worker that says started() before it knows whether its peer is there.
    Cancellation: a failure in a clean-up is reported like any other, and does not outlive the cancellation.
    """
    supervisor = _Supervisor(name, report)
    told = failed = False
    settling = trio.CancelScope()

    async def settle() -> None:
        with settling:
            await trio.sleep(settle_s)
            supervisor.say("running")

    async def attempt(*, task_status: trio.TaskStatus[None]) -> None:
        await run(task_status=task_status)
        settling.cancel()

    while True:
        started_at = math.inf  # an attempt that takes a minute to fail has not been healthy for a minute
        settling = trio.CancelScope()
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(attempt)
                started_at = trio.current_time()
                if failed and settle_s:
                    nursery.start_soon(settle)
                else:
                    supervisor.say("running")
                if not told:
                    told = True
                    task_status.started()
        except Exception as error:
            if strict and not _only(error, *EXPECTED):
                raise
            if trio.current_time() - started_at >= HEALTHY_S:
                supervisor.healthy()
            delay_s = supervisor.delay_after(error)
            failed = True
        except BaseExceptionGroup as group:
            failures, rest = group.split(Exception)
            if rest is None or (strict and failures is not None and not _only(failures, *EXPECTED)):
                raise
            if failures is not None and not _only(failures, *EXPECTED):
                supervisor.bug(failures, parked=False)
            raise rest from None
        else:
            supervisor.say("stopped")
            return
        if not told:
            told = True
            task_status.started()
        await trio.sleep(delay_s)


class Guard:
    """The per-connection boundary of one worker: a bug ends one connection and is reported, not more often
    than every ten seconds so that a peer that found one cannot flood the journal."""

    def __init__(self, worker: str, report: Report, *, strict: bool = False) -> None:
        self._worker = worker
        self._report = report
        self._strict = strict
        self._reported_at = float("-inf")
        self.bugs = 0

    @asynccontextmanager
    async def __call__(self, connection: str) -> AsyncIterator[None]:
        """Run one connection; what a peer may cause ends quietly, a bug of ours is logged."""
        try:
            yield
        except Exception as error:
            if self._must_surface(connection, error):
                raise
        except BaseExceptionGroup as group:
            failures, rest = group.split(Exception)
            if rest is None or (failures is not None and self._must_surface(connection, failures)):
                raise
            raise rest from None

    def _must_surface(self, connection: str, error: Exception) -> bool:
        """Note how a connection ended; True when a test is to see it."""
        if _only(error, PeerError, MalformedMessage):
            logger.debug("worker=%s connection=%s ended=%s", self._worker, connection, error)
            return False
        if self._strict:
            return True
        self.bugs += 1
        now = trio.current_time()
        if now - self._reported_at >= BUG_REPORT_EVERY_S:
            self._reported_at = now
            logger.error("worker=%s connection=%s failed", self._worker, connection, exc_info=error)
            self._report(WorkerFailed(worker=self._worker, reason=_short(error), parked=False))
        return False


def _short(error: BaseException) -> str:
    return "; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in leaves(error))[:REASON_CHARS]
