"""The operator's choices for who gets in."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class AccessConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How patiently wrong passwords are taken.

    free_attempts: failures in a row that cost nothing yet, for one peer and one account.
    max_delay_s: the longest that further failures make them wait; it begins at one second and doubles.
    """

    free_attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    max_delay_s: Annotated[float, Meta(ge=1, le=86_400)] = 300.0
