"""Users and keys without a running agent: the commands on the real store."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from agent.access.passwords import verify_password
from agent.access.store import AccessStore
from agent.commands import accounts

Portero = Callable[..., Result]


def test_life_of_a_user(portero: Portero, state: Path) -> None:
    added = portero("user", "add", "anna", "--role", "admin", "--json")
    assert added.exit_code == 0, added.stderr
    answer = json.loads(added.stdout)
    assert (answer["name"], answer["role"]) == ("anna", "admin")
    assert len(answer["password"]) >= 12
    assert portero("user", "password", "anna", "--password-stdin", stdin="a long password\n").exit_code == 0
    assert portero("user", "add", "bob", "--role", "resident", "--endpoint", "strike").exit_code == 0
    assert portero("user", "disable", "bob").stdout == "bob: disabled\n"
    users = json.loads(portero("user", "list", "--json").stdout)
    assert [(user["name"], user["role"], user["enabled"], user["endpoints"]) for user in users] == [
        ("anna", "admin", True, None),
        ("bob", "resident", False, ["strike"]),
    ]
    assert portero("user", "enable", "bob").exit_code == 0
    assert AccessStore.open(state / "access.db").store.find("anna") is not None
    assert portero("user", "remove", "bob").exit_code == 0
    done = portero("user", "remove", "bob")
    assert done.exit_code == 1
    assert done.stderr == "portero: there is no user 'bob'\n"
    assert portero("user", "remove", "anna").exit_code == 1  # the last admin


def test_life_of_a_pin(portero: Portero, state: Path) -> None:
    portero("user", "add", "anna", "--role", "admin")

    def has_pin() -> bool:
        (user,) = json.loads(portero("user", "list", "--json").stdout)
        return bool(user["pin"])

    assert not has_pin()
    done = portero("user", "pin", "anna", "--pin-stdin", stdin="1234\n")
    assert done.exit_code == 1
    assert "among the first that anybody tries" in done.stderr
    assert "1234\n" not in done.stdout
    assert portero("user", "pin", "anna", "--pin-stdin", stdin="739152\n").stdout == "anna: PIN set\n"
    assert has_pin()
    made = json.loads(portero("user", "pin", "anna", "--generate", "--json").stdout)["pin"]
    account = AccessStore.open(state / "access.db").store.find("anna")
    assert account is not None
    assert verify_password(account.pin_hash, made)
    assert portero("user", "pin", "anna", "--remove").stdout == "anna: PIN removed\n"
    assert not has_pin()
    assert portero("user", "pin", "nobody", "--generate").exit_code == 1


def test_life_of_a_key(portero: Portero, state: Path) -> None:
    portero("user", "add", "anna", "--role", "admin")
    key = json.loads(portero("api-key", "add", "anna", "panel", "--json").stdout)["key"]
    assert AccessStore.open(state / "access.db").store.find_by_key(key) is not None
    (listed,) = json.loads(portero("api-key", "list", "--json").stdout)
    assert (listed["user"], listed["name"], listed["revoked"]) == ("anna", "panel", False)
    assert portero("api-key", "revoke", listed["id"]).exit_code == 0
    assert AccessStore.open(state / "access.db").store.find_by_key(key) is None
    assert json.loads(portero("api-key", "list", "anna", "--json").stdout)[0]["revoked"] is True
    assert portero("api-key", "list", "nobody").exit_code == 1


def test_no_state_directory(portero: Portero, state: Path) -> None:
    state.rmdir()
    done = portero("user", "list")
    assert done.exit_code == 3
    assert not state.exists()


@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_agent_that_is_starting(kind: int, portero: Portero, state: Path) -> None:
    lock = os.open(state / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, kind)
    try:
        done = portero("user", "list")
    finally:
        os.close(lock)
    assert done.exit_code == 75
    assert "just starting or stopping" in done.stderr


def test_root_goes_on_as_the_owner(portero: Portero, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[str, int]] = []
    owner = os.stat_result((0o40700, 1, 1, 2, 998, 997, 0, 0, 0, 0))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "setgroups", lambda groups: became.append(("groups", len(groups))))
    monkeypatch.setattr(os, "setgid", lambda gid: became.append(("gid", gid)))
    monkeypatch.setattr(os, "setuid", lambda uid: became.append(("uid", uid)))
    monkeypatch.setattr(type(state), "stat", lambda self, **options: owner)
    accounts._become_owner(state)
    assert became == [("groups", 0), ("gid", 997), ("uid", 998)]
