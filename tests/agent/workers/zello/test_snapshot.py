from __future__ import annotations

import base64
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from harness.jpegs import bare_jpeg, real_jpeg

from agent.workers.zello.config import SnapshotConfig
from agent.workers.zello.jpeg import jpeg_size
from agent.workers.zello.snapshot import (
    MAX_FULL_BYTES,
    MAX_FULL_PX,
    MAX_READ_BYTES,
    MAX_THUMBNAIL_BYTES,
    MAX_THUMBNAIL_PX,
    MAX_TWICE_BYTES,
    take,
)

SMALL = bare_jpeg(640, 480)


@pytest.fixture
def patient_clock() -> trio.testing.MockClock:
    """Jumps, but gives processes and sockets a moment first."""
    return trio.testing.MockClock(autojump_threshold=0.3)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, logger="agent")
    return lambda: [record.getMessage() for record in caplog.records]


def program(folder: Path, code: str, *, thumbnail: bool = False, timeout_s: float = 5.0) -> SnapshotConfig:
    path = folder / "camera.py"
    path.write_text("import os, sys, time\n" + code)
    return SnapshotConfig(command=(sys.executable, str(path)), thumbnail=thumbnail, timeout_s=timeout_s)


def writes(folder: Path, data: bytes, *, thumbnail: bool = False) -> SnapshotConfig:
    (folder / "picture").write_bytes(data)
    return program(
        folder,
        f"sys.stdout.buffer.write(open({str(folder / 'picture')!r}, 'rb').read())",
        thumbnail=thumbnail,
    )


# ----- from a program -----


async def test_a_program(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    picture = await take(writes(tmp_path, SMALL))
    assert picture is not None
    assert (picture.jpeg, picture.thumbnail) == (SMALL, SMALL)
    assert (picture.width, picture.height) == (640, 480)
    assert log() == []
    assert len(repr(picture)) < 60


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "does not begin like one"),
        ("print('no camera found')", "does not begin like one"),
        ("sys.exit(3)", "ended with 3"),
        ("os.kill(os.getpid(), 9)", "ended with -9"),
        (f"sys.stdout.buffer.write({SMALL[:-2]!r})", "its end is missing"),
        (f"sys.stdout.buffer.write({SMALL!r}); sys.stdout.flush(); os._exit(1)", "ended with 1"),
        (f"os.write(1, b'x' * {MAX_READ_BYTES}); os.write(1, b'x'); time.sleep(60)", "more than"),
        ("print('secret', file=sys.stderr); sys.exit(1)", "ended with 1"),
    ],
)  # fmt: skip
async def test_a_program_that_does_not_work(
    tmp_path: Path, log: Callable[[], list[str]], code: str, reason: str
) -> None:
    assert await take(program(tmp_path, code)) is None
    (line,) = log()
    assert line.startswith("no picture of the visitor: ")
    assert reason in line
    assert "secret" not in line


@pytest.mark.parametrize("command", ["/nowhere/camera", "", "/tmp", "nul\0l"])
async def test_a_program_that_is_none(log: Callable[[], list[str]], command: str) -> None:
    config = SnapshotConfig(command=(command, "--password=hunter2"))
    assert await take(config) is None
    (line,) = log()
    assert "cannot be started" in line
    assert "hunter2" not in line


async def test_a_program_that_hangs_is_killed_with_its_children(
    tmp_path: Path, log: Callable[[], list[str]], patient_clock: trio.testing.MockClock
) -> None:
    child = tmp_path / "child"
    code = f"pid = os.fork()\nif pid: open({str(child)!r}, 'w').write(str(pid))\ntime.sleep(600)"
    config = program(tmp_path, code, timeout_s=30.0)
    assert await take(config) is None
    assert log() == ["no picture of the visitor: nothing within 30 s"]
    await until_gone(int(child.read_text()))


async def test_so_are_the_children_of_one_that_ended(
    tmp_path: Path, log: Callable[[], list[str]], patient_clock: trio.testing.MockClock
) -> None:
    """They hold its output open, so that it never ends."""
    child = tmp_path / "child"
    code = f"pid = os.fork()\nif pid: open({str(child)!r}, 'w').write(str(pid))\nelse: time.sleep(600)"
    assert await take(program(tmp_path, code)) is None
    assert "nothing within 5 s" in log()[0]
    await until_gone(int(child.read_text()))


async def test_cancellation_kills_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    new = f"{pid}.new"
    code = f"open({new!r}, 'w').write(str(os.getpid()))\nos.rename({new!r}, {str(pid)!r})\ntime.sleep(600)"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, program(tmp_path, code))
        with trio.fail_after(10):
            while not pid.exists():
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    await until_gone(int(pid.read_text()))


async def until_gone(pid: int) -> None:
    """Until a process has ended; a zombie has."""

    def alive() -> bool:
        try:
            return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False

    for _ in range(200):
        if not alive():
            return
        await trio.to_thread.run_sync(os.sched_yield)
        await trio.sleep(0.02)
    raise AssertionError(f"{pid} lives on")


