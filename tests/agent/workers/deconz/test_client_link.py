"""The way to a gateway: not too fast, and with an end to every wait."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agent.model.errors import AuthenticationError, PeerError
from agent.workers.deconz.client_link import Link
from agent.workers.deconz.client_translate import Order
from agent.workers.deconz.client_verdict import Verdict

ON = Order(path="lights/2/state", body={"on": True})


class Answers:
    """Stands in for Rest: raises or gives what it is told to, after a while."""

    def __init__(self, answer: Verdict | Exception, *, after_s: float = 0.0) -> None:
        self.answer = answer
        self.after_s = after_s
        self.asked: list[tuple[float, str]] = []

    async def put(self, key: str, order: Order) -> Verdict:
        self.asked.append((trio.current_time(), key))
        await trio.sleep(self.after_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def linked(rest: Any) -> Link:
    link = Link()
    link.rest, link.key = rest, "A1"
    return link


async def put(link: Link, *, begin_s: float = 60.0, give_up_s: float = 60.0) -> Verdict:
    now = trio.current_time()
    return await link.put(ON, begin_by=now + begin_s, give_up_at=now + give_up_s)


async def test_ten_a_second_at_most(patient_clock: MockClock) -> None:
    rest = Answers(Verdict(kind="taken"), after_s=3.0)
    link = linked(rest)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(put, link)
    times = [at for at, _ in rest.asked]
    assert times[-1] - times[0] == pytest.approx(1.9)
    assert rest.asked[0][1] == "A1"


async def test_who_waits_too_long_for_a_turn_is_told(patient_clock: MockClock) -> None:
    rest = Answers(Verdict(kind="taken"))
    link = linked(rest)
    verdicts: list[Verdict] = []

    async def one() -> None:
        verdicts.append(await put(link, begin_s=0.55))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(one)
    assert len(rest.asked) == 6
    refused = [verdict for verdict in verdicts if verdict.kind == "refused"]
    assert {verdict.reason for verdict in refused} == {"too many commands for one gateway"}


async def test_without_a_connection(patient_clock: MockClock) -> None:
    assert await put(Link()) == Verdict(kind="refused", reason="not connected to the gateway")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (PeerError("connection lost"), "connection lost: it may have acted"),
        (AuthenticationError("not yours"), "not yours"),
    ],
)
async def test_what_fails_on_the_way_is_unsure(
    answer: Exception, reason: str, patient_clock: MockClock
) -> None:
    verdict = await put(linked(Answers(answer)))
    assert (verdict.kind, verdict.clear, verdict.reason) == ("unsure", False, reason)


async def test_an_answer_that_comes_too_late(patient_clock: MockClock) -> None:
    verdict = await put(linked(Answers(Verdict(kind="taken"), after_s=5)), give_up_s=2.0)
    assert verdict.kind == "unsure"
    assert trio.current_time() == pytest.approx(2)


async def test_a_key_that_is_not_known_any_more_is_told(patient_clock: MockClock) -> None:
    link, told = linked(Answers(Verdict(kind="refused", unauthorised=True))), []
    link.refused = lambda: told.append(True)
    await put(link)
    assert told == [True]
