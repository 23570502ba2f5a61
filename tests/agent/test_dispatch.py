from __future__ import annotations

import math

import pytest
import trio
import trio.testing
from harness.door import Counting, ObedientJournal, Recorded, who
from trio.testing import MockClock

from agent.dispatch import ACTIONS_AT_ONCE, BARRIER_S, BUSY_AFTER_S, REMOTE_S, Dispatch
from agent.model.actions import Action, Lock, SetNotify, SwitchLight, Unlock
from agent.model.errors import EndpointError
from agent.model.events import ActionAccepted, ActionFailed, ActionRefused, JournalFailed
from agent.model.outcomes import Busy, Done, Failed, Outcome, Refused
from agent.model.principals import Grant, Principal


class Strike:
    """A performer that notes what it did and at what sequence number."""

    def __init__(self, log: Recorded) -> None:
        self.log = log
        self.done: list[tuple[Action, str, int]] = []
        self.broken = ""
        self.policy = True

    def refuse(self, action: Action) -> str | None:
        return None if isinstance(action, Unlock | Lock) else "it is a lock"

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        return self.policy and principal.proven_locally

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        if self.broken:
            raise EndpointError("strike", self.broken)
        self.done.append((action, by, self.log.last_seq))


class Answer:
    """A foreign system that takes `after_s` to take something on, or says why not."""

    def __init__(self, failure: str | None = None, after_s: float = 0.0) -> None:
        self._failure = failure
        self._after_s = after_s

    async def failure(self) -> str | None:
        await trio.sleep(self._after_s)
        return self._failure


