"""The door's certificate: from its own authority, or from files of the operator, renewed while running."""

from __future__ import annotations

import hashlib
import logging
import os
import pwd
import re
import ssl
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio
from msgspec import Struct

from agent.model.errors import ConfigError
from agent.net.addresses import is_address, is_host_name, own_names

logger = logging.getLogger(__name__)

LEAF_DAYS = 397
AUTHORITY_DAYS = 20 * 365
RENEW_BEFORE_S = 30 * 86400
BACKDATE_S = 86400
ISSUE_TIMEOUT_S = 30.0
CHECK_INTERVAL_S = 600.0
MAX_NAMES = 64
MAX_RECORD_BYTES = 65536
# A clock before this was never set: a Pi has no battery.
EARLIEST_S = 1767225600
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class TlsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """names: further host names and addresses for the door's own certificate.

    cert_file, key_file: PEM files to use instead of the door's own authority, the key without a passphrase;
    the certificate's file may hold its chain. They are read again when they change.
    """

    names: tuple[str, ...] = ()
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("expected cert_file and key_file together, got one of them")
        if len(self.names) > MAX_NAMES // 2:
            raise ValueError(f"expected at most {MAX_NAMES // 2} names, got {len(self.names)}")
        for name in self.names:
            if not is_host_name(name) and not is_address(name):
                raise ValueError(f"expected host names or addresses, got {name[:80]!r}")


class _Issued(Struct, frozen=True):
    names: tuple[str, ...]
    not_before_s: int
    not_after_s: int
    sha256: str


