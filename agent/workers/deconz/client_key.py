"""The API key of one gateway: in the operator's own file, or where the door keeps what pairing got."""

from __future__ import annotations

import re
from pathlib import Path

import trio
from msgspec import Struct

from agent.model.errors import ConfigError
from agent.net.trust import read_secret
from agent.statefile import replace_file
from agent.workers.deconz.config import GatewayConfig

_KEY = re.compile(r"[0-9A-Za-z_-]{1,128}")
_BRIDGE_ID = re.compile(r"[0-9A-Fa-f]{12,16}")


class Key(Struct, frozen=True, kw_only=True):
    """An API key. bridge_id: of the gateway that gave it, upper case; empty when nobody noted that."""

    text: str
    bridge_id: str = ""


class KeyStore:
    """path: where the door keeps it: the key in the first line, the bridge id in the second, mode 0600."""

    def __init__(self, config: GatewayConfig, state_dir: Path) -> None:
        self.path = state_dir / f"gateway-{config.name}.key"
        self._own_file = config.key_file
        self._where = f"workers.deconz.gateway.{config.name}.key_file"

    @property
    def is_configured(self) -> bool:
        """Whether the operator's file is what counts."""
        return self._own_file is not None

    def read(self) -> Key | None:
        """The key, None when there is none. Raises: ConfigError when its file cannot be used."""
        if self._own_file is not None:
            text = read_secret(self._own_file, self._where).strip()
            if not _KEY.fullmatch(text):
                raise ConfigError(self._where, f"{self._own_file} holds no API key")
            return Key(text=text)
        if not self.path.exists():
            return None
        lines = [*read_secret(str(self.path), str(self.path)).split("\n"), ""]
        if not _KEY.fullmatch(lines[0]):
            raise ConfigError(str(self.path), "holds no API key: remove it, and pair again")
        bridge_id = lines[1].strip().upper()
        return Key(text=lines[0], bridge_id=bridge_id if _BRIDGE_ID.fullmatch(bridge_id) else "")

    async def keep(self, key: Key) -> None:
        """Keep a new key, durably, in place of the old one. Raises: OSError.

        Cancellation: it is kept all the same.
        """
        await trio.to_thread.run_sync(replace_file, self.path, f"{key.text}\n{key.bridge_id}\n".encode())
