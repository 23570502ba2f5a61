"""What clients keep of the door and must find again: addresses, ids, names that they gave.

A number that was given to an endpoint is given to no other, also when the endpoint is gone: smart homes keep
automations by it. It gets its number back when it comes back. Where the file is lost, so is the meaning of
every number, and so the door gets a new address: to clients it is another gateway then.
"""

from __future__ import annotations

import logging
import re
import secrets
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import trio
from msgspec import Meta, Struct

from agent.model.errors import MalformedMessage, PeerError
from agent.statefile import StateFile, read_file, replace_file, set_aside
from agent.wire.json import check_limits

FILE = "resources.json"
MAX_FILE_BYTES = 1024 * 1024
MAX_NUMBER = 0xFFFF
MAX_NAME_CHARS = 64
GATEWAY = "@gateway"  # no name of an endpoint has such a letter
DOOR_SUFFIX = "@door"
ALARM = "@alarm"
LOCAL_BIT = 0x02  # of an address that no manufacturer gave; 0x01 would be a multicast one

Kept = Literal["lights", "sensors"]
Number = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
Text = Annotated[str, Meta(max_length=MAX_NAME_CHARS)]

logger = logging.getLogger(__name__)


class Stored(Struct, frozen=True, kw_only=True):
    """The file. mac: 12 hex digits, locally administered. notify_all: None while no client has chosen.

    devices, lights, sensors: the number of each; names: by `lights/KEY`, `sensors/KEY`.
    """

    mac: Annotated[str, Meta(pattern="^[0-9a-f]{12}$")]
    uuid: Annotated[str, Meta(pattern="^[0-9a-f-]{36}$")]
    devices: dict[Text, Number] = {}
    lights: dict[Text, Number] = {}
    sensors: dict[Text, Number] = {}
    names: dict[Annotated[str, Meta(max_length=128)], Text] = {}
    notify_all: bool | None = None


_BLANKS = re.compile(r"\s+")
_decoder = msgspec.json.Decoder(Stored)


class Directory:
    """The one of a running server; belongs to the trio thread. changed: called after every change."""

    def __init__(self, stored: Stored, changed: Callable[[], None] = lambda: None) -> None:
        self.mac = stored.mac
        self.uuid = stored.uuid
        self.changed = changed
        self._devices = dict(stored.devices)
        self._ids: dict[Kept, dict[str, int]] = {
            "lights": dict(stored.lights),
            "sensors": dict(stored.sensors),
        }
        self._names = dict(stored.names)
        self._notify_all = stored.notify_all

    def address(self, key: str) -> str | None:
        """The address of a device, eight bytes as `02:…:01`; None when all numbers are given.

        Clients make one device of what has the same address. GATEWAY is the door's own, number 0.
        """
        number = 0 if key == GATEWAY else self._number(self._devices, key)
        if number is None:
            return None
        digits = f"{self.mac}{number:04x}"
        return ":".join(digits[place : place + 2] for place in range(0, 16, 2))

    def id(self, r: Kept, key: str) -> str | None:
        """The id of a resource, decimal; None when all numbers are given."""
        number = self._number(self._ids[r], key)
        return None if number is None else str(number)

    def bridge_id(self, prefix: str | None) -> str:
        """16 hex digits with FFFF in the middle. prefix: the first six, instead of our own."""
        return f"{prefix or self.mac[:6]}FFFF{self.mac[6:]}".upper()

    def name(self, r: str, key: str) -> str | None:
        """The name that a client gave."""
        return self._names.get(f"{r}/{key}")

    def rename(self, r: str, key: str, name: str) -> None:
        """A client gives a name."""
        self._names[f"{r}/{key}"] = name
        self.changed()

    def notify_all(self, configured: bool) -> bool:
        """What a client has chosen, else what is configured."""
        return configured if self._notify_all is None else self._notify_all

    def set_notify_all(self, notify_all: bool) -> None:
        """A client chooses."""
        self._notify_all = notify_all
        self.changed()

    def to_bytes(self) -> bytes:
        """The file."""
        stored = Stored(
            mac=self.mac,
            uuid=self.uuid,
            devices=self._devices,
            lights=self._ids["lights"],
            sensors=self._ids["sensors"],
            names=self._names,
            notify_all=self._notify_all,
        )
        return msgspec.json.format(msgspec.json.encode(stored), indent=1)

    def _number(self, numbers: dict[str, int], key: str) -> int | None:
        number = numbers.get(key)
        if number is None:
            number = max(numbers.values(), default=0) + 1
            if number > MAX_NUMBER:
                logger.error("no number left key=%s", key)
                return None
            numbers[key] = number
            self.changed()
        return number


def decode_directory(data: bytes) -> Stored:
    """The stored directory. Raises: MalformedMessage, also when two things have one number."""
    check_limits(data, FILE, MAX_FILE_BYTES)
    try:
        stored = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(FILE, str(error)[:200]) from error
    for numbers in (stored.devices, stored.lights, stored.sensors):
        if len(set(numbers.values())) != len(numbers):
            raise MalformedMessage(FILE, "two things have one number")
    if int(stored.mac[:2], 16) & 0x03 != LOCAL_BIT:
        raise MalformedMessage(FILE, "expected a locally administered address")
    return stored


def new_directory() -> Stored:
    """The directory of a door that no client knows yet."""
    first = secrets.randbits(8) & 0xFC | LOCAL_BIT
    return Stored(mac=f"{first:02x}{secrets.token_hex(5)}", uuid=str(uuid.uuid4()))


async def load_directory(folder: Path) -> tuple[Directory, StateFile]:
    """What was stored, or a new one; and the file, which is to be run.

    A file that makes no sense is set aside. Raises: PeerError when one that is there cannot be read now: with
    new ids every client would lose what it knows, and so it is worth another try.
    """
    path = folder / FILE
    try:
        stored = await trio.to_thread.run_sync(_read, path)
    except OSError as error:
        raise PeerError(f"{path} cannot be read: {error.strerror or error}") from error
    directory = Directory(stored)
    file = StateFile(path, directory.to_bytes)
    directory.changed = file.changed
    return directory, file


async def store_directory(folder: Path, directory: Directory) -> None:
    """Store it now: nobody shall be told a number that a power cut takes back. Never raises."""
    try:
        await trio.to_thread.run_sync(replace_file, folder / FILE, directory.to_bytes())
    except OSError as error:
        logger.error("ids not stored, they may change error=%s", error.strerror)


def _read(path: Path) -> Stored:
    data = read_file(path, MAX_FILE_BYTES)
    if data is None:
        return new_directory()
    try:
        return decode_directory(data)
    except MalformedMessage as error:
        set_aside(path, str(error))
        return new_directory()


def clean_name(text: str) -> str:
    """A name as it is kept: printable, without blanks around, at most MAX_NAME_CHARS; may be empty."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return _BLANKS.sub(" ", plain).strip()[:MAX_NAME_CHARS].strip()
