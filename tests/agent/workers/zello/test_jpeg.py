from __future__ import annotations

import sys
import time

import pytest
from harness.jpegs import bare_jpeg, real_jpeg, segment
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.zello.jpeg import MAX_STEPS, is_whole, jpeg_size, shrink

SOI = b"\xff\xd8"
FRAME = b"\x08\x01\xe0\x02\x80\x01\x01\x11\x00"  # 640 by 480


@pytest.mark.parametrize(
    "data",
    [
        SOI + segment(0xC0, FRAME),
        SOI + segment(0xC2, FRAME),
        SOI + segment(0xCF, FRAME),
        SOI + segment(0xE0, b"JFIF\0") + segment(0xDB, b"q" * 65) + segment(0xC0, FRAME),
        SOI + segment(0xE1, b"\xff\xc0" + b"\0" * 20) + segment(0xC0, FRAME),
        SOI + segment(0xC4, FRAME[::-1]) + segment(0xC0, FRAME),
        SOI + b"\xff\xff\xff" + segment(0xC0, FRAME),
        SOI + b"\xff\x01\xff\xd0" + segment(0xC1, FRAME),
    ],
    ids=[
        "baseline",
        "progressive",
        "last kind",
        "tables first",
        "marker in a comment",
        "huffman first",
        "fill",
        "alone",
    ],
)
def test_the_size(data: bytes) -> None:
    assert jpeg_size(data) == (640, 480)


def test_the_size_of_real_ones() -> None:
    assert jpeg_size(real_jpeg(200, 100)) == (200, 100)
    assert jpeg_size(bare_jpeg(5, 7)) == (5, 7)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        SOI,
        b"\x89PNG\r\n\x1a\n",
        b"<html>",
        SOI + b"\xff",
        SOI + b"\xff\xc0",
        SOI + b"\xff\xc0\x00",
        SOI + b"\xff\xc0\x00\x01" + FRAME,
        SOI + segment(0xC0, FRAME[:5]),
        SOI + segment(0xC0, b"\x08\x00\x00\x02\x80\x01"),
        SOI + segment(0xC0, b"\x08\x01\xe0\x00\x00\x01"),
        SOI + segment(0xDA, b"") + segment(0xC0, FRAME),
        SOI + b"\xff\xd9" + segment(0xC0, FRAME),
        SOI + b"\xff\x00" + segment(0xC0, FRAME),
        SOI + segment(0xE0, b"x") + b"\x00" + segment(0xC0, FRAME),
        SOI + segment(0xE0, b"x" * 10)[:-3],
        SOI + segment(0xC4, FRAME) + segment(0xC8, FRAME) + segment(0xCC, FRAME),
    ],
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        jpeg_size(data)


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\xd0", b"\xff\xe0\x00\x02"])
def test_no_picture_keeps_us_busy(filler: bytes) -> None:
    data = SOI + filler * (2 * 1024 * 1024 // len(filler)) + segment(0xC0, FRAME)
    began = time.perf_counter()
    with pytest.raises(MalformedMessage):
        jpeg_size(data)
    assert time.perf_counter() - began < 0.5
    assert jpeg_size(SOI + filler * (MAX_STEPS - 1) + segment(0xC0, FRAME)) == (640, 480)


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(st.builds(segment, st.integers(0, 255), st.binary(max_size=9)), max_size=4).map(b"".join),
    )
)
def test_any_bytes(data: bytes) -> None:
    for candidate in (data, SOI + data):
        try:
            width, height = jpeg_size(candidate)
        except MalformedMessage:
            continue
        assert 0 < width < 65_536
        assert 0 < height < 65_536


@settings(deadline=None)
@given(st.integers(1, 65_535), st.integers(1, 65_535))
def test_any_size(width: int, height: int) -> None:
    assert jpeg_size(bare_jpeg(width, height)) == (width, height)


def test_whether_it_is_whole() -> None:
    assert is_whole(real_jpeg())
    assert is_whole(real_jpeg() + b"\0\0")
    assert not is_whole(real_jpeg()[:-2])
    assert not is_whole(b"")


def test_a_smaller_copy() -> None:
    data = real_jpeg(1920, 1080)
    small = shrink(data, side_px=180, max_bytes=32 * 1024)
    assert jpeg_size(small) == (180, 101)
    assert len(small) <= 32 * 1024
    assert is_whole(small)


def test_it_never_grows() -> None:
    assert jpeg_size(shrink(real_jpeg(40, 30), side_px=180, max_bytes=32 * 1024)) == (40, 30)


def test_it_gets_coarser_until_it_fits() -> None:
    data = real_jpeg(400, 400, noise=True, quality=95)
    assert len(shrink(data, side_px=400, max_bytes=60_000)) <= 60_000
    with pytest.raises(MalformedMessage, match="fit"):
        shrink(data, side_px=400, max_bytes=1000)


@pytest.mark.parametrize(
    "data",
    [bare_jpeg(64, 64), bare_jpeg(40_000, 40_000), real_jpeg(200, 200, noise=True)[:700], b"no picture"],
    ids=["bones", "a bomb", "cut short", "text"],
)
def test_what_cannot_be_shrunk(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        shrink(data, side_px=180, max_bytes=32 * 1024)


def test_a_bomb_is_not_unpacked() -> None:
    data = real_jpeg(64, 48)
    frame = data.index(b"\xff\xc0") + 5
    huge = data[:frame] + b"\x20\x00\x20\x00" + data[frame + 4 :]
    assert jpeg_size(huge) == (8192, 8192)
    with pytest.raises(MalformedMessage, match="pixels"):
        shrink(huge, side_px=180, max_bytes=32 * 1024)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_any_damage(at: int, damage: bytes) -> None:
    data = bytearray(real_jpeg(64, 48, noise=True))
    at %= len(data) - len(damage)
    data[at : at + len(damage)] = damage
    try:
        shrink(bytes(data), side_px=32, max_bytes=32 * 1024)
    except MalformedMessage:
        pass


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError):
        shrink(real_jpeg_before_it_was_taken_away, side_px=10, max_bytes=1000)


real_jpeg_before_it_was_taken_away = real_jpeg()


@pytest.mark.parametrize("side_px", [9_000, 65_535])
def test_a_picture_that_tells_two_sizes_is_not_unpacked(side_px: int) -> None:
    picture = real_jpeg()
    at = picture.index(b"\xff\xc0")
    end = at + 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
    larger = picture[at : at + 5] + 2 * side_px.to_bytes(2, "big") + picture[at + 9 : end]
    with pytest.raises(MalformedMessage):
        shrink(picture[:end] + larger + picture[end:], side_px=180, max_bytes=32_768)
