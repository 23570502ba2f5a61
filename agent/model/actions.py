"""What is asked of the door, in the imperative; an action carries no identity and no right."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

EndpointName = Annotated[str, Meta(min_length=1, max_length=64)]
Duration = Annotated[float, Meta(gt=0, le=86_400)]
AlarmMode = Literal["disarmed", "away", "stay", "night"]

CALL_TARGET = "call"
TALK_TARGET = "talk"
NOTIFY_TARGET = "notify"
ALARM_TARGET = "alarm"


class Unlock(Struct, frozen=True, kw_only=True, tag_field="do", tag="unlock"):
    """Open a lock for `hold_s` (the endpoint's own hold time when absent); again while open extends."""

    endpoint: EndpointName
    hold_s: Duration | None = None


class Lock(Struct, frozen=True, kw_only=True, tag_field="do", tag="lock"):
    """End a hold at once."""

    endpoint: EndpointName


class SoundSiren(Struct, frozen=True, kw_only=True, tag_field="do", tag="sound_siren"):
    """Sound a siren for `duration_s`, never longer than its maximum."""

    endpoint: EndpointName
    duration_s: Duration | None = None


class StopSiren(Struct, frozen=True, kw_only=True, tag_field="do", tag="stop_siren"):
    """Silence a siren."""

    endpoint: EndpointName


class SwitchLight(Struct, frozen=True, kw_only=True, tag_field="do", tag="switch_light"):
    """Switch a light; on lasts `duration_s` (the endpoint's own time when absent)."""

    endpoint: EndpointName
    on: bool
    duration_s: Duration | None = None


class Ring(Struct, frozen=True, kw_only=True, tag_field="do", tag="ring"):
    """Ring a bell button as if it was pressed."""

    endpoint: EndpointName


class AnswerCall(Struct, frozen=True, kw_only=True, tag_field="do", tag="answer_call"):
    """Take a ringing call; without `call_id` the oldest ringing one."""

    call_id: str = ""


class EndCall(Struct, frozen=True, kw_only=True, tag_field="do", tag="end_call"):
    """Hang up a ringing or answered call; without `call_id` the oldest one."""

    call_id: str = ""


class StartTalk(Struct, frozen=True, kw_only=True, tag_field="do", tag="start_talk"):
    """Speak through the door's loudspeaker; while it rings, this answers the call."""


class SetNotify(Struct, frozen=True, kw_only=True, tag_field="do", tag="set_notify"):
    """Mute, force or reset the notifications of endpoints; an empty tuple means all."""

    mode: Literal["default", "mute", "force"]
    endpoints: tuple[EndpointName, ...] = ()


class SetAlarm(Struct, frozen=True, kw_only=True, tag_field="do", tag="set_alarm"):
    """Arm the alarm system in a mode, or disarm it, which also ends an alarm."""

    mode: AlarmMode


Action = (
    Unlock
    | Lock
    | SoundSiren
    | StopSiren
    | SwitchLight
    | Ring
    | AnswerCall
    | EndCall
    | StartTalk
    | SetNotify
    | SetAlarm
)


def target(action: Action) -> str:
    """The name of what an action is for: an endpoint, or one of the agent's own targets."""
    match action:
        case AnswerCall() | EndCall():
            return CALL_TARGET
        case StartTalk():
            return TALK_TARGET
        case SetNotify():
            return NOTIFY_TARGET
        case SetAlarm():
            return ALARM_TARGET
        case _:
            return action.endpoint
