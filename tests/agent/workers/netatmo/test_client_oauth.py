"""Tokens: asked for once, renewed by one at a time, on disk before anybody uses them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import trio
from harness.netatmo_cloud import CLIENT_ID, HTML, SECRET, NetatmoCloud
from trio.testing import MockClock

from agent.model.errors import AuthenticationError, PeerError
from agent.net.http_client import HttpAnswer, HttpClient
from agent.workers.netatmo.client_oauth import GrantRefused, Grants, OAuth, consent_url, retry_after
from agent.workers.netatmo.client_tokens import TokenFile, Tokens

assert httpx  # imported early: while a thread does that, a clock that jumps would jump


@asynccontextmanager
async def granted(
    cloud: NetatmoCloud, folder: Path, *, obtained_s: float | None = None, lasts_s: int = 10_800,
    secret: str = SECRET,
) -> AsyncIterator[Grants]:  # fmt: skip
    async with cloud.running(), HttpClient(timeout_s=20) as http:
        oauth = OAuth(http, cloud.url, client_id=CLIENT_ID, client_secret=secret)
        tokens = Tokens(
            access="first|access", refresh="first|refresh", lasts_s=lasts_s,
            obtained_s=int(time.time() if obtained_s is None else obtained_s),
        )  # fmt: skip
        file = TokenFile(folder, "casa")
        await file.store(tokens)
        yield Grants(oauth, file, tokens)


def disk(folder: Path) -> str:
    found = TokenFile(folder, "casa").load()
    assert found is not None
    return found.refresh


def test_the_page_of_consent() -> None:
    url = consent_url(
        "https://api.netatmo.com/",
        client_id="c",
        redirect_uri="http://127.0.0.1:8/",
        scopes=("a", "b"),
        state="s",
    )
    parts = urlsplit(url)
    assert (parts.netloc, parts.path) == ("api.netatmo.com", "/oauth2/authorize")
    assert parse_qs(parts.query) == {
        "client_id": ["c"],
        "redirect_uri": ["http://127.0.0.1:8/"],
        "scope": ["a b"],
        "state": ["s"],
        "response_type": ["code"],
    }


async def test_a_refresh_races_itself(tmp_path: Path) -> None:
    cloud = NetatmoCloud()
    cloud.slow_s = 0.05
    async with granted(cloud, tmp_path) as grants:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(grants.renew, "first|access")
        assert len(cloud.token_requests) == 1
        assert grants.access() == "1|access"
        assert disk(tmp_path) == "1|refresh"
        form = cloud.token_requests[0]
        assert form["refresh_token"] == "first|refresh"  # percent-encoded on its way


async def test_the_new_pair_is_on_disk_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = NetatmoCloud()
    async with granted(cloud, tmp_path) as grants:
        used: list[str] = []
        store = TokenFile.store

        async def watch(self: TokenFile, tokens: Tokens) -> None:
            used.append(grants.access())
            await store(self, tokens)
            used.append(grants.access())

        monkeypatch.setattr(TokenFile, "store", watch)
        await grants.renew("first|access")
        assert used == ["first|access", "first|access"]
        assert grants.access() == "1|access"


async def test_cancelled_in_the_middle_nothing_is_lost(tmp_path: Path) -> None:
    cloud = NetatmoCloud()
    cloud.slow_s = 0.1
    async with granted(cloud, tmp_path) as grants:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(grants.renew, "first|access")
            await trio.sleep(0.03)
            nursery.cancel_scope.cancel()
        assert disk(tmp_path) == cloud.refresh == "1|refresh"


async def test_a_full_disk_keeps_the_pair_in_memory_and_stores_it_later(
    tmp_path: Path, patient_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient_clock.autojump_threshold = 0.003
    cloud = NetatmoCloud()
    async with granted(cloud, tmp_path) as grants, trio.open_nursery() as nursery:
        store = TokenFile.store

        async def full(self: TokenFile, tokens: Tokens) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(TokenFile, "store", full)
        await grants.renew("first|access")
        assert (grants.access(), disk(tmp_path)) == ("1|access", "first|refresh")
        nursery.start_soon(grants.keep_fresh)
        await trio.sleep(70)
        monkeypatch.setattr(TokenFile, "store", store)
        with trio.fail_after(600):  # a thread stores it while the clock jumps
            while disk(tmp_path) != "1|refresh":
                await trio.sleep(1)
        nursery.cancel_scope.cancel()


async def test_renewed_at_four_fifths_of_its_life(tmp_path: Path, patient_clock: MockClock) -> None:
    patient_clock.autojump_threshold = 0.003
    cloud = NetatmoCloud()
    async with granted(cloud, tmp_path) as grants, trio.open_nursery() as nursery:
        nursery.start_soon(grants.keep_fresh)
        await trio.sleep(8600)
        assert cloud.token_requests == []
        await trio.sleep(100)
        assert len(cloud.token_requests) == 1
        await trio.sleep(8700)
        assert len(cloud.token_requests) == 2
        nursery.cancel_scope.cancel()


async def test_a_lifetime_of_a_second_is_no_storm(tmp_path: Path, patient_clock: MockClock) -> None:
    patient_clock.autojump_threshold = 0.003
    cloud = NetatmoCloud()
    cloud.lasts_s = 1
    async with granted(cloud, tmp_path, lasts_s=1) as grants, trio.open_nursery() as nursery:
        nursery.start_soon(grants.keep_fresh)
        await trio.sleep(300)
        assert len(cloud.token_requests) <= 11
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("obtained_s", "least_s", "most_s"),
    [(-3600, 7100, 7300), (-20_000, 0, 0), (3_000_000, 10_700, 10_801)],
)
async def test_how_old_a_pair_from_the_disk_is(
    obtained_s: int, least_s: float, most_s: float, tmp_path: Path
) -> None:
    """The last: a clock that is in the past."""
    async with granted(NetatmoCloud(), tmp_path, obtained_s=time.time() + obtained_s) as grants:
        assert least_s <= grants.expires_s <= most_s


@pytest.mark.parametrize(
    "answer",
    [
        (400, {"error": "invalid_grant"}),
        (400, {"error": {"code": -1}}),
        (400, {"error": {"code": 30}}),
        (403, {"error": "access_denied"}),
    ],
)
async def test_a_refused_grant_keeps_the_pair(answer: tuple[int, object], tmp_path: Path) -> None:
    cloud = NetatmoCloud()
    cloud.answer = lambda method, path, body: answer
    async with granted(cloud, tmp_path) as grants:
        with pytest.raises(GrantRefused):
            await grants.renew("first|access")
        assert disk(tmp_path) == "first|refresh"
        assert grants.access() == "first|access"


@pytest.mark.parametrize(
    "code",
    ["invalid_client", "unauthorized_client", "invalid_scope", "redirect_uri_mismatch", "invalid_request"],
)
async def test_an_application_that_is_refused(code: str, tmp_path: Path) -> None:
    cloud = NetatmoCloud()
    cloud.answer = lambda method, path, body: (400, {"error": code})
    async with granted(cloud, tmp_path) as grants:
        with pytest.raises(AuthenticationError, match="client_secret_file"):
            await grants.renew("first|access")


@pytest.mark.parametrize(
    "answer",
    [
        (500, HTML),
        (502, HTML),
        (429, {"error": "too_many_connections"}),
        (200, HTML),
        (200, {"access_token": "a"}),
        (400, {"error": "too_many_connections"}),
        (400, HTML),
        (200, {}),
        (503, {"error": "invalid_grant"}),
    ],
)
async def test_what_passes_by_itself(answer: tuple[int, object], tmp_path: Path) -> None:
    cloud = NetatmoCloud()
    cloud.answer = lambda method, path, body: answer
    async with granted(cloud, tmp_path) as grants:
        with pytest.raises(PeerError) as caught:
            await grants.renew("first|access")
        assert "first" not in str(caught.value)
        assert disk(tmp_path) == "first|refresh"


async def test_a_restricted_token_for_all_that_needs_no_video(tmp_path: Path) -> None:
    cloud = NetatmoCloud()
    cloud.restricted = True
    async with granted(cloud, tmp_path) as grants:
        await grants.renew("first|access")
        assert grants.access() == "1|restricted"
        assert grants.access(video=True) == "1|access"
        await grants.renew("1|restricted")
        assert grants.access() == "2|restricted"


async def test_a_retired_one_stores_nothing_any_more(tmp_path: Path) -> None:
    cloud = NetatmoCloud()
    async with granted(cloud, tmp_path) as grants:
        grants.retired = True
        with pytest.raises(PeerError):
            await grants.renew("first|access")
        assert cloud.token_requests == []


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("5", 5.0), ("", None), ("soon", None), ("99999", 3600.0), ("-1", None), ("²", None)],
)
def test_retry_after(told: str, seconds: float | None) -> None:
    assert retry_after(HttpAnswer(429, {"retry-after": told}, b"")) == seconds
