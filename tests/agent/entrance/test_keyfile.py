"""The file of the keys: whole, whatever happens."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.entrance import keyfile
from agent.entrance.key import Key, KeyRefusal
from agent.entrance.keyfile import Change

KEYS = tuple(Key(id=f"k{number}", tag=bytes(32), source="file") for number in range(40))
NEW = tuple(Key(id=f"n{number}", tag=bytes(32), source="file") for number in range(40))

DIE = """
import os, signal, sqlite3, sys
from pathlib import Path
path, at = Path(sys.argv[1]), int(sys.argv[2])
calls = 0
def deadly(name):
    real = getattr(os, name)
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
from agent.entrance import keyfile
from agent.entrance.key import Key
from agent.entrance.keyfile import Change
real_connect = keyfile._connect
class Deadly(sqlite3.Connection):
    def execute(self, *args):
        global calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*args)
    def executemany(self, sql, rows):
        global calls
        for row in rows:
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)
            super().execute(sql, row)
connect = sqlite3.connect
sqlite3.connect = lambda *a, **k: connect(*a, factory=Deadly, **k)
for name in ("open", "fsync", "replace", "fchmod"):
    setattr(os, name, deadly(name))
new = tuple(Key(id=f"n{i}", tag=bytes(32), source="file") for i in range(40))
old = [Key(id=f"k{i}", tag=bytes(32), source="file") for i in range(40)]
keyfile.write(path, Change(source="file", put=new, drop=tuple(k.id for k in old), added=40, removed=40), old,
              at_ns=2, file="new.xlsx", by="me")
print("done", calls)
"""


def stored(path: Path, keys: tuple[Key, ...]) -> None:
    keyfile.write(path, Change(source="file", put=keys, added=len(keys)), [], at_ns=1, file="", by="me")


def ids(path: Path) -> set[str]:
    found, problem = keyfile.load(path)
    assert problem == ""
    return {key.id for key in found}


def test_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    assert keyfile.load(path) == ([], "")
    stored(path, KEYS)
    assert ids(path) == {key.id for key in KEYS}
    assert path.stat().st_mode & 0o777 == 0o600
    (version,) = keyfile.versions(path)
    assert (version.source, version.added, version.by, version.can_return) == ("file", 40, "me", True)
    assert keyfile.before(path, version.number) == []
    assert keyfile.before(path, 99) is None


@pytest.mark.slow
def test_killed_at_every_step_it_is_the_old_or_the_new_set(tmp_path: Path) -> None:
    old, new = {key.id for key in KEYS}, {key.id for key in NEW}
    found = []
    for at in [*range(1, 12), *range(12, 110, 9), *range(110, 140, 2), 1000]:
        folder = tmp_path / str(at)
        folder.mkdir()
        path = folder / "keys.db"
        stored(path, KEYS)
        done = subprocess.run(
            [sys.executable, "-c", DIE, str(path), str(at)], capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        now = ids(path)
        assert now in (old, new)
        found.append(now == new)
        if done.returncode == 0:
            assert now == new
    assert True in found
    assert False in found


def test_use_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    stored(path, (Key(id="k0", code=bytes(32), source="file", uses_left=2),))
    keyfile.use(path, Key(id="k0", code=bytes(32), source="file", uses_left=1))
    assert [key.uses_left for key in keyfile.load(path)[0]] == [1]


def test_only_the_last_two_can_be_returned_to_and_twenty_are_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    for _ in range(25):
        stored(path, KEYS[:1])
    versions = keyfile.versions(path)
    assert len(versions) == keyfile.KEPT_VERSIONS
    assert [version.can_return for version in versions] == [True, True] + [False] * 18


@pytest.mark.parametrize("damage", ["another file", "in its middle"])
def test_a_damaged_file_gives_way_to_the_last_good_copy(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "keys.db"
    stored(path, KEYS)
    data = bytearray(b"not a database" * 400 if damage == "another file" else path.read_bytes())
    if damage == "in its middle":
        data[100:4000] = os.urandom(3900)
    path.write_bytes(data)
    found, problem = keyfile.load(path)
    assert {key.id for key in found} == {key.id for key in KEYS}
    assert "last good copy" in problem
    assert path.with_name("keys.db.corrupt").exists()
    assert ids(path) == {key.id for key in KEYS}


def test_without_a_good_copy_it_says_that_nobody_is_let_in(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    path.write_bytes(b"not a database, and long enough to be looked at" * 100)
    found, problem = keyfile.load(path)
    assert found == []
    assert problem.endswith("there is no good copy: no tag or code opens this door")


def test_a_key_that_makes_no_sense_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys.db"
    stored(path, KEYS[:2])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE keys SET key = x'ff' WHERE id = 'k0'")
    connection.close()
    assert ids(path) == {"k1"}
    assert "makes no sense" in caplog.text


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    first = keyfile.read_secret(tmp_path)
    assert keyfile.read_secret(tmp_path) == first
    assert (tmp_path / "keys.secret").stat().st_mode & 0o777 == 0o600
    (tmp_path / "keys.secret").write_bytes(b"short")
    with pytest.raises(KeyRefusal, match="damaged"):
        keyfile.read_secret(tmp_path)
