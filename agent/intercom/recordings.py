"""The folder of messages: bounded in number, bytes and age; what is in it is whole."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from agent.intercom.config import RecordingConfig
from agent.model.errors import EndpointError, MalformedMessage
from agent.voice.ogg import read_ogg_opus

SUFFIX = ".ogg"
PART = ".part"
SHORTEST_S = 0.5
_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}\.ogg")
_DAY_NS = 86_400 * 1_000_000_000
logger = logging.getLogger(__name__)


class Recording(Struct, frozen=True, kw_only=True):
    """One message. file: its name in the folder, made of the call's id. at_ns: when it ended, UTC."""

    file: str
    size_bytes: int
    at_ns: int
    duration_s: float


class Recordings:
    """All methods touch the disk: call them from a thread. The files are the agent's alone, mode 0600."""

    def __init__(
        self, folder: Path, config: RecordingConfig, *, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._folder = folder
        self._config = config
        self._clock_ns = clock_ns

    def prepare(self) -> list[Recording]:
        """Make the folder; keep and give what a power cut left, as far as it is whole. Raises: OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        saved = set()
        for part in self._folder.glob(f"*{PART}"):
            if _seconds(part) >= SHORTEST_S:
                os.replace(part, part.with_suffix(""))
                saved.add(part.with_suffix("").name)
            else:
                part.unlink(missing_ok=True)
        self.prune()
        return [message for message in self.messages() if message.file in saved] if saved else []

    def begin(self, call_id: str) -> BinaryIO:
        """A new file for the message of a call; `keep` or `discard` it. Raises: OSError."""
        path = self._part(call_id)
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)

    def keep(self, call_id: str, file: BinaryIO) -> str:
        """The message is complete: its name from now on, also after a power cut. Raises: OSError."""
        try:
            os.fsync(file.fileno())
        finally:
            file.close()
        path = self._part(call_id)
        whole = path.with_suffix("")
        os.replace(path, whole)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.prune()
        return whole.name

    def discard(self, call_id: str, file: BinaryIO) -> None:
        """It is not worth keeping, or cannot be kept. Never raises OSError: the disk may be what failed."""
        for undo in (file.close, lambda: self._part(call_id).unlink(missing_ok=True)):
            try:
                undo()
            except OSError as error:
                logger.warning("message not discarded call=%s error=%s", call_id, error)

    def messages(self) -> list[Recording]:
        """What there is, oldest first. Raises: OSError."""
        return [
            Recording(file=path.name, size_bytes=size, at_ns=at_ns, duration_s=round(_seconds(path), 1))
            for at_ns, size, path in self._files()
        ]

    def read(self, name: str, offset: int, size: int) -> tuple[bytes, int]:
        """A piece of one message, empty at its end, and the size of the whole.

        Raises: EndpointError when there is none, OSError.
        """
        try:
            with self._whole(name).open("rb") as file:
                file.seek(offset)
                return file.read(size), os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise EndpointError("recordings", f"there is no {name[:80]!r}") from None

    def delete(self, name: str) -> None:
        """Raises: EndpointError when there is none, OSError."""
        try:
            self._whole(name).unlink()
        except FileNotFoundError:
            raise EndpointError("recordings", f"there is no {name[:80]!r}") from None

    def prune(self) -> None:
        """Delete the oldest beyond what the configuration keeps. Raises: OSError."""
        files = self._files()
        too_old_ns = self._clock_ns() - round(self._config.keep_days * _DAY_NS)
        left, left_bytes = len(files), sum(size for _, size, _ in files)
        for at_ns, size, path in files:
            if at_ns >= too_old_ns and left <= self._config.keep and left_bytes <= self._config.keep_mb * 1e6:
                return
            path.unlink(missing_ok=True)
            left -= 1
            left_bytes -= size

    def _files(self) -> list[tuple[int, int, Path]]:
        """(time, size, path) of every message, oldest first."""
        found = []
        for path in self._folder.glob(f"*{SUFFIX}"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime_ns, status.st_size, path))
        return sorted(found)

    def _part(self, call_id: str) -> Path:
        return self._whole(call_id + SUFFIX).with_suffix(SUFFIX + PART)

    def _whole(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise EndpointError("recordings", f"there is no {name[:80]!r}")
        return self._folder / name


def _seconds(path: Path) -> float:
    """How long it plays; 0 for what is no recording."""
    try:
        return read_ogg_opus(path).duration_us / 1e6
    except (MalformedMessage, OSError):
        return 0.0
