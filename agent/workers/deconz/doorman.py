"""Who asks: from where, with which key, and for what."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Sequence

from msgspec import Struct
from starlette.requests import Request

from agent.model.errors import MalformedMessage, TryLater
from agent.model.principals import Principal
from agent.wire.json import decode_any
from agent.workers.deconz.about import KEY_PREFIX, key_id
from agent.workers.deconz.config import Network
from agent.workers.deconz.faults import BUSY, MAX_ECHO_CHARS, TOO_MANY, Refusal, bad_json, unauthorised
from agent.workers.deconz.state import ServerState
from agent.workers.deconz.wire import Error, Json

MAX_BODY_BYTES = 65_536
MAX_PARAMETERS = 64
MAX_DEPTH = 6
_KEY = re.compile(rf"{KEY_PREFIX}[0-9A-Za-z_-]{{1,128}}")

logger = logging.getLogger(__name__)


class Asker(Struct, frozen=True, kw_only=True):
    """Somebody whose key is good. address: what is asked for, as the protocol's errors name it."""

    principal: Principal
    key: str
    address: str

    @property
    def thing(self) -> str:
        """The address of the resource itself: `/lights/1`."""
        return "/".join(self.address.split("/")[:3])

    def __repr__(self) -> str:
        return f"Asker({self.principal!r}, address={self.address!r})"


def is_admitted(address: str, networks: Sequence[Network]) -> bool:
    """Whether somebody from this address may connect at all."""
    if not networks:
        return True
    try:
        plain = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(plain in network for network in networks)


def peer_of(request: Request) -> str:
    """The plain address of who asks."""
    return request.client.host if request.client is not None else ""


def address_of(request: Request) -> str:
    """What is asked for below the key: `/lights/1/state`."""
    return masked(request.scope["path"].split("/")[3:])


def masked(parts: Sequence[str]) -> str:
    """A path as it may be told again: no key in it, and not too much of it."""
    return "/" + "/".join(
        KEY_PREFIX + key_id(part) if looks_like_a_key(part) else part[:MAX_ECHO_CHARS]
        for part in parts[:MAX_DEPTH]
    )


async def admit(state: ServerState, request: Request) -> Asker:
    """Who asks, by the key in the path. Raises: Refusal when nobody has it, or nobody looked."""
    address = address_of(request)
    key = request.path_params["key"]
    principal = await look_up(state, key, peer_of(request), address)
    if principal is None:
        raise Refusal(unauthorised(address))
    return Asker(principal=principal, key=key, address=address)


async def look_up(state: ServerState, key: str, peer: str, address: str) -> Principal | None:
    """Whose key it is. What does not look like a key counts as a wrong one, and is compared with nothing:
    passwords cannot be tried here. Raises: Refusal when nobody looked."""
    context = state.context
    try:
        principal = await context.authenticator.authenticate(
            account="",
            secret=key if looks_like_a_key(key) else KEY_PREFIX,
            via=context.name,
            peer=peer,
        )
    except TryLater as later:
        raise Refusal(Error(type=BUSY, address=address, description="busy, try later")) from later
    if principal is None:
        logger.debug("refused peer=%s", peer)
        state.counters.bad_keys += 1
        state.show()
    return principal


def looks_like_a_key(text: str) -> bool:
    """Whether it may be one of the door's keys."""
    return _KEY.fullmatch(text) is not None


async def body_of(request: Request, address: str) -> Json:
    """The object in the body. Raises: Refusal when there is none, or an empty one."""
    try:
        plain = decode_any(await request.body(), "request", max_bytes=MAX_BODY_BYTES)
    except MalformedMessage as error:
        raise Refusal(bad_json(address)) from error
    if not isinstance(plain, dict) or not plain:
        raise Refusal(bad_json(address))
    if len(plain) > MAX_PARAMETERS:
        raise Refusal(Error(type=TOO_MANY, address=address, description="too many items"))
    return plain
