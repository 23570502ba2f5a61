"""`POST /api/setstate`: what is asked of the modules, checked as a whole before anything moves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.model.actions import (
    Action,
    Lock,
    SetNotify,
    SoundSiren,
    StopSiren,
    SwitchLight,
    Unlock,
)
from agent.model.outcomes import Busy, Done, Failed, Outcome, Refused
from agent.model.principals import Principal, authorise
from agent.runtime import Context
from agent.workers.netatmo.home import GATEWAY, Home, Json, Module
from agent.workers.netatmo.reply import (
    ARGUMENT_MISSING,
    CONCURRENT,
    FORBIDDEN,
    INVALID,
    NOTHING,
    UNABLE,
    Refusal,
    echo,
)

MAX_MODULES = 64
_FRAME = frozenset({"id", "bridge"})
# What is in homestatus and cannot be set.
_READ_ONLY = frozenset({"reachable", "last_seen", "type", "name", "last_user_interaction"})


class Wish(Struct, frozen=True, kw_only=True):
    """One property of one module, as an action. opens: what it does is open a door, whatever it is called."""

    module: Module
    property: str
    action: Action
    opens: bool = False


class SetState:
    """Reads wishes and has them done, one output by one asker at a time."""

    def __init__(self, home: Home, context: Context) -> None:
        self._home = home
        self._context = context
        self._moving: set[str] = set()

    def read(self, body: Mapping[str, object], scopes: Sequence[str]) -> list[Wish]:
        """Everything that is asked for, in the vendor's order of checks. Raises: Refusal."""
        home = body.get("home")
        home = home if isinstance(home, dict) else {}
        home_id = home.get("id")
        if home_id is None:
            raise Refusal(ARGUMENT_MISSING, "Missing home_id")
        if home_id != self._home.identity.home_id:
            raise Refusal(INVALID, "Invalid id")
        rows = home.get("modules")
        if not isinstance(rows, list):
            raise Refusal(ARGUMENT_MISSING, "Missing parameters")
        modules = self._modules(rows[: MAX_MODULES + 1])
        for module, row in modules:
            bridge = row.get("bridge")
            if bridge is not None and (module.is_gateway or not _same(bridge, self._home.gateway.id)):
                raise Refusal(INVALID, f"Invalid bridge, {echo(bridge)}")
        for number, (module, row) in enumerate(modules):
            if _names(row) and not module.writes & frozenset(scopes):
                raise Refusal(FORBIDDEN)
            for name in _names(row):
                _check_property(module, name, number)
        wishes = [self._wish(module, name, row[name]) for module, row in modules for name in _names(row)]
        if not wishes:
            raise Refusal(NOTHING)
        return wishes

    def _modules(self, rows: Sequence[object]) -> list[tuple[Module, Mapping[str, object]]]:
        """Each module with what is wished of it, none of them twice. Raises: Refusal."""
        if len(rows) > MAX_MODULES:
            raise Refusal(INVALID, f"more than {MAX_MODULES} modules")
        found: dict[str, tuple[Module, Mapping[str, object]]] = {}
        for row in rows:
            told = row.get("id") if isinstance(row, dict) else None
            module = self._home.modules.get(told.lower()) if isinstance(told, str) else None
            if module is None or module.id in found or not isinstance(row, dict):
                raise Refusal(INVALID, f"Invalid device_id, {echo('' if told is None else told)}")
            found[module.id] = (module, row)
        return list(found.values())

    def _wish(self, module: Module, name: str, value: object) -> Wish:
        """What a value means. Types are strict: 1 and "true" are no booleans. Raises: Refusal."""
        endpoint = module.endpoint
        action: Action | None = None
        if name == "monitoring":
            # The house's own muting, so that there is one truth: in the journal, kept over a restart, and the
            # same for every protocol. A siren that is not watched still sounds, and nobody is told.
            if value == "on":
                action = SetNotify(mode="default", endpoints=(endpoint,))
            elif value == "off":
                action = SetNotify(mode="mute", endpoints=(endpoint,))
        elif name in ("status", "siren_status"):
            if value == "sound":
                action = SoundSiren(endpoint=endpoint)
            elif value == "no_sound":
                action = StopSiren(endpoint=endpoint)
        elif name == "lock":
            if value is False:
                action = _open(module)
        elif value is True:
            action = _open(module) if module.kind == "lock" else SwitchLight(endpoint=endpoint, on=True)
        elif value is False:
            is_lock = module.kind == "lock"
            action = Lock(endpoint=endpoint) if is_lock else SwitchLight(endpoint=endpoint, on=False)
        if action is None:
            raise Refusal(INVALID, f"cannot set property {name} for module {module.id}")
        opens = module.type == "BNDL" or isinstance(action, Unlock)
        return Wish(module=module, property=name, action=action, opens=opens)

    async def carry_out(self, wishes: Sequence[Wish], principal: Principal) -> list[Json]:
        """Have it done, in order; an error for each module that did not do it.

        Raises: Refusal when somebody else is writing to one of these outputs, before anything moved.
        Cancellation: what was begun goes on, the rest is not begun.
        """
        outputs = {wish.module.endpoint for wish in wishes}
        if outputs & self._moving:
            raise Refusal(CONCURRENT)
        self._moving |= outputs
        errors: list[Json] = []
        moved = False
        try:
            for wish in wishes:
                outcome = await self._submit(wish, principal)
                if isinstance(outcome, Busy) and not moved and len(wishes) == 1:
                    raise Refusal(CONCURRENT)
                moved = moved or isinstance(outcome, Done)
                if (error := _error(wish, outcome, principal)) is not None:
                    errors.append(error)
        finally:
            self._moving -= outputs
        return errors

    async def _submit(self, wish: Wish, principal: Principal) -> Outcome:
        if wish.opens and isinstance(wish.action, SwitchLight):
            # A light that drives a second door is a lock to whoever may use it. Dispatch knows it as a light.
            reason = authorise(principal, Unlock(endpoint=wish.module.endpoint), time.time_ns())
            if reason is not None:
                return Refused(action_id="", reason=reason)
        return await self._context.submit(wish.action, principal)


