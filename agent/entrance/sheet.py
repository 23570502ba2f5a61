"""What stands in a key file (.xlsx by openpyxl, or .csv), as rows of text. Bounded in everything.

Runs in a process of its own (`sheet_child`): a file of strangers shall cost the door neither memory nor time.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from agent.model.errors import MalformedMessage

MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_UNPACKED_BYTES = 96 * 1024 * 1024
MAX_RATIO = 150  # of a part over a megabyte; sheets of text have about ten
MAX_PARTS = 256
MAX_ROWS = 50_000
MAX_COLUMNS = 64
MAX_CELL_CHARS = 256
HEADER_ROWS = 20  # titles may stand above it
Field = Literal["number", "code", "holder", "flat", "from", "until", "schedule"]

# Header, in lower case, to what it means; English, and Russian as the VMS exports have it.
COLUMNS: dict[str, Field] = {
    **dict.fromkeys(
        ("key", "keys", "tag", "card", "uid", "key number", "tag number", "card number", "identifier",
         "ключ", "ключи", "номер ключа", "метка", "карта", "идентификатор"), "number",
    ),
    **dict.fromkeys(("code", "pin", "access code", "код", "пин", "код доступа"), "code"),
    **dict.fromkeys(
        ("user", "holder", "name", "resident", "owner", "login", "пользователь", "владелец", "фио", "житель",
         "логин", "имя"), "holder",
    ),
    **dict.fromkeys(("flat", "apartment", "unit", "квартира", "кв", "кв.", "помещение"), "flat"),
    **dict.fromkeys(("valid from", "from", "begin", "действует с", "с", "начало"), "from"),
    **dict.fromkeys(
        ("valid until", "until", "valid to", "expires", "end", "действует до", "до", "по", "окончание"),
        "until",
    ),
    **dict.fromkeys(("schedule", "hours", "расписание"), "schedule"),
}  # fmt: skip


class Row(Struct, frozen=True, array_like=True):
    """One row below the header. number: as a spreadsheet counts it. problem: why it cannot be used."""

    number: int
    cells: dict[str, str]
    problem: str = ""


def read(content: bytes) -> list[Row]:
    """The rows of a key file. Raises: MalformedMessage, and nothing else for any bytes."""
    if len(content) > MAX_FILE_BYTES:
        raise MalformedMessage("file", f"larger than {MAX_FILE_BYTES >> 20} MiB")
    if content[:4] == b"PK\x03\x04":
        return _rows(_of_xlsx(content))
    if content[:4] == b"\xd0\xcf\x11\xe0":
        raise MalformedMessage("file", "an old or encrypted Excel file: save it as .xlsx or .csv")
    return _rows(_of_csv(content))


def _of_xlsx(content: bytes) -> Iterator[list[str]]:
    """The cells of the first sheet, row by row. Raises: MalformedMessage."""
    _check_parts(content)
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        try:
            sheet = next((one for one in book.worksheets if one.sheet_state == "visible"), None)
            if sheet is None:
                raise MalformedMessage("file", "has no sheet")
            for row in sheet.iter_rows(max_col=MAX_COLUMNS, max_row=MAX_ROWS + HEADER_ROWS + 1):
                yield [_formula if cell.data_type == "f" else _text(cell.value) for cell in row]
        finally:
            book.close()
    except MalformedMessage:
        raise
    except MemoryError as error:
        raise MalformedMessage("file", "needs more memory than it is given") from error
    except Exception as error:
        raise MalformedMessage(
            "file", f"is no workbook: {type(error).__name__}: {str(error)[:100]}"
        ) from error


_formula = "=formula"


def _check_parts(content: bytes) -> None:
    """The directory of the archive, before anything is unpacked. Raises: MalformedMessage."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if len(parts) > MAX_PARTS:
                raise MalformedMessage("file", f"more than {MAX_PARTS} parts")
            if sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
                raise MalformedMessage("file", f"unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB")
            for part in parts:
                name = part.filename.lower()
                if part.flag_bits & 1:
                    raise MalformedMessage("file", "is encrypted")
                if part.file_size > 1 << 20 and part.file_size > MAX_RATIO * max(part.compress_size, 1):
                    raise MalformedMessage("file", "is packed tighter than any sheet: a zip bomb?")
                if "vbaproject" in name or "externallink" in name:
                    raise MalformedMessage("file", "has macros or links to other files: save it without")
                if name.endswith((".xml", ".rels")):
                    with archive.open(part) as opened:
                        if b"<!" in opened.read(2048).replace(b"<!--", b""):
                            raise MalformedMessage("file", "has a document type, which no sheet has")
    except MalformedMessage:
        raise
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, OSError, EOFError) as error:
        raise MalformedMessage("file", f"is no whole workbook: {str(error)[:100]}") from error
    except (ValueError, RuntimeError, OverflowError, UnicodeError) as error:
        raise MalformedMessage("file", f"is no workbook: {type(error).__name__}") from error
    except Exception as error:
        raise MalformedMessage("file", f"is no workbook: {type(error).__name__}") from error


