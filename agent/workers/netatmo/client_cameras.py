"""Where a camera is reached, here or through the vendor's tunnel, and the addresses of what it shows.

Three steps: the status says that camera and door share a public address (`is_local`); the camera is asked
through the tunnel for its local address; asked there, it must name the very same. Nobody's token goes to
either. Source: "Local access test", "Access to the live stream", "Access to the video of an event".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

import trio
from msgspec import Struct

from agent.model.errors import CommandError, MalformedMessage, PeerError
from agent.net.http_client import HttpClient
from agent.workers.netatmo.client_state import Module
from agent.workers.netatmo.loose import text, url
from agent.workers.netatmo.wire import Picture, decode_answer

VALID_S = 3 * 3600.0
PING_S = 3.0
TUNNEL_S = 10.0
MAX_PING_BYTES = 16_384
Quality = Literal["", "poor", "low", "medium", "high"]
_VIDEO_ID = re.compile(r"[A-Za-z0-9-]{1,128}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,255}")
# Live video of these is WebRTC only, or there is none. Source: the document; captures.
_NO_LIVE: dict[str, str] = {
    "NDB": "its live video is WebRTC alone",
    "NPC": "its live video is WebRTC alone",
}


class Address(Struct, frozen=True):
    """Of a camera; no trailing slash. local: on this network."""

    url: str
    local: bool

    def __repr__(self) -> str:
        return f"Address({'local' if self.local else 'tunnel'})"


class _Cached(Struct, frozen=True):
    vpn_url: str
    address: Address
    until: float


def is_tunnel(address: str) -> bool:
    """Whether a told address is the vendor's: a forged status must not send the door elsewhere."""
    parts = _split(address)
    return parts is not None and parts[0] == "https" and parts[1].endswith(".netatmo.net")


def is_home(address: str) -> bool:
    """Whether a told address is one of a local network. 169.254.0.0/16 is told by mistake at times."""
    parts = _split(address)
    if parts is None or parts[0] != "http":
        return False
    try:
        found = ipaddress.ip_address(parts[1])
    except ValueError:
        return False
    return found.is_private and not (found.is_loopback or found.is_link_local or found.is_unspecified)


class Cameras:
    """The cameras of one home. tunnel_good, home_good: which told addresses may be asked."""

    def __init__(
        self, http: HttpClient, *, tunnel_good: Callable[[str], bool] = is_tunnel,
        home_good: Callable[[str], bool] = is_home,
    ) -> None:  # fmt: skip
        self._http = http
        self._tunnel_good = tunnel_good
        self._home_good = home_good
        self._cached: dict[str, _Cached] = {}

    async def address(self, camera: Module) -> Address:
        """Where it is reached now. Raises: CommandError when it is not, or we have no right to it."""
        vpn_url = str(camera.values.get("vpn_url", "")).removesuffix("/")
        if not vpn_url:
            raise CommandError(
                f"{camera.label}: the log-in has no access_ scope for this camera, or it is off"
            )
        if not self._tunnel_good(vpn_url):
            raise CommandError(f"{camera.label}: its address is none of the vendor's")
        known = self._cached.get(camera.id)
        now = trio.current_time()
        if known is not None and known.vpn_url == vpn_url and now < known.until:
            return known.address
        local = await self._local(vpn_url) if camera.values.get("is_local") is True else ""
        address = Address(local or vpn_url, bool(local))
        self._cached[camera.id] = _Cached(vpn_url, address, now + VALID_S)
        return address

    def failed(self, camera: Module) -> None:
        """What it was asked at its address did not work: look again the next time."""
        self._cached.pop(camera.id, None)

    async def _local(self, vpn_url: str) -> str:
        """Its address on this network, empty when it is on another one."""
        told = await self._ping(vpn_url, TUNNEL_S)
        if not told or not self._home_good(told):
            return ""
        return told if await self._ping(told, PING_S) == told else ""

    async def _ping(self, base: str, limit_s: float) -> str:
        """The `local_url` that a camera tells; empty when it does not."""
        try:
            with trio.fail_after(limit_s):
                answer = await self._http.request("GET", f"{base}/command/ping")
        except (PeerError, trio.TooSlowError):
            return ""
        if answer.status != 200 or len(answer.body) > MAX_PING_BYTES:
            return ""
        try:
            return url(decode_answer(answer.body, "ping").get("local_url")).removesuffix("/")
        except MalformedMessage:
            return ""


def live(camera: Module, address: Address, quality: Quality = "") -> str:
    """Its live video, HLS. Raises: CommandError where there is none."""
    if camera.type in _NO_LIVE:
        raise CommandError(f"{camera.label}: {_NO_LIVE[camera.type]}")
    return f"{address.url}/live/{_index(address, quality)}"


def live_snapshot(camera: Module, address: Address) -> str:
    """A picture of now. Raises: CommandError where there is none."""
    if camera.type in _NO_LIVE:
        raise CommandError(f"{camera.label}: {_NO_LIVE[camera.type]}")
    return f"{address.url}/live/snapshot_720.jpg"


def recorded(address: Address, video_id: str, quality: Quality = "") -> str:
    """The video of an event, HLS. Raises: CommandError for what is no video id."""
    if not _VIDEO_ID.fullmatch(video_id):
        raise CommandError(f"{text(video_id, 40)!r} is no video id")
    return f"{address.url}/vod/{video_id}/{_index(address, quality)}"


def picture(address: Address | None, shown: Picture) -> str:
    """Where an event's picture is; empty when there is none, or it is at a camera that is not reached."""
    if shown.url:
        return shown.url
    good = _FILE.fullmatch(shown.file) and ".." not in shown.file
    return f"{address.url}/{shown.file}" if address is not None and good else ""


def _index(address: Address, quality: Quality) -> str:
    if quality:
        return f"files/{quality}/index.m3u8"
    return "index_local.m3u8" if address.local else "index.m3u8"


def _split(address: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(address)
        good = parts.hostname and parts.username is None and parts.password is None
        return (parts.scheme, parts.hostname) if good and parts.hostname else None
    except ValueError:
        return None
