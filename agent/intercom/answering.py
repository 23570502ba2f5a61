"""The answering machine: a visitor whom nobody answered may leave a message, after being told so."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path
from typing import BinaryIO

import trio

from agent.bus import EventLog
from agent.intercom.card import PERIOD_S, RATE_HZ
from agent.intercom.config import RecordingConfig
from agent.intercom.microphone import Ear, Heard, Microphone
from agent.intercom.recordings import SHORTEST_S, SUFFIX, Recordings
from agent.intercom.speaker import Speaker
from agent.model.errors import MalformedMessage
from agent.model.events import HardwareFailed, HardwareRecovered, MessageRecorded
from agent.voice import chime
from agent.voice.codec import Codec, CodecSettings, parse_packet
from agent.voice.ogg import OggOpusWriter
from agent.voice.wav import read_wav

SILENCE_ENDS_S = 5.0
STORE_EVERY_S = 1.0
CLOSE_S = 2.0
PRUNE_EVERY_S = 3600.0
ENDPOINT = "recordings"
logger = logging.getLogger(__name__)


class AnsweringMachine:
    """Announces, records until it is silent or long enough, and stores."""

    def __init__(
        self,
        config: RecordingConfig,
        recordings: Recordings,
        *,
        log: EventLog,
        microphone: Microphone,
        speaker: Speaker,
        settings: CodecSettings,
        echo_guard_s: float,
    ) -> None:
        self.problem = ""
        self._config = config
        self._recordings = recordings
        self._log = log
        self._microphone = microphone
        self._speaker = speaker
        self._settings = settings
        self._echo_guard_s = echo_guard_s
        self._announcement: bytes | None = None

    async def run(self) -> None:
        """Keep the folder within its bounds until cancelled."""
        try:
            for saved in await trio.to_thread.run_sync(self._recordings.prepare):
                # Nobody could tell of it when the power went.
                call_id = saved.file.removesuffix(SUFFIX)
                self._log.publish(
                    MessageRecorded(
                        call_id=call_id, endpoint="", file=saved.file, duration_s=saved.duration_s
                    )
                )
            if self._config.announcement:
                path = Path(self._config.announcement)
                self._announcement = await trio.to_thread.run_sync(read_wav, path, RATE_HZ)
        except (OSError, MalformedMessage) as error:
            self._failed(error)
        while True:
            await trio.sleep(PRUNE_EVERY_S)
            try:
                await trio.to_thread.run_sync(self._recordings.prune)
            except OSError as error:
                self._failed(error)

    async def take_message(self, call_id: str, endpoint: str) -> None:
        """Announce and record; nothing is recorded without the announcement.

        Cancellation: what was said until then is kept, unless it is too short.
        """
        if not self._microphone.present:
            return
        if not await self._speaker.say(self._announcement or chime.announcement()):
            # Nobody is recorded without being told.
            logger.warning("no message recorded call=%s reason=the announcement could not be played", call_id)
            return
        await trio.sleep(self._echo_guard_s)
        try:
            file = await trio.to_thread.run_sync(self._recordings.begin, call_id)
        except OSError as error:
            self._failed(error)
            return
        message = _Message(file, self._settings)
        try:
            await self._record(message, call_id)
        except OSError as error:
            self._failed(error)
            message.broken = True
        finally:
            # One call of a thread: it is not left half done when the time is over.
            with trio.move_on_after(CLOSE_S) as closing:
                closing.shield = True
                await self._close(message, call_id, endpoint)

    async def _record(self, message: _Message, call_id: str) -> None:
        ear = Ear(round(STORE_EVERY_S * 2 / PERIOD_S))  # a slow disk may take its time
        with (
            self._microphone.used_by(ear, "recording", call_id),
            trio.move_on_after(self._config.max_s),
        ):
            silent_s = 0.0
            while silent_s < SILENCE_ENDS_S and message.seconds < self._config.max_s:
                heard = await ear.period()
                if heard is None:
                    return
                message.add(heard)
                silent_s = 0.0 if heard.level.voice else silent_s + PERIOD_S
                if message.waiting_s >= STORE_EVERY_S:
                    await trio.to_thread.run_sync(message.store)

    async def _close(self, message: _Message, call_id: str, endpoint: str) -> None:
        """Whatever happened, the file is closed: kept, or gone."""
        try:
            name = await trio.to_thread.run_sync(self._store, message, call_id)
        except OSError as error:
            self._failed(error)
            return
        if name:
            self._works()
            seconds = round(message.seconds, 1)
            self._log.publish(
                MessageRecorded(call_id=call_id, endpoint=endpoint, file=name, duration_s=seconds)
            )

    def _store(self, message: _Message, call_id: str) -> str:
        """The name of the stored message, empty when it is not worth it. For a thread. Raises: OSError."""
        try:
            if not message.broken and message.voice and message.seconds >= SHORTEST_S:
                message.finish()
                return self._recordings.keep(call_id, message.file)
        except OSError:
            self._recordings.discard(call_id, message.file)
            raise
        self._recordings.discard(call_id, message.file)
        return ""

    def _failed(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        logger.error("no messages can be recorded reason=%s", reason)
        if not self.problem:
            self._log.publish(HardwareFailed(endpoint=ENDPOINT, reason=reason))
        self.problem = reason

    def _works(self) -> None:
        if self.problem:
            self.problem = ""
            self._log.publish(HardwareRecovered(endpoint=ENDPOINT))


class _Message:
    """A message on its way to an open file: encoded in memory, stored a second at a time by a thread."""

    def __init__(self, file: BinaryIO, settings: CodecSettings) -> None:
        self.file = file
        self.broken = False
        self.voice = False
        self.seconds = 0.0
        self.waiting_s = 0.0
        self._codec = Codec(RATE_HZ, settings=settings)
        self._pages = io.BytesIO()
        self._ogg = OggOpusWriter(self._pages, sample_rate_hz=RATE_HZ)

    def add(self, heard: Heard) -> None:
        _, payload = parse_packet(self._codec.encode_packet(0, 0, heard.pcm))
        self._ogg.write(payload)
        self.seconds += PERIOD_S
        self.waiting_s += PERIOD_S
        self.voice = self.voice or heard.level.voice

    def store(self) -> None:
        """What is encoded is on disk afterwards. Raises: OSError."""
        self.waiting_s = 0.0
        left = memoryview(self._pages.getvalue())
        while left:
            left = left[self.file.write(left) :]
        self._pages.seek(0)
        self._pages.truncate()
        os.fdatasync(self.file.fileno())

    def finish(self) -> None:
        """The last page too. Raises: OSError."""
        self._ogg.close()
        self.store()
