"""Every event there is, through every form in which it is kept and sent."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import cbor2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from agent.model.actions import Action
from agent.model.errors import MalformedMessage
from agent.model.events import AnyEvent, ButtonPressed, DeviceChanged
from agent.model.records import Unknown, from_plain, to_plain

KINDS: tuple[type[Struct], ...] = AnyEvent.__args__
TEXT = st.text(max_size=20)
NUMBERS: dict[type, st.SearchStrategy[Any]] = {
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Legal values of a field's type, constraints left aside but for those of names and durations."""
    if kind in NUMBERS:
        return NUMBERS[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if hasattr(kind, "__metadata__"):
        return st.floats(0.1, 86_400) if arguments[0] is float else st.text("abc_", min_size=1, max_size=9)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if isinstance(kind, type) and issubclass(kind, Struct):
        fields = {field.name: values(field.type) for field in msgspec.structs.fields(kind)}
        return st.builds(kind, **fields)
    return st.one_of([values(argument) for argument in arguments])


EVENTS = st.one_of([values(kind) for kind in KINDS])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_event_survives_every_form(kind: type[Struct]) -> None:
    @settings(max_examples=25, deadline=None)
    @given(values(kind))
    def check(event: AnyEvent) -> None:
        plain = to_plain(event)
        assert plain["type"] == kind.__struct_config__.tag
        assert from_plain(plain) == event
        assert from_plain(cbor2.loads(cbor2.dumps(plain))) == event
        assert from_plain(msgspec.json.decode(msgspec.json.encode(plain))) == event
        assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event

    check()


def test_tags_are_versioned_names_and_never_given_twice() -> None:
    tags = [str(kind.__struct_config__.tag) for kind in KINDS]
    assert len(set(tags)) == len(tags)
    for tag in tags:
        name, _, version = tag.partition("/")
        assert name.replace("_", "").isalpha()
        assert version.isdecimal()


def test_the_event_of_an_older_version_reads_with_defaults() -> None:
    assert from_plain({"type": "button_pressed/1", "endpoint": "bell"}) == ButtonPressed(endpoint="bell")


@pytest.mark.parametrize("value", [True, False, 0, 1, 1002, "panic", ""])
def test_what_a_device_says_keeps_its_kind(value: bool | int | str) -> None:
    event = DeviceChanged(source="home", device="d", unique_id="u", fact="keypad", value=value)
    for plain in (to_plain(event), cbor2.loads(cbor2.dumps(to_plain(event)))):
        got = from_plain(plain)
        assert isinstance(got, DeviceChanged)
        assert (got.value, type(got.value)) == (value, type(value))


def test_a_field_of_a_newer_version_is_left_aside() -> None:
    plain = {"type": "button_pressed/1", "endpoint": "bell", "finger": "index"}
    assert from_plain(plain) == ButtonPressed(endpoint="bell")


@pytest.mark.parametrize("tag", ["button_pressed/2", "", "teleported/1", "button_pressed", "\ud800"])
def test_an_unknown_tag_is_kept_as_it_is(tag: str) -> None:
    plain = {"type": tag, "what": [1, {"deep": None}]}
    assert from_plain(plain) == Unknown(raw=plain)


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        {},
        "button_pressed/1",
        {"type": None},
        {"type": ["button_pressed/1"]},
        {"type": b"button_pressed/1"},
        {"type": "button_pressed/1"},
        {"type": "button_pressed/1", "endpoint": 5},
        {"type": "button_pressed/1", "endpoint": "bell", 5: 5},
        {"type": "button_pressed/1", "endpoint": "bell", "\ud800": 5},
        {"type": "button_held/1", "endpoint": "bell", "held_ms": "\ud800"},
        {"type": "button_held/1", "endpoint": "bell", "held_ms": float("nan")},
        {"type": "lock_changed/1", "endpoint": "strike", "state": "ajar"},
        {"type": "alarm_changed/1", "state": "armed", "mode": "party"},
        {"type": "alarm_changed/1", "state": "armed"},
        {
            "type": "device_changed/1",
            "source": "a",
            "device": "b",
            "unique_id": "c",
            "fact": "colour",
            "value": 1,
        },
        {
            "type": "device_changed/1",
            "source": "a",
            "device": "b",
            "unique_id": "c",
            "fact": "motion",
            "value": 0.5,
        },
        {"type": "lock_changed/1", "endpoint": "strike", "state": "locked", "hold_s": 10**400},
        {"type": "action_accepted/1", "action_id": "a", "action": {"do": "fly"}, "principal": {}},
    ],
)
def test_what_does_not_fit_is_malformed(plain: object) -> None:
    with pytest.raises(MalformedMessage):
        from_plain(plain)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(max_size=5) | st.characters(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            TEXT | st.integers() | st.sampled_from(["type", "endpoint", "state", "by"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(PLAIN)
def test_any_plain_object_is_a_value_or_malformed(plain: object) -> None:
    _check(plain)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([str(kind.__struct_config__.tag) for kind in KINDS]),
    st.dictionaries(
        st.sampled_from(sorted({name for kind in KINDS for name in kind.__struct_fields__})) | TEXT, PLAIN
    ),
)
def test_any_fields_under_a_known_tag_are_a_value_or_malformed(tag: str, fields: dict[str, Any]) -> None:
    _check({**fields, "type": tag})


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.data())
def test_one_wrong_field_is_a_value_or_malformed(event: AnyEvent, data: st.DataObject) -> None:
    plain = to_plain(event)
    plain[data.draw(st.sampled_from(sorted(plain)))] = data.draw(PLAIN)
    _check(plain)


def _check(plain: object) -> None:
    try:
        value = from_plain(plain)
    except MalformedMessage:
        return
    assert isinstance(value, (*KINDS, Unknown))


def test_an_object_without_an_end_is_malformed() -> None:
    endless: dict[str, Any] = {"type": "action_accepted/1", "action_id": "a"}
    endless["action"] = endless
    endless["principal"] = endless
    _check(endless)
    deep: Any = "bell"
    for _ in range(100_000):
        deep = [deep]
    _check({"type": "button_pressed/1", "endpoint": deep})


def test_every_action_fits_into_an_event() -> None:
    assert len(get_args(Action)) == 11
