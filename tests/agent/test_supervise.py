"""The restart boundary: what may go wrong in one protocol, and what the house hears of it."""

from __future__ import annotations

import logging
import math
from functools import partial
from itertools import pairwise

import pytest
import trio
import trio.testing
from harness.door import Recorded
from trio.testing import MockClock

from agent.model.errors import AuthenticationError, ConfigError, MalformedMessage, PeerError
from agent.model.events import WorkerChanged, WorkerFailed
from agent.supervise import (
    BUG_FIRST_S,
    BUG_REPORT_EVERY_S,
    BUGS_UNTIL_PARKED,
    HEALTHY_S,
    PARKED_RETRY_S,
    REASON_CHARS,
    Guard,
    leaves,
    supervise,
)

AUTH = AuthenticationError("refused")
CONFIG = ConfigError("workers.x.url", "no such host")
PEER = PeerError("unreachable")
BUG = ZeroDivisionError("our fault")


class Script:
    """A worker whose attempts follow a script: each step is (seconds until ready, seconds it runs, its end).

    Ready after inf: never says so. An end is an exception, or None to return. After the last step it runs
    for ever.
    """

    def __init__(self, *steps: tuple[float, float, BaseException | None]) -> None:
        self.steps = list(steps)
        self.begun_at: list[float] = []

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.begun_at.append(trio.current_time())
        ready_s, run_s, end = self.steps.pop(0) if self.steps else (0.0, math.inf, None)
        if math.isfinite(ready_s):
            await trio.sleep(ready_s)
            task_status.started()
        await trio.sleep(run_s)
        if end is not None:
            raise end.with_traceback(None)

    @property
    def pauses(self) -> list[float]:
        return [round(late - early, 6) for early, late in pairwise(self.begun_at)]


def failing(*ends: BaseException) -> Script:
    """Never ready, fails at once."""
    return Script(*((math.inf, 0.0, end) for end in ends))


async def watched(script: Script, for_s: float, *, strict: bool = False, settle_s: float = 0.0) -> Recorded:
    """What was reported within a time; the worker is cancelled then."""
    log = Recorded()
    with trio.move_on_after(for_s):
        await supervise("w", script.run, report=log.publish, strict=strict, settle_s=settle_s)
    return log


def story(log: Recorded) -> list[str]:
    return [event.state for event in log.events(WorkerChanged) if isinstance(event, WorkerChanged)]


async def test_a_worker_that_runs_is_told_once(autojump_clock: MockClock) -> None:
    log = await watched(Script(), 1e6)
    assert log.events() == [WorkerChanged(worker="w", state="running")]


async def test_a_worker_that_is_done_is_told_and_not_started_again(autojump_clock: MockClock) -> None:
    script = Script((0, 5, None))
    assert story(await watched(script, 1e6)) == ["running", "stopped"]
    assert len(script.begun_at) == 1


