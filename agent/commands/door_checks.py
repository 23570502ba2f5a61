"""Doctor's look at the door: configuration, state directory, certificates, journal, agent and listeners.

No check changes anything, and each works as far as the account that runs it may look.
"""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.commands.finding import Finding
from agent.model.errors import ConfigErrors, JournalError, PeerError

if TYPE_CHECKING:
    from agent.config import Config

WARN_EXPIRY = timedelta(days=14)
CONNECT_S = 2.0
_PUBLIC = frozenset({"ca.pem", "issued.json"})


def config(read: Config | ConfigErrors) -> Iterator[Finding]:
    """The configuration, and the pin map in it."""
    if isinstance(read, ConfigErrors):
        for error in read.errors:
            yield Finding(
                check="config", result="fail", found=str(error), todo="Correct the file and restart."
            )
        return
    yield Finding(
        check="config",
        result="ok",
        found=f"{len(read.endpoints)} endpoints, protocols: {', '.join(read.workers) or 'none'}",
    )
    from hw.pins import wires

    lines = wires(read.pins)
    if not lines:
        yield Finding(
            check="pins",
            result="warn",
            found="no endpoint is configured",
            todo="Describe what is wired in [endpoints.NAME] tables; see docs/wiring.md.",
        )
    else:
        # A conflict is a mistake of the file and stands above.
        yield Finding(check="pins", result="ok", found=f"{len(lines)} used, no conflicts")


def certificates(folder: Path, cert_file: str | None) -> Iterator[Finding]:
    """The dates of the authority and of the door's own certificate, or of the operator's own.

    cert_file: of the configuration.
    """
    paths = [Path(cert_file)] if cert_file else sorted(folder.glob("*.pem")) if folder.is_dir() else []
    found = False
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError as error:
            yield Finding(
                check="tls",
                result="warn",
                found=f"{path.name}: {error.strerror}",
                todo="Run doctor with sudo.",
            )
            continue
        if b"BEGIN CERTIFICATE" in data:
            found = True
            yield _certificate(path, data)
    if not found:
        yield Finding(
            check="tls",
            result="warn",
            found=f"no certificate in {folder}",
            todo="The first start of the door makes them.",
        )