class Lamp:
    """A performer on a foreign system."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.done: list[str] = []

    def refuse(self, action: Action) -> str | None:
        return None

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        return False

    def perform(self, action: Action, *, by: str, action_id: str) -> Answer:
        self.done.append(action_id)
        return self.answers.pop(0) if self.answers else Answer()


class Door:
    def __init__(self) -> None:
        self.log = Recorded()
        self.journal = ObedientJournal()
        self.strike = Strike(self.log)
        self.lamp = Lamp()
        self.now_ns = 1000
        self.dispatch = Dispatch(
            log=self.log,
            journal=self.journal,
            performers={"strike": self.strike, "lamp": self.lamp},
            new_id=Counting("a"),
            clock_ns=lambda: self.now_ns,
        )


@pytest.fixture
def door() -> Door:
    return Door()


UNLOCK = Unlock(endpoint="strike")


async def test_it_is_written_down_before_it_acts(door: Door, autojump_clock: MockClock) -> None:
    door.journal.delay_s = 0.5
    assert await door.dispatch.submit(UNLOCK, who()) == Done(action_id="a1")
    accepted = door.log.entries[0]
    assert isinstance(accepted.event, ActionAccepted)
    assert accepted.event.principal.name == "ana"
    assert door.journal.flushed_seqs == [accepted.seq]
    assert door.strike.done == [(UNLOCK, "ana", 1)]


@pytest.mark.parametrize(
    ("action", "principal", "reason"),
    [
        (UNLOCK, who("installer"), "role installer may not unlock"),
        (Unlock(endpoint="attic"), who(), "no endpoint named 'attic'"),
        (UNLOCK, who(grant=Grant(endpoints=("back",))), "not for strike"),
        (UNLOCK, who(grant=Grant(not_before_ns=2000)), "not yet valid"),
        (UNLOCK, who(grant=Grant(not_after_ns=1000)), "no longer valid"),
    ],
)
async def test_refusals_move_nothing_and_are_told(
    door: Door, autojump_clock: MockClock, action: Action, principal: Principal, reason: str
) -> None:
    assert await door.dispatch.submit(action, principal) == Refused(action_id="a1", reason=reason)
    assert door.strike.done == []
    (event,) = door.log.events()
    assert isinstance(event, ActionRefused)
    assert event.reason == reason


async def test_an_action_of_another_kind_of_endpoint_is_refused(
    door: Door, autojump_clock: MockClock
) -> None:
    from agent.model.actions import SoundSiren

    outcome = await door.dispatch.submit(SoundSiren(endpoint="strike"), who())
    assert outcome == Refused(action_id="a1", reason="it is a lock")


async def test_an_unknown_own_target_is_refused(door: Door, autojump_clock: MockClock) -> None:
    assert isinstance(await door.dispatch.submit(SetNotify(mode="mute"), who()), Refused)


@pytest.mark.parametrize("delay_s", [0.0, math.inf])
async def test_a_broken_journal_still_opens_for_a_local_credential_and_says_so(
    door: Door, autojump_clock: MockClock, delay_s: float
) -> None:
    door.journal.problem = "disk full"
    door.journal.delay_s = delay_s
    begun = trio.current_time()
    assert isinstance(await door.dispatch.submit(UNLOCK, who(local=True)), Done)
    assert trio.current_time() - begun <= BARRIER_S + 0.1
    assert len(door.strike.done) == 1
    assert len(door.log.events(JournalFailed)) == 1


async def test_a_broken_journal_refuses_a_credential_proven_elsewhere(
    door: Door, autojump_clock: MockClock
) -> None:
    door.journal.problem = "disk full"
    outcome = await door.dispatch.submit(UNLOCK, who(local=False))
    assert isinstance(outcome, Failed)
    assert "disk full" in outcome.reason
    assert door.strike.done == []
    assert [type(event) for event in door.log.events()] == [ActionAccepted, ActionFailed]


async def test_the_strict_policy_refuses_everybody(door: Door, autojump_clock: MockClock) -> None:
    door.journal.problem = "disk full"
    door.strike.policy = False
    assert isinstance(await door.dispatch.submit(UNLOCK, who(local=True)), Failed)
    assert door.strike.done == []


async def test_failed_hardware_is_told(door: Door, autojump_clock: MockClock) -> None:
    door.strike.broken = "relay does not answer"
    outcome = await door.dispatch.submit(UNLOCK, who())
    assert outcome == Failed(action_id="a1", reason="relay does not answer")
    assert [type(event) for event in door.log.events()] == [ActionAccepted, ActionFailed]


async def test_a_second_asker_waits_two_seconds_then_hears_busy(
    door: Door, autojump_clock: MockClock
) -> None:
    door.journal.delay_s = 0.9
    outcomes = []
    begun = trio.current_time()

    async def ask() -> None:
        outcomes.append((await door.dispatch.submit(UNLOCK, who()), trio.current_time()))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(ask)
    kinds = sorted(type(outcome).__name__ for outcome, _ in outcomes)
    assert kinds == ["Busy", "Done", "Done", "Done"]
    assert len(door.strike.done) == 3
    assert [
        type(outcome)
        for outcome, at in outcomes
        if isinstance(outcome, Busy) and at - begun == pytest.approx(2, abs=0.1)
    ] == [Busy]


async def test_a_guest_whose_time_ends_in_the_queue_is_refused(door: Door, autojump_clock: MockClock) -> None:
    guest = Principal(name="guest", role="guest", via="web", grant=Grant(not_after_ns=2000))
    door.journal.delay_s = 0.9
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.dispatch.submit, UNLOCK, who())
        await trio.testing.wait_all_tasks_blocked(0.01)
        outcomes: list[Outcome] = []

        async def ask() -> None:
            outcomes.append(await door.dispatch.submit(UNLOCK, guest))

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.01)
        door.now_ns = 2000
    assert outcomes == [Refused(action_id="a2", reason="no longer valid")]
    assert [by for _, by, _ in door.strike.done] == ["ana"]


async def test_cancelled_before_the_act_nothing_moves_and_the_log_says_so(
    door: Door, autojump_clock: MockClock
) -> None:
    door.journal.delay_s = math.inf
    with trio.move_on_after(0.3):
        await door.dispatch.submit(UNLOCK, who())
    assert door.strike.done == []
    assert [type(event) for event in door.log.events()] == [ActionAccepted, ActionFailed]
    door.journal.delay_s = 0
    assert isinstance(await door.dispatch.submit(UNLOCK, who()), Done)  # the lock was given back


async def test_submit_checkpoints_also_when_it_refuses(door: Door, autojump_clock: MockClock) -> None:
    with trio.testing.assert_checkpoints():
        await door.dispatch.submit(Unlock(endpoint="attic"), who())


async def test_whoever_asks_without_end_is_refused_and_written_down_once(
    door: Door, autojump_clock: MockClock
) -> None:
    eager = Principal(name="eager", role="resident", via="zello")
    answers = [await door.dispatch.submit(UNLOCK, eager) for _ in range(ACTIONS_AT_ONCE + 20)]
    assert [type(answer) for answer in answers] == [Done] * ACTIONS_AT_ONCE + [Refused] * 20
    assert {answer.reason for answer in answers if isinstance(answer, Refused)} == {"too many requests"}
    assert len(door.strike.done) == ACTIONS_AT_ONCE
    assert len(door.log.events(ActionRefused)) == 1
    # Others, and whoever administers the machine, are not meant; nor is this one a moment later.
    assert isinstance(await door.dispatch.submit(UNLOCK, who()), Done)
    await trio.sleep(1)
    assert isinstance(await door.dispatch.submit(UNLOCK, eager), Done)


@pytest.mark.parametrize("via", ["control", "rules"])
async def test_the_machine_itself_has_no_such_limit(door: Door, autojump_clock: MockClock, via: str) -> None:
    local = Principal(name="root", role="admin", via=via)
    for _ in range(2 * ACTIONS_AT_ONCE):
        assert isinstance(await door.dispatch.submit(UNLOCK, local), Done)


# What a foreign system has to do.

SHINE = SwitchLight(endpoint="lamp", on=True)


async def test_what_a_foreign_system_took_on_is_done(door: Door, autojump_clock: MockClock) -> None:
    door.lamp.answers = [Answer(after_s=5)]
    begun = trio.current_time()
    assert await door.dispatch.submit(SHINE, who()) == Done(action_id="a1")
    assert trio.current_time() - begun == 5
    assert [type(event) for event in door.log.events()] == [ActionAccepted]


@pytest.mark.parametrize(
    ("answer", "reason", "after_s"),
    [
        (Answer("the gateway says no", after_s=1), "the gateway says no", 1),
        (Answer("", after_s=1), "", 1),
        (
            Answer(after_s=math.inf),
            "no answer of the other system within 8 s: it may have acted",
            REMOTE_S,
        ),
    ],
)
async def test_what_it_did_not_is_told(
    door: Door, autojump_clock: MockClock, answer: Answer, reason: str, after_s: float
) -> None:
    door.lamp.answers = [answer]
    begun = trio.current_time()
    assert await door.dispatch.submit(SHINE, who()) == Failed(action_id="a1", reason=reason)
    assert trio.current_time() - begun == after_s
    assert door.log.events()[1:] == [
        ActionFailed(action_id="a1", action=SHINE, principal=who(), reason=reason)
    ]
    assert await door.dispatch.submit(SHINE, who()) == Done(action_id="a2")  # the lock was given back


async def test_whoever_goes_away_meanwhile_leaves_word_that_it_may_have_acted(
    door: Door, autojump_clock: MockClock
) -> None:
    door.lamp.answers = [Answer(after_s=5)]
    with trio.move_on_after(1):
        await door.dispatch.submit(SHINE, who())
    (failed,) = door.log.events(ActionFailed)
    assert isinstance(failed, ActionFailed)
    assert failed.reason == "abandoned while another system was asked: it may have acted"
    assert await door.dispatch.submit(SHINE, who()) == Done(action_id="a2")


async def test_others_hear_busy_meanwhile_and_other_endpoints_do_not_wait(
    door: Door, autojump_clock: MockClock
) -> None:
    door.lamp.answers = [Answer(after_s=5)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.dispatch.submit, SHINE, who())
        await trio.testing.wait_all_tasks_blocked()
        begun = trio.current_time()
        assert await door.dispatch.submit(UNLOCK, who()) == Done(action_id="a2")
        assert trio.current_time() == begun
        assert await door.dispatch.submit(SHINE, who()) == Busy(action_id="a3")
        assert trio.current_time() - begun == pytest.approx(BUSY_AFTER_S)
    assert door.lamp.done == ["a1"]
    (refused,) = door.log.events(ActionRefused)
    assert isinstance(refused, ActionRefused)
    assert (refused.action_id, refused.reason) == ("a3", "busy")


async def test_it_is_asked_only_when_that_is_written_down(door: Door, autojump_clock: MockClock) -> None:
    door.journal.problem = "disk full"
    outcome = await door.dispatch.submit(SHINE, who())
    assert isinstance(outcome, Failed)
    assert door.lamp.done == []
