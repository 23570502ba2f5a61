from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from harness.scripted_agent import STATUS

from agent import config
from agent.commands import door_checks
from agent.commands.finding import Finding
from agent.journal.opening import open_database
from agent.model.errors import ConfigError, ConfigErrors
from agent.registry import WORKERS


def results(found: list[Finding]) -> list[tuple[str, str]]:
    for finding in found:
        assert finding.result == "ok" or finding.todo, finding
    return [(finding.check, finding.result) for finding in found]


def read(**plain: object) -> config.Config:
    return config.parse(plain, {spec.name: spec.config for spec in WORKERS})


def test_config() -> None:
    errors = ConfigErrors([ConfigError("a", "b"), ConfigError("c", "d")])
    assert results([*door_checks.config(errors)]) == [("config", "fail"), ("config", "fail")]
    assert results([*door_checks.config(read())]) == [("config", "ok"), ("pins", "warn")]
    wired = read(endpoints={"bell": {"kind": "button", "pin": 17}})
    found = [*door_checks.config(wired)]
    assert results(found) == [("config", "ok"), ("pins", "ok")]
    assert "no conflicts" in found[1].found


def certificate(path: Path, begins_in: timedelta, ends_in: timedelta) -> None:
    now = datetime.now(UTC)
    issued = trustme.CA().issue_cert("door", not_before=now + begins_in, not_after=now + ends_in)
    path.write_bytes(issued.cert_chain_pems[0].bytes())


@pytest.mark.parametrize(
    ("begins_in_days", "ends_in_days", "result"),
    [(-1, 300, "ok"), (-1, 5, "warn"), (-10, -1, "fail"), (2, 300, "fail")],
)
def test_certificate_dates(begins_in_days: int, ends_in_days: int, result: str, tmp_path: Path) -> None:
    certificate(tmp_path / "server.pem", timedelta(days=begins_in_days), timedelta(days=ends_in_days))
    assert results([*door_checks.certificates(tmp_path, None)]) == [("tls", result)]


def test_certificate_of_the_operator(tmp_path: Path) -> None:
    certificate(tmp_path / "mine.crt", timedelta(days=-1), timedelta(days=90))
    found = [*door_checks.certificates(tmp_path / "tls", str(tmp_path / "mine.crt"))]
    assert results(found) == [("tls", "ok")]


def test_certificate_that_is_none(tmp_path: Path) -> None:
    assert results([*door_checks.certificates(tmp_path, None)]) == [("tls", "warn")]
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    assert results([*door_checks.certificates(tmp_path, None)]) == [("tls", "fail")]


def test_permissions(state: Path) -> None:
    (state / "tls").mkdir(mode=0o700)
    for name, mode in (("tls/ca.key", 0o600), ("tls/ca.pem", 0o644), ("access.db", 0o600)):
        (state / name).touch()
        (state / name).chmod(mode)
    assert results([*door_checks.permissions(state)]) == [("state", "ok")]
    (state / "tls" / "ca.key").chmod(0o644)
    found = [*door_checks.permissions(state)]
    assert found[0].found == "readable for others: tls/ca.key"
    assert results(found) == [("state", "fail")]
    (state / "tls" / "ca.key").chmod(0o600)
    state.chmod(0o755)
    assert results([*door_checks.permissions(state)]) == [("state", "fail")]
    assert results([*door_checks.permissions(state / "none")]) == [("state", "warn")]


def test_journal(state: Path) -> None:
    path = state / "journal.db"
    assert results([*door_checks.journal(path, None)]) == [("journal file", "warn")]
    open_database(path).close()
    assert results([*door_checks.journal(path, STATUS)]) == [("journal", "ok"), ("journal file", "ok")]
    (state / "journal.db.bad-20260101T000000Z").touch()
    assert results([*door_checks.journal(path, None)]) == [("journal file", "warn")]
    path.write_bytes(b"rubbish" * 1000)
    broken = {"journal": {"ok": False, "problem": "disk full"}}
    assert results([*door_checks.journal(path, broken)]) == [("journal", "fail"), ("journal file", "fail")]


def test_listeners_of_a_running_agent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"wss://127.0.0.1:{listener.getsockname()[1]}/"
        status = {"ready": {"listeners": {"zmes": address}}}
        assert results([*door_checks.listeners(status, read())]) == [("listener", "ok")]
    assert results([*door_checks.listeners(status, read())]) == [("listener", "fail")]


def test_ports_for_an_agent_to_come() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        planned = read(workers={"zmes": {"server": {"host": "127.0.0.1", "port": port}}})
        found = [*door_checks.listeners(None, planned)]
        assert results(found) == [("listener", "fail")]
        assert "in use by another program" in found[0].found
    assert results([*door_checks.listeners(None, planned)]) == [("listener", "ok")]
    assert not [*door_checks.listeners(None, ConfigErrors([]))]
