"""The intercom of a door: with the sound cards of this machine, or with a simulated one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.bus import EventLog
from agent.intercom.config import VoiceConfig
from agent.intercom.intercom import Intercom
from hw.audio import SIMULATED, WAV_PREFIX, open_sink, open_source
from hw.audio_fake import SimulatedCard
from hw.ports import AudioSink, AudioSource


class Sound:
    """intercom: what the door has. card: the ears and mouth of whoever stands at a simulated door, else None.

    recordings: the folder of messages. simulated: every device that is no file is the simulated card.
    """

    def __init__(self, config: VoiceConfig, *, log: EventLog, recordings: Path, simulated: bool) -> None:
        self.card = SimulatedCard() if simulated else None
        if simulated:
            config = msgspec.structs.replace(
                config, microphone=_simulated(config.microphone), speaker=_simulated(config.speaker)
            )
        self.intercom = Intercom(
            config,
            log=log,
            recordings=recordings,
            open_source=self._open_source,
            open_sink=self._open_sink,
        )

    async def _open_source(self, device: str) -> AudioSource:
        return await open_source(device, card=self.card)

    async def _open_sink(self, device: str) -> AudioSink:
        return await open_sink(device, card=self.card)


def _simulated(device: str) -> str:
    return device if not device or device.startswith(WAV_PREFIX) else SIMULATED
