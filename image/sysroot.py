"""Headers and libraries of the door's Debian, for a compiler on this machine. Unpacked only: nothing in it is ever run."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from image.command import need, run
from image.errors import ImageError
from image.small_tree import unpacked

PACKAGES = ("libc6-dev", "libpython3.13-dev", "libopus-dev", "libasound2-dev")
TRIPLES = {"arm64": "aarch64-linux-gnu", "amd64": "x86_64-linux-gnu"}


class Sysroot(Struct, frozen=True):
    """An unpacked tree for one architecture."""

    root: Path
    triple: str

    @property
    def python_data_name(self) -> str:
        """The module with the foreign Python's build settings, from which names and tags are taken."""
        return f"_sysconfigdata__linux_{self.triple}"

    @property
    def python_data(self) -> Path:
        """A folder that holds that module and nothing else."""
        return self.root / "portero-python"

    def compiler(self, flags: str) -> dict[str, str]:
        """The environment in which a set-up program compiles for this tree."""
        libraries = self.root / "usr/lib" / self.triple
        headers = self.root / "usr/include"
        gcc = f"{self.triple}-gcc --sysroot={self.root} -B{libraries}"
        # A cross compiler has headers of its own Debian built in: none of them, but those that belong to the compiler.
        own = run([f"{self.triple}-gcc", "-print-file-name=include"]).strip()
        folders = (own, f"{headers}/python3.13", f"{headers}/{self.triple}", str(headers))
        includes = "-nostdinc " + " ".join(f"-isystem {folder}" for folder in folders)
        link = f"-L{libraries} -Wl,-rpath-link,{libraries} -s"
        return {
            "CC": gcc,
            "LDSHARED": f"{gcc} -shared {link}",
            "CFLAGS": f"{includes} {flags}",
            "AR": f"{self.triple}-ar",
            "PKG_CONFIG_LIBDIR": f"{libraries}/pkgconfig:{self.root}/usr/share/pkgconfig",
            "PKG_CONFIG_SYSROOT_DIR": str(self.root),
            "_PYTHON_HOST_PLATFORM": f"linux-{self.triple.split('-')[0]}",
        }


def build_sysroot(arch: str, cache: Path) -> Sysroot:
    """The tree for arm64 or amd64, kept. Raises: ImageError."""
    triple = TRIPLES[arch]
    package = f"gcc-{triple.replace('_', '-')}" if os.uname().machine != triple.split("-")[0] else "gcc"
    need({f"{triple}-gcc": package, "pkg-config": "pkg-config"})
    root = unpacked(f"sysroot-{arch}", arch, PACKAGES, cache)
    made = Sysroot(root, triple)
    data = made.python_data / f"{made.python_data_name}.py"
    if not data.exists():
        original = root / "usr/lib/python3.13" / data.name
        if not original.exists():
            raise ImageError(f"{original} is missing: remove {root}")
        data.parent.mkdir(exist_ok=True)
        data.write_bytes(original.read_bytes())
    return made
