"""The logon of a client: which credentials it shows, when they are made, and when a token ends."""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import trio

from agent.model.errors import ConfigError, PeerError
from agent.net.trust import client_context, read_secret
from agent.wire.fingerprint import plain_fingerprint
from agent.workers.zello.commands import MAX_SECRET_CHARS, MAX_TOKEN_CHARS
from agent.workers.zello.config import CloudConfig
from agent.workers.zello.tokens import TokenIssuer, load_private_key, token_expiry
from agent.workers.zello.wire import Logon

VERSION = "portero"
PLATFORM_TYPE = "gateway"
CLOCK_SANE_YEAR = 2026
WARN_DAYS = 7.0
_S_PER_DAY = 86_400.0

logger = logging.getLogger(__name__)


class ClockNotSet(PeerError):
    """A door without a battery clock has not heard the time yet; a token made now would be refused."""


class Credentials:
    """Makes a logon for each connection.

    The files are read again each time, so that a token or password that was replaced is used without a
    restart. The first reconnection uses the refresh token, if the server gave one; it is good for one try.
    now_s: the time of day, UTC seconds.
    """

    def __init__(self, config: CloudConfig, *, now_s: Callable[[], float]) -> None:
        self._config = config
        self._now_s = now_s
        self._where = f"workers.zello.cloud.{config.name}"
        self._refresh_token = ""

    @property
    def may_send(self) -> bool:
        """False for a connection that only listens: asked for, or without a user."""
        return not self._config.listen_only and bool(self._config.username)

    def keep(self, refresh_token: str) -> None:
        """Remember what the server gave for the next time; often nothing."""
        self._refresh_token = refresh_token

    def forget(self) -> None:
        """The refresh token is not good any more."""
        self._refresh_token = ""

    async def logon(self) -> Logon:
        """The next logon; a refresh token that it stands on is spent then.

        Raises: ConfigError when a file cannot be used; ClockNotSet.
        """
        await trio.lowlevel.checkpoint()
        config = self._config
        refresh_token, self._refresh_token = self._refresh_token, ""
        token = "" if refresh_token else self._token()
        password = ""
        if config.password_file is not None:
            password = read_secret(config.password_file, f"{self._where}.password_file")
            if len(password) > MAX_SECRET_CHARS:
                raise ConfigError(
                    f"{self._where}.password_file", f"longer than {MAX_SECRET_CHARS} characters"
                )
        return Logon(
            auth_token=token,
            refresh_token=refresh_token,
            username=config.username,
            password=password,
            channels=config.channels,
            listen_only=not self.may_send,
            version=VERSION,
            platform_type=PLATFORM_TYPE,
            platform_name=config.platform_name,
            language=config.language,
        )

    def token_days_left(self) -> float | None:
        """Days until a ready-made token ends, for the warning; None without one, or when it does not tell."""
        if self._config.token_file is None:
            return None
        ends_s = token_expiry(self._ready_made_token())
        if ends_s is None or not math.isfinite(ends_s):
            return None
        return (ends_s - self._now_s()) / _S_PER_DAY

    def _token(self) -> str:
        config = self._config
        if config.token_file is not None:
            return self._ready_made_token()
        if config.private_key_file is None:
            return ""
        now_s = self._now_s()
        if datetime.fromtimestamp(now_s, UTC).year < CLOCK_SANE_YEAR:
            raise ClockNotSet("the clock is not set yet")
        where = f"{self._where}.private_key_file"
        key = load_private_key(config.private_key_file, where)
        return TokenIssuer(config.issuer, key, where=where).make(now_s)

    def _ready_made_token(self) -> str:
        assert self._config.token_file is not None
        where = f"{self._where}.token_file"
        return read_secret(self._config.token_file, where, max_bytes=MAX_TOKEN_CHARS).strip()


def trust(config: CloudConfig) -> ssl.SSLContext | None:
    """How the server's certificate is checked; None for a server without TLS. Raises: ConfigError."""
    if urlsplit(config.url).scheme != "wss":
        return None
    pinned = None if config.fingerprint is None else bytes.fromhex(plain_fingerprint(config.fingerprint))
    return client_context(
        ca_file=config.ca_file, fingerprint=pinned, where=f"workers.zello.cloud.{config.name}"
    )
