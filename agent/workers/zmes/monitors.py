"""The house as ZoneMinder apps see it: every endpoint that can raise an alarm is a monitor with a number."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.model.errors import MalformedMessage
from agent.runtime import EndpointInfo
from agent.wire.json import decode_any
from agent.workers.zmes.replies import ascii_json
from agent.workers.zmes.translate import NEVER_MUTED, Monitor
from agent.workers.zmes.wire import MAX_MONITORS

MAX_ID = 999_999_999
MAX_MONITOR_FILE_BYTES = 1024 * 1024
_KINDS = frozenset({"button", "contact", "siren", "lock"})

logger = logging.getLogger(__name__)


class MonitorTable:
    """Monitors by endpoint and by id."""

    def __init__(self, monitors: Iterable[Monitor]) -> None:
        self._by_endpoint = {monitor.endpoint: monitor for monitor in monitors}
        self._by_id = {monitor.id: monitor for monitor in self._by_endpoint.values()}

    def __iter__(self) -> Iterator[Monitor]:
        return iter(self._by_endpoint.values())

    def of_endpoint(self, endpoint: str) -> Monitor | None:
        """The monitor that shows an endpoint."""
        return self._by_endpoint.get(endpoint)

    def of_id(self, monitor_id: str) -> Monitor | None:
        """The monitor with this id."""
        return self._by_id.get(monitor_id)


def assign_ids(
    endpoints: Iterable[EndpointInfo], configured: Mapping[str, int], remembered: Mapping[str, int]
) -> tuple[MonitorTable, dict[str, int]]:
    """The table, and the numbers to remember: configured first, then remembered, then the next free one.

    A number once given to an endpoint is not given to another while it is remembered, also when the endpoint
    is gone: apps keep filters by number.
    """
    infos = [info for info in endpoints if info.kind in _KINDS][:MAX_MONITORS]
    for name in configured.keys() - {info.name for info in infos}:
        logger.error("monitors names %r, which is no endpoint that can raise an alarm", name)
    numbers = {name: number for name, number in remembered.items() if number not in configured.values()}
    numbers |= configured
    taken = set(numbers.values())
    free = 1
    for info in infos:
        if info.name in numbers:
            continue
        while free in taken:
            free += 1
        if info.name in remembered:
            logger.warning(
                "monitor id of %s is now %d, its old one was configured for another", info.name, free
            )
        numbers[info.name] = free
        taken.add(free)
    table = MonitorTable(
        Monitor(
            id=str(numbers[info.name]),
            endpoint=info.name,
            name=info.label or info.name,
            never_muted=info.role in NEVER_MUTED,
        )
        for info in infos
    )
    return table, numbers


def encode_ids(numbers: Mapping[str, int]) -> bytes:
    """The file of remembered numbers."""
    return ascii_json({"monitors": dict(numbers)}).encode()


def decode_ids(data: bytes) -> dict[str, int]:
    """The remembered numbers.

    Raises: MalformedMessage, also when two endpoints have the same number.
    """
    plain: Any = decode_any(data, "monitor file", max_bytes=MAX_MONITOR_FILE_BYTES)
    numbers = plain.get("monitors") if isinstance(plain, dict) else None
    if not isinstance(numbers, dict):
        raise MalformedMessage("monitor file", "expected an object under monitors")
    if any(type(number) is not int or not 0 < number <= MAX_ID for number in numbers.values()):
        raise MalformedMessage("monitor file", f"expected ids of 1..{MAX_ID}")
    if len(set(numbers.values())) != len(numbers):
        raise MalformedMessage("monitor file", "two endpoints with one id")
    return numbers
