"""The Daylight sensor: where the sun is at the door, and when that changes."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from agent.workers.deconz.translate import Shown, second
from agent.workers.deconz.wire import Json

if TYPE_CHECKING:
    from astral import Observer

# Degrees above the horizon, and the status that begins there on the way up and on the way down.
# Source: deconz-rest-plugin, daylight.cpp.
SUNRISE_DEG = -0.833
DUSK_DEG = -6.0
_PHASES = (
    (-18.0, 110, 230),
    (-12.0, 120, 220),
    (DUSK_DEG, 130, 210),
    (SUNRISE_DEG, 140, 200),
    (-0.3, 150, 190),
    (6.0, 160, 180),
)
_NADIR, _NOON = 100, 170
_NS_PER_S = 1_000_000_000
LOOK_AGAIN_S = 900.0  # whatever happens: a clock may be set
LATE_S = 30.0  # by so much do times and heights differ that are computed apart
CONFIG: Json = {"configured": True, "on": True, "sunriseoffset": 0, "sunsetoffset": 0}


class Daylight:
    """Of one place. Importing astral costs 20 ms: made only for a door that knows where it is."""

    def __init__(self, latitude: float, longitude: float) -> None:
        from astral import Observer

        self._observer = Observer(latitude=latitude, longitude=longitude)

    def shown(self, at_ns: int) -> Shown:
        """What clients are shown at a time."""
        at = _time(at_ns)
        passed = [status for when, status in self._changes(at) if when <= at]
        height = _elevation(self._observer, at)
        sunrise, sunset = self._sun(at)
        return Shown(
            config=dict(CONFIG),
            state={
                "dark": height < DUSK_DEG,
                "daylight": height >= SUNRISE_DEG,
                "status": passed[-1] if passed else _NADIR,
                "sunrise": sunrise,
                "sunset": sunset,
            },
        )

    def next_s(self, at_ns: int) -> float:
        """Seconds from a time until something changes, or until it is worth another look."""
        at = _time(at_ns)
        coming = [(when - at).total_seconds() for when, _ in self._changes(at) if when > at]
        return min([LOOK_AGAIN_S, *(left_s + LATE_S for left_s in coming)])

    def _changes(self, at: datetime.datetime) -> list[tuple[datetime.datetime, int]]:
        """When which status begins, from yesterday to tomorrow; near the poles some do not."""
        from astral import SunDirection
        from astral.sun import midnight, noon, time_at_elevation

        found = []
        for day in (at.date() + datetime.timedelta(days=offset) for offset in (-1, 0, 1)):
            found.append((noon(self._observer, day), _NOON))
            found.append((midnight(self._observer, day), _NADIR))
            for degrees, rising, setting in _PHASES:
                for direction, status in ((SunDirection.RISING, rising), (SunDirection.SETTING, setting)):
                    try:
                        when = time_at_elevation(
                            self._observer, degrees, day, direction, with_refraction=False
                        )
                    except ValueError:
                        continue  # the sun does not get there on this day
                    found.append((when, status))
        return sorted(found)

    def _sun(self, at: datetime.datetime) -> tuple[str | None, str | None]:
        """This day's sunrise and sunset; None where there is none."""
        from astral import SunDirection
        from astral.sun import time_at_elevation

        times: list[str | None] = []
        for direction in (SunDirection.RISING, SunDirection.SETTING):
            try:
                when = time_at_elevation(
                    self._observer, SUNRISE_DEG, at.date(), direction, with_refraction=False
                )
            except ValueError:
                times.append(None)
            else:
                times.append(second(round(when.timestamp()) * _NS_PER_S))
        return times[0], times[1]


def _time(at_ns: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_ns / _NS_PER_S, tz=datetime.UTC)


def _elevation(observer: Observer, at: datetime.datetime) -> float:
    from astral.sun import elevation

    return elevation(observer, at, with_refraction=False)
