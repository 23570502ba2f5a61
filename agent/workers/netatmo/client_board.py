"""What is shown of one cloud: in `portero status`, and in full in `portero netatmo status`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct, structs

State = Literal["connecting", "following", "retrying", "parked", "stopped"]
Webhook = Literal["none", "registering", "working", "silent", "refused"]


class CloudRow(Struct, kw_only=True):
    """A cloud for a person; texts are empty and numbers 0 while nobody knows.

    webhook: `none`: there is no address for it; `silent`: registered, and nothing comes: polled meanwhile.
    stale: what is known of the devices is older than it should be. reported: events, since the start.
    dropped: reports and webhooks that gave way to newer ones. refused: webhooks with a wrong signature.
    """

    name: str
    state: State = "stopped"
    problem: str = ""
    home: str = ""
    webhook: Webhook = "none"
    webhook_problem: str = ""
    modules: int = 0
    stale: bool = True
    pushes: int = 0
    rings: int = 0
    reported: int = 0
    dropped: int = 0
    malformed: int = 0
    foreign: int = 0
    refused: int = 0
    usage_limits: int = 0


class Board:
    """The row of one cloud; `show` changes it and what the page says."""

    def __init__(self, name: str, page: Callable[[str, str | int | float | bool], None]) -> None:
        self.row = CloudRow(name=name)
        self._page = page

    def show(self, **values: str | int | bool) -> None:
        """Set some of its values; what has not changed is not told again."""
        for key, value in values.items():
            if getattr(self.row, key) != value:
                setattr(self.row, key, value)
                self._page(f"cloud.{self.row.name}.{key}", value)

    def state(self, state: State, problem: str = "") -> None:
        """How it goes with this cloud, and why not better."""
        self.show(state=state, problem=problem)

    def plain(self) -> dict[str, object]:
        """The row."""
        return structs.asdict(self.row)
