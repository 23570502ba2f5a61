"""What the local commands do, with a real store of users and a simulated board."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from harness.context import DictAuthenticator
from harness.door import Counting, ObedientJournal
from harness.doorhouse import DoorHouse, settle
from trio.testing import MockClock

from agent.access.passes import PREFIX, Passes
from agent.access.store import AccessStore
from agent.answers import Answers
from agent.control import Request
from agent.dispatch import Dispatch
from agent.model.actions import Unlock
from agent.model.errors import AgentError, CommandError, MalformedMessage
from agent.model.events import AccountChanged, ActionAccepted, ButtonPressed, ContactChanged
from hw.pins import sim_endpoints


class Desk:
    """The commands of a simulated door. real: as if its board was one."""

    def __init__(self, folder: Path, *, real: bool = False) -> None:
        self.door = DoorHouse(sim_endpoints())
        self.users = AccessStore.open(folder / "access.db").store
        dispatch = Dispatch(
            log=self.door.log,
            journal=ObedientJournal(),
            performers=self.door.house.performers,
            new_id=Counting("a"),
        )
        self.answers = Answers(
            status=lambda: {"pid": 1},
            log=self.door.log,
            dispatch=dispatch,
            users=self.users,
            passes=Passes(DictAuthenticator({})),
            board=None if real else self.door.pins,
            ask_worker=self.ask_worker,
        )

    async def ask_worker(self, worker: str, verb: str, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        if worker == "mqtt":
            raise CommandError("this door does not speak mqtt")
        wait_s = request.get("wait_s", int, 0)
        return {"worker": worker, "verb": verb, "for": request.account, "wait_s": wait_s}

    async def ask(self, command: str, **arguments: Any) -> Any:
        return await self.answers.answers()[command](Request(arguments, "local:ana"))

    async def sim(self, verb: str, endpoint: str, **arguments: Any) -> Any:
        return await self.ask("sim", verb=verb, endpoint=endpoint, **arguments)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    await desk.users.close()


async def test_an_action_is_done_in_the_name_of_the_local_account(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.door.running():
        assert await desk.ask("submit", action={"do": "unlock", "endpoint": "strike"}) == {
            "outcome": "done",
            "action_id": "a1",
        }
        assert desk.door.energised("strike")
    (accepted,) = desk.door.log.events(ActionAccepted)
    assert isinstance(accepted, ActionAccepted)
    assert accepted.action == Unlock(endpoint="strike")
    who = accepted.principal
    assert (who.name, who.role, who.via, who.peer, who.proven_locally) == (
        "ana",
        "admin",
        "control",
        "local:ana",
        True,
    )


@pytest.mark.parametrize(
    "action",
    [
        None,
        {},
        [],
        {"do": "unlock"},
        {"do": "fly", "endpoint": "strike"},
        {"do": "unlock", "endpoint": "strike", "hold_s": 0},
        {"do": "unlock", "endpoint": "strike", "hold_s": -5},
        {"do": "unlock", "endpoint": "strike", "hold_s": 86_401},
        {"do": "unlock", "endpoint": "strike", "hold_s": float("nan")},
        {"do": "unlock", "endpoint": "x" * 100},
    ],
)
async def test_what_is_no_action_is_answered(desk: Desk, autojump_clock: MockClock, action: object) -> None:
    async with desk.door.running():
        with pytest.raises(MalformedMessage, match=r"^action: "):
            await desk.ask("submit", action=action)
        assert not desk.door.energised("strike")


async def test_refusals_and_failures_are_outcomes(desk: Desk, autojump_clock: MockClock) -> None:
    reply = await desk.ask("submit", action={"do": "unlock", "endpoint": "attic"})
    assert (reply["outcome"], reply["reason"]) == ("refused", "no endpoint named 'attic'")
    reply = await desk.ask("submit", action={"do": "unlock", "endpoint": "strike"})
    assert (reply["outcome"], reply["reason"]) == ("failed", "not open")


# The hand at the simulated door.


async def test_the_verbs_of_the_simulated_door(desk: Desk, autojump_clock: MockClock) -> None:
    async with desk.door.running():
        assert await desk.sim("press", "doorbell") == {"endpoint": "doorbell", "active": False}
        await desk.sim("bounce", "doorbell")
        await settle(0.2)
        assert len(desk.door.log.events(ButtonPressed)) == 2
        begun = trio.current_time()
        await desk.sim("hold", "doorbell", for_ms=5000)
        assert trio.current_time() - begun == 5
        assert await desk.sim("open", "strike") == {"endpoint": "strike.contact", "active": True}
        await settle(0.2)
        await desk.sim("close", "strike")
        await settle(0.2)
        assert desk.door.doors() == ["forced", "closed"]
        await desk.sim("tamper", "tamper")
        await settle(0.2)
        await desk.sim("calm", "tamper")
        await settle(0.2)
        assert [event.active for event in desk.door.log.events(ContactChanged)] == [True, False]  # type: ignore[union-attr]
        assert await desk.sim("state", "strike") == {"endpoint": "strike", "active": False}
        await desk.sim("fail", "siren", reason="burnt")
        reply = await desk.ask("submit", action={"do": "sound_siren", "endpoint": "siren"})
        assert (reply["outcome"], reply["reason"]) == ("failed", "burnt")
        await desk.sim("heal", "siren")
        await settle(2)
        reply = await desk.ask("submit", action={"do": "sound_siren", "endpoint": "siren"})
        assert reply["outcome"] == "done"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"verb": "press", "endpoint": "attic"}, "the simulated board has no 'attic'; it has doorbell,"),
        ({"verb": "press", "endpoint": "siren"}, "not an open input"),
        ({"verb": "kick", "endpoint": "doorbell"}, "verb: Invalid enum value 'kick'"),
        ({"verb": "press"}, "endpoint: is missing"),
        ({"verb": "press", "endpoint": 5}, "endpoint: Expected `str`"),
        ({"verb": "press", "endpoint": "doorbell", "for_ms": 0}, "for_ms: "),
        ({"verb": "press", "endpoint": "doorbell", "for_ms": 60_001}, "for_ms: "),
    ],
)
async def test_what_the_simulated_door_cannot_do(
    desk: Desk, autojump_clock: MockClock, arguments: dict[str, Any], text: str
) -> None:
    async with desk.door.running():
        with pytest.raises(AgentError) as caught:
            await desk.ask("sim", **arguments)
    assert text in str(caught.value)


async def test_a_hand_that_is_called_away_lets_the_button_go(desk: Desk, autojump_clock: MockClock) -> None:
    async with desk.door.running():
        with trio.move_on_after(1):
            await desk.sim("hold", "doorbell", for_ms=60_000)
        assert not desk.door.pins.level("doorbell")


async def test_a_real_door_is_not_played_with(tmp_path: Path) -> None:
    desk = Desk(tmp_path, real=True)
    with pytest.raises(AgentError, match="real board"):
        await desk.sim("press", "doorbell")
    await desk.users.close()


# Events.


async def test_events_are_streamed_from_where_one_likes(desk: Desk, autojump_clock: MockClock) -> None:
    log = desk.door.log
    for number in range(3):
        log.publish(ButtonPressed(endpoint=f"b{number}"))
    items: list[Any] = []

    async def follow(**arguments: Any) -> None:
        async for item in desk.answers.streams()["events"](Request(arguments, "local:ana")):
            items.append(item)  # noqa: PERF401

    for arguments, expected in (({"after": 1}, [2, 3]), ({}, []), ({"after": None}, []), ({"after": 99}, [])):
        items.clear()
        with trio.move_on_after(1):
            await follow(**arguments)
        assert [item["seq"] for item in items] == expected
    items.clear()
    with trio.move_on_after(1):
        await follow(after=2)
    (item,) = items
    assert item["event"] == {"type": "button_pressed/1", "endpoint": "b2", "by": ""}
    assert item["boot_id"] == "boot"
    for _ in range(2000):
        log.publish(ButtonPressed(endpoint="b"))
    items.clear()
    with trio.move_on_after(1):
        await follow(after=-5)
    assert items[0] == {"gap": {"first": 1, "last": 979}}
    with pytest.raises(MalformedMessage, match=r"^after: "):
        await follow(after="x")


# Users.


async def test_users_and_keys(desk: Desk) -> None:
    made = await desk.ask("user_add", name="ben", role="resident", endpoints=["strike"])
    assert made["password"]
    await desk.ask("user_add", name="eva", role="admin", password="a long enough secret")
    await desk.ask("user_password", name="ben")
    await desk.ask("user_pin", name="ben", pin="739152")
    assert [user["pin"] for user in await desk.ask("user_list")] == [True, False]
    await desk.ask("user_pin", name="ben", remove=True)
    assert [user["pin"] for user in await desk.ask("user_list")] == [False, False]
    await desk.ask("user_enable", name="ben", enabled=False)
    key = (await desk.ask("key_add", user="eva", name="tablet"))["key"]
    listed = {user["name"]: user for user in await desk.ask("user_list")}
    assert set(listed) == {"ben", "eva"}
    assert made["password"] not in str(listed)
    (kept,) = await desk.ask("key_list", user="eva")
    assert key not in str(kept)
    await desk.ask("key_revoke", id=kept["id"])
    assert [key["revoked"] for key in await desk.ask("key_list")] == [True]
    await desk.ask("user_remove", name="ben")
    told = [
        (event.account, event.change, event.by)
        for event in desk.door.log.events(AccountChanged)
        if isinstance(event, AccountChanged)
    ]
    assert told[:7] == [
        ("ben", "added", "local:ana"),
        ("eva", "added", "local:ana"),
        ("ben", "password", "local:ana"),
        ("ben", "pin", "local:ana"),
        ("ben", "pin", "local:ana"),
        ("ben", "disabled", "local:ana"),
        ("eva", "key_added", "local:ana"),
    ]
    assert told[7:] == [("eva", "key_revoked", "local:ana"), ("ben", "removed", "local:ana")]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("user_add", {"name": "", "role": "guest"}),
        ("user_add", {"name": "x" * 65, "role": "guest"}),
        ("user_add", {"name": "x", "role": "owner"}),
        ("user_add", {"name": "x", "role": "system"}),
        ("user_add", {"name": "x"}),
        ("user_add", {"name": "x", "role": "guest", "endpoints": "strike"}),
        ("user_remove", {"name": "nobody"}),
        ("user_password", {"name": "nobody"}),
        ("user_pin", {"name": "nobody", "pin": "739152"}),
        ("user_pin", {"name": "nobody", "remove": True}),
        ("user_pin", {"name": "nobody"}),
        ("user_enable", {"name": "nobody", "enabled": True}),
        ("user_enable", {"name": "nobody", "enabled": "yes"}),
        ("key_add", {"user": "nobody", "name": "x"}),
        ("key_revoke", {"id": "nothing"}),
    ],
)
async def test_what_cannot_be_done_to_users_is_said(
    desk: Desk, command: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(AgentError):
        await desk.ask(command, **arguments)
    assert desk.door.log.events(AccountChanged) == []


# What a protocol is asked.


async def test_a_worker_is_asked_in_the_name_of_the_local_account(desk: Desk) -> None:
    assert await desk.ask("worker", worker="deconz", verb="link", wait_s=7) == {
        "worker": "deconz",
        "verb": "link",
        "for": "local:ana",
        "wait_s": 7,
    }


async def test_what_a_worker_refuses_is_told(desk: Desk) -> None:
    with pytest.raises(CommandError, match="this door does not speak mqtt"):
        await desk.ask("worker", worker="mqtt", verb="link")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "worker: is missing"),
        ({"worker": "deconz"}, "verb: is missing"),
        ({"verb": "link"}, "worker: is missing"),
        ({"worker": 5, "verb": "link"}, "worker: Expected `str`"),
        ({"worker": "deconz", "verb": ["link"]}, "verb: Expected `str`"),
        ({"worker": "deconz", "verb": "link", "wait_s": "x"}, "wait_s: Expected `int"),
    ],
)
async def test_what_is_no_question_for_a_worker(desk: Desk, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        await desk.ask("worker", **arguments)
    assert text in str(caught.value)


async def test_a_login_that_may_listen(desk: Desk) -> None:
    login = await desk.ask("listen_login")
    assert login["account"].startswith(PREFIX)
    assert login["secret"]
    assert await desk.ask("status") == {"pid": 1}