def _of_csv(content: bytes) -> Iterator[list[str]]:
    """Raises: MalformedMessage."""
    if b"\0" in content:
        raise MalformedMessage("file", "neither a workbook nor text")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1251", "replace")
    head = text[:4096]
    delimiter = max(";\t,", key=head.count)
    csv.field_size_limit(16 * MAX_CELL_CHARS)
    try:
        for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True):
            yield [_formula if cell.startswith("=") else cell.strip() for cell in row[:MAX_COLUMNS]]
    except csv.Error as error:
        raise MalformedMessage("file", f"is no table: {error}") from error


def _rows(lines: Iterable[list[str]]) -> list[Row]:
    """Raises: MalformedMessage."""
    header: dict[int, Field] = {}
    seen: list[str] = []
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        if not header:
            header = _header(line)
            seen = seen or [cell for cell in line if cell]
            if not header and number > HEADER_ROWS:
                break
            continue
        if not any(line):
            continue
        if len(rows) >= MAX_ROWS:
            raise MalformedMessage("file", f"more than {MAX_ROWS} rows")
        rows.append(_row(number, line, header))
    if not header:
        found = ", ".join(cell[:20] for cell in seen[:8]) or "nothing"
        raise MalformedMessage(
            "file", f"expected a row of headers with `key` or `code` (ключ, код), found {found}"
        )
    return rows


def _header(line: list[str]) -> dict[int, Field]:
    """Which column means what; empty for a row that is no header."""
    found: dict[int, Field] = {}
    for column, cell in enumerate(line):
        meaning = COLUMNS.get(" ".join(cell.lower().replace("_", " ").split()))
        if meaning is not None and meaning not in found.values():
            found[column] = meaning
    return found if "number" in found.values() or "code" in found.values() else {}


def _row(number: int, line: list[str], header: dict[int, Field]) -> Row:
    cells: dict[str, str] = {}
    for column, meaning in header.items():
        cell = line[column] if column < len(line) else ""
        if cell == _formula:
            return Row(number, {}, f"{meaning} is a formula, expected a value")
        if len(cell) > MAX_CELL_CHARS:
            return Row(number, {}, f"{meaning} is longer than {MAX_CELL_CHARS} characters")
        if cell:
            cells[meaning] = cell
    if "number" not in cells and "code" not in cells:
        return Row(number, {}, "neither a key nor a code")
    return Row(number, cells)


def _text(value: object) -> str:
    """A cell as text: whole numbers without a point, times in ISO form."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime():
            return value.isoformat(" ", "minutes")
        case date():
            return value.isoformat()
        case str():
            return value.strip()[: MAX_CELL_CHARS + 1]
        case _:
            return str(value)[: MAX_CELL_CHARS + 1]
