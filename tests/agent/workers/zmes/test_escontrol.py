"""Guessing the control password."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from harness.context import House
from trio.testing import MockClock

from agent.net.websocket import connect_websocket
from agent.workers.zmes import escontrol
from agent.workers.zmes.config import PushConfig, ServerConfig
from agent.workers.zmes.escontrol import MAX_FAILURES, MAX_NETWORK_FAILURES, EsControlDesk
from agent.workers.zmes.server import serve
from agent.workers.zmes.state import load_state
from agent.workers.zmes.wire import Auth, PushToken, encode_request


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every time the password was read to compare it."""
    paths: list[str] = []
    original = escontrol._read_password

    def counted(path: str) -> bytes:
        paths.append(path)
        return original(path)

    monkeypatch.setattr(escontrol, "_read_password", counted)
    return paths


@pytest.fixture
async def desk(tmp_path: Path) -> EsControlDesk:
    (tmp_path / "password").write_text("open sesame\n")
    config = ServerConfig(escontrol=True, escontrol_password_file=str(tmp_path / "password"))
    return EsControlDesk(await load_state(config, House(tmp_path).context("zmes")))


async def test_guesses_at_once_are_no_more_guesses(desk: EsControlDesk, read: list[str]) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(desk.authenticate, f"guess {number}", "192.0.2.1")
    assert len(read) == MAX_FAILURES


async def test_a_network_of_addresses_is_one_guesser(
    desk: EsControlDesk, read: list[str], autojump_clock: MockClock
) -> None:
    for number in range(100):
        await desk.authenticate("guess", f"2001:db8::{number:x}")
    assert len(read) == MAX_NETWORK_FAILURES
    assert await desk.authenticate("open sesame", "192.0.2.1")
    assert await desk.authenticate("open sesame", "2001:db8:0:1::1")
    assert not await desk.authenticate("open sesame", "2001:db8::1:1")
    await trio.sleep(61)
    assert await desk.authenticate("open sesame", "2001:db8::1:1")


async def test_who_is_right_is_never_refused(desk: EsControlDesk) -> None:
    for _ in range(3 * MAX_NETWORK_FAILURES):
        assert await desk.authenticate("open sesame", "2001:db8::1")
    for _ in range(MAX_FAILURES - 1):
        assert not await desk.authenticate("guess", "2001:db8::1")
    assert await desk.authenticate("open sesame", "2001:db8::1")


async def test_a_flood_is_a_few_lines_in_the_log(
    desk: EsControlDesk, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(200):
        await desk.authenticate("guess", "192.0.2.1")
    assert len(caplog.records) <= MAX_FAILURES + 1
    assert "guess" not in caplog.text


async def test_the_control_password_leaves_no_phone_behind(tmp_path: Path) -> None:
    """It is nobody's account: no change of one would ever take such a registration back."""
    (tmp_path / "password").write_text("open sesame\n")
    (tmp_path / "key").write_text("k")
    house = House(tmp_path)
    config = ServerConfig(
        host="127.0.0.1",
        tls=False,
        escontrol=True,
        escontrol_password_file=str(tmp_path / "password"),
        push=PushConfig(url="http://127.0.0.1:1/", key_file=str(tmp_path / "key")),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, config, house.context("zmes"))
        async with connect_websocket(house.ready["zmes"]) as peer:
            await peer.send_text(encode_request(Auth(password="open sesame", category="escontrol")))
            assert "Success" in str(await peer.receive())
            await peer.send_text(encode_request(PushToken(token="t", platform="ios")))
            with trio.fail_after(2):
                assert "NOAUTH" in str(await peer.receive())
        nursery.cancel_scope.cancel()
