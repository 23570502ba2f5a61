"""What all connections share, and what survives a `restart` of the service and of the agent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from msgspec import Struct

from agent.model.errors import MalformedMessage
from agent.runtime import Context
from agent.statefile import StateFile, read_file, replace_file, set_aside
from agent.wire.json import decode_any
from agent.workers.zmes.config import ServerConfig
from agent.workers.zmes.filter import LastSent
from agent.workers.zmes.monitors import MonitorTable, assign_ids, decode_ids, encode_ids
from agent.workers.zmes.push import Push
from agent.workers.zmes.replies import ascii_json
from agent.workers.zmes.settings import Settings, Value, decode_settings
from agent.workers.zmes.tokens import Registration, TokenStore, decode_tokens
from agent.workers.zmes.wire import AlarmItem

if TYPE_CHECKING:
    from agent.workers.zmes.session import Session

TOKENS_FILE = "tokens.json"
FOREIGN_TOKENS_FILE = "tokens.txt"
SETTINGS_FILE = "settings.json"
MONITORS_FILE = "monitors.json"
LAST_SENT_FILE = "last_sent.json"
MAX_FILE_BYTES = 4 * 1024 * 1024

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Counters(Struct, kw_only=True):
    """alarms_stale: too old to be sent. events_missed: overwritten in the log before we read them."""

    alarms_sent: int = 0
    alarms_stale: int = 0
    events_missed: int = 0
    malformed: int = 0
    bad_auth: int = 0


class Stored(Struct, frozen=True, kw_only=True):
    """What the state directory held at the start."""

    numbers: dict[str, int]
    tokens: dict[str, Registration]
    marks: dict[str, int]
    edits: dict[str, Value]
    last_sent: Any


class ServerState:
    """Owned by the server's main function; sessions and delivery use it, all on the trio thread.

    restart: set by an escontrol client; the server puts a new event in its place when it listens again.
    burning: by endpoint, the alarm of each detector of smoke or carbon monoxide that has not ended: whoever
    connects is told.
    """

    def __init__(
        self, config: ServerConfig, context: Context, stored: Stored, monitors: MonitorTable
    ) -> None:
        folder = context.state_dir
        self.config = config
        self.context = context
        self.monitors = monitors
        self.sessions: dict[int, Session] = {}
        self.counters = Counters()
        self.restart = trio.Event()
        self.burning: dict[str, AlarmItem] = {}
        self._next_number = 1
        self._tokens_file = StateFile(folder / TOKENS_FILE, lambda: self.tokens.to_bytes())
        self._settings_file = StateFile(folder / SETTINGS_FILE, lambda: self.settings.to_bytes())
        self._last_sent_file = StateFile(
            folder / LAST_SENT_FILE, lambda: ascii_json(self.last_sent.to_plain()).encode()
        )
        self.tokens = TokenStore(stored.tokens, self._tokens_file.changed)
        self.settings = Settings(stored.marks, stored.edits, self._settings_file.changed)
        self.last_sent = LastSent()
        self.last_sent.restore(stored.last_sent, self.tokens)
        for account in self.tokens.accounts():
            # Changed while nobody was there to be told; a guest whose time has come registers again.
            if not context.authenticator.admits(account):
                self.tokens.forget_account(account)
        self.push = Push(config.push, self.tokens, self.show) if config.push is not None else None

    async def run(self) -> None:
        """Keep the files up to date, and send pushes, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tokens_file.run)
            nursery.start_soon(self._settings_file.run)
            nursery.start_soon(self._last_sent_file.run)
            if self.push is not None:
                nursery.start_soon(self.push.run)

    def enter(self, session: Session) -> int:
        """Count a connection in; the number is its own for the life of the agent."""
        number = self._next_number
        self._next_number += 1
        self.sessions[number] = session
        self.show()
        return number

    def leave(self, number: int) -> None:
        """Count a connection out."""
        self.sessions.pop(number, None)
        self.last_sent.forget(number)
        self.show()

    def told(self, key: str | int, monitor_id: str, at_ns: int) -> None:
        """Remember that a phone or connection was told of a monitor."""
        self.last_sent.stamp(key, monitor_id, at_ns)
        if isinstance(key, str):
            self._last_sent_file.changed()

    def show(self) -> None:
        """Put the figures on the status page."""
        page, counters = self.context.page, self.counters
        page("clients", len(self.sessions))
        page("alarms_sent", counters.alarms_sent)
        page("alarms_stale", counters.alarms_stale)
        page("events_missed", counters.events_missed)
        page("bad_auth", counters.bad_auth)
        page("malformed", counters.malformed)
        if self.push is not None:
            page("phones", len(self.tokens))
            page("push_sent", self.push.counters.sent)
            page("push_failed", self.push.counters.failed)
            page("push_dropped", self.push.counters.dropped)


async def load_state(config: ServerConfig, context: Context) -> ServerState:
    """The state of the last run; the server starts without the files that make no sense."""
    stored = await trio.to_thread.run_sync(_read_all, context.state_dir)
    monitors, numbers = assign_ids(context.endpoints, config.monitors, stored.numbers)
    if numbers != stored.numbers:
        try:
            await trio.to_thread.run_sync(
                replace_file, context.state_dir / MONITORS_FILE, encode_ids(numbers)
            )
        except OSError as error:
            logger.error("monitor ids not stored, they may change error=%s", error.strerror)
    return ServerState(config, context, stored, monitors)


def _read_all(folder: Path) -> Stored:
    tokens_path = folder / TOKENS_FILE
    if not tokens_path.exists():
        # A file brought along from a ZoneMinder machine; it is only read, the first change writes ours.
        tokens_path = folder / FOREIGN_TOKENS_FILE
    nothing: tuple[dict[str, int], dict[str, Value]] = ({}, {})
    marks, edits = _read(folder / SETTINGS_FILE, decode_settings, nothing)
    return Stored(
        numbers=_read(folder / MONITORS_FILE, decode_ids, {}),
        tokens=_read(tokens_path, decode_tokens, {}),
        marks=marks,
        edits=edits,
        last_sent=_read(folder / LAST_SENT_FILE, _decode_last_sent, None),
    )


def _read(path: Path, decode: Callable[[bytes], T], default: T) -> T:
    try:
        data = read_file(path, MAX_FILE_BYTES)
    except OSError as error:
        logger.error("not read path=%s error=%s", path, error.strerror)
        return default
    if data is None:
        return default
    try:
        return decode(data[:MAX_FILE_BYTES])
    except MalformedMessage as error:
        set_aside(path, str(error))
        return default


def _decode_last_sent(data: bytes) -> Any:
    return decode_any(data, "last-sent file", max_bytes=MAX_FILE_BYTES)
