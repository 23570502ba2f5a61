"""The tokens of one cloud account on disk, and the secret of its webhook's address.

Every refresh gives a new pair and kills the old one. So a new pair is on disk, down to the folder's entry,
before anything uses it; whenever the power goes, the file holds one whole pair, the old or the new.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import msgspec
import trio
from msgspec import Struct

from agent.model.errors import ConfigError
from agent.workers.netatmo.wire import TokenAnswer

MAX_FILE_BYTES = 16_384
SECRET_BYTES = 24


class Tokens(Struct, frozen=True, kw_only=True):
    """A pair as it is kept. obtained_s: Unix seconds by the door's clock; lasts_s: from then on.

    restricted: an access token without the right to live video; empty where the application has no right.
    """

    access: str
    refresh: str
    restricted: str = ""
    obtained_s: int = 0
    lasts_s: int = 10_800
    scope: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Tokens({self.lasts_s} s)"


_decoder = msgspec.json.Decoder(Tokens)


def tokens_from(answer: TokenAnswer, now_s: float | None = None) -> Tokens:
    """What is kept of an answer."""
    return Tokens(
        access=answer.access,
        refresh=answer.refresh,
        restricted=answer.restricted_access,
        obtained_s=int(time.time() if now_s is None else now_s),
        lasts_s=answer.lasts_s,
        scope=answer.scope,
    )


class TokenFile:
    """path: JSON, mode 0600."""

    def __init__(self, state_dir: Path, cloud: str) -> None:
        self.path = state_dir / f"cloud-{cloud}.tokens"
        self._again = f"remove it and run `portero netatmo login {cloud}`"

    def load(self) -> Tokens | None:
        """The pair, None when there is none. Raises: ConfigError when the file cannot be used."""
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(str(self.path), f"cannot be read: {error.strerror or error}") from error
        try:
            return _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(str(self.path), f"holds no tokens: {self._again}") from error

    async def store(self, tokens: Tokens) -> None:
        """Keep a pair in place of the old one. Raises: OSError. Cancellation: it is kept all the same."""
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(replace, self.path, msgspec.json.encode(tokens))


def hook_secret(state_dir: Path, cloud: str) -> str:
    """The last part of the path below which this cloud's webhooks come; made once. Raises: ConfigError."""
    path = state_dir / f"cloud-{cloud}.hook"
    try:
        if path.exists():
            found = path.read_text("ascii").strip()
            if len(found) >= SECRET_BYTES and found.replace("-", "").replace("_", "").isalnum():
                return found
        made = secrets.token_urlsafe(SECRET_BYTES)
        replace(path, f"{made}\n".encode())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"cannot be used: {error}") from error
    return made


def replace(path: Path, data: bytes) -> None:
    """Put data in place of a file: whole and durable when it returns, else the old file is untouched."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
