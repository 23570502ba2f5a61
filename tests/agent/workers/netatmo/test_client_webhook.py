"""The webhook at the cloud: registered once, watched, and registered anew when it is silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from harness.netatmo_cloud import CAMERA, NetatmoCloud, failed
from harness.netatmo_home import Home, press, told
from trio.testing import MockClock

from agent.workers.netatmo import client_webhook
from agent.workers.netatmo.client_webhook import Watch

HOOK = "https://door.example.org/hooks/netatmo/"


async def working(home: Home, cloud: NetatmoCloud, nursery: trio.Nursery, **config: Any) -> str:
    await home.followed(cloud, nursery, **({"webhook_url": HOOK} | config))
    await home.until(lambda: home.page.get("cloud.casa.webhook") == "working")
    return HOOK + (home.folder / "cloud-casa.hook").read_text().strip()


def stored(cloud: NetatmoCloud, number: int) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "movement", "time": cloud.now_s(), "module_id": CAMERA}


async def test_it_is_registered(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        url = await working(home, cloud, nursery)
        assert cloud.webhook == url
        assert len(cloud.webhook_posts) == 1
        nursery.cancel_scope.cancel()


async def test_one_that_is_there_is_left_alone(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    (tmp_path / "cloud-casa.hook").write_text("a-secret-of-enough-characters-to-be-one\n")
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.webhook = f"{HOOK}a-secret-of-enough-characters-to-be-one"
        await working(home, cloud, nursery)
        assert cloud.webhook_posts == []
        nursery.cancel_scope.cancel()


async def test_another_one_is_replaced(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.webhook = "https://old.example.org/"
        url = await working(home, cloud, nursery)
        assert cloud.webhook == url
        nursery.cancel_scope.cancel()


async def test_wh009_drops_and_adds(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.webhook = "https://old.example.org/"
        cloud.answer = lambda m, path, b: (
            (200, {"status": "ok", "body": []}) if (m, path) == ("GET", "/webhooks/v1") else None
        )
        url = await working(home, cloud, nursery)
        assert cloud.webhook == url
        assert len(cloud.webhook_posts) == 2
        nursery.cancel_scope.cancel()


async def test_one_that_vanished_is_added_within_the_hour(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        url = await working(home, cloud, nursery)
        cloud.webhook = ""
        await trio.sleep(3700)
        assert cloud.webhook == url
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("port", ["8443", "444"])
async def test_a_port_that_the_vendor_refuses(
    port: str, tmp_path: Path, patient_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_webhook, "VENDOR", "127.0.0.1")
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery, webhook_url=f"https://door.example.org:{port}/")
        await home.until(lambda: home.page.get("cloud.casa.webhook") == "refused")
        assert "80, 88, 443, 9443" in str(home.page["cloud.casa.webhook_problem"])
        assert not any(path == "/webhooks/v1" for _, path in cloud.requests)
        before = cloud.count("getevents")
        await trio.sleep(610)
        assert cloud.count("getevents") - before == 5  # polled, as without one
        nursery.cancel_scope.cancel()


async def test_a_registration_that_is_refused_is_tried_again_ever_more_seldom(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.answer = lambda m, path, b: (
            failed(400, 21, "Invalid url parameter") if m == "POST" and path == "/webhooks/v1" else None
        )
        await home.followed(cloud, nursery, webhook_url=HOOK)
        await home.until(lambda: home.page.get("cloud.casa.webhook") == "refused")
        await trio.sleep(3600)
        tries = [path for method, path in cloud.requests if (method, path) == ("POST", "/webhooks/v1")]
        assert 4 <= len(tries) <= 9
        cloud.answer = lambda m, path, b: None
        await home.until(lambda: home.page.get("cloud.casa.webhook") == "working")
        nursery.cancel_scope.cancel()


async def test_history_is_a_safety_net_while_it_works(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await working(home, cloud, nursery)
        await trio.sleep(130)
        before = cloud.count("getevents")
        await trio.sleep(6000)
        assert 9 <= cloud.count("getevents") - before <= 11
        nursery.cancel_scope.cancel()


async def test_a_silent_ban_is_noticed_polled_around_and_ended(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        url = await working(home, cloud, nursery)
        await trio.sleep(700)
        for number in range(2):  # events come, and their webhooks do not
            cloud.events.insert(0, stored(cloud, number))
        await home.until(lambda: home.page.get("cloud.casa.webhook") == "silent")
        before, at = cloud.count("getevents"), trio.current_time()
        await trio.sleep(1000)
        assert cloud.count("getevents") - before >= 7  # as often as without one
        await trio.sleep(3600)
        assert cloud.webhook == url
        assert len(cloud.webhook_posts) == 2  # dropped and added again, once
        assert cloud.webhook_posts[1] - cloud.webhook_posts[0] >= 3600
        assert home.page["cloud.casa.webhook"] == "silent"
        await home.push({"push_type": "webhook_activation"})
        await home.until(lambda: home.page.get("cloud.casa.webhook") == "working")
        assert trio.current_time() > at
        nursery.cancel_scope.cancel()


async def test_a_late_push_is_no_silence(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await working(home, cloud, nursery)
        await trio.sleep(700)
        for number in range(6):
            cloud.events.insert(0, stored(cloud, number))
            await trio.sleep(600)
            await home.push(told("NACamera-movement", event_id=f"e{number}", device_id=CAMERA))
        await trio.sleep(1300)
        assert home.page["cloud.casa.webhook"] == "working"
        assert len([one for one in home.reports() if one.kind == "movement"]) == 6
        nursery.cancel_scope.cancel()


async def test_a_deactivation_that_is_told(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        url = await working(home, cloud, nursery)
        await trio.sleep(3700)
        cloud.webhook = ""
        await home.push({"push_type": "webhook_deactivation"})
        await home.until(lambda: home.page.get("cloud.casa.webhook") == "silent")
        await trio.sleep(60)
        assert cloud.webhook == url
        await home.push(press())
        await home.until(lambda: home.page.get("cloud.casa.webhook") == "working")
        nursery.cancel_scope.cancel()


async def test_there_is_no_listener_yet(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    home.unmountable = True
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery, webhook_url=HOOK)
        home.unmountable = False
        await home.until(lambda: "/hooks/netatmo" in home.mounted)
        assert await home.push(press()) == 200
        nursery.cancel_scope.cancel()


def test_one_event_without_its_push_is_no_silence() -> None:
    watch = Watch()
    watch.polled(["a"], 0.0)
    assert not watch.is_silent(119.0)
    assert not watch.is_silent(121.0)
    watch.pushed("other")
    watch.polled(["b"], 200.0)
    assert not watch.is_silent(400.0)
    watch.polled(["c"], 500.0)
    assert watch.is_silent(700.0)
    watch.forget()
    assert not watch.is_silent(800.0)
