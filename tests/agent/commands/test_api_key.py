from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from harness.scripted_agent import ScriptedAgent

from agent.access.users import AccessError

Portero = Callable[..., Result]
KEY = {
    "id": "abcd2345",
    "user": "anna",
    "name": "panel",
    "created_ns": 1_790_000_000_000_000_000,
    "last_used_ns": None,
    "revoked": False,
}


def test_add(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, key_add={"key": "pk_abcd2345_secret"}) as agent:
        told = portero("api-key", "add", "anna", "panel").stdout
        assert told == "key pk_abcd2345_secret (shown this once)\n"
        assert json.loads(portero("api-key", "add", "anna", "panel", "--json").stdout) == {
            "key": "pk_abcd2345_secret"
        }
    assert agent.arguments("key_add") == {"user": "anna", "name": "panel"}


def test_list(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, key_list=[KEY]) as agent:
        lines = portero("api-key", "list", "anna").stdout.splitlines()
        assert agent.arguments("key_list") == {"user": "anna"}
        assert json.loads(portero("api-key", "list", "--json").stdout) == [KEY]
        assert agent.arguments("key_list") == {}
    assert lines[0].split() == ["ID", "USER", "NAME", "CREATED", "LAST", "USED", "REVOKED"]
    assert lines[1].split()[:3] == ["abcd2345", "anna", "panel"]
    assert lines[1].split()[-2:] == ["-", "no"]
    with ScriptedAgent(state, key_list=[]):
        assert "portero api-key add USER NAME" in portero("api-key", "list").stdout


def test_revoke(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, key_revoke={}) as agent:
        assert portero("api-key", "revoke", "abcd2345").stdout == "key abcd2345: revoked\n"
        assert json.loads(portero("api-key", "revoke", "abcd2345", "--json").stdout) == {}
        assert agent.arguments("key_revoke") == {"id": "abcd2345"}
    with ScriptedAgent(state, key_revoke=AccessError("there is no key 'x'")):
        done = portero("api-key", "revoke", "x")
    assert done.exit_code == 1
    assert done.stderr == "portero: there is no key 'x'\n"


def test_wrong_arguments(portero: Portero) -> None:
    assert portero("api-key", "add", "anna").exit_code == 2
    assert portero("api-key", "revoke").exit_code == 2
