"""Doctor's look at the machine: pins, clock, disk, and what the agent's process may do.

No check changes anything, and each works as far as the account that runs it may look.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.commands.finding import Finding
from agent.model.errors import JournalError

EARLIEST_S = 1_735_689_600  # 2025-01-01: before this program existed
WARN_FREE_BYTES = 256 * 1024**2
FAIL_FREE_BYTES = 32 * 1024**2
_TIME_ERROR = 5
_TIMEX_BYTES = 512


def gpio(devices: Path = Path("/dev"), model: Path = Path("/proc/device-tree/model")) -> Iterator[Finding]:
    """The chip behind the header, when this is a Pi."""
    from hw.chip import CHIP_LABELS, find_chip, outputs_persist
    from hw.errors import HardwareError

    try:
        name = model.read_text(errors="replace").strip("\0\n ")
    except OSError:
        name = ""
    if "Raspberry Pi" not in name:
        yield Finding(
            check="gpio",
            result="warn",
            found=f"this is no Raspberry Pi ({name or 'no board name'})",
            todo="Fine for a simulated door; a real one needs the pins of a Pi.",
        )
        return
    try:
        number = find_chip(CHIP_LABELS, devices=devices)
    except HardwareError as error:
        yield Finding(
            check="gpio",
            result="fail",
            found=error.reason,
            todo="Add the account to the group of /dev/gpiochip* (usually gpio) and start it again.",
        )
        return
    yield Finding(check="gpio", result="ok", found=f"{name}: /dev/gpiochip{number}")
    if outputs_persist():
        yield Finding(
            check="gpio",
            result="warn",
            found="this kernel leaves relays as they are when the agent is killed",
            todo="Put dtparam=strict_gpiod into config.txt and restart; see docs/wiring.md.",
        )


def serial(wanted: Mapping[str, str], ports: Sequence[str] | None = None) -> Iterator[Finding]:
    """The serial devices of readers and Portero IO. wanted: name -> device. ports: those there are."""
    from hw.serial import list_ports

    there = list_ports() if ports is None else list(ports)
    if not wanted:
        if there:
            yield Finding(check="serial", result="ok", found=f"not used: {', '.join(there)}")
        return
    for name, device in wanted.items():
        path = Path(device)
        if not path.exists():
            yield Finding(
                check="serial",
                result="fail",
                found=f"{name}: {device} is not there",
                todo=f"Plug it in. Serial devices of this machine: {', '.join(there) or 'none'}.",
            )
        elif not os.access(path, os.R_OK | os.W_OK):
            yield Finding(
                check="serial",
                result="fail",
                found=f"{name}: {device} may not be used by this account",
                todo="Run doctor as the door's user, and add that to the group dialout.",
            )
        elif not device.startswith("/dev/serial/by-id/"):
            yield Finding(
                check="serial",
                result="warn",
                found=f"{name}: {device} may be another device after the next start",
                todo=f"Name it by what it is: {', '.join(there) or '/dev/serial/by-id/...'}.",
            )
        else:
            yield Finding(check="serial", result="ok", found=f"{name}: {device}")


def clock(journal: Path) -> Iterator[Finding]:
    """Whether the time can be right, and whether anybody keeps it right."""
    now_ns = time.time_ns()
    said = f"{datetime.fromtimestamp(now_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
    newest_ns = _newest_ns(journal)
    if now_ns < EARLIEST_S * 1_000_000_000:
        yield Finding(
            check="clock",
            result="fail",
            found=f"it says {said}, which cannot be",
            todo="Set it (`timedatectl set-ntp true`); certificates and time limits are wrong until then.",
        )
    elif newest_ns is not None and newest_ns > now_ns + 60_000_000_000:
        yield Finding(
            check="clock",
            result="warn",
            found=f"it says {said}, earlier than the newest entry of the journal",
            todo="Now or then it was wrong: compare it with a watch.",
        )
    else:
        yield Finding(check="clock", result="ok", found=said)
    if _synchronised():
        yield Finding(check="clock sync", result="ok", found="kept right by a time service")
    else:
        yield Finding(
            check="clock sync",
            result="warn",
            found="no time service keeps it right",
            todo="Start one: `timedatectl set-ntp true` (systemd-timesyncd), or chrony.",
        )


def _newest_ns(journal: Path) -> int | None:
    from agent.journal import query

    try:
        entry = query.newest(journal)
    except JournalError:
        return None
    return entry.at_ns if entry is not None else None


def _synchronised() -> bool:
    """True while a time service disciplines the clock.

    Source: adjtimex(2): without modes it only reads, and returns TIME_ERROR while nobody does.
    """
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):
        return False
    state: int = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return state not in (-1, _TIME_ERROR)


def disk(state: Path) -> Iterator[Finding]:
    """Room for the journal."""
    existing = next((folder for folder in (state, *state.absolute().parents) if folder.exists()), Path("/"))
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**2:.0f} MiB free at {existing}"
    if free < FAIL_FREE_BYTES:
        yield Finding(
            check="disk", result="fail", found=found, todo="Free some: the journal cannot store much longer."
        )
    elif free < WARN_FREE_BYTES:
        yield Finding(
            check="disk",
            result="warn",
            found=found,
            todo="Free some, or lower journal.max_mb in the configuration.",
        )
    else:
        yield Finding(check="disk", result="ok", found=found)


def sandbox(status: dict[str, Any] | None, processes: Path = Path("/proc")) -> Iterator[Finding]:
    """What the running agent could do if somebody took it over."""
    if status is None or status.get("simulated"):
        return
    try:
        text = (processes / str(status.get("pid")) / "status").read_text()
    except OSError:
        return
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    weak = []
    if fields.get("Uid", "").split()[1:2] == ["0"]:
        weak.append("it runs as root")
    if fields.get("NoNewPrivs", "").strip() == "0":
        weak.append("it may gain privileges")
    if fields.get("Seccomp", "").strip() == "0":
        weak.append("it may make any system call")
    if weak:
        yield Finding(
            check="sandbox",
            result="warn",
            found=", ".join(weak),
            todo="Run it by the unit of docs/operations.md; `systemd-analyze security portero` rates it.",
        )
    else:
        yield Finding(
            check="sandbox", result="ok", found="own account, no new privileges, system calls filtered"
        )
