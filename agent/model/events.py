"""What happened at the door, in the past tense.

An event is a fact: it is published before it is stored and never changes. The tag of each class is
its name in the journal; a changed meaning gets a new tag with a higher version, never a reused one.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agent.model.actions import Action, AlarmMode
from agent.model.principals import Principal

CallState = Literal["ringing", "answered", "ended", "missed"]
LockState = Literal["locked", "unlocked"]
DoorState = Literal["open", "closed", "left_open", "forced"]
ContactRole = Literal["tamper", "motion", "smoke", "co", "generic"]
NotifyMode = Literal["default", "mute", "force"]
DeviceFact = Literal[
    "button", "open", "motion", "smoke", "co", "alarm", "vibration", "water", "tamper", "keypad"
]  # fmt: skip
KeyMethod = Literal["tag", "code", "tag+code"]
AlarmState = Literal["disarmed", "arming", "armed", "entry_delay", "in_alarm"]


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all events; holds nothing but the tag."""


class ButtonPressed(Event, frozen=True, kw_only=True, tag="button_pressed/1"):
    """A bell button went down; one per press. `by` is set when no finger did it (`portero ring`)."""

    endpoint: str
    by: str = ""


class ButtonHeld(Event, frozen=True, kw_only=True, tag="button_held/1"):
    """A button has been down for its configured long-press time and still is."""

    endpoint: str
    held_ms: int


class ButtonReleased(Event, frozen=True, kw_only=True, tag="button_released/1"):
    """A button came up again after `held_ms`."""

    endpoint: str
    held_ms: int


class CallChanged(Event, frozen=True, kw_only=True, tag="call_changed/1"):
    """A call at the door moved on; `call_id` is the same from ringing to its end."""

    call_id: str
    endpoint: str
    state: CallState
    by: str = ""
    reason: str = ""


class TalkStarted(Event, frozen=True, kw_only=True, tag="talk_started/1"):
    """Somebody begins to speak through the door's loudspeaker."""

    by: str
    via: str = ""
    action_id: str = ""


class TalkEnded(Event, frozen=True, kw_only=True, tag="talk_ended/1"):
    """Nobody speaks through the loudspeaker any more. `duration_s` of sound was played, 0 when none came."""

    by: str
    duration_s: float
    reason: str = ""


class MicrophoneChanged(Event, frozen=True, kw_only=True, tag="microphone_changed/1"):
    """The door's microphone is heard by others, or recorded, from now on (or no longer)."""

    on: bool
    reason: Literal["ring", "visitor", "recording", "test"]
    call_id: str = ""


class MessageRecorded(Event, frozen=True, kw_only=True, tag="message_recorded/1"):
    """A visitor whom nobody answered left a message; `file` is its name in the folder of recordings."""

    call_id: str
    endpoint: str
    file: str
    duration_s: float


class LockChanged(Event, frozen=True, kw_only=True, tag="lock_changed/1"):
    """The lock is now in `state`; `hold_s` tells for how long it will stay unlocked."""

    endpoint: str
    state: LockState
    by: str = ""
    action_id: str = ""
    hold_s: float | None = None
    reason: str = ""


class DoorChanged(Event, frozen=True, kw_only=True, tag="door_changed/1"):
    """The door leaf, seen by the contact of a lock."""

    endpoint: str
    state: DoorState


class SirenChanged(Event, frozen=True, kw_only=True, tag="siren_changed/1"):
    """The siren sounds or is silent."""

    endpoint: str
    on: bool
    by: str = ""
    action_id: str = ""
    duration_s: float | None = None
    reason: str = ""


class LightChanged(Event, frozen=True, kw_only=True, tag="light_changed/1"):
    """The staircase light is on or off."""

    endpoint: str
    on: bool
    by: str = ""
    action_id: str = ""
    duration_s: float | None = None
    reason: str = ""


class ContactChanged(Event, frozen=True, kw_only=True, tag="contact_changed/1"):
    """A contact became active (the alarm sense of its role) or calm."""

    endpoint: str
    role: ContactRole
    active: bool


class NotifyChanged(Event, frozen=True, kw_only=True, tag="notify_changed/1"):
    """From now on an endpoint's notifications are muted, forced or as each client asked."""

    endpoint: str
    mode: NotifyMode
    by: str = ""


class CameraAlarm(Event, frozen=True, kw_only=True, tag="camera_alarm/1"):
    """An upstream ZoneMinder reported an alarm (or its end) of one of its monitors."""

    source: str
    monitor_id: str
    monitor: str
    cause: str
    event_id: str
    ended: bool = False


class DeviceChanged(Event, frozen=True, kw_only=True, tag="device_changed/1"):
    """A device of a foreign system, which is no endpoint of this house, reported something.

    source: the system, by its name in the configuration. device: its name there; unique_id: its lasting one.
    value: true or false of what detectors see; the code of a `button` (1002: the first, pressed shortly);
    the word of a `keypad` (`panic`, `fire`, `emergency`, `invalid_code`, `disarmed`, ...).
    """

    source: str
    device: str
    unique_id: str
    fact: DeviceFact
    value: bool | int | str


class CloudReported(Event, frozen=True, kw_only=True, tag="cloud_reported/1"):
    """A manufacturer's cloud told what one of the household's own devices saw or did.

    source: the system, by its name in the configuration. product: the manufacturer's code of the device that
    reported (`NACamera`, `NSD`, `BNCX`); device, unique_id: which one, and module: what hangs on it.
    kind: the manufacturer's word (`smoke`, `incoming_call`, `person`, ...); sub_type: its number, or word,
    and meaning what that says in English; both empty where there is none.
    event_id, session_id: the manufacturer's own, to find it again. at_s: Unix time, 0 when it did not say.
    """

    source: str
    product: str
    kind: str
    device: str = ""
    unique_id: str = ""
    module: str = ""
    sub_type: int | str = ""
    meaning: str = ""
    event_id: str = ""
    session_id: str = ""
    persons: tuple[str, ...] = ()
    message: str = ""
    at_s: int = 0


