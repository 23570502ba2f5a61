"""Points in time as people write them on a command line."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Any

import click

_AGO = re.compile(r"(\d{1,9})\s*(s|min|m|h|d|w)")
_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class Moment(click.ParamType[int]):
    """UTC nanoseconds from `10m`, `today`, `14:30` or `2026-11-23T14:30`; times are of this place.

    future: a span such as `2d` lies ahead instead of behind.
    """

    name = "time"

    def __init__(self, *, future: bool = False) -> None:
        self._future = future

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_moment(str(value), time.time_ns(), future=self._future)
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"expected 45s, 10m, 2h, 3d, 1w, today, yesterday, 14:30, 2026-11-23 or 2026-11-23T14:30, "
                f"got {str(value)[:40]!r}.",
                param,
                ctx,
            )


def parse_moment(text: str, now_ns: int, *, future: bool = False) -> int:
    """See Moment. Raises: ValueError, OverflowError, OSError."""
    text = text.strip()
    span = _AGO.fullmatch(text)
    if span is not None:
        length_ns = int(span[1]) * _UNITS_S[span[2]] * 1_000_000_000
        return now_ns + length_ns if future else now_ns - length_ns
    today = (
        datetime.fromtimestamp(now_ns / 1e9).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    )
    clock = _CLOCK.fullmatch(text)
    # Made naive and local again, so that a day with a change of the clocks has its right midnight.
    if clock is not None:
        found = today.replace(hour=int(clock[1]), minute=int(clock[2]), tzinfo=None)
    elif text in ("today", "yesterday"):
        found = (today.replace(tzinfo=None)) - timedelta(days=text == "yesterday")
    else:
        found = datetime.fromisoformat(text)
    return int(found.timestamp() * 1_000_000) * 1_000
