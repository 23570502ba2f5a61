"""The parts of the image: one folder per concern, with a `part.toml` that says what it adds and a `root/` that is laid over the tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from image.errors import ImageError

FOLDER = Path(__file__).with_name("parts")


class Account(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account or group of the system, with a fixed number: what it owns on /data outlives the image.

    is_group: only a group.
    """

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")]
    number: Annotated[int, Meta(ge=100, le=999)]
    is_group: bool = False
    home: str = "/nonexistent"
    groups: tuple[str, ...] = ()


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One concern.

    packages, modules, backports: go into the tree. modules: of the first file system. backports: patterns of package names.
    wants: unit that starts others -> the others. masked: units that never start.
    links: path -> where it points. folders: empty ones. modes: path -> octal mode, for what is not 0644.
    removed: what is taken out of the tree again; a name that ends with / is a whole folder.
    """

    name: str
    version: str
    summary: str
    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    backports: tuple[str, ...] = ()
    wants: dict[str, tuple[str, ...]] = {}
    masked: tuple[str, ...] = ()
    links: dict[str, str] = {}
    folders: tuple[str, ...] = ()
    modes: dict[str, Annotated[str, Meta(pattern="^0[0-7]{3}$")]] = {}
    removed: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()
    folder: str = ""

    def files(self) -> Iterator[tuple[str, Path]]:
        """(path in the image, file here), sorted."""
        root = Path(self.folder) / "root"
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(root).as_posix(), path


def load_parts(folder: Path = FOLDER) -> list[Part]:
    """All parts, by name. Raises: ImageError that names the file and the place in it."""
    parts = []
    for file in sorted(folder.glob("*/part.toml")):
        try:
            part = msgspec.toml.decode(file.read_bytes(), type=Part)
        except msgspec.DecodeError as error:
            raise ImageError(f"{file}: {error}") from error
        if part.name != file.parent.name:
            raise ImageError(f"{file}: the part is called {part.name!r}, its folder {file.parent.name!r}")
        parts.append(msgspec.structs.replace(part, folder=str(file.parent)))
    _check_single_owner(parts)
    return parts


def joined(parts: Sequence[Part], field: str) -> list[str]:
    """What all parts list in one field, each once, in order of the parts."""
    return list(dict.fromkeys(item for part in parts for item in getattr(part, field)))


def _check_single_owner(parts: Sequence[Part]) -> None:
    owners: dict[str, str] = {}
    for part in parts:
        for path in [path for path, _ in part.files()] + list(part.links):
            if path in owners:
                raise ImageError(f"{path} comes from two parts: {owners[path]} and {part.name}")
            owners[path] = part.name
    for part in parts:
        unknown = [path for path in part.modes if owners.get(path) != part.name]
        if unknown:
            raise ImageError(f"part {part.name} gives a mode to {', '.join(unknown)}, which it does not add")
