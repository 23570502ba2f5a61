"""One call of the API and every kind of refusal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from harness.netatmo_cloud import CLIENT_ID, HOME, HTML, SECRET, NetatmoCloud, failed
from trio.testing import MockClock

from agent.model.errors import AuthenticationError, PeerError
from agent.net.http_client import HttpClient
from agent.workers.netatmo.catalogue import ERRORS
from agent.workers.netatmo.client_api import Api, ApiError
from agent.workers.netatmo.client_history import newest
from agent.workers.netatmo.client_oauth import Grants, OAuth
from agent.workers.netatmo.client_tokens import TokenFile, Tokens
from agent.workers.netatmo.wire import StoredEvent

assert httpx  # imported early: while a thread does that, a clock that jumps would jump
FIELDS = {"home_id": HOME}
ORDER = {"home": {"id": HOME, "modules": [{"id": "x", "lock": False}]}}


@asynccontextmanager
async def called(cloud: NetatmoCloud, folder: Path, clock: MockClock) -> AsyncIterator[Api]:
    clock.autojump_threshold = 0.003
    async with cloud.running(), HttpClient(timeout_s=20, max_body_bytes=2 << 20) as http:
        tokens = Tokens(access="first|access", refresh="first|refresh", obtained_s=int(time.time()))
        oauth = OAuth(http, cloud.url, client_id=CLIENT_ID, client_secret=SECRET)
        yield Api(http, cloud.url, Grants(oauth, TokenFile(folder, "casa"), tokens), rng=lambda: 0.0)


def always(*answers: tuple[int, object]) -> Callable[[str, str, bytes], tuple[int, object] | None]:
    """Scripted answers of the API, the last one again and again; tokens are given as usual."""
    left = list(answers)

    def answer(method: str, path: str, body: bytes) -> tuple[int, object] | None:
        if not path.startswith("/api"):
            return None
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


async def write(api: Api, *, begin_by: float | None = None, patience_s: float = 10.0) -> Any:
    at = trio.current_time() + 2 if begin_by is None else begin_by
    return await api.write("setstate", ORDER, begin_by=at, patience_s=patience_s)


async def test_a_read_is_a_form_with_a_bearer(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    async with called(cloud, tmp_path, patient_clock) as api:
        answer = await api.read("homestatus", FIELDS)
        assert answer["body"]["home"]["id"] == HOME
        assert cloud.requests == [("POST", "/api/homestatus")]
        assert cloud.bearers == ["first|access"]


REFUSED = {
    5: AuthenticationError,
    19: AuthenticationError,
    22: AuthenticationError,
    -1: AuthenticationError,
    -2: AuthenticationError,
    30: AuthenticationError,
    2: AuthenticationError,
    3: AuthenticationError,
}


@pytest.mark.parametrize("code", ERRORS)
async def test_every_error(code: int, tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    cloud.answer = always(failed(403, code, "told"))
    async with called(cloud, tmp_path, patient_clock) as api:
        if ERRORS[code].remedy == "done":
            assert await api.read("x") == {"status": "ok"}
            return
        with pytest.raises((AuthenticationError, ApiError)) as caught:
            await api.read("x")
        assert isinstance(caught.value, REFUSED.get(code, ApiError))
        assert f"error {code}" in str(caught.value)
        asked = sum(path == "/api/x" for _, path in cloud.requests)
        assert asked == {"refresh": 2, "wait": 5}.get(ERRORS[code].remedy, 1)
        assert (api.paused_until > trio.current_time()) is (code == 26)


@pytest.mark.parametrize(
    "answer",
    [(502, HTML), (200, HTML), (200, '{"status"'), (500, "{}"), (503, {"error": "x"}), (404, HTML), (301, {}),
     (201, {"status": "ok"}), (200, '{"error":{"code":21}}'), (409, {"error": {"code": "WH009"}}),
     (200, "{" + '"a":{' * 50 + "}" * 51)],
)  # fmt: skip
async def test_what_is_no_answer(
    answer: tuple[int, object], tmp_path: Path, patient_clock: MockClock
) -> None:
    cloud = NetatmoCloud()
    cloud.answer = always(answer)
    async with called(cloud, tmp_path, patient_clock) as api:
        with pytest.raises(ApiError):
            await api.read("x")
        assert len(cloud.requests) == 1


async def test_an_empty_answer_to_a_write(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    cloud.answer = always((200, ""))
    cloud.headers = {"content-type": "application/json"}
    async with called(cloud, tmp_path, patient_clock) as api:
        assert await write(api) == {"status": "ok"}


@pytest.mark.parametrize(
    ("retry_after", "expected"), [("3", [3, 3]), ("", [1, 2]), ("nonsense", [1, 2]), ("600", None)]
)
async def test_429_waits_as_it_is_told_else_ever_longer(
    retry_after: str, expected: list[int] | None, tmp_path: Path, patient_clock: MockClock
) -> None:
    cloud = NetatmoCloud()
    times: list[float] = []

    def busy(method: str, path: str, body: bytes) -> tuple[int, object] | None:
        times.append(trio.current_time())
        return failed(429, 11) if len(times) < 3 else None

    cloud.answer = busy
    cloud.headers = {"retry-after": retry_after} if retry_after else {}
    async with called(cloud, tmp_path, patient_clock) as api:
        if expected is None:
            with pytest.raises(ApiError) as caught:
                await api.read("homestatus", FIELDS)
            assert caught.value.retry_after_s == 600
            return
        await api.read("homestatus", FIELDS)
        waits = [round(after - before) for before, after in pairwise(times)]
        assert waits == expected


async def test_a_usage_limit_pauses_reads_not_writes(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    cloud.answer = always(failed(429, 26))
    async with called(cloud, tmp_path, patient_clock) as api:
        with pytest.raises(ApiError):
            await api.read("homestatus", FIELDS)
        asked = len(cloud.requests)
        for _ in range(5):
            with pytest.raises(ApiError):
                await api.read("homestatus", FIELDS)
        assert len(cloud.requests) == asked
        cloud.answer = lambda method, path, body: None
        await write(api)
        assert len(cloud.orders) == 1
        await trio.sleep(601)
        await api.read("homestatus", FIELDS)


async def test_a_write_goes_before_a_read_that_hangs(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    read: list[Any] = []

    async def status() -> None:
        read.append(await api.read("homestatus", FIELDS))

    async with called(cloud, tmp_path, patient_clock) as api, trio.open_nursery() as nursery:
        cloud.slow_s = 5.0
        nursery.start_soon(status)
        await trio.sleep(0.1)
        cloud.slow_s = 0.0
        begun = trio.current_time()
        await write(api)
        assert trio.current_time() - begun < 1
        assert read == []
        await trio.sleep(1)
        assert len(read) == 1  # asked for again


async def test_a_write_that_was_too_late_is_not_begun(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    async with called(cloud, tmp_path, patient_clock) as api, trio.open_nursery() as nursery:
        cloud.slow_s = 5.0
        nursery.start_soon(write, api)
        await trio.sleep(0.1)
        with pytest.raises(ApiError) as caught:
            await write(api)
        assert caught.value.sent is False
        await trio.sleep(10)
        assert len(cloud.orders) == 1


async def test_a_write_after_an_expired_token(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    cloud.access = set()
    async with called(cloud, tmp_path, patient_clock) as api:
        await write(api)
        assert len(cloud.orders) == 1
        assert len(cloud.token_requests) == 1


@pytest.mark.parametrize("bad", ["hang_up", "mute"])
async def test_a_write_that_gets_no_answer_is_not_repeated(
    bad: str, tmp_path: Path, patient_clock: MockClock
) -> None:
    cloud = NetatmoCloud()
    setattr(cloud, bad, True)
    async with called(cloud, tmp_path, patient_clock) as api:
        with pytest.raises(PeerError):
            await write(api)
        assert len(cloud.requests) == 1


# ----- history -----


def page(first: int, count: int = 30) -> list[dict[str, Any]]:
    return [{"id": f"e{number}", "type": "movement", "time": 1} for number in range(first, first + count)]


async def test_paging_ends_at_what_is_known(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    cloud.events = page(0, 200)
    async with called(cloud, tmp_path, patient_clock) as api:
        found, _ = await newest(api, HOME, known=lambda event: int(event.id[1:]) >= 40)
        assert [event.id for event in found] == [f"e{number}" for number in range(40)]
        assert cloud.count("getevents") == 2


async def test_paging_never_asks_in_circles(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    same = {"status": "ok", "body": {"home": {"id": HOME, "events": page(0)}}}
    cloud.answer = always((200, same))
    async with called(cloud, tmp_path, patient_clock) as api:
        found, _ = await newest(api, HOME, known=lambda event: False)
        assert len(found) == 30
        assert len(cloud.requests) == 2


async def test_paging_has_an_end(tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    cloud.events = page(0, 1000)
    async with called(cloud, tmp_path, patient_clock) as api:
        found, clock = await newest(api, HOME, known=lambda event: False)
        assert len(found) == 117  # the event that was asked for is repeated
        assert cloud.count("getevents") == 4
        assert abs(clock - time.time()) < 5


@pytest.mark.parametrize("events", [[], page(0, 3), [{"type": "movement"}] * 30])
async def test_a_short_history(events: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    cloud = NetatmoCloud()
    cloud.events = events

    def never(event: StoredEvent) -> bool:
        return False

    async with called(cloud, tmp_path, patient_clock) as api:
        found, _ = await newest(api, HOME, known=never)
        assert len(found) == len(events)
        assert cloud.count("getevents") == 1