def _open(module: Module) -> Action:
    """Open the door behind an output, for as long as the endpoint itself says."""
    if module.kind == "light":
        return SwitchLight(endpoint=module.endpoint, on=True)
    return Unlock(endpoint=module.endpoint)


def _names(row: Mapping[str, object]) -> list[str]:
    return [name for name in row if name not in _FRAME]


_SETTABLE: dict[str, frozenset[str]] = {
    GATEWAY: frozenset(),
    "BNEU": frozenset(),
    "BNDL": frozenset({"lock"}),
    "BNSL": frozenset({"on"}),
    "NLP": frozenset({"on"}),
    "NIS": frozenset({"status", "siren_status", "monitoring"}),
}


def _check_property(module: Module, name: str, number: int) -> None:
    """Raises: Refusal when modules of this type do not have it."""
    if name in _SETTABLE[module.type]:
        return
    if name in _READ_ONLY or any(name in names for names in _SETTABLE.values()):
        raise Refusal(INVALID, f"cannot set property {echo(name)} for module {module.id}")
    raise Refusal(
        INVALID, f"property /home/modules/{number}: should NOT have additional properties ['{echo(name)}']"
    )


def _error(wish: Wish, outcome: Outcome, principal: Principal) -> Json | None:
    """How an outcome is told of one module; None when it was done."""
    match outcome:
        case Done():
            return None
        case Busy():
            code, text = CONCURRENT, "Failed to enter concurrency limited section"
        case Refused() if _forbidden(wish, principal):
            code, text = FORBIDDEN, "operation forbidden"
        case Refused() | Failed():
            code, text = UNABLE, "unable to execute"
    return {"code": code, "id": wish.module.id, "message": text, "command": wish.property}


def _forbidden(wish: Wish, principal: Principal) -> bool:
    """Whether it was refused because of who asked; the door decided already, this only finds the word."""
    now_ns = time.time_ns()
    asked = Unlock(endpoint=wish.module.endpoint) if wish.opens else wish.action
    return authorise(principal, asked, now_ns) is not None


def _same(told: object, mac: str) -> bool:
    """Whether an address is the one meant, whatever the case of its letters."""
    return isinstance(told, str) and told.lower() == mac
