"""A small file that outlives the agent: read once, replaced as a whole, never half written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import trio

from agent.model.errors import AgentError, PeerError
from agent.statefile import read_file, replace_file, set_aside

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
            data = await trio.to_thread.run_sync(read_file, self._path, MAX_FILE_BYTES)
        except OSError as error:
            raise PeerError(f"{self._path} cannot be read: {error.strerror}") from error
        if data is None:
            return None
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            await trio.to_thread.run_sync(set_aside, self._path, str(error)[:200])
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
