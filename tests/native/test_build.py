"""The wheel, built as a device's wheelhouse builds it: from an sdist, without network or build isolation."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "agent", "hw", "native")
NOT_SOURCES = shutil.ignore_patterns("*.so", "__pycache__", "build", "*.egg-info")
BUILD_TIMEOUT_S = 300

SPEAK = """
import sys
import native
from native import Codec
assert native.__file__.startswith(sys.argv[1]), native.__file__
codec = Codec()
header, pcm = codec.decode_packet(codec.encode_packet(7, 8, bytes(codec.frame_bytes)))
assert (header.stream_id, header.packet_id, len(pcm)) == (7, 8, 640)
"""


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> None:
    result = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist of a copy of the tree: a build leaves files behind, and ours may hold some of an older one."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed here")
    tree = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=NOT_SOURCES)
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, tree / name)
    build = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    run(sys.executable, "-c", build, cwd=tree)
    (archive,) = (tree / "dist").glob("portero-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = tmp_path_factory.mktemp("wheelhouse")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel")
    run(*pip, "--no-index", "--no-build-isolation", "--no-deps", "-w", house, sdist, cwd=house)
    (archive,) = house.glob("*.whl")
    return archive


def test_sdist_has_all_that_builds_and_tests_the_c_library(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    here = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "native").rglob("*")
        if path.is_file()
        and path.suffix not in {".so", ".pyc"}
        and "build" not in path.relative_to(ROOT).parts[:-1]
    }
    assert here - packed == set()
    assert not [name for name in packed if name.endswith(".so") or name.startswith("native/build/")]


def test_wheel_serves_python_3_11_and_later(wheel: Path) -> None:
    name, _version, python, abi, platform = wheel.stem.split("-")
    assert (name, python, abi) == ("portero", "cp311", "abi3")
    assert platform.startswith("linux_")


def test_wheel_holds_the_extension_and_no_c(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "native/_voice.abi3.so" in names
    assert not [name for name in names if name.endswith((".c", ".h", ".o", "Makefile"))]
    assert not [name for name in names if name.startswith(("native/tests/", "native/fuzz/", "tests/"))]


def test_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--no-index", "--no-deps", "--target", site, wheel, cwd=tmp_path)
    run(sys.executable, "-c", SPEAK, str(site), cwd=tmp_path, env={"PYTHONPATH": str(site)})


def test_extension_exports_nothing_but_its_entry(wheel: Path, tmp_path: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed here")
    with zipfile.ZipFile(wheel) as archive:
        extension = archive.extract("native/_voice.abi3.so", tmp_path)
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", extension], capture_output=True, text=True, check=True
    ).stdout
    exported = {line.split()[-1] for line in listing.splitlines()}
    assert exported <= {"PyInit__voice", "_cffi_pypyinit__voice", "_init", "_fini"}
