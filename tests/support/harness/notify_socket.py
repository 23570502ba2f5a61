"""A service manager's ear: the datagram socket that NOTIFY_SOCKET names, and when each message came."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self


class NotifySocket:
    """heard: (time.monotonic(), text) of every datagram so far. A context manager that owns a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen)

    def times(self, text: str) -> list[float]:
        """When this was heard."""
        return [at for at, heard in list(self.heard) if heard == text]

    def until(self, text: str, count: int = 1, within_s: float = 10.0) -> None:
        """Wait until it was heard so often. Raises: AssertionError."""
        deadline = time.monotonic() + within_s
        while len(self.times(text)) < count:
            assert time.monotonic() < deadline, f"{text} was not heard {count} times; heard {self.heard}"
            time.sleep(0.005)

    def _listen(self) -> None:
        while (text := self._socket.recv(4096).decode()) != "that is all":
            self.heard.append((time.monotonic(), text))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"that is all", str(self.path))
        self._thread.join()
        self._socket.close()
