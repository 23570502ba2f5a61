"""The file of the keys: whole, whatever happens."""

from __future__ import annotations

import sqlite3
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
