"""`/api/getevents`: what happened, from the journal, newest first."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from agent.model.errors import JournalError
from agent.model.events import CallChanged
from agent.model.records import Entry
from agent.runtime import Context
from agent.workers.netatmo.event_log import TYPES, call_row, seq_of, subevent, told_of
from agent.workers.netatmo.home import GATEWAY, Home, Json, Module
from agent.workers.netatmo.intake import Parameters
from agent.workers.netatmo.reply import INVALID, UNABLE, Refusal, echo

DEFAULT_SIZE = 30
MAX_SIZE = 200
MAX_OFFSET = 1000
PAGE = 500
MAX_READ = 5000
# By how many numbers the end of a call may lie behind its beginning and still be told with it: pages begin
# at the beginning of a call, and are read from this much later on.
CALL_SPAN = 256


class Query(Struct, frozen=True, kw_only=True):
    """What is asked for. before: a number of the log; modules: ids, of which events are wanted."""

    size: int
    offset: int
    before: int | None
    modules: frozenset[str]


class History:
    """Reads the journal in pages; the work of one request has a bound."""

    def __init__(self, home: Home, context: Context) -> None:
        self._home = home
        self._context = context

    def query(self, parameters: Parameters, scopes: Iterable[str]) -> Query:
        """Raises: Refusal."""
        seen = {module.id: module for module in self._home.readable(scopes)}
        modules = frozenset(seen)
        for name in ("device_id", "module_id"):
            wanted = parameters.text(name).lower()
            if not wanted:
                continue
            if wanted not in self._home.modules:
                raise Refusal(INVALID, f"Invalid {name}, {echo(wanted)}")
            if not (name == "device_id" and wanted == self._home.gateway.id):
                modules &= {wanted}
        gateways = parameters.texts("device_types")
        if (gateways and GATEWAY not in gateways) or parameters.text("person_id"):
            modules = frozenset()  # there are no other gateways here, and no faces
        before: int | None = None
        if identity := parameters.text("event_id"):
            before = seq_of(identity)
            if before is None:
                raise Refusal(INVALID, "Invalid event_id")
        return Query(
            size=parameters.number("size", DEFAULT_SIZE, most=MAX_SIZE),
            offset=parameters.number("offset", 0, most=MAX_OFFSET),
            before=before,
            modules=modules,
        )

    async def events(self, query: Query) -> list[Json]:
        """Newest first; fewer than asked for when there are no more within MAX_READ entries.

        Raises: Refusal when the journal cannot be read.
        """
        found: list[Json] = []
        steps: dict[str, list[Json]] = {}
        wanted = query.offset + query.size
        cursor = None if query.before is None else query.before + CALL_SPAN
        read = 0
        while query.modules and query.size and len(found) < wanted and read < MAX_READ:
            try:
                entries = await self._context.history.page(before_seq=cursor, types=TYPES, limit=PAGE)
            except JournalError as error:
                raise Refusal(UNABLE, status=500) from error
            if not entries:
                break
            read += len(entries)
            cursor = entries[-1].seq
            for entry in entries:
                row = self._row(entry, query, steps)
                if row is not None and (query.before is None or entry.seq < query.before):
                    found.append(row)
        return found[query.offset : wanted]

    def _row(self, entry: Entry, query: Query, steps: dict[str, list[Json]]) -> Json | None:
        """The event of an entry; steps of calls are kept until the call's beginning comes by."""
        if isinstance(entry.event, CallChanged):
            module = self._home.of_endpoint.get(entry.event.endpoint)
            if module is None or module.id not in query.modules:
                return None
            return self._call(entry, entry.event, module, steps)
        told = told_of(entry, self._home)
        return told.row() if told is not None and told.module.id in query.modules else None

    def _call(
        self, entry: Entry, call: CallChanged, module: Module, steps: dict[str, list[Json]]
    ) -> Json | None:
        step = subevent(entry, call, module)
        if step is not None:
            steps.setdefault(call.call_id, []).append(step)
        if call.state != "ringing":
            return None
        return call_row(entry, module, steps.pop(call.call_id)[::-1])
