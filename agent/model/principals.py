"""Who asks, and what they may do. Authorisation is a pure function: same question, same answer."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agent.model.actions import (
    Action,
    AnswerCall,
    EndCall,
    Lock,
    Ring,
    SetAlarm,
    SetNotify,
    SoundSiren,
    StartTalk,
    StopSiren,
    SwitchLight,
    Unlock,
    target,
)

Role = Literal["resident", "guest", "installer", "admin", "system"]

_ALL: frozenset[type] = frozenset(
    {
        Unlock,
        Lock,
        SoundSiren,
        StopSiren,
        SwitchLight,
        Ring,
        AnswerCall,
        EndCall,
        StartTalk,
        SetNotify,
        SetAlarm,
    }
)
_RIGHTS: dict[Role, frozenset[type]] = {
    "resident": _ALL,
    "guest": frozenset({Unlock, Lock, SwitchLight}),
    # An installer tests the wiring but is no resident: opening needs a resident or admin account.
    "installer": frozenset({Lock, SoundSiren, StopSiren, SwitchLight, Ring}),
    "admin": _ALL,
    "system": _ALL,
}


class Grant(Struct, frozen=True, kw_only=True):
    """Limits of one principal beyond its role; UTC nanoseconds, None for no limit."""

    endpoints: tuple[str, ...] | None = None
    not_before_ns: int | None = None
    not_after_ns: int | None = None


class Principal(Struct, frozen=True, kw_only=True):
    """Somebody whose identity a worker has proven.

    via: the worker that proved it (`zmes`, `control`, `rules`).
    proven_locally: the credential was checked against this door's own store, so the door may act on it
    even when nothing can be written down.
    """

    name: str
    role: Role
    via: str
    peer: str = ""
    proven_locally: bool = False
    grant: Grant = Grant()


def in_force(principal: Principal, at_ns: int) -> bool:
    """True within the time that the principal was given, if it was given one."""
    grant = principal.grant
    return (grant.not_before_ns is None or grant.not_before_ns <= at_ns) and (
        grant.not_after_ns is None or at_ns < grant.not_after_ns
    )


def authorise(principal: Principal, action: Action, now_ns: int) -> str | None:
    """None when `principal` may do `action` at `now_ns`, else the reason why not."""
    if type(action) not in _RIGHTS.get(principal.role, frozenset()):
        return f"role {principal.role} may not {type(action).__struct_config__.tag}"
    grant = principal.grant
    if grant.not_before_ns is not None and now_ns < grant.not_before_ns:
        return "not yet valid"
    if grant.not_after_ns is not None and now_ns >= grant.not_after_ns:
        return "no longer valid"
    if grant.endpoints is not None and target(action) not in grant.endpoints:
        return f"not for {target(action)}"
    return None
