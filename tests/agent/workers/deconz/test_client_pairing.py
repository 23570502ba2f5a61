"""Getting a key from a gateway, while somebody presses its link button."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import trio
from harness.deconz_gateway import DeconzGateway
from harness.deconz_home import Home
from trio.testing import MockClock

from agent.model.errors import CommandError


async def test_asks_until_the_button_is_pressed_and_keeps_the_key(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        follower = await home.follower(gateway, key="")

        async def press() -> None:
            await trio.sleep(7)
            gateway.linked = True

        nursery.start_soon(press)
        begun = trio.current_time()
        answer = await follower.pair(60)
        assert answer == {"gateway": "home", "bridgeid": "00212EFFFF012345", "name": "Phoscon-GW"}
        asked = [request for request in gateway.requests if request[0] == "POST"]
        assert len(asked) == 5  # every two seconds
        assert trio.current_time() - begun >= 8
        file = tmp_path / "gateway-home.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == "0000000002\n00212EFFFF012345\n"
        assert list(tmp_path.iterdir()) == [file]
        nursery.start_soon(follower.run)
        await home.state("following")
        nursery.cancel_scope.cancel()


async def test_nobody_presses_the_button(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway:
        follower = await home.follower(gateway, key="")
        begun = trio.current_time()
        with pytest.raises(CommandError, match="nobody pressed the link button of Phoscon-GW: press Link"):
            await follower.pair(30)
        assert 26 < trio.current_time() - begun <= 30
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            (400, '[{"error":{"type":7,"address":"/","description":"invalid value"}}]'),
            r"invalid value \(type 7\)",
        ),
        ((200, "<html>"), "answers HTTP 200 and no result"),
        ((200, "[]"), "no result"),
        ((200, '[{"success":{}}]'), "gives no key"),
        ((200, '[{"success":{"username":""}}]'), "gives no key"),
        ((200, '[{"success":{"username":"../../config"}}]'), "gives no key"),
        ((200, '[{"success":{"username":5}}]'), "gives no key"),
        ((200, '[{"success":"yes"}]'), "gives no key"),
    ],
)
async def test_answers_that_are_no_key(
    answer: tuple[int, str], reason: str, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway:
        gateway.answer = lambda method, path, body: answer if method == "POST" else None
        with pytest.raises(CommandError, match=reason):
            await (await home.follower(gateway, key="")).pair(30)
    assert list(tmp_path.iterdir()) == []


async def test_what_is_said_when_it_is_not_there(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway:
        follower = await home.follower(gateway, key="")
        await gateway.stop()
        with pytest.raises(CommandError, match="connection refused; is `url` right"):
            await follower.pair(30)


async def test_another_gateway_gives_no_key(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway:
        gateway.linked = True
        with pytest.raises(CommandError, match="is gateway 00212EFFFF012345, not 00212EFFFF999999"):
            await (await home.follower(gateway, key="", bridge_id="00212EFFFF999999")).pair(30)
        gateway.bridge_id = ""
        with pytest.raises(CommandError, match="is no deCONZ gateway"):
            await (await home.follower(gateway, key="")).pair(30)
        assert {method for method, _ in gateway.requests} == {"GET"}


async def test_a_key_file_of_the_operator_is_not_overruled(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway:
        follower = await home.follower(gateway, key="", key_file=str(tmp_path / "key"))
        with pytest.raises(CommandError, match="has a key_file"):
            await follower.pair(30)
        assert gateway.requests == []


async def test_one_pairing_at_a_time_and_it_may_be_given_up(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway:
        follower = await home.follower(gateway, key="")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.pair, 60)
            await trio.sleep(5)
            with pytest.raises(CommandError, match="being paired already"):
                await follower.pair(60)
            nursery.cancel_scope.cancel()
        gateway.linked = True
        assert (await follower.pair(60))["gateway"] == "home"


async def test_a_key_that_cannot_be_kept(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway:
        gateway.linked = True
        (tmp_path / "gateway-home.key.new").mkdir()
        with pytest.raises(CommandError, match="the key cannot be kept"):
            await (await home.follower(gateway, key="")).pair(30)


async def test_pairing_again_while_it_is_followed(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        follower = await home.follower(gateway)
        nursery.start_soon(follower.run)
        await home.state("following")
        gateway.linked = True
        await follower.pair(30)
        assert gateway.websockets == 1
        assert home.page["gateway.home.state"] == "following"
        # And the next command goes out with the new key.
        gateway.keys = {"0000000002"}
        from agent.model.actions import SwitchLight

        assert await home.do("stairs", SwitchLight(endpoint="stairs", on=True)) is None
        nursery.cancel_scope.cancel()
