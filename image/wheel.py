"""Looking into wheels: for which kind of machine the compiled files in them are."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from image.errors import ImageError

_ELF_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64", 0x28: "armv7l", 0x03: "i686", 0xF3: "riscv64"}


def machine_of_elf(head: bytes) -> str | None:
    """What machine a compiled file is for; None: it is not compiled. head: its first 20 bytes.

    Source: elf(5), e_machine, and e_ident[EI_DATA] for its byte order.
    """
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return _ELF_MACHINES.get(number, f"machine {number}")


def machine_of_name(name: str) -> str | None:
    """What machine a wheel says it is for; None: any. A wheel for several is told by the first that is named."""
    found = re.search(r"(aarch64|x86_64|armv[67]l|i686|riscv64|ppc64le|s390x|arm64|amd64)[.-]", name)
    return found[1] if found else None


def check_machine(wheel: Path, machine: str) -> None:
    """Raises: ImageError when the wheel holds a file compiled for another machine, whatever its name says."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                found = machine_of_elf(file.read(20))
            if found not in (None, machine):
                raise ImageError(
                    f"{wheel.name} holds {name}, compiled for {found}, and the door is {machine}: remove {wheel}"
                )
