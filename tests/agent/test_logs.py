from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import logging
from agent.logs import start_logging
start_logging({level})
start_logging({level})
log = logging.getLogger("agent.x")
log.debug("debug")
log.info("info %s", "value")
log.warning("warning")
log.error("two\\nlines")
log.critical("critical")
logging.getLogger("hw.x").info("hw")
logging.getLogger("trio").info("foreign info")
logging.getLogger("trio").warning("foreign warning")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("bug")
log.info("")
"""


def lines(stream: str | None, level: int = logging.INFO, folder: Path | None = None) -> list[str]:
    """What a process writes to stderr. stream: its JOURNAL_STREAM; "match": that of its stderr."""
    environ = {key: value for key, value in os.environ.items() if key != "JOURNAL_STREAM"}
    assert folder is not None
    path = folder / "stderr"
    with path.open("wb") as stderr:
        status = os.fstat(stderr.fileno())
        if stream is not None:
            environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}" if stream == "match" else stream
        subprocess.run(
            [sys.executable, "-c", SCRIPT.format(level=level)],
            env=environ,
            stderr=stderr,
            check=True,
            timeout=30,
        )
    return path.read_text().splitlines()


def test_the_journal_is_told_priorities_line_by_line(tmp_path: Path) -> None:
    found = lines("match", folder=tmp_path)
    assert found[:6] == [
        "<6>agent.x: info value",
        "<4>agent.x: warning",
        "<3>agent.x: two",
        "<3>lines",
        "<2>agent.x: critical",
        "<6>hw.x: hw",
    ]
    assert found[6] == "<4>trio: foreign warning"
    assert found[7] == "<3>agent.x: bug"
    assert all(line.startswith("<3>") for line in found[7:-1])
    assert found[-2] == "<3>ZeroDivisionError: division by zero"


@pytest.mark.parametrize("stream", [None, "", "8:12345", "nonsense"])
def test_a_terminal_is_told_times_even_if_a_journal_was_inherited(tmp_path: Path, stream: str | None) -> None:
    found = lines(stream, folder=tmp_path)
    assert found[0].endswith(" INFO    agent.x: info value")
    assert found[0][2] == ":"
    assert not any(line.startswith("<") for line in found)
    assert sum("info value" in line for line in found) == 1  # one handler, however often it is started
    assert not any("foreign info" in line or "debug" in line for line in found)


def test_more_can_be_asked_for(tmp_path: Path) -> None:
    assert any("debug" in line for line in lines(None, logging.DEBUG, folder=tmp_path))
