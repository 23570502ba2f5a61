"""The rules that no single module can keep: names, places, sizes, locks, and what is written about them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import agent

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "hw", "native")
MAX_LINES = 500
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

# Tests without a module of their name, each with the reason.
NOT_MIRRORED = {
    "tests/test_house.py": "the whole tree",
    "tests/native/test_build.py": "the compiled extension, and what a wheel holds",
    "tests/agent/workers/zmes/test_transcripts.py": "recorded conversations, through every codec",
}
NOT_MIRRORED_FOLDERS = (
    "tests/flows/",  # from the button to the peer and back, through everything
    "tests/support/",  # not tests
)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def tracked_files() -> list[Path]:
    """What a commit holds or would hold: git's own files and the new ones that it does not ignore."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def pins(lock: Path) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


# ----- names -----


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_provides_our_import_names(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"portero"}
    # An import looks along sys.path in order: nothing else there may answer to the name.
    places = {Path(entry or ".").resolve() for entry in sys.path}
    others = [place for place in places if place != ROOT and list(place.glob(f"{name}.py"))]
    others += [place for place in places if place != ROOT and (place / name).is_dir()]
    assert others == []


def test_the_version_is_said_once() -> None:
    assert agent.__version__ == project()["project"]["version"]


# ----- places and sizes -----


def mirrored(path: Path) -> bool:
    """True for the test file of a module, or of one aspect of it: test_client.py, test_client_sockets.py."""
    folder = ROOT / path.parent.relative_to(ROOT / "tests")
    words = path.stem.removeprefix("test_").split("_")
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    return any(
        (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file() for name in names
    )


def test_every_test_file_has_the_name_of_its_module() -> None:
    orphans = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in NOT_MIRRORED and not name.startswith(NOT_MIRRORED_FOLDERS) and not mirrored(path):
            orphans.append(name)
    assert orphans == []


def test_exceptions_to_the_mirror_are_still_there() -> None:
    assert [name for name in NOT_MIRRORED if not (ROOT / name).is_file()] == []


def test_no_test_folder_is_a_package() -> None:
    # With an __init__.py there, tests/native would stand in for native.
    packages = [path for path in (ROOT / "tests").rglob("__init__.py") if "support" not in path.parts]
    assert packages == []


def test_no_source_file_is_too_long_to_read() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for package in PACKAGES
        for pattern in ("*.py", "*.c", "*.h")
        for path in (ROOT / package).rglob(pattern)
        if "build" not in path.parts and (lines := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}


def test_every_module_of_the_agent_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = [path.name for path in (ROOT / "agent").iterdir() if path.suffix == ".py" or path.is_dir()]
    names = [f"{name}/" if "." not in name else name for name in modules]
    missing = [name for name in names if name not in text and not name.startswith("__")]
    assert missing == []


def test_nothing_names_the_machine_it_was_written_on() -> None:
    forbidden = [str(ROOT), str(Path.home()) + "/", "/".join(("..", "shared"))]
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in tracked_files()
        for word in forbidden
        if word.encode() in path.read_bytes()
    ]
    assert found == []


# ----- locks -----


def test_locks_hold_hashes_and_no_address() -> None:
    assert {lock.name for lock in LOCKS} >= {"runtime.txt", "dev.txt", "pi.txt", "build.txt", "interop.txt"}
    for lock in LOCKS:
        text = lock.read_text()
        assert (
            re.search(r"://|^\s*(-i|-f|-e|--index|--extra-index|--find-links|--trusted)", text, re.M) is None
        )
        for requirement in re.split(r"\n(?=[A-Za-z])", re.sub(r"^#.*\n", "", text, flags=re.M)):
            assert re.match(r"\S+==\S+", requirement), f"{lock.name}: not pinned: {requirement[:80]}"
            assert "--hash=sha256:" in requirement, f"{lock.name}: no hash: {requirement[:80]}"


def test_locks_agree_with_one_another() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in pins(lock).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt", "pi.txt", "build.txt"])
def test_locks_fit_the_ranges_of_the_project(lock: str) -> None:
    metadata = project()
    wanted = {
        "runtime.txt": metadata["project"]["dependencies"],
        "dev.txt": metadata["project"]["dependencies"] + metadata["dependency-groups"]["dev"],
        "pi.txt": metadata["project"]["dependencies"] + metadata["project"]["optional-dependencies"]["pi"],
        "build.txt": metadata["build-system"]["requires"],
    }[lock]
    locked = pins(ROOT / "requirements" / lock)
    for text in wanted:
        requirement = Requirement(text)
        assert requirement.name in locked, f"{requirement.name} is not in {lock}: make lock"
        assert requirement.specifier.contains(locked[requirement.name]), f"{text} in {lock}: make lock"


# ----- scripts and make -----


def shell_scripts() -> list[Path]:
    return [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci" / "run"]


@pytest.mark.parametrize("script", shell_scripts(), ids=lambda path: path.name)
def test_shell_scripts_are_sound_and_can_be_started(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert script.stat().st_mode & 0o111
    assert re.search(r"^set -e?uo pipefail$", script.read_text(), re.MULTILINE)


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


def test_make_help_tells_every_target() -> None:
    told = subprocess.run(["make", "-s", "-C", str(ROOT), "help"], check=True, capture_output=True, text=True)
    documented = set(re.findall(r"^ +make (\S+) +\S", told.stdout, re.MULTILINE))
    assert documented == make_targets()
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == make_targets()


# ----- what is written -----


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_documents_name_only_targets_that_make_knows(document: Path) -> None:
    commands = re.findall(r"(?:`|\$ )make ([a-z][a-z-]*)", document.read_text())
    assert set(commands) <= make_targets()


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()
