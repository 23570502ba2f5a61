"""Looks for deCONZ gateways in the local network by SSDP."""

from __future__ import annotations

import logging
import socket
from urllib.parse import urlsplit

import trio
from msgspec import Struct

from agent.model.errors import MalformedMessage, PeerError
from agent.workers.deconz.ssdp_wire import (
    BASIC_DEVICE,
    MAX_DATAGRAM_BYTES,
    SSDP_ADDRESS,
    SSDP_PORT,
    Description,
    Search,
    decode_message,
    encode_message,
)

WAIT_S = 3.0
ASK_EVERY_S = 1.0
HOPS = 2
MAX_ANSWERS = 256
MAX_FOUND = 16

logger = logging.getLogger(__name__)


class Found(Struct, frozen=True, kw_only=True):
    """A gateway: the root of its REST API and its bridge id."""

    url: str
    bridge_id: str


async def discover(
    bridge_id: str = "", *, address: str = SSDP_ADDRESS, port: int = SSDP_PORT, wait_s: float = WAIT_S
) -> Found:
    """The gateway with this bridge id, or the only one that answers within `wait_s`.

    Raises: PeerError when none answers, or several do and none was asked for.
    """
    wanted = bridge_id.upper()
    found: dict[str, Found] = {}
    try:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
            await sock.bind(("", 0))
            with trio.move_on_after(wait_s):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_ask, sock, address, port)
                    for _ in range(MAX_ANSWERS):
                        gateway = await _next(sock)
                        if gateway is not None and len(found) < MAX_FOUND:
                            found.setdefault(gateway.bridge_id, gateway)
                        if wanted in found:
                            break
                    nursery.cancel_scope.cancel()
    except OSError as error:
        raise PeerError(f"cannot look for gateways: {error.strerror or error}") from error
    if wanted:
        if wanted in found:
            return found[wanted]
        others = f"; there are {_list(found)}" if found else ""
        raise PeerError(f"no gateway {wanted} answers{others}: set `url` if it is in another network")
    if not found:
        raise PeerError("no gateway answers: set `url` if it is in another network")
    if len(found) > 1:
        raise PeerError(f"several gateways answer, {_list(found)}: set `bridge_id` to one of them")
    return next(iter(found.values()))


async def _ask(sock: trio.socket.SocketType, address: str, port: int) -> None:
    """Datagrams get lost: ask again."""
    question = encode_message(Search(target=BASIC_DEVICE, mx_s=1), host=address, port=port)
    while True:
        try:
            await sock.sendto(question, (address, port))
        except OSError as error:  # a moment without a network is no reason to give up
            logger.debug("ssdp not sent error=%s", error.strerror)
        await trio.sleep(ASK_EVERY_S)


async def _next(sock: trio.socket.SocketType) -> Found | None:
    """The next answer, None when it is none of a gateway."""
    try:
        data, _ = await sock.recvfrom(MAX_DATAGRAM_BYTES + 1)
        message = decode_message(data)
    except (MalformedMessage, OSError):
        return None
    if not isinstance(message, Description) or not message.bridge_id:
        return None
    parts = urlsplit(message.location)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
    return Found(url=url, bridge_id=message.bridge_id)


def _list(found: dict[str, Found]) -> str:
    return ", ".join(f"{gateway.bridge_id} at {gateway.url}" for gateway in found.values())
