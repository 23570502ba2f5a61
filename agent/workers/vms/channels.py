"""Which channels are live, wait, or were refused, and when each is asked for again. Pure.

    wanted -> asked -> live            403: refused for ten minutes, or until our rights change
                    -> refused         401: the log-in has run out; anything else: again in half a minute

One is asked for at a time where servers refuse without saying which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

ANSWER_S = 5.0
FORBIDDEN_S = 600.0
AGAIN_S = 30.0

State = Literal["wanted", "asked", "live", "refused"]


class Channel(Struct):
    """One of them. until: of an asked one its deadline, of a refused one when to ask again."""

    name: str
    state: State = "wanted"
    until: float = math.inf
    reason: str = ""


class Channels:
    """Of one connection after the other. silence_is_yes: a transport that tells of failures alone."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.all: dict[str, Channel] = {}
        self.silence_is_yes = False
        self.rename(names)

    def rename(self, names: Iterable[str]) -> None:
        """These are the ones, from now on; none is live yet."""
        self.all = {name: Channel(name) for name in names}

    def reset(self, *, silence_is_yes: bool) -> None:
        """A new connection: nothing is live, and everything is asked for once more."""
        self.silence_is_yes = silence_is_yes
        self.rename(list(self.all))

    def retry_refused(self) -> None:
        """Our rights have changed."""
        for channel in self.all.values():
            if channel.state == "refused":
                channel.state, channel.until = "wanted", math.inf

    def next(self, now_s: float) -> str | None:
        """The channel to ask for now; None while one waits for its answer, or nothing is to be asked."""
        self._expire(now_s)
        if self._waits:
            return None
        for channel in self.all.values():
            if channel.state == "wanted":
                channel.state, channel.until = "asked", now_s + ANSWER_S
                return channel.name
        return None

    def due_at(self) -> float:
        """When something happens by itself."""
        if any(channel.state == "wanted" for channel in self.all.values()) and not self._waits:
            return -math.inf
        return min((channel.until for channel in self.all.values()), default=math.inf)

    def subscribed(self, name: str) -> bool:
        """It is live; False for one that we do not want."""
        channel = self.all.get(name)
        if channel is None:
            return False
        channel.state, channel.until, channel.reason = "live", math.inf, ""
        return True

    def rejected(self, name: str, status: int, now_s: float) -> bool:
        """It was refused; True when that means that our log-in has run out."""
        for channel in self.all.values():
            if channel.name == name or (not name and channel.state == "asked"):
                wait_s = FORBIDDEN_S if status == 403 else AGAIN_S
                channel.state, channel.until = "refused", now_s + wait_s
                channel.reason = f"HTTP {status}" if status else "nobody could be asked"
        return status == 401

    @property
    def _waits(self) -> bool:
        """Whether the next one has to wait. Refusals of the silent transport name their channel."""
        return not self.silence_is_yes and any(one.state == "asked" for one in self.all.values())

    @property
    def settled(self) -> bool:
        """Whether each has been answered."""
        return all(channel.state in ("live", "refused") for channel in self.all.values())

    @property
    def live(self) -> tuple[str, ...]:
        """Those from which pushes may come."""
        return tuple(channel.name for channel in self.all.values() if channel.state == "live")

    def is_ours(self, name: str) -> bool:
        """Whether a push on it may be acted on; one that came is proof enough that it is live."""
        channel = self.all.get(name)
        if channel is None or channel.state == "refused":
            return False
        if channel.state == "asked":
            self.subscribed(name)
        return channel.state == "live"

    def _expire(self, now_s: float) -> None:
        for channel in self.all.values():
            if now_s < channel.until:
                continue
            if channel.state == "asked" and self.silence_is_yes:
                self.subscribed(channel.name)
            elif channel.state == "asked":
                channel.state, channel.until, channel.reason = "refused", now_s + AGAIN_S, "no answer"
            elif channel.state == "refused":
                channel.state, channel.until = "wanted", math.inf
