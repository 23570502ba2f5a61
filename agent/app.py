"""The composition root: the only place that builds things and owns the root nursery.

Start: config, journal, board at safe levels, endpoints, dispatch, workers, READY=1. Stop: workers, then
endpoints, then the journal's last commit. If a core task dies the process dies, the relays drop, and the
service manager starts us again.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from msgspec import Struct, to_builtins

from agent import __version__, rules
from agent.access.authenticate import Access
from agent.access.keyring import KeyRing
from agent.access.passes import Passes
from agent.access.store import AccessStore
from agent.alarm import Alarm
from agent.answers import Answers, uptime_s
from agent.boot import next_boot
from agent.bus import EventLog
from agent.calls import Calls
from agent.config import Config
from agent.control import ControlServer
from agent.dispatch import Dispatch
from agent.endpoints import House
from agent.endpoints.io import boards, run_all
from agent.endpoints.on_demand import GpioOnDemand
from agent.entrance.config import SIMULATED
from agent.entrance.doorkeeper import Doorkeeper
from agent.entrance.importer import Importer
from agent.entrance.readers import Readers
from agent.entrance.store import KeyStore
from agent.intercom.silence import NoVoice
from agent.journal.history import JournalHistory
from agent.journal.store import Journal, OpenedJournal
from agent.key_answers import KeyAnswers
from agent.memory import return_free_memory
from agent.model.actions import ALARM_TARGET, CALL_TARGET, NOTIFY_TARGET, TALK_TARGET
from agent.model.errors import ConfigError, JournalError
from agent.model.events import AgentStarted, AgentStopping, HardwareFailed, JournalFailed
from agent.net.http_site import HttpSite
from agent.net.tls import Tls
from agent.notify import Notify
from agent.ready import Ready
from agent.registry import WORKERS
from agent.runtime import AlarmStatus, Performer
from agent.stop import StopRequest
from agent.supervise import Guard, leaves, supervise
from agent.systemd import RingProof, ServiceManager
from agent.workbench import Workbench
from hw.board import Board, PinSource, open_board
from hw.fake import FakePins

if TYPE_CHECKING:
    from agent.intercom.sound import Sound

FLUSH_S = 2.0
STRICT = bool(os.environ.get("PORTERO_STRICT"))  # tests: a bug in a worker ends the agent
logger = logging.getLogger(__name__)


class Greeting(Struct, frozen=True, kw_only=True):
    """What to tell the person who started the agent, once it is ready."""

    ready: dict[str, Any]
    first_admin: tuple[str, str] | None
    fingerprint: str  # empty: there is no certificate
    simulated: bool


def run(
    config: Config,
    *,
    state_dir: Path,
    simulated: bool,
    any_port: bool,
    real_sound: bool = False,
    greet: Callable[[Greeting], None] = lambda greeting: None,
) -> int:
    """Run the door until it is told to stop; the exit code. real_sound: also where the rest is simulated.

    Raises: ConfigError for a state directory that cannot be used.
    """
    with _state(state_dir):
        try:
            trio.run(partial(_Agent(config, state_dir, simulated, any_port, real_sound).run, greet))
        except BaseExceptionGroup as group:
            # Ctrl-C before signals are watched arrives as an exception, in the groups of our nurseries.
            if all(isinstance(leaf, KeyboardInterrupt) for leaf in leaves(group)):
                raise KeyboardInterrupt from None
            raise
    return 0


@contextmanager
def _state(path: Path) -> Iterator[None]:
    """The state directory, ours alone while we run."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _open_lock(path / "lock")
    except OSError as error:
        raise ConfigError(str(path), f"state directory cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                str(path), "another agent is running on this state directory; `portero status` shows it"
            ) from None
        yield
    finally:
        os.close(lock)


