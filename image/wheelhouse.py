"""The wheelhouse: everything a door's environment is made of, as wheels with hashes, built for the door's kind of machine.

`python -m image.wheelhouse arm64` (or amd64) fills build/wheelhouse/ARCH. A door installs from it without a network and without a
compiler: `pip install --no-index --find-links DIR --require-hashes -r DIR/requirements.txt`. What the package index has no wheel of
for this Python is compiled here, against libraries and headers of the very Debian that the image is made of.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec import Struct
from packaging.markers import Marker
from packaging.tags import Tag
from packaging.tags import compatible_tags as pure_tags
from packaging.tags import cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from image.command import need, run
from image.errors import ImageError
from image.sysroot import Sysroot, build_sysroot
from image.tools import Tools, build_tools
from image.wheel import check_machine, machine_of_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "pi.txt"
OURS = "portero"
PYTHON = (3, 13)
NEWEST_GLIBC = 41
"""The C library's minor version on a door: Debian 13 has 2.41."""

COMPILED = ("lgpio", "pyalsaaudio")
"""No wheel of these is published for a door's Python."""


class Locked(Struct, frozen=True):
    """One package of the lock: its version, and the hashes that its files may have."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{self.name}=={self.version} " + " ".join(f"--hash=sha256:{value}" for value in self.hashes)


def read_lock(text: str, machine: str) -> list[Locked]:
    """What a lock asks for on a door. machine: `aarch64` or `x86_64`."""
    environment = {
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_system": "Linux",
        "python_full_version": f"{PYTHON[0]}.{PYTHON[1]}.0",
        "python_version": f"{PYTHON[0]}.{PYTHON[1]}",
        "sys_platform": "linux",
    }
    found = []
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.M))
    for line in filter(None, (line.strip() for line in joined.splitlines())):
        requirement, *hashes = re.split(r"\s+--hash=sha256:", line)
        pinned, _, marker = requirement.partition(";")
        name, _, version = pinned.strip().partition("==")
        if not hashes or not version:
            raise ImageError(f"the lock has a line without version or hash: {line[:60]}")
        if not marker.strip() or Marker(marker.strip()).evaluate(environment):
            found.append(
                Locked(canonicalize_name(name), version.strip(), tuple(value.strip() for value in hashes))
            )
    return found


def platforms(machine: str) -> list[str]:
    """The platform tags whose wheels run on a door, best first."""
    modern = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, 16, -1)]
    return [*modern, f"manylinux2014_{machine}", f"linux_{machine}"]


def door_tags(machine: str) -> set[Tag]:
    """Every tag that a door's Python accepts."""
    names = platforms(machine)
    return {
        *cpython_tags(PYTHON, [f"cp{PYTHON[0]}{PYTHON[1]}"], names),
        *pure_tags(PYTHON, f"cp{PYTHON[0]}{PYTHON[1]}", names),
    }


def check_wheels(folder: Path, machine: str) -> list[Path]:
    """The wheels of a folder, sorted. Raises: ImageError about the first that does not belong on this kind of machine."""
    fitting = door_tags(machine)
    wheels = sorted(folder.glob("*.whl"))
    for wheel in wheels:
        _, _, _, tags = parse_wheel_filename(wheel.name)
        if not tags & fitting:
            kind = machine_of_name(wheel.name)
            found = f"is for {kind}" if kind and kind != machine else "is for another Python"
            raise ImageError(
                f"{wheel.name} {found}, and the door is {machine} with Python {PYTHON[0]}.{PYTHON[1]}: remove {wheel}"
            )
        check_machine(wheel, machine)
    return wheels


def requirements_of(wheels: Iterable[Path]) -> str:
    """The requirements file of these wheels: exact versions, exact files."""
    lines = []
    for wheel in wheels:
        name, version, _, _ = parse_wheel_filename(wheel.name)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    return "".join(sorted(lines))


