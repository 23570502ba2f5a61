"""SSDP on a group of its own, over loopback."""

from __future__ import annotations

import ipaddress
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from agent.workers.deconz.about import Identity
from agent.workers.deconz.config import Network
from agent.workers.deconz.ssdp import EVERY_S, MAX_WAITING, Announcer, can_be_found, lan_addresses
from agent.workers.deconz.ssdp_wire import (
    BASIC_DEVICE,
    EVERYTHING,
    ROOT_DEVICE,
    Byebye,
    Description,
    Message,
    Search,
    decode_message,
    encode_message,
)

GROUP = "239.255.77.77"
IDENTITY = Identity(bridge_id="A2B8BBFFFF07BF8F", mac="a2:b8:bb:07:bf:8f", uuid="1111-22", name="Door")
LOCATION = "http://127.0.0.1:8080/description.xml"


class Others:
    """The other side: a member of the group, and somebody who asks."""

    def __init__(self, port: int, sock: trio.socket.SocketType) -> None:
        self.port = port
        self._sock = sock

    async def heard(self, count: int, within_s: float = 5) -> list[Message]:
        """The next messages to the group."""
        found: list[Message] = []
        with trio.fail_after(within_s):
            while len(found) < count:
                data, _ = await self._sock.recvfrom(4096)
                message = decode_message(data)
                if not isinstance(message, Search):
                    found.append(message)
        return found

    async def ask(self, data: bytes, within_s: float = 0.3) -> list[Description]:
        """The answers to a datagram."""
        answers = []
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            await sock.bind(("127.0.0.1", 0))
            await sock.sendto(data, (GROUP, self.port))
            with trio.move_on_after(within_s):
                while True:
                    answer = decode_message(await sock.recv(4096))
                    assert isinstance(answer, Description)
                    answers.append(answer)
        return answers


@asynccontextmanager
async def network(
    *, networks: tuple[Network, ...] = (), rng: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[tuple[Others, Callable[[], None]]]:
    """A group with our announcer in it, and its end."""
    port = random.randrange(20_000, 60_000)
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await sock.bind((GROUP, port))
        member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1"))
        try:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        except OSError as error:
            pytest.skip(f"no multicast on loopback: {error}")
        announcer = Announcer(
            IDENTITY, "127.0.0.1", 8080, networks=networks, group=GROUP, group_port=port, rng=rng
        )
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await announcer.run()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield Others(port, sock), scope.cancel
            nursery.cancel_scope.cancel()


def search(target: str, mx_s: int = 0) -> bytes:
    return encode_message(Search(target=target, mx_s=mx_s), host=GROUP)


async def test_it_says_that_it_is_there_and_that_it_goes() -> None:
    async with network() as (others, stop):
        alive = await others.heard(3)
        for message, target in zip(alive, (ROOT_DEVICE, "uuid:1111-22", BASIC_DEVICE), strict=True):
            assert isinstance(message, Description)
            assert (message.kind, message.target, message.location) == ("alive", target, LOCATION)
            assert message.usn in (f"uuid:1111-22::{target}", "uuid:1111-22")
            assert message.bridge_id == IDENTITY.bridge_id
            assert "IpBridge" in message.server
        stop()
        gone = await others.heard(3)
        assert all(isinstance(message, Byebye) for message in gone)
        assert [message.usn for message in gone if isinstance(message, Byebye)] == [
            message.usn for message in alive if isinstance(message, Description)
        ]


@pytest.mark.parametrize(
    ("target", "answers"),
    [
        (EVERYTHING, 3),
        (ROOT_DEVICE, 1),
        (BASIC_DEVICE, 1),
        ("uuid:1111-22", 1),
        ("uuid:other", 0),
        ("urn:schemas-upnp-org:device:MediaServer:1", 0),
    ],
)
async def test_who_looks_for_it_gets_an_answer(target: str, answers: int) -> None:
    async with network() as (others, _):
        await others.heard(3)
        found = await others.ask(search(target))
        assert len(found) == answers
        for answer in found:
            assert answer.kind == "answer"
            assert answer.location == LOCATION
            assert answer.bridge_id == IDENTITY.bridge_id
            assert target in (answer.target, EVERYTHING)


async def test_nonsense_and_other_gateways_are_passed_over() -> None:
    async with network() as (others, _):
        await others.heard(3)
        for data in (
            b"",
            b"\xff" * 100,
            b"M-SEARCH * HTTP/1.1\r\n\r\n",
            b"x" * 4000,
            encode_message(Byebye(target=ROOT_DEVICE, usn="uuid:other")),
        ):
            assert await others.ask(data, 0.05) == []
        assert len(await others.ask(search(ROOT_DEVICE))) == 1


async def test_a_stranger_gets_no_answer() -> None:
    async with network(networks=(ipaddress.ip_network("192.168.1.0/24"),)) as (others, _):
        await others.heard(3)
        assert await others.ask(search(EVERYTHING)) == []


async def test_a_flood_of_questions_is_answered_for_a_while() -> None:
    async with network(rng=lambda: 0.3) as (others, _):
        await others.heard(3)
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            await sock.bind(("127.0.0.1", 0))
            for _ in range(200):
                await sock.sendto(search(ROOT_DEVICE, 1), (GROUP, others.port))
            count = 0
            with trio.move_on_after(1.5):
                while True:
                    await sock.recv(4096)
                    count += 1
        assert 0 < count <= MAX_WAITING + 1  # one that is being answered


async def test_it_says_so_again_and_again(autojump_clock: trio.testing.MockClock) -> None:
    begun = trio.current_time()
    async with network() as (others, _):
        await others.heard(9, 100)
        assert trio.current_time() - begun == pytest.approx(2 * EVERY_S, abs=1)


@pytest.mark.parametrize(
    ("bound", "found"),
    [
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.1.9", True),
        ("127.0.0.1", False),
        ("127.0.0.2", False),
        ("::1", False),
        ("fd00::1", False),
    ],
)
def test_a_door_for_this_machine_alone_is_not_announced(bound: str, found: bool) -> None:
    assert can_be_found(bound) is found


def test_the_addresses_of_this_machine() -> None:
    for address in lan_addresses():
        assert ipaddress.IPv4Address(address).is_loopback is False