# ----- one at a time -----


def counting(folder: Path, *, before: str = "") -> SnapshotConfig:
    """Leaves a mark for every start."""
    (folder / "picture").write_bytes(SMALL)
    return program(
        folder,
        f"open({str(folder / 'starts')!r}, 'a').write('x')\n{before}\n"
        f"sys.stdout.buffer.write(open({str(folder / 'picture')!r}, 'rb').read())",
    )


async def test_who_asks_meanwhile_is_given_the_same(tmp_path: Path) -> None:
    config = counting(tmp_path)
    taken = []

    async def ask() -> None:
        taken.append(await take(config))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(ask)
    assert (tmp_path / "starts").read_text() == "x"
    assert [picture is not None and picture.jpeg for picture in taken] == [SMALL] * 4
    await ask()
    assert (tmp_path / "starts").read_text() == "xx"


async def test_a_failure_is_shared_as_well(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    config = program(tmp_path, "sys.exit(1)")
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take, config)
    assert len(log()) == 1


async def test_who_waits_takes_over_from_one_who_is_cancelled(tmp_path: Path) -> None:
    starts, go = tmp_path / "starts", tmp_path / "go"
    config = counting(tmp_path, before=f"while not os.path.exists({str(go)!r}): time.sleep(0.01)")
    taken = []

    async def ask() -> None:
        taken.append(await take(config))

    async with trio.open_nursery() as outer:
        async with trio.open_nursery() as first:
            first.start_soon(take, config)
            with trio.fail_after(10):
                while not starts.exists():
                    await trio.sleep(0.01)
            outer.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            first.cancel_scope.cancel()
        go.touch()
    assert starts.read_text() == "xx"
    assert taken[0] is not None


# ----- what is sent -----


async def test_without_thumbnails_a_small_picture_is_its_own(tmp_path: Path) -> None:
    data = bare_jpeg(total_bytes=MAX_TWICE_BYTES)
    picture = await take(writes(tmp_path, data))
    assert picture is not None
    assert picture.thumbnail == picture.jpeg == data


async def test_a_larger_one_is_not_sent_and_that_is_said_once(
    tmp_path: Path, log: Callable[[], list[str]]
) -> None:
    config = writes(tmp_path, bare_jpeg(total_bytes=MAX_TWICE_BYTES + 1))
    for _ in range(3):
        assert await take(config) is None
    (line,) = log()
    assert "set thumbnail = true" in line


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720)])
async def test_a_thumbnail(tmp_path: Path, width: int, height: int) -> None:
    data = real_jpeg(width, height)
    picture = await take(writes(tmp_path, data, thumbnail=True))
    assert picture is not None
    assert picture.jpeg == data
    assert (picture.width, picture.height) == (width, height)
    assert max(jpeg_size(picture.thumbnail)) == MAX_THUMBNAIL_PX
    assert len(picture.thumbnail) <= MAX_THUMBNAIL_BYTES


async def test_a_picture_of_a_good_camera_is_made_smaller(tmp_path: Path) -> None:
    picture = await take(writes(tmp_path, real_jpeg(2592, 1944), thumbnail=True))
    assert picture is not None
    assert (picture.width, picture.height) == jpeg_size(picture.jpeg) == (MAX_FULL_PX, 960)


async def test_so_is_one_of_too_many_bytes(tmp_path: Path) -> None:
    data = real_jpeg(800, 600, noise=True, quality=98)
    assert len(data) > MAX_FULL_BYTES
    picture = await take(writes(tmp_path, data, thumbnail=True))
    assert picture is not None
    assert len(picture.jpeg) <= MAX_FULL_BYTES
    assert (picture.width, picture.height) == (800, 600)


