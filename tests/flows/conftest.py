"""A door that has been started before: certificates, an admin and two residents are there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.agent_process import AgentProcess
from harness.quick_door import PASSWORDS, QUICK, Door


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of a door that has run once; to be copied, not used."""
    state = tmp_path_factory.mktemp("seeded") / "state"
    with AgentProcess(state) as agent:
        for name, password in PASSWORDS.items():
            agent.ask("user_add", name=name, role="resident", password=password)
        assert agent.stop() == 0
    return state


@pytest.fixture
def door(tmp_path: Path, seeded: Path) -> Iterator[Door]:
    """Makes agents, not started yet, on a copy of the seeded state; kills what is left of them.

    door(more=TEXT): the quick configuration with more at its end. door(config=TEXT): another one.
    """
    made: list[AgentProcess] = []

    def make(name: str = "state", *, config: str = QUICK, more: str = "", **options: Any) -> AgentProcess:
        state = tmp_path / name
        if not state.exists():
            shutil.copytree(seeded, state)
        path = tmp_path / f"{name}.toml"
        path.write_text(config + more)
        agent = AgentProcess(state, config=path, **options)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.kill()
