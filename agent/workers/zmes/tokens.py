"""Phones that registered for push: who they are, what they want, and how often they were pushed to.

File: the event server's own JSON shape, {"tokens": {token: {monlist, intlist, platform, pushstate,
appversion, profile, invocations: {count, at}}}}, so that a file of a ZoneMinder machine may be taken over.
Only `account` is ours. Its predecessor, a line of token:monlist:intlist:platform:pushstate per phone, is read
as well.
Source: observed with server 6.1.29.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from agent.model.errors import MalformedMessage
from agent.wire.json import decode_any
from agent.workers.zmes.replies import ascii_json, text_of
from agent.workers.zmes.wire import MAX_BADGE, MAX_LIST_CHARS, MAX_SHORT_CHARS, MAX_TOKEN_CHARS

MAX_TOKENS = 256
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_COUNT = 10**9
_LEGACY_FIELDS = 5

logger = logging.getLogger(__name__)


class Registration(Struct, frozen=True, kw_only=True):
    """One phone. at: the month (0..11) that `count` pushes were counted in. account: who registered it; empty
    for one that a file of another server brought along."""

    platform: str
    enabled: bool = True
    monlist: str = ""
    intlist: str = ""
    appversion: str = "unknown"
    profile: str = ""
    count: int = 0
    at: int = 0
    account: str = ""


class TokenStore:
    """The registered phones, oldest registration first.

    At most MAX_TOKENS: beyond, the oldest is forgotten (phones that were re-installed leave theirs behind).
    changed: called after everything that belongs in the file. Badges are not kept in it.
    """

    def __init__(self, registrations: dict[str, Registration], changed: Callable[[], None]) -> None:
        self._registrations = dict(list(registrations.items())[-MAX_TOKENS:])
        self._badges: dict[str, int] = {}
        self._changed = changed

    def __len__(self) -> int:
        return len(self._registrations)

    def __iter__(self) -> Iterator[str]:
        return iter(self._registrations)

    def __contains__(self, token: object) -> bool:
        return token in self._registrations

    def get(self, token: str) -> Registration | None:
        """What is known of a phone."""
        return self._registrations.get(token)

    def register(
        self,
        token: str,
        *,
        platform: str,
        enabled: bool,
        monlist: str,
        intlist: str,
        appversion: str = "",
        profile: str = "",
        account: str = "",
    ) -> None:
        """Add a phone, or renew it: counters stay, and so do profile and version when not given."""
        old = self._registrations.pop(token, None)
        self._registrations[token] = Registration(
            platform=platform,
            enabled=enabled,
            monlist=monlist,
            intlist=intlist,
            appversion=appversion or (old.appversion if old else "unknown"),
            profile=profile or (old.profile if old else ""),
            count=old.count if old else 0,
            at=old.at if old else 0,
            account=account,
        )
        if len(self._registrations) > MAX_TOKENS:
            forgotten = next(iter(self._registrations))
            del self._registrations[forgotten]
            self._badges.pop(forgotten, None)
            logger.warning("more than %d push tokens, the oldest is forgotten", MAX_TOKENS)
        self._changed()

    def set_filter(self, token: str, monlist: str, intlist: str) -> None:
        """The phone's filter is another now."""
        self._update(token, monlist=monlist, intlist=intlist)

    def disable(self, token: str) -> None:
        """No more pushes until the phone registers again."""
        self._update(token, enabled=False)

    def accounts(self) -> set[str]:
        """Everybody who has registered a phone here."""
        return {phone.account for phone in self._registrations.values() if phone.account}

    def forget_account(self, account: str) -> None:
        """Forget every phone that this account registered: a phone that may still come registers again."""
        gone = [token for token, phone in self._registrations.items() if phone.account == account]
        for token in gone:
            del self._registrations[token]
            self._badges.pop(token, None)
        if gone:
            self._changed()

    def count_push(self, token: str, *, month: int, limit: int) -> bool:
        """Count one push in `month` (0..11); False when the phone has had its share, or is unknown."""
        registration = self._registrations.get(token)
        if registration is None:
            return False
        count = registration.count if registration.at == month else 0
        if count >= limit:
            return False
        self._update(token, count=count + 1, at=month)
        return True

    def set_badge(self, token: str, badge: int) -> None:
        """The next push carries `badge` + 1."""
        if token in self._registrations:
            self._badges[token] = badge

    def next_badge(self, token: str) -> int:
        """The number for the next push."""
        badge = min(self._badges.get(token, 0) + 1, MAX_BADGE)
        self.set_badge(token, badge)
        return badge

    def to_bytes(self) -> bytes:
        """The file."""
        return encode_tokens(self._registrations)

    def _update(self, token: str, **fields: Any) -> None:
        registration = self._registrations.get(token)
        if registration is not None:
            self._registrations[token] = msgspec.structs.replace(registration, **fields)
            self._changed()


