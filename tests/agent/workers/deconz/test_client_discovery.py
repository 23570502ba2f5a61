"""Looking for gateways, on loopback in place of the multicast group."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from harness.deconz_gateway import BRIDGE_ID, DeconzGateway
from harness.deconz_home import Home
from trio.testing import MockClock

from agent.model.errors import PeerError
from agent.workers.deconz.client import Follower
from agent.workers.deconz.client_discovery import Found, discover
from agent.workers.deconz.client_key import Key, KeyStore
from agent.workers.deconz.config import GatewayConfig

OTHER = "00212EFFFF999999"


def answer(url: str, bridge_id: str = BRIDGE_ID) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\nHOST: 239.255.255.250:1900\r\nEXT:\r\nCACHE-CONTROL: max-age=100\r\n"
        f"LOCATION: {url}/description.xml\r\nSERVER: Linux/3.14.0 UPnP/1.0 IpBridge/1.26.0\r\n"
        f"GWID.phoscon.de: {bridge_id}\r\nhue-bridgeid: {bridge_id}\r\nST: upnp:rootdevice\r\n"
        f"USN: uuid:11111111-2222::upnp:rootdevice\r\n\r\n"
    ).encode()


HUE = answer("http://192.168.1.9:80").replace(b"GWID.phoscon.de", b"x-nothing")


class Group:
    """The multicast group: answers every search with `answers`, from the `lost`-th on."""

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self.answers: Sequence[bytes] = ()
        self.lost = 0
        self.searches: list[bytes] = []


@asynccontextmanager
async def group(*answers: bytes) -> AsyncIterator[Group]:
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        found = Group(sock.getsockname()[1])
        found.answers = answers

        async def serve() -> None:
            while True:
                data, who = await sock.recvfrom(2048)
                found.searches.append(data)
                if len(found.searches) > found.lost:
                    for reply in found.answers:
                        await sock.sendto(reply, who)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield found
            nursery.cancel_scope.cancel()


async def look(found: Group, bridge_id: str = "") -> Found:
    return await discover(bridge_id, address=found.address[0], port=found.address[1])


async def test_the_only_gateway_among_what_else_answers(patient_clock: MockClock) -> None:
    noise = (HUE, b"", b"\xff" * 300, b"NOTIFY * HTTP/1.1\r\n\r\n", b"x" * 4000)
    async with group(*noise, answer("http://192.168.1.5:80"), answer("http://192.168.1.5:80")) as found:
        assert await look(found) == Found(url="http://192.168.1.5:80", bridge_id=BRIDGE_ID)
        assert b"M-SEARCH * HTTP/1.1\r\nHOST: 127.0.0.1:" in found.searches[0]
        assert b"ST: urn:schemas-upnp-org:device:basic:1" in found.searches[0]
    assert trio.current_time() == pytest.approx(3, abs=0.1)


async def test_a_search_that_got_lost_is_repeated(patient_clock: MockClock) -> None:
    async with group(answer("http://192.168.1.5")) as found:
        found.lost = 2
        assert (await look(found)).url == "http://192.168.1.5"


async def test_the_one_that_was_asked_for_is_taken_at_once(patient_clock: MockClock) -> None:
    async with group(answer("http://192.168.1.6", OTHER), answer("http://[fd00::5]:8080")) as found:
        assert await look(found, BRIDGE_ID.lower()) == Found(url="http://[fd00::5]:8080", bridge_id=BRIDGE_ID)
    assert trio.current_time() < 0.1


@pytest.mark.parametrize(
    ("answers", "bridge_id", "reason"),
    [
        ((), "", "no gateway answers: set `url`"),
        ((HUE,), "", "no gateway answers"),
        (
            (answer("http://192.168.1.6", OTHER), answer("http://192.168.1.5")),
            "",
            f"several gateways answer, {OTHER} at http://192.168.1.6, {BRIDGE_ID} at http://192.168.1.5: "
            "set `bridge_id`",
        ),
        (
            (answer("http://192.168.1.6", OTHER),),
            BRIDGE_ID,
            f"no gateway {BRIDGE_ID} answers; there are {OTHER}",
        ),
    ],
)
async def test_what_is_said_when_there_is_not_one(
    answers: Any, bridge_id: str, reason: str, patient_clock: MockClock
) -> None:
    async with group(*answers) as found:
        with pytest.raises(PeerError) as caught:
            await look(found, bridge_id)
    assert reason in str(caught.value)


async def test_a_flood_of_answers_ends_the_search(patient_clock: MockClock) -> None:
    async with group(*[answer(f"http://10.0.0.{n}", f"{n:016X}") for n in range(100)]) as found:
        with pytest.raises(PeerError, match="several gateways answer") as caught:
            await look(found)
    assert len(str(caught.value)) < 1000


async def test_where_there_is_no_network(patient_clock: MockClock) -> None:
    with pytest.raises(PeerError, match="no gateway answers"):
        await discover("", address="255.255.255.255", port=1900, wait_s=0.5)  # not allowed to us


# ----- and the follower that uses it -----


async def follower(home: Home, ssdp: tuple[str, int], **config: Any) -> Follower:
    configured = msgspec.convert({"name": "home"} | config, GatewayConfig)
    await KeyStore(configured, home.context.state_dir).keep(Key(text="0A498B9909", bridge_id=BRIDGE_ID))
    return Follower(configured, home.context, (), ssdp=ssdp, rng=lambda: 0.0)


async def test_follows_a_gateway_that_moves(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, endpoints={})
    async with (
        DeconzGateway().running() as old,
        DeconzGateway().running() as new,
        trio.open_nursery() as nursery,
    ):
        async with group(answer("http://127.0.0.1:1", OTHER), answer(old.url)) as found:
            nursery.start_soon((await follower(home, found.address)).run)
            await home.state("following")
            assert home.page["gateway.home.url"] == old.url
            # It has the key of this gateway: another that answers is not taken for it.
            found.answers = (answer("http://127.0.0.1:1", OTHER), answer(new.url))
            await old.stop()
            await home.until(lambda: home.page["gateway.home.url"] == new.url)
            await home.state("following")
            # Multicast does not get through everywhere, always: it is still where it was.
            found.answers = ()
            await new.restart()
            await home.until(lambda: home.shown("state").count("following") == 3)
        nursery.cancel_scope.cancel()


async def test_pairs_with_the_only_gateway(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path, endpoints={})
    async with DeconzGateway().running() as gateway, group(answer(gateway.url)) as found:
        gateway.linked = True
        config = GatewayConfig(name="home")
        alone = Follower(config, home.context, (), ssdp=found.address)
        assert (await alone.pair(30))["bridgeid"] == BRIDGE_ID
        assert KeyStore(config, tmp_path).read() == Key(text="0000000002", bridge_id=BRIDGE_ID)
