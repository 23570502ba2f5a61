from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from agent.systemd import RingProof, ServiceManager


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """A service manager's end of the notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + address[1:] if address.startswith("@") else address)
        sock.setblocking(False)
        yield sock


def heard(sock: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(sock.recv(4096).decode())
        except BlockingIOError:
            return messages


@pytest.fixture(params=["file", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "file" else f"@portero-test-{secrets.token_hex(8)}"


def test_each_message_is_one_datagram(address: str) -> None:
    with manager(address) as sock:
        service = ServiceManager({"NOTIFY_SOCKET": address})
        service.tell("READY=1")
        service.tell("STATUS=Tür offen")
        assert heard(sock) == ["READY=1", "STATUS=Tür offen"]


def test_started_by_hand_it_is_silent() -> None:
    service = ServiceManager({})
    service.tell("READY=1")
    assert service.watchdog_s is None


def test_a_manager_that_is_gone_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")
    ServiceManager({"NOTIFY_SOCKET": "@nobody-listens-here"}).tell("READY=1")
    assert caplog.text.count("service manager unreachable") == 2


def test_a_manager_that_does_not_read_stops_nothing(address: str) -> None:
    with manager(address) as sock:
        service = ServiceManager({"NOTIFY_SOCKET": address})
        for _ in range(10_000):
            service.tell("WATCHDOG=1")
        assert heard(sock)


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
)
def test_whether_there_is_a_watchdog(environ: dict[str, str], watchdog_s: float | None) -> None:
    assert ServiceManager(environ).watchdog_s == watchdog_s


async def test_the_watchdog_is_fed_three_times_per_period_until_something_is_sick(
    address: str, autojump_clock: MockClock
) -> None:
    problem: str | None = None
    with manager(address) as sock:
        service = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.feed, lambda: problem)
            await trio.sleep(60 - 1)
            assert heard(sock) == ["WATCHDOG=1"] * 6
            problem = "the journal stands still"
            await trio.sleep(30)
            assert set(heard(sock)) == {"STATUS=the journal stands still"}
            problem = None
            await trio.sleep(10)
            assert heard(sock) == ["WATCHDOG=1"]
            nursery.cancel_scope.cancel()


async def test_without_a_watchdog_nobody_is_fed(address: str, autojump_clock: MockClock) -> None:
    with manager(address) as sock, trio.fail_after(1):
        await ServiceManager({"NOTIFY_SOCKET": address}).feed(lambda: pytest.fail("asked"))
        assert heard(sock) == []


class Reader:
    def __init__(self) -> None:
        self.at = 0

    def __call__(self) -> int:
        return self.at


def test_a_ring_that_moves_is_alive() -> None:
    published, journal = Reader(), Reader()
    proof = RingProof(published, {"the journal": journal})
    for step in range(1, 10):
        published.at = step * 10
        assert proof() is None
        journal.at = step * 10  # by the next look
    assert proof() is None


def test_a_quiet_door_is_alive() -> None:
    published, journal = Reader(), Reader()
    proof = RingProof(published, {"the journal": journal})
    published.at = journal.at = 500
    for _ in range(10):
        assert proof() is None


def test_a_reader_that_stands_still_is_named_until_it_moves() -> None:
    published, journal, other = Reader(), Reader(), Reader()
    proof = RingProof(published, {"other": other, "the journal": journal})
    published.at = 5
    assert proof() is None
    other.at, journal.at = 5, 4
    published.at = 9
    assert proof() == "the journal stands still at 4, expected 5"
    assert proof() == "the journal stands still at 4, expected 5"
    journal.at = 5
    assert proof() is None  # it has caught up with what was asked of it
    assert proof() == "other stands still at 5, expected 9"
