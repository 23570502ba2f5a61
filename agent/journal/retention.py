"""What the journal may forget, and why a wrong clock must not make it forget more. Pure.

A Pi has no clock of its own: after a power cut it may believe 1970, and a broken time server may tell
it 2038. So order never comes from time, and age is believed only under three conditions:

1. The clock agrees with what was stored before, at most a day behind and less than 60 days ahead of
   the newest entry. A door that was off for longer prunes by age again from its next start.
2. At most one small step per hour is pruned by age, so a clock that lies consistently, over restarts,
   nibbles at the old end instead of emptying the journal.
3. The newest entries stay, whatever their age.

Size needs no clock; it is what bounds the file when age is not believed.
"""

from __future__ import annotations

from collections.abc import Iterable

DAY_NS = 86_400_000_000_000
MAX_BEHIND_NS = 1 * DAY_NS
MAX_AHEAD_NS = 60 * DAY_NS


def age_cutoff_ns(*, now_ns: int, expected_ns: int | None, max_age_days: int) -> int | None:
    """The time before which entries are too old; None when `now_ns` is not to be believed.

    expected_ns: the newest time stored before, plus the time that has passed since by a monotonic
    clock; None when nothing is known.
    """
    if expected_ns is None or not expected_ns - MAX_BEHIND_NS <= now_ns < expected_ns + MAX_AHEAD_NS:
        return None
    return now_ns - max_age_days * DAY_NS


def too_old_up_to(rows: Iterable[tuple[int, int]], *, cutoff_ns: int, now_ns: int) -> int | None:
    """The id up to which (inclusive) the oldest rows, as (id, at_ns) in order of id, may go.

    Ends at the first row that is young enough. A row from the future tells nothing about its age and
    goes with an old one after it, so that one bad stamp does not keep everything behind it for ever.
    """
    last = None
    for row_id, at_ns in rows:
        if at_ns < cutoff_ns:
            last = row_id
        elif at_ns <= now_ns + MAX_BEHIND_NS:
            break
    return last
