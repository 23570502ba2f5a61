"""The identity of this start: a random id, and a number that grows with every start."""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from pathlib import Path

from msgspec import Struct

MOST = 2**53  # what every JSON reader gets right; beyond it the file is not ours
EPOCH_S = 1_577_836_800  # 2020-01-01 UTC: minutes since then are far above any honest count of starts
logger = logging.getLogger(__name__)


class Boot(Struct, frozen=True, kw_only=True):
    """number: 1, 2, 3 ... over the life of the state directory. Event ids for foreign systems are built
    from it, so that a number lost in a power cut is never given to another event."""

    id: str
    number: int


def next_boot(state_dir: Path) -> Boot:
    """Count this start durably.

    A state directory that cannot be written must not keep the bell from ringing: the number then comes
    from the clock and only uniqueness, not order, is kept.
    """
    path = state_dir / "boot.json"
    try:
        number = _counted(path.read_bytes()) + 1
    except FileNotFoundError:
        number = 1
    except (OSError, ValueError, RecursionError):
        number = _from_clock()
        logger.error("boot counter unreadable path=%s number=%d", path, number)
    boot = Boot(id=secrets.token_hex(16), number=number)
    temporary = path.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            file.write(json.dumps({"number": number, "id": boot.id}).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(state_dir)
    except OSError as error:
        boot = Boot(id=boot.id, number=_from_clock())
        logger.error("boot counter not stored error=%s number=%d", error, boot.number)
    return boot


def _counted(data: bytes) -> int:
    """The number in the file. Raises: ValueError, RecursionError."""
    plain = json.loads(data)
    number = plain.get("number") if isinstance(plain, dict) else None
    if type(number) is not int or not 0 < number < MOST:
        raise ValueError("no count of starts")
    return number


def _sync(folder: Path) -> None:
    """Make a new name in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _from_clock() -> int:
    return max(1, int(time.time() - EPOCH_S) // 60)
