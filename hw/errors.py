"""What can go wrong between a wire and the process."""

from __future__ import annotations


class HardwareError(Exception):
    """A device failed: it could not be opened, read or driven.

    endpoint: the configured name ("strike", or "strike.contact" for a lock's door contact), or "board" when
    the failure is not of one endpoint. reason: one sentence for an operator, without a secret.
    """

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(endpoint, reason)
        self.endpoint = endpoint
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.reason}"


class PinConflict(HardwareError):
    """The pin map gives this endpoint a pin it cannot have; opening it again will not help."""


class MalformedFrame(ValueError):
    """What came from a device is not what its protocol allows. The text says what, and quotes nothing."""
