"""Output levels in a shared file, so that another process can watch simulated relays.

On metal the kernel closes the GPIO lines of a process that is gone (docs/wiring.md tells what the pin does
then). Here a lock plays that part: the writer holds an flock for as long as it lives, and a reader that finds
the lock free takes every output for released, whatever the records say.

Layout: a header of 16 bytes, then one record of 64 bytes per output: name (UTF-8, zero padded), energised,
number of changes, time of the last one (CLOCK_MONOTONIC seconds, comparable between processes of one boot).
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from pathlib import Path

import msgspec

from hw.errors import HardwareError

MAGIC = b"portero-relays-1"
RECORD = struct.Struct("<40s?7xQd")
MAX_OUTPUTS = 64
LOCK_TRIES = 50
LOCK_RETRY_S = 0.01


class MirroredOutput(msgspec.Struct, frozen=True):
    """What the file says of one output. changed_at: time.monotonic() seconds of this boot."""

    energised: bool
    changes: int
    changed_at: float


class Mirror:
    """The writing side. One record per output, rewritten by a single pwrite at each change."""

    def __init__(self, path: Path) -> None:
        """Create or take over the file. Raises: HardwareError when another living process holds it."""
        self._slots: dict[str, int] = {}
        self._changes: dict[str, int] = {}
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise HardwareError("board", f"mirror file cannot be opened: {exc.strerror}") from exc
        try:
            _lock_exclusively(self._fd)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, MAGIC, 0)
        except BaseException:
            os.close(self._fd)
            raise

    def write(self, name: str, energised: bool, at: float) -> None:
        """Raises: ValueError beyond MAX_OUTPUTS names or for a name longer than 40 bytes."""
        encoded = name.encode()
        if len(encoded) > 40:
            raise ValueError(f"output name longer than 40 bytes: {name[:50]!r}")
        slot = self._slots.setdefault(name, len(self._slots))
        if slot >= MAX_OUTPUTS:
            raise ValueError(f"more than {MAX_OUTPUTS} outputs")
        changes = self._changes.get(name, -1) + 1
        self._changes[name] = changes
        record = RECORD.pack(encoded, energised, changes, at)
        os.pwrite(self._fd, record, len(MAGIC) + slot * RECORD.size)

    def close(self) -> None:
        """Give up the lock: readers take every output for released. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_mirror(path: Path) -> dict[str, MirroredOutput]:
    """The outputs by name, none energised when nobody holds the file; empty while it is missing or new.

    Raises: HardwareError when it is some other file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    try:
        held = _is_held(fd)
        content = os.pread(fd, len(MAGIC) + MAX_OUTPUTS * RECORD.size, 0)
    finally:
        os.close(fd)
    if not MAGIC.startswith(content[: len(MAGIC)]):
        raise HardwareError("board", "not a mirror file of relay levels")
    outputs: dict[str, MirroredOutput] = {}
    for start in range(len(MAGIC), len(content) - RECORD.size + 1, RECORD.size):
        name, energised, changes, at = RECORD.unpack_from(content, start)
        outputs[name.rstrip(b"\0").decode(errors="replace")] = MirroredOutput(held and energised, changes, at)
    return outputs


def _lock_exclusively(fd: int) -> None:
    """A reader holds the lock for an instant, so one refusal proves nothing."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_RETRY_S)
        else:
            return
    raise HardwareError("board", "mirror file is held by another process")


def _is_held(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
