"""Getting an API key from a gateway: ask again and again while a person presses its link button."""

from __future__ import annotations

import trio
from msgspec import Struct

from agent.model.errors import CommandError, PeerError
from agent.workers.deconz.client_device import clean
from agent.workers.deconz.client_rest import Rest

ASK_EVERY_S = 2.0
MAX_TEXT_CHARS = 64
HOW = "press Link in Phoscon (Settings, Gateway, Advanced, Authenticate app), then try again"


class Paired(Struct, frozen=True, kw_only=True):
    """What a gateway gave, and who it is."""

    key: str
    bridge_id: str
    name: str


class Identity(Struct, frozen=True, kw_only=True):
    """Who a gateway says it is, to anybody."""

    bridge_id: str
    name: str
    version: str


async def identify(rest: Rest, bridge_id: str | None) -> Identity:
    """Who answers there. Raises: PeerError, also when it is another than the one with `bridge_id`."""
    config = await rest.basic_config()
    found = _text(config.get("bridgeid")).upper()
    if not found:
        raise PeerError(f"{rest.url} is no deCONZ gateway: it tells no bridge id")
    if bridge_id is not None and found != bridge_id.upper():
        raise PeerError(f"{rest.url} is gateway {found}, not {bridge_id.upper()}")
    return Identity(bridge_id=found, name=_text(config.get("name")), version=_text(config.get("swversion")))


async def pair(rest: Rest, bridge_id: str | None, *, wait_s: float) -> Paired:
    """A new key of the gateway. Raises: CommandError, with what to do.

    Cancellation: the gateway may have made a key that nobody keeps.
    """
    give_up_at = trio.current_time() + wait_s
    asked = False
    try:
        who = await identify(rest, bridge_id)
        while True:
            key = await rest.ask_key()
            asked = True
            if key is not None:
                return Paired(key=key, bridge_id=who.bridge_id, name=who.name)
            if trio.current_time() + ASK_EVERY_S > give_up_at:
                raise CommandError(f"nobody pressed the link button of {who.name or rest.url}: {HOW}")
            await trio.sleep(ASK_EVERY_S)
    except PeerError as error:
        advice = "" if asked else "; is `url` right, and the gateway on?"
        raise CommandError(f"{error}{advice}") from error


def _text(value: object) -> str:
    return clean(value, MAX_TEXT_CHARS) if isinstance(value, str) else ""
