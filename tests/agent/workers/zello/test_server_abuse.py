"""People with an account who mean harm, and strangers who stay: what they take from others is bounded."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from harness.zello_client import OPUS_20, channel_site
from trio_websocket import ConnectionClosed

from agent.model.events import AccountChanged
from agent.workers.zello import hall
from agent.workers.zello.session import MAX_STRANGERS_BYTES, MAX_STRANGERS_MESSAGES


@pytest.mark.parametrize("command", ["keepalive", "nonsense", "send_text_message"])
async def test_a_stranger_may_not_go_on_and_on(tmp_path: Path, command: str) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        with contextlib.suppress(ConnectionClosed):
            for _ in range(MAX_STRANGERS_MESSAGES + 1):
                await client.tell(command)
        assert (await client.hang_up())[0] == 1008


async def test_who_has_logged_on_may(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        for _ in range(3 * MAX_STRANGERS_MESSAGES):
            assert (await alice.ask("keepalive"))["success"] is True


async def test_a_stranger_says_nothing_long(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        short = json.dumps({"command": "x", "a": "x" * (MAX_STRANGERS_BYTES - 100)})
        await client.say(short)
        await client.say(short.replace('"a"', '"a": "' + "x" * 100 + '", "b"'))
        assert (await client.hang_up())[0] == 1009


async def test_who_may_only_listen_sends_nothing_as_large_as_a_picture(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        bob = await site.user("bob", listen_only=True)
        await bob.say(bytes(400_000))
        assert (await bob.hang_up())[0] == 1009


async def test_a_private_talk_keeps_nobody_from_hearing_the_door(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start(**{"for": "bob"}))["stream_id"]
        await alice.talk(stream, 0)
        await bob.event("on_stream_start", stream_id=stream)
        site.voice.begin("ring").feed(OPUS_20)
        await bob.event("on_stream_stop", stream_id=stream)
        assert (await bob.event("on_stream_start"))["from"] == "door"
        assert (await bob.packet())[1] != stream
        # The talker hears the door as well, and may go on talking to nobody.
        assert (await alice.event("on_stream_start"))["from"] == "door"


async def test_who_loses_the_account_in_the_middle_of_a_talk_is_silent_and_deaf(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await bob.event("on_stream_start", stream_id=stream)
        await site.until(lambda: site.voice.playbacks and site.voice.playbacks[0].packets)
        site.house.log.publish(AccountChanged(account="alice", change="disabled"))
        assert (await alice.hang_up())[0] == 3002
        await bob.event("on_stream_stop", stream_id=stream)
        await site.until(lambda: site.voice.playbacks[0].ended)
        # The floor is free, and the door is not heard by who has gone.
        assert (await bob.start())["success"] is True
        assert alice.nothing("on_stream_start", "packet")


async def test_who_comes_again_and_again_has_no_more_talks_at_the_door(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        # Enough for any talk, too little to push what happened out of the journal.
        for _ in range(6):
            alice = await site.user("alice")
            for _ in range(8):
                answer = await alice.start()
                if "error" in answer:
                    assert answer["error"] == "woodpecker prohibited"
                else:
                    await alice.ask("stop_stream", stream_id=answer["stream_id"])
            await alice.vanish()
        assert len(site.house.submitted) < 15


async def test_what_is_too_much_for_the_journal_is_not_heard_at_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hall, "TALKS", (2, 0.0))
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        for number in range(3):
            stream = (await alice.start())["stream_id"]
            await alice.talk(stream, 0)
            # The others hear each of them.
            await bob.event("on_stream_start", stream_id=stream)
            await alice.ask("stop_stream", stream_id=stream)
            await site.until(lambda: not site.voice.speaking)
            await bob.event("on_stream_stop", stream_id=stream)
            assert len(site.house.submitted) == min(number + 1, 2)
        told = await alice.event("on_text_message")
        assert (told["from"], told["text"]) == ("door", "Not heard at the door: too many talks")
        assert bob.nothing("on_text_message")
