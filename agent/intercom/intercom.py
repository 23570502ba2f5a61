"""The intercom put together: one sound card, who hears, who speaks, and what is kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from agent.bus import EventLog
from agent.intercom.answering import AnsweringMachine
from agent.intercom.card import PERIOD_S, Jack, OpenSink, OpenSource
from agent.intercom.conductor import Conductor
from agent.intercom.config import VoiceConfig
from agent.intercom.microphone import Ear, Microphone
from agent.intercom.recordings import Recordings
from agent.intercom.speaker import Speaker
from agent.intercom.talk import Talk
from agent.model.actions import Action
from agent.model.errors import EndpointError
from agent.model.principals import Principal
from agent.runtime import Playback, Transmission
from agent.voice import chime
from agent.voice.codec import CodecSettings, Level

TEST_S = 3.0
LEVELS_EVERY_S = 0.1
CHIMES = (chime.ring, chime.accepted, chime.refused, chime.announcement)
SILENCE_DBFS = -120.0


class Intercom:
    """`runtime.Voice`, and the `runtime.Performer` of StartTalk.

    open_source, open_sink: open a device of the configuration. recordings: the folder of messages; it is made
    when messages are recorded, and not touched otherwise.
    """

    enabled = True

    def __init__(
        self,
        config: VoiceConfig,
        *,
        log: EventLog,
        recordings: Path,
        open_source: OpenSource,
        open_sink: OpenSink,
    ) -> None:
        self._config = config
        self._microphone = Microphone(
            Jack("microphone", config.microphone, log=log),
            log=log,
            open_source=open_source,
            gain_db=config.microphone_gain_db,
        )
        self._speaker = Speaker(
            Jack("speaker", config.speaker, log=log), open_sink=open_sink, gain_db=config.speaker_gain_db
        )
        self.recordings: Recordings | None = None
        self._machine: AnsweringMachine | None = None
        if config.recording is not None:
            self.recordings = Recordings(recordings, config.recording)
            self._machine = AnsweringMachine(
                config.recording,
                self.recordings,
                log=log,
                microphone=self._microphone,
                speaker=self._speaker,
                settings=CodecSettings(bitrate_bps=config.bitrate_bps, complexity=config.complexity),
                echo_guard_s=config.echo_guard_ms / 1000,
            )
        self._conductor = Conductor(
            config,
            log=log,
            microphone=self._microphone,
            speaker=self._speaker,
            take_message=self._machine.take_message if self._machine is not None else None,
        )
        self._talk = Talk(
            config,
            log=log,
            speaker=self._speaker,
            microphone=self._microphone,
            begun=self._conductor.interrupt,
            held=self._visitor_is_heard_out,
        )

    # ----- runtime.Voice -----

    @property
    def interruptible(self) -> bool:
        """See runtime.Voice."""
        return not self._visitor_is_heard_out()

    async def transmission(self, after: int) -> Transmission:
        """See runtime.Voice."""
        return await self._conductor.transmission(after)

    def incoming(self, *, by: str, via: str) -> AbstractAsyncContextManager[Playback]:
        """See runtime.Voice. by: the name of the principal whose StartTalk was done; one speech for each."""
        return self._talk.incoming(by=by, via=via)

    # ----- runtime.Performer -----

    def refuse(self, action: Action) -> str | None:
        """See talk.Talk."""
        return self._talk.refuse(action)

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """Talking moves no metal."""
        return True

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Raises: EndpointError."""
        self._talk.perform(action, by=by, action_id=action_id)

    # ----- life -----

    async def run(self, *, after: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. after: the events to follow from. A card that does not work is tried again."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._microphone.jack.keep, self._microphone)
            nursery.start_soon(self._speaker.jack.keep, self._speaker)
            await nursery.start(self._talk.run)
            if self._machine is not None:
                nursery.start_soon(self._machine.run)
            await nursery.start(partial(self._conductor.run, after=after))
            task_status.started()
            if not all(sound.cache_info().currsize for sound in CHIMES):
                # Computed once in a process, by a thread: on a small board it takes too long for the loop.
                await trio.to_thread.run_sync(_make_chimes)

    # ----- for people at the machine -----

    def status(self) -> dict[str, Any]:
        """For `portero status`: plain values."""
        transmission = self._conductor.current
        metrics = self._talk.metrics
        return {
            "policy": self._config.policy,
            "microphone": _row(self._microphone),
            "speaker": _row(self._speaker),
            "transmission": None
            if transmission is None
            else {
                "number": transmission.number,
                "reason": transmission.reason,
                "call_id": transmission.call_id,
            },
            "talk": self._talk.speaking,
            "playout": None if metrics is None else msgspec.to_builtins(metrics),
            "recording": self._machine is not None,
        }

    def problems(self) -> list[str]:
        """What does not work, in words."""
        found = [
            f"{jack.direction}: {jack.problem}"
            for jack in (self._microphone.jack, self._speaker.jack)
            if jack.problem
        ]
        if self._machine is not None and self._machine.problem:
            found.append(f"recordings: {self._machine.problem}")
        return found

    async def test(self, by: str) -> dict[str, Any]:
        """Play three notes, record three seconds, play them: the loudest that was heard.

        Raises: EndpointError when it rings, somebody speaks, or a half of the card is missing or broken.
        Cancellation: nothing goes on.
        """
        for half in (self._microphone, self._speaker):
            if not half.present:
                raise EndpointError("audio", f"this door has no {half.jack.direction}")
            if half.jack.problem:
                raise EndpointError("audio", f"the {half.jack.direction} does not work: {half.jack.problem}")
        if self._conductor.in_call:
            raise EndpointError("audio", "there is a call at the door; `portero hangup` ends it")
        with self._talk.reserved(by):
            await self._speaker.say(chime.announcement())
            await trio.sleep(self._config.echo_guard_ms / 1000)
            periods: list[bytes] = []
            rms_dbfs = peak_dbfs = SILENCE_DBFS
            ear = Ear()
            with self._microphone.used_by(ear, "test"):
                while len(periods) * PERIOD_S < TEST_S:
                    heard = await ear.period()
                    if heard is None:
                        raise EndpointError("audio", "nothing comes from the microphone")
                    periods.append(heard.pcm)
                    rms_dbfs = max(rms_dbfs, heard.level.rms_dbfs)
                    peak_dbfs = max(peak_dbfs, heard.level.peak_dbfs)
            await self._speaker.say(b"".join(periods))
        heard_at = {"rms_dbfs": round(rms_dbfs, 1), "peak_dbfs": round(peak_dbfs, 1)}
        return {"heard": heard_at, "seconds": TEST_S, **self.status()}

    async def levels(self) -> AsyncGenerator[dict[str, Any], None]:
        """How loud both are, ten times a second, for as long as somebody looks; the log knows of it."""
        ear = Ear()
        with self._microphone.used_by(ear, "test"):
            while True:
                yield {
                    "microphone": _level(self._microphone.level),
                    "speaker": _level(self._speaker.level),
                    "muted": self._microphone.muted,
                }
                await trio.sleep(LEVELS_EVERY_S)

    # ----- within -----

    def _visitor_is_heard_out(self) -> bool:
        return self._config.policy == "visitor_first" and self._conductor.current is not None


def _row(half: Microphone | Speaker) -> dict[str, Any]:
    jack = half.jack
    return {
        "device": jack.device,
        "state": jack.state,
        "problem": jack.problem,
        "xruns": half.xruns,
        "level": _level(half.level),
    }


def _level(level: Level | None) -> dict[str, float | bool] | None:
    if level is None:
        return None
    return {
        "rms_dbfs": round(level.rms_dbfs, 1),
        "peak_dbfs": round(level.peak_dbfs, 1),
        "voice": level.voice,
    }


def _make_chimes() -> None:
    for sound in CHIMES:
        sound()
