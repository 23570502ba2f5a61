"""A picture of the visitor: from a program, or a camera of the LAN. Without one, the door rings on."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct

from agent.model.errors import ConfigError, MalformedMessage
from agent.net.trust import client_context, read_secret
from agent.wire.fingerprint import plain_fingerprint
from agent.workers.zello.config import SnapshotConfig
from agent.workers.zello.jpeg import is_whole, jpeg_size, shrink

if TYPE_CHECKING:
    import httpx

MAX_READ_BYTES: Final = 2 * 1024 * 1024
MAX_FULL_BYTES: Final = 512 * 1024
MAX_FULL_PX: Final = 1280
MAX_THUMBNAIL_BYTES: Final = 32 * 1024
MAX_THUMBNAIL_PX: Final = 180
MAX_TWICE_BYTES: Final = 64 * 1024  # so much may go over the wire a second time, as its own thumbnail
SHRINK_S: Final = 5.0
REAP_S: Final = 2.0
WHERE: Final = "workers.zello.snapshot"
_CHUNK_BYTES = 65_536

logger = logging.getLogger(__name__)


class Picture(Struct, frozen=True, kw_only=True):
    """A JPEG, a small one for the list of messages (the same bytes at times), and its size in pixels."""

    jpeg: bytes
    thumbnail: bytes
    width: int
    height: int

    def __repr__(self) -> str:
        return f"Picture({self.width}x{self.height}, {len(self.jpeg)} bytes)"


class NoPicture(Exception):
    """Why there is none, in words for the log. once: a matter of the configuration, said once a start."""

    def __init__(self, reason: str, *, once: bool = False) -> None:
        super().__init__(reason)
        self.once = once


class _Shutter:
    """One picture is taken at a time; who waited for it meanwhile has it too."""

    def __init__(self) -> None:
        self.lock = trio.Lock()
        self.of: SnapshotConfig | None = None
        self.taken_at = float("-inf")
        self.last: Picture | None = None
        self.said: set[str] = set()


_shutter: trio.lowlevel.RunVar[_Shutter] = trio.lowlevel.RunVar("shutter")


async def take(config: SnapshotConfig) -> Picture | None:
    """A picture of now, or None with a line in the log. Takes at most timeout_s, and some seconds to shrink.

    Who asks while one is being taken is given that one: the server and every cloud ask at the same ring.
    Cancellation: the program is killed with its children.
    """
    try:
        shutter = _shutter.get()
    except LookupError:
        shutter = _Shutter()
        _shutter.set(shutter)
    asked_at = trio.current_time()
    with trio.move_on_after(2 * (config.timeout_s + SHRINK_S)):
        async with shutter.lock:
            # Taken after it was asked for: fresh enough for both.
            if not (shutter.of == config and shutter.taken_at >= asked_at):
                picture = await _take(config, shutter.said)
                shutter.of, shutter.taken_at, shutter.last = config, trio.current_time(), picture
            result = shutter.last
            if not shutter.lock.statistics().tasks_waiting:
                shutter.of = shutter.last = None
            return result
    logger.warning("no picture of the visitor: others were waiting for one")
    return None


async def _take(config: SnapshotConfig, said: set[str]) -> Picture | None:
    try:
        with trio.fail_after(config.timeout_s):
            data = await (_from_program(config.command) if config.command else _from_url(config))
        return await _picture(data, thumbnail=config.thumbnail, said=said)
    except trio.TooSlowError:
        logger.warning("no picture of the visitor: nothing within %g s", config.timeout_s)
    except NoPicture as error:
        if not (error.once and str(error) in said):
            logger.warning("no picture of the visitor: %s", error)
        if error.once:
            said.add(str(error))
    except MalformedMessage as error:
        logger.warning("no picture of the visitor: %s", error)
    except ConfigError as error:
        logger.warning("no picture of the visitor: %s", error)
    return None


# ----- from a program -----


async def _from_program(command: tuple[str, ...]) -> bytes:
    """What a program writes, which must end well. Raises: NoPicture."""
    program = os.path.basename(command[0])[:64]
    try:
        process = await trio.lowlevel.open_process(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise NoPicture(f"{program} cannot be started: {type(error).__name__}") from error
    assert process.stdout is not None
    ended = False
    try:
        data = bytearray()
        async with process.stdout:
            while chunk := await process.stdout.receive_some(_CHUNK_BYTES):
                data += chunk
                if len(data) > MAX_READ_BYTES:
                    raise NoPicture(f"{program} writes more than {MAX_READ_BYTES} bytes")
        status = await process.wait()
        ended = True
    finally:
        if not ended:
            _kill_group(process.pid)
            with trio.CancelScope(deadline=trio.current_time() + REAP_S, shield=True):
                await process.wait()
    if status != 0:
        raise NoPicture(f"{program} ended with {status}")
    return bytes(data)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        # Nobody is left in it.
        pass


# ----- from a camera -----


async def _from_url(config: SnapshotConfig) -> bytes:
    """What a camera answers. Raises: NoPicture; ConfigError."""
    # Imported when needed, and beside everything else: a door without a camera does not pay for it.
    httpx = await trio.to_thread.run_sync(_import_httpx, abandon_on_cancel=True)
    password = ""
    if config.password_file is not None:
        password = await trio.to_thread.run_sync(
            read_secret, config.password_file, f"{WHERE}.password_file", abandon_on_cancel=True
        )
    verify: Any = False  # no TLS: then there is nothing to verify, and no list of authorities to load
    if config.url.startswith("https:"):
        pinned = None if config.fingerprint is None else bytes.fromhex(plain_fingerprint(config.fingerprint))
        verify = client_context(ca_file=config.ca_file, fingerprint=pinned, where=WHERE)
    try:
        async with httpx.AsyncClient(
            verify=verify,
            timeout=config.timeout_s,
            trust_env=False,
            follow_redirects=False,
            event_hooks={"response": [_without_words]},
        ) as client:
            return await _fetch(client, config, password)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise NoPicture(f"the camera does not answer: {type(error).__name__}") from error
    except (KeyError, NotImplementedError) as error:
        # A challenge with an algorithm that httpx does not have.
        raise NoPicture("the camera wants a way to log in that is not known here") from error


async def _without_words(response: httpx.Response) -> None:
    """Leave unread what comes with a refusal: httpx would read a challenge's body whole, and unpack it."""
    import httpx

    if response.status_code == 200:
        await trio.lowlevel.checkpoint()
        return
    assert isinstance(response.stream, httpx.AsyncByteStream)
    await response.stream.aclose()
    response.stream = httpx.ByteStream(b"")
    response.headers.pop("content-encoding", None)


