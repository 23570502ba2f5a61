"""The client against servers that talk nonsense, too much, or too cleverly."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
import trio.testing
from harness.event_server import MemoryPeer
from harness.observer import Observer
from harness.upstream import PASSWORD, alarm_frame, configured, drain, upstream, welcome
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import AuthenticationError, PeerError
from agent.workers.zmes import client
from agent.workers.zmes.config import UpstreamConfig


@pytest.fixture
def observer(tmp_path: Path) -> Observer:
    return Observer(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> UpstreamConfig:
    return configured(tmp_path)


GARBAGE: list[str | bytes] = [
    "", "{", "[]", "null", '"alarm"', "\ufeff{}", "\x00\x01", b"\x00\xff", b'{"event":"auth"}',
    '{"event":"alarm"}', '{"event":"alarm","events":{}}', '{"event":"alarm","events":[1]}',
    '{"event":"\ud800"}', "[" * 100_000, '{"event":"alarm","events":[' + ",".join(["{}"] * 65) + "]}",
]  # fmt: skip


async def test_garbage_is_counted_and_survived(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    async def rave(peer: MemoryPeer) -> None:
        await welcome(peer)
        for garbage in GARBAGE:
            await peer.send(garbage)
        await peer.send(alarm_frame(1))
        for garbage in GARBAGE:
            await peer.send(garbage)
        await peer.send(alarm_frame(2))
        await drain(peer)

    async with upstream(monkeypatch, rave), trio.open_nursery() as nursery:
        nursery.start_soon(client.follow, config, observer.context)
        await observer.until(lambda: len(observer.alarms) == 2)
        nursery.cancel_scope.cancel()
    assert observer.page["upstream.zm.malformed"] == 2 * len(GARBAGE)


@pytest.mark.parametrize("authenticated", [True, False])
async def test_twenty_unreadable_messages_in_a_row_are_enough(
    authenticated: bool,
    observer: Observer,
    config: UpstreamConfig,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: object,
) -> None:
    async def rave(peer: MemoryPeer) -> None:
        if authenticated:
            await welcome(peer)
        for _ in range(1000):
            await peer.send("not JSON")

    async with upstream(monkeypatch, rave):
        with pytest.raises(PeerError, match="20 unreadable messages in a row"):
            await client.follow(config, observer.context)
    assert observer.page["upstream.zm.malformed"] == 20


async def test_unknown_messages_and_absurd_alarms_are_counted(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    async def talk(peer: MemoryPeer) -> None:
        await welcome(peer)
        await peer.send('{"event":"weather","status":"Success"}')
        await peer.send('{"event":"push","type":"","status":"Fail","reason":"PUSHDISABLED"}')
        await peer.send('{"event":"control","type":"filter","status":"Fail","reason":"MISSINGMONITORLIST"}')
        await peer.send('{"event":"alarm","status":"Success","events":[{"Name":"no ids"}]}')
        await peer.send('{"event":"alarm","status":"Success","events":[]}')
        await peer.send(
            '{"event":"alarm","type":"","status":"Success","supplementary":"true","events":['
            '{"EventId":"5060","Name":"Garage","MonitorId":"1"},'
            '{"EventId":"5061","MonitorId":"5","Name":"Unfinished"}]}'
        )
        await drain(peer)

    async with upstream(monkeypatch, talk), trio.open_nursery() as nursery:
        nursery.start_soon(client.follow, config, observer.context)
        await observer.until(lambda: len(observer.alarms) == 2)
        nursery.cancel_scope.cancel()
    assert [alarm.event_id for alarm in observer.alarms] == ["5060", "5061"]
    assert observer.page["upstream.zm.ignored"] == 2
    assert observer.page["upstream.zm.malformed"] == 1


async def test_a_flood_cannot_lap_the_event_log(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    async def flood(peer: MemoryPeer) -> None:
        await welcome(peer)
        for number in range(3000):
            await peer.send(alarm_frame(number))
        await trio.sleep(10)
        await peer.send(alarm_frame(9999))
        await drain(peer)

    async with upstream(monkeypatch, flood), trio.open_nursery() as nursery:
        nursery.start_soon(client.follow, config, observer.context)
        await observer.until(lambda: any(alarm.event_id == "9999" for alarm in observer.alarms))
        nursery.cancel_scope.cancel()
    assert len(observer.alarms) == 51
    assert observer.page["upstream.zm.dropped"] == 2950


async def test_a_complaint_is_written_once_a_minute(
    observer: Observer,
    config: UpstreamConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: object,
) -> None:
    async def flood(peer: MemoryPeer) -> None:
        await welcome(peer)
        for number in range(1190):
            await peer.send('{"event":"malformed","type":"","status":"Fail","reason":"BADJSON"}')
            await peer.send(alarm_frame(number))
            await trio.sleep(0.1)
        await peer.close(1000)

    async with upstream(monkeypatch, flood):
        with pytest.raises(PeerError):
            await client.follow(config, observer.context)
    assert len([record for record in caplog.records if "cannot read" in record.getMessage()]) == 2


words = st.sampled_from(
    [
        "auth",
        "alarm",
        "control",
        "version",
        "filter",
        "Success",
        "Fail",
        "BADAUTH",
        "NOAUTH",
        "true",
        "1",
        "x",
    ]
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
items = st.dictionaries(st.sampled_from(["EventId", "MonitorId", "Name", "Cause", "MonitorName"]), values)
frames = st.fixed_dictionaries(
    {"event": words | values},
    optional={
        "type": words | values,
        "status": words | values,
        "reason": words | values,
        "version": values,
        "supplementary": values,
        "events": st.lists(items, max_size=3) | values,
    },
).map(json.dumps)


@settings(max_examples=60, deadline=None)
@given(
    said=st.lists(frames | st.text(max_size=20) | st.binary(max_size=20), max_size=30), welcomed=st.booleans()
)
def test_whatever_a_server_says_it_is_only_ever_the_servers_fault(
    said: list[str | bytes], welcomed: bool
) -> None:
    async def main(folder: Path) -> None:
        async def talk(peer: MemoryPeer) -> None:
            if welcomed:
                await welcome(peer)
            for message in said:
                await peer.send(message)
            await peer.close(1000)

        observer = Observer(folder)
        with pytest.MonkeyPatch.context() as monkeypatch:
            async with upstream(monkeypatch, talk):
                with pytest.raises((PeerError, AuthenticationError)):
                    await client.follow(configured(folder), observer.context)

    with TemporaryDirectory() as folder:
        trio.run(main, Path(folder), clock=trio.testing.MockClock(autojump_threshold=0))


async def test_nothing_secret_is_ever_said(
    observer: Observer,
    config: UpstreamConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: object,
) -> None:
    async def echo(peer: MemoryPeer) -> None:
        # A server that throws everything back must not make us print the password either.
        said = await peer.receive()
        await peer.send(said)
        for _ in range(20):
            await peer.send(f"garbage {said}")

    caplog.set_level(logging.DEBUG)
    async with upstream(monkeypatch, echo):
        with pytest.raises((AuthenticationError, PeerError)) as caught:
            await client.follow(config, observer.context)
    said = caplog.text + repr(caught.value) + str(observer.pages)
    assert PASSWORD not in said
    assert PASSWORD.encode("ascii", "backslashreplace").decode() not in said
