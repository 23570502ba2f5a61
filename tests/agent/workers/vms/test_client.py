"""The whole of it, against a VMS on real sockets, on good days and bad."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.vms_pushes import PUSHES
from harness.vms_server import CAMERA, INTERCOM, VmsServer, wrapped
from starlette.responses import JSONResponse
from trio.testing import MockClock

from agent.model.errors import AuthenticationError
from agent.model.events import CloudReported
from agent.workers.vms import client

USER, INDEX = "private-user.7", "private-admin.intercom-index"
TOKEN = "private-token.tokenid1"
TRANSPORTS = [("pusher", 3), ("socketio", 3), ("socketio", 4)]


def server(version: int = 3, **more: Any) -> VmsServer:
    made = VmsServer()
    made.version = version
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(("transport", "version"), TRANSPORTS)
async def test_every_push_on_each_transport(
    vms: Any, tmp_path: Path, patient_clock: MockClock, transport: str, version: int
) -> None:
    async with vms(tmp_path, server(version), transport=transport, camera_id=CAMERA, analytics=True) as it:
        await it.settled(USER, TOKEN, INDEX)
        before = it.page.get("pushes", 0)
        for _, channel, event, payload in PUSHES:
            wire = "private-" + channel.replace("TOKEN", "tokenid1")
            await it.until(lambda wire=wire: it.server.is_live(wire))
            assert await it.server.push(wire, payload, event) == 1
        await it.until(lambda: it.page.get("pushes", 0) >= before + len(PUSHES))
        assert it.page["unknown"] == 1
        assert "malformed" not in it.page
        kinds = {report.kind for report in it.house.reported}
        assert {"intercom_status_changed", "camera_config_apply", "intercom_sync_keys"} <= kinds
        status = it.follower.board.status()
        assert status["cameras"] == {str(CAMERA): "active"}
        assert set(status["analytics"]) == {"b-1", "10.0.0.5"}
        assert status["dictionary"] == 1
        assert status["unknown_kinds"] == ["door_sings"]
        assert it.page["intercom"] == "inactive" or it.page["looked_up"] > 1


@pytest.mark.parametrize(("transport", "version"), TRANSPORTS)
async def test_keys_come_after_each_connection(
    vms: Any, tmp_path: Path, patient_clock: MockClock, transport: str, version: int
) -> None:
    async with vms(tmp_path, server(version), transport=transport) as it:
        await it.until(lambda: len(it.house.key_files.applied) == 1)
        content, file, source = it.house.key_files.applied[0]
        assert (content, file, source) == (it.server.file[2], "keys.csv", "vms")
        assert it.page["keys"] == "1 added, 0 changed, 0 removed"
        await trio.sleep(400)
        await it.server.drop()
        await it.until(lambda: len(it.house.key_files.applied) == 2)
        assert it.server.connections == 2


async def test_killed_and_restarted(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    async with vms(tmp_path) as it:
        await it.settled(USER, TOKEN, INDEX)
        async with trio.open_nursery() as nursery:
            await it.server.stop()
            await it.state("offline")
            await trio.sleep(30)
            it.server.intercom = "blocked"
            await it.server.start(nursery)
            await it.settled(USER, TOKEN, INDEX)
            await it.until(lambda: it.page.get("intercom") == "blocked")
            assert await it.server.push(USER, wrapped("import_config", [])) == 1
            await it.until(lambda: len(it.house.reported) == 1)
            nursery.cancel_scope.cancel()


async def test_a_day_without_a_vms(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    async with vms(tmp_path) as it:
        await it.settled(USER)
        await it.server.stop()
        await it.state("offline")
        await trio.sleep(86_400)
        assert it.page["state"] in ("offline", "connecting")
        async with trio.open_nursery() as nursery:
            await it.server.start(nursery)
            await it.settled(USER)
            nursery.cancel_scope.cancel()


async def test_a_connection_that_flaps(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    async with vms(tmp_path) as it:
        for _ in range(20):
            await it.settled(USER, TOKEN, INDEX)
            await trio.sleep(10)
            await it.server.drop()
            await trio.sleep(0.1)
        exports = [path for method, path in it.server.requests if path.endswith("/export")]
        assert len(exports) <= trio.current_time() / client.EXPORT_EVERY_S + 1
        assert it.server.logins == 1
        wsurls = [path for _, path in it.server.requests if path == "/api/v1/wsurl"]
        assert len(wsurls) <= 2


async def test_a_log_in_that_runs_out(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    async with vms(tmp_path) as it:
        await it.settled(USER, TOKEN)
        it.server.token = "another"
        await it.server.drop()
        await it.settled(USER, "private-token.tokenid2")
        assert it.server.logins == 2
        assert not it.server.is_live(TOKEN)


async def test_a_login_that_is_refused_parks(tmp_path: Path, vms: Any) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with vms(tmp_path, login="somebody else") as it:
            await it.state("never")
    assert caught.group_contains(AuthenticationError, match="login and password")


async def test_one_refused_channel_tears_nothing_down(
    vms: Any, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with vms(tmp_path, server(forbidden={INDEX})) as it:
        await it.settled(USER, TOKEN)
        assert it.page["channels_refused"] == 1
        it.server.forbidden.clear()
        await it.server.push(USER, wrapped("permissions_updated", {"attached": [], "detached": []}))
        await it.until(lambda: it.server.is_live(INDEX), within_s=100)


@pytest.mark.parametrize(("transport", "version"), TRANSPORTS)
async def test_forbidden_on_each_transport(
    vms: Any, tmp_path: Path, patient_clock: MockClock, transport: str, version: int
) -> None:
    async with vms(tmp_path, server(version, forbidden={INDEX}), transport=transport) as it:
        await it.settled(USER)
        await it.until(lambda: it.page.get("channels_refused") == 1)
        it.server.forbidden.clear()
        await it.until(lambda: it.server.is_live(INDEX), within_s=700)


async def test_the_other_transport_where_the_first_is_refused(
    vms: Any, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with vms(tmp_path, server(wsurl_path="/nowhere"), transport="auto") as it:
        await it.settled(USER)
        assert it.page["transport"] == "socketio"


async def test_refused_by_an_error_and_a_plain_close(
    vms: Any, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with vms(tmp_path, server(refuse_code=4001)) as it:
        await it.state("refused")
        assert "4001" in it.page["problem"]
        connections = it.server.connections
        await trio.sleep(client.REFUSED_S - 10)
        assert it.server.connections == connections
        it.server.refuse_code = 0
        await it.settled(USER)


async def test_a_server_that_says_nothing(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    async with vms(tmp_path, server(mute=True)) as it:
        await it.until(lambda: "no greeting" in it.page["problem"])
        it.server.mute = False
        await it.settled(USER)


async def test_asked_too_often(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    too_often = JSONResponse({"message": "Too Many Attempts."}, 429, headers={"retry-after": "120"})
    odd = server()
    odd.answer = lambda path: too_often if path == "/api/v1/wsurl" and trio.current_time() < 100 else None
    async with vms(tmp_path, odd) as it:
        await it.settled(USER)
        assert trio.current_time() >= 120
        assert len([path for _, path in odd.requests if path == "/api/v1/wsurl"]) == 2


async def test_a_key_file_that_hangs_keeps_no_push_back(
    vms: Any, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with vms(tmp_path) as it:
        it.house.key_files.slow_s = 50
        await it.settled(USER, TOKEN)
        for _ in range(30):
            await it.server.push(USER, wrapped("import_config", []))
        began = trio.current_time()
        await it.until(lambda: len(it.house.reported) == 30)
        assert trio.current_time() - began < 5


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ((404, "text/csv", b""), "HTTP 404"),
        ((200, "text/html", b"<html>"), "no table"),
        ((302, "text/csv", b""), "redirects are not followed"),
    ],
)
async def test_a_key_file_that_cannot_be_had(
    vms: Any, tmp_path: Path, patient_clock: MockClock, file: Any, text: str
) -> None:
    async with vms(tmp_path, server(file=file)) as it:
        await it.until(lambda: "keys" in it.page)
        assert text in it.page["keys"]
        assert it.page["keys_good"] is False
        assert it.house.key_files.applied == []


async def test_a_key_file_that_the_door_refuses(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    async with vms(tmp_path) as it:
        it.house.key_files.broken = "it would remove 39 of 40 keys"
        await it.until(lambda: "keys" in it.page)
        assert it.page["keys"] == "refused: it would remove 39 of 40 keys"


@pytest.mark.parametrize(
    "url", ["https://evil.example/k.xlsx", "http://127.0.0.1:1/k.xlsx", "file:///etc/passwd"]
)
async def test_nobody_else_is_given_our_bearer(
    vms: Any, tmp_path: Path, patient_clock: MockClock, url: str
) -> None:
    async with vms(tmp_path, server(announce=False)) as it:
        await it.settled(TOKEN)
        await it.server.push(TOKEN, wrapped("export_intercom_keys", {"path": url}))
        await it.until(lambda: "keys" in it.page)
        assert "key_hosts" in it.page["keys"]


async def test_an_intercom_that_is_ours_no_more(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    async with vms(tmp_path, server(intercom=None)) as it:
        await it.state("unassigned")
        await it.server.push(INDEX, wrapped("intercom_status_changed", {"id": INTERCOM, "status": "x"}))
        await trio.sleep(1)
        assert it.house.reported == []
        it.server.intercom = "active"
        await it.server.push(USER, wrapped("admin_intercom_groups_updated", {"attached": [1]}))
        await it.state("connected")


async def test_frames_that_are_none(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    async with vms(tmp_path) as it:
        await it.settled(USER)
        (ws,) = it.server.sockets
        for text in ("", "[]", "{", '{"event":5}', json.dumps({"event": "x", "channel": USER, "data": "["})):
            await ws.send_text(text)
        await ws.send_bytes(b"\x00\x01")
        await it.until(lambda: it.page.get("malformed", 0) >= 4)
        await it.server.push(USER, wrapped("import_config", []))
        await it.until(lambda: len(it.house.reported) == 1)
        for _ in range(25):
            await ws.send_text("nonsense")
        await it.until(lambda: it.server.connections == 2)


async def test_what_is_not_ours_is_not_acted_on(vms: Any, tmp_path: Path, patient_clock: MockClock) -> None:
    async with vms(tmp_path) as it:
        await it.settled(USER)
        (ws,) = it.server.sockets
        push = wrapped("import_config", [])
        await ws.send_text(json.dumps({"event": "x", "channel": "private-user.8", "data": push}))
        await ws.send_text(json.dumps({"event": "x", "channel": "user.7", "data": push}))
        await it.server.push(USER, push)
        await it.until(lambda: len(it.house.reported) == 1)
        await trio.sleep(1)
        assert len(it.house.reported) == 1


async def test_our_own_device_is_the_same_for_ever_and_never_in_the_way(
    vms: Any, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with vms(tmp_path) as it:
        await it.settled(USER)
        devices = {headers["x-uuid"] for headers in it.server.headers}
        assert all("x-socket-id" not in headers for headers in it.server.headers)
    async with vms(tmp_path) as it:
        await it.settled(USER)
        assert {headers["x-uuid"] for headers in it.server.headers} == devices
        assert len(devices) == 1


async def test_no_secret_is_shown_or_logged(
    vms: Any, tmp_path: Path, patient_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="agent")
    async with vms(tmp_path) as it:
        await it.settled(USER, TOKEN)
        await it.until(lambda: "keys" in it.page)
        bearer = it.server.token
        shown = str(it.page) + str(it.follower.board.status()) + caplog.text
        assert bearer not in shown
        assert "tokenid1" not in shown
        assert "correct horse" not in shown


@pytest.mark.slow
async def test_a_day_of_500_disconnects_loses_no_change_and_nothing_else(
    vms: Any, tmp_path: Path, patient_clock: MockClock
) -> None:
    """Key changes that fall into the gaps are in the next file; a change is never more than minutes away.

    PORTERO_LONG=1: the whole day, three minutes of work; else an hour and a half of it.
    """
    times = 500 if os.environ.get("PORTERO_LONG") else 32
    async with vms(tmp_path) as it:
        await it.settled(USER)
        tasks = trio.lowlevel.current_statistics().tasks_living
        for number in range(times):
            it.server.file = (200, "text/csv", b"key\n%06X\n" % (number + 1))
            await trio.sleep(86_400 / 500)
            await it.server.drop()
        await it.until(lambda: it.house.key_files.applied[-1][0] == it.server.file[2], within_s=1000)
        assert it.server.connections >= times
        assert it.server.logins == 1
        await it.settled(USER)
        assert trio.lowlevel.current_statistics().tasks_living <= tasks + 10
        applied = len(it.house.key_files.applied)
        assert times * 0.4 < applied <= times * 0.6 + 2, "every five minutes at most"
        assert all(isinstance(report, CloudReported) for report in it.house.reported)
