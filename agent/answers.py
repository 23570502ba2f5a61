"""What the control socket answers: the door's state, actions, events, users, and the simulated board."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
import trio
from msgspec import Meta

from agent.access.passes import Passes
from agent.access.store import AccessStore
from agent.bus import EventLog
from agent.control import Answer, Request, Stream
from agent.dispatch import Dispatch
from agent.model.actions import Action, StartTalk
from agent.model.errors import CommandError, MalformedMessage
from agent.model.events import AccountChanged
from agent.model.principals import Principal, Role, authorise
from agent.model.records import Gap, to_plain
from hw.errors import HardwareError
from hw.fake import FakePins
from hw.pins import door_contact_name

if TYPE_CHECKING:
    from agent.intercom.intercom import Intercom
    from agent.intercom.recordings import Recordings
    from agent.intercom.sound import Sound
    from hw.audio_fake import SimulatedCard

PRESS_S = 0.12
SOUND_CARD = "sound_card"  # the name by which `sim` breaks and mends it
SimVerb = Literal[
    "press", "hold", "release", "open", "close", "tamper", "calm", "fail", "heal", "bounce", "stall", "state"
]
Change = Literal["added", "removed", "password", "pin", "enabled", "disabled", "key_added", "key_revoked"]
CHUNK_BYTES = 48 * 1024
T = TypeVar("T")
FileName = Annotated[str, Meta(max_length=80)]
Offset = Annotated[int, Meta(ge=0, le=1 << 32)]
UserName = Annotated[str, Meta(min_length=1, max_length=64)]

logger = logging.getLogger(__name__)


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
        ask_worker: Callable[[str, str, Request], Awaitable[object]],
        sound: Sound | None = None,
    ) -> None:
        self._status = status
        self._log = log
        self._dispatch = dispatch
        self._users = users
        self._passes = passes
        self._board = board
        self._ask_worker = ask_worker
        self._sound = sound

    def answers(self) -> dict[str, Answer]:
        """The commands that are answered once."""
        return {
            "status": self._answer_status,
            "submit": self._submit,
            "sim": self._sim,
            "sim_say": self._sim_say,
            "sim_hear": self._sim_hear,
            "listen_login": self._listen_login,
            "voice_login": self._voice_login,
            "audio_test": self._audio_test,
            "recordings": self._recordings,
            "recording_get": self._recording_get,
            "recording_delete": self._recording_delete,
            "user_add": self._user_add,
            "user_remove": self._user_remove,
            "user_password": self._user_password,
            "user_pin": self._user_pin,
            "user_enable": self._user_enable,
            "user_list": self._user_list,
            "key_add": self._key_add,
            "key_list": self._key_list,
            "key_revoke": self._key_revoke,
            "worker": self._worker,
        }

    def streams(self) -> dict[str, Stream]:
        """The commands that go on."""
        return {"events": self._events, "audio_levels": self._audio_levels}

    async def _answer_status(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        return self._status()

    async def _submit(self, request: Request) -> object:
        action: Action = request.get("action", Action)
        return msgspec.to_builtins(await self._dispatch.submit(action, _who(request)))

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

    async def _voice_login(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        self._intercom()
        account, secret = self._passes.issue_voice(
            talk=request.get("talk", bool, False), who=request.account.removeprefix("local:")
        )
        return {"account": account, "secret": secret}

    async def _audio_test(self, request: Request) -> object:
        """Whoever may speak at this door may test it; nobody is called for it."""
        intercom, who = self._intercom(), _who(request)
        reason = authorise(who, StartTalk(), time.time_ns())
        if reason is not None:
            raise CommandError(reason)
        return await intercom.test(who.name)

    async def _audio_levels(self, request: Request) -> AsyncIterator[object]:
        async with aclosing(self._intercom().levels()) as levels:
            async for item in levels:
                yield item

    async def _recordings(self, request: Request) -> object:
        messages = await _on_disk(self._folder().messages)
        return [msgspec.to_builtins(message) for message in messages]

    async def _recording_get(self, request: Request) -> object:
        """A piece of a message; `data` is empty at its end."""
        name, offset = request.get("file", FileName), request.get("offset", Offset, 0)
        data, size = await _on_disk(partial(self._folder().read, name, offset, CHUNK_BYTES))
        return {"data": base64.b64encode(data).decode(), "size": size}

    async def _recording_delete(self, request: Request) -> object:
        name = request.get("file", FileName)
        await _on_disk(partial(self._folder().delete, name))
        logger.info("recording deleted file=%s by=%s", name, request.account)
        return {}

    async def _sim_say(self, request: Request) -> object:
        """Speak to the simulated microphone, after what was said before; as much as fits into a request."""
        await trio.lowlevel.checkpoint()
        card = self._card()
        try:
            pcm = base64.b64decode(request.get("pcm", str), validate=True)
        except ValueError as error:
            raise MalformedMessage("pcm", "is no base64") from error
        if len(pcm) % 2:
            raise MalformedMessage("pcm", "ends in the middle of a sample")
        try:
            card.say(pcm)
        except HardwareError as error:
            raise CommandError(error.reason) from error
        return {"waiting_s": round(card.said_s, 2)}

    async def _sim_hear(self, request: Request) -> object:
        """What the simulated loudspeaker played, a minute at most. forget: and begin anew."""
        await trio.lowlevel.checkpoint()
        card = self._card()
        pcm = card.heard()
        if request.get("forget", bool, False):
            card.forget()
        return {"pcm": base64.b64encode(pcm).decode(), "sample_rate_hz": card.sample_rate_hz}

    def _intercom(self) -> Intercom:
        if self._sound is None:
            raise CommandError("this door has no sound card: give it a table [voice]")
        return self._sound.intercom

    def _folder(self) -> Recordings:
        folder = self._intercom().recordings
        if folder is None:
            raise CommandError("this door records no messages: give it a table [voice.recording]")
        return folder

    def _card(self) -> SimulatedCard:
        if self._sound is None or self._sound.card is None:
            raise CommandError("this door has no simulated sound card: `portero run --sim` has one")
        return self._sound.card

    async def _sim(self, request: Request) -> object:
        board = self._board
        if board is None:
            raise CommandError("this door has a real board: `sim` works with `portero run --sim` only")
        verb = request.get("verb", SimVerb)
        name = request.get("endpoint", str)
        if door_contact_name(name) in board.input_names and verb in ("open", "close", "bounce"):
            name = door_contact_name(name)
        known = [*board.input_names, *board.output_names]
        if name == SOUND_CARD and name not in known:
            return _play_with_card(self._card(), verb, request)
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

    async def _user_pin(self, request: Request) -> object:
        name = request.get("name", UserName)
        await self._users.set_pin(
            name, None if request.get("remove", bool, False) else request.get("pin", str)
        )
        self._tell(request, name, "pin")
        return {}

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

    async def _worker(self, request: Request) -> object:
        """What one protocol is asked by a command of its own."""
        return await self._ask_worker(request.get("worker", str), request.get("verb", str), request)

    def _tell(self, request: Request, account: str, change: Change) -> None:
        self._log.publish(AccountChanged(account=account, change=change, by=request.account))


def _who(request: Request) -> Principal:
    """The local account at the other end: whoever may open the socket administers the door."""
    return Principal(
        name=request.account.removeprefix("local:"),
        role="admin",
        via="control",
        peer=request.account,
        proven_locally=True,
    )


async def _on_disk(work: Callable[[], T]) -> T:
    """Done by a thread. Raises: CommandError in place of OSError."""
    try:
        return await trio.to_thread.run_sync(work)
    except OSError as error:
        raise CommandError(f"recordings: {error.strerror or error}") from error


def _play_with_card(card: SimulatedCard, verb: SimVerb, request: Request) -> dict[str, Any]:
    """Pull the simulated sound card out, let it hang, or plug it in again. Raises: CommandError."""
    match verb:
        case "fail":
            card.fail(request.get("reason", str, "No such device"))
        case "stall":
            card.stall()
        case "heal":
            card.heal()
        case _:
            raise CommandError(f"a sound card can fail, stall and be healed, not {verb}")
    return {"endpoint": SOUND_CARD, "active": None}


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
        case "stall":
            raise CommandError(f"only the {SOUND_CARD} can stall")
        case "state":
            pass
    await trio.lowlevel.checkpoint()


def uptime_s(begun: float) -> float:
    """Seconds since `begun`, a time.monotonic() value."""
    return round(time.monotonic() - begun, 1)
