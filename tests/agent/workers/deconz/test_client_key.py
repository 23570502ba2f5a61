"""Where the key of a gateway is, and what is said of a file that is none."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.model.errors import ConfigError
from agent.workers.deconz.client_key import Key, KeyStore
from agent.workers.deconz.config import GatewayConfig


def store(folder: Path, **more: Any) -> KeyStore:
    return KeyStore(msgspec.convert({"name": "home"} | more, GatewayConfig), folder)


def private(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


async def test_kept_and_read(tmp_path: Path) -> None:
    keys = store(tmp_path)
    assert keys.read() is None
    assert not keys.is_configured
    await keys.keep(Key(text="A1", bridge_id="00212EFFFF012345"))
    await keys.keep(Key(text="B2", bridge_id="00212EFFFF012345"))
    assert keys.read() == Key(text="B2", bridge_id="00212EFFFF012345")
    await keys.keep(Key(text="C3"))
    assert keys.read() == Key(text="C3")
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["gateway-home.key"]


async def test_a_file_left_half_written_is_replaced_and_private(tmp_path: Path) -> None:
    left = tmp_path / "gateway-home.key.new"
    left.write_text("half")
    left.chmod(0o644)
    keys = store(tmp_path)
    await keys.keep(Key(text="A1"))
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


def test_the_operators_file_counts(tmp_path: Path) -> None:
    private(tmp_path / "gateway-home.key", "A1\n")
    keys = store(tmp_path, key_file=private(tmp_path / "own", " B2 \n"))
    assert keys.is_configured
    assert keys.read() == Key(text="B2")


@pytest.mark.parametrize("text", ["", "a b\n", "../x\n", "A1\nA2\nA3\n", "ä\n", "k" * 129])
def test_a_file_that_holds_no_key(text: str, tmp_path: Path) -> None:
    keys = store(tmp_path, key_file=private(tmp_path / "own", text))
    with pytest.raises(ConfigError, match=r"workers\.deconz\.gateway\.home\.key_file") as caught:
        keys.read()
    assert text.strip() == "" or text.strip() not in str(caught.value)


def test_a_kept_file_that_makes_no_sense(tmp_path: Path) -> None:
    private(tmp_path / "gateway-home.key", "no key at all\n")
    with pytest.raises(ConfigError, match="pair again"):
        store(tmp_path).read()
    private(tmp_path / "gateway-home.key", "A1\nno id\n")
    assert store(tmp_path).read() == Key(text="A1")


def test_a_file_that_others_may_read_or_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "own"
    keys = store(tmp_path, key_file=str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        keys.read()
    path.write_text("A1")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="open to others"):
        keys.read()