async def test_one_that_cannot_be_read(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    assert await take(writes(tmp_path, SMALL, thumbnail=True)) is None
    assert "cannot be read" in log()[0]


async def test_without_pillow(
    tmp_path: Path, log: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = writes(tmp_path, SMALL, thumbnail=True)
    monkeypatch.setitem(sys.modules, "PIL", None)
    for _ in range(2):
        picture = await take(config)
        assert picture is not None
        assert picture.jpeg == SMALL
    (line,) = log()
    assert "portero[pictures]" in line


# ----- from a camera -----


class Camera:
    """An HTTP server that answers its requests from `answers`, in order. heard: the heads of requests."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.heard: list[str] = []
        self.hang = False
        self.url = ""

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            head = b""
            # A greeting of TLS is answered at once, too.
            while b"\r\n\r\n" not in head and head[:1] != b"\x16":
                chunk = await stream.receive_some()
                if not chunk:
                    return
                head += chunk
            self.heard.append(head.decode("latin-1"))
            if self.hang:
                await trio.sleep_forever()
            try:
                await stream.send_all(self.answers.pop(0))
            except trio.BrokenResourceError:
                pass

    def config(self, **more: object) -> SnapshotConfig:
        return SnapshotConfig(url=self.url, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def running_camera() -> AsyncIterator[Camera]:
    camera = Camera()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, camera.serve, 0)
        port = next(each.socket.getsockname()[1] for each in listeners)
        camera.url = f"http://localhost:{port}/snap.jpg?pwd=hunter2"
        yield camera
        nursery.cancel_scope.cancel()


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def challenge(wanted: str) -> bytes:
    return answer("401 Unauthorized", b"", f"www-authenticate: {wanted}")


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    path = tmp_path / "password"
    path.write_text("pass ü\n")
    path.chmod(0o600)
    return str(path)


async def test_a_camera() -> None:
    async with running_camera() as camera:
        camera.answers = [answer("200 OK", SMALL)]
        picture = await take(camera.config())
    assert picture is not None
    assert picture.jpeg == SMALL
    assert camera.heard[0].startswith("GET /snap.jpg?pwd=hunter2 HTTP/1.1\r\n")
    assert "authorization" not in camera.heard[0].lower()


async def test_one_with_digest(password_file: str) -> None:
    wanted = challenge('Digest realm="cam", nonce="n", qop="auth", algorithm=MD5')
    async with running_camera() as camera:
        camera.answers = [wanted, answer("200 OK", SMALL)]
        assert await take(camera.config(user="door", password_file=password_file)) is not None
    first, second = camera.heard
    assert "authorization" not in first.lower()
    assert 'authorization: digest username="door", realm="cam"' in second.lower()


async def test_one_with_basic(password_file: str) -> None:
    wanted = challenge('Basic realm="cam"')
    async with running_camera() as camera:
        camera.answers = [wanted, answer("200 OK", SMALL)]
        assert await take(camera.config(user="door", password_file=password_file)) is not None
    assert "authorization" not in camera.heard[0].lower()
    credentials = base64.b64encode("door:pass ü".encode()).decode()
    assert f"authorization: basic {credentials}".lower() in camera.heard[1].lower()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([answer("404 Not Found", b"no")], "status 404"),
        ([answer("302 Found", b"", "location: http://192.0.2.1/other")], "status 302"),
        ([answer("401 Unauthorized")], "status 401"),
        ([answer("200 OK", b"<html>")], "does not begin like one"),
        ([answer("200 OK", bytes(MAX_READ_BYTES + 1))], "more than"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nabc"], "RemoteProtocolError"),
        ([b"SSH-2.0-x\r\n\r\n"], "RemoteProtocolError"),
        ([b""], "RemoteProtocolError"),
        ([challenge('Digest realm="r", nonce="n", algorithm=X')], "not known here"),
        ([challenge('Digest realm="r", nonce="n", qop="auth-int"')], "not known here"),
        ([challenge("Digest nonsense")], "does not answer"),
        ([challenge("Basic")] * 2, "status 401"),
        ([answer("200 OK", b"xxx", "content-encoding: gzip")], "does not begin like one"),
    ],
)  # fmt: skip
async def test_a_camera_that_does_not_work(
    log: Callable[[], list[str]], password_file: str, answers: list[bytes], reason: str
) -> None:
    async with running_camera() as camera:
        camera.answers = list(answers)
        assert await take(camera.config(user="door", password_file=password_file)) is None
    (line,) = [line for line in log() if line.startswith("no picture")]
    assert reason in line
    assert "hunter2" not in line
    assert "pass" not in line


async def test_the_words_of_a_challenge_are_neither_read_nor_unpacked(password_file: str) -> None:
    wanted = 'www-authenticate: Digest realm="cam", nonce="n", qop="auth"'
    async with running_camera() as camera:
        # Unpacking it would fail, and so would waiting for its end.
        words = answer("401 Unauthorized", b"no gzip", wanted, "content-encoding: gzip")
        camera.answers = [
            words.replace(b"content-length: 7", b"content-length: 700"),
            answer("200 OK", SMALL),
        ]
        assert await take(camera.config(user="door", password_file=password_file)) is not None


async def test_a_camera_that_hangs(
    log: Callable[[], list[str]], patient_clock: trio.testing.MockClock
) -> None:
    async with running_camera() as camera:
        camera.hang = True
        assert await take(camera.config()) is None
    assert len(log()) == 1


async def test_no_camera(log: Callable[[], list[str]]) -> None:
    async with running_camera() as camera:
        pass
    assert await take(camera.config()) is None
    assert log() == ["no picture of the visitor: the camera does not answer: ConnectError"]


async def test_no_password(log: Callable[[], list[str]], tmp_path: Path) -> None:
    config = SnapshotConfig(url="http://127.0.0.1:9/", user="door", password_file=str(tmp_path / "gone"))
    assert await take(config) is None
    assert "workers.zello.snapshot.password_file" in log()[0]


async def test_a_camera_whose_certificate_nobody_vouches_for(log: Callable[[], list[str]]) -> None:
    async with running_camera() as camera:
        camera.answers = [b"no TLS here\r\n\r\n"]
        url = camera.url.replace("http:", "https:")
        assert await take(SnapshotConfig(url=url, fingerprint="ab" * 32)) is None
    assert log() == ["no picture of the visitor: the camera does not answer: ConnectError"]
