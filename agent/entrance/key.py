"""A key of a resident: a tag, a code, or a tag with a code. Kept as keyed hashes only."""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from agent.entrance import schedule
from agent.entrance.numbers import canonical
from agent.model.errors import AgentError
from agent.model.events import KeyMethod

MAX_KEYS = 50_000
CODE_DIGITS = (4, 8)
DIGEST_BYTES = 32
Text = Annotated[str, Meta(max_length=64)]
Digest = Annotated[bytes, Meta(max_length=DIGEST_BYTES)]


class KeyRefusal(AgentError):
    """A key that makes no sense, or cannot be kept; the text is for whoever manages the keys."""


class Key(Struct, frozen=True, kw_only=True):
    """One key. Its id comes from its tag and code, so that the same one has the same id for ever.

    tag, code: keyed hashes, empty for none. duress: of a second code that opens and calls for help.
    endpoints: the locks it opens; None: that of the reader it is shown at. Times are UTC nanoseconds.
    uses_left: None: any number. source: who it belongs to: `local`, `file`, or the name of a VMS.
    """

    id: str
    holder: Text = ""
    flat: Text = ""
    tag: Digest = b""
    code: Digest = b""
    duress: Digest = b""
    endpoints: tuple[str, ...] | None = None
    valid_from_ns: int | None = None
    valid_until_ns: int | None = None
    schedule: Annotated[str, Meta(max_length=schedule.MAX_CHARS)] = ""
    uses_left: Annotated[int, Meta(ge=0)] | None = None
    enabled: bool = True
    source: Text = "local"
    created_ns: int = 0

    @property
    def method(self) -> KeyMethod:
        """How it is shown."""
        return "tag+code" if self.tag and self.code else "tag" if self.tag else "code"


class Digester:
    """Makes the hashes of this door. secret: 32 random bytes that only this door has."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "Digester()"

    def tag(self, number: str) -> bytes:
        """Of a canonical number."""
        return self._of(b"tag\0" + number.encode("utf-8", "surrogatepass"))

    def code(self, code: str) -> bytes:
        """Of digits."""
        return self._of(b"code\0" + code.encode("utf-8", "surrogatepass"))

    def key_id(self, tag: bytes, code: bytes) -> str:
        """Eight letters of a key with these hashes. A tag keeps its id when its code changes."""
        return base64.b32encode(self._of(b"id\0" + (tag or b"\0" + code))[:5]).decode().lower()

    def _of(self, data: bytes) -> bytes:
        return hmac.digest(self._secret, data, sha256)


class Wanted(Struct, frozen=True, kw_only=True):
    """A key as somebody asks for it, in plain; forgotten when it has become a `Key`."""

    holder: str = ""
    flat: str = ""
    tag: str = ""
    code: str = ""
    duress: str = ""
    endpoints: tuple[str, ...] | None = None
    valid_from_ns: int | None = None
    valid_until_ns: int | None = None
    schedule: str = ""
    uses: int | None = None

    def __repr__(self) -> str:
        return f"Wanted(holder={self.holder!r}, flat={self.flat!r})"


def key_of(wanted: Wanted, digester: Digester, *, source: str, created_ns: int) -> Key:
    """The key. Raises: KeyRefusal with what is wrong, never with the number or the code."""
    if not wanted.tag and not wanted.code:
        raise KeyRefusal("a key needs a tag's number or a code")
    for code in (wanted.code, wanted.duress):
        if code and not is_code(code):
            raise KeyRefusal(f"a code has {CODE_DIGITS[0]} to {CODE_DIGITS[1]} digits")
    if wanted.duress and not wanted.code:
        raise KeyRefusal("a duress code stands beside a code: give it one")
    if wanted.duress and wanted.duress == wanted.code:
        raise KeyRefusal("the duress code cannot be the code")
    try:
        tag = digester.tag(canonical(wanted.tag)) if wanted.tag else b""
        schedule.parse(wanted.schedule)
    except ValueError as error:
        raise KeyRefusal(str(error)) from error
    begin, end = wanted.valid_from_ns, wanted.valid_until_ns
    if begin is not None and end is not None and begin >= end:
        raise KeyRefusal("the validity ends before it begins")
    for name, text in (("holder", wanted.holder), ("flat", wanted.flat)):
        if len(text) > 64 or not text.isprintable():
            raise KeyRefusal(f"{name}: expected up to 64 printable characters")
    if wanted.uses is not None and not 1 <= wanted.uses <= 1_000_000:
        raise KeyRefusal("expected a number of uses from 1 on")
    code_digest = digester.code(wanted.code) if wanted.code else b""
    return Key(
        id=digester.key_id(tag, code_digest),
        holder=wanted.holder,
        flat=wanted.flat,
        tag=tag,
        code=code_digest,
        duress=digester.code(wanted.duress) if wanted.duress else b"",
        endpoints=wanted.endpoints,
        valid_from_ns=begin,
        valid_until_ns=end,
        schedule=wanted.schedule,
        uses_left=wanted.uses,
        source=source,
        created_ns=created_ns,
    )


def is_code(text: str) -> bool:
    """Whether it can be somebody's code."""
    return text.isascii() and text.isdigit() and CODE_DIGITS[0] <= len(text) <= CODE_DIGITS[1]
