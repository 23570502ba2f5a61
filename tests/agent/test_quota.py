"""How often somebody may: by the connection, and by the account."""

from __future__ import annotations

from agent.quota import MAX_ACCOUNTS, AccountQuotas, Quota


def test_a_bucket_gives_what_it_holds_and_fills_again() -> None:
    quota = Quota(2, 0.5, 10.0)
    assert [quota.take(10.0) for _ in range(3)] == [True, True, False]
    assert not quota.take(11.0)
    assert quota.take(12.0)
    # It holds no more than at the beginning, however long nobody asked, and a clock does not go back.
    assert [quota.take(1000.0) for _ in range(3)] == [True, True, False]
    assert not quota.take(900.0)


def test_accounts_are_counted_apart() -> None:
    quotas = AccountQuotas(1, 0.5)
    assert quotas.take("alice", 0.0)
    assert not quotas.take("alice", 1.0)
    assert quotas.take("bob", 1.0)
    assert quotas.take("alice", 2.5)


def test_the_number_of_accounts_is_bounded_and_the_last_ones_stay() -> None:
    quotas = AccountQuotas(1, 0.0)
    for number in range(MAX_ACCOUNTS):
        assert quotas.take(str(number), 0.0)
    assert not quotas.take("0", 0.0)
    assert quotas.take("one more", 0.0)
    assert not quotas.take("0", 0.0)
    assert quotas.take("1", 0.0)