def _open_lock(path: Path) -> int:
    """The descriptor to lock. A card that has become read-only is no reason not to ring. Raises: OSError."""
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class _Agent:
    """One run of the door, built in the order in which it starts."""

    def __init__(
        self, config: Config, state_dir: Path, simulated: bool, any_port: bool, real_sound: bool
    ) -> None:
        self._begun = time.monotonic()
        self._config = config
        self._state_dir = state_dir
        self._simulated = simulated
        self._real_sound = real_sound
        self._any_port = any_port
        self._boot = next_boot(state_dir)
        self._opened: OpenedJournal = Journal.open(state_dir / "journal.db", config.journal)
        self._journal = self._opened.journal
        self._log = EventLog(boot_id=self._boot.id, next_seq=self._opened.last_seq + 1)
        self._house = House(config.endpoints, log=self._log)
        self._io = boards(config.io, self._house.remotes, simulated=simulated)
        self._calls = Calls(config.calls, log=self._log, new_id=_new_id)
        self._sound = self._open_sound()
        self._voice = self._sound.intercom if self._sound is not None else NoVoice()
        self._notify = Notify(config.notify, self._house.infos, log=self._log, path=state_dir / "notify.json")
        performers: dict[str, Performer] = {
            **self._house.performers,
            CALL_TARGET: self._calls,
            TALK_TARGET: self._voice,
            NOTIFY_TARGET: self._notify,
        }
        self._alarm = self._make_alarm(config)
        if self._alarm is not None:
            performers[ALARM_TARGET] = self._alarm
        self._dispatch = Dispatch(log=self._log, journal=self._journal, performers=performers, new_id=_new_id)
        self._keys = KeyStore.open(state_dir, report=self._log.publish)
        doorkeeper = Doorkeeper(
            config.entrance, self._keys, submit=self._dispatch.submit, report=self._log.publish
        )
        readers = {
            name: reader for name, reader in config.readers.items() if simulated or reader.device != SIMULATED
        }
        self._readers = Readers(readers, doorkeeper, log=self._log)
        self._ready = Ready(state_dir / "ready.json")
        self._manager = ServiceManager()
        self._board: Board | None = None
        self._bench: Workbench | None = None

    async def run(self, greet: Callable[[Greeting], None]) -> None:
        """Everything, from the first level on the relays to the last row in the journal."""
        first = self._log.last_seq
        try:
            async with trio.open_nursery() as keeping:
                keeping.start_soon(
                    partial(self._journal.run, after=first, report=self._log.publish), self._log
                )
                self._log.publish(
                    AgentStarted(
                        version=__version__,
                        boot_id=self._boot.id,
                        boot_number=self._boot.number,
                        simulated=self._simulated,
                    )
                )
                if self._opened.problem is not None:
                    logger.critical(
                        "journal problem=%s moved_to=%s", self._opened.problem, self._opened.moved_to
                    )
                    moved = str(self._opened.moved_to or "")
                    self._log.publish(JournalFailed(reason=self._opened.problem, moved_to=moved))
                pins = self._pins()
                try:
                    with open_board(self._config.pins, pins=pins) as board:
                        self._board = board
                        with StopRequest(board.close) as stop:
                            await self._run_house(board, pins, stop, first, greet)
                finally:
                    pins.close()
                with trio.move_on_after(FLUSH_S) as flush:
                    flush.shield = True
                    try:
                        await self._journal.flushed(self._log.last_seq)
                    except JournalError as error:
                        logger.critical("last entries not stored reason=%s", error)
                keeping.cancel_scope.cancel()
        finally:  # also of a start that fails half way
            with trio.move_on_after(FLUSH_S) as closing:
                closing.shield = True
                await self._journal.close()

    async def _run_house(
        self,
        board: Board,
        pins: PinSource,
        stop: StopRequest,
        first: int,
        greet: Callable[[Greeting], None],
    ) -> None:
        """The endpoints, and all that lives only while they do."""
        log = self._log
        async with trio.open_nursery() as core:
            await core.start(stop.watch_signals)
            await core.start(partial(self._calls.run, after=first))
            if self._alarm is not None:
                await core.start(partial(self._alarm.run, after=first))
            await core.start(self._house.run, board)
            if self._io:
                run_io = partial(run_all, self._io)
                await core.start(partial(supervise, "io", run_io, report=log.publish, strict=STRICT))
            if self._sound is not None:
                # Comfort: a bug in it must not take the bell and the locks down.
                run_voice = partial(self._run_voice, self._sound, [first])
                await core.start(partial(supervise, "voice", run_voice, report=log.publish, strict=STRICT))
            run_rules = partial(
                rules.run, self._config.rules, log=log, submit=self._dispatch.submit, after=first
            )
            await core.start(run_rules)
            if self._keys.problem:
                log.publish(HardwareFailed(endpoint="keys.db", reason=self._keys.problem))
            if self._readers.all:
                run_readers = partial(
                    supervise, "readers", self._readers.run, report=log.publish, strict=STRICT
                )
                await core.start(run_readers)
            core.start_soon(self._manager.feed, self._health(RingProof(self._published, self._reached())))
            await self._run_workers(core, pins, stop, greet)
            self._manager.tell("STOPPING=1")
            core.cancel_scope.cancel()

    async def _run_voice(
        self,
        sound: Sound,
        first: list[int],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """After a failure it goes on with what happens then: who rang before has gone."""
        after = first.pop() if first else self._log.last_seq
        await sound.intercom.run(after=after, task_status=task_status)

    async def _run_workers(
        self,
        core: trio.Nursery,
        pins: PinSource,
        stop: StopRequest,
        greet: Callable[[Greeting], None],
    ) -> None:
        """Users, certificates, protocols and the control socket; returns when a stop was asked for."""
        log = self._log
        opened = await trio.to_thread.run_sync(AccessStore.open, self._state_dir / "access.db")
        users = opened.store
        if opened.problem is not None:
            logger.critical("access problem=%s", opened.problem)
            log.publish(HardwareFailed(endpoint="access.db", reason=opened.problem))
        access = Access(users, report=log.publish, config=self._config.access)
        passes = Passes(access)
        tls = Tls(self._state_dir / "tls", self._config.tls)
        core.start_soon(access.run)
        password = await users.ensure_first_admin()
        fingerprint = await self._prepare(tls)
        core.start_soon(tls.renew_forever)
        self._ready.ca = str(tls.ca_path)
        site = HttpSite(
            self._config.http, tls, guard=Guard("http", log.publish, strict=STRICT), any_port=self._any_port
        )
        await core.start(partial(supervise, "http", site.run, report=log.publish, strict=STRICT))
        importer = Importer(self._keys)
        self._bench = bench = Workbench(
            log=log,
            boot_number=self._boot.number,
            endpoints=self._house.infos,
            authenticator=passes,
            notifications=self._notify,
            voice=self._voice,
            submit=self._dispatch.submit,
            state_of=self._house.state_of,
            alarm=self._alarm_status,
            history=JournalHistory(self._state_dir / "journal.db"),
            mount=site.mount,
            remotes=self._house.remotes,
            keys=KeyRing(users, report=log.publish),
            key_files=importer,
            tls=tls,
            ready=self._ready,
            state_dir=self._state_dir / "workers",
            any_port=self._any_port,
            door=self._config.door.name,
            strict=STRICT,
        )
        answers = Answers(
            status=self._status,
            log=log,
            dispatch=self._dispatch,
            users=users,
            passes=passes,
            board=pins if isinstance(pins, FakePins) else None,
            ask_worker=bench.ask,
            sound=self._sound,
        )
        control = ControlServer(
            self._state_dir / "control.sock",
            answers=answers.answers() | KeyAnswers(self._keys, importer, self._readers, self._io).answers(),
            streams=answers.streams(),
            guard=Guard("control", log.publish, strict=STRICT),
        )
        try:
            async with trio.open_nursery() as workers:
                await self._start_control(workers, control)
                await bench.start(workers, WORKERS, self._config.workers)
                self._ready.write()
                self._manager.tell("READY=1")
                greet(
                    Greeting(
                        ready=self._ready.plain(),
                        first_admin=("admin", password) if password else None,
                        fingerprint=fingerprint,
                        simulated=self._simulated,
                    )
                )
                return_free_memory()
                await stop.wait()
                logger.info("stopping reason=%s", stop.reason)
                log.publish(AgentStopping(reason=stop.reason))
                self._ready.remove()
                workers.cancel_scope.cancel()
        finally:
            self._ready.remove()
            with trio.move_on_after(FLUSH_S) as closing:
                closing.shield = True
                await users.close()

    async def _prepare(self, tls: Tls) -> str:
        """The fingerprint of the door's certificate; empty when there is none, of which clients despair but
        not the bell, the rules and the siren. It is tried again for as long as the agent runs.

        Raises: ConfigError for a certificate of the operator's own: that is a mistake to be mended now.
        """
        try:
            await tls.prepare()
            return tls.fingerprint
        except ConfigError as error:
            if self._config.tls.cert_file is not None:
                raise
            logger.critical("no certificate, no client can connect reason=%s", error)
            self._log.publish(HardwareFailed(endpoint="tls", reason=str(error)))
            return ""

    async def _start_control(self, workers: trio.Nursery, control: ControlServer) -> None:
        """The commands of this machine; where they cannot be had, the door rings and opens without them."""
        try:
            await workers.start(control.run)
        except ConfigError as error:
            logger.critical("no local commands reason=%s", error)
            self._log.publish(HardwareFailed(endpoint="control.sock", reason=str(error)))

    def _open_sound(self) -> Sound | None:
        """The intercom; a door without one does not even load the codec."""
        if self._config.voice is None:
            return None
        from agent.intercom.sound import Sound

        return Sound(
            self._config.voice,
            log=self._log,
            recordings=self._state_dir / "recordings",
            simulated=self._simulated and not self._real_sound,
        )

    def _make_alarm(self, config: Config) -> Alarm | None:
        if config.alarm is None:
            return None
        return Alarm(
            config.alarm,
            self._house.infos,
            log=self._log,
            path=self._state_dir / "alarm.json",
            state_of=self._house.state_of,
        )

    def _alarm_status(self) -> AlarmStatus | None:
        return self._alarm.status() if self._alarm is not None else None

    def _pins(self) -> PinSource:
        if self._simulated:
            return FakePins(mirror=self._state_dir / "relays.sim")
        return GpioOnDemand(self._config.board.chip_label)

    def _published(self) -> int:
        return self._log.last_seq

    def _reached(self) -> dict[str, Callable[[], int]]:
        return {"the journal": lambda: self._journal.reached}

    def _health(self, ring: RingProof) -> Callable[[], str | None]:
        return lambda: ring() or self._house.sick()

    def _status(self) -> dict[str, Any]:
        """The answer to `portero status`."""
        journal = self._journal.status()
        endpoints = self._house.states()
        for row in endpoints:
            row["notify"] = self._notify.mode(row["name"])
        problems = self._house.problems()
        if journal.problem:
            problems.append(f"journal: {journal.problem}")
        problems.extend(self._readers.problems())
        if self._keys.problem:
            problems.append(f"keys: {self._keys.problem}")
        if self._alarm is not None and self._alarm.problem:
            problems.append(f"alarm system: {self._alarm.problem}")
        if self._sound is not None:
            problems.extend(self._sound.intercom.problems())
        return {
            "version": __version__,
            "pid": os.getpid(),
            "boot_id": self._boot.id,
            "boot_number": self._boot.number,
            "uptime_s": uptime_s(self._begun),
            "door": self._config.door.name,
            "simulated": self._simulated,
            "ready": self._ready.plain(),
            "endpoints": endpoints,
            "calls": [
                {"call_id": call.call_id, "endpoint": call.endpoint, "state": call.state}
                for call in self._calls.open_calls()
            ],
            "alarm": to_builtins(self._alarm_status()),
            "journal": {name: getattr(journal, name) for name in journal.__struct_fields__},
            "voice": self._sound.intercom.status() if self._sound is not None else None,
            "readers": self._readers.status(),
            "io": [board.status() for board in self._io.values()],
            "workers": self._bench.states() if self._bench is not None else {},
            "problems": problems,
        }


def _new_id() -> str:
    return secrets.token_hex(8)
