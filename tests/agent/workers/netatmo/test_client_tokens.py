"""The tokens of a cloud on disk: whenever the power goes, one whole pair is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.model.errors import ConfigError
from agent.workers.netatmo.client_tokens import TokenFile, Tokens, hook_secret, replace, tokens_from
from agent.workers.netatmo.wire import TokenAnswer

OLD = Tokens(access="old|a", refresh="old|r", obtained_s=1)
NEW = Tokens(access="new|a", refresh="new|r", obtained_s=2)
# A process that dies by SIGKILL at the n-th system call of those that store a pair.
DIE = """
import os, signal, sys
from pathlib import Path
path, at = Path(sys.argv[1]), int(sys.argv[2])
calls = 0

def deadly(real, after):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if calls == at and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

from agent.workers.netatmo.client_tokens import Tokens, replace
import msgspec
data = msgspec.json.encode(Tokens(access="new|a", refresh="new|r", obtained_s=2))
after = sys.argv[3] == "after"
for name in ("open", "fchmod", "fsync", "close", "replace", "rename"):
    setattr(os, name, deadly(getattr(os, name), after))
replace(path, data)
print("done", calls)
"""


def store(path: Path, at: int, moment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DIE, str(path), str(at), moment], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_at_every_step_the_old_or_the_new_pair_is_there(moment: str, tmp_path: Path) -> None:
    file = TokenFile(tmp_path, "casa")
    found: list[str] = []
    for at in range(1, 20):
        await file.store(OLD)
        result = store(file.path, at, moment)
        tokens = file.load()
        assert tokens in (OLD, NEW)
        found.append(tokens.access)
        if result.returncode == 0:
            assert "done" in result.stdout
            assert tokens == NEW
            break
        assert result.returncode == -signal.SIGKILL, result.stderr
    else:
        pytest.fail("it never came to its end")
    assert "old|a" in found
    assert found[-2:] == ["new|a", "new|a"]  # after the renaming it is the new one, whatever follows


async def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    file = TokenFile(tmp_path, "casa")
    assert file.load() is None
    await file.store(NEW)
    assert file.load() == NEW
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert "new" not in repr(NEW)


async def test_the_order_of_storing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        steps.append("fsync")
        fsync(descriptor)

    def note_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_rename)
    await TokenFile(tmp_path, "casa").store(NEW)
    assert steps == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"access":"a"}', b"\xff\xff", b"x" * 20_000])
def test_a_file_that_makes_no_sense_says_what_to_do(data: bytes, tmp_path: Path) -> None:
    file = TokenFile(tmp_path, "casa")
    file.path.write_bytes(data)
    with pytest.raises(ConfigError, match="portero netatmo login casa"):
        file.load()


def test_a_half_written_new_file_is_nobodys_business(tmp_path: Path) -> None:
    file = TokenFile(tmp_path, "casa")
    replace(file.path, msgspec.json.encode(OLD))
    (tmp_path / "cloud-casa.tokens.new").write_bytes(b'{"access":"ne')
    assert file.load() == OLD


def test_the_secret_of_the_path_is_made_once(tmp_path: Path) -> None:
    first = hook_secret(tmp_path, "casa")
    assert hook_secret(tmp_path, "casa") == first
    assert hook_secret(tmp_path, "mare") != first
    assert len(first) >= 32
    assert (tmp_path / "cloud-casa.hook").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("data", [b"", b"short\n", b"../../etc/passwd-and-more-of-it\n"])
def test_a_secret_that_is_none_is_made_anew(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "cloud-casa.hook").write_bytes(data)
    assert len(hook_secret(tmp_path, "casa")) >= 32


def test_a_secret_that_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        hook_secret(tmp_path / "nowhere", "casa")


def test_what_is_kept_of_an_answer() -> None:
    answer = TokenAnswer(access="a", refresh="r", restricted_access="x", lasts_s=60, scope=("s",))
    assert tokens_from(answer, 5.5) == Tokens(
        access="a", refresh="r", restricted="x", obtained_s=5, lasts_s=60, scope=("s",)
    )
