"""Giving memory back to a small computer, where the C library is glibc; elsewhere nothing happens.

Source: mallopt(3), malloc_trim(3), malloc.h.
"""

from __future__ import annotations

import ctypes
import gc

M_MMAP_THRESHOLD = -3
LARGE_BYTES = 1024 * 1024


def return_large_blocks() -> None:
    """Make every block above 1 MiB a mapping of its own, which goes back when it is freed.

    glibc otherwise raises that threshold at the first large block it sees freed, and one argon2 hash makes it
    hold on to 19 MiB for ever.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def return_free_memory() -> None:
    """Give back what starting has used and freed; takes some milliseconds, so once, when nobody waits."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
