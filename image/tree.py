"""The Debian tree of the image, as a tar archive: built by mmdebstrap, kept for as long as what it is made of stays the same."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from image.command import need, run
from image.errors import ImageError
from image.parts import Part, joined

SUITE = "trixie"
ARCHITECTURE = "arm64"
COMPONENTS = "main non-free-firmware"
MIRROR = os.environ.get("PORTERO_DEBIAN_MIRROR", "http://deb.debian.org/debian")
SECURITY_MIRROR = os.environ.get("PORTERO_DEBIAN_SECURITY_MIRROR", "http://deb.debian.org/debian-security")

HOOKS = Path(__file__).with_name("hooks")
INITRAMFS = Path(__file__).with_name("initramfs")

DPKG_OPTIONS = (
    # A file of ours at the place of a package's own must not make it ask: nobody could answer.
    "force-confdef",
    "force-confold",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)


def sources_list() -> str:
    """Where packages come from."""
    return "".join(
        f"deb {mirror} {suite} {COMPONENTS}\n"
        for mirror, suite in (
            (MIRROR, SUITE),
            (MIRROR, f"{SUITE}-updates"),
            (SECURITY_MIRROR, f"{SUITE}-security"),
            (MIRROR, f"{SUITE}-backports"),
        )
    )


def tree_key(parts: Sequence[Part]) -> str:
    """Changes when the tree has to be built anew: packages, modules, hooks, sources."""
    digest = hashlib.sha256()
    for field in ("packages", "modules", "backports"):
        digest.update(f"{field} {' '.join(sorted(joined(parts, field)))}\n".encode())
    digest.update(sources_list().encode())
    digest.update("\n".join(DPKG_OPTIONS).encode())
    for folder in (HOOKS, INITRAMFS):
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(file.relative_to(folder.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def build_tree(parts: Sequence[Part], cache: Path, *, epoch_s: int, fresh: bool = False) -> Path:
    """The tree's archive. Takes ten minutes when nothing is kept; root or an ordinary user with subordinate ids.

    fresh: build it although one is kept, for the newest packages. Raises: ImageError.
    """
    kept = cache / f"tree-{tree_key(parts)}.tar"
    if kept.exists() and not fresh:
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    need({"mmdebstrap": "mmdebstrap", "depmod": "kmod", "newuidmap": "uidmap"})
    check_foreign_programs_run()
    log = cache / "tree.log"
    print(f"image: building the Debian tree, which takes some ten minutes; its log is {log}", flush=True)
    began = time.monotonic()
    partial = kept.with_suffix(".partial")
    with tempfile.TemporaryDirectory() as scratch:
        # The hooks run as another user, who need not be able to read a checkout in somebody's home.
        place = Path(scratch)
        place.chmod(0o755)
        shutil.copytree(HOOKS, place / "hooks")
        shutil.copytree(INITRAMFS, place / "initramfs")
        subprocess.run(["chmod", "-R", "a+rX", str(place)], check=True)  # noqa: S603, S607
        sources = place / "sources.list"
        sources.write_text(sources_list())
        run(
            [
                "mmdebstrap",
                f"--mode={'root' if os.getuid() == 0 else 'unshare'}",
                "--variant=minbase",
                f"--architectures={ARCHITECTURE}",
                "--format=tar",
                f"--include={','.join(joined(parts, 'packages'))}",
                '--aptopt=APT::Install-Recommends "false"',
                *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
                f"--setup-hook={place}/hooks/setup",
                f"--essential-hook={place}/hooks/before",
                f"--customize-hook={place}/hooks/after",
                SUITE,
                partial,
                sources,
            ],
            env={
                "SOURCE_DATE_EPOCH": str(epoch_s),
                "PORTERO_SUITE": SUITE,
                "PORTERO_BACKPORTS": " ".join(joined(parts, "backports")),
                "PORTERO_MODULES": " ".join(joined(parts, "modules")),
                "PORTERO_INITRAMFS": str(place / "initramfs"),
                "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
                "TMPDIR": os.environ.get("TMPDIR", tempfile.gettempdir()),
            },
            log=log,
        )
    os.replace(partial, kept)
    print(f"image: tree built in {time.monotonic() - began:.0f} s: {kept}", flush=True)
    return kept


def check_foreign_programs_run() -> None:
    """Raises: ImageError when this machine cannot run programs of the board."""
    if os.uname().machine == "aarch64":
        return
    handler = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
    try:
        ready = "F" in next(line for line in handler.read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        ready = False
    if not ready:
        raise ImageError(
            "programs for the board do not run here yet. Install qemu-user-static; where that was not enough\n"
            "(no systemd), once after each start, as root:\n"
            "    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc\n"
            "    cat /usr/lib/binfmt.d/qemu-aarch64.conf > /proc/sys/fs/binfmt_misc/register"
        )
