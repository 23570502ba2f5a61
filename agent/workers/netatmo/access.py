"""Tokens of the server: who has which, for what, and when they end.

A token is `<24 hex>|<32 hex>`, as the vendor's are: the number of its grant, and 128 bits of chance. A grant
is what one program was given: scopes, and one access token that lasts, or a pair of which the access token
lasts three hours and the refresh token until it is used.

Each grant is bound to an API key of the door whose secret is forgotten as soon as it is made. Nobody can
ever show that key, but `portero api-key list` lists it and `portero api-key revoke` ends it, and the grant
with it.
The key itself would be a poor token: whoever has one may do with every protocol what its user may, while a
token has scopes and an end. On the disk is a SHA-256 of each token and nothing that it could be made of.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import trio
from msgspec import Struct
from msgspec.structs import replace

from agent.model.errors import AgentError
from agent.model.principals import Principal
from agent.runtime import Context
from agent.workers.netatmo.config import ServerConfig
from agent.workers.netatmo.statefile import StateFile

FILE = "tokens.json"
LIFETIME_S = 10_800
MAX_GRANTS = 32  # as many keys as a user of the door has
MAX_SPENT = 32
MAX_SCOPES = 32
READ_MX, WRITE_MX = "read_mx", "write_mx"
READ_CAMERA, WRITE_CAMERA = "read_camera", "write_camera"
READS = frozenset({READ_MX, READ_CAMERA})
WRITES = frozenset({WRITE_MX, WRITE_CAMERA})
_SCOPE = re.compile(r"(?:read|write|access)_[a-z0-9]{1,32}")
_TOKEN = re.compile(r"([0-9a-f]{24})\|[0-9a-f]{32}")


class Grant(Struct, frozen=True, kw_only=True):
    """What one program may do here, as it is stored; digests in hexadecimal.

    client: its OAuth client, empty for a token that a person made. expires_s: of the access token, Unix time;
    None: it lasts. spent: refresh tokens that were used; who comes with one again has stolen it, or was
    stolen from.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    key_id: str
    created_s: int
    access: str
    client: str = ""
    expires_s: float | None = None
    refresh: str = ""
    spent: tuple[str, ...] = ()

    @property
    def subscriber(self) -> str:
        """Under what its webhook is kept: a client has one, however often it logs in anew."""
        return f"client {self.client}" if self.refresh else f"token {self.id}"


class Tokens(Struct, frozen=True, kw_only=True):
    """What a program is given, this once."""

    access: str
    refresh: str = ""

    def __repr__(self) -> str:
        return "Tokens(<hidden>)"


class TokensFile(Struct, frozen=True, kw_only=True):
    """tokens.json."""

    version: int = 1
    grants: tuple[Grant, ...] = ()


class Expired(AgentError):
    """The right token, too late."""