class Tls:
    """Keeps one server context whose certificate is always good.

    directory: `<state>/tls`; holds ca.pem, ca.key, server.pem (leaf and its key) and issued.json, made by
    `agent.net.issue` in a child process.
    clock: UTC seconds; before `built_at_s` it was never set, and certificates begin then instead.
    """

    def __init__(
        self,
        directory: Path,
        config: TlsConfig,
        *,
        names: Callable[[], tuple[str, ...]] = own_names,
        clock: Callable[[], float] = time.time,
        built_at_s: float | None = None,
    ) -> None:
        self._directory = directory
        self._config = config
        self._names = names
        self._clock = clock
        self._built_at_s = built_at_s if built_at_s is not None else _built_at_s()
        self._context = _server_context()
        self._loaded: tuple[object, ...] = ()

    @property
    def ca_path(self) -> Path:
        """The PEM file that clients trust: our authority, or the operator's certificate with its chain."""
        return Path(self._config.cert_file) if self._config.cert_file else self._directory / "ca.pem"

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the first certificate in `ca_path`, for people to compare: AB:CD:…"""
        return fingerprint(self.ca_path)

    def server_context(self) -> ssl.SSLContext:
        """The context of every listener: the same object for ever, its certificate is replaced in place."""
        return self._context

    async def prepare(self) -> None:
        """Make or read the certificate; afterwards listeners can be opened.

        Raises: ConfigError when a file cannot be used, with the user and mode in its text.
        Cancellation: files are whole, old or new.
        """
        try:
            await self._refresh()
        except ConfigError as error:
            chain = self._directory / "server.pem"
            if self._config.cert_file is not None or not chain.exists():
                raise
            # A full or read-only disk shall not close the door to its clients: the old one may do.
            logger.error("certificate not renewed reason=%s", error)
            self._load(chain, chain)

    async def renew_forever(self) -> None:
        """Renew the own certificate, or read changed files again, without disturbing connections.

        Looks every ten minutes, so a clock that jumps and an address that changes are noticed too. A failure
        is logged and the old certificate stays in use.
        """
        while True:
            await trio.sleep(CHECK_INTERVAL_S)
            try:
                await self._refresh()
            except ConfigError as error:
                logger.error("certificate not renewed reason=%s", error)

    async def _refresh(self) -> None:
        if self._config.cert_file is not None and self._config.key_file is not None:
            await trio.lowlevel.checkpoint()
            self._load(Path(self._config.cert_file), Path(self._config.key_file))
            return
        chain = self._directory / "server.pem"
        if why := self._needs_issue(chain):
            await self._issue(why)
        else:
            await trio.lowlevel.checkpoint()
        self._load(chain, chain)

    def _needs_issue(self, chain: Path) -> str:
        try:
            issued = msgspec.json.decode(self._read(self._directory / "issued.json"), type=_Issued)
            digest = hashlib.sha256(self._read(chain)).hexdigest()
        except (OSError, msgspec.DecodeError, ValueError):
            return "none yet"
        if issued.sha256 != digest or not (self._directory / "ca.pem").exists():
            return "incomplete"
        # An address that went away is no reason: it may come back, and a certificate is a write to the card.
        if missing := set(self._wanted_names()) - set(issued.names):
            return f"new names {', '.join(sorted(missing))}"
        now_s = self._clock()
        if issued.not_after_s - now_s < RENEW_BEFORE_S:
            return "expires soon"
        if now_s >= self._built_at_s and issued.not_before_s > now_s:
            return "made by a wrong clock"
        return ""

    def _wanted_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._names(), *self._config.names)))[:MAX_NAMES]

    async def _issue(self, why: str) -> None:
        not_before_s = max(self._clock(), self._built_at_s) - BACKDATE_S
        command = [
            sys.executable,
            "-m",
            "agent.net.issue",
            f"--directory={self._directory}",
            f"--not-before={not_before_s:.0f}",
            f"--leaf-days={LEAF_DAYS}",
            f"--authority-days={AUTHORITY_DAYS}",
            "--",
            *self._wanted_names(),
        ]
        started = trio.current_time()
        try:
            with trio.fail_after(ISSUE_TIMEOUT_S):
                done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        except trio.TooSlowError as error:
            raise ConfigError("tls", f"no certificate within {ISSUE_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise ConfigError("tls", f"cannot start the maker of certificates: {error}") from error
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"]
            raise ConfigError("tls", f"cannot make a certificate in {self._directory}: {lines[-1][:300]}")
        logger.info("certificate issued why=%r took_s=%.1f", why, trio.current_time() - started)

    def _load(self, certificate: Path, key: Path) -> None:
        where = "tls.cert_file" if self._config.cert_file else "tls"
        try:
            state = (_state_of(certificate), _state_of(key))
        except OSError as error:
            raise ConfigError(where, _unreadable(error, certificate, key)) from error
        if state == self._loaded:
            return
        try:
            # On a spare one first: a pair that does not fit, half replaced, would spoil the context in use.
            for context in (_server_context(), self._context):
                context.load_cert_chain(certificate, key, password=_no_passphrase)
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            raise ConfigError(
                where, f"{certificate} and {key} are not a certificate and its key: {reason}"
            ) from error
        except OSError as error:
            raise ConfigError(where, _unreadable(error, certificate, key)) from error
        self._loaded = state

    @staticmethod
    def _read(path: Path) -> bytes:
        with path.open("rb") as file:
            return file.read(MAX_RECORD_BYTES)


def fingerprint(path: Path) -> str:
    """The SHA-256 of the first certificate in a PEM file, as AB:CD:…

    Raises: ConfigError when there is none.
    """
    try:
        found = _CERTIFICATE.search(path.read_text("ascii", errors="replace"))
    except OSError as error:
        raise ConfigError("tls", f"{path}: {error.strerror}") from error
    if found is None:
        raise ConfigError("tls", f"{path} holds no certificate")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found.group())).digest().hex(":").upper()


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _no_passphrase() -> str:
    # Without this OpenSSL asks on the terminal, and waits.
    return ""


def _built_at_s() -> float:
    # The time of this file is that of the image or the installation: no certificate is needed from before.
    return max(EARLIEST_S, Path(__file__).stat().st_mtime)


def _state_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _unreadable(error: OSError, *paths: Path) -> str:
    """Which file, who we are, and what stands in the way."""
    for path in paths:
        try:
            with path.open("rb"):
                continue
        except OSError as refused:
            who = f"user {_user(os.geteuid())}"
            try:
                found = path.stat()
            except OSError:
                return f"{path}: {refused.strerror} for {who}"
            return (
                f"{path}: {refused.strerror} for {who}: mode {stat.S_IMODE(found.st_mode):04o}, "
                f"owner {_user(found.st_uid)}"
            )
    return str(error)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
