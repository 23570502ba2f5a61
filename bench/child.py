"""Benchmarks whose parts run in processes of their own, and how these talk to each other."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def say(**answer: Any) -> None:
    """Answer the parent: one line of JSON."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Child:
    """A role of a benchmark module in a process of its own; answers one line of JSON per line it is told."""

    def __init__(self, stack: ExitStack, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(self._process.wait, 20)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        stack.callback(self._stdout.close)
        stack.callback(self._stdin.close)

    def hear(self) -> dict[str, Any]:
        """The next answer."""
        line = self._stdout.readline()
        if not line:
            raise RuntimeError("a child of the benchmark died; its error is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, command: str = "") -> dict[str, Any]:
        """Say something and wait for the answer."""
        self._stdin.write(command + "\n")
        self._stdin.flush()
        return self.hear()

    def do(self, what: str, **arguments: int) -> dict[str, Any]:
        """Tell a server to do something."""
        return self.tell(json.dumps({"do": what, **arguments}))
