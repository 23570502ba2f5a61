"""The vendor's tables, row by row as its document has them; each row a test of its own."""

from __future__ import annotations

import pytest

from agent.workers.netatmo.catalogue import (
    ERRORS,
    EVENTS,
    FACTS,
    PRODUCTS,
    SCOPES,
    SUB_TYPES,
    WEBHOOK_PORTS,
    meaning_of,
    product_code,
    product_name,
    radio_word,
    wifi_word,
)

# Source: "List of events". The three calls say NSD there, in place of NDB: a slip.
LISTED = """
person: NACamera, NPC
person_away: NACamera, NPC
movement: NACamera, NPC
new_module: NACamera, NPC
module_connect: NACamera, NPC
module_disconnect: NACamera, NPC
module_low_battery: NACamera, NPC
module_end_update: NACamera, NPC
connection: NACamera, NOC, NPC, NDB
disconnection: NACamera, NOC, NDB, NPC
on: NACamera, NDB, NOC, NPC
off: NACamera, NOC, NPC, NDB
boot: NACamera, NOC
sd: NACamera, NOC, NPC
alim: NACamera, NOC, NPC
outdoor: NOC
cluster: NPC
daily_summary: NOC
tag_big_move: NACamera, NACamDoorTag
tag_small_move: NACamera, NACamDoorTag
tag_uninstalled: NACamera, NACamDoorTag
tag_open: NACamDoorTag
hush: NSD
smoke: NSD
tampered: NSD
wifi_status: NSD
battery_status: NSD
detection_chamber_status: NSD
sound_test: NSD
siren_sounding: NIS, NOC
siren_tampered: NIS
incoming_call: NDB, BNCX, BFII
accepted_call: NDB, BNCX, BFII
missed_call: NDB, BNCX, BFII
co_detected: NCO
"""
EVENT_ROWS = [line.split(": ") for line in LISTED.strip().splitlines()]


@pytest.mark.parametrize(("kind", "products"), EVENT_ROWS, ids=[row[0] for row in EVENT_ROWS])
def test_every_event_type(kind: str, products: str) -> None:
    assert set(EVENTS[kind].products) == set(products.split(", "))
    assert meaning_of(kind)


def test_there_are_35_event_types_in_the_document() -> None:
    assert len(EVENT_ROWS) == 35


@pytest.mark.parametrize(
    ("kind", "sub_type", "meaning"),
    [
        ("siren_sounding", 0, "stopped"), ("siren_sounding", 1, "sounding"),
        ("detection_chamber_status", 0, "clean"), ("detection_chamber_status", 1, "dusty"),
        ("battery_status", 0, "low"), ("battery_status", 1, "very low"),
        ("smoke", 0, "cleared"), ("smoke", 1, "detected"),
        ("alim", 1, "incorrect power adapter"), ("alim", 2, "correct power adapter"),
        ("tampered", 0, "ready"), ("tampered", 1, "tampered with"),
        ("siren_tampered", 0, "ready"), ("siren_tampered", 1, "tampered with"),
        ("wifi_status", 0, "error"), ("wifi_status", 1, "ok"),
        ("co_detected", 0, "ok"), ("co_detected", 1, "pre-alarm"), ("co_detected", 2, "alarm"),
        # From the wire:
        ("sd", 1, "missing"), ("sd", 2, "inserted"), ("sd", 3, "formatted"), ("sd", 4, "working"),
        ("sd", 5, "defective"), ("sd", 6, "too slow"), ("sd", 7, "full"),
        ("sound_test", 0, "ok"), ("sound_test", 1, "error"),
        ("hush", 0, "detection active"), ("hush", 1, "detection hushed"),
        ("light_mode", "on", "on"), ("light_mode", "off", "off"), ("light_mode", "auto", "automatic"),
    ],
)  # fmt: skip
def test_every_subtype(kind: str, sub_type: int | str, meaning: str) -> None:
    assert meaning_of(kind, sub_type) == meaning
    assert SUB_TYPES[kind][sub_type] == meaning


@pytest.mark.parametrize("told", [99, "x", -1])
def test_an_unknown_subtype_says_what_its_event_says(told: int | str) -> None:
    assert meaning_of("smoke", told) == EVENTS["smoke"].meaning


def test_an_unknown_event_means_nothing() -> None:
    assert meaning_of("something_new", 1) == ""


