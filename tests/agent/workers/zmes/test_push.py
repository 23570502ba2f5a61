from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from harness.push_service import OK, UNAVAILABLE, UNREGISTERED, PushService, push_service

from agent.workers.zmes import push as push_module
from agent.workers.zmes.config import PushConfig
from agent.workers.zmes.push import QUEUE_SIZE, SENDERS, Push, Verdict, judge, push_job
from agent.workers.zmes.tokens import Registration, TokenStore
from agent.workers.zmes.wire import AlarmItem

ITEM = AlarmItem(event_id="71", monitor_id="4", name="Haustür", cause="Ring", picture="https://p/71")


@asynccontextmanager
async def pushing(tmp_path: Path) -> AsyncIterator[tuple[PushService, Push, TokenStore]]:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    tokens = TokenStore({"phone": Registration(platform="ios")}, lambda: None)
    async with push_service() as service, trio.open_nursery() as nursery:
        push = Push(PushConfig(url=service.url, key_file=str(key)), tokens, lambda: None)
        nursery.start_soon(push.run)
        yield service, push, tokens
        nursery.cancel_scope.cancel()


async def until(push: Push, **expected: int) -> None:
    with trio.fail_after(5):
        while any(getattr(push.counters, name) != value for name, value in expected.items()):
            await trio.sleep(0.005)


def job(badge: int = 1) -> push_module.PushJob:
    return push_job("phone", ITEM, badge=badge, tag_event_id=False)


async def test_a_message(tmp_path: Path) -> None:
    async with pushing(tmp_path) as (service, push, _):
        push.offer(job(badge=3))
        (message,) = await service.received(1)
        await until(push, sent=1)
    assert message == {
        "token": "phone",
        "notification": {"title": "Haustür", "body": "Ring", "image": "https://p/71"},
        "data": {
            "eid": "71", "mid": "4", "monitorName": "Haustür", "cause": "Ring",
            "notification_foreground": "true",
        },
        "android": {"priority": "high"},
        "apns": {
            "headers": {"apns-priority": "10"}, "payload": {"aps": {"sound": "default", "badge": 3}},
        },
    }  # fmt: skip
    assert service.authorisations == ["Bearer s3cret"]


def test_the_event_id_can_be_shown() -> None:
    body = json.loads(push_job("phone", ITEM, badge=1, tag_event_id=True).body)
    assert body["message"]["notification"]["body"] == "Ring (71)"
    assert "phone" not in repr(job())


async def test_an_unavailable_service_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_module, "RETRY_AFTER_S", 0.01)
    async with pushing(tmp_path) as (service, push, _):
        service.answers = [UNAVAILABLE, OK, UNAVAILABLE, UNAVAILABLE]
        push.offer(job())
        await until(push, sent=1)
        push.offer(job())
        await until(push, failed=1)
        assert len(service.messages) == 4


async def test_an_unregistered_phone_is_disabled(tmp_path: Path) -> None:
    async with pushing(tmp_path) as (service, push, tokens):
        service.answers = [UNREGISTERED]
        push.offer(job())
        await until(push, failed=1)
        registration = tokens.get("phone")
        assert registration is not None
        assert not registration.enabled
        assert len(service.messages) == 1


async def test_a_service_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_module, "RETRY_AFTER_S", 0.01)
    (tmp_path / "key").write_text("k")
    push = Push(
        PushConfig(url="http://127.0.0.1:1/", key_file=str(tmp_path / "key")),
        TokenStore({}, lambda: None),
        lambda: None,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(push.run)
        push.offer(job())
        await until(push, failed=1)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("url", ["https://ä..example/", "https://xn--/"])
async def test_an_impossible_url_stops_no_bell(tmp_path: Path, url: str) -> None:
    (tmp_path / "key").write_text("k")
    config = PushConfig(url=url, key_file=str(tmp_path / "key"))
    push = Push(config, TokenStore({}, lambda: None), lambda: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(push.run)
        push.offer(job())
        await until(push, failed=1)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("content", [None, "", "two\nlines"])
async def test_without_a_usable_key_nothing_is_sent(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with pushing(tmp_path) as (service, push, _):
        if content is None:
            (tmp_path / "key").unlink()
        else:
            (tmp_path / "key").write_text(content)
        push.offer(job())
        await until(push, failed=1)
        assert service.messages == []
    assert "push key not readable" in caplog.text
    assert "two" not in caplog.text


async def test_a_stuck_service_costs_the_oldest_messages(tmp_path: Path) -> None:
    async with pushing(tmp_path) as (service, push, _):
        service.hold = trio.Event()
        for number in range(SENDERS):
            push.offer(job(badge=number))
        await service.received(SENDERS)
        for number in range(QUEUE_SIZE + 3):
            push.offer(job(badge=100 + number))
        assert push.counters.dropped == 3
        service.hold.set()
        await until(push, sent=SENDERS + QUEUE_SIZE)
        badges = {message["apns"]["payload"]["aps"]["badge"] for message in service.messages}
        assert badges.isdisjoint({100, 101, 102})
        assert 103 in badges


@pytest.mark.parametrize(
    ("status", "answer", "verdict"),
    [
        (200, b"", "sent"),
        (429, b"", "retry"),
        (500, b"", "retry"),
        (503, b"", "retry"),
        (404, b"<html>", "refused"),
        (404, b'{"error":{"status":"NOT_FOUND"}}', "unregistered"),
        (404, b'{"error":[]}', "refused"),
        (404, b"[]", "refused"),
        (400, b'{"error":{"details":[{"errorCode":"UNREGISTERED"}]}}', "unregistered"),
        (400, b'{"error":{"status":"INVALID_ARGUMENT"}}', "refused"),
        (401, b"", "refused"),
        (403, b'{"error":{"status":"PERMISSION_DENIED"}}', "refused"),
        (302, b"", "refused"),
    ],
)
def test_verdicts(status: int, answer: bytes, verdict: Verdict) -> None:
    assert judge(status, answer) == verdict
