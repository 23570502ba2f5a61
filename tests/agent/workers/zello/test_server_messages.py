"""Images, texts and locations through our server, over real sockets with TLS."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import trio
from harness.zello_client import ZelloClient, channel_site

from agent.workers.zello import images
from agent.workers.zello.commands import MAX_TEXT_BYTES

FULL = b"\xff\xd8full" + bytes(5000)
SMALL = b"\xff\xd8small"


def part(image_id: int, number: int, data: bytes) -> bytes:
    return struct.pack(">BII", 2, image_id, number) + data


async def send(client: ZelloClient, order: str = "tf", **fields: object) -> int:
    """Announce an image and send its parts in this order."""
    answer = await client.ask("send_image", type="jpeg", **fields)
    assert answer["success"] is True, answer
    number: int = answer["image_id"]
    for which in order:
        await client.say(part(number, 2, SMALL) if which == "t" else part(number, 1, FULL))
    return number


async def test_an_image_is_told_with_all_that_clients_need(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        await send(
            alice, channel="Front door", width=1280, height=720, source="camera",
            content_length=len(FULL), thumbnail_content_length=len(SMALL),
        )  # fmt: skip
        told = await bob.event("on_image")
        number = told["message_id"]
        assert told == {
            "command": "on_image",
            "channel": "Front door",
            "from": "alice",
            "for": False,
            "message_id": number,
            "type": "jpeg",
            "ct": "jpeg",
            "source": "camera",
            "width": 1280,
            "height": 720,
        }
        assert await bob.packet() == (2, number, 2, SMALL)
        assert await bob.packet() == (2, number, 1, FULL)
        await alice.settled()
        assert alice.nothing("on_image", "packet", "on_error")


@pytest.mark.parametrize(
    "fields", [{}, {"content_length": 1, "thumbnail_content_length": 999_999}, {"width": "x", "height": -3}]
)
async def test_lengths_and_sizes_may_be_missing_or_wrong(tmp_path: Path, fields: dict[str, object]) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        await send(alice, "ft", **fields)
        told = await bob.event("on_image")
        assert isinstance(told["width"], int)
        assert [(await bob.packet())[2] for _ in range(2)] == [2, 1]


@pytest.mark.parametrize(("order", "told"), [("f", FULL), ("t", SMALL)])
async def test_half_an_image_is_told_after_a_while_as_two_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, told: bytes
) -> None:
    monkeypatch.setattr(images, "UPLOAD_S", 0.1)
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        number = await send(alice, order)
        assert [await bob.packet() for _ in range(2)] == [(2, number, 2, told), (2, number, 1, told)]
        assert (await alice.ask("send_image", type="jpeg"))["success"] is True


async def test_an_image_of_which_nothing_comes_is_never_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "UPLOAD_S", 0.05)
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        number = await send(alice, "")
        await trio.sleep(0.1)
        await alice.say(part(number, 1, FULL))
        assert (await alice.event("on_error"))["error"] == "failed to send data"
        assert bob.nothing("on_image", "packet")


async def test_two_images_are_never_mixed_up(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, carol, bob = [await site.user(name) for name in ("alice", "carol", "bob")]
        first = (await alice.ask("send_image", type="jpeg"))["image_id"]
        second = (await carol.ask("send_image", type="jpeg"))["image_id"]
        await alice.say(part(first, 2, b"a-small"))
        await carol.say(part(second, 2, b"c-small"))
        await carol.settled()
        await alice.say(part(first, 1, b"a-full"))
        await alice.settled()
        await carol.say(part(second, 1, b"c-full"))
        await site.until(lambda: len([item for item in bob.heard if isinstance(item, bytes)]) == 4)
        kinds = [
            item if isinstance(item, bytes) else item["message_id"]
            for item in bob.heard
            if isinstance(item, bytes) or item["command"] == "on_image"
        ]
        assert kinds == [
            first, part(first, 2, b"a-small"), part(first, 1, b"a-full"),
            second, part(second, 2, b"c-small"), part(second, 1, b"c-full"),
        ]  # fmt: skip


async def test_an_image_of_somebody_else_cannot_be_sent(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        number = await send(alice, "t")
        await bob.say(part(number, 1, b"mine"))
        assert (await bob.event("on_error"))["error"] == "failed to send data"
        await alice.say(part(number, 1, FULL))
        assert (await bob.packet())[3] == SMALL
        assert (await bob.packet())[3] == FULL


async def test_a_connection_that_goes_leaves_what_it_sent(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        await send(alice, "f")
        await alice.socket.aclose()
        await bob.event("on_image")
        assert (await bob.packet())[3] == FULL


async def test_more_images_than_may_be_open_cost_the_oldest(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        first = await send(alice, "t")
        second = await send(alice, "")
        third = await send(alice, "")
        # Of the first one, what had come was told.
        assert (await bob.event("on_image"))["message_id"] == first
        for number in (second, third):
            await alice.say(part(number, 2, SMALL))
            await alice.say(part(number, 1, FULL))
            assert (await bob.event("on_image"))["message_id"] == number


async def test_all_images_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_GATHERED_BYTES", 6000)
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        first = await send(alice, "f")
        await send(bob, "f")
        assert (await bob.event("on_error"))["error"] == "failed to send data"
        await alice.say(part(first, 2, SMALL))
        await bob.event("on_image")
        await send(bob, "ft")
        await alice.event("on_image")


async def test_too_many_images_are_refused(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        answers = [await alice.ask("send_image", type="jpeg") for _ in range(6)]
        assert "image_id" in answers[0]
        assert answers[-1]["error"] == "failed to send data"


async def test_an_image_for_one_user(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob, carol = [await site.user(name) for name in ("alice", "bob", "carol")]
        await send(alice, **{"for": "bob"})
        assert (await bob.event("on_image"))["for"] == "bob"
        await carol.settled()
        assert carol.nothing("on_image", "packet")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"type": "png"}, "invalid request"),
        ({"type": "jpeg", "content_length": 20_000_000}, "invalid request"),
        ({"type": "jpeg", "channel": "Nowhere"}, "channel is not ready"),
    ],
)
async def test_an_image_that_nobody_takes(tmp_path: Path, fields: dict[str, object], error: str) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        assert (await alice.ask("send_image", **fields))["error"] == error


@pytest.mark.parametrize(
    ("what", "command", "fields"),
    [
        ("images", "send_image", {"type": "jpeg"}),
        ("texts", "send_text_message", {"text": "x"}),
        ("locations", "send_location", {"latitude": 1, "longitude": 1}),
    ],
)
async def test_what_a_channel_does_not_carry(
    tmp_path: Path, what: str, command: str, fields: dict[str, object]
) -> None:
    async with channel_site(tmp_path, channels=[{"name": "A", what: False}]) as site:
        client = await site.client()
        await client.ask("logon", username="alice", password="a-secret", channel="A")
        status = await client.event("on_channel_status")
        flags = {
            "images": "images_supported",
            "texts": "texting_supported",
            "locations": "locations_supported",
        }
        assert status[flags[what]] is False
        assert [status[flag] for name, flag in flags.items() if name != what] == [True, True]
        assert (await client.ask(command, **fields))["error"] == "failed to send data"


async def test_a_text_reaches_everybody_else(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        assert await alice.ask("send_text_message", channel="Front door", text="Grüß Gott ☺") == {
            "seq": 2, "success": True,
        }  # fmt: skip
        told = await bob.event("on_text_message")
        assert told == {
            "command": "on_text_message",
            "channel": "Front door",
            "from": "alice",
            "for": False,
            "message_id": told["message_id"],
            "text": "Grüß Gott ☺",
        }
        await alice.settled()
        assert alice.nothing("on_text_message")


async def test_a_text_for_one_user(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob, carol = [await site.user(name) for name in ("alice", "bob", "carol")]
        await alice.ask("send_text_message", text="psst", **{"for": "bob"})
        assert (await bob.event("on_text_message"))["for"] == "bob"
        assert (await alice.ask("send_text_message", text="x", **{"for": "nobody"}))["success"] is True
        await carol.settled()
        assert carol.nothing("on_text_message")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "not enough params"),
        ("", "not enough params"),
        (5, "not enough params"),
        ("ü" * (MAX_TEXT_BYTES // 2 + 1), "invalid request"),
    ],
)
async def test_a_text_that_is_none_or_too_long(tmp_path: Path, text: object, error: str) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        assert (await alice.ask("send_text_message", text=text))["error"] == error
        longest = "x" * MAX_TEXT_BYTES
        assert (await alice.ask("send_text_message", text=longest))["success"] is True
        assert (await bob.event("on_text_message"))["text"] == longest


async def test_a_flood_of_texts_is_refused(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        answers = [await alice.ask("send_text_message", text=str(n)) for n in range(40)]
        assert all("success" in answer for answer in answers[:20])
        assert answers[-1]["error"] == "failed to send data"
        await bob.settled()
        assert (await bob.ask("keepalive"))["success"] is True


async def test_a_location_has_both_spellings_of_its_address(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        answer = await alice.ask(
            "send_location", latitude=48.1, longitude=11.5, accuracy=12.5, formatted_address="Marienplatz"
        )
        assert answer["success"] is True
        told = await bob.event("on_location")
        assert told == {
            "command": "on_location",
            "channel": "Front door",
            "from": "alice",
            "for": False,
            "message_id": told["message_id"],
            "latitude": 48.1,
            "longitude": 11.5,
            "accuracy": 12.5,
            "formatted_address": "Marienplatz",
            "rgl": "Marienplatz",
        }
        assert (await alice.ask("send_location", latitude=1))["error"] == "not enough params"
        assert (await alice.ask("send_location", latitude=91, longitude=0))["error"] == "invalid request"