class AlarmChanged(Event, frozen=True, kw_only=True, tag="alarm_changed/1"):
    """The alarm system moved on. seconds: how long a delay takes. endpoint: what set it off."""

    state: AlarmState
    mode: AlarmMode
    seconds: int = 0
    endpoint: str = ""
    by: str = ""
    action_id: str = ""


class ActionAccepted(Event, frozen=True, kw_only=True, tag="action_accepted/1"):
    """An action was authorised; it is stored before it acts."""

    action_id: str
    action: Action
    principal: Principal


class ActionRefused(Event, frozen=True, kw_only=True, tag="action_refused/1"):
    """An action was not authorised, or could not be taken on; nothing moved."""

    action_id: str
    action: Action
    principal: Principal
    reason: str


class ActionFailed(Event, frozen=True, kw_only=True, tag="action_failed/1"):
    """An accepted action did not (fully) happen: the hardware failed, or it was abandoned before it acted."""

    action_id: str
    action: Action
    principal: Principal
    reason: str


class AccessDenied(Event, frozen=True, kw_only=True, tag="access_denied/1"):
    """Somebody failed to prove who they are. `count` attempts are summed up in one event."""

    worker: str
    peer: str
    account: str
    reason: str
    count: int = 1


class AccountChanged(Event, frozen=True, kw_only=True, tag="account_changed/1"):
    """An account or one of its credentials changed; sessions of it that no longer hold have to end."""

    account: str
    change: Literal["added", "removed", "password", "pin", "enabled", "disabled", "key_added", "key_revoked"]
    by: str = ""


class KeyUsed(Event, frozen=True, kw_only=True, tag="key_used/1"):
    """A tag or code was shown at a reader and admitted; the unlocking of `endpoint` follows as an action.

    key_id, holder: which key of the door's own store, and who has it. last: it was a one-time key.
    """

    reader: str
    endpoint: str
    method: KeyMethod
    key_id: str
    holder: str = ""
    last: bool = False


class KeyRefused(Event, frozen=True, kw_only=True, tag="key_refused/1"):
    """A tag or code was shown at a reader and did not open. `count` attempts are summed up in one event.

    key_id, holder: empty for one that the door does not know; what was shown is never told.
    """

    reader: str
    method: KeyMethod
    reason: str
    key_id: str = ""
    holder: str = ""
    count: int = 1


class DuressSignalled(Event, frozen=True, kw_only=True, tag="duress_signalled/1"):
    """Somebody opened with the code that means "I am forced to": the door opens and shows nothing of this."""

    reader: str
    endpoint: str
    key_id: str
    holder: str = ""


class KeysChanged(Event, frozen=True, kw_only=True, tag="keys_changed/1"):
    """The tags and codes of the door changed, all at once. source: `local`, `file`, or the name of a VMS."""

    source: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    file: str = ""
    by: str = ""


class HardwareFailed(Event, frozen=True, kw_only=True, tag="hardware_failed/1"):
    """A device does not work; the rest of the door goes on."""

    endpoint: str
    reason: str


class HardwareRecovered(Event, frozen=True, kw_only=True, tag="hardware_recovered/1"):
    """A device that had failed works again."""

    endpoint: str


class JournalFailed(Event, frozen=True, kw_only=True, tag="journal_failed/1"):
    """The journal cannot store now, or had to move a broken file aside."""

    reason: str
    moved_to: str = ""


class JournalRecovered(Event, frozen=True, kw_only=True, tag="journal_recovered/1"):
    """The journal stores again; entries first..last (inclusive) were lost, 0 for none."""

    lost_first: int = 0
    lost_last: int = 0


class WorkerChanged(Event, frozen=True, kw_only=True, tag="worker_changed/1"):
    """A protocol worker is up, retrying after an expected error, or parked."""

    worker: str
    state: Literal["running", "retrying", "parked", "stopped"]
    reason: str = ""


class WorkerFailed(Event, frozen=True, kw_only=True, tag="worker_failed/1"):
    """A protocol worker hit a bug of ours; the bell rings on."""

    worker: str
    reason: str
    parked: bool


class AgentStarted(Event, frozen=True, kw_only=True, tag="agent_started/1"):
    """The first event of a boot."""

    version: str
    boot_id: str
    boot_number: int
    simulated: bool = False


class AgentStopping(Event, frozen=True, kw_only=True, tag="agent_stopping/1"):
    """The last event of an orderly stop."""

    reason: str


AnyEvent = (
    ButtonPressed
    | ButtonHeld
    | ButtonReleased
    | CallChanged
    | TalkStarted
    | TalkEnded
    | MicrophoneChanged
    | MessageRecorded
    | LockChanged
    | DoorChanged
    | SirenChanged
    | LightChanged
    | ContactChanged
    | NotifyChanged
    | CameraAlarm
    | DeviceChanged
    | CloudReported
    | AlarmChanged
    | ActionAccepted
    | ActionRefused
    | ActionFailed
    | AccessDenied
    | AccountChanged
    | KeyUsed
    | KeyRefused
    | DuressSignalled
    | KeysChanged
    | HardwareFailed
    | HardwareRecovered
    | JournalFailed
    | JournalRecovered
    | WorkerChanged
    | WorkerFailed
    | AgentStarted
    | AgentStopping
)
