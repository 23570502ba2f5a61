from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import Result
from harness.scripted_agent import ScriptedAgent

from agent.access.pins import check_pin
from agent.access.users import AccessError
from agent.commands import password

Portero = Callable[..., Result]
ANNA = {
    "name": "anna",
    "role": "resident",
    "enabled": True,
    "created_ns": 1_790_000_000_000_000_000,
    "valid_from_ns": None,
    "valid_until_ns": 1_800_000_000_000_000_000,
    "endpoints": ["strike"],
    "keys": 2,
}


@pytest.mark.parametrize(
    ("arguments", "stdin", "command", "sent"),
    [
        (["add", "anna", "--role", "resident"], None, "user_add", {"name": "anna", "role": "resident"}),
        (
            ["add", "anna", "--role", "guest", "--password-stdin", "--valid-until", "2026-11-23T14:30Z"],
            "pass word\nrest\n",
            "user_add",
            {
                "name": "anna",
                "role": "guest",
                "password": "pass word",
                "valid_until_ns": 1_795_444_200_000_000_000,
            },
        ),
        (
            ["add", "anna", "--role", "admin", "--endpoint", "strike", "--endpoint", "gate"],
            None,
            "user_add",
            {"name": "anna", "role": "admin", "endpoints": ["strike", "gate"]},
        ),
        (["remove", "anna"], None, "user_remove", {"name": "anna"}),
        (["password", "anna"], None, "user_password", {"name": "anna"}),
        (
            ["password", "anna", "--password-stdin"],
            "new one\r\n",
            "user_password",
            {"name": "anna", "password": "new one"},
        ),
        (["pin", "anna", "--pin-stdin"], "739152\n", "user_pin", {"name": "anna", "pin": "739152"}),
        (["pin", "anna", "--remove"], None, "user_pin", {"name": "anna", "remove": True}),
        (["enable", "anna"], None, "user_enable", {"name": "anna", "enabled": True}),
        (["disable", "anna"], None, "user_enable", {"name": "anna", "enabled": False}),
        (["list"], None, "user_list", {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_command_reaches_the_agent(
    arguments: list[str],
    stdin: str | None,
    command: str,
    sent: dict[str, Any],
    portero: Portero,
    state: Path,
) -> None:
    reply: Any = [ANNA] if command == "user_list" else {"name": "anna", "role": "x", "password": None}
    if "--pin-stdin" in arguments:
        reply = {"pin": None}
    with ScriptedAgent(state, **{command: reply}) as agent:
        done = portero("user", *arguments, stdin=stdin)
        as_json = portero("user", *arguments, "--json", stdin=stdin)
    assert done.exit_code == 0, done.stderr
    assert "anna" in done.stdout
    assert "password None" not in done.stdout
    assert agent.arguments(command) == sent
    assert json.loads(as_json.stdout) == reply


def test_generated_password_is_shown(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, user_add={"name": "anna", "role": "resident", "password": "correct-horse"}):
        done = portero("user", "add", "anna", "--role", "resident")
    assert done.stdout == "anna: added as resident\npassword correct-horse (shown this once)\n"


def test_list_for_people(portero: Portero, state: Path) -> None:
    bob = {**ANNA, "name": "bob", "enabled": False, "valid_until_ns": None, "endpoints": None, "keys": 0}
    bob["pin"] = True
    cem = {**bob, "name": "cem", "pin_locked": True}
    with ScriptedAgent(state, user_list=[ANNA, bob, cem]):
        lines = portero("user", "list").stdout.splitlines()
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert rows[1][:3] + rows[1][5:] == ["anna", "resident", "yes", "strike", "2", "-"]
    assert rows[2] == ["bob", "resident", "NO", "-", "-", "all", "0", "yes"]
    assert rows[3][-1] == "LOCKED"
    with ScriptedAgent(state, user_list=[]):
        assert "portero user add NAME" in portero("user", "list").stdout


def test_generated_pin_is_shown_this_once(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, user_pin={}) as agent:
        done = portero("user", "pin", "anna", "--generate")
        sent = agent.arguments("user_pin")["pin"]
        as_json = portero("user", "pin", "anna", "--generate", "--json")
    assert done.stdout == f"anna: PIN set\npin {sent} (shown this once)\n"
    check_pin(sent)
    check_pin(json.loads(as_json.stdout)["pin"])


def test_pin_is_asked_for_twice_and_not_shown(
    portero: Portero, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append({"text": text, **options})
        return "739152"

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr(password, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    with ScriptedAgent(state, user_pin={}) as agent:
        done = portero("user", "pin", "anna")
    assert done.stdout == "anna: PIN set\n"
    assert agent.arguments("user_pin") == {"name": "anna", "pin": "739152"}
    assert asked == [{"text": "PIN of anna", "hide_input": True, "confirmation_prompt": True, "err": True}]


def test_refusal(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, user_remove=AccessError("anna is the last admin")):
        done = portero("user", "remove", "anna")
    assert done.exit_code == 1
    assert done.stderr == "portero: anna is the last admin\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["add", "anna"], 2, "Missing option '--role'"),
        (["add", "anna", "--role", "king"], 2, "'king' is not one of 'resident'"),
        (["add", "anna", "--role", "system"], 2, "'system' is not one of"),
        (["add", "anna", "--role", "guest", "--valid-until", "soon"], 2, "expected 45s, 10m"),
        (
            ["add", "anna", "--role", "guest", "--valid-from", "3d", "--valid-until", "2d"],
            2,
            "--valid-until must be later",
        ),
        (["add", "anna", "--role", "admin", "--password-stdin"], 1, "the password is empty"),
        (["add", "anna", "--role", "guest"], 2, "a guest needs an end: --valid-until"),
        (["password"], 2, "Missing argument 'NAME'"),
        (["pin", "anna"], 1, "there is no PIN, and nobody to ask for one"),
        (["pin", "anna", "--pin-stdin"], 1, "the PIN is empty"),
        (["pin", "anna", "--generate", "--remove"], 2, "only one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_arguments(arguments: list[str], code: int, text: str, portero: Portero) -> None:
    done = portero("user", *arguments, stdin="")
    assert done.exit_code == code
    assert text in done.stderr