def encode_tokens(registrations: dict[str, Registration]) -> bytes:
    """The registrations as the file holds them."""
    plain = {}
    for token, registration in registrations.items():
        entry: dict[str, Any] = {
            "monlist": registration.monlist,
            "intlist": registration.intlist,
            "platform": registration.platform,
            "pushstate": "enabled" if registration.enabled else "disabled",
            "appversion": registration.appversion,
            "invocations": {"count": registration.count, "at": registration.at},
        }
        if registration.profile:
            entry["profile"] = registration.profile
        if registration.account:
            entry["account"] = registration.account
        plain[token] = entry
    return ascii_json({"tokens": plain}).encode()


def decode_tokens(data: bytes) -> dict[str, Registration]:
    """The registrations of a file in either format; single entries that make no sense are left out.

    Raises: MalformedMessage when the file as a whole makes no sense; an empty file does not, because a power
    cut may have emptied it.
    """
    if not data.lstrip().startswith(b"{"):
        return _decode_legacy(data)
    plain = decode_any(data, "token file", max_bytes=MAX_FILE_BYTES)
    tokens = plain.get("tokens") if isinstance(plain, dict) else None
    if not isinstance(tokens, dict):
        raise MalformedMessage("token file", "expected an object under tokens")
    registrations = {}
    for token, entry in tokens.items():
        if not isinstance(entry, dict) or not _is_token(token):
            logger.warning("token file: an entry makes no sense and is left out")
            continue
        invocations = entry.get("invocations")
        if not isinstance(invocations, dict):
            invocations = {}
        registrations[token] = Registration(
            platform=_short(entry, "platform"),
            enabled=entry.get("pushstate") != "disabled",
            monlist=_list(text_of(entry.get("monlist"))),
            intlist=_list(text_of(entry.get("intlist"))),
            appversion=_short(entry, "appversion") or "unknown",
            profile=_short(entry, "profile"),
            count=_whole(invocations.get("count"), MAX_COUNT),
            at=_whole(invocations.get("at"), 11),
            account=_short(entry, "account"),
        )
    return registrations


def _decode_legacy(data: bytes) -> dict[str, Registration]:
    """One phone per line, split from the right because tokens contain colons; later lines win."""
    try:
        lines = [line for line in data.decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise MalformedMessage("token file", "expected UTF-8 text") from error
    registrations = {}
    for line in lines:
        fields = line.strip().rsplit(":", _LEGACY_FIELDS - 1)
        if len(fields) != _LEGACY_FIELDS or not _is_token(fields[0]):
            logger.warning("token file: a line makes no sense and is left out")
            continue
        token, monlist, intlist, platform, pushstate = fields
        registrations[token] = Registration(
            platform=platform[:MAX_SHORT_CHARS],
            enabled=pushstate != "disabled",
            monlist=_list(monlist),
            intlist=_list(intlist),
        )
    if not registrations:
        raise MalformedMessage("token file", "expected token:monlist:intlist:platform:pushstate lines")
    return registrations


def _is_token(text: str) -> bool:
    return 0 < len(text) <= MAX_TOKEN_CHARS and text.isprintable()


def _list(text: str) -> str:
    """A stored list; -1 means that none was ever set."""
    return "" if text == "-1" or len(text) > MAX_LIST_CHARS else text


def _short(entry: dict[str, Any], key: str) -> str:
    return text_of(entry.get(key))[:MAX_SHORT_CHARS]


def _whole(value: Any, most: int) -> int:
    """A counter, which may be text after the foreign server restarted."""
    try:
        return max(0, min(int(text_of(value)), most))
    except ValueError:
        return 0
