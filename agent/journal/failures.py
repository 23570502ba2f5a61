"""What SQLite's error codes mean for the journal."""

from __future__ import annotations

import sqlite3

# Codes that blame the file itself. A plain SQL error counts: our statements are right, so the schema is
# not ours; and so does a read error, since a sector that cannot be read does not heal by waiting.
_FILE_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
_FILE_UNREADABLE = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
)


# What reading or writing the file may raise. The sqlite3 module decodes names and messages that come from
# the file, so a damaged one can also fail as text.
FILE_ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError)


class BrokenFile(sqlite3.DatabaseError):
    """The file is no journal, or not a whole one."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_broken(error: Exception) -> bool:
    """True when the file is to blame, so that a new one is the remedy."""
    if isinstance(error, UnicodeDecodeError):
        return True
    return _primary(error) in _FILE_BROKEN or _code(error) in _FILE_UNREADABLE


def is_full(error: Exception) -> bool:
    """True when the disk has no room."""
    return _primary(error) == sqlite3.SQLITE_FULL


def is_busy(error: Exception) -> bool:
    """True when another process holds the file."""
    return _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def describe(error: Exception) -> str:
    """The reason for people, at most 200 characters."""
    if isinstance(error, UnicodeDecodeError):
        return "damaged text in the file"
    name = getattr(error, "sqlite_errorname", None)
    text = f"{name}: {error}" if name else f"{error}"
    return text[:200] or type(error).__name__


def _code(error: Exception) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code


def _primary(error: Exception) -> int | None:
    code = _code(error)
    return None if code is None else code & 0xFF
