"""A small file that outlives the agent: read once, replaced as a whole, never half written."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import trio

from agent.model.errors import AgentError, PeerError

MAX_FILE_BYTES = 1024 * 1024

T = TypeVar("T")
logger = logging.getLogger(__name__)


class StateFile(Generic[T]):
    """One file of one kind of content. `store` returns when it is on the disk: what a peer is told after
    that outlives a power cut."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        self._path = path
        self._decoder = msgspec.json.Decoder(kind)
        self._writing = trio.Lock()

    async def load(self) -> T | None:
        """The content; None when there is none, or none that makes sense, which is kept for somebody to see.

        Raises: PeerError when the disk does not give it.
        """
        try:
            data = await trio.to_thread.run_sync(_read, self._path)
        except OSError as error:
            raise PeerError(f"{self._path} cannot be read: {error.strerror}") from error
        if data is None:
            return None
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            await trio.to_thread.run_sync(_set_aside, self._path, str(error)[:200])
            return None

    async def store(self, content: Callable[[], object]) -> None:
        """Put what `content` gives in place of the file, durably. Raises: AgentError.

        content: called on the trio thread when it is this write's turn, so that the last one has everything.
        Cancellation: a write that has begun is finished.
        """
        async with self._writing:
            data = msgspec.json.encode(content())
            try:
                await trio.to_thread.run_sync(replace_file, self._path, data)
            except OSError as error:
                logger.error("not stored path=%s error=%s", self._path, error.strerror)
                raise AgentError(f"{self._path.name} cannot be written: {error.strerror}") from error


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in place of the file, durably and for our user alone. Blocks. Raises: OSError."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None


def _set_aside(path: Path, reason: str) -> None:
    aside = path.with_name(path.name + ".corrupt")
    logger.critical("makes no sense, beginning anew path=%s kept=%s reason=%s", path, aside, reason)
    try:
        path.replace(aside)
    except OSError as error:
        logger.error("not set aside path=%s error=%s", path, error.strerror)
