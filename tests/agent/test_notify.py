from __future__ import annotations

import stat
import time
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness.door import Recorded, who
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.model.actions import SetNotify
from agent.model.errors import EndpointError
from agent.model.events import NotifyChanged
from agent.notify import Notify, NotifyConfig
from agent.runtime import EndpointInfo

NOON_NS = 1_700_049_600 * 10**9  # 2023-11-15 12:00 UTC
HOUR_NS = 3600 * 10**9
ENDPOINTS = (
    EndpointInfo(name="bell", label="Bell", kind="button"),
    EndpointInfo(name="motion", label="Motion", kind="contact", role="motion"),
    EndpointInfo(name="smoke", label="Smoke", kind="contact", role="smoke"),
    EndpointInfo(name="gas", label="CO", kind="contact", role="co"),
)
MUTE_ALL = SetNotify(mode="mute")


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Table:
    def __init__(self, folder: Path, *quiet: str, **quiet_for: tuple[str, ...]) -> None:
        self.path = folder / "notify.json"
        self.config = NotifyConfig(quiet=quiet, quiet_for=quiet_for)
        self.now_ns = NOON_NS
        self.log = Recorded()
        self.notify = self.read()

    def read(self) -> Notify:
        """As after a restart."""
        return Notify(self.config, ENDPOINTS, log=self.log, path=self.path, clock_ns=lambda: self.now_ns)

    def set(self, mode: Any, *names: str) -> None:
        self.notify.perform(SetNotify(mode=mode, endpoints=names), by="ana", action_id="a1")

    def silent(self) -> Set[str]:
        return {info.name for info in ENDPOINTS if self.notify.suppressed(info.name)}

    def told(self) -> list[tuple[str, str, str]]:
        return [
            (event.endpoint, event.mode, event.by)
            for event in self.log.events()
            if isinstance(event, NotifyChanged)
        ]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_nobody_said_anything(table: Table) -> None:
    assert table.silent() == set()
    assert table.notify.mode("bell") == "default"
    assert table.notify.mode("attic") == "default"


def test_muting_everything_leaves_smoke_and_gas_alone(table: Table) -> None:
    assert table.notify.refuse(MUTE_ALL) is None
    table.set("mute")
    assert table.silent() == {"bell", "motion"}
    assert table.told() == [("bell", "mute", "ana"), ("motion", "mute", "ana")]
    assert table.notify.mode("smoke") == "default"


@pytest.mark.parametrize("name", ["smoke", "gas"])
def test_muting_a_detector_by_name_is_refused(table: Table, name: str) -> None:
    for endpoints in ((name,), ("bell", name)):
        reason = table.notify.refuse(SetNotify(mode="mute", endpoints=endpoints))
        assert reason == "smoke and CO alarms cannot be muted"
    assert table.notify.refuse(SetNotify(mode="force", endpoints=(name,))) is None
    assert table.notify.refuse(SetNotify(mode="default", endpoints=(name,))) is None


def test_a_detector_stays_loud_even_if_refuse_was_not_asked(table: Table) -> None:
    table.set("mute", "smoke", "bell")
    assert table.silent() == {"bell"}


def test_unknown_endpoints_are_refused(table: Table) -> None:
    assert table.notify.refuse(SetNotify(mode="mute", endpoints=("attic",))) == "no endpoint named 'attic'"


def test_what_is_so_already_is_not_told(table: Table) -> None:
    table.set("mute", "bell")
    table.set("mute", "bell", "bell")
    table.set("mute")
    table.set("default", "motion")
    assert table.told() == [("bell", "mute", "ana"), ("motion", "mute", "ana"), ("motion", "default", "ana")]


def test_quiet_hours_spare_alarms_and_what_is_forced(tmp_path: Path) -> None:
    table = Table(tmp_path, "22:00-07:00", "13:00-14:00")
    table.set("force", "motion")
    assert table.silent() == set()
    table.now_ns = NOON_NS + HOUR_NS
    assert table.silent() == {"bell"}
    table.now_ns = NOON_NS + 11 * HOUR_NS
    assert table.silent() == {"bell"}
    table.now_ns = NOON_NS + 19 * HOUR_NS
    assert table.silent() == set()
    table.set("mute", "motion")
    assert table.silent() == {"motion"}


