"""What is known of a home: topology, status and pushes, in whatever order they come."""

from __future__ import annotations

from typing import Any

import pytest
from harness.netatmo_cloud import BELL, CAMERA, HOME, JOHN, MODULES, SIREN, STATION, STATUS
from hypothesis import given
from hypothesis import strategies as st

from agent.workers.netatmo.client_state import MAX_MODULES, Mirror
from agent.workers.netatmo.wire import Home, HomeStatus, ModuleInfo, ModuleStatus, decode_homes, decode_status


def mirrored() -> Mirror:
    mirror = Mirror()
    body = {
        "homes": [
            {"id": HOME, "name": "Casa", "modules": MODULES, "persons": [{"id": JOHN, "pseudo": "John"}]}
        ]
    }
    mirror.take_home(decode_homes({"body": body})[0])
    mirror.take_status(decode_status({"body": {"home": {"id": HOME, "modules": STATUS}}}), 1.0)
    return mirror


def status(*rows: dict[str, Any], errors: dict[str, int] | None = None) -> HomeStatus:
    modules = tuple(
        ModuleStatus(id=row["id"], values={key: value for key, value in row.items() if key != "id"})
        for row in rows
    )
    return HomeStatus(home_id=HOME, modules=modules, errors=errors or {})


def value(mirror: Mirror, module: str, field: str) -> object:
    found = mirror.get(module)
    assert found is not None
    return found.values.get(field)


def reachable(mirror: Mirror, module: str) -> bool | None:
    found = mirror.get(module)
    assert found is not None
    return found.reachable


def test_a_missing_field_keeps_its_old_value_but_for_reachable() -> None:
    mirror = mirrored()
    mirror.take_status(status({"id": SIREN, "reachable": False}), 2.0)
    assert value(mirror, SIREN, "battery_level") == 5950
    assert reachable(mirror, SIREN) is False
    mirror.take_status(status({"id": SIREN}), 3.0)
    assert reachable(mirror, SIREN) is True  # being listed means reachable


def test_a_poll_that_was_begun_before_a_push_does_not_undo_it() -> None:
    mirror = mirrored()
    mirror.take_push([ModuleStatus(id=SIREN, values={"status": "sound", "reachable": False})], 5.0)
    mirror.take_status(status({"id": SIREN, "status": "no_sound", "reachable": True, "rf_strength": 1}), 4.9)
    assert value(mirror, SIREN, "status") == "sound"
    assert reachable(mirror, SIREN) is False
    assert value(mirror, SIREN, "rf_strength") == 1
    mirror.take_status(status({"id": SIREN, "status": "no_sound"}), 5.1)
    assert value(mirror, SIREN, "status") == "no_sound"
    assert reachable(mirror, SIREN) is True


@pytest.mark.parametrize("gone", [CAMERA, SIREN])
def test_error_6_is_of_a_module_and_all_behind_it(gone: str) -> None:
    mirror = mirrored()
    mirror.take_status(status(errors={gone: 6}), 2.0)
    assert reachable(mirror, SIREN) is False
    assert reachable(mirror, CAMERA) is (gone != CAMERA)
    assert reachable(mirror, BELL) is True


def test_another_error_is_no_unreachability() -> None:
    mirror = mirrored()
    mirror.take_status(status(errors={CAMERA: 2}), 2.0)
    assert reachable(mirror, CAMERA) is True


def test_what_is_not_listed_any_more_is_not_reached() -> None:
    mirror = mirrored()
    mirror.take_status(status({"id": CAMERA}), 2.0)
    assert (reachable(mirror, CAMERA), reachable(mirror, BELL)) == (True, False)


def test_another_homes_status_is_nothing() -> None:
    mirror = mirrored()
    mirror.take_status(HomeStatus(home_id="x", modules=(ModuleStatus(id="new"),)), 2.0)
    assert mirror.get("new") is None


def test_a_module_that_no_topology_has() -> None:
    mirror = mirrored()
    assert not mirror.topology_wanted
    mirror.take_status(status({"id": "new"}), 2.0)
    assert mirror.topology_wanted
    assert mirror.get("new") is not None
    mirror.topology_wanted = False
    mirror.take_push([ModuleStatus(id="newer", values={"a": 1})], 3.0)
    assert mirror.topology_wanted
    assert mirror.get("newer") is None


def test_what_was_known_survives_a_new_topology() -> None:
    mirror = mirrored()
    mirror.take_home(Home(id=HOME, modules=(ModuleInfo(id=SIREN, type="NIS", name="New name"),)))
    assert len(mirror) == 1
    assert value(mirror, SIREN, "battery_level") == 5950
    assert mirror.find("New name") is mirror.get(SIREN)


def test_another_home_begins_with_nothing() -> None:
    mirror = mirrored()
    mirror.take_home(Home(id="other", modules=(ModuleInfo(id=SIREN, type="NIS"),)))
    assert value(mirror, SIREN, "battery_level") is None


def test_how_a_module_is_found() -> None:
    mirror = mirrored()
    assert mirror.find(STATION.upper()) is mirror.find("Classe 300 EOS") is mirror.get(STATION)
    assert mirror.find("nobody") is None
    mirror.take_home(
        Home(id=HOME, modules=(ModuleInfo(id="a", name="twin"), ModuleInfo(id="b", name="twin")))
    )
    assert mirror.find("twin") is None


def test_ten_thousand_modules() -> None:
    mirror = mirrored()
    rows = tuple(ModuleStatus(id=f"m{number}") for number in range(10_000))
    mirror.take_status(HomeStatus(home_id=HOME, modules=rows), 2.0)
    assert len(mirror) == MAX_MODULES


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["on", "off", "auto"]), st.floats(0, 100)), max_size=20)
)
def test_the_newest_push_always_stands_against_older_polls(steps: list[tuple[bool, str, float]]) -> None:
    mirror, pushed_at, pushed = mirrored(), -1.0, ""
    for is_push, told, at in steps:
        if is_push and at >= pushed_at:
            mirror.tell(CAMERA, {"monitoring": told}, at)
            pushed_at, pushed = at, told
        elif not is_push and at <= pushed_at:
            mirror.take_status(status({"id": CAMERA, "monitoring": told}), at)
    if pushed:
        assert value(mirror, CAMERA, "monitoring") == pushed