async def test_a_peer_that_is_away_is_retried_quietly_and_ever_more_slowly(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    script = failing(*[PEER] * 40)
    log = await watched(script, 1500)
    assert log.events() == [WorkerChanged(worker="w", state="retrying", reason="unreachable")]
    assert 0.75 <= script.pauses[0] <= 1
    assert 1.5 <= script.pauses[1] <= 2
    assert all(45 <= pause <= 60 for pause in script.pauses[6:])
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_what_a_peer_asks_for_is_honoured_within_reason(autojump_clock: MockClock) -> None:
    script = failing(
        PeerError("busy", retry_after_s=300),
        PeerError("busy", retry_after_s=0.001),
        PeerError("busy", retry_after_s=-5),
        PeerError("busy", retry_after_s=math.nan),
        PeerError("busy", retry_after_s=math.inf),
        PEER,
    )
    await watched(script, 2 * PARKED_RETRY_S)
    assert script.pauses[0] == 300
    assert 1.5 <= script.pauses[1] <= 2
    assert 3 <= script.pauses[2] <= 4
    assert 6 <= script.pauses[3] <= 8
    assert script.pauses[4] == PARKED_RETRY_S


@pytest.mark.parametrize("error", [AUTH, CONFIG])
async def test_what_only_the_operator_can_mend_is_parked(autojump_clock: MockClock, error: Exception) -> None:
    script = failing(error, error, error)
    log = await watched(script, 2.5 * PARKED_RETRY_S)
    assert log.events() == [WorkerChanged(worker="w", state="parked", reason=str(error))]
    assert script.pauses == [PARKED_RETRY_S, PARKED_RETRY_S]


async def test_a_parked_worker_may_recover(autojump_clock: MockClock) -> None:
    log = await watched(failing(AUTH), 1.5 * PARKED_RETRY_S)
    assert story(log) == ["parked", "running"]


async def test_a_bug_is_told_slowed_down_and_parked_in_the_end(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    script = failing(*[BUG] * 20)
    log = await watched(script, 3 * PARKED_RETRY_S)
    failed = [event for event in log.events(WorkerFailed) if isinstance(event, WorkerFailed)]
    assert [event.parked for event in failed[:BUGS_UNTIL_PARKED]] == [False] * 7 + [True]
    assert all(event.parked for event in failed[BUGS_UNTIL_PARKED:])
    assert failed[0].reason == "ZeroDivisionError: our fault"
    assert story(log) == ["retrying", "parked"]
    assert BUG_FIRST_S * 0.75 <= script.pauses[0] <= BUG_FIRST_S
    assert script.pauses[:7] == sorted(script.pauses[:7])
    assert script.pauses[7] == PARKED_RETRY_S
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    ("error", "state", "bugs"),
    [
        (ExceptionGroup("", [PEER]), "retrying", 0),
        (ExceptionGroup("", [PEER, ExceptionGroup("", [PEER, PEER])]), "retrying", 0),
        (ExceptionGroup("", [PEER, AUTH]), "parked", 0),
        (ExceptionGroup("", [CONFIG, ExceptionGroup("", [AUTH])]), "parked", 0),
        (ExceptionGroup("", [PEER, BUG]), "retrying", 1),
        (ExceptionGroup("", [AUTH, BUG]), "retrying", 1),
        (MalformedMessage("frame", "not handled by its session"), "retrying", 1),
        (trio.TooSlowError(), "retrying", 1),
        (trio.BrokenResourceError(), "retrying", 1),
    ],
)
async def test_groups_count_as_their_worst_part(
    autojump_clock: MockClock, error: Exception, state: str, bugs: int
) -> None:
    log = await watched(failing(error), 0.5)
    assert story(log) == [state]
    assert len(log.events(WorkerFailed)) == bugs


async def test_one_change_one_word(autojump_clock: MockClock) -> None:
    log = await watched(failing(PEER, PEER, AUTH, AUTH, PEER), 3 * PARKED_RETRY_S)
    assert story(log) == ["retrying", "parked", "retrying", "running"]


async def test_a_healthy_minute_forgives(autojump_clock: MockClock) -> None:
    script = failing(*[PEER] * 6)
    script.steps += [(0, HEALTHY_S + 1, PEER), (math.inf, 0, PEER)]
    await watched(script, 1000)
    assert script.pauses[5] > 20
    assert script.pauses[6] - (HEALTHY_S + 1) <= 1
    assert script.pauses[7] <= 2


async def test_a_minute_spent_on_failing_is_not_healthy(autojump_clock: MockClock) -> None:
    """A connection that takes 75 s to time out would otherwise be tried at once, for ever."""
    script = Script(*[(math.inf, 75.0, PEER)] * 8)
    await watched(script, 5000)
    assert script.pauses[5] - 75 > 20


async def test_bugs_long_apart_do_not_park(autojump_clock: MockClock) -> None:
    script = Script(*[(0.0, HEALTHY_S + 1, BUG)] * 20)
    log = await watched(script, 20 * (HEALTHY_S + 12))
    assert len(log.events(WorkerFailed)) >= 19
    assert "parked" not in story(log)


async def test_a_long_reason_is_cut(autojump_clock: MockClock) -> None:
    log = await watched(failing(PeerError("x" * 10_000), ZeroDivisionError("y" * 10_000)), 5)
    for event in log.events():
        assert isinstance(event, WorkerChanged | WorkerFailed)
        assert len(event.reason) <= REASON_CHARS


@pytest.mark.parametrize(
    ("first", "at_s"),
    [
        ((3.0, math.inf, None), 3),
        ((math.inf, 2.0, PEER), 2),
        ((math.inf, 2.0, BUG), 2),
        ((math.inf, 2.0, AUTH), 2),
        ((math.inf, 2.0, None), 2),  # returned without a word
        ((0.0, 1.0, PEER), 0),
    ],
)
async def test_started_is_said_once_and_never_holds_up_the_others(
    autojump_clock: MockClock, first: tuple[float, float, BaseException | None], at_s: float
) -> None:
    script = Script(first, (1.0, 5.0, PEER), (1.0, 5.0, BUG))
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(supervise, "w", script.run, report=Recorded().publish))
        assert trio.current_time() - begun == at_s
        await trio.sleep(300)  # a second started() would raise
        nursery.cancel_scope.cancel()


