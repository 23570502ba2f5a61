"""Sound cards by name: "plughw:CARD=Device,DEV=0" and whatever else ALSA knows, "wav:PATH", or "sim".

Importing this costs next to nothing; what belongs to one kind of card is imported when such a card is opened.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hw.errors import HardwareError
from hw.ports import AudioSink, AudioSource

if TYPE_CHECKING:
    from hw.audio_fake import SimulatedCard

WAV_PREFIX = "wav:"
SIMULATED = "sim"

RATES_HZ = range(8000, 192001)
PERIODS_MS = range(5, 101)
PERIODS = range(2, 17)

SERVERS = {
    "default": "what this system uses when nothing is said",
    "pipewire": "PipeWire sound server",
    "pulse": "PulseAudio sound server",
}
CARD_PREFIXES = {"hw:": "as it is", "plughw:": "with conversions"}


class AudioDevice(msgspec.Struct, frozen=True):
    """A device that can be named in the configuration. capture: has a microphone; playback: has a speaker."""

    name: str
    description: str
    capture: bool
    playback: bool


async def open_source(
    device: str,
    *,
    sample_rate_hz: int = 16000,
    period_ms: int = 20,
    periods: int = 3,
    card: SimulatedCard | None = None,
) -> AudioSource:
    """A microphone, running from its first read on.

    periods: how many the ring holds; a reader that is later than this loses sound. card: the card behind
    "sim"; without one it is silent. The source's `format` tells what was negotiated.

    Raises: HardwareError within five seconds. Cancellation: a card that opens late is closed.
    """
    _check(device, sample_rate_hz, period_ms, periods)
    if device == SIMULATED:
        from hw.audio_fake import SimulatedCard

        return (card or SimulatedCard()).open_source(period_ms=period_ms, periods=periods)
    if device.startswith(WAV_PREFIX):
        from hw.audio_wav import open_wav_source

        return await open_wav_source(Path(device.removeprefix(WAV_PREFIX)), period_ms, periods)
    from hw.audio_alsa import open_alsa_source

    return await open_alsa_source(device, sample_rate_hz, period_ms, periods)


async def open_sink(
    device: str,
    *,
    sample_rate_hz: int = 16000,
    period_ms: int = 20,
    periods: int = 3,
    card: SimulatedCard | None = None,
) -> AudioSink:
    """A speaker, running from its first write on.

    periods: how many the ring holds; so long after it was written a sound is heard, and so late a writer
    may be. card: the card behind "sim". The sink's `format` tells what was negotiated.

    Raises: HardwareError within five seconds. Cancellation: a card that opens late is closed.
    """
    _check(device, sample_rate_hz, period_ms, periods)
    if device == SIMULATED:
        from hw.audio_fake import SimulatedCard

        return (card or SimulatedCard()).open_sink(period_ms=period_ms, periods=periods)
    if device.startswith(WAV_PREFIX):
        from hw.audio_wav import open_wav_sink

        path = Path(device.removeprefix(WAV_PREFIX))
        return await open_wav_sink(path, sample_rate_hz, period_ms, periods)
    from hw.audio_alsa import open_alsa_sink

    return await open_alsa_sink(device, sample_rate_hz, period_ms, periods)


def list_devices() -> list[AudioDevice]:
    """What ALSA offers to a person, servers first. Empty without ALSA or pyalsaaudio; never raises.

    Surround variants, mixers and rate converters are left out: a door has no use for them.
    """
    try:
        import alsaaudio
    except ImportError:
        return []
    names: dict[bool, list[str]] = {False: [], True: []}
    titles: dict[str, str] = {}
    with contextlib.suppress(alsaaudio.ALSAAudioError):
        names[True] = alsaaudio.pcms(alsaaudio.PCM_CAPTURE)
        names[False] = alsaaudio.pcms(alsaaudio.PCM_PLAYBACK)
        cards = zip(alsaaudio.cards(), alsaaudio.card_indexes(), strict=False)
        titles = {card: alsaaudio.card_name(index)[0] for card, index in cards}
    found = []
    for name in dict.fromkeys([*names[True], *names[False]]):
        description = describe(name, titles)
        if description:
            found.append(AudioDevice(name, description, name in names[True], name in names[False]))
    return sorted(
        found, key=lambda device: (device.name not in SERVERS, device.name.startswith("hw:"), device.name)
    )


def describe(name: str, titles: dict[str, str]) -> str:
    """What an ALSA name means to a person, empty for nothing. titles: of cards, by ALSA's card id."""
    if name in SERVERS:
        return SERVERS[name]
    for prefix, how in CARD_PREFIXES.items():
        if name.startswith(prefix):
            options = dict(part.partition("=")[::2] for part in name.removeprefix(prefix).split(","))
            card = options.get("CARD", "")
            device = options.get("DEV", "0")
            which = f", device {device}" if device != "0" else ""
            return f"{titles.get(card, card) or name}{which}, {how}"
    return ""


def _check(device: str, sample_rate_hz: int, period_ms: int, periods: int) -> None:
    if sample_rate_hz not in RATES_HZ or period_ms not in PERIODS_MS or periods not in PERIODS:
        raise HardwareError(device, f"{sample_rate_hz} Hz, {periods} periods of {period_ms} ms: out of range")
