"""What the control socket answers: the door's state, actions, events, users, and the simulated board."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

import msgspec
import trio
from msgspec import Meta

from agent.access.passes import Passes
from agent.access.store import AccessStore
from agent.bus import EventLog
from agent.control import Answer, Request, Stream
from agent.dispatch import Dispatch
from agent.model.actions import Action
from agent.model.errors import AgentError
from agent.model.events import AccountChanged
from agent.model.principals import Principal, Role
from agent.model.records import Gap, to_plain
from hw.errors import HardwareError
from hw.fake import FakePins
from hw.pins import door_contact_name

PRESS_S = 0.12
SimVerb = Literal[
    "press", "hold", "release", "open", "close", "tamper", "calm", "fail", "heal", "bounce", "state"
]
Change = Literal["added", "removed", "password", "enabled", "disabled", "key_added", "key_revoked"]
UserName = Annotated[str, Meta(min_length=1, max_length=64)]


class CommandError(AgentError):
    """A local command that cannot be done; the text says why."""


class Answers:
    """The commands of one running agent."""

    def __init__(
        self,
        *,
        status: Callable[[], dict[str, Any]],
        log: EventLog,
        dispatch: Dispatch,
        users: AccessStore,
        passes: Passes,
        board: FakePins | None,
    ) -> None:
        self._status = status
        self._log = log
        self._dispatch = dispatch
        self._users = users
        self._passes = passes
        self._board = board

    def answers(self) -> dict[str, Answer]:
        """The commands that are answered once."""
        return {
            "status": self._answer_status,
            "submit": self._submit,
            "sim": self._sim,
            "listen_login": self._listen_login,
            "user_add": self._user_add,
            "user_remove": self._user_remove,
            "user_password": self._user_password,
            "user_enable": self._user_enable,
            "user_list": self._user_list,
            "key_add": self._key_add,
            "key_list": self._key_list,
            "key_revoke": self._key_revoke,
        }

    def streams(self) -> dict[str, Stream]:
        """The commands that go on."""
        return {"events": self._events}

    async def _answer_status(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        return self._status()

    async def _submit(self, request: Request) -> object:
        action: Action = request.get("action", Action)
        who = Principal(
            name=request.account.removeprefix("local:"),
            role="admin",
            via="control",
            peer=request.account,
            proven_locally=True,
        )
        return msgspec.to_builtins(await self._dispatch.submit(action, who))

    async def _events(self, request: Request) -> AsyncIterator[object]:
        after = request.get("after", int | None, None)
        async for item in self._log.follow(after=after):
            if isinstance(item, Gap):
                yield {"gap": {"first": item.first, "last": item.last}}
            else:
                yield {
                    "boot_id": item.boot_id,
                    "seq": item.seq,
                    "at_ns": item.at_ns,
                    "event": to_plain(item.event),
                }

    async def _listen_login(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        account, secret = self._passes.issue()
        return {"account": account, "secret": secret}

    async def _sim(self, request: Request) -> object:
        board = self._board
        if board is None:
            raise CommandError("this door has a real board: `sim` works with `portero run --sim` only")
        verb = request.get("verb", SimVerb)
        name = request.get("endpoint", str)
        if door_contact_name(name) in board.input_names and verb in ("open", "close", "bounce"):
            name = door_contact_name(name)
        known = [*board.input_names, *board.output_names]
        if name not in known and verb not in ("heal", "fail"):
            raise CommandError(f"the simulated board has no {name!r}; it has {', '.join(known)}")
        try:
            await _move(board, verb, name, request)
        except HardwareError as error:
            raise CommandError(str(error)) from error
        return {"endpoint": name, "active": board.level(name)}

    async def _user_add(self, request: Request) -> object:
        name = request.get("name", UserName)
        password = request.get("password", str | None, None)
        role: Role = request.get("role", Role)
        generated = await self._users.add_user(
            name,
            role=role,
            password=password,
            valid_from_ns=request.get("valid_from_ns", int | None, None),
            valid_until_ns=request.get("valid_until_ns", int | None, None),
            endpoints=request.get("endpoints", tuple[str, ...] | None, None),
        )
        self._tell(request, name, "added")
        return {"name": name, "role": role, "password": generated}

    async def _user_remove(self, request: Request) -> object:
        name = request.get("name", UserName)
        await self._users.remove_user(name)
        self._tell(request, name, "removed")
        return {}

    async def _user_password(self, request: Request) -> object:
        name = request.get("name", UserName)
        generated = await self._users.set_password(name, request.get("password", str | None, None))
        self._tell(request, name, "password")
        return {"password": generated}

    async def _user_enable(self, request: Request) -> object:
        name, enabled = request.get("name", UserName), request.get("enabled", bool)
        await self._users.set_enabled(name, enabled)
        self._tell(request, name, "enabled" if enabled else "disabled")
        return {}

    async def _user_list(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        return [msgspec.to_builtins(user) for user in self._users.list_users()]

    async def _key_add(self, request: Request) -> object:
        user = request.get("user", UserName)
        key = await self._users.add_api_key(user, request.get("name", UserName))
        self._tell(request, user, "key_added")
        return {"key": key}

    async def _key_list(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        user = request.get("user", str | None, None)
        return [msgspec.to_builtins(key) for key in self._users.list_api_keys(user)]

    async def _key_revoke(self, request: Request) -> object:
        owner = await self._users.revoke_api_key(request.get("id", str))
        self._tell(request, owner, "key_revoked")
        return {}

    def _tell(self, request: Request, account: str, change: Change) -> None:
        self._log.publish(AccountChanged(account=account, change=change, by=request.account))


async def _move(board: FakePins, verb: SimVerb, name: str, request: Request) -> None:
    """Do to the simulated board what a hand would do."""
    for_ms: int | None = request.get("for_ms", Annotated[int, Meta(ge=1, le=60_000)] | None, None)
    match verb:
        case "press":
            await board.hold(name, PRESS_S if for_ms is None else for_ms / 1000)
        case "hold":
            await board.hold(name, 2.0 if for_ms is None else for_ms / 1000)
        case "open" | "tamper":
            board.press(name)
        case "release" | "close" | "calm":
            board.release(name)
        case "bounce":
            board.bounce(name)
            await trio.sleep(PRESS_S)
            board.release(name)
        case "fail":
            board.fail(name, request.get("reason", str, "simulated failure"))
        case "heal":
            board.heal(name)
        case "state":
            pass
    await trio.lowlevel.checkpoint()


def uptime_s(begun: float) -> float:
    """Seconds since `begun`, a time.monotonic() value."""
    return round(time.monotonic() - begun, 1)