async def test_cancelling_ends_it_wherever_it_is(autojump_clock: MockClock) -> None:
    for after_s in (0.0, 0.5, 1.5, 3, 7, 20, 70):
        script = Script((1, 1, PEER), (math.inf, 1, BUG), (1, 70, PEER), (1, 1, AUTH))
        with trio.move_on_after(after_s) as scope:
            await supervise("w", script.run, report=Recorded().publish)
        assert scope.cancelled_caught


async def clean_up_badly(
    error: Exception, *, task_status: trio.TaskStatus[None], beside: bool = True
) -> None:
    """Raises while it is being cancelled, beside another task that just ends."""

    async def farewell() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise error

    async with trio.open_nursery() as nursery:
        nursery.start_soon(farewell)
        if beside:
            nursery.start_soon(trio.sleep_forever)
        await trio.testing.wait_all_tasks_blocked()
        task_status.started()


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize(("error", "bugs"), [(PEER, 0), (BUG, 1), (AUTH, 0)])
async def test_a_farewell_that_fails_does_not_outlive_the_stop(
    autojump_clock: MockClock, error: Exception, bugs: int, beside: bool
) -> None:
    log = Recorded()
    async with trio.open_nursery() as nursery:
        run = partial(clean_up_badly, error, beside=beside)
        await nursery.start(partial(supervise, "w", run, report=log.publish))
        nursery.cancel_scope.cancel()
    assert len(log.events(WorkerFailed)) == bugs


@pytest.mark.parametrize("beside", [True, False])
async def test_strict_sees_a_bug_in_a_farewell(autojump_clock: MockClock, beside: bool) -> None:
    async def stop_it() -> None:
        async with trio.open_nursery() as nursery:
            run = partial(clean_up_badly, BUG, beside=beside)
            await nursery.start(partial(supervise, "w", run, report=Recorded().publish, strict=True))
            nursery.cancel_scope.cancel()

    with pytest.raises(BaseExceptionGroup) as caught:
        await stop_it()
    assert caught.group_contains(ZeroDivisionError)


async def test_strict_raises_bugs_and_nothing_else(autojump_clock: MockClock) -> None:
    assert story(await watched(failing(PEER, AUTH), 5000, strict=True)) == ["retrying", "parked", "running"]
    with pytest.raises(ExceptionGroup) as caught:
        await watched(failing(PEER, BUG), 5000, strict=True)
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_ends_the_process_is_not_held_back(
    autojump_clock: MockClock, error: BaseException
) -> None:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        await watched(failing(error), 5)
    assert any(leaf is error for leaf in leaves(caught.value))


