"""The few errors of the agent; each says whose fault it is and so who handles it."""

from __future__ import annotations


class AgentError(Exception):
    """Root of everything the agent raises on purpose."""


class ConfigError(AgentError):
    """The operator's mistake: where, what was expected, what was found."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


class ConfigErrors(AgentError):
    """Every mistake of one configuration, so that the operator mends them in one go."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = tuple(errors)


class MalformedMessage(AgentError):
    """A peer sent what its protocol forbids. Parsers raise this and nothing else, for any bytes."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class LocalProtocolError(AgentError):
    """We tried to send something illegal: our own bug, nobody handles it."""


class PeerError(AgentError):
    """A peer is unreachable, refused, timed out or closed; the supervisor retries quietly.

    http_status: what it answered instead of an upgrade. close_code: of the CLOSE that it sent. None: neither.
    """

    def __init__(
        self,
        reason: str,
        retry_after_s: float | None = None,
        *,
        http_status: int | None = None,
        close_code: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.http_status = http_status
        self.close_code = close_code


class AuthenticationError(AgentError):
    """A peer refused our credentials; the supervisor parks the worker instead of hammering."""


class TryLater(AgentError):
    """Credentials were not looked at, and not through a fault of whoever sent them."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class CommandError(AgentError):
    """A command of this machine that cannot be done; the text says why, and what to do."""


class JournalError(AgentError):
    """The journal cannot promise durability now."""


class EndpointError(AgentError):
    """An endpoint could not do what it was told; dispatch answers `Failed` and says so in the log."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}")
        self.endpoint = endpoint
        self.reason = reason
