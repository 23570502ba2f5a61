"""Small trees of the door's Debian beside the image: unpacked packages, owned by whoever builds, kept by what is in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from image.command import need, run
from image.tree import MIRROR, SUITE


def unpacked(name: str, arch: str, packages: Sequence[str], cache: Path) -> Path:
    """The folder of a tree of these packages and what they need; nothing of them was set up. Raises: ImageError."""
    key = hashlib.sha256(f"{arch} {SUITE} {' '.join(packages)}".encode()).hexdigest()[:12]
    kept = (cache / f"{name}-{key}").absolute()
    if kept.exists():
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    need({"mmdebstrap": "mmdebstrap", "newuidmap": "uidmap"})
    print(f"image: unpacking packages of {SUITE} for {arch}: {' '.join(packages)}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        archive = Path(scratch) / "tree.tar"
        run(
            [
                "mmdebstrap",
                f"--mode={'root' if os.getuid() == 0 else 'unshare'}",
                "--variant=extract",
                f"--architectures={arch}",
                "--format=tar",
                f"--include={','.join(packages)}",
                "--skip=check/qemu",
                SUITE,
                archive,
                MIRROR,
            ],
            log=cache / f"{name}.log",
        )
        folder = Path(scratch) / "tree"
        with tarfile.open(archive) as tar:
            members = (member for member in tar if not member.isdev())
            tar.extractall(folder, members, filter="tar")
        shutil.rmtree(folder / "dev", ignore_errors=True)
        # Linker scripts and links in packages name /lib; a tree that was only unpacked has no such link.
        for name in ("bin", "lib", "lib64", "sbin"):
            if not (folder / name).exists() and (folder / "usr" / name).is_dir():
                (folder / name).symlink_to(f"usr/{name}")
        os.replace(folder, kept)
    print(f"image: {kept.name} after {time.monotonic() - began:.0f} s", flush=True)
    return kept
