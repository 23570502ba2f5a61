"""Small files that outlive the agent: read once, replaced as a whole, never half written."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import trio

RETRY_S = 60.0
LAST_WRITE_S = 2.0

logger = logging.getLogger(__name__)


class StateFile:
    """Writes the whole content whenever something changed, off the trio thread.

    content: gives the file; called on the trio thread. Changes that come while one is being written are
    written together afterwards. A disk that refuses is tried again after RETRY_S.
    """

    def __init__(self, path: Path, content: Callable[[], bytes]) -> None:
        self._path = path
        self._content = content
        self._changed = trio.Event()
        self._limiter = trio.CapacityLimiter(1)

    def changed(self) -> None:
        """The content is another now."""
        self._changed.set()

    async def run(self) -> None:
        """Write for ever; the last change is written on the way out."""
        try:
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                written = False
                try:
                    written = await self._write()
                finally:
                    if not written:
                        self._changed.set()
                if not written:
                    await trio.sleep(RETRY_S)
        finally:
            with trio.move_on_after(LAST_WRITE_S, shield=True):
                if self._changed.is_set():
                    await self._write()

    async def _write(self) -> bool:
        try:
            await trio.to_thread.run_sync(replace_file, self._path, self._content(), limiter=self._limiter)
        except OSError as error:
            logger.error("not stored path=%s error=%s", self._path, error.strerror)
            return False
        return True


def replace_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put `data` in place of the file, durably and, by default, for our user alone: the whole file or the old
    one, also when the power goes. Blocks. Raises: OSError.
    """
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_file(path: Path, max_bytes: int) -> bytes | None:
    """The content of a file, at most `max_bytes` and one more; None when there is none.

    Blocks. Raises: OSError.
    """
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except FileNotFoundError:
        return None


def set_aside(path: Path, reason: str) -> None:
    """Keep a file that makes no sense for somebody to look at; an earlier one is replaced. Blocks."""
    aside = path.with_name(path.name + ".corrupt")
    logger.critical("makes no sense, beginning anew path=%s kept=%s reason=%s", path, aside, reason)
    try:
        path.replace(aside)
    except OSError as error:
        logger.error("not set aside path=%s error=%s", path, error.strerror)
