"""A running journal on a real file, and one event of every kind to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from msgspec import Struct

from agent.bus import RING_SIZE, EventLog
from agent.journal.config import JournalConfig
from agent.journal.store import Journal, OpenedJournal
from agent.model.actions import AnswerCall, SetNotify, SwitchLight, Unlock
from agent.model.events import (
    AccessDenied,
    AccountChanged,
    ActionAccepted,
    ActionFailed,
    ActionRefused,
    AgentStarted,
    AgentStopping,
    AlarmChanged,
    AnyEvent,
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    CallChanged,
    CameraAlarm,
    CloudReported,
    ContactChanged,
    DeviceChanged,
    DoorChanged,
    DuressSignalled,
    HardwareFailed,
    HardwareRecovered,
    JournalFailed,
    JournalRecovered,
    KeyRefused,
    KeysChanged,
    KeyUsed,
    LightChanged,
    LockChanged,
    MessageRecorded,
    MicrophoneChanged,
    NotifyChanged,
    SirenChanged,
    TalkEnded,
    TalkStarted,
    WorkerChanged,
    WorkerFailed,
)
from agent.model.principals import Grant, Principal
from agent.model.records import Entry

ANNA = Principal(
    name="anna",
    role="guest",
    via="zmes",
    peer="192.0.2.7:4711",
    proven_locally=True,
    grant=Grant(endpoints=("door",), not_after_ns=1_900_000_000_000_000_000),
)

EVENTS: tuple[AnyEvent, ...] = (
    ButtonPressed(endpoint="bell"),
    ButtonHeld(endpoint="bell", held_ms=2000),
    ButtonReleased(endpoint="bell", held_ms=2100),
    CallChanged(call_id="c1", endpoint="bell", state="ringing"),
    LockChanged(endpoint="door", state="unlocked", by="anna", action_id="a1", hold_s=5.0),
    DoorChanged(endpoint="door", state="open"),
    SirenChanged(endpoint="siren", on=True, duration_s=30.0),
    LightChanged(endpoint="stairs", on=False, reason="time"),
    ContactChanged(endpoint="smoke", role="smoke", active=True),
    NotifyChanged(endpoint="bell", mode="mute", by="anna"),
    CameraAlarm(source="zm", monitor_id="3", monitor="Yard", cause="Motion", event_id="77"),
    ActionAccepted(action_id="a1", action=Unlock(endpoint="door"), principal=ANNA),
    ActionRefused(action_id="a2", action=AnswerCall(), principal=ANNA, reason="role guest may not"),
    ActionFailed(
        action_id="a3", action=SwitchLight(endpoint="stairs", on=True), principal=ANNA, reason="relay"
    ),
    ActionAccepted(action_id="a4", action=SetNotify(mode="mute", endpoints=("bell",)), principal=ANNA),
    AccessDenied(worker="web", peer="192.0.2.9", account="root", reason="wrong", count=3),
    AccountChanged(account="anna", change="key_added", by="local:root"),
    HardwareFailed(endpoint="door", reason="gone"),
    HardwareRecovered(endpoint="door"),
    JournalFailed(reason="SQLITE_FULL: disk is full"),
    JournalRecovered(lost_first=3, lost_last=9),
    WorkerChanged(worker="zello", state="retrying", reason="refused"),
    WorkerFailed(worker="zello", reason="KeyError", parked=False),
    AgentStarted(version="0.1.0", boot_id="b", boot_number=7),
    AgentStopping(reason="SIGTERM"),
    DeviceChanged(source="home", device="Shed", unique_id="00:15-01", fact="smoke", value=True),
    CloudReported(source="legrand", product="NSD", kind="smoke", device="Kitchen", sub_type=1),
    AlarmChanged(state="arming", mode="away", seconds=60, by="ana"),
    KeyUsed(reader="front", endpoint="strike", method="tag", key_id="k1", holder="Ana"),
    KeyRefused(reader="front", method="code", reason="not known"),
    DuressSignalled(reader="front", endpoint="strike", key_id="k1", holder="Ana"),
    KeysChanged(source="vms", added=2, removed=1, file="keys.xlsx"),
)
# Beside the others: tests of queries count those.
VOICE_EVENTS: tuple[AnyEvent, ...] = (
    TalkStarted(by="anna", action_id="a1"),
    TalkEnded(by="anna", duration_s=2.5, reason="time limit"),
    MicrophoneChanged(on=True, reason="visitor", call_id="c1"),
    MessageRecorded(call_id="c1", endpoint="bell", file="c1.ogg", duration_s=4.5),
)


class Running(Struct):
    """A journal that follows `log`; `reported` is what it told the door."""

    opened: OpenedJournal
    journal: Journal
    log: EventLog
    reported: list[AnyEvent]


@asynccontextmanager
async def running(
    path: Path,
    config: JournalConfig | None = None,
    *,
    boot_id: str = "boot",
    size: int = RING_SIZE,
    before: Sequence[AnyEvent] = (),
) -> AsyncIterator[Running]:
    """Open, run and at the end close a journal, as the agent does.

    before: events that are published before the journal starts to read.
    """
    opened = Journal.open(path, config or JournalConfig())
    log = EventLog(boot_id=boot_id, next_seq=opened.last_seq + 1, size=size)
    run = Running(opened=opened, journal=opened.journal, log=log, reported=[])

    def report(event: AnyEvent) -> None:
        run.reported.append(event)
        log.publish(event)

    async def follow() -> None:
        await opened.journal.run(log, after=opened.last_seq, report=report)

    for event in before:
        log.publish(event)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        try:
            yield run
        finally:
            nursery.cancel_scope.cancel()
    with trio.move_on_after(5) as closing:
        closing.shield = True
        await opened.journal.close()


def reopened(path: Path) -> OpenedJournal:
    """What opening a journal gives; it is closed at once, as Python 3.13 insists, and does not run."""
    opened = Journal.open(path, JournalConfig())
    database = opened.journal._database
    if database is not None:
        database.close()
    return opened


def pressed(count: int, endpoint: str = "bell") -> list[AnyEvent]:
    """`count` presses of a button."""
    return [ButtonPressed(endpoint=endpoint, by=str(number)) for number in range(count)]


def entries(
    events: Sequence[AnyEvent], *, boot_id: str = "boot", first: int = 1, at_ns: int = 0
) -> list[Entry]:
    """Events as entries with consecutive numbers, a second apart from `at_ns`."""
    return [
        Entry(boot_id=boot_id, seq=first + index, at_ns=at_ns + index * 1_000_000_000, event=event)
        for index, event in enumerate(events)
    ]
