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
    "url": "https://door.local:8443/netatmo/",
    "home_id": "5f96ffa54641d545d1554af2",
    "modules": [
        {"id": "02:9d:cf:86:3c:20", "type": "BNCX", "name": "Portero", "endpoint": "", "state": ""},
        {"id": "863c20-ffe3", "type": "BNDL", "name": "Front", "endpoint": "strike", "state": ""},
    ],
    "tokens": [
        {"id": "abcd2345", "name": "panel", "client": "", "scopes": ["read_mx"], "created_ns": 1_790 * 10**15}
    ],
    "webhooks": [{"to": "http://192.168.1.20:80", "state": "ok", "sent": 3, "failed": 0, "dropped": 0}],
}  # fmt: skip
CLOUD = {
    "name": "home",
    "state": "following",
    "problem": "",
    "modules": [{"id": "70:ee", "type": "NACamera", "name": "Hall \x1b[2J", "reachable": True}],
}


class Worker:
    """Answers the verbs of one worker; what it does not know it refuses as a door does."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    def __call__(self, arguments: dict[str, Any]) -> Any:
        self.asked.append(arguments)
        assert arguments["worker"] == "netatmo"
        return self.answers.get(arguments["verb"], CommandError("netatmo has no answer to that"))


def test_token_prints_the_token_and_nothing_else(portero: Portero, state: Path) -> None:
    worker = Worker(token={"token": "aaa|bbb"})
    with ScriptedAgent(state, worker=worker):
        done = portero("netatmo", "token", "--scope", "read_mx write_mx", "--name", "panel")
        assert done.stdout == "aaa|bbb\n"
        assert json.loads(portero("netatmo", "token", "--scope", "read_mx", "--json").stdout) == {
            "token": "aaa|bbb"
        }
    assert worker.asked[0]["scope"] == "read_mx write_mx"
    assert worker.asked[0]["name"] == "panel"
    assert "client" not in worker.asked[0]


def test_authorize_prints_the_code(portero: Portero, state: Path) -> None:
    worker = Worker(authorize={"code": "c0de"})
    with ScriptedAgent(state, worker=worker):
        assert portero("netatmo", "authorize", "panel", "--scope", "read_mx").stdout == "c0de\n"
    assert worker.asked[0]["client_id"] == "panel"


def test_status_of_both_ends(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, worker=Worker(server_status=SERVER, cloud_status=[CLOUD])):
        text = portero("netatmo", "status").stdout
        assert json.loads(portero("netatmo", "status", "--json").stdout) == {
            "server": SERVER,
            "clouds": [CLOUD],
        }
    assert "https://door.local:8443/netatmo/" in text
    assert "abcd2345" in text
    assert "cloud   home: following" in text
    assert "\x1b" not in text
    with ScriptedAgent(state, worker=Worker()):
        done = portero("netatmo", "status")
    assert done.exit_code == 1
    assert "[workers.netatmo.server]" in done.stderr


def test_login_by_browser_and_by_pasting(portero: Portero, state: Path) -> None:
    begun = {"cloud": "home", "url": "https://api.example/authorize?x", "state": "s", "logged_in": True}
    worker = Worker(login=begun)
    with ScriptedAgent(state, worker=worker):
        text = portero("netatmo", "login").stdout
        assert "  https://api.example/authorize?x\n" in text
        assert text.endswith("home: logged in\n")
        assert portero("netatmo", "login", "home", "--refresh-token", "t").stdout == "home: logged in\n"
    assert [asked.get("wait") for asked in worker.asked] == [None, True, None]
    assert worker.asked[2]["refresh_token"] == "t"


def test_set_and_persons(portero: Portero, state: Path) -> None:
    worker = Worker(cloud_set={"cloud": "home", "module": "Garden", "persons": ["Ana"]})
    with ScriptedAgent(state, worker=worker):
        assert "Garden" in portero("netatmo", "set", "Garden", "--floodlight", "auto").stdout
        assert portero("netatmo", "persons", "away", "Ana").stdout == "Ana: away\n"
    assert worker.asked[0]["floodlight"] == "auto"
    assert worker.asked[1]["presence"] == "away"
    assert worker.asked[1]["persons"] == ["Ana"]


def test_video(portero: Portero, state: Path) -> None:
    worker = Worker(cloud_video={"url": "http://192.168.1.9/x/live/index_local.m3u8", "local": True})
    with ScriptedAgent(state, worker=worker):
        assert portero("netatmo", "video", "Hall").stdout == "http://192.168.1.9/x/live/index_local.m3u8\n"
        portero("netatmo", "video", "Hall", "--snapshot", "--cloud", "home")
        assert json.loads(portero("netatmo", "video", "Hall", "--event", "v1", "--json").stdout)["local"]
    assert [asked["what"] for asked in worker.asked] == ["live", "snapshot", "event"]
    assert worker.asked[2]["video"] == "v1"


def test_events(portero: Portero, state: Path) -> None:
    part = {"time": 1_700_000_001, "module": "Hall", "meaning": "", "type": "human", "person": "",
            "message": "", "video_id": ""}  # fmt: skip
    row = part | {"time": None, "meaning": "a face", "person": "Ana", "message": "seen \x1b[2J",
                  "video_id": "v1", "parts": [part]}  # fmt: skip
    worker = Worker(cloud_events=[row])
    with ScriptedAgent(state, worker=worker):
        text = portero("netatmo", "events", "--person", "p1", "--before", "e1").stdout
        assert "Hall: a face  Ana seen" in text
        assert "video v1" in text
        assert "Hall: human" in text
        assert "\x1b" not in text
        worker.answers["cloud_events"] = []
        assert "nothing" in portero("netatmo", "events").stdout
    assert (worker.asked[0]["person_id"], worker.asked[0]["event_id"]) == ("p1", "e1")


@pytest.mark.parametrize(
    "words",
    [
        ("token",),
        ("video", "Hall", "--snapshot", "--event", "v1"),
        ("set", "Garden"),
        ("set", "Garden", "--floodlight", "on", "--monitoring", "off"),
        ("persons", "somewhere"),
    ],
)
def test_wrong_arguments(portero: Portero, words: tuple[str, ...]) -> None:
    assert portero("netatmo", *words).exit_code == 2
