"""Channels, from one connection to the next."""

from __future__ import annotations

import math

from agent.workers.vms.channels import AGAIN_S, ANSWER_S, FORBIDDEN_S, Channels


def test_one_after_the_other() -> None:
    channels = Channels(["a", "b"])
    assert channels.next(0) == "a"
    assert channels.next(0) is None
    assert channels.subscribed("a")
    assert channels.next(0) == "b"
    assert channels.rejected("", 403, 0) is False, "whichever waits"
    assert channels.settled
    assert channels.live == ("a",)
    assert channels.due_at() == FORBIDDEN_S


def test_all_at_once_where_silence_is_yes() -> None:
    channels = Channels(["a", "b"])
    channels.reset(silence_is_yes=True)
    assert [channels.next(0), channels.next(0), channels.next(0)] == ["a", "b", None]
    assert channels.due_at() == ANSWER_S
    channels.rejected("b", 500, 1)
    assert channels.next(ANSWER_S) is None
    assert channels.live == ("a",)


def test_a_push_is_proof_enough() -> None:
    channels = Channels(["a"])
    channels.reset(silence_is_yes=True)
    channels.next(0)
    assert channels.is_ours("a")
    assert channels.live == ("a",)
    assert not channels.is_ours("b")


def test_no_answer_is_a_refusal_for_a_while() -> None:
    channels = Channels(["a"])
    channels.next(0)
    assert channels.next(ANSWER_S) is None
    assert channels.all["a"].reason == "no answer"
    assert channels.next(ANSWER_S + AGAIN_S) == "a"


def test_refused_until_rights_change() -> None:
    channels = Channels(["a"])
    channels.next(0)
    channels.rejected("a", 403, 0)
    assert channels.next(FORBIDDEN_S - 1) is None
    assert not channels.is_ours("a")
    channels.retry_refused()
    assert channels.next(10) == "a"


def test_a_log_in_that_has_run_out() -> None:
    channels = Channels(["a"])
    channels.next(0)
    assert channels.rejected("a", 401, 0)


def test_a_new_connection_begins_with_nothing() -> None:
    channels = Channels(["a"])
    channels.next(0)
    channels.subscribed("a")
    assert channels.due_at() == math.inf
    channels.reset(silence_is_yes=False)
    assert channels.live == ()
    assert channels.next(0) == "a"
    assert not channels.subscribed("b")
