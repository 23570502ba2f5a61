"""The Python library websockets, as anybody would use it, against the door."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from processes import PASSWORD, USER, Door, Peer


@pytest.fixture
def shell(door: Door, run_peer: Callable[..., Peer]) -> Peer:
    return run_peer("websockets_shell.py", door)


def test_a_session_with_everything(door: Door, shell: Peer) -> None:
    assert shell.of("opened") == {"extensions": []}
    # Raw UTF-8, which the real server cannot read.
    shell.tell(raw=f'{{"event":"auth","data":{{"user":"{USER}","password":"{PASSWORD}"}}}}')
    assert shell.message("auth")["status"] == "Success"
    shell.tell(ping=True)
    assert shell.of("pong") is True
    door.press()
    assert shell.message("alarm")["events"][0]["Cause"] == "Ring"
    shell.tell(fragments=['{"event":"con', 'trol","data":{"ty', 'pe":"version"}}'])
    assert shell.message("control")["type"] == "version"
    shell.tell(close=1000)
    assert shell.of("closed") == 1000


def test_escontrol_is_off_unless_configured(shell: Peer) -> None:
    shell.tell(send={"event": "auth", "category": "escontrol", "data": {"password": ""}})
    assert shell.message("auth")["reason"] == "ESCONTROLDISABLED"
    shell.tell(send={"event": "escontrol", "data": {"command": "get"}})
    assert shell.message("escontrol")["reason"] == "ESCONTROLDISABLED"


def test_push_is_off_unless_configured(shell: Peer) -> None:
    shell.tell(send={"event": "push", "data": {"type": "badge", "badge": "0"}})
    assert shell.message("push")["reason"] == "PUSHDISABLED"


def test_nothing_is_told_to_who_has_not_logged_in(
    door: Door, shell: Peer, run_peer: Callable[..., Peer]
) -> None:
    shell.of("opened")
    witness = run_peer("websockets_shell.py", door)
    witness.tell(send={"event": "auth", "data": {"user": USER, "password": PASSWORD}})
    witness.message("auth")
    door.press()
    witness.message("alarm")
    shell.tell(send={"event": "weather"})
    shell.message("weather")
    assert shell.events() == ["weather"]


@pytest.mark.parametrize("wait_s", [25])
def test_who_never_logs_in_is_shown_out_after_twenty_seconds(shell: Peer, wait_s: float) -> None:
    shell.of("opened")
    assert shell.message("auth", within_s=wait_s)["reason"] == "NOAUTH"
    assert shell.of("closed") == 1005
