"""A disk that is full, locked, read-only or full of nonsense: the bell rings, the lock obeys, and the door
says in plain words what is wrong and when it is over."""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from harness.agent_process import AgentProcess
from harness.phones import phone, ring_latency
from harness.quick_door import PASSWORDS, Door

from agent.commands.exits import CONFIG

GARBAGE = b"\xff\x00nonsense, but a lot of it " * 400
DISK_MB = 12
LIMIT_BYTES = 200_000
LOCKED_S = 2.5


async def rings_and_opens(agent: AgentProcess) -> None:
    """What a door is for, whatever its disk does."""
    async with phone(agent, "ana", PASSWORDS["ana"]) as app:
        assert await ring_latency(agent, app) < 1
        begun = time.monotonic()
        assert agent.unlock(hold_s=0.2)["outcome"] == "done"
        assert time.monotonic() - begun < 2
        assert agent.relays()["strike"].energised


def until_ok(agent: AgentProcess, ok: bool, within_s: float = 15.0, work: Callable[[], object] = int) -> str:
    """Wait until the journal is well or not; `portero status` says it, and this returns its words."""
    deadline = time.monotonic() + within_s
    while agent.ask("status")["journal"]["ok"] is not ok:
        assert time.monotonic() < deadline, agent.log()
        work()
        time.sleep(0.01)
    status = agent.portero("status")
    assert status.exit_code == (0 if ok else 1), status.stdout
    assert ("problem: journal" in status.stdout) is not ok
    return status.stdout


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own. Skips where this account may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0700", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this account may not mount a small disk; the quota variant runs everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Filler:
    """Takes all the space there is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> None:
        with self._path.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1 << 9):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def free(self) -> None:
        self._path.unlink()


@pytest.mark.slow
async def test_a_full_disk(door: Door, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, door("disk/state") as agent:
        await rings_and_opens(agent)
        fill = Filler(disk / "filler")

        def use() -> None:
            fill()
            agent.ask("submit", action={"do": "ring", "endpoint": "doorbell"})

        said = until_ok(agent, False, work=use)
        assert "full" in said
        await rings_and_opens(agent)
        muted = agent.portero("mute", "doorbell")
        assert muted.exit_code != 0
        assert "No space left" in muted.stderr
        assert agent.portero("user", "add", "gus", "--role", "resident").exit_code != 0
        fill.free()
        until_ok(agent, True)
        agent.until_stored("journal_recovered")
        failed = agent.stored("journal_failed")
        assert "full" in failed[0]["reason"]
        assert any("acted without a journal entry" in event["reason"] for event in failed)
        assert "unjournalled action=Unlock" in agent.log()
        assert "Traceback" not in agent.log()
        await rings_and_opens(agent)
        assert agent.stop() == 0


@pytest.mark.slow
async def test_a_quota_that_no_file_may_exceed(door: Door) -> None:
    with door() as agent:
        _, hard = resource.prlimit(agent.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
        ring = {"do": "ring", "endpoint": "doorbell"}
        until_ok(agent, False, work=lambda: agent.ask("submit", action=ring))
        await rings_and_opens(agent)
        resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (hard, hard))
        until_ok(agent, True)
        agent.until_stored("journal_recovered")
        assert agent.stored("journal_failed")
        assert "Traceback" not in agent.log()
        await rings_and_opens(agent)
        assert agent.ask("status")["problems"] == []
        assert agent.stop() == 0


@pytest.mark.slow
async def test_another_program_holds_the_journal(door: Door) -> None:
    with door() as agent:
        path = agent.state_dir / "journal.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            begun = time.monotonic()
            await rings_and_opens(agent)
            assert "locked" in until_ok(agent, False)
            await rings_and_opens(agent)
            time.sleep(max(0.0, LOCKED_S - (time.monotonic() - begun)))
            other.execute("ROLLBACK")
        until_ok(agent, True)
        agent.until_stored("journal_recovered", lost_first=0)
        # Nothing is lost: what could not be stored in time was stored late.
        accepted = {event["action_id"] for event in agent.stored("action_accepted")}
        unlocked = [event for event in agent.stored("lock_changed") if event["state"] == "unlocked"]
        assert len(unlocked) == 2
        assert {event["action_id"] for event in unlocked} <= accepted
        assert "Traceback" not in agent.log()


@pytest.mark.slow
async def test_the_journal_is_deleted_under_the_running_door(door: Door) -> None:
    with door() as agent:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{agent.state_dir / 'journal.db'}{suffix}").unlink(missing_ok=True)
        await rings_and_opens(agent)
        until_ok(agent, True)
        agent.until_stored("journal_recovered")
        reasons = [event["reason"] for event in agent.stored("journal_failed")]
        assert "the journal was removed or replaced under us" in reasons
        assert "acted without a journal entry: the journal was removed or replaced under us" in reasons
        assert "Traceback" not in agent.log()


@pytest.mark.parametrize("damage", ["garbage", "truncated", "a folder", "a foreign schema"])
async def test_a_journal_that_is_none_at_the_start(door: Door, damage: str) -> None:
    agent = door()
    path = agent.state_dir / "journal.db"
    whole = path.read_bytes()
    match damage:
        case "garbage":
            path.write_bytes(GARBAGE)
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2 + 100])
        case "a folder":
            path.unlink()
            path.mkdir()
        case _:
            path.unlink()
            with closing(sqlite3.connect(path)) as foreign:
                foreign.executescript("CREATE TABLE entries (recipe TEXT); PRAGMA user_version = 99;")
    with agent:
        await rings_and_opens(agent)
        if damage == "a folder":
            # Nothing that we could move aside without asking.
            until_ok(agent, False)
            path.rmdir()
        until_ok(agent, True)
        failed = agent.until_stored("journal_failed")
        assert failed["reason"]
        assert "journal problem=" in agent.log() or "journal failed" in agent.log()
        if damage != "a folder":
            assert Path(failed["moved_to"]).parent == agent.state_dir
            assert Path(failed["moved_to"]).exists()
        assert "Traceback" not in agent.log()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in this folder can be made, changed or removed any more."""
    found = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode & 0o777 for path in found if not path.is_socket()}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def powerless() -> tuple[str, ...]:
    """How to start a program for which permissions count, also when we are root."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.slow
async def test_a_state_directory_that_becomes_read_only(door: Door) -> None:
    with door(launcher=powerless()) as agent:
        with read_only(agent.state_dir):
            await rings_and_opens(agent)
            muted = agent.portero("mute", "doorbell")
            assert muted.exit_code != 0
            assert "Permission denied" in muted.stderr
            assert agent.ask("status")["endpoints"][0]["notify"] == "default"
            added = agent.portero("user", "add", "gus", "--role", "resident")
            assert added.exit_code != 0
            assert "could not be written" in added.stderr
            await rings_and_opens(agent)
        assert agent.portero("mute", "doorbell").exit_code == 0
        assert agent.portero("user", "add", "gus", "--role", "resident").exit_code == 0
        assert "Traceback" not in agent.log()
        assert agent.stop() == 0


WITHOUT_HANDS = """
[[rules]]
on = "access_denied"
then = { do = "ring", endpoint = "doorbell" }

