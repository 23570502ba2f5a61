"""The client against a server as the document describes it: it logs on, stays, and comes back."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.zello_cloud import ZelloCloud
from harness.zello_door import CLOCK_S, PASSWORD, TOKEN, door_at_cloud, secret
from trio.testing import MockClock

from agent.model.errors import AuthenticationError, ConfigError


@pytest.fixture
def clock() -> MockClock:
    """Jumps when nothing moves, also not in a socket on loopback."""
    return MockClock(autojump_threshold=0.002)


async def test_logs_on_and_is_online(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        logon = door.cloud.logons[0]
    assert logon == {
        "command": "logon",
        "seq": 1,
        "auth_token": TOKEN,
        "username": "portero",
        "password": PASSWORD,
        "channels": ["door"],
        "version": "portero",
        "platform_type": "gateway",
        "platform_name": "Door Gateway",
    }
    assert door.page("users.door") == 2
    assert door.page("channel.door") == "online"
    assert door.ended is None


async def test_the_status_may_come_before_the_reply(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.status_first = True

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.online()
        await trio.sleep(300)
        assert len(door.cloud.connections) == 1


async def test_a_flood_of_statuses_is_only_looked_at(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        for users in range(500):
            door.cloud.channels["door"].users = users
            await door.cloud.now.status("door")
        await door.until(lambda: door.page("users.door") == 499)
        assert len(door.cloud.connections) == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"token_file": None}, {"username": "portero", "password": PASSWORD}),
        (
            {"username": "", "password_file": None},
            {"auth_token": TOKEN, "listen_only": True},
        ),
        (
            {"listen_only": True, "language": "de", "platform_name": "Kiosk"},
            {
                "auth_token": TOKEN,
                "username": "portero",
                "password": PASSWORD,
                "listen_only": True,
                "language": "de",
                "platform_name": "Kiosk",
            },
        ),
    ],
    ids=["zello work", "anonymous", "listen only"],
)
async def test_each_kind_of_account_logs_on(
    settings: dict[str, Any], expected: dict[str, object], tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path, **settings) as door:
        await door.online()
        logon = door.cloud.logons[0]
    for key in ("seq", "command", "channels", "version", "platform_type"):
        del logon[key]
    assert logon == {"platform_name": "Door Gateway"} | expected


async def test_several_channels_in_one_logon(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.channels["Garden"].online = False
        cloud.channels["Garden"].error = "invalid password"
        cloud.channels["Garden"].error_type = "configuration"
        cloud.channels["cellar"].online = None

    async with door_at_cloud(tmp_path, "Front door", "Garden", "cellar", prepare=prepare) as door:
        await door.online()
        await trio.sleep(600)
        assert door.cloud.logons[0]["channels"] == ["Front door", "Garden", "cellar"]
        assert len(door.cloud.logons) == 1
        assert door.page("channel.Front door") == "online"
        assert str(door.page("channel.Garden")).startswith("offline: invalid password: the API cannot join")
        assert "upper and lower case" in str(door.page("channel.cellar"))


@pytest.mark.parametrize("error_type", ["configuration", "unknown"])
async def test_a_channel_that_works_for_nobody_pauses_long(
    error_type: str, tmp_path: Path, clock: MockClock
) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.channels["door"].online = False
        cloud.channels["door"].error = "invalid password"
        cloud.channels["door"].error_type = error_type

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.until(lambda: len(door.cloud.connected_at) == 2, 400)
        first, second = door.cloud.connected_at
        assert 300 + 15 <= second - first < 320
        assert "remove the password" in str(door.page("channel.door"))


async def test_a_channel_that_is_never_mentioned_counts_as_failed(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.channels["door"].online = None

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.until(lambda: len(door.cloud.connected_at) == 4, 400)
        gaps = [b - a for a, b in zip(door.cloud.connected_at, door.cloud.connected_at[1:], strict=False)]
        assert gaps == pytest.approx([16, 17, 27], abs=0.3)  # three a minute; then 15 + 4 would be allowed
        assert "does not come online" in str(door.page("state")) or door.page("state") == "connecting"


async def test_a_logon_that_nobody_answers(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.mute_logon = True

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.until(lambda: len(door.cloud.logons) == 2)
        first, second = door.cloud.connected_at
        assert second - first == pytest.approx(11, abs=0.3)
        assert "no reply to Logon" in str(door.page("state")) or door.page("state") == "connecting"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("channels limit exceeded", ConfigError, "configure fewer channels"),
        ("suspended", ConfigError, "check account and url"),
        ("invalid password", ConfigError, "remove the password"),
        ("Unable to verify", AuthenticationError, "check user, password and token"),
    ],
)
async def test_what_only_an_operator_can_mend_parks(
    error: str, kind: type[Exception], words: str, tmp_path: Path, clock: MockClock
) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.logon_errors = [error]

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.until(lambda: door.ended)
        assert len(door.cloud.connections) == 1
    assert isinstance(door.ended, kind)
    assert words in str(door.ended)
    assert str(door.page("state")).startswith("parked: ")


@pytest.mark.parametrize("code", [3001, 3004])
async def test_close_codes_that_stop_retrying(code: int, tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await door.cloud.now.close(code, "unable to verify")
        await door.until(lambda: door.ended)
    assert isinstance(door.ended, AuthenticationError)


@pytest.mark.parametrize(("code", "pause_s"), [(3003, 30), (3002, 45), (1000, 1), (1006 - 5, 1)])
async def test_close_codes_that_pause(code: int, pause_s: float, tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        closed_at = trio.current_time()
        await door.cloud.now.close(code, "because")
        await door.until(lambda: len(door.cloud.logons) == 2)
        assert door.cloud.connected_at[1] - closed_at == pytest.approx(pause_s, abs=0.3)
        await door.until(lambda: door.page("state") == "online")


async def test_too_many_connections_wait_a_quarter_of_an_hour(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.http = ["429 Too Many Requests"]

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.until(lambda: len(door.cloud.connected_at) == 2, 1000)
        first, second = door.cloud.connected_at
        assert second - first == pytest.approx(900, abs=0.3)
        await door.online()


async def test_refused_credentials_are_not_hammered(tmp_path: Path, clock: MockClock) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.logon_errors = ["not authorized"] * 3

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.until(lambda: len(door.cloud.logons) == 4, 400)
        gaps = [b - a for a, b in zip(door.cloud.connected_at, door.cloud.connected_at[1:], strict=False)]
        assert gaps == pytest.approx([45, 90, 180], abs=0.3)


async def test_a_server_that_drops_everybody_is_asked_three_times_a_minute(
    tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path) as door:
        for count in range(1, 8):
            while len(door.cloud.connections) < count:
                await trio.sleep(1)
            await door.online()
            await door.cloud.now.drop()
        times = door.cloud.connected_at
    for index, at in enumerate(times):
        assert sum(at <= other < at + 60 for other in times[index:]) <= 3


async def test_the_refresh_token_is_used_once_for_the_first_reconnection(
    tmp_path: Path, clock: MockClock
) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.refresh_token = "again"

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.online()
        door.cloud.logon_errors = ["not authorized"]
        await door.cloud.now.drop()
        await door.until(lambda: len(door.cloud.logons) == 3)
        first, second, third = door.cloud.logons
        assert door.cloud.connected_at[2] - door.cloud.connected_at[1] < 10  # no long pause for a stale token
    assert first["auth_token"] == TOKEN
    assert "refresh_token" not in first
    assert second["refresh_token"] == "again"
    assert "auth_token" not in second
    assert third["auth_token"] == TOKEN
    assert "refresh_token" not in third


async def test_the_refresh_token_is_dropped_when_the_server_lost_its_backend(
    tmp_path: Path, clock: MockClock
) -> None:
    def prepare(cloud: ZelloCloud) -> None:
        cloud.refresh_token = "again"

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.online()
        await door.cloud.now.tell(command="on_error", error="server closed connection")
        await door.until(lambda: len(door.cloud.logons) == 2)
        assert door.cloud.logons[1]["auth_token"] == TOKEN


@pytest.mark.parametrize("error", ["not logged in", "kicked", "not authorized"])
async def test_errors_that_end_a_connection(error: str, tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        await door.cloud.now.tell(command="on_error", error=error)
        await door.until(lambda: len(door.cloud.logons) == 2)


async def test_errors_that_do_not(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        for error in (
            "invalid audio packet",
            "failed to stop stream",
            "no phone",
            "unheard of",
            "internal server error",
        ):
            await door.cloud.now.tell(command="on_error", error=error)
        await door.until(lambda: door.page("errors") == 5)
        await trio.sleep(100)
        assert len(door.cloud.connections) == 1


async def test_silence_is_death(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        door.cloud.now.deaf = True
        silent_since = trio.current_time()
        await door.until(lambda: len(door.cloud.connections) == 2, 200)
        assert 75 <= door.cloud.connected_at[1] - silent_since <= 95
        assert door.cloud.connections[0].pings <= 1


async def test_garbage_is_counted_and_too_much_of_it_ends_the_connection(
    tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        for text in ("null", "[]", "{", '{"a":1}', "7", '{"command":3}'):
            await door.cloud.now.tell_raw(text)
        await door.cloud.now.packet(b"\x01")
        await door.cloud.now.packet(b"\x03" + bytes(20))
        await door.cloud.now.tell(command="on_alert", text="fire")
        await door.cloud.now.tell(command="on_transcription", text="hello", stream_id=4)
        await door.cloud.now.tell(command="on_dispatch_call_status", status="received")
        await door.cloud.now.tell(command="on_location", latitude=1.5, longitude=2, **{"from": "anna"})
        await door.until(lambda: door.page("ignored") == 5)
        assert door.page("malformed") == 7
        for _ in range(20):
            await door.cloud.now.tell_raw("null")
        await door.until(lambda: len(door.cloud.connections) == 2)


async def test_a_channel_may_go_and_come_back(tmp_path: Path, clock: MockClock) -> None:
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        door.cloud.channels["door"].online = False
        await door.cloud.now.status("door")
        await door.until(lambda: str(door.page("state")).startswith("offline"))
        await trio.sleep(60)
        door.cloud.channels["door"].online = True
        await door.cloud.now.status("door")
        await door.online()
        assert len(door.cloud.connections) == 1


async def test_waits_for_a_clock_before_it_makes_a_token(
    tmp_path: Path, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = secret(tmp_path, "key", "a key")
    monkeypatch.setattr("agent.workers.zello.client_logon.TokenIssuer", FakeIssuer)
    async with door_at_cloud(tmp_path, token_file=None, issuer="us", private_key_file=key) as door:
        door.clock_s = 1_000_000.0
        await door.until(lambda: door.page("state") == "offline: the clock is not set yet")
        await trio.sleep(60)
        assert door.cloud.connected_at == []
        door.clock_s = 1_800_000_000.0
        await door.online()
        await door.cloud.now.drop()
        await door.until(lambda: len(door.cloud.logons) == 2)
        tokens = [logon["auth_token"].split(":") for logon in door.cloud.logons]
    assert [token[0] for token in tokens] == ["us", "us"]
    assert float(tokens[0][1]) < float(tokens[1][1])  # a new one for each connection


@pytest.mark.parametrize(("days", "warned"), [(3.5, True), (29.0, False)])
async def test_the_end_of_a_token_is_told_in_time(
    days: float, warned: bool, tmp_path: Path, clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    body = base64.urlsafe_b64encode(json.dumps({"exp": CLOCK_S + days * 86_400}).encode()).decode()
    token = secret(tmp_path, "dev-token", f"e30.{body}.c2ln")
    async with door_at_cloud(tmp_path, token_file=token) as door:
        await door.online()
        assert door.page("token_days_left") == int(days)
        assert ("token ends in days" in caplog.text) is warned


class FakeIssuer:
    def __init__(self, issuer: str, private_key_pem: object, *, where: str) -> None:
        self.issuer = issuer

    def make(self, now_s: float, lifetime_s: float = 120) -> str:
        return f"{self.issuer}:{now_s}"


async def test_a_secret_that_cannot_be_read_is_the_operators_mistake(
    tmp_path: Path, clock: MockClock
) -> None:
    async with door_at_cloud(tmp_path, password_file=str(tmp_path / "none")) as door:
        await door.until(lambda: door.ended)
    assert isinstance(door.ended, ConfigError)
    assert "password_file" in str(door.ended)


async def test_secrets_are_not_shown(
    tmp_path: Path, clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="agent")

    def prepare(cloud: ZelloCloud) -> None:
        cloud.logon_errors = ["not authorized"]

    async with door_at_cloud(tmp_path, prepare=prepare) as door:
        await door.until(lambda: len(door.cloud.logons) == 2)
        await door.online()
        shown = caplog.text + str(door.house.pages)
    assert PASSWORD not in shown
    assert TOKEN not in shown


def _odd(rng: random.Random, depth: int = 0) -> object:
    choices: list[object] = [
        None, True, False, 0, -1, 7, 2**31, 2**40, 1.5, "", "door", "anna", "online", "x" * 300, "\ud800",
    ]  # fmt: skip
    if depth < 2:
        choices += [[_odd(rng, depth + 1)], {"channel": _odd(rng, depth + 1)}]
    return rng.choice(choices)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_a_server_says_is_survived(seed: int, tmp_path: Path, clock: MockClock) -> None:
    rng = random.Random(seed)
    commands = [
        "on_channel_status", "on_stream_start", "on_stream_stop", "on_image", "on_text_message",
        "on_location", "on_transcription", "on_alert", "", None, 5,
    ]  # fmt: skip
    fields = [
        "seq", "success", "error", "channel", "status", "users_online", "stream_id", "from", "for", "text",
        "message_id", "codec_header", "packet_duration", "latitude", "longitude", "type",
    ]  # fmt: skip
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        for _ in range(400):
            message = {name: _odd(rng) for name in rng.sample(fields, rng.randrange(len(fields)))}
            if rng.random() < 0.9:
                message["command"] = rng.choice(commands)
            if rng.random() < 0.5:
                message |= {"channel": "door", "from": "anna", "stream_id": rng.randrange(4)}
            await door.cloud.now.tell(**message)
            await door.cloud.now.packet(
                bytes([rng.choice([0, 1, 1, 2, 3])]) + bytes(3) + bytes([rng.randrange(4)])
                + rng.randbytes(rng.randrange(12))
            )  # fmt: skip
            if rng.random() < 0.05:
                await trio.sleep(rng.random() * 5)
        await trio.sleep(60)
        await door.until(lambda: not door.cloud.now.over and door.page("state") != "stopped")
        assert door.ended is None