async def _fetch(client: httpx.AsyncClient, config: SnapshotConfig, password: str) -> bytes:
    """Without credentials first, then as the camera asks for them: digest, else basic."""
    import httpx

    tries: list[httpx.Auth | None] = [None]
    if config.user:
        tries = [httpx.DigestAuth(config.user, password), httpx.BasicAuth(config.user, password)]
    for number, auth in enumerate(tries):
        # Nothing is unpacked: so the bound is that of what came.
        headers = {"accept": "image/jpeg", "accept-encoding": "identity"}
        async with client.stream("GET", config.url, auth=auth, headers=headers) as response:
            offers = response.headers.get("www-authenticate", "").lower()
            if response.status_code == 401 and number + 1 < len(tries) and "basic" in offers:
                continue
            if response.status_code != 200:
                raise NoPicture(f"the camera answers with status {response.status_code}")
            data = bytearray()
            async for chunk in response.aiter_raw(_CHUNK_BYTES):
                data += chunk
                if len(data) > MAX_READ_BYTES:
                    raise NoPicture(f"the camera sends more than {MAX_READ_BYTES} bytes")
            return bytes(data)
    raise NoPicture("the camera refuses the user or the password")


def _import_httpx() -> Any:
    import httpx

    return httpx


# ----- what is sent of it -----


async def _picture(data: bytes, *, thumbnail: bool, said: set[str]) -> Picture:
    """Within what a channel takes. Raises: NoPicture; MalformedMessage."""
    size = jpeg_size(data)
    if not is_whole(data):
        raise MalformedMessage("jpeg", "its end is missing")
    if thumbnail:
        try:
            with trio.fail_after(SHRINK_S):
                return await trio.to_thread.run_sync(_both, data, size, abandon_on_cancel=True)
        except trio.TooSlowError:
            raise NoPicture(f"not made smaller within {SHRINK_S:g} s") from None
        except ImportError:
            advice = "thumbnail = true needs Pillow: install portero[pictures]"
            if advice not in said:
                said.add(advice)
                logger.warning("pictures go out as they are: %s", advice)
    if len(data) > MAX_TWICE_BYTES:
        raise NoPicture(
            f"it has {len(data)} bytes and no thumbnail: set thumbnail = true and install portero[pictures], "
            f"or take pictures of at most {MAX_TWICE_BYTES} bytes",
            once=True,
        )
    return Picture(jpeg=data, thumbnail=data, width=size[0], height=size[1])


def _both(data: bytes, size: tuple[int, int]) -> Picture:
    full = data
    if len(data) > MAX_FULL_BYTES or max(size) > MAX_FULL_PX:
        full = shrink(data, side_px=MAX_FULL_PX, max_bytes=MAX_FULL_BYTES)
        size = jpeg_size(full)
    thumbnail = shrink(full, side_px=MAX_THUMBNAIL_PX, max_bytes=MAX_THUMBNAIL_BYTES)
    return Picture(jpeg=full, thumbnail=thumbnail, width=size[0], height=size[1])
