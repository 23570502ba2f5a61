"""A person lets the door in: by the browser, by what was pasted, and not by anybody else."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import h11
import pytest
import trio
from harness.netatmo_cloud import SECRET, NetatmoCloud
from harness.netatmo_home import Home
from trio.testing import MockClock

from agent.model.errors import CommandError


async def visit(redirect_uri: str, query: str, *, method: str = "GET", path: str = "/") -> tuple[int, str]:
    """What a browser does at the end."""
    port = urlsplit(redirect_uri).port
    assert port is not None
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(
        method=method, target=f"{path}?{query}", headers=[("host", "x"), ("content-length", "0")]
    )
    await stream.send_all((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    status, body = 0, b""
    async with stream:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(4096))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                return status, body.decode()


async def test_with_the_browser(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.access, cloud.code = set(), "the code|1"
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        await home.state("parked")
        assert home.page["cloud.casa.problem"] == "not logged in: run `portero netatmo login casa`"
        begun = await home.ask("login")
        query = parse_qs(urlsplit(begun["url"]).query)
        assert query["redirect_uri"] == [begun["redirect_uri"]]
        assert query["scope"] == ["read_mx write_mx read_camera write_camera read_doorbell"]
        assert SECRET not in begun["url"]
        ended: list[object] = []

        async def wait() -> None:
            ended.append(await home.ask("login", cloud="casa", wait=True))

        async with trio.open_nursery() as waiting:
            waiting.start_soon(wait)
            status, page = await visit(
                begun["redirect_uri"], f"state={query['state'][0]}&code={quote('the code|1')}"
            )
        assert (status, "logged in" in page) == (200, True)
        assert ended == [{"cloud": "casa", "logged_in": True}]
        await home.state("following")  # which wakes whoever was parked
        assert home.tokens().refresh == "1|refresh"
        form = cloud.token_requests[0]
        assert (form["grant_type"], form["redirect_uri"]) == ("authorization_code", begun["redirect_uri"])
        assert home.problem("bell") == ""
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("query", "path", "method"),
    [
        ("state=wrong&code=the-code", "/", "GET"),
        ("code=the-code", "/", "GET"),
        ("state=STATE", "/", "GET"),
        ("", "/", "GET"),
        ("state=STATE&code=the-code", "/x", "GET"),
        ("state=STATE&code=the-code", "/", "POST"),
    ],
)
async def test_what_is_no_answer_to_it(
    query: str, path: str, method: str, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.code = "the-code"
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        begun = await home.ask("login")
        status, _ = await visit(
            begun["redirect_uri"], query.replace("STATE", begun["state"]), path=path, method=method
        )
        assert status in (400, 404)
        assert cloud.token_requests == []
        # The log-in goes on.
        status, _ = await visit(begun["redirect_uri"], f"state={begun['state']}&code=the-code")
        assert status == 200
        nursery.cancel_scope.cancel()


async def test_consent_that_was_refused(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        begun = await home.ask("login")
        status, page = await visit(begun["redirect_uri"], f"state={begun['state']}&error=access_denied")
        assert (status, "consent was not given" in page) == (400, True)
        with pytest.raises(CommandError, match="consent was not given"):
            await home.ask("login", wait=True)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "form", ["{uri}?state={state}&code=c1", "state={state}&code=c1", "?state={state}&code=c1"]
)
async def test_the_address_that_was_pasted(form: str, tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.access, cloud.code = set(), "c1"
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        begun = await home.ask("login")
        pasted = form.format(uri=begun["redirect_uri"], state=begun["state"])
        answer = await home.ask("login", code=pasted)
        assert answer == {"cloud": "casa", "logged_in": True, "scope": cloud.scope}
        await home.state("following")
        nursery.cancel_scope.cancel()


async def test_a_bare_code_needs_the_state(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.access, cloud.code = set(), "c1"
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        with pytest.raises(CommandError, match="no log-in of casa was begun"):
            await home.ask("login", code="c1")
        begun = await home.ask("login")
        for state in ("", "wrong"):
            with pytest.raises(CommandError, match="paste the whole address"):
                await home.ask("login", code="c1", state=state)
        assert (await home.ask("login", code="c1", state=begun["state"]))["logged_in"]
        nursery.cancel_scope.cancel()


async def test_a_refresh_token_that_was_pasted(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.access = set()
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        await home.state("parked")
        with pytest.raises(CommandError, match="does not take the refresh token"):
            await home.ask("login", refresh_token="nonsense")
        assert (await home.ask("login", refresh_token=" first|refresh\n"))["logged_in"]
        await home.state("following")
        nursery.cancel_scope.cancel()


async def test_a_new_log_in_replaces_a_good_one(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        assert (await home.ask("login", refresh_token="first|refresh"))["logged_in"]
        await home.until(lambda: home.shown("state").count("following") == 2)
        assert cloud.bearers[-1] == "1|access"
        nursery.cancel_scope.cancel()


async def test_nobody_comes_back(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        begun = await home.ask("login")
        with pytest.raises(CommandError, match="nobody came back"):
            await home.ask("login", wait=True)
        await trio.sleep(20)
        with pytest.raises(OSError, match="connect"):
            await visit(begun["redirect_uri"], "x=y")
        nursery.cancel_scope.cancel()


async def test_a_port_that_is_taken(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery, logged_in=False, wait=False, callback_port=cloud.port)
        with pytest.raises(CommandError, match="cannot be used"):
            await home.ask("login")
        nursery.cancel_scope.cancel()


async def test_the_cloud_is_away(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        await cloud.stop()
        with pytest.raises(CommandError, match="try again"):
            await home.ask("login", refresh_token="first|refresh")
        nursery.cancel_scope.cancel()


async def test_no_such_cloud(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        with pytest.raises(CommandError, match="no cloud named 'mare': casa"):
            await home.ask("login", cloud="mare")
        nursery.cancel_scope.cancel()


async def test_a_client_secret_that_cannot_be_read(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        await home.followed(cloud, nursery)
        (tmp_path / "client.secret").chmod(0o666)
        with pytest.raises(CommandError, match="chmod 0600"):
            await home.ask("login")
        nursery.cancel_scope.cancel()


async def test_a_slow_visitor_does_not_keep_others_out(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, clock=patient_clock)
    async with NetatmoCloud().running() as cloud, trio.open_nursery() as nursery:
        cloud.code = "c1"
        await home.followed(cloud, nursery, logged_in=False, wait=False)
        begun = await home.ask("login")
        port = urlsplit(begun["redirect_uri"]).port
        assert port is not None
        idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
        await idle[0].send_all(b"\x00\xff garbage\r\n\r\n")
        status, _ = await visit(begun["redirect_uri"], f"state={begun['state']}&code=c1")
        assert status == 200
        for stream in idle:
            await stream.aclose()
        nursery.cancel_scope.cancel()
