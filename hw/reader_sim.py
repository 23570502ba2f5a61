"""A reader on a pseudo-terminal, and the hand that holds tags to it and types: tests, benchmarks, `--sim`."""

from __future__ import annotations

import os
import tty
from typing import Literal

from hw import rdm6300, wiegand

Kind = Literal["rdm6300", "wiegand", "keypad"]


class SimulatedReader:
    """device: the name of its port, until `unplug`; `plug` makes a new one. Any thread."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.device = ""
        self._ours = -1
        self._theirs = -1
        self.plug()

    def plug(self) -> None:
        """Plug it in again; the device has another name then."""
        self.unplug()
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.device = os.ttyname(self._theirs)

    def where(self) -> str:
        """The name of its port now."""
        return self.device

    def show(self, number: str) -> None:
        """Hold a tag to it, by its canonical number. Raises: ValueError for one it cannot read."""
        try:
            value = int(number, 16)
        except ValueError:
            raise ValueError("expected hexadecimal digits") from None
        match self.kind:
            case "rdm6300":
                self.send(rdm6300.frame(number))
            case "wiegand":
                bits = next((bits for bits in (26, 34, 37) if value < 1 << bits - 2), 0)
                if not bits or not value:
                    raise ValueError("expected a number of up to 35 bits")
                self.send(wiegand.line(value, bits))
            case "keypad":
                raise ValueError("a keypad reads no tags")

    def type(self, keys: str) -> None:
        """Press keys, one after the other. Raises: ValueError for keys it does not have."""
        if not set(keys) <= set(wiegand.KEYS):
            raise ValueError("expected digits, * and #")
        match self.kind:
            case "rdm6300":
                raise ValueError("this reader has no keys")
            case "wiegand":
                for key in keys:
                    self.send(f"W4:{wiegand.KEYS.index(key):04b}\r\n".encode())
            case "keypad":
                self.send(keys.encode())

    def send(self, data: bytes) -> None:
        """Anything, noise included; what nobody reads for long is lost."""
        try:
            os.write(self._ours, data)
        except (BlockingIOError, OSError):
            pass

    def unplug(self) -> None:
        """Pull it out."""
        for descriptor in (self._ours, self._theirs):
            if descriptor >= 0:
                os.close(descriptor)
        self._ours = self._theirs = -1

    close = unplug
