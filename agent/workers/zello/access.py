"""Who may do what on a channel: a pure function of its configuration and who asks."""

from __future__ import annotations

from typing import Literal

from agent.model.principals import Principal
from agent.workers.zello.config import ChannelConfig

Right = Literal["talk", "listen"]


def right_on(channel: ChannelConfig, who: Principal | None) -> Right | None:
    """What somebody may do there, None for nothing. who: None is somebody without an account."""
    if who is not None:
        if who.name in channel.members or (not channel.members and who.role in channel.roles):
            return "talk"
        if who.name in channel.listeners:
            return "listen"
    return "listen" if channel.anonymous else None