[[rules]]
on = "access_denied"
then = { do = "unlock", endpoint = "strike", hold_s = 10 }
"""


@pytest.mark.slow
async def test_a_start_on_a_read_only_state_directory(door: Door) -> None:
    """As after a power cut that a card did not survive. Without the control socket a rule moves the door."""
    agent = door(more=WITHOUT_HANDS, launcher=powerless())
    mirror = agent.state_dir / "relays.sim"
    with read_only(agent.state_dir):
        mirror.chmod(0o600)  # plays the metal, not the disk
        agent.begin()
        agent.until_logged("The door is ready")
        agent.ready = {
            "ca": str(agent.state_dir / "tls/ca.pem"),
            "listeners": {"zmes": re.findall(r"wss://\S+", agent.log())[-1]},
        }
        async with (
            phone(agent, "ana", PASSWORDS["ana"]) as app,
            phone(agent, source="127.0.0.66") as stranger,
        ):
            assert (await stranger.log_in("ana", "drei hunde im hof"))["reason"] == "BADAUTH"
            assert (await app.alarm())["Cause"] == "Ring"
            agent.until_logged("unjournalled action=Unlock")
            assert agent.relays()["strike"].energised
        assert "Traceback" not in agent.log()
        for text in ("no local commands", "ready file not written", "readonly database"):
            assert text in agent.log()
        second = door(launcher=powerless())
        second.begin()
        assert second.wait() == CONFIG
        assert agent.stop() == 0
    assert not agent.relays()["strike"].energised
    agent.start()
    await rings_and_opens(agent)
    assert agent.ask("status")["problems"] == []


async def test_a_broken_users_file_with_its_good_copy(door: Door) -> None:
    agent = door()
    (agent.state_dir / "access.db").write_bytes(GARBAGE)
    with agent:
        await rings_and_opens(agent)
        assert "using the last good copy" in agent.log()
        assert "last good copy" in agent.until_stored("hardware_failed", endpoint="access.db")["reason"]
        assert {row["name"] for row in agent.ask("user_list")} == {"admin", "ana", "ben"}
        assert agent.stop() == 0
        agent.start()
        assert len(agent.stored("hardware_failed")) == 1
        await rings_and_opens(agent)


FILES = (
    "boot.json",
    "notify.json",
    "ready.json",
    "relays.sim",
    "tls/issued.json",
    "tls/server.pem",
    "workers/zmes/monitors.json",
    "workers/zmes/tokens.json",
    "workers/zmes/settings.json",
    "workers/zmes/last_sent.json",
)


@pytest.mark.parametrize("content", [GARBAGE, b"", b"[" * 200_000])
async def test_every_small_file_is_nonsense(door: Door, content: bytes) -> None:
    agent = door()
    for name in FILES:
        (agent.state_dir / name).write_bytes(content)
    with agent:
        await rings_and_opens(agent)
        assert agent.ask("status")["problems"] == []
        assert "Traceback" not in agent.log()
        if content:
            for name in ("boot counter", "mute table", "makes no sense"):
                assert name in agent.log()
        assert agent.stop() == 0
        if content == GARBAGE:
            agent.start()
            await rings_and_opens(agent)


async def test_a_broken_certificate_keeps_no_siren_silent(door: Door, tmp_path: Path) -> None:
    agent = door()
    with agent:
        agent.stop()
    for name in ("ca.key", "ca.pem", "server.pem"):
        (agent.state_dir / "tls" / name).write_bytes(GARBAGE)
    with agent:
        siren = {"do": "sound_siren", "endpoint": "siren", "duration_s": 0.5}
        assert agent.ask("submit", action=siren)["outcome"] == "done"
        assert agent.relays()["siren"].energised
        assert "no certificate" in agent.log()
        assert "tls" in [event["endpoint"] for event in agent.stored("hardware_failed")]
        assert agent.stop() == 0
