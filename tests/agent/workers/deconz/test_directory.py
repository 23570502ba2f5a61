from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage, PeerError
from agent.workers.deconz.directory import (
    FILE,
    GATEWAY,
    MAX_NAME_CHARS,
    MAX_NUMBER,
    Directory,
    Stored,
    clean_name,
    decode_directory,
    load_directory,
    new_directory,
    store_directory,
)

UUID = "2ebd2dac-f97e-4ae7-934b-b791dfe4571c"


def directory() -> Directory:
    return Directory(Stored(mac="a2b8bb07bf8f", uuid=UUID))


def test_addresses_and_ids() -> None:
    book = directory()
    assert book.address(GATEWAY) == "a2:b8:bb:07:bf:8f:00:00"
    assert book.address("bell") == "a2:b8:bb:07:bf:8f:00:01"
    assert book.address("siren") == "a2:b8:bb:07:bf:8f:00:02"
    assert book.address("bell") == "a2:b8:bb:07:bf:8f:00:01"
    assert (book.id("sensors", "bell"), book.id("lights", "siren")) == ("1", "1")
    assert book.id("sensors", "strike") == "2"


def test_the_bridge_id() -> None:
    assert directory().bridge_id(None) == "A2B8BBFFFF07BF8F"
    assert directory().bridge_id("00212e") == "00212EFFFF07BF8F"


def test_numbers_are_stable_and_never_given_twice() -> None:
    book = directory()
    for name in ("bell", "window", "strike"):
        assert book.id("sensors", name)
    # The window is gone, something new comes, the window comes back.
    again = Directory(decode_directory(book.to_bytes()))
    assert again.id("sensors", "bell") == "1"
    assert again.id("sensors", "motion") == "4"
    assert again.id("sensors", "window") == "2"


def test_names_and_the_choice_of_clients_are_kept() -> None:
    changes: list[bool] = []
    book = directory()
    book.changed = lambda: changes.append(True)
    assert book.name("lights", "siren") is None
    assert [book.notify_all(configured) for configured in (True, False)] == [True, False]
    book.rename("lights", "siren", "Heulboje")
    book.set_notify_all(False)
    assert len(changes) == 2
    again = Directory(decode_directory(book.to_bytes()))
    assert again.name("lights", "siren") == "Heulboje"
    assert again.notify_all(True) is False


def test_a_full_directory_gives_no_number() -> None:
    book = Directory(Stored(mac="a2b8bb07bf8f", uuid=UUID, devices={"last": MAX_NUMBER}))
    assert book.address("last") == "a2:b8:bb:07:bf:8f:ff:ff"
    assert book.address("one more") is None


def test_a_new_one_has_an_address_that_no_manufacturer_gave() -> None:
    for _ in range(50):
        stored = new_directory()
        assert int(stored.mac[:2], 16) & 0x03 == 0x02
        assert decode_directory(Directory(stored).to_bytes()) == stored
    assert new_directory().mac != new_directory().mac


@pytest.mark.parametrize(
    "change",
    [
        {"mac": "00212e07bf8f"},
        {"mac": "a3b8bb07bf8f"},
        {"mac": "A2B8BB07BF8F"},
        {"mac": 5},
        {"uuid": "x"},
        {"devices": {"a": 1, "b": 1}},
        {"lights": {"a": 0}},
        {"sensors": {"a": MAX_NUMBER + 1}},
        {"sensors": {"a": "1"}},
        {"names": {"lights/a": "x" * (MAX_NAME_CHARS + 1)}},
        {"notify_all": "yes"},
    ],
)
def test_what_makes_no_sense_is_malformed(change: dict[str, object]) -> None:
    good = {"mac": "a2b8bb07bf8f", "uuid": UUID}
    decode_directory(json.dumps(good).encode())
    with pytest.raises(MalformedMessage):
        decode_directory(json.dumps(good | change).encode())


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: json.dumps({"mac": text}).encode()))
def test_any_bytes_at_all(data: bytes) -> None:
    try:
        decode_directory(data)
    except MalformedMessage:
        pass


async def test_it_is_stored_at_once_and_found_again(tmp_path: Path) -> None:
    book, _ = await load_directory(tmp_path)
    number = book.id("sensors", "bell")
    await store_directory(tmp_path, book)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    again, _ = await load_directory(tmp_path)
    assert (again.mac, again.uuid, again.id("sensors", "bell")) == (book.mac, book.uuid, number)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"[" * 200_000, b'{"mac":"00212e000000"}'])
async def test_a_broken_file_is_set_aside_and_the_door_is_another_gateway(
    tmp_path: Path, content: bytes
) -> None:
    before, _ = await load_directory(tmp_path)
    before.id("sensors", "bell")
    await store_directory(tmp_path, before)
    (tmp_path / FILE).write_bytes(content)
    after, _ = await load_directory(tmp_path)
    assert (tmp_path / (FILE + ".corrupt")).read_bytes() == content
    # The old numbers may come to mean something else: so they belong to another address.
    assert after.mac != before.mac
    assert re.fullmatch("[0-9a-f]{12}", after.mac)


async def test_a_file_that_cannot_be_read_now_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(PeerError, match="cannot be read"):
        await load_directory(tmp_path)
    assert (tmp_path / FILE).is_dir()


async def test_a_full_disk_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    book = directory()
    await store_directory(tmp_path / "nowhere", book)
    assert book.id("lights", "siren") == "1"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Bell", "Bell"),
        ("  Bell \n at\tdoor ", "Bell at door"),
        ("Küche 🔔", "Küche 🔔"),
        ("\x1b[2J", "[2J"),
        ("\u202e\x00", ""),
        ("x" * 100, "x" * MAX_NAME_CHARS),
        ("x" * 63 + " y", "x" * 63),
    ],
)
def test_clean_names(text: str, clean: str) -> None:
    assert clean_name(text) == clean
