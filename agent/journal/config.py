"""The operator's choices for the journal."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class JournalConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much history the door keeps.

    keep_newest: entries that stay whatever the other two limits say.
    """

    max_age_days: Annotated[int, Meta(ge=1, le=36_500)] = 365
    max_mb: Annotated[int, Meta(ge=8, le=65_536)] = 256
    keep_newest: Annotated[int, Meta(ge=100, le=1_000_000)] = 10_000
