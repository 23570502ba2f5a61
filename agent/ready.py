"""`ready.json`: where everything listens, for tools and tests; it exists while the agent is ready."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class Ready:
    """The file and what stands in it. A disk that cannot take it is logged: the bell rings without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = False
        self.listeners: dict[str, str] = {}
        self.ca = ""
        self._unlink()  # of an agent that was killed

    def plain(self) -> dict[str, Any]:
        """pid, ca (path of the authority's certificate), listeners by name."""
        return {"pid": os.getpid(), "ca": self.ca, "listeners": dict(self.listeners)}

    def listening(self, name: str, url: str) -> None:
        """A listener is bound (again)."""
        self.listeners[name] = url
        if self._written:
            self.write()

    def write(self) -> None:
        """Everything is bound: say so, in one step."""
        self._written = True
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(self.plain(), indent=1) + "\n")
            os.replace(temporary, self._path)
        except OSError as error:
            logger.error("ready file not written path=%s error=%s", self._path, error)

    def remove(self) -> None:
        """No longer ready."""
        self._written = False
        self._unlink()

    def _unlink(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            logger.error("ready file not removed path=%s error=%s", self._path, error)
