"""Logging on at our server, and what it says of its channels; over real sockets with TLS."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import trio
from harness.zello_client import ACCOUNTS, channel_site

from agent.model.events import AccountChanged
from agent.model.principals import Grant
from agent.workers.zello import session

DOOR = "Front door"


async def test_a_logon_is_answered_with_a_refresh_token_and_then_the_status(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        answer = await client.ask("logon", seq=7, username="alice", password="a-secret", channels=[DOOR])
        assert answer == {"seq": 7, "success": True, "refresh_token": answer["refresh_token"]}
        assert len(answer["refresh_token"]) >= 16
        status = await client.event("on_channel_status")
        assert status == {
            "command": "on_channel_status",
            "channel": DOOR,
            "status": "online",
            "users_online": 2,
            "images_supported": True,
            "texting_supported": True,
            "locations_supported": True,
        }


async def test_the_reply_comes_before_the_status(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        await client.tell("logon", seq=1, username="alice", password="a-secret", channel=DOOR)
        await site.until(lambda: len(client.heard) == 2)
        assert [("seq" in item, item.get("command")) for item in client.heard if isinstance(item, dict)] == [
            (True, None),
            (False, "on_channel_status"),
        ]


@pytest.mark.parametrize("path", ["/ws", "/ws/mesh", "/ws/any network", "/ws?x=1"])
async def test_all_three_styles_of_address_work(tmp_path: Path, path: str) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client(path.replace(" ", "%20"))
        await client.log_on("alice")


async def test_another_path_is_refused(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        for path in ("/", "/wsx", "/admin"):
            client = await site.client(path)
            assert (await client.hang_up())[0] == 1008


async def test_seq_0_is_answered(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        answer = await client.ask("logon", seq=0, username="alice", password="a-secret", channel=DOOR)
        assert answer["seq"] == 0
        assert answer["success"] is True


async def test_a_request_without_seq_gets_no_reply_and_its_error_is_an_event(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        await alice.tell("send_text_message", text="hello")
        await alice.tell("stop_stream", stream_id=99)
        assert (await alice.event("on_error"))["error"] == "invalid stream id"
        await alice.settled()
        assert not [item for item in alice.heard if isinstance(item, dict) and "seq" in item]


async def test_before_a_logon_nothing_counts_but_keepalive(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        assert (await client.ask("keepalive"))["success"] is True
        assert (await client.ask("ping"))["success"] is True
        assert (await client.start())["error"] == "not logged in"
        assert (await client.ask("no_such"))["error"] == "not logged in"
        await client.talk(0, 1)
        assert (await client.event("on_error"))["error"] == "not logged in"


async def test_unknown_commands_and_fields_and_nonsense(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        assert (await alice.ask("end_dispatch_call", call_id=1))["error"] == "unknown command"
        assert (await alice.ask("keepalive", extra={"a": [1]}))["success"] is True
        await alice.say("{nonsense")
        assert (await alice.event("on_error"))["error"] == "invalid json"
        await trio.sleep(1.05)
        await alice.say("null")
        assert (await alice.event("on_error"))["error"] == "invalid request"
        await alice.say(json.dumps({"seq": 5}))
        assert (await alice.reply(5))["error"] == "invalid request"
        assert (await alice.start())["success"] is True


async def test_who_talks_nonsense_only_is_closed(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        for _ in range(session.MAX_MALFORMED):
            await client.say("[]")
        assert await client.hang_up() == (3001, "unable to verify")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"username": "alice", "password": "wrong", "channel": DOOR}, "not authorized"),
        ({"username": "nobody", "password": "x", "channel": DOOR}, "not authorized"),
        ({"username": "alice", "auth_token": "x", "channel": DOOR}, "not authorized"),
        ({"auth_token": "x", "channel": DOOR}, "not authorized"),
        ({"refresh_token": "x", "channel": DOOR}, "not authorized"),
        ({"username": "alice", "password": "a-secret"}, "not enough params"),
        ({"channel": DOOR}, "not enough params"),
        ({"username": "alice", "password": "a-secret", "channels": [str(n) for n in range(101)]},
         "channels limit exceeded"),
    ],
)  # fmt: skip
async def test_a_bad_logon_is_answered_and_closed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, object], error: str
) -> None:
    monkeypatch.setattr(session, "REFUSED_S", 0.1)
    async with channel_site(tmp_path) as site:
        client = await site.client()
        assert (await client.ask("logon", **fields)) == {"seq": 1, "error": error}
        assert await client.hang_up() == (3002, "not authorized")


async def test_a_refused_client_may_try_again_at_once(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        for _ in range(5):
            answer = await client.ask("logon", username="alice", password="wrong", channel=DOOR)
            assert answer["error"] == "not authorized"
        assert (await client.start())["error"] == "not logged in"
        await client.log_on("alice")
        assert (await client.start())["success"] is True


async def test_five_attempts_in_a_row_on_new_connections_are_borne(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        for _ in range(5):
            client = await site.client()
            await client.ask("logon", username="alice", password="wrong", channel=DOOR)
            await client.vanish()
        await site.user("alice")


async def test_endless_guessing_on_one_connection_is_ended(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        for _ in range(session.MAX_LOGONS):
            await client.tell("logon", seq=1, username="alice", password="wrong", channel=DOOR)
        assert (await client.hang_up())[0] == 3002


async def test_who_does_not_log_on_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOGON_S", 0.1)
    async with channel_site(tmp_path) as site:
        client = await site.client()
        assert (await client.hang_up())[0] == 1008


async def test_an_overrun_house_is_no_bad_password(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        site.house.authenticator.overrun = True
        client = await site.client()
        answer = await client.ask("logon", username="alice", password="a-secret", channel=DOOR)
        assert answer["error"] == "internal server error"
        assert (await client.hang_up())[0] == 1013


async def test_a_check_that_takes_for_ever_is_no_bad_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "AUTH_WORK_S", 0.1)
    async with channel_site(tmp_path) as site:
        site.house.authenticator.delay_s = 60
        client = await site.client()
        await client.tell("logon", seq=1, username="alice", password="a-secret", channel=DOOR)
        assert (await client.hang_up())[0] == 1013


async def test_logons_one_behind_the_other_are_answered_each(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        site.house.authenticator.delay_s = 0.05
        client = await site.client()
        for seq in (1, 2, 3):
            await client.tell("logon", seq=seq, username="alice", password="a-secret", channel=DOOR)
        for seq in (1, 2, 3):
            assert (await client.reply(seq))["success"] is True


async def test_a_second_logon_on_a_live_connection_keeps_its_streams(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await bob.event("on_stream_start")
        await alice.log_on("alice")
        refused = await alice.ask("logon", username="alice", password="wrong", channel=DOOR)
        assert refused["error"] == "not authorized"
        await alice.talk(stream, 1)
        assert (await bob.packet())[2] == 0
        assert (await bob.packet())[2] == 1
        assert bob.nothing("on_stream_stop")
        assert (await alice.ask("stop_stream", stream_id=stream))["success"] is True


async def test_a_logon_with_fewer_channels_leaves_the_others(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice", DOOR, "House"), await site.user("bob", "House")
        await alice.log_on("alice", DOOR)
        await bob.event("on_channel_status", users_online=1)
        assert (await alice.start(channel="House"))["error"] == "channel is not ready"


async def test_a_logon_as_somebody_else_takes_nothing_along(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, carol = await site.user("alice"), await site.user("carol")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await carol.event("on_stream_start", **{"from": "alice"})
        await alice.log_on("bob")
        await carol.event("on_stream_stop", stream_id=stream)
        await alice.ask("send_text_message", text="me")
        assert (await carol.event("on_text_message"))["from"] == "bob"


async def test_a_refresh_token_is_good_once_and_for_its_owner(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        token = (await (await site.client()).log_on("alice"))["refresh_token"]
        client = await site.client()
        wrong = await client.ask("logon", refresh_token=token, username="bob", channel=DOOR)
        assert wrong["error"] == "not authorized"
        token = (await (await site.client()).log_on("alice"))["refresh_token"]
        again = await (await site.client()).ask("logon", refresh_token=token, channel=DOOR)
        assert again["success"] is True
        assert again["refresh_token"] != token
        third = await (await site.client()).ask("logon", refresh_token=token, channel=DOOR)
        assert third["error"] == "not authorized"


async def test_a_refresh_token_does_not_outlive_the_password(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        token = (await client.log_on("alice"))["refresh_token"]
        site.house.log.publish(AccountChanged(account="alice", change="password"))
        assert await client.hang_up() == (3002, "not authorized")
        answer = await (await site.client()).ask("logon", refresh_token=token, channel=DOOR)
        assert answer["error"] == "not authorized"


@pytest.mark.parametrize("change", ["removed", "disabled", "password", "key_revoked"])
async def test_a_changed_account_ends_its_connections_and_their_talk(tmp_path: Path, change: str) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await bob.event("on_stream_start")
        site.house.log.publish(AccountChanged(account="alice", change="pin"))
        site.house.log.publish(AccountChanged(account="alice", change=change))  # type: ignore[arg-type]
        assert await alice.hang_up() == (3002, "not authorized")
        await bob.event("on_stream_stop", stream_id=stream)
        await bob.event("on_channel_status", users_online=2)


async def test_entries_that_were_missed_end_who_is_gone(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        del site.house.authenticator.accounts["alice"]
        for _ in range(1100):
            site.house.log.publish(AccountChanged(account="x", change="added"))
        assert (await alice.hang_up())[0] == 3002
        assert (await bob.start())["success"] is True


async def test_a_guest_is_heard_for_its_time(tmp_path: Path) -> None:
    channels = [{"name": "Guests", "roles": ["guest"]}]
    async with channel_site(tmp_path, channels=channels) as site:
        end_ns = time.time_ns() + 400_000_000
        site.house.authenticator.grants["gus"] = Grant(not_after_ns=end_ns)
        gus = await site.user("gus", "Guests")
        assert (await gus.start())["success"] is True
        assert (await gus.hang_up())[0] == 3002
        assert time.time_ns() >= end_ns
        late = await site.client()
        answer = await late.ask("logon", username="gus", password="g-secret", channel="Guests")
        assert answer["error"] == "not authorized"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("front door", "channel not found"),
        ("Nowhere", "channel not found"),
        ("Staff", "not authorized"),
    ],
)
async def test_a_wrong_channel_is_told_in_words(tmp_path: Path, name: str, error: str) -> None:
    channels = [{"name": DOOR}, {"name": "Staff", "members": ["bob"]}]
    async with channel_site(tmp_path, channels=channels) as site:
        client = await site.client()
        answer = await client.ask("logon", username="alice", password="a-secret", channels=[name])
        assert answer["success"] is True
        assert await client.event("on_channel_status") == {
            "command": "on_channel_status",
            "channel": name,
            "status": "offline",
            "users_online": 0,
            "images_supported": False,
            "texting_supported": False,
            "locations_supported": False,
            "error": error,
            "error_type": "configuration",
        }
        assert (await client.start())["error"] == "channel is not ready"
        assert (await client.ask("send_text_message", text="x"))["error"] == "channel is not ready"


async def test_who_may_do_what_on_a_channel(tmp_path: Path) -> None:
    channels = [{"name": "A", "members": ["alice"], "listeners": ["gus"]}, {"name": "B"}]
    async with channel_site(tmp_path, channels=channels) as site:
        alice, gus = await site.user("alice", "A"), await site.user("gus", "A")
        for answer in (
            await gus.start(),
            await gus.ask("send_text_message", text="x"),
            await gus.ask("send_image", type="jpeg"),
            await gus.ask("send_location", latitude=1, longitude=2),
        ):
            assert answer["error"] == "listen only connection"
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        await gus.packet()
        bob = await site.client()
        await bob.ask("logon", username="bob", password="b-secret", channels=["A", "B"])
        assert (await bob.event("on_channel_status", channel="A"))["error"] == "not authorized"
        assert (await bob.event("on_channel_status", channel="B"))["status"] == "online"


async def test_listen_only_is_kept_to(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice", listen_only=True)
        assert (await alice.start())["error"] == "listen only connection"
        await alice.log_on("alice")
        assert (await alice.start())["success"] is True


async def test_the_count_of_users_is_told_at_most_once_a_second(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        await trio.sleep(1.1)
        alice.heard.clear()
        began = trio.current_time()
        for _ in range(5):
            await site.user("bob")
        await alice.event("on_channel_status", users_online=7)
        assert trio.current_time() - began >= 0.5
        site.clients[1].heard.clear()
        await site.clients[1].vanish()
        assert (await alice.event("on_channel_status", users_online=6))["status"] == "online"
        statuses = [i for i in alice.heard if isinstance(i, dict) and i.get("command") == "on_channel_status"]
        assert not statuses


async def test_a_channel_without_the_door_counts_people_only(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        await client.ask("logon", username="alice", password="a-secret", channel="House")
        assert (await client.event("on_channel_status"))["users_online"] == 1


async def test_a_user_has_several_connections(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        phone, tablet = await site.user("alice"), await site.user("alice")
        await phone.ask("send_text_message", text="from here")
        assert (await tablet.event("on_text_message"))["from"] == "alice"


async def test_one_session_ends_the_older(tmp_path: Path) -> None:
    async with channel_site(tmp_path, one_session=True) as site:
        phone = await site.user("alice")
        tablet = await site.user("alice")
        assert await phone.hang_up() == (3003, "kicked")
        assert (await tablet.start())["success"] is True
        # Logging on again on the same connection kicks nobody.
        await tablet.log_on("alice")
        assert (await tablet.ask("keepalive"))["success"] is True


async def test_too_many_connections_of_a_user_cost_the_oldest(tmp_path: Path) -> None:
    async with channel_site(tmp_path, max_per_user=2) as site:
        first, second, third = [await site.user("alice") for _ in range(3)]
        assert (await first.hang_up())[0] == 3003
        assert (await second.ask("keepalive"))["success"] is True
        assert (await third.ask("keepalive"))["success"] is True


async def test_nobody_passes_for_the_door(tmp_path: Path) -> None:
    async with channel_site(tmp_path, door_user="alice") as site:
        client = await site.client()
        answer = await client.ask("logon", username="alice", password="a-secret", channel=DOOR)
        assert answer["error"] == "not authorized"


async def test_stopping_says_goodbye_to_everybody(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        site.stop()
        assert (await alice.hang_up())[0] == 1001


async def test_the_status_page(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        await site.user("bob")
        await alice.start()
        pages = site.house.pages
        await site.until(lambda: pages.get("users_online") == 2 and pages.get("talking"))
        assert pages["talking"] == "alice (Front door)"
        assert pages["connections"] == 2
        assert pages["logons"] == 2
        assert pages["streams"] == 1
        assert not any(ACCOUNTS["alice"][0] in str(value) for value in pages.values())
