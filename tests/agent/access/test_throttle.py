"""Failures cost time, and never that of somebody else who has been in before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.access.config import AccessConfig
from agent.access.throttle import (
    ACCOUNT_FACTOR,
    MAX_ENTRIES,
    MAX_KNOWN_PEERS,
    MAX_SHARED_DELAY_S,
    MIN_MEMORY_S,
    NETWORK_FACTOR,
    Throttle,
    host_of,
    network_of,
)

CONFIG = AccessConfig(free_attempts=3, max_delay_s=100.0)


def fail(
    throttle: Throttle, times: int, *, peer: str = "192.0.2.1", account: str = "anna", now: float = 0.0
) -> None:
    for _ in range(times):
        throttle.failed(peer, account, now)


def test_some_mistakes_are_free_and_then_the_wait_doubles() -> None:
    throttle = Throttle(CONFIG)
    waits = []
    for _ in range(12):
        waits.append(throttle.wait_s("192.0.2.1", "anna", 0.0))
        throttle.failed("192.0.2.1", "anna", 0.0)
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 100]


def test_a_wait_passes() -> None:
    throttle = Throttle(CONFIG)
    fail(throttle, 5)
    assert throttle.wait_s("192.0.2.1", "anna", 1.5) == 0.5
    assert throttle.wait_s("192.0.2.1", "anna", 2.0) == 0


def test_failures_are_forgotten_after_a_quiet_time() -> None:
    throttle = Throttle(CONFIG)
    fail(throttle, 9)
    throttle.failed("192.0.2.1", "anna", MIN_MEMORY_S + 1)
    assert throttle.wait_s("192.0.2.1", "anna", MIN_MEMORY_S + 1) == 0


def test_a_success_forgives_the_peer_its_mistakes_with_that_account() -> None:
    throttle = Throttle(CONFIG)
    fail(throttle, 5)
    throttle.succeeded("192.0.2.1", "anna")
    fail(throttle, 3)
    assert throttle.wait_s("192.0.2.1", "anna", 0.0) == 0
    fail(throttle, 1)
    assert throttle.wait_s("192.0.2.1", "anna", 0.0) == 1


def test_a_peer_that_tries_many_accounts_is_slowed_for_all() -> None:
    throttle = Throttle(CONFIG)
    for number in range(3 * NETWORK_FACTOR + 1):
        throttle.failed("192.0.2.1", f"name{number}", 0.0)
    assert throttle.wait_s("192.0.2.1", "other", 0.0) == 1
    assert throttle.wait_s("192.0.2.2", "other", 0.0) == 0


def test_an_account_under_attack_from_many_peers_is_slowed_for_strangers_only() -> None:
    throttle = Throttle(CONFIG)
    throttle.succeeded("192.0.2.200", "anna")
    for number in range(3 * ACCOUNT_FACTOR + 30):
        throttle.failed(f"10.0.0.{number}", "anna", 0.0)
    assert throttle.wait_s("198.51.100.1", "anna", 0.0) == MAX_SHARED_DELAY_S
    assert throttle.wait_s("192.0.2.200", "anna", 0.0) == 0
    assert throttle.wait_s("198.51.100.1", "bert", 0.0) == 0


def test_the_mistakes_of_who_has_been_in_slow_nobody_else() -> None:
    throttle = Throttle(CONFIG)
    throttle.succeeded("192.0.2.1", "anna")
    fail(throttle, 200)
    assert throttle.wait_s("192.0.2.1", "anna", 0.0) > 0
    assert throttle.wait_s("192.0.2.1", "bert", 0.0) == 0
    assert throttle.wait_s("192.0.2.2", "anna", 0.0) == 0


def test_an_own_account_does_not_buy_attempts_on_others() -> None:
    throttle = Throttle(CONFIG)
    for number in range(60):
        throttle.failed("192.0.2.1", f"name{number % 6}", 0.0)
        throttle.succeeded("192.0.2.1", "mallory")
    assert throttle.wait_s("192.0.2.1", "anna", 0.0) > 0
    assert throttle.wait_s("192.0.2.1", "mallory", 0.0) == 0


def test_an_account_has_one_name_in_any_case() -> None:
    throttle = Throttle(CONFIG)
    for name in ("anna", "Anna", "ANNA", "aNna"):
        throttle.failed("192.0.2.1", name, 0.0)
    assert throttle.wait_s("192.0.2.1", "anna", 0.0) == 1


def test_few_peers_are_remembered_and_the_latest_stay() -> None:
    throttle = Throttle(CONFIG)
    for number in range(MAX_KNOWN_PEERS + 1):
        throttle.succeeded(f"192.0.2.{number}", "anna")
    assert not throttle.knows("192.0.2.0", "anna")
    assert throttle.knows("192.0.2.1", "anna")
    throttle.succeeded("192.0.2.77", "anna")
    assert throttle.knows("192.0.2.1", "anna")  # it was looked at since


def test_the_tables_are_bounded() -> None:
    throttle = Throttle(CONFIG)
    for number in range(MAX_ENTRIES + 500):
        throttle.failed(f"10.{number // 250}.{number % 250}.1", f"name{number}", 0.0)
    sizes = [len(throttle._pairs), len(throttle._networks), len(throttle._accounts)]
    assert sizes == [MAX_ENTRIES] * 3


@pytest.mark.parametrize(
    ("peer", "host", "network"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:4711", "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("local:root", "local:root", "local:root"),
        ("", "", ""),
        ("x" * 300, "x" * 64, "x" * 64),
    ],
)
def test_hosts_and_networks(peer: str, host: str, network: str) -> None:
    assert host_of(peer) == host
    assert network_of(host) == network


@given(st.text(max_size=100))
def test_anything_is_some_host_in_some_network(peer: str) -> None:
    assert len(network_of(host_of(peer))) <= 64


def test_a_neighbour_in_the_same_network_keeps_no_phone_out() -> None:
    throttle = Throttle(CONFIG)
    throttle.succeeded("2001:db8::1", "anna")
    for number in range(200):
        throttle.failed(f"2001:db8::bad:{number:x}", "anna", 0.0)
    assert throttle.wait_s("2001:db8::1", "anna", 0.0) == 0
    assert throttle.wait_s("2001:db8::bad:ffff", "anna", 0.0) > 0  # fresh addresses do not help


PEERS = st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.1:99", "2001:db8::1", "2001:db8::2", "10.0.0.1"])
ACCOUNTS = st.sampled_from(["anna", "ANNA", "bert", "nobody"])
STEPS = st.lists(st.tuples(PEERS, ACCOUNTS, st.booleans(), st.floats(0, 1000)), max_size=60)


@given(before=STEPS, after=STEPS, repeat=st.integers(1, 20))
def test_who_has_been_in_waits_for_nobody_else(
    before: list[tuple[str, str, bool, float]], after: list[tuple[str, str, bool, float]], repeat: int
) -> None:
    """Once in, and without mistakes of its own with that account, a peer is never asked to wait."""
    throttle = Throttle(CONFIG)
    now = 0.0

    def play(steps: list[tuple[str, str, bool, float]], *, but: tuple[str, str] | None = None) -> None:
        nonlocal now
        for peer, account, success, pause_s in steps:
            now += pause_s
            if success:
                throttle.succeeded(peer, account)
            elif (host_of(peer), account.casefold()) != but:
                for _ in range(repeat):
                    throttle.failed(peer, account, now)

    play(before)
    throttle.succeeded("192.0.2.1", "anna")
    play(after, but=("192.0.2.1", "anna"))
    assert throttle.wait_s("192.0.2.1", "anna", now) == 0
    assert throttle.wait_s("192.0.2.1:4000", "Anna", now) == 0


@given(STEPS)
def test_waits_are_bounded_and_accounts_that_exist_look_like_others(
    steps: list[tuple[str, str, bool, float]],
) -> None:
    throttle = Throttle(CONFIG)
    now = 0.0
    for peer, account, _, pause_s in steps:
        now += pause_s
        throttle.failed(peer, account, now)
        assert 0 <= throttle.wait_s(peer, account, now) <= CONFIG.max_delay_s
        assert throttle.wait_s(peer, account, now + CONFIG.max_delay_s) == 0


@settings(max_examples=20)
@given(st.integers(0, 400))
def test_guesses_per_day_are_few(seed: int) -> None:
    """However a stranger times its attempts, it gets a few hundred a day on one account, not thousands."""
    throttle = Throttle(CONFIG)
    now, attempts = 0.0, 0
    while now < 86_400:
        wait_s = throttle.wait_s("192.0.2.1", "anna", now)
        if wait_s:
            now += wait_s + seed % 7
            continue
        throttle.failed("192.0.2.1", "anna", now)
        attempts += 1
    assert attempts < 86_400 / CONFIG.max_delay_s + 20