def _certificate(path: Path, data: bytes) -> Finding:
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificates(data)[0]
    except ValueError:
        return Finding(
            check="tls",
            result="fail",
            found=f"{path.name}: not readable as a certificate",
            todo=f"Move {path.parent} away and restart; clients then have to trust the new authority.",
        )
    now = datetime.now(UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        return Finding(
            check="tls",
            result="fail",
            found=f"{path.name}: valid only from {begins:%Y-%m-%d}",
            todo="The clock was wrong when it was made, or is now: see the line about the clock.",
        )
    if now >= ends - WARN_EXPIRY:
        expired = now >= ends
        return Finding(
            check="tls",
            result="fail" if expired else "warn",
            found=f"{path.name}: {'ended' if expired else 'ends'} on {ends:%Y-%m-%d}",
            todo="A running agent renews its certificate by itself: restart it, then look at its log.",
        )
    return Finding(check="tls", result="ok", found=f"{path.name}: until {ends:%Y-%m-%d}")


def permissions(state: Path) -> Iterator[Finding]:
    """Nobody else may read keys and users, and the agent may write."""
    try:
        folder = state.stat()
    except FileNotFoundError:
        yield Finding(
            check="state",
            result="warn",
            found=f"{state}: not there yet",
            todo="The first start of the door makes it; name another with --state DIR.",
        )
        return
    if folder.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding(
            check="state",
            result="fail",
            found=f"{state}: open to others (mode {stat.S_IMODE(folder.st_mode):04o})",
            todo=f"chmod 0700 {state}",
        )
    strangers, exposed = [], []
    for path in sorted(state.rglob("*")):
        status = path.lstat()
        if status.st_uid != folder.st_uid:
            strangers.append(str(path.relative_to(state)))
        secret = path.name.startswith("access") or (path.parent.name == "tls" and path.name not in _PUBLIC)
        if secret and stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            exposed.append(str(path.relative_to(state)))
    if strangers:
        yield Finding(
            check="state",
            result="fail",
            found=f"of another owner than {state} itself: {', '.join(strangers[:5])}",
            todo=f"chown -R --reference={state} {state}",
        )
    if exposed:
        yield Finding(
            check="state",
            result="fail",
            found=f"readable for others: {', '.join(exposed[:5])}",
            todo=f"chmod 0600 these files in {state}",
        )
    if not (strangers or exposed or folder.st_mode & (stat.S_IRWXG | stat.S_IRWXO)):
        yield Finding(check="state", result="ok", found=f"{state}: private, one owner")


def journal(path: Path, status: dict[str, Any] | None) -> Iterator[Finding]:
    """Whether what happens is stored. status: the running agent's answer, None without an agent."""
    from agent.journal import query

    if status is not None:
        told = status.get("journal", {})
        if not told.get("ok"):
            yield Finding(
                check="journal",
                result="fail",
                found=f"it does not store: {told.get('problem') or 'unknown reason'}",
                todo="Look at disk and state above; the agent goes on trying by itself.",
            )
        else:
            yield Finding(
                check="journal",
                result="ok",
                found=f"{told.get('rows')} entries, {told.get('pending')} waiting",
            )
    try:
        page = query.tail(path, 1000)
    except JournalError as error:
        missing = not path.exists()
        yield Finding(
            check="journal file",
            result="warn" if missing else "fail",
            found="not there yet" if missing else str(error),
            todo="The first start of the door makes it."
            if missing
            else "Restart the agent: it moves a broken journal aside and begins a new one.",
        )
        return
    aside = sorted(found.name for found in path.parent.glob(f"{path.name}.bad-*") if found.name[-1] == "Z")
    if page.damaged or page.malformed:
        yield Finding(
            check="journal file",
            result="fail" if page.damaged else "warn",
            found="damaged" if page.damaged else f"{page.malformed} of the newest entries are unreadable",
            todo="Back up the state directory, and think of a new SD card.",
        )
    elif aside:
        yield Finding(
            check="journal file",
            result="warn",
            found=f"broken ones were moved aside: {', '.join(aside)}",
            todo="Keep or remove them; if it happens again, replace the SD card.",
        )
    else:
        yield Finding(check="journal file", result="ok", found=str(path))


def agent(status: dict[str, Any] | None, *, simulated: bool = False) -> Iterator[Finding]:
    """What the running agent itself complains about.

    simulated: the door that does not run is one made of software, which no service starts.
    """
    if status is None:
        yield Finding(
            check="agent",
            result="warn",
            found="not running",
            todo="`portero run --sim` starts it."
            if simulated
            else "`systemctl status portero` tells why; `systemctl start portero` starts it.",
        )
        return
    for problem in status.get("problems", []):
        yield Finding(
            check="agent",
            result="fail",
            found=str(problem),
            todo="Look at the wiring of this endpoint; `portero events` tells since when.",
        )
    for name, worker in status.get("workers", {}).items():
        if worker.get("state") in ("retrying", "parked"):
            yield Finding(
                check="agent",
                result="fail" if worker["state"] == "parked" else "warn",
                found=f"protocol {name} is {worker['state']}: {worker.get('reason')}",
                todo="Correct its table in the configuration and restart, or wait for its peer.",
            )
    if not status.get("problems"):
        yield Finding(check="agent", result="ok", found=f"running as process {status.get('pid')}")


def listeners(status: dict[str, Any] | None, read: Config | ConfigErrors) -> Iterator[Finding]:
    """With an agent: whether its listeners answer. Without: whether they could listen."""
    if status is not None:
        for name, url in status.get("ready", {}).get("listeners", {}).items():
            parts = urlsplit(url)
            try:
                socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_S).close()
            except (OSError, ValueError) as error:
                yield Finding(
                    check="listener",
                    result="fail",
                    found=f"{name}: {url} does not answer ({error})",
                    todo="Restart the agent, and look at its log.",
                )
            else:
                yield Finding(check="listener", result="ok", found=f"{name}: {url} answers")
        return
    if isinstance(read, ConfigErrors):
        return
    from agent.net.listeners import open_listeners

    for name, worker in read.workers.items():
        server = getattr(worker, "server", None)
        host, port = getattr(server, "host", None), getattr(server, "port", None)
        if host is None or not port:
            continue
        try:
            for sock in open_listeners(host, port):
                sock.close()
        except PeerError as error:
            yield Finding(
                check="listener",
                result="fail",
                found=f"{name}: {error}",
                todo="Stop that program, or change the port.",
            )
        else:
            yield Finding(check="listener", result="ok", found=f"{name}: port {port} is free")