class Grants:
    """All grants in memory; a change is on the disk before it counts, and changes are made one at a time."""

    def __init__(
        self,
        context: Context,
        config: ServerConfig,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._context = context
        self._config = config
        self._clock = clock
        self._file = StateFile(Path(context.state_dir) / FILE, TokensFile)
        self._grants: dict[str, Grant] = {}
        self._until: dict[str, float] = {}
        self._changing = trio.Lock()

    async def load(self) -> None:
        """Read what was stored. Raises: PeerError when the disk does not give it."""
        stored = await self._file.load()
        for grant in () if stored is None else stored.grants[:MAX_GRANTS]:
            self._grants[grant.id] = grant
            if grant.expires_s is not None:
                # The clock may have been set meanwhile: never longer than a new one would last.
                left_s = min(LIFETIME_S, grant.expires_s - self._clock())
                self._until[grant.id] = trio.current_time() + left_s

    def listed(self) -> list[Grant]:
        """Those that are good, oldest first."""
        alive = self._alive()
        return sorted(
            (grant for grant in self._grants.values() if grant.key_id in alive),
            key=lambda grant: grant.created_s,
        )

    def find(self, token: str) -> Grant | None:
        """Whose access token this is; None for anything else. Raises: Expired."""
        grant = self._grant_of(token)
        same = hmac.compare_digest(digest(token), "" if grant is None else grant.access)
        if grant is None or not same or grant.key_id not in self._alive():
            return None
        if grant.expires_s is not None and trio.current_time() >= self._until.get(grant.id, 0.0):
            raise Expired("access token")
        return grant

    def principal(self, peer: str) -> Principal | None:
        """Who acts with a good token; None when the user may not come in (told in the journal)."""
        found = self._context.authenticator.principal(self._config.user, via=self._context.name, peer=peer)
        # The token was compared with what this very door keeps.
        return None if found is None else replace(found, proven_locally=True)

    async def issue(
        self, *, name: str, scopes: Sequence[str], by: str, client: str = "", pair: bool = False
    ) -> tuple[Grant, Tokens]:
        """A new grant with its token, or its pair. Raises: AgentError when it cannot be."""
        await self.prune()
        if len(self._grants) >= MAX_GRANTS:
            raise AgentError(f"there are {MAX_GRANTS} tokens: revoke one with `portero api-key revoke`")
        key = await self._context.keys.issue(
            user=self._config.user, role=self._config.role, name=f"netatmo {name}"[:64], by=by
        )
        number = secrets.token_hex(12)
        tokens = Tokens(access=_new_token(number), refresh=_new_token(number) if pair else "")
        grant = Grant(
            id=number,
            name=name,
            scopes=tuple(scopes),
            key_id=_key_id(key),
            created_s=int(self._clock()),
            access=digest(tokens.access),
            client=client,
            expires_s=self._clock() + LIFETIME_S if pair else None,
            refresh=digest(tokens.refresh) if pair else "",
        )
        try:
            await self._put(grant)
        except AgentError:
            await self._context.keys.revoke(grant.key_id, user=self._config.user, by=by)
            raise
        return grant, tokens

    async def refresh(self, token: str, client: str) -> tuple[Grant, Tokens] | None:
        """A new pair for a refresh token, which with its access token is dead from then on.

        None: it is none of this client's. One that was used before ends the grant.
        Raises: AgentError when it cannot be stored; then the old pair is still good.
        """
        async with self._changing:
            grant = self._grant_of(token)
            spent = digest(token)
            if grant is None or grant.client != client or not grant.refresh:
                return None
            if grant.key_id not in self._alive():
                return None
            if not hmac.compare_digest(spent, grant.refresh):
                stolen = any(hmac.compare_digest(spent, old) for old in grant.spent)
            else:
                tokens = Tokens(access=_new_token(grant.id), refresh=_new_token(grant.id))
                renewed = replace(
                    grant,
                    access=digest(tokens.access),
                    refresh=digest(tokens.refresh),
                    expires_s=self._clock() + LIFETIME_S,
                    spent=(*grant.spent, spent)[-MAX_SPENT:],
                )
                await self._write(self._grants | {grant.id: renewed})
                self._until[grant.id] = trio.current_time() + LIFETIME_S
                return renewed, tokens
        if stolen:
            await self.end(grant, by=f"{self._context.name}: a used refresh token came again")
        return None

    async def end(self, grant: Grant, *, by: str) -> None:
        """Make its tokens worthless, and its key. Raises: AgentError when it cannot be stored."""
        await self._context.keys.revoke(grant.key_id, user=self._config.user, by=by)
        await self.prune()

    async def prune(self) -> None:
        """Forget grants whose key was revoked. Raises: AgentError when it cannot be stored."""
        async with self._changing:
            alive = self._alive()
            kept = {key: grant for key, grant in self._grants.items() if grant.key_id in alive}
            if len(kept) < len(self._grants):
                await self._write(kept)

    async def try_to_prune(self) -> None:
        """As `prune`; what fails was logged, and is done the next time."""
        try:
            await self.prune()
        except AgentError:
            return

    def _alive(self) -> frozenset[str]:
        return frozenset(info.id for info in self._context.keys.listed(self._config.user))

    def _grant_of(self, token: str) -> Grant | None:
        found = _TOKEN.fullmatch(token)
        return None if found is None else self._grants.get(found[1])

    async def _put(self, grant: Grant) -> None:
        async with self._changing:
            await self._write(self._grants | {grant.id: grant})
            if grant.expires_s is not None:
                self._until[grant.id] = trio.current_time() + LIFETIME_S

    async def _write(self, grants: dict[str, Grant]) -> None:
        """Have them on the disk, then make them count. Cancellation: a write that has begun counts."""
        await self._file.store(lambda: TokensFile(grants=tuple(grants.values())))
        self._grants = grants


def scopes_of(text: str) -> tuple[str, ...] | None:
    """Scopes as a request has them, separated by spaces; None when that is not what it is."""
    found = tuple(dict.fromkeys(text.split()))
    if not found or len(found) > MAX_SCOPES or not all(_SCOPE.fullmatch(scope) for scope in found):
        return None
    return found


def digest(token: str) -> str:
    """What is kept of a token: it has chance enough to need no salt and no slowness."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _new_token(number: str) -> str:
    return f"{number}|{secrets.token_hex(16)}"


def _key_id(key: str) -> str:
    """The id in `pk_<id>_<secret>`."""
    return key.split("_", 2)[1]
