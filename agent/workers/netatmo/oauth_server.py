"""`POST /oauth2/token`: codes and refresh tokens for pairs.

There is no page on which a person consents: a code is made by whoever may command this machine
(`portero netatmo authorize`), for a client of the configuration, and is good once for five minutes.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Mapping

import trio
from msgspec import Struct

from agent.model.errors import AgentError, CommandError
from agent.net.trust import read_secret
from agent.workers.netatmo.access import LIFETIME_S, Grant, Grants, Tokens, digest, scopes_of
from agent.workers.netatmo.config import ServerConfig
from agent.workers.netatmo.limits import Guesses
from agent.workers.netatmo.reply import OAuthRefusal

CODE_S = 300.0
MAX_CODES = 16

logger = logging.getLogger(__name__)


class Code(Struct, frozen=True, kw_only=True):
    """What a code is good for. until: trio time."""

    client: str
    redirect_uri: str
    scopes: tuple[str, ...]
    until: float


class OAuthServer:
    """Clients of the configuration, their secrets, and codes that were made and not used yet."""

    def __init__(self, config: ServerConfig, grants: Grants, guesses: Guesses) -> None:
        self._clients = {client.id: client for client in config.clients}
        self._grants = grants
        self._guesses = guesses
        self._secrets: dict[str, str] = {}
        self._codes: dict[str, Code] = {}

    async def load(self) -> None:
        """Read the clients' secrets. Raises: ConfigError."""
        for number, client in enumerate(self._clients.values()):
            where = f"workers.netatmo.server.clients[{number}].secret_file"
            self._secrets[client.id] = await trio.to_thread.run_sync(read_secret, client.secret_file, where)

    def secret_of(self, client: str) -> str | None:
        """With what webhooks of a client are signed; None for a token that belongs to none."""
        return self._secrets.get(client)

    def knows(self, client: str) -> bool:
        """Whether the configuration has this client."""
        return client in self._clients

    def authorise(self, *, client: str, scope: str, redirect_uri: str) -> str:
        """A code for a client. Raises: CommandError."""
        known = self._clients.get(client)
        if known is None:
            raise CommandError(f"no client {client!r}: add [[workers.netatmo.server.clients]]")
        if redirect_uri and redirect_uri not in known.redirect_uris:
            raise CommandError(f"{redirect_uri!r} is none of the redirect_uris of {client}")
        scopes = scopes_of(scope)
        if scopes is None:
            raise CommandError('expected scopes as in "read_mx write_mx"')
        now = trio.current_time()
        self._codes = {key: code for key, code in self._codes.items() if code.until > now}
        if len(self._codes) >= MAX_CODES:
            raise CommandError("too many codes wait to be used: try again in five minutes")
        text = secrets.token_hex(16)
        self._codes[digest(text)] = Code(
            client=client, redirect_uri=redirect_uri, scopes=scopes, until=now + CODE_S
        )
        return text

    async def token(self, form: Mapping[str, str], peer: str) -> dict[str, object]:
        """The answer to a request for a pair. Raises: OAuthRefusal."""
        now = trio.current_time()
        if self._guesses.blocked(peer, now):
            await trio.lowlevel.checkpoint()
            raise OAuthRefusal("too_many_connections", status=429)
        try:
            return await self._token(form)
        except OAuthRefusal as refusal:
            if refusal.error in ("invalid_client", "invalid_grant"):
                self._guesses.wrong(peer, now)
                logger.info("token refused peer=%s error=%s", peer, refusal.error)
            raise
        except AgentError as error:
            logger.error("token not made error=%s", error)
            raise OAuthRefusal("server_error", status=503) from error

    async def _token(self, form: Mapping[str, str]) -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        kind = form.get("grant_type", "")
        if not kind:
            raise OAuthRefusal("invalid_request", "grant_type is missing")
        client = self._proven(form.get("client_id", ""), form.get("client_secret", ""))
        match kind:
            case "authorization_code":
                made = await self._from_code(client, form)
            case "refresh_token":
                if not form.get("refresh_token"):
                    raise OAuthRefusal("invalid_request", "refresh_token is missing")
                made = await self._grants.refresh(form["refresh_token"], client)
            case _:
                raise OAuthRefusal("unsupported_grant_type")
        if made is None:
            raise OAuthRefusal("invalid_grant")
        return _pair(*made)

    def _proven(self, client: str, secret: str) -> str:
        """The client whose secret it is; an unknown one costs the same."""
        if not client or not secret:
            raise OAuthRefusal("invalid_request", "client_id or client_secret is missing")
        expected = self._secrets.get(client)
        same = hmac.compare_digest(digest(secret), digest(expected or ""))
        if expected is None or not same:
            raise OAuthRefusal("invalid_client")
        return client

    async def _from_code(self, client: str, form: Mapping[str, str]) -> tuple[Grant, Tokens] | None:
        if not form.get("code"):
            raise OAuthRefusal("invalid_request", "code is missing")
        # Whatever comes of it, a code is shown once.
        code = self._codes.pop(digest(form["code"]), None)
        if code is None or code.client != client or code.until <= trio.current_time():
            return None
        if code.redirect_uri and form.get("redirect_uri", "") != code.redirect_uri:
            raise OAuthRefusal("redirect_uri_mismatch")
        scopes = code.scopes
        if form.get("scope"):
            asked = scopes_of(form["scope"])
            # Less than was asked for, and said so (RFC 6749, 3.3); never more than a person gave consent to.
            scopes = tuple(scope for scope in asked or () if scope in scopes)
            if not scopes:
                raise OAuthRefusal("invalid_scope")
        return await self._grants.issue(name=client, scopes=scopes, by=client, client=client, pair=True)


def _pair(grant: Grant, tokens: Tokens) -> dict[str, object]:
    """Scopes as a list, and the lifetime twice, as the vendor has them."""
    return {
        "scope": list(grant.scopes),
        "access_token": tokens.access,
        "refresh_token": tokens.refresh,
        "expires_in": LIFETIME_S,
        "expire_in": LIFETIME_S,
    }
