"""Texts and images from a server: commands of people whom the door knows, and what is only counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from harness.zello_door import Door, door_at_cloud
from trio.testing import MockClock

from agent.model.principals import Principal
from agent.workers.zello import client


@pytest.fixture
def clock() -> MockClock:
    """Jumps when nothing moves, also not in a socket on loopback."""
    return MockClock(autojump_threshold=0.002)


class Obeyed:
    """Stands in for people.obey: what it was asked, and an answer to everything that begins with "open"."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Principal | None, str, str]] = []
        self.delay_s = 0.0

    async def obey(
        self, text: str, *, who: Principal | None, account: str, peer: str, context: object, config: object
    ) -> str | None:
        await trio.sleep(self.delay_s)
        self.asked.append((text, who, account, peer))
        return "Opened." if text.startswith("open") else None


@pytest.fixture
def obeyed(monkeypatch: pytest.MonkeyPatch) -> Obeyed:
    obeyed = Obeyed()
    monkeypatch.setattr(client, "obey", obeyed.obey)
    return obeyed


async def write(door: Door, text: str, sender: str = "anna", **more: Any) -> None:
    await door.cloud.now.tell(
        **{
            "command": "on_text_message",
            "channel": "door",
            "from": sender,
            "for": False,
            "message_id": 5,
            "text": text,
        }
        | more
    )


async def test_a_command_is_answered_to_whom_it_came_from(
    tmp_path: Path, clock: MockClock, obeyed: Obeyed
) -> None:
    async with door_at_cloud(tmp_path, people={"Anna B": "anna"}) as door:
        await door.online()
        await write(door, "open 4711", "Anna B")
        await write(door, "good morning", "Anna B")
        await door.until(lambda: len(obeyed.asked) == 2)
        await door.until(lambda: len(door.cloud.texts) == 1)
    ((_, answer),) = door.cloud.texts
    assert (answer["text"], answer["for"], answer["channel"]) == ("Opened.", "Anna B", "door")
    text, who, account, peer = obeyed.asked[0]
    assert (text, account, peer) == ("open 4711", "anna", "home:Anna B")
    assert who is not None
    assert who.name == "anna"
    assert not who.proven_locally


@pytest.mark.parametrize(
    ("sender", "more", "settings"),
    [
        ("stranger", {}, {}),
        ("ANNA", {}, {}),
        ("portero", {}, {"people": {"portero": "anna"}}),
        ("anna", {"for": "bert"}, {}),
        ("anna", {}, {"commands": {"enabled": False}}),
    ],
)
async def test_what_is_not_obeyed(
    sender: str,
    more: dict[str, Any],
    settings: dict[str, Any],
    tmp_path: Path,
    clock: MockClock,
    obeyed: Obeyed,
) -> None:
    async with door_at_cloud(tmp_path, **settings) as door:
        await door.online()
        await write(door, "open", sender, **more)
        await trio.sleep(5)
        assert obeyed.asked == []
        assert door.cloud.texts == []
        assert door.page("texts_in") == 1


async def test_a_flood_of_texts_is_bounded(tmp_path: Path, clock: MockClock, obeyed: Obeyed) -> None:
    obeyed.delay_s = 5
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        for _ in range(100):
            await write(door, "open")
        await door.until(lambda: door.page("texts_in") == 100)
        assert door.page("texts_dropped") == 83
        await trio.sleep(100)
        assert len(obeyed.asked) == 17


async def test_what_was_begun_is_finished_and_answered_on_the_next_connection(
    tmp_path: Path, clock: MockClock, obeyed: Obeyed
) -> None:
    obeyed.delay_s = 3
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await write(door, "open")
        await trio.sleep(0.5)
        await door.cloud.now.drop()
        await door.until(lambda: len(door.cloud.texts) == 1)
        assert len(door.cloud.connections) == 2


async def image(door: Door, number: int, parts: list[tuple[int, bytes]], **more: Any) -> None:
    await door.cloud.now.tell(
        **{"command": "on_image", "channel": "door", "from": "anna", "message_id": number, "ct": "jpeg"}
        | more
    )
    for part, jpeg in parts:
        await door.cloud.now.packet(b"\x02" + number.to_bytes(4, "big") + part.to_bytes(4, "big") + jpeg)


async def test_images_are_counted_once(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await image(door, 3, [(2, b"small"), (1, b"large")], height=9)
        await image(door, 9, [(1, b"another"), (2, b"small")])  # the other way round
        await image(door, 11, [(1, b"lonely")])
        await image(door, 12, [(2, b"only small")])
        await image(door, 20, [(1, b"large")])  # again, under another number
        await door.until(lambda: door.page("images_repeated") == 1)
        assert door.page("images_in") == 3
        await door.cloud.now.drop()
        await door.until(lambda: len(door.cloud.logons) == 2)
        await door.online()
        for number in (3, 9):
            await image(door, number, [(2, b"small"), (1, b"large" if number == 3 else b"another")])
        await door.until(lambda: door.page("images_repeated") == 3)
        assert door.page("images_in") == 3
        assert list(door.context.state_dir.iterdir()) == []


async def test_parts_that_nobody_announced_or_that_come_too_late(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await door.cloud.now.packet(b"\x02" + (77).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"x")
        await image(door, 3, [])
        await trio.sleep(31)
        await door.cloud.now.packet(b"\x02" + (3).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"x")
        await door.until(lambda: door.page("image_parts_unknown") == 2)
        assert door.page("images_in") is None


async def test_announcements_are_bounded(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        for number in range(1, 100):
            await image(door, number, [])
        await door.cloud.now.packet(b"\x02" + (1).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"x")
        await door.until(lambda: door.page("image_parts_unknown") == 1)


async def test_nobody_commands_from_channels_that_the_door_is_not_on(
    tmp_path: Path, clock: MockClock, obeyed: Obeyed
) -> None:
    async with door_at_cloud(tmp_path, door="never") as door:
        await door.online()
        await write(door, "open 4711")
        await trio.sleep(1)
        assert obeyed.asked == []
