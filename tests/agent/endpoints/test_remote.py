"""Endpoints on a foreign system: what dispatch may ask, what their worker hears, what the door is told."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from harness.door import Counting, ObedientJournal, Recorded, who
from trio.testing import MockClock

from agent.calls import Calls, CallsConfig
from agent.dispatch import REMOTE_S, Dispatch
from agent.endpoints.health import Health
from agent.endpoints.remote import BEGIN_WITHIN_S, ENDED, MAX_WAITING, RemoteCommand, RemoteEndpoint
from agent.model.actions import (
    Action,
    AnswerCall,
    Lock,
    Ring,
    SetAlarm,
    SetNotify,
    SoundSiren,
    StartTalk,
    StopSiren,
    SwitchLight,
    Unlock,
)
from agent.model.errors import EndpointError
from agent.model.events import (
    ActionAccepted,
    ActionFailed,
    AnyEvent,
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    CallChanged,
    ContactChanged,
    HardwareFailed,
    HardwareRecovered,
    LightChanged,
    LockChanged,
    SirenChanged,
)
from agent.model.outcomes import Done, Failed, Outcome
from agent.runtime import Performer, Remote, RemoteConfig

NOT_BEGUN = "not begun within 2 s"


class ToyEndpoint(RemoteConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="toy"):
    pass


class Far:
    """One endpoint that its worker can reach, unless told otherwise."""

    def __init__(self, acts_as: Any = "lock", *, works: bool = True, **config: Any) -> None:
        self.log = Recorded()
        self.end = RemoteEndpoint(
            "far", ToyEndpoint(acts_as=acts_as, **config), log=self.log, health=Health("far", self.log)
        )
        if works:
            self.end.works()

    def ask(self, action: Action, by: str = "ana", action_id: str = "a1") -> RemoteCommand:
        assert self.end.refuse(action) is None
        command = self.end.perform(action, by=by, action_id=action_id)
        assert isinstance(command, RemoteCommand)
        return command


def all_actions() -> list[Action]:
    return [
        Unlock(endpoint="far"),
        Lock(endpoint="far"),
        SoundSiren(endpoint="far"),
        StopSiren(endpoint="far"),
        SwitchLight(endpoint="far", on=True),
        Ring(endpoint="far"),
        AnswerCall(),
        StartTalk(),
        SetNotify(mode="mute"),
        SetAlarm(mode="away"),
    ]


def test_it_is_what_both_sides_expect() -> None:
    both: tuple[Performer, Remote] = (Far().end, Far().end)
    assert [part.name for part in both if isinstance(part, RemoteEndpoint)] == ["far", "far"]


# Who may ask for what.


@pytest.mark.parametrize(
    ("acts_as", "understood"),
    [
        ("lock", {Unlock, Lock}),
        ("siren", {SoundSiren, StopSiren}),
        ("light", {SwitchLight}),
        ("button", {Ring}),
        ("contact", set()),
    ],
)
def test_only_what_its_kind_understands(acts_as: str, understood: set[type]) -> None:
    end = Far(acts_as).end
    for action in all_actions():
        reason = end.refuse(action)
        assert reason == (None if type(action) in understood else f"far is a {acts_as}")


@pytest.mark.parametrize("policy", ["local", "refuse"])
@pytest.mark.parametrize("local", [True, False])
def test_without_a_journal(policy: str, local: bool) -> None:
    def acts(acts_as: str, action: Action) -> bool:
        end = Far(acts_as, without_journal=policy).end
        return end.acts_without_journal(action, who(local=local))

    assert acts("lock", Unlock(endpoint="far")) == (policy == "local" and local)
    assert acts("lock", Lock(endpoint="far"))
    assert acts("siren", SoundSiren(endpoint="far")) == (policy == "local")
    assert acts("siren", StopSiren(endpoint="far"))
    assert acts("light", SwitchLight(endpoint="far", on=True)) == (policy == "local")
    assert acts("button", Ring(endpoint="far"))


# For how long.


@pytest.mark.parametrize(
    ("acts_as", "config", "default_s", "max_s"),
    [
        ("lock", {}, 5, 30),
        ("siren", {}, 60, 180),
        ("light", {}, 120, math.inf),
        ("light", {"default_s": 0}, None, math.inf),
        ("light", {"default_s": 0, "max_on_s": 60}, None, 60),
        ("light", {"max_on_s": 60}, 60, 60),
        ("lock", {"default_s": 2.5, "max_on_s": 4}, 2.5, 4),
        ("siren", {"default_s": 400, "max_on_s": 900}, 400, 900),
        ("button", {}, None, math.inf),
        ("contact", {}, None, math.inf),
    ],
)
def test_its_times(acts_as: str, config: dict[str, Any], default_s: float | None, max_s: float) -> None:
    end = Far(acts_as, **config).end
    assert (end.default_s, end.max_s) == (default_s, max_s)


def begin(acts_as: str, wanted_s: float | None) -> Action:
    match acts_as:
        case "lock":
            return Unlock(endpoint="far", hold_s=wanted_s)
        case "siren":
            return SoundSiren(endpoint="far", duration_s=wanted_s)
        case _:
            return SwitchLight(endpoint="far", on=True, duration_s=wanted_s)


@pytest.mark.parametrize(
    ("acts_as", "config", "wanted_s", "told_s"),
    [
        ("lock", {}, None, 5),
        ("lock", {}, 7, 7),
        ("lock", {}, 31, 30),
        ("lock", {}, math.inf, 30),
        ("siren", {}, None, 60),
        ("siren", {}, 5000, 180),
        ("siren", {"max_on_s": 10}, None, 10),
        ("light", {}, None, 120),
        ("light", {}, 86_400, 86_400),
        ("light", {}, math.inf, None),
        ("light", {"default_s": 0}, None, None),
        ("light", {"default_s": 0}, 3, 3),
        ("light", {"default_s": 0, "max_on_s": 60}, None, 60),
        ("light", {"max_on_s": 60}, math.inf, 60),
    ],
)
async def test_a_command_says_how_long(
    autojump_clock: MockClock,
    acts_as: str,
    config: dict[str, Any],
    wanted_s: float | None,
    told_s: float | None,
) -> None:
    far = Far(acts_as, **config)
    command = far.ask(begin(acts_as, wanted_s))
    assert await far.end.command() is command
    assert (command.on, command.duration_s, command.by, command.action_id) == (True, told_s, "ana", "a1")
    assert command.expires_at == trio.current_time() + BEGIN_WITHIN_S


@pytest.mark.parametrize("wanted_s", [0, -0.0, -1, -math.inf, math.nan])
@pytest.mark.parametrize("acts_as", ["lock", "siren", "light"])
async def test_what_is_no_duration_is_an_error_and_no_command(
    autojump_clock: MockClock, acts_as: str, wanted_s: float
) -> None:
    far = Far(acts_as)
    with pytest.raises(EndpointError, match="expected a duration above 0 s"):
        far.ask(begin(acts_as, wanted_s))
    with trio.move_on_after(1):
        await far.end.command()
        pytest.fail("there is nothing to do")


@pytest.mark.parametrize(
    ("acts_as", "action"),
    [
        ("lock", Lock(endpoint="far")),
        ("siren", StopSiren(endpoint="far")),
        ("light", SwitchLight(endpoint="far", on=False, duration_s=9)),
    ],
)
async def test_an_end_has_no_duration(autojump_clock: MockClock, acts_as: str, action: Action) -> None:
    command = Far(acts_as).ask(action)
    assert (command.on, command.duration_s) == (False, None)


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        ({"acts_as": "lock", "default_s": 0}, "default_s = 0 is for a light only"),
        ({"acts_as": "siren", "default_s": 0}, "default_s = 0 is for a light only"),
        (
            {"acts_as": "light", "default_s": 61, "max_on_s": 60},
            r"default_s \(61\) is longer than max_on_s \(60\)",
        ),
        ({"acts_as": "lock", "max_on_s": 901}, "max_on_s of a lock is at most 900 s"),
        ({"acts_as": "siren", "max_on_s": 901}, "max_on_s of a siren is at most 900 s"),
        ({"acts_as": "light", "role": "motion"}, "role is for a contact only"),
        ({"acts_as": "led"}, "Invalid enum value 'led'"),
        ({"acts_as": "contact", "role": "window"}, "Invalid enum value 'window'"),
        ({"acts_as": "light", "default_s": math.nan}, "default_s"),
        ({"acts_as": "light", "max_on_s": math.nan}, "max_on_s"),
        ({"acts_as": "light", "pin": 4}, "pin"),
        ({}, "acts_as"),
    ],
)
def test_what_is_no_configuration(plain: dict[str, Any], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert({"kind": "toy", **plain}, ToyEndpoint)


# On its way to the worker.


async def test_until_its_worker_reaches_it_nothing_is_begun(autojump_clock: MockClock) -> None:
    far = Far(works=False)
    with pytest.raises(EndpointError, match="far: not connected yet"):
        far.ask(Unlock(endpoint="far"))
    assert (far.end.health.problem, far.end.problem) == ("", "not connected yet")
    far.end.works()
    assert far.end.problem == ""
    far.ask(Unlock(endpoint="far"))
    assert far.log.events() == [], "it never failed, so it has not recovered"


async def test_commands_come_in_order_and_a_worker_waits_for_them(autojump_clock: MockClock) -> None:
    far = Far("light")
    got: list[tuple[bool, str]] = []

    async def work() -> None:
        while True:
            command = await far.end.command()
            got.append((command.on, command.action_id))
            command.done()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await trio.testing.wait_all_tasks_blocked()
        assert got == []
        for number, on in enumerate((True, False, True)):
            far.ask(SwitchLight(endpoint="far", on=on), action_id=f"a{number}")
        await trio.testing.wait_all_tasks_blocked()
        assert got == [(True, "a0"), (False, "a1"), (True, "a2")]
        await trio.sleep(100)
        far.ask(SwitchLight(endpoint="far", on=False), action_id="late")
        await trio.testing.wait_all_tasks_blocked()
        assert got[-1] == (False, "late")
        nursery.cancel_scope.cancel()


async def test_a_worker_that_is_called_away_loses_no_command(autojump_clock: MockClock) -> None:
    far = Far("light")
    for _ in range(3):
        with trio.move_on_after(0.5):
            await far.end.command()
            pytest.fail("there is nothing to do")
    command = far.ask(SwitchLight(endpoint="far", on=True))
    with trio.CancelScope() as scope:
        scope.cancel()
        await far.end.command()
        pytest.fail("it was called away")
    assert await far.end.command() is command


async def test_what_waited_for_two_seconds_is_never_begun(autojump_clock: MockClock) -> None:
    far = Far()
    old = far.ask(Unlock(endpoint="far"), action_id="old")
    await trio.sleep(1)
    young = far.ask(Lock(endpoint="far"), action_id="young")
    await trio.sleep(1)
    assert await far.end.command() is young
    assert await old.failure() == NOT_BEGUN
    young.done()
    assert await young.failure() is None


async def test_whoever_asked_knows_when_nobody_takes_it_up(autojump_clock: MockClock) -> None:
    """Also when the worker is stuck and never asks for a command again."""
    far = Far()
    begun = trio.current_time()
    with trio.fail_after(60):
        assert await far.ask(Unlock(endpoint="far")).failure() == NOT_BEGUN
    assert trio.current_time() - begun == pytest.approx(BEGIN_WITHIN_S)
    with trio.move_on_after(1):
        await far.end.command()
        pytest.fail("it is too late")


async def test_what_was_begun_takes_the_time_it_takes(autojump_clock: MockClock) -> None:
    far = Far()
    command = far.ask(Unlock(endpoint="far"))

    async def work() -> None:
        taken = await far.end.command()
        await trio.sleep(5)
        taken.done()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        assert await command.failure() is None


async def test_at_most_four_wait(autojump_clock: MockClock) -> None:
    far = Far()
    waiting = [far.ask(Unlock(endpoint="far")) for _ in range(MAX_WAITING)]
    assert len(waiting) == 4
    with pytest.raises(EndpointError, match="too many commands wait for it"):
        far.ask(Lock(endpoint="far"))
    assert await far.end.command() is waiting[0]
    far.ask(Lock(endpoint="far"))
    with pytest.raises(EndpointError, match="too many commands wait for it"):
        far.ask(Lock(endpoint="far"))
    await trio.sleep(BEGIN_WITHIN_S)
    far.ask(Lock(endpoint="far"))  # those that expired are in nobody's way


async def test_a_device_that_cannot_be_reached_refuses_what_waits_and_what_comes(
    autojump_clock: MockClock,
) -> None:
    far = Far()
    begun = far.ask(Unlock(endpoint="far"))
    assert await far.end.command() is begun
    waiting = [far.ask(Lock(endpoint="far")) for _ in range(3)]
    far.end.failed("gateway gone")
    assert [await command.failure() for command in waiting] == ["gateway gone"] * 3
    with pytest.raises(EndpointError, match="far: gateway gone"):
        far.ask(Unlock(endpoint="far"))
    far.end.failed("battery empty")
    with pytest.raises(EndpointError, match="far: battery empty"):
        far.ask(Unlock(endpoint="far"))
    begun.done()  # its worker alone knows
    assert await begun.failure() is None
    far.end.works()
    far.end.works()
    far.ask(Unlock(endpoint="far"))
    assert far.log.events() == [
        HardwareFailed(endpoint="far", reason="gateway gone"),
        HardwareRecovered(endpoint="far"),
    ]


async def test_a_failure_has_a_reason(autojump_clock: MockClock) -> None:
    far = Far()
    far.end.failed("")
    assert far.end.health.problem == ENDED
    with pytest.raises(EndpointError, match="has stopped"):
        far.ask(Unlock(endpoint="far"))


async def test_the_first_answer_to_a_command_counts(autojump_clock: MockClock) -> None:
    far = Far()
    first, second = far.ask(Unlock(endpoint="far")), far.ask(Unlock(endpoint="far"))
    first.failed("stuck")
    first.failed("really")
    first.done()
    second.done()
    second.failed("no")
    assert (await first.failure(), await second.failure()) == ("stuck", None)


# What the worker tells.


def changed(acts_as: str, on: bool, **more: Any) -> AnyEvent:
    match acts_as:
        case "lock":
            if "duration_s" in more:
                more["hold_s"] = more.pop("duration_s")
            return LockChanged(endpoint="far", state="unlocked" if on else "locked", **more)
        case "siren":
            return SirenChanged(endpoint="far", on=on, **more)
        case _:
            return LightChanged(endpoint="far", on=on, **more)


WORDS = {"lock": ("locked", "unlocked"), "siren": ("off", "on"), "light": ("off", "on")}


@pytest.mark.parametrize("acts_as", ["lock", "siren", "light"])
async def test_a_change_is_told_once_and_in_the_name_of_whoever_asked(
    autojump_clock: MockClock, acts_as: str
) -> None:
    far = Far(acts_as)
    off, on = WORDS[acts_as]
    assert far.end.state() == off
    far.end.switched(False)
    assert far.log.events() == []
    far.end.switched(True)
    far.end.switched(True)
    assert far.end.state() == on
    far.end.switched(False, reason="by hand")
    assert far.end.state() == off
    command = far.ask(begin(acts_as, 4), by="ben", action_id="a7")
    assert far.end.state() == off, "asked for is not done"
    far.end.switched(True, command=command)
    far.end.switched(True, command=command)  # again while it is on: it lasts longer
    far.end.switched(False, command=command, reason="time over")
    assert far.log.events() == [
        changed(acts_as, True),
        changed(acts_as, False, reason="by hand"),
        changed(acts_as, True, by="ben", action_id="a7", duration_s=4),
        changed(acts_as, True, by="ben", action_id="a7", duration_s=4),
        changed(acts_as, False, by="ben", action_id="a7", reason="time over"),
    ]


async def test_a_light_without_an_end_says_no_time(autojump_clock: MockClock) -> None:
    far = Far("light", default_s=0)
    far.end.switched(True, command=far.ask(SwitchLight(endpoint="far", on=True)))
    assert far.log.events() == [LightChanged(endpoint="far", on=True, by="ana", action_id="a1")]


def test_a_button() -> None:
    far = Far("button")
    assert far.end.state() == "released"
    far.end.pressed()
    assert far.end.state() == "pressed"
    far.end.held(1500)
    far.end.released(1800)
    assert far.end.state() == "released"
    far.end.pressed()  # a click of which no end is told
    far.end.pressed()
    assert far.log.events() == [
        ButtonPressed(endpoint="far"),
        ButtonHeld(endpoint="far", held_ms=1500),
        ButtonReleased(endpoint="far", held_ms=1800),
        ButtonPressed(endpoint="far"),
        ButtonPressed(endpoint="far"),
    ]


@pytest.mark.parametrize("role", ["motion", "smoke", "generic"])
def test_a_contact(role: str) -> None:
    far = Far("contact", role=role)
    assert far.end.state() == "calm"
    for active in (False, True, True, False, False, True):
        far.end.contact(active)
        assert far.end.state() == ("active" if active else "calm")
    told = [event for event in far.log.events() if isinstance(event, ContactChanged)]
    assert [(event.endpoint, event.role, event.active) for event in told] == [
        ("far", role, True),
        ("far", role, False),
        ("far", role, True),
    ]


# With the rest of the door.


async def test_a_bound_button_rings_like_a_bell(autojump_clock: MockClock) -> None:
    far = Far("button")
    calls = Calls(CallsConfig(), log=far.log, new_id=Counting("c"))
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(calls.run, after=0))
        far.end.pressed()
        await trio.testing.wait_all_tasks_blocked()
        assert far.log.events(CallChanged) == [CallChanged(call_id="c1", endpoint="far", state="ringing")]
        nursery.cancel_scope.cancel()


async def test_ringing_it_by_command_needs_no_gateway(autojump_clock: MockClock) -> None:
    far = Far("button", works=False)
    assert far.end.perform(Ring(endpoint="far"), by="ana", action_id="a1") is None
    assert far.log.events() == [ButtonPressed(endpoint="far", by="ana")]


def dispatch(far: Far, journal: ObedientJournal | None = None) -> Dispatch:
    return Dispatch(
        log=far.log,
        journal=journal or ObedientJournal(),
        performers={"far": far.end},
        new_id=Counting("a"),
    )


async def work(far: Far, answer: str = "", after_s: float = 0.5) -> None:
    """A worker that carries out every command, or fails with `answer`."""
    while True:
        command = await far.end.command()
        await trio.sleep(after_s)
        if answer:
            command.failed(answer)
        else:
            far.end.switched(command.on, command=command)
            command.done()


@pytest.mark.parametrize(
    ("answer", "after_s", "outcome"),
    [
        ("", 0.5, Done(action_id="a1")),
        ("the gateway says no", 0.5, Failed(action_id="a1", reason="the gateway says no")),
        (
            "",
            REMOTE_S + 1,
            Failed(action_id="a1", reason="no answer of the other system within 8 s: it may have acted"),
        ),
    ],
)
async def test_through_dispatch(
    autojump_clock: MockClock, answer: str, after_s: float, outcome: Outcome
) -> None:
    far = Far()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, far, answer, after_s)
        assert await dispatch(far).submit(Unlock(endpoint="far"), who()) == outcome
        told = far.log.events()
        nursery.cancel_scope.cancel()
    assert isinstance(told[0], ActionAccepted)
    if isinstance(outcome, Done):
        assert told[1:] == [LockChanged(endpoint="far", state="unlocked", by="ana", action_id="a1", hold_s=5)]
    else:
        (failed,) = told[1:]
        assert isinstance(failed, ActionFailed)
        assert failed.reason == outcome.reason  # type: ignore[union-attr]


async def test_nobody_takes_it_up(autojump_clock: MockClock) -> None:
    far = Far()
    outcome = await dispatch(far).submit(Unlock(endpoint="far"), who())
    assert outcome == Failed(action_id="a1", reason=NOT_BEGUN)


@pytest.mark.parametrize("local", [True, False])
async def test_a_broken_journal_opens_it_only_for_a_credential_proven_here(
    autojump_clock: MockClock, local: bool
) -> None:
    far, journal = Far(), ObedientJournal()
    journal.problem = "disk full"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, far)
        outcome = await dispatch(far, journal).submit(Unlock(endpoint="far"), who(local=local))
        nursery.cancel_scope.cancel()
    assert isinstance(outcome, Done if local else Failed)
    assert bool(far.log.events(LockChanged)) == local
