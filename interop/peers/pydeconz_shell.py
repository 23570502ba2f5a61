"""pydeconz, unmodified: what Home Assistant speaks deCONZ with, and so the door as a gateway of its own.

Settings: PEER_URL, and PEER_KEY when there is a key already. Commands: {"link": true} asks for a key,
{"load": true} reads everything and follows the events, {"list": true} reads every property of every resource,
{"siren": ID, "on": true, "tenths": 20}, {"lock": ID, "on": true}, {"light": ID, "on": true},
{"alarm": ID, "to": "arm_away", "code": "..."}. Printed: {"key": ...}, {"loaded": {...}}, {"listed": [...]},
{"done": ...} or {"refused": ...} per command, {"event": ...} as it came, with what pydeconz makes of it
(`now`), and {"connected": true} and false.
"""

from __future__ import annotations

import asyncio
import enum
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydeconz import DeconzSession
from pydeconz.errors import pydeconzException
from pydeconz.models.alarm_system import AlarmSystemArmAction
from pydeconz.models.event import Event, EventType

TOLD = (
    "is_on", "is_locked", "on", "state", "button_event", "open", "tampered", "fire", "presence", "alarm",
    "carbon_monoxide", "vibration", "reachable", "name", "arm_state", "panel", "action", "daylight_status",
)  # fmt: skip


def tell(**what: Any) -> None:
    print(json.dumps(what, default=plain), flush=True)


def plain(value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else repr(value)


class Complaints(logging.Handler):
    """What pydeconz logs as a problem."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(complaint=record.getMessage())


class Shell:
    def __init__(self, http: aiohttp.ClientSession) -> None:
        url = urlsplit(os.environ["PEER_URL"])
        assert url.hostname is not None
        assert url.port is not None
        self.session = DeconzSession(
            http, url.hostname, url.port, os.environ.get("PEER_KEY"), lambda up: tell(connected=up)
        )

    async def obey(self, order: dict[str, Any]) -> None:
        session = self.session
        match order:
            case {"link": _}:
                session.api_key = await session.get_api_key(client_name="pydeconz shell")
                tell(key=session.api_key)
            case {"load": _}:
                await session.refresh_state()
                session.events.subscribe(self.note, (EventType.CHANGED, EventType.ADDED))
                session.start()
                config = session.config
                tell(loaded={"bridge_id": config.bridge_id, "port": config.websocket_port, "raw": config.raw})
            case {"list": _}:
                tell(listed=[read(item) for item in self.items()])
            case {"siren": number, "on": on}:
                await session.lights.sirens.set_state(number, on, order.get("tenths"))
            case {"lock": number, "on": on} if number in session.sensors.door_lock:
                await session.sensors.door_lock.set_config(number, lock=on)
            case {"lock": number, "on": on}:
                await session.lights.locks.set_state(number, lock=on)
            case {"light": number, "on": on}:
                await session.lights.lights.set_state(number, on=on, on_time=order.get("tenths"))
            case {"alarm": number, "to": to, "code": code}:
                await session.alarm_systems.arm(number, AlarmSystemArmAction(to), code)
        tell(done=order)

    def items(self) -> Iterator[Any]:
        session = self.session
        for group in (session.lights, session.sensors, session.groups, session.alarm_systems):
            yield from group.values()
        yield session.config

    def note(self, event: Event) -> None:
        """Behind pydeconz's own readers of events, who came first."""
        group: Any = getattr(self.session, event.resource.value.replace("alarmsystems", "alarm_systems"))
        item = group.get(event.id)
        now = {name: getattr(item, name) for name in TOLD if hasattr(item, name)} if item else None
        tell(event=event.data, now=now)


def read(item: Any) -> dict[str, Any]:
    """Every property that the library has for it; what raises is an error of the door."""
    values, errors = {}, []
    for kind in reversed(type(item).__mro__):
        for name in [name for name, what in vars(kind).items() if isinstance(what, property)]:
            try:
                values[name] = getattr(item, name)
            except Exception as error:  # noqa: BLE001
                errors.append(f"{name}: {type(error).__name__}: {error}")
    return {
        "r": getattr(item, "resource_group", "config"),
        "id": getattr(item, "resource_id", ""),
        "class": type(item).__name__,
        "values": values,
        "raw": item.raw,
        "errors": errors,
    }


async def main() -> None:
    logging.getLogger("pydeconz").addHandler(Complaints(logging.WARNING))
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(orders.put_nowait, None)

    loop.set_exception_handler(lambda _, context: tell(crashed=str(context.get("exception", context))))
    threading.Thread(target=listen, daemon=True).start()
    async with aiohttp.ClientSession() as http:
        shell = Shell(http)
        while (order := await orders.get()) is not None:
            try:
                await shell.obey(order)
            except pydeconzException as error:
                tell(refused=f"{type(error).__name__}: {error}")
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
