"""What `portero doctor` finds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Result = Literal["ok", "warn", "fail"]


class Finding(Struct, frozen=True, kw_only=True):
    """One line of the report. todo: what the operator does now; empty for ok."""

    check: str
    result: Result
    found: str
    todo: str = ""
