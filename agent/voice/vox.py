"""A voice-operated switch: is there somebody worth transmitting?"""

from __future__ import annotations

from agent.voice.codec import Level

ATTACK_S = 0.04
HANGOVER_S = 1.0
MIN_OPEN_S = 1.5
MIN_START_GAP_S = 1.5


class Vox:
    """Opens after `attack_s` of voice, closes `hangover_s` after the last of it.

    min_open_s: once open it stays so for this long: a transmission of less than three packets is answered
        "empty message".
    min_start_gap_s: at least so long from one opening to the next; many short starts count as abuse.
    voice_dbfs: what is softer is no voice, whatever the detector thinks of it.

    Time is what was fed, there is no clock. The first periods of a word pass while it makes up its mind:
    whoever transmits keeps `attack_s` of sound and sends it first.

    Source: Zello Channel API, errors `empty message` and `woodpecker prohibited`.
    """

    def __init__(
        self,
        *,
        attack_s: float = ATTACK_S,
        hangover_s: float = HANGOVER_S,
        min_open_s: float = MIN_OPEN_S,
        min_start_gap_s: float = MIN_START_GAP_S,
        voice_dbfs: float = -60.0,
    ) -> None:
        if not (attack_s >= 0 and hangover_s >= 0 and min_open_s >= 0 and min_start_gap_s >= 0):
            raise ValueError("expected durations of 0 s or more")
        self._attack_s = attack_s
        self._hangover_s = hangover_s
        self._min_open_s = min_open_s
        self._min_start_gap_s = min_start_gap_s
        self._voice_dbfs = voice_dbfs
        self._open = False
        self._voice_s = self._quiet_s = 0.0
        self._since_start_s = min_start_gap_s

    @property
    def is_open(self) -> bool:
        return self._open

    def feed(self, level: Level, period_s: float) -> bool:
        """Take the level of the next `period_s` seconds of sound; True while it is worth sending."""
        voice = level.voice and level.rms_dbfs >= self._voice_dbfs
        self._since_start_s += period_s
        self._voice_s = self._voice_s + period_s if voice else 0.0
        self._quiet_s = 0.0 if voice else self._quiet_s + period_s
        # Half a period of tolerance: sums of 0.02 are not exact.
        slack_s = period_s / 2
        if self._open:
            spoken_out = self._quiet_s >= self._hangover_s - slack_s
            self._open = not (spoken_out and self._since_start_s >= self._min_open_s - slack_s)
        elif (
            voice
            and self._voice_s >= self._attack_s - slack_s
            and self._since_start_s >= self._min_start_gap_s - slack_s
        ):
            self._open = True
            # The attack belongs to the transmission.
            self._since_start_s = self._voice_s = min(self._voice_s, max(self._attack_s, period_s))
        return self._open

    def reset(self) -> None:
        """Closed, as when it was made, and free to open at once."""
        self._open = False
        self._voice_s = self._quiet_s = 0.0
        self._since_start_s = self._min_start_gap_s
