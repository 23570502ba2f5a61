"""The door and a cloud: from nothing to a ring, through everything that clouds do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from harness.netatmo_bodies import PICTURE
from harness.netatmo_cloud import (
    CAMERA,
    HOME,
    HTML,
    JOHN,
    OUTDOOR,
    SECRET,
    STATION,
    VPN,
    NetatmoCloud,
    failed,
)
from harness.netatmo_home import Home, press, told
from trio.testing import MockClock

from agent.model.actions import SwitchLight, Unlock
from agent.model.events import (
    ButtonPressed,
    LightChanged,
    LockChanged,
)

HOOK = "https://door.example.org/hooks/netatmo/"


async def hooked(home: Home, cloud: NetatmoCloud, nursery: trio.Nursery, **config: Any) -> None:
    await home.followed(cloud, nursery, **({"webhook_url": HOOK} | config))
    await home.until(lambda: "/hooks/netatmo" in home.mounted)
    await home.until(lambda: home.page.get("cloud.casa.webhook") == "working")


def rings(home: Home) -> list[str]:
    return [event.endpoint for event in home.events(ButtonPressed)]


async def settle() -> None:
    await trio.sleep(0.5)


# ----- section 13: a client's rules -----


async def test_one_call_for_a_home_at_a_time(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        cloud.slow_s = 0.05
        results: list[str | None] = []

        async def switch(name: str, action: Any) -> None:
            results.append(await home.do(name, action))

        async with trio.open_nursery() as several:
            several.start_soon(switch, "door", Unlock(endpoint="door"))
            several.start_soon(switch, "stairs", SwitchLight(endpoint="stairs", on=True))
            several.start_soon(switch, "garden", SwitchLight(endpoint="garden", on=True))
        assert results == [None, None, None]
        assert len(cloud.orders) == 3
        assert cloud.overlaps == 0
        nursery.cancel_scope.cancel()


async def test_an_expired_token_is_renewed_once_and_the_call_repeated_once(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        cloud.access = set()
        assert await home.do("door", Unlock(endpoint="door")) is None
        assert len(cloud.token_requests) == 1
        assert len(cloud.orders) == 1
        assert home.tokens().refresh == cloud.refresh == "1|refresh"
        nursery.cancel_scope.cancel()


async def test_a_fresh_token_that_is_refused_parks(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.answer = lambda method, path, body: failed(403, 2) if path.startswith("/api") else None
        await home.followed(cloud, nursery, wait=False)
        await home.state("parked")
        assert "portero netatmo login casa" in str(home.page["cloud.casa.problem"])
        assert "portero netatmo login casa" in home.problem("bell")
        assert len(cloud.token_requests) == 1
        nursery.cancel_scope.cancel()


async def test_the_usage_limit_pauses_polling_for_ten_minutes_not_the_webhooks(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        cloud.answer = lambda m, path, b: failed(403, 26, "User usage reached") if "status" in path else None
        await home.state("retrying")
        asked, at = len(cloud.requests), trio.current_time()
        await home.push(press())
        await trio.sleep(500)
        assert rings(home) == ["bell"]
        assert len(cloud.requests) == asked
        cloud.answer = lambda method, path, body: None
        await home.state("following")
        assert 590 <= trio.current_time() - at <= 960
        nursery.cancel_scope.cancel()


async def test_5xx_keeps_the_last_state_and_it_goes_stale_after_two_periods(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        at = trio.current_time()
        cloud.answer = lambda method, path, body: (502, HTML)
        await home.state("retrying")
        assert home.problem("bell") == ""
        (row,) = await home.ask("cloud_status")
        assert len(row["modules"]) == 13
        await home.until(lambda: home.problem("bell") != "")
        assert 239 <= trio.current_time() - at <= 250
        cloud.answer = lambda method, path, body: None
        await home.state("following")
        assert home.problem("bell") == ""
        nursery.cancel_scope.cancel()


async def test_one_status_for_many_webhooks(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        before = cloud.count("homestatus")
        for number in range(10):
            await home.push(told("NACamera-movement", event_id=f"e{number}", device_id=CAMERA))
            await trio.sleep(0.1)
        await trio.sleep(4)
        assert cloud.count("homestatus") == before + 1
        nursery.cancel_scope.cancel()


async def test_another_homes_webhook_is_ignored_and_answered_200(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        assert await home.push(press(home_id="another")) == 200
        await home.until(lambda: home.page.get("cloud.casa.foreign") == 1)
        assert home.reports() == []
        nursery.cancel_scope.cancel()


async def test_nothing_secret_is_logged_shown_or_told(
    tmp_path: Path, patient_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="agent")
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        await home.push(press(snapshot_url=PICTURE, vignette_url=PICTURE))
        cloud.access = set()
        await home.do("door", Unlock(endpoint="door"))
        cloud.hang_up = True
        await home.state("retrying")
        rows = await home.ask("cloud_status")
        hook = (tmp_path / "cloud-casa.hook").read_text().strip()
        everything = "\n".join(
            [caplog.text, repr(rows), repr(home.pages), *(repr(entry.event) for entry in home.log.entries)]
        )
        for secret in (SECRET, hook, "first|", "1|access", "1|refresh", VPN, PICTURE, "0123456789abcdef"):
            assert secret not in everything
        assert "prodvpn-eu-2.netatmo.net" in repr(rows)
        nursery.cancel_scope.cancel()


async def test_offline_everything_is_retried_quietly(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        await cloud.stop()
        await home.state("retrying")
        await trio.sleep(3600)
        assert home.problem("door")
        await cloud.start()
        await home.state("following")
        assert home.problem("door") == ""
        nursery.cancel_scope.cancel()


# ----- outputs -----


async def test_a_lock_is_taken_on_and_never_believed(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        assert await home.do("door", Unlock(endpoint="door")) is None
        (order,) = cloud.orders
        assert order["home"]["id"] == HOME
        assert order["home"]["modules"] == [
            {"id": "c0002f-aa6f-c73e6db3f1d7", "bridge": STATION, "lock": False}
        ]
        await trio.sleep(6)
        changes = [(one.state, one.by, one.reason) for one in home.events(LockChanged)]
        assert changes == [("unlocked", "ana", ""), ("locked", "", "the vendor does not report it")]
        assert len(cloud.orders) == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("bad", ["hang_up", "mute", "html", "later"])
async def test_an_unlocking_whose_answer_is_lost_is_never_repeated(
    bad: str, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        asked: list[str] = []

        def answer(method: str, path: str, body: bytes) -> tuple[int, object] | None:
            if path != "/api/setstate":
                return None
            asked.append(path)
            return {"html": (503, HTML), "later": failed(500, 35)}.get(bad)

        cloud.answer = answer
        cloud.hang_up, cloud.mute = bad == "hang_up", bad == "mute"
        before = [path for _, path in cloud.requests].count("/api/setstate")
        reason = await home.do("door", Unlock(endpoint="door"))
        assert reason
        assert "may have acted" in reason
        cloud.hang_up = cloud.mute = False
        await trio.sleep(60)
        assert [path for _, path in cloud.requests].count("/api/setstate") == before + 1
        assert home.events(LockChanged) == []
        nursery.cancel_scope.cancel()


async def test_an_unlocking_waits_its_turn_and_no_longer_than_ten_seconds(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        times: list[float] = []

        def busy(method: str, path: str, body: bytes) -> tuple[int, object] | None:
            if path != "/api/setstate":
                return None
            times.append(trio.current_time())
            return failed(429, 11, "Failed to enter concurrency limited section") if len(times) < 3 else None

        cloud.answer = busy
        assert await home.do("door", Unlock(endpoint="door")) is None
        assert len(times) == 3
        assert 2.9 <= times[-1] - times[0] <= 4
        times.clear()

        def always(method: str, path: str, body: bytes) -> tuple[int, object]:
            times.append(trio.current_time())
            return failed(429, 11)

        cloud.answer = always
        assert "error 11" in str(await home.do("door", Unlock(endpoint="door")))
        assert times[-1] - times[0] <= 10
        nursery.cancel_scope.cancel()


async def test_a_light_is_switched_off_again_by_our_own_timer(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        assert await home.do("stairs", SwitchLight(endpoint="stairs", on=True, duration_s=30)) is None
        await trio.sleep(35)
        assert [order["home"]["modules"][0]["on"] for order in cloud.orders] == [True, False]
        assert 29 <= cloud.order_times[1] - cloud.order_times[0] <= 32
        assert [one.on for one in home.events(LightChanged)] == [True, False]
        nursery.cancel_scope.cancel()


async def test_a_floodlight(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        assert await home.do("garden", SwitchLight(endpoint="garden", on=True)) is None
        assert cloud.orders[0]["home"]["modules"] == [{"id": OUTDOOR, "floodlight": "on"}]
        nursery.cancel_scope.cancel()


async def test_stopping_the_worker_switches_a_timed_light_off(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud:
        async with trio.open_nursery() as nursery:
            await home.followed(cloud, nursery)
            assert await home.do("stairs", SwitchLight(endpoint="stairs", on=True, duration_s=300)) is None
            nursery.cancel_scope.cancel()
        assert [order["home"]["modules"][0]["on"] for order in cloud.orders] == [True, False]


@pytest.mark.parametrize(
    ("answer", "told_reason"),
    [
        ((200, {"status": "ok", "body": {"errors": [{"code": 41, "id": STATION}]}}), "unreachable"),
        (failed(403, 13), "write_mx"),
        (failed(400, 21, "cannot set property lock"), "cannot set property lock"),
    ],
)
async def test_an_unlocking_that_is_refused(
    answer: tuple[int, object], told_reason: str, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        cloud.answer = lambda m, path, b: answer if path == "/api/setstate" else None
        assert told_reason in str(await home.do("door", Unlock(endpoint="door")))
        assert home.events(LockChanged) == []
        nursery.cancel_scope.cancel()


# ----- homes -----


async def test_unknown_modules_are_shown_and_harm_nobody(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.modules.append({"id": "zz", "type": "NXYZ", "name": "New", "what": [{"x": None}]})
        cloud.status.append({"id": "zz", "type": "NXYZ", "status": 5, "odd": {"a": 1}, "firmware_name": "9"})
        cloud.status.append({"id": "not-in-topology", "type": "NQ"})
        await home.followed(cloud, nursery)
        (row,) = await home.ask("cloud_status")
        (new,) = [one for one in row["modules"] if one["id"] == "zz"]
        assert (new["type"], new["product"], new["software"]) == ("NXYZ", "NXYZ", "9")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("homes", "config", "problem"),
    [
        ([{"id": "a", "name": "Casa"}, {"id": "b", "name": "Mare"}], {}, "say which home: Casa, Mare"),
        ([{"id": "a", "name": "Casa"}], {"home": "Mare"}, "no home 'Mare'; the account has Casa"),
    ],
)
async def test_which_home(
    homes: Any, config: Any, problem: str, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.homes = homes
        await home.followed(cloud, nursery, wait=False, **config)
        await home.state("parked")
        assert problem in str(home.page["cloud.casa.problem"])
        nursery.cancel_scope.cancel()


async def test_everything_behind_an_unreachable_gateway_is_unreachable(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        cloud.part_errors = [{"code": 6, "id": STATION}]
        await home.until(lambda: "cannot reach" in home.problem("door"))
        assert "cannot reach" in home.problem("bell")
        assert home.problem("window") == ""
        cloud.part_errors = []
        await home.until(lambda: home.problem("door") == "")
        nursery.cancel_scope.cancel()


async def test_an_endpoint_that_is_nothing_at_the_cloud(tmp_path: Path, patient_clock: MockClock) -> None:
    endpoints: dict[str, dict[str, Any]] = {
        "a": {"module": "Nobody", "acts_as": "button"},
        "b": {"module": "Salotto", "acts_as": "lock"},
    }
    home = Home(tmp_path, clock=patient_clock, endpoints=endpoints)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        assert home.problem("a") == "the cloud has no module 'Nobody'"
        assert home.problem("b") == "Salotto is a NACamera, which is no lock"
        nursery.cancel_scope.cancel()


async def test_persons_come_and_go(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await hooked(home, cloud, nursery)
        cloud.away[JOHN] = True
        await home.push(told("NACamera-person_away", persons=[{"id": JOHN}], event_id="e"))
        await settle()
        assert home.reports()[0].persons == ("John",)
        (row,) = await home.ask("cloud_status")
        assert row["persons"][0] == {"id": JOHN, "name": "John", "last_seen": 1700000000, "away": True}
        nursery.cancel_scope.cancel()
