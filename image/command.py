"""Running other programs: quietly, with the end of what they said when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from image.errors import ImageError

TAIL_LINES = 25


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program to its end and give what it printed. env: added to ours. log: a file that gets the output instead.

    Raises: ImageError with the command, its exit status and its last lines.
    """
    words = [str(word) for word in command]
    full = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    try:
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as out:
                done = subprocess.run(
                    words, env=full, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
                )
            said = log.read_text(errors="replace")
        else:
            piped = subprocess.run(
                words, env=full, cwd=cwd, input=stdin or "", text=True, capture_output=True, check=False
            )
            done, said = piped, piped.stdout  # type: ignore[assignment]
            if piped.returncode:
                said += piped.stderr
    except FileNotFoundError as error:
        raise ImageError(f"{words[0]} is not installed") from error
    if done.returncode:
        last = "\n".join(f"    {line}" for line in said.splitlines()[-TAIL_LINES:])
        where = f"\n    (the whole log is {log})" if log else ""
        raise ImageError(f"this failed with status {done.returncode}: {' '.join(words)}\n{last}{where}")
    return said


def need(programs: Mapping[str, str]) -> None:
    """Raises: ImageError naming every program that is missing, and the packages that have them (program -> package)."""
    places = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = {package for program, package in programs.items() if shutil.which(program, path=places) is None}
    if missing:
        raise ImageError(f"missing here; on Debian: apt-get install {' '.join(sorted(missing))}")
