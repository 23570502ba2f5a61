"""Lets smart homes find the door in the local network: tells that it is there, and answers who asks."""

from __future__ import annotations

import errno
import logging
import random
import socket
import struct
from collections.abc import Callable, Sequence

import trio

from agent.model.errors import MalformedMessage, PeerError
from agent.net.addresses import is_address, own_names
from agent.quota import Quota
from agent.workers.deconz.about import Identity
from agent.workers.deconz.config import Network
from agent.workers.deconz.doorman import is_admitted
from agent.workers.deconz.ssdp_wire import (
    BASIC_DEVICE,
    EVERYTHING,
    MAX_DATAGRAM_BYTES,
    ROOT_DEVICE,
    SSDP_ADDRESS,
    SSDP_PORT,
    Byebye,
    Description,
    Message,
    Search,
    decode_message,
    encode_message,
)

EVERY_S = 20.0
HOPS = 2
SERVER = "Linux/5 UPnP/1.0 IpBridge/1.26.0"
PATH = "/description.xml"
MAX_WAITING = 16
ANSWERS_AT_ONCE = 32.0
ANSWERS_HZ = 8.0
BYE_S = 1.0
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104

logger = logging.getLogger(__name__)


class Announcer:
    """host: the IPv4 address that REST listens on, or one of EVERYWHERE.

    group, group_port: other ones for a test. rng: gives numbers in [0, 1).
    """

    def __init__(
        self,
        identity: Identity,
        host: str,
        port: int,
        *,
        networks: Sequence[Network] = (),
        group: str = SSDP_ADDRESS,
        group_port: int = SSDP_PORT,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._identity = identity
        self._host = "" if host in EVERYWHERE else host
        self._port = port
        self._networks = networks
        self._group = group
        self._group_port = group_port
        self._rng = rng
        self._waiting = trio.CapacityLimiter(MAX_WAITING)
        self._joined: set[str] = set()

    async def run(self) -> None:
        """Announce and answer for ever. Raises: PeerError when there is no multicast here.

        Cancellation: says goodbye first, within BYE_S.
        """
        self._joined.clear()
        try:
            with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                # Others on this machine may listen there as well.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
                await sock.bind((self._group, self._group_port))
                self._join(sock)
                await self._serve(sock)
        except OSError as error:
            raise PeerError(f"cannot be found by SSDP: {error.strerror or error}") from error

    async def _serve(self, sock: trio.socket.SocketType) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._announce, sock)
                await self._answer(sock, nursery)
        finally:
            with trio.move_on_after(BYE_S, shield=True):
                await self._tell_all(sock, lambda target, usn, _: Byebye(target=target, usn=usn))

    async def _announce(self, sock: trio.socket.SocketType) -> None:
        while True:
            self._join(sock)
            await self._tell_all(
                sock, lambda target, usn, address: self._described("alive", target, usn, address)
            )
            await trio.sleep(EVERY_S)

    async def _answer(self, sock: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        quota = Quota(ANSWERS_AT_ONCE, ANSWERS_HZ, trio.current_time())
        while True:
            data, asker = await sock.recvfrom(MAX_DATAGRAM_BYTES + 1)
            try:
                message = decode_message(data)
            except MalformedMessage:
                continue
            if not isinstance(message, Search) or not is_admitted(asker[0], self._networks):
                continue
            targets = [pair for pair in self._targets() if message.target in (pair[0], EVERYTHING)]
            if targets and self._waiting.available_tokens and quota.take(trio.current_time()):
                nursery.start_soon(self._reply, targets, asker, message.mx_s)

    async def _reply(self, targets: list[tuple[str, str]], asker: tuple[str, int], mx_s: int) -> None:
        """From a socket of its own, which knows from which of our addresses this one is reached."""
        async with self._waiting:
            await trio.sleep(self._rng() * mx_s)
            try:
                with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    await sock.connect(asker)
                    address = self._host or sock.getsockname()[0]
                    for target, usn in targets:
                        await sock.send(self._encoded(self._described("answer", target, usn, address)))
            except OSError as error:
                logger.debug("ssdp answer not sent error=%s", error.strerror)

    async def _tell_all(
        self, sock: trio.socket.SocketType, message: Callable[[str, str, str], Message]
    ) -> None:
        """To the group, from each of our addresses with that address in it."""
        for address in sorted(self._joined):
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
                for target, usn in self._targets():
                    data = self._encoded(message(target, usn, address))
                    await sock.sendto(data, (self._group, self._group_port))
            except OSError as error:  # a moment without a network is no reason to give up
                logger.debug("ssdp not sent address=%s error=%s", address, error.strerror)

    def _join(self, sock: trio.socket.SocketType) -> None:
        """Listen on every interface there is by now."""
        joined = set()
        for address in [self._host] if self._host else lan_addresses():
            member = struct.pack("4s4s", socket.inet_aton(self._group), socket.inet_aton(address))
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:  # joined already
                    logger.debug("ssdp not joined address=%s error=%s", address, error.strerror)
                    continue
            joined.add(address)
        if joined != self._joined:
            logger.info("ssdp addresses=%s", ",".join(sorted(joined)))
        self._joined = joined

    def _targets(self) -> list[tuple[str, str]]:
        """What the door is found as, and the unique name of each."""
        unique = f"uuid:{self._identity.uuid}"
        return [
            (ROOT_DEVICE, f"{unique}::{ROOT_DEVICE}"),
            (unique, unique),
            (BASIC_DEVICE, f"{unique}::{BASIC_DEVICE}"),
        ]

    def _described(self, kind: str, target: str, usn: str, address: str) -> Description:
        return Description(
            kind="alive" if kind == "alive" else "answer",
            target=target,
            usn=usn,
            location=f"http://{address}:{self._port}{PATH}",
            server=SERVER,
            bridge_id=self._identity.bridge_id,
        )

    def _encoded(self, message: Message) -> bytes:
        return encode_message(message, host=self._group, port=self._group_port)


def can_be_found(bound: str) -> bool:
    """Whether somebody else can come to this bound address, and find it by IPv4."""
    return bound in EVERYWHERE or (":" not in bound and not bound.startswith("127."))


def lan_addresses() -> list[str]:
    """The IPv4 addresses of this machine that others may know."""
    return [
        name for name in own_names() if is_address(name) and ":" not in name and not name.startswith("127.")
    ]
