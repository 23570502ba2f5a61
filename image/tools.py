"""Programs of the door's own Debian that run on this machine: the same everywhere, so that images are the same everywhere.

They are called through their own loader and libraries, out of a folder: nothing is installed, no root is needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from image.command import run
from image.errors import ImageError
from image.small_tree import unpacked

PACKAGES = ("e2fsprogs", "libarchive13t64", "mtools", "dosfstools", "fdisk", "python3.13", "libpython3.13-stdlib")
_NATIVE = {"x86_64": ("amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2"), "aarch64": ("arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1")}


class Tools(Struct, frozen=True):
    """The unpacked programs."""

    root: Path
    triple: str
    loader: str

    def command(self, program: str) -> list[str]:
        """How a program is started; name it as it is called there (`mke2fs`, `mcopy`)."""
        libraries = self.root / "usr/lib" / self.triple
        for folder in ("usr/sbin", "usr/bin", "sbin", "bin"):
            path = self.root / folder / program
            if path.exists():
                return [
                    str(libraries / self.loader),
                    "--library-path",
                    f"{libraries}:{libraries}/libproxy",
                    "--argv0",
                    program,
                    str(path),
                ]
        raise ImageError(f"{program} is not among the tools in {self.root}")

    def run(self, program: str, *arguments: str | Path, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
        """Run a program to its end and give what it printed. Raises: ImageError."""
        return run([*self.command(program), *arguments], env=env, stdin=stdin)

    def run_python(self, arguments: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run the door's own version of Python. Raises: ImageError."""
        home = {"PYTHONHOME": str(self.root / "usr"), "PYTHONDONTWRITEBYTECODE": "1"}
        return run([*self.command("python3.13"), *arguments], cwd=cwd, env={**home, **(env or {})})


def build_tools(cache: Path) -> Tools:
    """The tools, kept. Raises: ImageError."""
    machine = os.uname().machine
    if machine not in _NATIVE:
        raise ImageError(f"images are built on x86_64 or aarch64, this is {machine}")
    arch, triple, loader = _NATIVE[machine]
    return Tools(unpacked("tools", arch, PACKAGES, cache), triple, loader)
