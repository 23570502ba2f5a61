"""A door follows another door: our client at our server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import trio
from harness.deconz_door import BELL, GATE, SIREN, SMOKE, STAIRS, deconz_door
from harness.deconz_home import Home

from agent.model.actions import SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.events import (
    ButtonPressed,
    ButtonReleased,
    ContactChanged,
    LightChanged,
    LockChanged,
    SirenChanged,
)
from agent.workers.deconz.client import Follower
from agent.workers.deconz.client_key import Key, KeyStore
from agent.workers.deconz.config import GatewayConfig

ENDPOINTS: dict[str, dict[str, Any]] = {
    "bell": {"device": "Bell", "acts_as": "button"},
    "gate": {"device": "Gate", "acts_as": "lock"},
    "siren": {"device": "Siren", "acts_as": "siren"},
    "stairs": {"device": "Staircase", "acts_as": "light"},
    "smoke": {"device": "Smoke", "acts_as": "contact", "role": "smoke"},
}


async def test_a_door_follows_another_door(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    home = Home(tmp_path / "here", endpoints=ENDPOINTS)
    with trio.fail_after(20):
        async with deconz_door(tmp_path / "there", endpoints=(BELL, GATE, SIREN, STAIRS, SMOKE)) as door:
            config = msgspec.convert({"name": "home", "url": door.url}, GatewayConfig)
            await KeyStore(config, home.context.state_dir).keep(Key(text=door.key))
            follower = Follower(config, home.context, tuple(home.remotes.values()))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(follower.run)
                await home.state("following")
                assert [home.problem(name) for name in ENDPOINTS] == [""] * len(ENDPOINTS)
                assert home.events() == []

                door.house.log.publish(ButtonPressed(endpoint="bell"))
                door.house.log.publish(ButtonReleased(endpoint="bell", held_ms=200))
                door.house.log.publish(ContactChanged(endpoint="smoke", role="smoke", active=True))
                await home.until(lambda: len(home.events()) == 3)
                assert [type(event) for event in home.events()] == [
                    ButtonPressed, ButtonReleased, ContactChanged,
                ]  # fmt: skip

                assert await home.do("gate", Unlock(endpoint="gate", hold_s=5)) is None
                assert await home.do("stairs", SwitchLight(endpoint="stairs", on=True)) is None
                assert await home.do("siren", SoundSiren(endpoint="siren", duration_s=30)) is None
                asked = [action for action, _ in door.house.submitted]
                assert asked[2] == SoundSiren(endpoint="siren", duration_s=30)
                assert [type(action) for action in asked[:2]] == [Unlock, SwitchLight]
                door.house.log.publish(LockChanged(endpoint="gate", state="unlocked"))
                door.house.log.publish(LightChanged(endpoint="stairs", on=True))
                door.house.log.publish(SirenChanged(endpoint="siren", on=True, duration_s=30))
                await home.until(lambda: len(home.events()) == 6)
                assert home.events(LockChanged) == [
                    LockChanged(endpoint="gate", state="unlocked", by="ana", action_id="a1", hold_s=5)
                ]
                assert home.events(SirenChanged)[0].by == "ana"
                assert await home.do("siren", StopSiren(endpoint="siren")) is None
                door.house.log.publish(SirenChanged(endpoint="siren", on=False))
                await trio.sleep(0.3)
                assert [event.on for event in home.events(SirenChanged)] == [True, False]
                nursery.cancel_scope.cancel()
