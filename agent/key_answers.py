"""What the control socket answers about tags and codes, and what a hand does at simulated readers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import trio
from msgspec import Meta, Struct

from agent.access.pins import generate_pin
from agent.control import Answer, Request
from agent.endpoints.io import IoBoard
from agent.entrance.importer import Importer
from agent.entrance.key import Key, KeyRefusal, Wanted
from agent.entrance.numbers import canonical
from agent.entrance.readers import Readers
from agent.entrance.sheet import MAX_FILE_BYTES
from agent.entrance.store import KeyStore
from agent.model.errors import CommandError, MalformedMessage

FILE = "file"
Text = Annotated[str, Meta(max_length=256)]
KeyId = Annotated[str, Meta(min_length=1, max_length=64)]
Piece = Annotated[str, Meta(max_length=60_000)]


class _Ask(Struct, frozen=True, kw_only=True):
    """A key as `keys_add` is asked for it; see key.Wanted."""

    holder: Text = ""
    flat: Text = ""
    tag: Text = ""
    code: Text = ""
    duress: Text = ""
    endpoints: tuple[Text, ...] | None = None
    valid_from_ns: int | None = None
    valid_until_ns: int | None = None
    schedule: Text = ""
    uses: int | None = None


class KeyAnswers:
    """The verbs `keys_*`, `reader_sim`. A file comes in pieces, one file at a time per agent."""

    def __init__(
        self, store: KeyStore, importer: Importer, readers: Readers, io: Mapping[str, IoBoard]
    ) -> None:
        self._store = store
        self._importer = importer
        self._readers = readers
        self._io = io
        self._file = bytearray()

    def answers(self) -> dict[str, Answer]:
        """The commands that are answered once."""
        return {
            "keys_list": self._list,
            "keys_add": _kindly(self._add),
            "keys_learn": _kindly(self._learn),
            "keys_revoke": _kindly(self._revoke),
            "keys_history": _kindly(self._history),
            "keys_rollback": _kindly(self._rollback),
            "keys_piece": self._piece,
            "keys_import": _kindly(self._import),
            "reader_sim": self._sim,
            "io_sim": self._io_sim,
        }

    async def _list(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        source = request.get("source", str | None, None)
        return [_row(key) for key in self._store.listed() if source in (None, key.source)]

    async def _add(self, request: Request) -> object:
        """`generate`: make a code for it, which is told this once."""
        asked = request.get("key", _Ask)
        plain = {name: getattr(asked, name) for name in asked.__struct_fields__}
        made = ""
        if request.get("generate", bool, False):
            plain["code"] = made = generate_pin()
        key = await self._store.add(Wanted(**plain), by=request.account)
        return _row(key) | ({"code": made} if made else {})

    async def _learn(self, request: Request) -> object:
        """The next tag at a reader becomes the key."""
        asked = request.get("key", _Ask)
        number = await self._readers.learn(request.get("reader", Text))
        plain = {name: getattr(asked, name) for name in asked.__struct_fields__} | {"tag": canonical(number)}
        return _row(await self._store.add(Wanted(**plain), by=request.account))

    async def _revoke(self, request: Request) -> object:
        return [_row(key) for key in await self._store.remove(request.get("id", KeyId), by=request.account)]

    async def _history(self, request: Request) -> object:
        return [msgspec.to_builtins(version) for version in await self._store.history()]

    async def _rollback(self, request: Request) -> object:
        change = await self._store.rollback(request.get("source", Text), by=request.account)
        return {"added": change.added, "changed": change.changed, "removed": change.removed}

    async def _piece(self, request: Request) -> object:
        """A piece of a key file; the first one begins a new file."""
        await trio.lowlevel.checkpoint()
        if request.get("first", bool, False):
            self._file.clear()
        try:
            self._file += base64.b64decode(request.get("data", Piece), validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedMessage("data", "is no base64") from error
        if len(self._file) > MAX_FILE_BYTES:
            self._file.clear()
            raise CommandError(f"a key file has at most {MAX_FILE_BYTES >> 20} MiB")
        return {"bytes": len(self._file)}

    async def _import(self, request: Request) -> object:
        content = bytes(self._file)
        self._file.clear()
        result = await self._importer.load(
            content,
            file=request.get("file", Text, ""),
            source=request.get("source", Annotated[str, Meta(pattern="^[a-z0-9_-]{1,32}$")], FILE),
            by=request.account,
            dry_run=request.get("dry_run", bool, False),
            force=request.get("force", bool, False),
        )
        return msgspec.to_builtins(result)

    async def _sim(self, request: Request) -> object:
        """Hold a tag to a simulated reader, or type at it."""
        await trio.lowlevel.checkpoint()
        name = request.get("reader", Text)
        hand = self._readers.hands.get(name)
        if hand is None:
            there = ", ".join(self._readers.hands) or "none"
            raise CommandError(f"there is no simulated reader {name[:40]!r}; there are {there}")
        try:
            match request.get("do", str):
                case "tag":
                    hand.show(canonical(request.get("what", Text)))
                case "type":
                    hand.type(request.get("what", Text))
                case "unplug":
                    hand.unplug()
                case "plug":
                    hand.plug()
                case _:
                    raise MalformedMessage("do", "expected tag, type, unplug or plug")
        except ValueError as error:
            raise CommandError(str(error)) from error
        return {}

    async def _io_sim(self, request: Request) -> object:
        """Move an input of a simulated device, pull it out, or take its supply away."""
        await trio.lowlevel.checkpoint()
        name = request.get("io", Text)
        board = self._io.get(name)
        if board is None or board.hand is None:
            there = ", ".join(name for name, one in self._io.items() if one.hand is not None) or "none"
            raise CommandError(f"there is no simulated device {name[:40]!r}; there are {there}")
        try:
            match request.get("do", str):
                case "on" | "off" as word:
                    board.hand.move(request.get("channel", int), word == "on")
                case "unplug":
                    board.hand.unplug()
                case "plug":
                    board.hand.plug()
                case "reboot":
                    board.hand.reboot()
                case _:
                    raise MalformedMessage("do", "expected on, off, unplug, plug or reboot")
        except ValueError as error:
            raise CommandError(str(error)) from error
        return {"levels": board.hand.firmware.levels}


def _kindly(answer: Answer) -> Answer:
    """What a key store refuses is an answer, not a failure."""

    async def wrapped(request: Request) -> object:
        try:
            return await answer(request)
        except KeyRefusal as error:
            raise CommandError(str(error)) from error

    return wrapped


def _row(key: Key) -> dict[str, Any]:
    """A key for a person; no number and no code, which the door does not know."""
    return {
        "id": key.id,
        "holder": key.holder,
        "flat": key.flat,
        "method": key.method,
        "duress": bool(key.duress),
        "endpoints": key.endpoints,
        "valid_from_ns": key.valid_from_ns,
        "valid_until_ns": key.valid_until_ns,
        "schedule": key.schedule,
        "uses_left": key.uses_left,
        "enabled": key.enabled,
        "source": key.source,
        "created_ns": key.created_ns,
    }
