"""What is shown of one gateway: in `portero status`, and in full in `portero deconz status`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct, structs

State = Literal["connecting", "following", "retrying", "parked", "stopped"]


class GatewayRow(Struct, kw_only=True):
    """A gateway for a person; texts are empty and numbers 0 while nobody knows.

    version: of its software. last_event: UTC. events, reported: since the start. dropped: presses that came
    too fast. malformed: messages that could not be read.
    """

    name: str
    state: State = "stopped"
    problem: str = ""
    url: str = ""
    bridgeid: str = ""
    version: str = ""
    ws_port: int = 0
    lights: int = 0
    sensors: int = 0
    last_event: str = ""
    events: int = 0
    reported: int = 0
    dropped: int = 0
    malformed: int = 0


class Board:
    """The row of one gateway; `show` changes it and what the page says."""

    def __init__(self, name: str, page: Callable[[str, str | int | float | bool], None]) -> None:
        self.row = GatewayRow(name=name)
        self._page = page

    def show(self, **values: str | int) -> None:
        """Set some of its values; what has not changed is not told again."""
        for key, value in values.items():
            if getattr(self.row, key) != value:
                setattr(self.row, key, value)
                self._page(f"gateway.{self.row.name}.{key}", value)

    def state(self, state: State, problem: str = "") -> None:
        """How it goes with this gateway, and why not better."""
        self.show(state=state, problem=problem)

    def heard(self) -> None:
        """An event came."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self.show(events=self.row.events + 1, last_event=at)

    def plain(self) -> dict[str, object]:
        """The row."""
        return structs.asdict(self.row)
