"""Doors and foreign programs for the tests, ended with them; under a failure, the end of the door's log."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import HERE, NODE_MODULES, PASSWORD, USER, Door, Peer


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The door of the whole run: without any configuration."""
    door = Door(tmp_path_factory.mktemp("door"))
    try:
        yield door.start()
    finally:
        door.kill()


@pytest.fixture
def build_door(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """Makes doors that one test has for itself, with a configuration of their own."""
    doors: list[Door] = []

    def build(config: str = "", **more: Any) -> Door:
        folder = tmp_path / f"door{len(doors)}"
        folder.mkdir()
        doors.append(Door(folder, config=config, **more))
        return doors[-1].start()

    yield build
    for door in doors:
        door.kill()


@pytest.fixture
def run_peer() -> Iterator[Callable[..., Peer]]:
    """Starts foreign programs and ends them with the test."""
    peers: list[Peer] = []

    def run(program: str, door: Door | None = None, **environment: str) -> Peer:
        settings = {"PEER_USER": USER, "PEER_PASSWORD": PASSWORD}
        if door is not None:
            settings |= {"PEER_URL": door.url, "PEER_CA": door.ca}
        path = HERE / "peers" / program
        command = [sys.executable, str(path)]
        if program.endswith(".js"):
            command = [_node(), str(path)]
            settings["NODE_PATH"] = str(NODE_MODULES)
        peers.append(Peer(command, settings | environment))
        return peers[-1]

    yield run
    for peer in peers:
        peer.stop()


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    return node


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The end of the doors' logs under a failed test."""
    report = yield
    if report.failed:
        doors: list[Door] = []
        arguments = getattr(item, "funcargs", {})
        if isinstance(arguments.get("door"), Door):
            doors.append(arguments["door"])
        for path in sorted({door.log_path for door in doors} | _own_logs(arguments)):
            report.sections.append((f"log of {path.parent.name}", path.read_text(errors="replace")[-8000:]))
    return report


def _own_logs(arguments: dict[str, Any]) -> set[Path]:
    folder = arguments.get("tmp_path")
    return set(folder.glob("door*/door.log")) if isinstance(folder, Path) else set()
