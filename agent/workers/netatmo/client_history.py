"""The events that the cloud keeps: paged backwards, without ever asking in circles."""

from __future__ import annotations

from collections.abc import Callable

from agent.workers.netatmo.client_api import Api
from agent.workers.netatmo.wire import StoredEvent, decode_events, server_time

PAGE = 30
MAX_PAGES = 4


async def newest(
    api: Api, home_id: str, *, known: Callable[[StoredEvent], bool], pages: int = MAX_PAGES
) -> tuple[list[StoredEvent], int]:
    """The events that are newer than the newest known one, newest first, and the cloud's clock.

    At most `pages` calls; it ends when a page holds a known event, or brings none that was not there before.
    Raises: ApiError, PeerError, AuthenticationError.
    """
    found: list[StoredEvent] = []
    ids: set[str] = set()
    clock, before = 0, ""
    for _ in range(pages):
        fields = {"home_id": home_id, "size": str(PAGE)} | ({"event_id": before} if before else {})
        answer = await api.read("getevents", fields)
        clock = clock or server_time(answer)
        page = decode_events(answer)
        fresh = [event for event in page if not event.id or event.id not in ids]
        ids.update(event.id for event in fresh)
        found += [event for event in fresh if not known(event)]
        # Whether the event that was asked for is repeated varies, and a client once asked 32 times for one.
        oldest = next((event.id for event in reversed(page) if event.id), "")
        if len(page) < PAGE or not fresh or not oldest or oldest == before or any(map(known, page)):
            break
        before = oldest
    return found, clock


async def of(api: Api, home_id: str, **which: str) -> list[StoredEvent]:
    """Events by `device_id`, `module_id`, `person_id` or before an `event_id`: one page, newest first.

    Raises: ApiError, PeerError, AuthenticationError.
    """
    fields = {"home_id": home_id, "size": str(PAGE)} | {key: value for key, value in which.items() if value}
    return list(decode_events(await api.read("getevents", fields)))
