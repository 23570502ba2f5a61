from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from harness.scripted_agent import ScriptedAgent

from agent.model.errors import CommandError

Portero = Callable[..., Result]
SERVER = {
    "url": "http://192.168.1.9:8080",
    "ws_url": "ws://192.168.1.9:8081",
    "bridgeid": "02AABBFFFFCCDDEE",
    "clients": 2,
    "link_s_left": 0,
    "keys": [{"id": "abcd2345", "name": "pydeconz"}],
}
GATEWAY = {
    "name": "home",
    "state": "following",
    "url": "http://192.168.1.5",
    "version": "2.33.2",
    "lights": 3,
    "sensors": 12,
    "problem": "",
}
DEVICE = {
    "gateway": "home",
    "resource": "sensors",
    "id": "4",
    "uniqueid": "00:15:8d:00:02:c9:4d:3a-01-0500",
    "name": "Kitchen \x1b[2J",
    "type": "ZHAFire",
    "state": "fire=false",
    "endpoint": "",
}


class Worker:
    """Answers the verbs of one worker; what it does not know it refuses as a door does."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    def __call__(self, arguments: dict[str, Any]) -> Any:
        self.asked.append(arguments)
        assert arguments["worker"] == "deconz"
        return self.answers.get(arguments["verb"], CommandError("deconz has no answer to that"))


def test_link_opens_the_window(portero: Portero, state: Path) -> None:
    worker = Worker(link={"seconds": 60, "url": "http://192.168.1.9:8080"})
    with ScriptedAgent(state, worker=worker):
        assert portero("deconz", "link").stdout.splitlines() == [
            "open for 1 min 0 s: start the deCONZ integration of your smart home now",
            "  address  http://192.168.1.9:8080",
        ]
        assert json.loads(portero("deconz", "link", "--json").stdout)["seconds"] == 60


def test_link_key_prints_the_key_and_nothing_else(portero: Portero, state: Path) -> None:
    worker = Worker(link_key={"key": "pk_abcd2345_secret"})
    with ScriptedAgent(state, worker=worker):
        assert portero("deconz", "link", "--key").stdout == "pk_abcd2345_secret\n"
        assert portero("deconz", "link", "--key", "--name", "panel").exit_code == 0
    assert [asked.get("name") for asked in worker.asked] == [None, "panel"]


def test_status_shows_both_ends_or_the_one_there_is(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, worker=Worker(server_status=SERVER, gateway_status=[GATEWAY])):
        text = portero("deconz", "status").stdout
        assert json.loads(portero("deconz", "status", "--json").stdout) == {
            "server": SERVER,
            "gateways": [GATEWAY],
        }
    assert "http://192.168.1.9:8080" in text
    assert "abcd2345  pydeconz" in text
    assert "2.33.2" in text
    with ScriptedAgent(state, worker=Worker(gateway_status=[{**GATEWAY, "url": "", "problem": "away"}])):
        text = portero("deconz", "status").stdout
    assert "server" not in text
    assert "away" in text
    with ScriptedAgent(state, worker=Worker(server_status={**SERVER, "link_s_left": 31})):
        assert "open for 31 s" in portero("deconz", "status").stdout


def test_a_door_without_it_says_what_to_add(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, worker=Worker()):
        done = portero("deconz", "status")
    assert done.exit_code == 1
    assert "[workers.deconz.server]" in done.stderr


def test_devices_of_both_ends(portero: Portero, state: Path) -> None:
    own = {**DEVICE, "name": "Bell", "endpoint": "doorbell"}
    del own["gateway"]
    with ScriptedAgent(state, worker=Worker(server_devices=[own], gateway_devices=[DEVICE])):
        lines = portero("deconz", "devices").stdout.splitlines()
        assert json.loads(portero("deconz", "devices", "--json").stdout)["gateways"] == [DEVICE]
    assert lines[1].startswith("this door  sensors/4")
    assert lines[2].startswith("home       sensors/4")
    assert "\x1b" not in lines[2]
    with ScriptedAgent(state, worker=Worker(server_devices=[], gateway_devices=[])):
        assert "no devices" in portero("deconz", "devices").stdout


def test_pair(portero: Portero, state: Path) -> None:
    worker = Worker(pair={"gateway": "home", "name": "Phoscon-GW", "bridgeid": "00212EFFFF012345"})
    with ScriptedAgent(state, worker=worker):
        lines = portero("deconz", "pair", "home", "--wait", "5").stdout.splitlines()
        assert json.loads(portero("deconz", "pair", "--json").stdout)["gateway"] == "home"
    assert lines[0] == "waiting for the link button of the gateway, 5 s at most"
    assert lines[1] == "home: paired with Phoscon-GW (00212EFFFF012345)"
    assert worker.asked[0]["gateway"] == "home"
    assert worker.asked[0]["wait_s"] == 5
    assert "gateway" not in worker.asked[1]


@pytest.mark.parametrize("words", [("link", "--name", "x"), ("pair", "--wait", "1"), ("nonsense",)])
def test_wrong_arguments(portero: Portero, words: tuple[str, ...]) -> None:
    assert portero("deconz", *words).exit_code == 2