async def test_a_part_that_starts_before_it_knows_is_not_called_running_at_each_try(
    autojump_clock: MockClock,
) -> None:
    """Its peer is away for an hour: that is one change, not one hundred."""
    script = Script(*[(0.0, 5.0, PEER)] * 100)
    log = await watched(script, 3600, settle_s=30)
    assert len(script.begun_at) > 40
    assert story(log) == ["running", "retrying"]


async def test_a_part_that_settles_is_running_again(autojump_clock: MockClock) -> None:
    script = Script((0, 5, PEER), (0, 5, PEER), (0, 100, PEER), (0, 10, None))
    assert story(await watched(script, 1000, settle_s=30)) == [
        "running",
        "retrying",
        "running",
        "retrying",
        "stopped",
    ]


# The guard around one connection.


class Door:
    def __init__(self, *, strict: bool = False) -> None:
        self.log = Recorded()
        self.guard = Guard("zmes", self.log.publish, strict=strict)

    async def connection(self, end: BaseException | None = None) -> None:
        async with self.guard("10.0.0.7"):
            await trio.lowlevel.checkpoint()
            if end is not None:
                raise end


@pytest.mark.parametrize(
    "fault",
    [
        PEER,
        MalformedMessage("frame", "nonsense"),
        ExceptionGroup("", [PEER, ExceptionGroup("", [MalformedMessage("frame", "nonsense")])]),
        None,
    ],
)
async def test_what_a_peer_may_cause_ends_one_connection_quietly(
    autojump_clock: MockClock, fault: Exception | None
) -> None:
    door = Door(strict=True)
    await door.connection(fault)
    assert door.log.events() == []
    assert door.guard.bugs == 0


@pytest.mark.parametrize(
    "bug", [BUG, ExceptionGroup("", [PEER, BUG]), AUTH, StopAsyncIteration(), StopIteration(), RuntimeError()]
)
async def test_a_bug_ends_one_connection_and_is_told(autojump_clock: MockClock, bug: Exception) -> None:
    door = Door()
    await door.connection(bug)
    assert door.guard.bugs == 1
    (event,) = door.log.events()
    assert isinstance(event, WorkerFailed)
    assert (event.worker, event.parked) == ("zmes", False)


async def test_a_peer_that_found_a_bug_cannot_flood_the_journal(autojump_clock: MockClock) -> None:
    door = Door()
    for _ in range(1000):
        await door.connection(BUG)
    assert len(door.log.events()) == 1
    assert door.guard.bugs == 1000
    await trio.sleep(BUG_REPORT_EVERY_S)
    await door.connection(BUG)
    assert len(door.log.events()) == 2


async def test_a_strict_guard_raises(autojump_clock: MockClock) -> None:
    with pytest.raises(ZeroDivisionError):
        await Door(strict=True).connection(BUG)


async def test_a_guard_never_swallows_a_cancellation(autojump_clock: MockClock) -> None:
    door = Door(strict=True)
    reached = False
    with trio.CancelScope() as scope:
        async with door.guard("c"):
            scope.cancel()
            await trio.sleep_forever()
        reached = True
    assert scope.cancelled_caught
    assert not reached


@pytest.mark.parametrize(("error", "bugs"), [(PEER, 0), (BUG, 1)])
async def test_a_cancelled_connection_may_fail_in_its_farewell(
    autojump_clock: MockClock, error: Exception, bugs: int
) -> None:
    door = Door()

    async def connection() -> None:
        async with door.guard("c"):
            await clean_up_badly(error, task_status=trio.TASK_STATUS_IGNORED)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(door.log.events(WorkerFailed)) == bugs


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
async def test_a_guard_lets_the_end_of_the_process_through(error: BaseException) -> None:
    with pytest.raises(type(error)):
        await Door().connection(error)


def test_leaves_of_any_depth() -> None:
    group = ExceptionGroup("", [PEER, ExceptionGroup("", [BUG, ExceptionGroup("", [AUTH])])])
    assert list(leaves(group)) == [PEER, BUG, AUTH]
    assert list(leaves(BUG)) == [BUG]
