"""Who is let in, and why not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.entrance.config import ReaderConfig
from agent.entrance.decision import Admit, Index, Passback, Refuse, decide
from agent.entrance.key import Digester, Key, Wanted, key_of
from agent.entrance.panel import Presented

DIGESTER = Digester(bytes(range(32)))
NOW = 1_795_000_000 * 10**9
READER = ReaderConfig(device="x", kind="wiegand", opens="strike")
ANA = "62E3086CED"


def made(**wanted: Any) -> Key:
    return key_of(Wanted(**wanted), DIGESTER, source="local", created_ns=0)


def shown(
    keys: list[Key], *, tag: str = "", code: str = "", method: Any = None, reader: ReaderConfig = READER,
    **more: Any,
) -> Admit | Refuse:  # fmt: skip
    method = method or ("tag" if tag and not code else "code" if code and not tag else "tag+code")
    presented = Presented(method=method, tag=tag, code=code)
    return decide(presented, reader, Index(keys), DIGESTER, **({"now_ns": NOW} | more))


def test_a_tag_and_a_code() -> None:
    keys = [made(tag=ANA), made(code="4711")]
    assert shown(keys, tag=ANA) == Admit(key=keys[0], endpoint="strike")
    assert shown(keys, code="4711") == Admit(key=keys[1], endpoint="strike")
    assert shown(keys, tag="0000000001") == Refuse(reason="not known", guess=True)
    assert shown(keys, code="4712") == Refuse(reason="not known", guess=True)
    assert shown([], tag=ANA) == Refuse(reason="not known", guess=True)


def test_a_tag_by_the_number_on_its_back() -> None:
    keys = [made(tag="3808980205")]  # E3086CED
    assert isinstance(shown(keys, tag="62E3086CED"), Admit)
    assert isinstance(shown(keys, tag="62E3086CEE"), Refuse)


def test_a_tag_with_its_code() -> None:
    key = made(tag=ANA, code="4711", duress="4712")
    assert shown([key], tag=ANA, code="4711") == Admit(key=key, endpoint="strike")
    assert shown([key], tag=ANA, code="4712") == Admit(key=key, endpoint="strike", duress=True)
    assert shown([key], tag=ANA, code="0000") == Refuse(reason="wrong code", key=key, guess=True)
    assert shown([key], tag=ANA) == Refuse(reason="this key needs its code", key=key)
    assert shown([key], code="4711") == Refuse(reason="not known", guess=True)
    assert shown([key], code="4711", method="tag+code") == Refuse(reason="not known", guess=True)


def test_a_tag_without_code_where_both_are_wanted() -> None:
    key = made(tag=ANA)
    assert isinstance(shown([key], tag=ANA, code="4711"), Refuse)
    assert isinstance(shown([key], tag=ANA, method="tag+code"), Refuse)


def test_a_code_under_threat() -> None:
    key = made(code="4711", duress="4712")
    assert shown([key], code="4712") == Admit(key=key, endpoint="strike", duress=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"enabled": False}, "disabled"),
        ({"endpoints": ("gate",)}, "not for strike"),
        ({"valid_from_ns": NOW + 1}, "not yet valid"),
        ({"valid_until_ns": NOW}, "no longer valid"),
        ({"uses_left": 0}, "used up"),
        ({"schedule": "mon 00:00-00:01"}, "not at this hour"),
        ({"schedule": "broken"}, "not at this hour"),
    ],
)
def test_limits(changes: dict[str, Any], reason: str) -> None:
    key = replace(made(tag=ANA), **changes)
    assert shown([key], tag=ANA) == Refuse(reason=reason, key=key)


def test_within_its_limits() -> None:
    key = made(tag=ANA, valid_from_ns=NOW, valid_until_ns=NOW + 1, schedule="mon-sun", uses=1,
               endpoints=("strike",))  # fmt: skip
    assert isinstance(shown([key], tag=ANA), Admit)


def test_one_of_two_sources_that_lets_in_is_enough() -> None:
    closed = replace(made(tag=ANA), enabled=False, source="vms")
    assert isinstance(shown([closed, made(tag=ANA)], tag=ANA), Admit)
    assert isinstance(shown([made(tag=ANA), closed], tag=ANA), Admit)


def test_anti_passback() -> None:
    key, passback = made(tag=ANA), Passback()
    inward, outward = replace(READER, direction="in"), replace(READER, direction="out")
    assert isinstance(shown([key], tag=ANA, reader=inward, passback=passback), Admit)
    passback.note(key, "in")
    refused = shown([key], tag=ANA, reader=inward, passback=passback)
    assert refused == Refuse(reason="went in already", key=key)
    assert isinstance(shown([key], tag=ANA, reader=READER, passback=passback), Admit)
    assert isinstance(shown([key], tag=ANA, reader=outward, passback=passback), Admit)
    passback.note(key, "out")
    assert isinstance(shown([key], tag=ANA, reader=inward, passback=passback), Admit)


def test_a_tag_whose_code_never_came() -> None:
    key = made(tag=ANA, code="4711")
    presented = Presented(method="tag+code", tag=ANA, given_up=True)
    verdict = decide(presented, READER, Index([key]), DIGESTER, now_ns=NOW)
    assert verdict == Refuse(reason="the code did not come", key=key)


KEYS = [made(tag=ANA), made(code="4711"), made(tag="123,45678", code="8899")]


@given(st.text(max_size=16), st.text(max_size=9), st.sampled_from(["tag", "code", "tag+code"]))
def test_nothing_but_a_key_opens(tag: str, code: str, method: Any) -> None:
    verdict = decide(Presented(method=method, tag=tag, code=code), READER, Index(KEYS), DIGESTER, now_ns=NOW)
    good = {(ANA, "", "tag"), ("", "4711", "code"), ("7BB26E", "8899", "tag+code")}
    assert isinstance(verdict, Refuse) or (tag, code, method) in good or (tag == ANA and method == "tag")