class Wheelhouse:
    """One folder of wheels in the making."""

    def __init__(self, arch: str, *, build: Path, epoch_s: int) -> None:
        self.arch = arch
        self.machine = MACHINES[arch]
        self.folder = build / "wheelhouse" / arch
        self._cache = build / "image"
        self._env = {"SOURCE_DATE_EPOCH": str(epoch_s), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        self._sysroot: Sysroot | None = None
        self._tools: Tools | None = None

    def fill(self) -> bool:
        """Make what is missing. False: there was nothing to do. Raises: ImageError."""
        key = self._key()
        stamp = self.folder / "made-of"
        if stamp.exists() and stamp.read_text() == key and self._is_whole():
            return False
        locked = read_lock(LOCK.read_text(), self.machine)
        self.folder.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        self._drop_stale(locked)
        check_wheels(self.folder, self.machine)
        self._download([package for package in locked if not self._has(package)])
        for package in locked:
            if not self._has(package):
                self._compile(package)
        self._build_ours()
        wheels = check_wheels(self.folder, self.machine)
        (self.folder / "requirements.txt").write_text(requirements_of(wheels))
        stamp.write_text(key)
        return True

    def _key(self) -> str:
        digest = hashlib.sha256(f"{self.arch} {PYTHON}\n".encode())
        for file in [LOCK, *our_sources(), Path(__file__), Path(__file__).with_name("sysroot.py")]:
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
        return digest.hexdigest() + "\n"

    def _is_whole(self) -> bool:
        listed = self.folder / "requirements.txt"
        wheels = check_wheels(self.folder, self.machine)
        return listed.exists() and listed.read_text() == requirements_of(wheels)

    def _drop_stale(self, locked: Sequence[Locked]) -> None:
        wanted = {(package.name, package.version) for package in locked}
        for wheel in self.folder.glob("*.whl"):
            name, version, _, _ = parse_wheel_filename(wheel.name)
            if (name, str(version)) not in wanted or name == OURS:
                wheel.unlink()

    def _has(self, package: Locked) -> bool:
        for wheel in self.folder.glob("*.whl"):
            name, version, _, _ = parse_wheel_filename(wheel.name)
            if (name, str(version)) == (package.name, package.version):
                return True
        return False

    # ----- what is published -----

    def _download(self, packages: Sequence[Locked]) -> None:
        ready_made = [package for package in packages if package.name not in COMPILED]
        if not ready_made:
            return
        print(f"wheelhouse: fetching {len(ready_made)} packages for {self.machine}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            listed = Path(scratch) / "requirements.txt"
            listed.write_text("".join(f"{package.text}\n" for package in ready_made))
            run(
                [
                    *_pip("download"),
                    "--quiet",
                    "--no-deps",
                    "--require-hashes",
                    "--only-binary=:all:",
                    "--implementation=cp",
                    f"--python-version={PYTHON[0]}.{PYTHON[1]}",
                    f"--abi=cp{PYTHON[0]}{PYTHON[1]}",
                    "--abi=abi3",
                    "--abi=none",
                    *(f"--platform={name}" for name in platforms(self.machine)),
                    f"--dest={self.folder}",
                    f"--requirement={listed}",
                ],
                env=self._env,
            )

    def _source(self, package: Locked, scratch: Path) -> Path:
        listed = scratch / "requirements.txt"
        listed.write_text(package.text + "\n")
        # An import of the packages's own set-up happens only to learn its name: with what is here already.
        run(
            [
                *_pip("download"),
                "--quiet",
                "--no-deps",
                "--require-hashes",
                "--no-binary=:all:",
                "--no-build-isolation",
                f"--dest={scratch}",
                f"--requirement={listed}",
            ],
            env=self._env,
        )
        [archive] = scratch.glob("*.tar.gz")
        shutil.unpack_archive(archive, scratch / "source", filter="data")
        [folder] = (scratch / "source").iterdir()
        return folder

    # ----- what has to be compiled -----

    def _compile(self, package: Locked) -> None:
        print(f"wheelhouse: compiling {package.name} {package.version} for {self.machine}", flush=True)
        need({"swig": "swig"})
        with tempfile.TemporaryDirectory() as scratch:
            folder = self._source(package, Path(scratch))
            # The door's own Python version runs the set-up, so that names and tags are right; PYPI=1 makes lgpio bring its C
            # library along. The build tools come from the environment that runs us: they are pure Python.
            site = next(path for path in map(Path, sys.path) if (path / "setuptools").is_dir())
            self._need_trees().run_python(
                ["setup.py", "-q", "bdist_wheel", f"--plat-name=linux_{self.machine}", f"--dist-dir={scratch}/dist"],
                cwd=folder,
                env={
                    **self._env,
                    **self._compiler(folder),
                    "PYPI": "1",
                    "PYTHONPATH": f"{site}:{self._need_sysroot().python_data}",
                    "_PYTHON_SYSCONFIGDATA_NAME": self._need_sysroot().python_data_name,
                },
            )
            self._take(Path(scratch) / "dist")

    def _build_ours(self) -> None:
        print(f"wheelhouse: building {OURS} for {self.machine}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "source"
            for file in our_sources():
                place = folder / file.relative_to(ROOT)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
            run(
                [sys.executable, "setup.py", "-q", "bdist_wheel", f"--plat-name=linux_{self.machine}"]
                + [f"--dist-dir={scratch}/dist"],
                cwd=folder,
                env={**self._env, **self._compiler(folder)},
            )
            self._take(Path(scratch) / "dist")

    def _take(self, dist: Path) -> None:
        [wheel] = dist.glob("*.whl")
        check_machine(wheel, self.machine)
        shutil.move(wheel, self.folder / wheel.name)

    def _compiler(self, folder: Path) -> dict[str, str]:
        return self._need_sysroot().compiler(f"-O2 -g0 -fPIC -ffile-prefix-map={folder}=.")

    def _need_sysroot(self) -> Sysroot:
        self._sysroot = self._sysroot or build_sysroot(self.arch, self._cache)
        return self._sysroot

    def _need_trees(self) -> Tools:
        self._tools = self._tools or build_tools(self._cache)
        return self._tools


MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}


def our_sources() -> list[Path]:
    """What our own wheel is made of."""
    files = [ROOT / name for name in ("pyproject.toml", "setup.py", "README.md", "MANIFEST.in", "CHANGELOG.md")]
    for folder in ("agent", "hw", "native"):
        files += (ROOT / folder).rglob("*")
    return sorted(
        path
        for path in files
        if path.is_file()
        and not {"__pycache__", "build", "fuzz", "tests"} & set(path.relative_to(ROOT).parts)
        and path.suffix not in {".so", ".pyc", ".o"}
        and path.name != "_voice.c"
    )


def _pip(command: str) -> list[str]:
    return [sys.executable, "-m", "pip", command]


def epoch() -> int:
    """The time that built things bear: $SOURCE_DATE_EPOCH, or that of the last commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given) if given else int(run(["git", "-C", ROOT, "log", "-1", "--format=%ct"]))


def main(arguments: Sequence[str], tell: Callable[[str], None] = print) -> int:
    """Exit status 1 with a sentence when it cannot be done."""
    if len(arguments) != 1 or arguments[0] not in MACHINES:
        tell("usage: python -m image.wheelhouse arm64|amd64")
        return 2
    began = time.monotonic()
    house = Wheelhouse(arguments[0], build=ROOT / "build", epoch_s=epoch())
    try:
        made = house.fill()
    except ImageError as error:
        tell(f"wheelhouse: {error}")
        return 1
    if made:
        count = len(list(house.folder.glob("*.whl")))
        tell(f"wheelhouse: {count} wheels in {house.folder} after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
