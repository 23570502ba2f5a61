"""The users' file survives what files suffer."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from agent.access import file
from agent.access.file import SCHEMA_VERSION, find, good_path, read, write
from agent.access.users import Account, StoredKey, Users

USERS = Users(
    accounts={
        "boss": Account(name="boss", role="admin", password_hash="h1", created_ns=1, pin_hash="p1"),
        "Guest.1": Account(
            name="Guest.1",
            role="guest",
            password_hash="h2",
            created_ns=2,
            valid_from_ns=3,
            valid_until_ns=4,
            endpoints=("door", "gate"),
            enabled=False,
            pin_hash="p2",
            pin_locked=True,
        ),
    },
    keys={
        "k1": StoredKey(id="k1", user="boss", name="bridge", digest=b"d" * 32, created_ns=5),
        "k2": StoredKey(
            id="k2", user="boss", name="old", digest=b"e" * 32, created_ns=6, last_used_ns=7, revoked=True
        ),
    },
)
FEWER = Users(accounts={"boss": USERS.accounts["boss"]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "access.db"


def names(path: Path) -> set[str]:
    return {found.name for found in path.parent.iterdir()}


def test_everything_comes_back(path: Path) -> None:
    assert write(path, USERS) is None
    assert read(path) == read(good_path(path)) == USERS
    found = find(path)
    assert (found.users, found.problem, found.unread) == (USERS, None, False)
    assert names(path) == {"access.db", "access.db.good"}
    write(path, FEWER)
    assert find(path).users == read(good_path(path)) == FEWER


def test_the_files_are_private(path: Path) -> None:
    previous = os.umask(0)
    try:
        write(path, USERS)
        path.write_bytes(b"x" * 5000)
        write(path, USERS)
    finally:
        os.umask(previous)
    for name in ("access.db", "access.db.good"):
        assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600


def test_no_file_is_no_users_and_no_problem(path: Path) -> None:
    found = find(path)
    assert (found.users, found.problem, found.unread) == (Users(), None, False)


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(9000))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, 5000)


def foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE users (something TEXT)")
    connection.close()


def scribbled(path: Path) -> None:
    with path.open("r+b") as handle:
        handle.seek(4096)
        handle.write(os.urandom(4096))


BREAKERS = [garbage, emptied, removed, cut, foreign, scribbled]


@pytest.mark.parametrize("breaker", BREAKERS, ids=lambda breaker: breaker.__name__)
def test_the_last_good_copy_takes_the_place(path: Path, breaker: Callable[[Path], None]) -> None:
    write(path, USERS)
    breaker(path)
    found = find(path)
    assert found.users == USERS
    assert found.problem is not None
    assert "last good copy, 2 users" in found.problem
    assert (path.parent / "access.db.bad").exists() == (breaker is not removed)
    assert read(path) == USERS
    assert find(path).problem is None


@pytest.mark.parametrize("breaker", BREAKERS, ids=lambda breaker: breaker.__name__)
def test_a_broken_file_is_no_reason_not_to_write(path: Path, breaker: Callable[[Path], None]) -> None:
    write(path, FEWER)
    breaker(path)
    assert write(path, USERS) is None
    assert find(path).users == USERS
    assert find(path).problem is None


def test_both_broken_is_told_and_leaves_a_door_without_users(path: Path) -> None:
    write(path, USERS)
    garbage(path)
    garbage(good_path(path))
    found = find(path)
    assert found.users == Users()
    assert not found.unread
    assert found.problem is not None
    assert "0 users are left" in found.problem
    assert (path.parent / "access.db.bad").exists()
    write(path, USERS)
    assert find(path).problem is None


def test_a_user_that_cannot_be_understood_does_not_lock_the_others_out(path: Path) -> None:
    write(path, USERS)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE users SET role = 'archangel' WHERE name = 'Guest.1'")
        connection.execute("UPDATE api_keys SET digest = 'text' WHERE id = 'k2'")
    connection.close()
    good_path(path).unlink()
    found = find(path)
    assert set(found.users.accounts) == {"boss"}
    assert set(found.users.keys) == {"k1"}
    assert found.problem is not None
    assert "1 of them cannot be understood" in found.problem
    assert names(path) == {"access.db"}


def test_a_held_file_is_not_broken_and_not_overwritten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "BUSY_TIMEOUT_S", 0.01)
    write(path, USERS)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    found = find(path)
    assert found.users == USERS  # from the copy
    assert not found.unread
    good_path(path).unlink()
    found = find(path)
    assert (found.users, found.unread) == (Users(), True)
    with pytest.raises(sqlite3.OperationalError):
        write(path, FEWER)
    other.execute("ROLLBACK")
    other.close()
    assert find(path).users == USERS


def test_a_copy_that_cannot_be_made_is_told(path: Path) -> None:
    write(path, FEWER)
    good_path(path).unlink()
    good_path(path).mkdir()
    problem = write(path, USERS)
    assert problem
    assert read(path) == USERS


def test_an_unwritable_folder_fails_and_changes_nothing(path: Path) -> None:
    path.parent.write_text("a file where a folder should be")
    with pytest.raises(file.FILE_ERRORS):
        write(path, USERS)
    assert find(path).users == Users()


VERSION_1 = """
CREATE TABLE IF NOT EXISTS users (
    name TEXT PRIMARY KEY COLLATE NOCASE, role TEXT NOT NULL, password_hash TEXT NOT NULL,
    created_ns INTEGER NOT NULL, valid_from_ns INTEGER, valid_until_ns INTEGER, endpoints TEXT,
    enabled INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, digest BLOB NOT NULL,
    created_ns INTEGER NOT NULL, last_used_ns INTEGER, revoked INTEGER NOT NULL
);
DELETE FROM users;
DELETE FROM api_keys;
INSERT INTO users VALUES ('boss', 'admin', 'h1', 1, NULL, NULL, NULL, 1);
INSERT INTO users VALUES ('Guest.1', 'guest', 'h2', {created_ns}, 3, 4, '["door","gate"]', 0);
INSERT INTO api_keys VALUES ('k1', 'boss', 'bridge', x'{digest}', 5, NULL, 0);
PRAGMA user_version = 1;
"""


def written_by_version_1(path: Path, *, created_ns: int = 2) -> None:
    """What the program of version 1 wrote; `Guest.1` was made at `created_ns`."""
    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1.format(created_ns=created_ns, digest=(b"d" * 32).hex()))
    connection.close()


def without_pins(users: Users) -> dict[str, Account]:
    return {
        name: structs.replace(account, pin_hash=None, pin_locked=False)
        for name, account in users.accounts.items()
    }


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def test_a_file_of_version_1_is_read_and_becomes_version_2(path: Path) -> None:
    written_by_version_1(path)
    found = find(path)
    assert found.problem is None
    assert found.users.accounts == without_pins(USERS)
    assert list(found.users.keys) == ["k1"]
    assert version_of(path) == 1, "reading changes nothing"
    assert write(path, USERS) is None
    assert find(path).users == read(good_path(path)) == USERS
    assert version_of(path) == version_of(good_path(path)) == SCHEMA_VERSION == 2
    assert not (path.parent / "access.db.bad").exists()


def test_version_1_goes_on_with_the_file_and_gives_the_pins_back(path: Path) -> None:
    write(path, USERS)
    written_by_version_1(path)
    assert find(path).users.accounts == USERS.accounts
    write(path, USERS)
    assert version_of(path) == 2


def test_a_pin_is_not_for_who_bears_the_name_later(path: Path) -> None:
    write(path, USERS)
    written_by_version_1(path, created_ns=99)  # removed and added again by a program that knows no PINs
    accounts = find(path).users.accounts
    assert (accounts["boss"].pin_hash, accounts["Guest.1"].pin_hash) == ("p1", None)


def test_a_newer_file_is_gone_on_with(path: Path) -> None:
    write(path, USERS)
    connection = sqlite3.connect(path)
    connection.executescript(
        "ALTER TABLE users ADD COLUMN language TEXT; ALTER TABLE pins ADD COLUMN hint TEXT DEFAULT 'x';"
        "CREATE TABLE cards (id TEXT); INSERT INTO cards VALUES ('c1'); PRAGMA user_version = 3;"
    )
    connection.close()
    found = find(path)
    assert (found.users, found.problem) == (USERS, None)
    write(path, FEWER)
    assert find(path).users == FEWER
    assert version_of(path) == 3
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT id FROM cards").fetchall() == [("c1",)]
    connection.close()
    assert not (path.parent / "access.db.bad").exists()


def test_lost_pins_are_taken_from_the_copy_and_cost_no_user(path: Path) -> None:
    write(path, USERS)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE pins")
    connection.close()
    good = good_path(path).read_bytes()
    good_path(path).unlink()
    damaged = path.read_bytes()
    found = find(path)
    assert found.users.accounts == without_pins(USERS)
    assert found.problem is not None
    assert "2 users are left" in found.problem
    path.write_bytes(damaged)
    good_path(path).write_bytes(good)
    assert find(path).users == USERS


def test_a_pin_that_makes_no_sense_is_none(path: Path) -> None:
    write(path, USERS)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE pins SET pin_hash = x'00ff' WHERE user = 'boss'")
    connection.close()
    accounts = find(path).users.accounts
    assert (accounts["boss"].pin_hash, accounts["Guest.1"].pin_hash) == (None, "p2")


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder with users that we may read and not write, root or not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "state"
        write(folder / "access.db", USERS)
        Path(name).chmod(0o755)
        folder.chmod(0o555)
        for found in folder.iterdir():
            found.chmod(0o444)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_read_only_disk_still_knows_its_users(locked_folder: Path) -> None:
    path = locked_folder / "access.db"
    found = find(path)
    assert (found.users, found.problem) == (USERS, None)
    with pytest.raises(file.FILE_ERRORS):
        write(path, FEWER)
    assert find(path).users == USERS


@settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=300), truncate=st.booleans())
def test_any_damage_is_found_or_harmless(path: Path, place: float, junk: bytes, truncate: bool) -> None:
    """With a good copy nobody is lost but by a change of a single, still valid, field."""
    shutil.rmtree(path.parent, ignore_errors=True)
    write(path, USERS)
    whole = path.read_bytes()
    at = int(place * (len(whole) - 1))
    path.write_bytes(whole[:at] if truncate else whole[:at] + junk + whole[at + len(junk) :])
    found = find(path)
    if found.problem is not None:
        assert found.users == USERS
    assert write(path, FEWER) is None
    assert find(path).users == FEWER


WRITER = """
import sys
from pathlib import Path
from agent.access.file import write
from agent.access.users import Account, Users

path = Path(sys.argv[1])
number = int(sys.argv[2])
while True:
    number += 1
    boss = Account(name="boss", role="admin", password_hash=str(number), created_ns=number)
    write(path, Users(accounts={"boss": boss}))
    print(number, flush=True)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_what_was_written_survives_being_killed(path: Path, kills: int) -> None:
    write(path, Users(accounts={"boss": Account(name="boss", role="admin", password_hash="0", created_ns=0)}))
    number = 0
    for kill in range(kills):
        command = [sys.executable, "-c", WRITER, str(path), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.013 * kill % 0.1)
            process.send_signal(signal.SIGKILL)
            written = [int(line) for line in process.stdout.read().split("\n")[:-1]]
        found = find(path)
        assert found.problem is None
        number = int(found.users.accounts["boss"].password_hash)
        assert number >= max(written, default=1)
        assert int(read(good_path(path)).accounts["boss"].password_hash) >= number - 1
