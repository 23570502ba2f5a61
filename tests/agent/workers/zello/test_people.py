from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio
from harness.context import House

from agent.model.actions import AnswerCall, StopSiren, SwitchLight, Unlock
from agent.model.outcomes import Busy, Failed, Refused
from agent.model.principals import Principal
from agent.runtime import EndpointInfo
from agent.workers.zello.config import CommandsConfig
from agent.workers.zello.people import (
    MAX_ACCOUNTS,
    MOST_COMMANDS,
    NO_PIN,
    NOT_HERE,
    NOT_KNOWN,
    TOO_MANY,
    TRY_LATER,
    WITHIN_S,
    WRONG_PIN,
    obey,
)

HOUSE = (
    EndpointInfo(name="door", label="Entrance", kind="lock"),
    EndpointInfo(name="lamp", label="Stairs", kind="light"),
    EndpointInfo(name="horn", label="Siren", kind="siren"),
)


class Desk:
    """Somebody writes to the door."""

    def __init__(self, folder: Path, endpoints: tuple[EndpointInfo, ...] = HOUSE) -> None:
        accounts = {"ana": ("pw", "resident"), "gus": ("pw", "guest"), "ivo": ("pw", "installer")}
        self.house = House(folder, endpoints=endpoints, accounts=accounts)  # type: ignore[arg-type]
        self.house.authenticator.pins["ana"] = "4711"
        self.house.authenticator.pins["gus"] = "1470"
        self.context = self.house.context("zello")
        self.config = CommandsConfig()

    def who(self, name: str) -> Principal | None:
        return self.house.authenticator.principal(name, via="zello", peer="cloud:x")

    async def write(self, text: str, *, who: str = "ana", account: str | None = None) -> str | None:
        return await obey(
            text,
            who=self.who(who),
            account=who if account is None else account,
            peer="cloud:x",
            context=self.context,
            config=self.config,
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_talk_is_no_command(desk: Desk) -> None:
    assert await desk.write("open the window") is None
    assert desk.house.submitted == []


async def test_a_command(desk: Desk) -> None:
    assert await desk.write("Light!") == "I am switching the light on."
    ((action, principal),) = desk.house.submitted
    assert action == SwitchLight(endpoint="lamp", on=True)
    assert principal.name == "ana"
    assert not principal.proven_locally
    assert desk.house.authenticator.calls == []


async def test_opening_needs_the_pin(desk: Desk) -> None:
    assert await desk.write("open") == NO_PIN
    assert await desk.write("open 4712") == WRONG_PIN
    assert desk.house.submitted == []
    assert await desk.write("open 4711") == "I am opening the door."
    ((action, principal),) = desk.house.submitted
    assert action == Unlock(endpoint="door")
    # Who showed the PIN is proven by this door's own store.
    assert principal.proven_locally
    assert desk.house.authenticator.calls == [("ana", "cloud:x")] * 2


async def test_so_does_silencing_a_siren(desk: Desk) -> None:
    assert await desk.write("siren off") == NO_PIN
    assert await desk.write("siren off 4711") == "I am stopping the siren."
    assert desk.house.submitted[0][0] == StopSiren(endpoint="horn")


async def test_a_pin_of_somebody_else_is_wrong(desk: Desk) -> None:
    assert await desk.write("open 1470") == WRONG_PIN
    assert await desk.write("open 1470", who="ana", account="gus") == WRONG_PIN
    assert desk.house.submitted == []


async def test_who_needs_none(desk: Desk) -> None:
    desk.config = CommandsConfig(pin=("guest",))
    assert await desk.write("open") == "I am opening the door."
    assert await desk.write("open", who="gus") == NO_PIN
    assert await desk.write("open 0000") == "I am opening the door."
    assert desk.house.authenticator.calls == []


async def test_nobody_looked_at_the_pin(desk: Desk) -> None:
    desk.house.authenticator.overrun = True
    assert await desk.write("open 4711") == TRY_LATER
    assert desk.house.submitted == []


async def test_a_stranger_learns_nothing(desk: Desk, tmp_path: Path) -> None:
    for text in ("open", "open 4711", "siren", "accept"):
        assert await desk.write(text, who="eve") == NOT_KNOWN
    (tmp_path / "bare").mkdir()
    assert await Desk(tmp_path / "bare", ()).write("light", who="mallory") == NOT_KNOWN
    assert desk.house.submitted == []
    assert desk.house.authenticator.calls == []


async def test_a_door_without_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ())
    assert await desk.write("light") == NOT_HERE
    assert await desk.write("open 4711") == NOT_HERE
    assert desk.house.authenticator.calls == []
    assert await desk.write("accept") == "You have the call."
    assert desk.house.submitted[0][0] == AnswerCall()


async def test_commands_can_be_off(desk: Desk) -> None:
    desk.config = CommandsConfig(enabled=False)
    assert await desk.write("open 4711") is None


async def test_every_outcome_has_an_answer(desk: Desk) -> None:
    desk.house.answer = lambda action, who: Refused(action_id="a", reason="role guest may not sound_siren")
    assert await desk.write("siren", who="gus") == "I may not do that: role guest may not sound_siren."
    desk.house.answer = lambda action, who: Busy(action_id="a")
    assert await desk.write("light") == "I am busy with that. Try again in a moment."
    desk.house.answer = lambda action, who: Failed(action_id="a", reason="no voltage")
    assert await desk.write("light") == "I could not do that: no voltage."


async def test_ten_commands_a_minute(desk: Desk, autojump_clock: trio.testing.MockClock) -> None:
    for _ in range(MOST_COMMANDS):
        assert await desk.write("light") != TOO_MANY
        await trio.sleep(1)
    assert await desk.write("light") == TOO_MANY
    assert await desk.write("talk is free") is None
    assert await desk.write("light", who="gus") != TOO_MANY
    await trio.sleep(WITHIN_S - MOST_COMMANDS - 1)
    assert await desk.write("light") == TOO_MANY
    await trio.sleep(1.5)
    assert await desk.write("light") != TOO_MANY
    assert await desk.write("light") == TOO_MANY


async def test_guesses_are_counted_as_well(desk: Desk) -> None:
    answers = [await desk.write(f"open {number:04}") for number in range(MOST_COMMANDS + 5)]
    assert answers == [WRONG_PIN] * MOST_COMMANDS + [TOO_MANY] * 5
    assert len(desk.house.authenticator.calls) == MOST_COMMANDS


async def test_strangers_are_counted_together(desk: Desk) -> None:
    """However many names somebody takes, they use up nobody's commands but those of other strangers."""
    for _ in range(MOST_COMMANDS):
        await desk.write("light")
    answers = [await desk.write("light", who=f"stranger {number}") for number in range(MAX_ACCOUNTS + 1)]
    assert answers == [NOT_KNOWN] * MOST_COMMANDS + [TOO_MANY] * (MAX_ACCOUNTS + 1 - MOST_COMMANDS)
    assert await desk.write("light") == TOO_MANY
    assert await desk.write("light", who="gus") != TOO_MANY


async def test_no_pin_is_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for text in ("open 4711", "open 8264", "siren off 4711"):
        for who in ("ana", "eve"):
            await desk.write(text, who=who)
    assert "name=open by='ana' outcome=Done" in caplog.text
    assert "4711" not in caplog.text
    assert "8264" not in caplog.text
