"""What `submit` answers; each protocol says it in its own words."""

from __future__ import annotations

from msgspec import Struct


class Done(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="done"):
    """The action was carried out; the state event that follows is the truth about the endpoint."""

    action_id: str


class Refused(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="refused"):
    """Not authorised, unknown target, or not possible in this state; nothing moved."""

    action_id: str
    reason: str


class Busy(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="busy"):
    """Another action holds the endpoint for longer than the asker should wait; nothing moved."""

    action_id: str


class Failed(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="failed"):
    """The action was accepted and the door could not do it."""

    action_id: str
    reason: str


Outcome = Done | Refused | Busy | Failed