def test_all_of_the_day_may_be_quiet(tmp_path: Path) -> None:
    assert Table(tmp_path, "00:00-00:00").silent() == {"bell", "motion"}


def test_a_bell_may_have_quiet_hours_of_its_own(tmp_path: Path) -> None:
    table = Table(
        tmp_path,
        "22:00-07:00",
        bell=("13:00-14:00", "15:00-16:00"),
        smoke=("00:00-00:00",),
        gas=("00:00-00:00",),
    )
    for hour, silent in ((12, set()), (13, {"bell"}), (14, set()), (15, {"bell"}), (23, {"bell", "motion"})):
        table.now_ns = NOON_NS + (hour - 12) * HOUR_NS
        assert table.silent() == silent
    assert table.notify.suppressed("attic"), "the general ones hold for what is not known"
    table.set("force", "bell")
    assert table.silent() == {"motion"}


def test_bad_hours_are_a_mistake_of_the_configuration() -> None:
    with pytest.raises(msgspec.ValidationError, match="HH:MM-HH:MM"):
        msgspec.convert({"quiet": ["22-7"]}, NotifyConfig)
    with pytest.raises(msgspec.ValidationError, match="HH:MM-HH:MM"):
        msgspec.convert({"quiet_for": {"bell": ["13:00-14:00", "22-7"]}}, NotifyConfig)


def test_the_table_survives_a_restart(table: Table) -> None:
    table.set("mute", "bell")
    table.set("force", "motion")
    again = table.read()
    assert (again.mode("bell"), again.mode("motion"), again.mode("smoke")) == ("mute", "force", "default")


def test_a_muted_thing_that_became_a_detector_is_loud(table: Table) -> None:
    table.path.write_text('{"smoke": "mute", "bell": "mute"}')
    again = table.read()
    assert again.mode("smoke") == "default"
    assert not again.suppressed("smoke")
    assert again.suppressed("bell")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"bell": "loud"}', b'{"bell": 1}', b"\xff\xfe", b'{"\xff": "mute"}', b"[" * 100_000],
)
def test_a_broken_file_mutes_nothing(table: Table, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    table.path.write_bytes(content)
    table.notify = table.read()
    assert table.silent() == set()
    assert "nothing is muted" in caplog.text
    table.set("mute", "bell")
    assert table.read().mode("bell") == "mute"


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60))
def test_any_file_mutes_no_detector(table: Table, content: bytes) -> None:
    table.path.write_bytes(content)
    again = table.read()
    assert not again.suppressed("smoke")
    assert not again.suppressed("gas")


def test_a_disk_that_cannot_store_is_an_error_and_changes_nothing(table: Table) -> None:
    table.set("mute", "bell")
    table.path.with_suffix(".new").mkdir()  # works for root too
    before = table.path.read_bytes()
    told = len(table.told())
    with pytest.raises(EndpointError, match="not stored"):
        table.set("mute")
    assert table.silent() == {"bell"}
    assert len(table.told()) == told
    assert table.path.read_bytes() == before
    table.path.with_suffix(".new").rmdir()
    table.set("mute")
    assert table.silent() == {"bell", "motion"}


def test_a_table_that_is_a_folder_mutes_nothing(table: Table) -> None:
    table.path.mkdir()
    assert table.read().mode("bell") == "default"
    with pytest.raises(EndpointError, match="not stored"):
        table.set("mute", "bell")
    assert table.silent() == set()


def test_muting_works_without_a_journal(table: Table) -> None:
    assert table.notify.acts_without_journal(MUTE_ALL, who(local=False))


def test_the_file_holds_nothing_else(table: Table) -> None:
    table.set("mute", "bell")
    assert msgspec.json.decode(table.path.read_bytes()) == {"bell": "mute"}
    assert stat.S_ISREG(table.path.stat().st_mode)
    assert [path.name for path in table.path.parent.iterdir()] == ["notify.json"]
