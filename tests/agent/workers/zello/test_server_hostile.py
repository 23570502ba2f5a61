"""Bad days of our server: nonsense, floods, clients that stall; each costs whoever makes it alone."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import ssl
import struct
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from harness.raw_websocket import masked
from harness.voice import voice_packet
from harness.zello_client import OPUS_20, OPUS_60, ZelloClient, channel_site
from trio_websocket import ConnectionClosed

from agent.workers.zello import downlink, server
from agent.workers.zello.packets import MAX_IMAGE_BYTES, MAX_VOICE_BYTES

STARTED = "on_stream_start"


async def works(client: ZelloClient, other: ZelloClient) -> None:
    """The next call goes through."""
    answer = await client.start()
    assert answer["success"] is True, answer
    await client.talk(answer["stream_id"], 0)
    await other.event(STARTED, stream_id=answer["stream_id"])
    await other.packet()
    assert (await client.ask("stop_stream", stream_id=answer["stream_id"]))["success"] is True
    await other.event("on_stream_stop", stream_id=answer["stream_id"])


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (b"", "invalid audio packet"),
        (b"\x01\x00\x00", "invalid audio packet"),
        (struct.pack(">BII", 1, 0, 0), "invalid audio packet"),
        (voice_packet(0, 0, b"\x4b\x00"), "invalid audio packet"),
        (voice_packet(0, 0, b"\x48" + bytes(MAX_VOICE_BYTES)), "invalid audio packet"),
        (voice_packet(0, 0, b"\x48" + bytes(1276)), "invalid audio packet"),
        (struct.pack(">BII", 2, 0, 7) + b"x", "invalid request"),
        (struct.pack(">BII", 2, 0, 1), "invalid request"),
        (struct.pack(">BII", 2, 4711, 1) + b"x", "failed to send data"),
        (voice_packet(4711, 0), "invalid stream id"),
    ],
)
async def test_a_packet_of_nonsense_is_told_once_a_second_and_never_per_packet(
    tmp_path: Path, packet: bytes, error: str
) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        for _ in range(200):
            await alice.say(packet)
        assert (await alice.event("on_error"))["error"] == error
        await alice.settled()
        assert len([item for item in alice.heard if isinstance(item, dict) and "error" in item]) <= 1
        assert bob.nothing("packet")
        # The talk goes on.
        await alice.talk(stream, 1)
        assert (await bob.packet())[1:3] == (stream, 0)
        await alice.ask("stop_stream", stream_id=stream)
        await works(alice, bob)


async def test_a_packet_of_an_unknown_type_is_passed_over(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        for kind in (0, 3, 255):
            await alice.say(struct.pack(">BII", kind, 1, 1) + b"x")
        await alice.settled()
        assert alice.nothing("on_error")


async def test_an_image_of_20_mb_ends_its_connection_alone(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        number = (await alice.ask("send_image", type="jpeg"))["image_id"]
        data = struct.pack(">BII", 2, number, 1) + bytes(20_000_000)
        # It is refused by its first bytes; whether the rest can still be sent is up to the kernel.
        with contextlib.suppress(ConnectionClosed):
            await alice.say(data)
        assert (await alice.hang_up())[0] in (1009, 1006)
        await works(await site.user("alice"), bob)


async def test_the_largest_image_goes_through(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        number = (await alice.ask("send_image", type="jpeg"))["image_id"]
        for which in (2, 1):
            await alice.say(struct.pack(">BII", 2, number, which) + bytes(MAX_IMAGE_BYTES))
        assert [len((await bob.packet())[3]) for _ in range(2)] == [MAX_IMAGE_BYTES] * 2


async def test_a_stranger_may_not_send_what_an_image_may_be(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        assert (await client.ask("keepalive"))["success"] is True
        with contextlib.suppress(ConnectionClosed):
            await client.say(bytes(400_000))
        assert (await client.hang_up())[0] in (1009, 1006)


async def test_a_flood_three_times_too_fast_and_more_is_thinned(tmp_path: Path) -> None:
    async with channel_site(tmp_path, max_stream_s=600) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        began = trio.current_time()
        for number in range(1500):  # 90 s of sound
            await alice.say(voice_packet(stream, number, OPUS_60))
        await alice.settled()
        lasted_s = trio.current_time() - began
        await bob.settled()
        heard = len([item for item in bob.heard if isinstance(item, bytes)])
        assert 30 <= heard <= (2.0 + 3.0 * (lasted_s + 1.0)) / 0.06
        assert (await alice.ask("stop_stream", stream_id=stream))["success"] is True
        # Another one has to wait until that has been heard.
        assert (await bob.start())["error"] == "channel busy"


async def test_who_never_stops_is_stopped_and_the_next_may_talk(tmp_path: Path) -> None:
    async with channel_site(tmp_path, max_stream_s=5, max_rate=10) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        stream = (await alice.start())["stream_id"]
        number = 0
        with trio.fail_after(10):
            while alice.nothing("on_stream_stop"):
                await alice.talk(stream, number, opus=OPUS_60)
                number += 1
                await trio.sleep(0.005)
        for number in range(50):
            await alice.talk(stream, number)
        await alice.settled()
        assert alice.nothing("on_error")
        assert (await alice.ask("stop_stream", stream_id=stream))["success"] is True
        with trio.fail_after(8):
            while "error" in (answer := await bob.start()):
                assert answer["error"] in ("channel busy", "woodpecker prohibited")
                await trio.sleep(0.3)


@pytest.mark.parametrize("seed", range(3))
async def test_any_messages_at_all_break_nothing(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    words = ["logon", "start_stream", "stop_stream", "send_image", "send_text_message", "send_location", "x"]
    values: list[object] = [
        None,
        True,
        0,
        -1,
        2**40,
        1.5,
        "",
        "x",
        "Front door",
        [],
        {},
        "gD4BFA==",
        "audio",
        "opus",
        "jpeg",
    ]
    keys = [
        "seq",
        "channel",
        "channels",
        "type",
        "codec",
        "codec_header",
        "packet_duration",
        "stream_id",
        "for",
        "text",
        "latitude",
        "longitude",
        "username",
        "password",
        "width",
        "content_length",
    ]
    async with channel_site(tmp_path) as site:
        bob = await site.user("bob")
        for _ in range(4):
            client = await site.user("alice")
            try:
                for _ in range(60):
                    match dice.randrange(4):
                        case 0:
                            await client.say(dice.randbytes(dice.randrange(40)))
                        case 1:
                            await client.say(
                                voice_packet(dice.randrange(20), 0, dice.randbytes(dice.randrange(9)))
                            )
                        case 2:
                            await client.say("".join(chr(dice.randrange(32, 0x2FFF)) for _ in range(20)))
                        case _:
                            body = {key: dice.choice(values) for key in dice.sample(keys, dice.randrange(8))}
                            await client.say(json.dumps({"command": dice.choice(words), **body}))
            except ConnectionClosed:
                pass  # for too much nonsense in a row
            await client.vanish()
        await works(await site.user("alice"), bob)


async def test_deep_json_is_no_json(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        alice = await site.user("alice")
        await alice.say('{"command":' + "[" * 50_000)
        assert (await alice.event("on_error"))["error"] == "invalid json"
        assert (await alice.start())["success"] is True


async def test_a_client_that_stops_reading_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downlink, "SLOW_S", 0.2)
    async with channel_site(tmp_path, max_rate=10, max_stream_s=600) as site:
        alice, bob = await site.user("alice"), await site.user("bob")
        deaf = await stalled(site.house.ready["zello"], site.house.tls.client_context())
        await site.until(lambda: site.house.pages.get("connections") == 3)
        stream = (await alice.start())["stream_id"]
        payload = b"\x58" + bytes(1200)
        with trio.fail_after(20):
            number = 0
            while not site.house.pages.get("packets_slow"):
                # Enough to fill what the kernel keeps, at a rate that is still let through.
                for _ in range(5):
                    await alice.say(voice_packet(stream, number, payload))
                    number += 1
                await trio.sleep(0.03)
                if number % 50 == 0:
                    await alice.ask("send_text_message", text="still there")
                if number % 300 == 0 and site.house.pages.get("packets_slow") == 0:
                    await alice.ask("keepalive")
        sent = site.house.pages["packets"]
        assert isinstance(sent, int)
        await bob.settled()
        assert len([item for item in bob.heard if isinstance(item, bytes)]) >= sent
        deaf.close()
        assert (await alice.ask("stop_stream", stream_id=stream))["success"] is True


async def stalled(url: str, context: ssl.SSLContext) -> socket.socket:
    """A client of raw sockets that logs on and then never reads again."""
    parts = urlsplit(url)

    def connect() -> socket.socket:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect((parts.hostname, parts.port))
        sock = context.wrap_socket(plain, server_hostname=parts.hostname)
        sock.sendall(
            b"GET /ws HTTP/1.1\r\nHost: door\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: zello\r\nOrigin: https://example.org\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"permessage-deflate" not in head
        logon = {
            "command": "logon",
            "seq": 1,
            "username": "carol",
            "password": "c-secret",
            "channel": "Front door",
        }
        sock.sendall(masked(1, json.dumps(logon).encode()))
        sock.recv(1)
        return sock

    return await trio.to_thread.run_sync(connect)


async def test_a_half_open_talker_loses_the_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PING_INTERVAL_S", 0.2)
    monkeypatch.setattr(server, "SILENCE_TIMEOUT_S", 0.6)
    async with channel_site(tmp_path) as site:
        bob = await site.user("bob")
        dead = await stalled(site.house.ready["zello"], site.house.tls.client_context())
        body = {"command": "start_stream", "type": "audio", "codec": "opus", "codec_header": "gD4BFA=="}
        await trio.to_thread.run_sync(dead.sendall, masked(1, json.dumps(body).encode()))
        await trio.to_thread.run_sync(dead.sendall, masked(2, voice_packet(0, 0, OPUS_20)))
        stream = (await bob.event(STARTED))["stream_id"]
        began = time.monotonic()
        await bob.event("on_stream_stop", stream_id=stream)
        assert time.monotonic() - began < 3
        assert (await bob.start())["success"] is True
        dead.close()


async def test_too_many_connections_of_one_address(tmp_path: Path) -> None:
    async with channel_site(tmp_path, max_per_peer=2) as site:
        await site.user("alice")
        await site.user("bob")
        with pytest.raises(trio.BrokenResourceError):
            await site.client()
        await site.clients[0].vanish()
        with trio.fail_after(5):
            while True:
                try:
                    client = await site.client()
                    break
                except trio.BrokenResourceError:
                    await trio.sleep(0.05)
        assert (await client.ask("keepalive"))["success"] is True
