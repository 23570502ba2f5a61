"""Key files, good and bad."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.entrance import sheet
from agent.entrance.sheet import MAX_CELL_CHARS, MAX_ROWS, Row, read
from agent.model.errors import MalformedMessage


def xlsx(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


GOOD = xlsx(["Key", "Flat", "User"], ["62E3086CED", 12, "ana"], ["7BB26E", 13, "ben"])


def refused(content: bytes) -> str:
    with pytest.raises(MalformedMessage) as caught:
        read(content)
    return caught.value.reason


def test_a_workbook() -> None:
    assert read(GOOD) == [
        Row(2, {"number": "62E3086CED", "flat": "12", "holder": "ana"}),
        Row(3, {"number": "7BB26E", "flat": "13", "holder": "ben"}),
    ]


def test_titles_russian_headers_and_holes() -> None:
    rows = read(
        xlsx(["Домофон 1"], [], ["Квартира", None, "Ключ", "Пользователь", "Действует до", "x"], [],
             [1.0, None, 12345678, "Анна", datetime.fromisoformat("2026-12-31T10:00"), "?"],
             [None, None, "7BB26E"])
    )  # fmt: skip
    assert rows == [
        Row(5, {"flat": "1", "number": "12345678", "holder": "Анна", "until": "2026-12-31 10:00"}),
        Row(6, {"number": "7BB26E"}),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "1"), (1.5, "1.5"), (12345678.0, "12345678"), (date(2026, 1, 2), "2026-01-02"), (" x ", "x")],
)
def test_cells(value: object, text: str) -> None:
    rows = read(xlsx(["key", "name"], ["7BB26E", value]))
    assert rows[0].cells["holder"].startswith(text)


def test_formulas_are_not_computed() -> None:
    rows = read(
        xlsx(["key", "name"], ["=A1", "ana"], ["7BB26E", '=HYPERLINK("http://evil")'], ["7BB26E", "x"])
    )
    assert [row.problem for row in rows] == [
        "number is a formula, expected a value", "holder is a formula, expected a value", "",
    ]  # fmt: skip


def test_rows_that_are_no_key() -> None:
    rows = read(xlsx(["key", "code", "name"], [None, None, "ana"], ["x" * 300, None, "ben"]))
    assert [row.problem for row in rows] == [
        "neither a key nor a code", f"number is longer than {MAX_CELL_CHARS} characters",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["key;name\n7BB26E;ana\n", "key,name\r\n7BB26E,ana", "\ufeffkey\tname\n7BB26E\tana"]
)
def test_text_files(text: str) -> None:
    assert read(text.encode()) == [Row(2, {"number": "7BB26E", "holder": "ana"})]


def test_an_old_russian_text_file() -> None:
    assert read("Ключ;Имя\n7BB26E;Анна\n".encode("cp1251")) == [
        Row(2, {"number": "7BB26E", "holder": "Анна"})
    ]


def test_a_formula_in_a_text_file() -> None:
    assert "formula" in read(b"key,name\n7BB26E,=1+1\n")[0].problem


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected a row of headers"),
        (xlsx(["Name", "Phone"], ["ana", "1"]), "found Name, Phone"),
        (b"a,b\n1,2\n", "found a, b"),
        (b"\xd0\xcf\x11\xe0xxxx", "old or encrypted"),
        (b"key\n\0", "neither a workbook nor text"),
        (b'key,name\n"7BB26E,ana\n', "no table"),
        (b"PK\x03\x04" + b"x" * 100, "no whole workbook"),
        (b"x" * (sheet.MAX_FILE_BYTES + 1), "larger than 8 MiB"),
    ],
)
def test_what_is_no_key_file(content: bytes, reason: str) -> None:
    assert reason in refused(content)


def test_too_many_rows() -> None:
    assert "more than 50000 rows" in refused(b"key\n" + b"7BB26E\n" * (MAX_ROWS + 1))


def packed(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), data)
    return file.getvalue()


def test_a_zip_bomb_is_not_unpacked() -> None:
    assert "zip bomb" in refused(packed(xl__sheet1_xml=bytes(20 << 20)))
    assert "unpacks to more" in refused(packed(**{f"p{n}": bytes(30 << 20) for n in range(4)}))
    assert "more than 256 parts" in refused(packed(**{f"p{n}": b"" for n in range(300)}))


def test_what_has_no_business_in_a_key_file() -> None:
    assert "macros" in refused(packed(xl__vbaProject_bin=b"x"))
    assert "links to other files" in refused(packed(xl__externalLinks__a_xml=b"x"))
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    assert "document type" in refused(packed(xl__workbook_xml=bomb))


def test_cut_off_anywhere_it_is_refused() -> None:
    for length in range(4, len(GOOD) - 1, 97):
        assert refused(GOOD[:length])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_any_damage(place: int, damage: bytes) -> None:
    content = GOOD[:place] + damage + GOOD[place + len(damage) :]
    try:
        rows = read(content)
    except MalformedMessage:
        return
    assert all(isinstance(row, Row) for row in rows)


@given(
    st.binary(max_size=400)
    | st.text(max_size=200).map(lambda text: b"key,name\n" + text.encode("utf-8", "replace"))
)
def test_any_bytes(content: bytes) -> None:
    try:
        rows = read(content)
    except MalformedMessage:
        return
    assert all(row.problem or row.cells for row in rows)