@pytest.mark.parametrize(
    ("call", "meaning"),
    [("offer", "ringing"), ("terminate", "the call is over"), ("", "signalling of a call"),
     ("rescind", "answered elsewhere or withdrawn"), ("new", "signalling of a call")],
)  # fmt: skip
def test_signalling(call: str, meaning: str) -> None:
    assert meaning_of("rtc", "", call) == meaning


# Source: "Get configuration", "Diagnose" and "Informative data".
ROWS = """
Software version: /homestatus: all
VPN URL: /homestatus: NACamera, NOC, NDB, NPC
Local mode: /homestatus: NACamera, NOC, NDB
Monitoring status: /homestatus: NACamera, NIS, NOC
Floodlight status: /homestatus: NOC
Floodlight mode: /homestatus: NOC
Window/DoorTag category: /homesdata: NACamDoorTag
Last setup date: /homesdata: all
Last seen date: /homestatus: NIS, NACamDoorTag, NCO, NSD, BNCX, BFII
Last activity date: /homestatus: NACamDoorTag
Wifi status: /homestatus: NACamera, NOC, NPC, NCO, NSD, NDB, BNCX, BFII
Radio status: /homestatus: NIS, NACamDoorTag
Device reachability: /homestatus: NIS, NACamDoorTag, BNCX, BNEU, BNDL, BNSL, BFII
SD Card Status: /homestatus: NACamera, NOC, NDB, NPC
Alimentation status: /homestatus: NACamera, NOC, NDB, NPC
Battery level: /homestatus: NIS, NACamDoorTag
Siren status: /homestatus: NIS
Door/Window status: /homestatus: NACamDoorTag
Offload status: /homestatus: BNCX, BFII
"""
FACT_ROWS = [line.split(": ") for line in ROWS.strip().splitlines()]


@pytest.mark.parametrize(("row", "endpoint", "products"), FACT_ROWS, ids=[row[0] for row in FACT_ROWS])
def test_every_fact(row: str, endpoint: str, products: str) -> None:
    (fact,) = [fact for fact in FACTS if fact.row == row]
    assert fact.topology == (endpoint == "/homesdata")
    listed = set() if products == "all" else set(products.split(", "))
    more = {"Monitoring status": {"NPC"}, "Siren status": {"NOC"}}.get(row, set())  # from the wire
    assert set(fact.products) == listed | more


@pytest.mark.parametrize(
    "code",
    [
        "NACamera",
        "NOC",
        "NPC",
        "NDB",
        "NIS",
        "NACamDoorTag",
        "NSD",
        "NCO",
        "BNCX",
        "BNEU",
        "BNDL",
        "BNSL",
        "BFII",
    ],
)
def test_every_product(code: str) -> None:
    assert PRODUCTS[code].name == product_name(code) != code
    assert code in SCOPES


@pytest.mark.parametrize(
    ("told", "code"), [("NBD", "NDB"), ("NADoorTag", "NACamDoorTag"), ("NLP", "NLP"), ("", "")]
)
def test_misspelt_and_unknown_products(told: str, code: str) -> None:
    assert product_code(told) == code
    assert product_name("NLP") == "NLP"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (-2, "consent"), (-1, "consent"), (1, "bug"), (2, "refresh"), (3, "refresh"), (5, "stop"),
        (7, "done"), (9, "topology"), (10, "bug"), (11, "wait"), (13, "scope"), (19, "stop"), (21, "bug"),
        (22, "stop"), (23, "done"), (25, "bug"), (26, "pause"), (30, "consent"), (31, "bug"), (35, "retry"),
        (36, "bug"), (37, "bug"), (40, "bug"), (41, "retry"),
    ],
)  # fmt: skip
def test_every_error(code: int, remedy: str) -> None:
    assert ERRORS[code].remedy == remedy
    assert ERRORS[code].meaning


@pytest.mark.parametrize(
    ("strength", "word"), [(86, "bad"), (72, "bad"), (71, "average"), (56, "good"), (20, "good")]
)
def test_wifi(strength: int, word: str) -> None:
    assert wifi_word(strength) == word


@pytest.mark.parametrize(
    ("strength", "word"), [(90, "low"), (81, "low"), (80, "medium"), (70, "high"), (60, "full"), (10, "full")]
)
def test_radio(strength: int, word: str) -> None:
    assert radio_word(strength) == word


def test_ports_that_the_vendor_takes() -> None:
    assert sorted(WEBHOOK_PORTS) == [80, 88, 443, 9443]
