"""pyzm's own client of event servers, unmodified, against the door whose authority it trusts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from processes import Door, Peer


@pytest.fixture
def listen(door: Door, run_peer: Callable[..., Peer]) -> Callable[..., Peer]:
    def start(**environment: str) -> Peer:
        # websocket-client's own way of naming authorities.
        return run_peer("pyzm_listener.py", door, WEBSOCKET_CLIENT_CA_BUNDLE=door.ca, **environment)

    return start


def test_the_ring_arrives(door: Door, listen: Callable[..., Peer]) -> None:
    client = listen()
    welcome = client.message("auth")
    assert welcome["status"] == "Success"
    assert [int(part) for part in welcome["version"].split(".")] >= [6, 0]
    door.press()
    alarm = client.message("alarm")
    assert alarm["status"] == "Success"
    assert len(alarm["events"]) == 1
    event = alarm["events"][0]
    assert event["Name"] == "Bell"
    assert event["Cause"] == "Ring"
    assert event["EventId"].isdigit()
    assert event["MonitorId"].isdigit()


def test_a_wrong_password_is_told_so(listen: Callable[..., Peer]) -> None:
    client = listen(PEER_PASSWORD="la puerta está abierta")
    assert client.message("auth") == {"event": "auth", "type": "", "status": "Fail", "reason": "BADAUTH"}


def test_an_authority_nobody_vouches_for_is_refused_by_the_client(
    door: Door, run_peer: Callable[..., Peer]
) -> None:
    client = run_peer("pyzm_listener.py", door)
    assert "CERTIFICATE_VERIFY_FAILED" in client.of("failed")


def test_version_and_filter(door: Door, listen: Callable[..., Peer]) -> None:
    client = listen()
    version = client.message("auth")["version"]
    door.press()
    bell = client.message("alarm")["events"][0]["MonitorId"]

    client.tell(send={"event": "control", "data": {"type": "version"}})
    assert client.message("control") == {
        "event": "control",
        "type": "version",
        "status": "Success",
        "reason": "",
        "version": version,
    }

    # Every monitor but the bell. A filter is not answered; the version behind it is, once it is in force.
    others = [str(number) for number in range(1, 9) if str(number) != bell]
    lists = {"monlist": ",".join(others), "intlist": ",".join("0" for _ in others)}
    client.tell(send={"event": "control", "data": {"type": "filter"} | lists})
    client.tell(send={"event": "control", "data": {"type": "version"}})
    client.message("control")
    before = client.events().count("alarm")
    door.press()
    door.portero("sim", "tamper", "motion")
    motion = client.message("alarm")["events"][0]
    assert motion["Cause"] == "Motion"
    assert client.events().count("alarm") == before + 1
    door.portero("sim", "calm", "motion")

    client.tell(send={"event": "control", "data": {"type": "filter", "intlist": "0"}})
    refusal = client.message("control")
    assert (refusal["status"], refusal["reason"]) == ("Fail", "MISSINGMONITORLIST")


def test_what_was_queued_before_the_welcome_is_answered_after_it(listen: Callable[..., Peer]) -> None:
    client = listen()
    client.tell(send={"event": "control", "data": {"type": "version"}})
    assert client.message("control")["type"] == "version"
    assert client.events() == ["auth", "control"]
