"""The tables `[voice]` and `[voice.recording]`; without the first no code of it is loaded."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Policy = Literal["resident_first", "visitor_first", "duplex"]
Device = Annotated[str, Meta(max_length=200)]
GainDb = Annotated[float, Meta(ge=-40, le=40)]


class RecordingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A visitor whom nobody answered may leave a message; without this table nothing is ever recorded.

    max_s: of one message. keep, keep_mb, keep_days: what is beyond any of them is deleted, oldest first.
    announcement: a WAV file that is played before; absent: three notes.
    """

    max_s: Annotated[float, Meta(ge=3, le=300)] = 30.0
    keep: Annotated[int, Meta(ge=1, le=1000)] = 50
    keep_mb: Annotated[float, Meta(ge=1, le=10_000)] = 20.0
    keep_days: Annotated[float, Meta(ge=0.01, le=3650)] = 30.0
    announcement: Annotated[str, Meta(max_length=4096)] = ""


class VoiceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sound card and how it is used.

    microphone, speaker: an ALSA name such as "plughw:CARD=Device,DEV=0", "wav:PATH", or "" for none.
    policy: `resident_first`: who speaks to the door is heard at once and the visitor is not sent meanwhile;
        `visitor_first`: the visitor is heard out before; `duplex`: both at once, for a card without echo.
    ring_message_s: after a press the visitor is heard for so long before anybody answers; 0: not before.
    max_talk_s: the longest speech, in either direction, without a break.
    echo_guard_ms: the microphone stays deaf for so long after the loudspeaker.
    bitrate_bps, complexity: of the Opus encoder; complexity is processor time.
    """

    microphone: Device = "default"
    speaker: Device = "default"
    policy: Policy = "resident_first"
    ring_message_s: Annotated[float, Meta(ge=0, le=120)] = 10.0
    max_talk_s: Annotated[float, Meta(ge=1, le=600)] = 60.0
    echo_guard_ms: Annotated[int, Meta(ge=0, le=5000)] = 300
    microphone_gain_db: GainDb = 0.0
    speaker_gain_db: GainDb = 0.0
    chimes: bool = True
    bitrate_bps: Annotated[int, Meta(ge=6000, le=128_000)] = 24_000
    complexity: Annotated[int, Meta(ge=0, le=10)] = 5
    recording: RecordingConfig | None = None
