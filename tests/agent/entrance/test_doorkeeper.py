"""What becomes of a tag at a reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agent.entrance.config import EntranceConfig, ReaderConfig
from agent.entrance.doorkeeper import Doorkeeper
from agent.entrance.key import Wanted
from agent.entrance.panel import Presented
from agent.entrance.store import KeyStore
from agent.model.actions import Action, Unlock
from agent.model.events import AnyEvent, DuressSignalled, KeyRefused, KeyUsed
from agent.model.outcomes import Done, Failed, Outcome
from agent.model.principals import Principal, authorise

READER = ReaderConfig(device="x", kind="wiegand", opens="strike", hold_s=3)
ANA = "62E3086CED"


class Entrance:
    def __init__(self, folder: Path, **config: Any) -> None:
        self.told: list[AnyEvent] = []
        self.asked: list[tuple[Action, Principal]] = []
        self.outcome: Outcome = Done(action_id="a1")
        self.store = KeyStore.open(folder, report=lambda event: None)
        self.keeper = Doorkeeper(
            EntranceConfig(**config), self.store, submit=self._submit, report=self.told.append
        )

    async def _submit(self, action: Action, principal: Principal) -> Outcome:
        await trio.lowlevel.checkpoint()
        self.asked.append((action, principal))
        return self.outcome

    async def show(self, *, tag: str = "", code: str = "", reader: ReaderConfig = READER) -> bool:
        method: Any = "tag+code" if tag and code else "tag" if tag else "code"
        return await self.keeper.present("front", reader, Presented(method=method, tag=tag, code=code))


async def test_a_tag_opens(tmp_path: Path) -> None:
    it = Entrance(tmp_path)
    key = await it.store.add(Wanted(holder="Ana", tag=ANA), by="me")
    assert await it.show(tag=ANA)
    assert it.told == [KeyUsed(reader="front", endpoint="strike", method="tag", key_id=key.id, holder="Ana")]
    ((action, principal),) = it.asked
    assert action == Unlock(endpoint="strike", hold_s=3)
    assert (principal.name, principal.via, principal.peer) == (f"Ana (key {key.id})", "reader", "front")
    assert principal.proven_locally
    assert authorise(principal, action, 0) is None
    assert authorise(principal, Unlock(endpoint="gate"), 0) is not None


async def test_what_is_not_known_does_not(tmp_path: Path) -> None:
    it = Entrance(tmp_path)
    assert not await it.show(tag=ANA)
    assert it.told == [KeyRefused(reader="front", method="tag", reason="not known")]
    assert it.asked == []


async def test_under_threat_it_opens_and_calls_for_help(tmp_path: Path) -> None:
    it = Entrance(tmp_path)
    key = await it.store.add(Wanted(holder="Ana", code="4711", duress="4712"), by="me")
    assert await it.show(code="4712")
    assert it.told[1] == DuressSignalled(reader="front", endpoint="strike", key_id=key.id, holder="Ana")
    assert len(it.asked) == 1


async def test_a_one_time_code(tmp_path: Path) -> None:
    it = Entrance(tmp_path)
    await it.store.add(Wanted(code="4711", uses=1), by="me")
    assert await it.show(code="4711")
    assert isinstance(it.told[0], KeyUsed)
    assert it.told[0].last
    assert not await it.show(code="4711")
    assert len(it.asked) == 1


async def test_two_at_once_use_a_one_time_code_once(tmp_path: Path) -> None:
    it = Entrance(tmp_path)
    await it.store.add(Wanted(code="4711", uses=1), by="me")
    opened: list[bool] = []

    async def show() -> None:
        opened.append(await it.show(code="4711"))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(show)
    assert sorted(opened) == [False] * 7 + [True]


async def test_wrong_codes_close_the_codes_and_no_tag(tmp_path: Path, autojump_clock: MockClock) -> None:
    it = Entrance(tmp_path)
    await it.store.add(Wanted(tag=ANA), by="me")
    await it.store.add(Wanted(code="4711"), by="me")
    for number in range(5):
        assert not await it.show(code=f"000{number}")
    assert not await it.show(code="4711"), "closed, also for the right one"
    assert await it.show(tag=ANA)
    assert "too many wrong codes" in str(it.told[-2])
    await trio.sleep(60)
    assert await it.show(code="4711")


async def test_unknown_tags_close_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    it = Entrance(tmp_path)
    await it.store.add(Wanted(code="4711"), by="me")
    for number in range(1, 100):
        await it.show(tag=f"{number:06X}")
    assert await it.show(code="4711")


async def test_a_card_that_is_held_there_does_not_fill_the_journal(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    it = Entrance(tmp_path)
    for _ in range(3600):
        await it.show(tag=ANA)
        await trio.sleep(1)
    told = [event for event in it.told if isinstance(event, KeyRefused)]
    assert len(told) < 3600 * 0.2 + 15
    assert 3590 <= sum(event.count for event in told) <= 3600


async def test_anti_passback_counts_who_went_through(tmp_path: Path) -> None:
    it = Entrance(tmp_path, anti_passback=True)
    await it.store.add(Wanted(tag=ANA), by="me")
    inward = ReaderConfig(device="x", kind="wiegand", opens="strike", direction="in")
    it.outcome = Failed(action_id="a", reason="stuck")
    assert not await it.show(tag=ANA, reader=inward)
    it.outcome = Done(action_id="a")
    assert await it.show(tag=ANA, reader=inward), "the door had not opened"
    assert not await it.show(tag=ANA, reader=inward)


@pytest.mark.parametrize("digits", ["4711", "471", "47112233"])
async def test_no_event_tells_what_was_shown(tmp_path: Path, digits: str) -> None:
    it = Entrance(tmp_path)
    await it.show(tag=ANA, code=digits)
    await it.show(code=digits)
    assert ANA not in str(it.told)
    assert digits not in str(it.told)
