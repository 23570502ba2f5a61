"""Who gets in, who waits, what it costs, and what the door is told."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import msgspec
import pytest
import trio
from harness.frontdesk import NOW, PASSWORD, FrontDesk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from agent.access import authenticate as module
from agent.access import passwords
from agent.access.authenticate import Access
from agent.access.config import AccessConfig
from agent.access.passwords import MAX_WAITING
from agent.access.store import AccessStore
from agent.model.errors import TryLater
from agent.model.principals import Grant, Principal
from agent.runtime import Authenticator

ANNA = Principal(name="anna", role="resident", via="web", peer="192.0.2.1:5", proven_locally=True)


async def test_it_is_an_authenticator(house: FrontDesk) -> None:
    authenticator: Authenticator = house.access
    assert (
        await authenticator.authenticate(account="anna", secret=PASSWORD, via="web", peer="192.0.2.1:5")
        == ANNA
    )
    assert house.denied == []


@pytest.mark.parametrize(
    ("account", "secret"),
    [
        ("anna", "wrong horse"),
        ("anna", ""),
        ("Anna", PASSWORD),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("anna", PASSWORD + " "),
        ("anna", PASSWORD + "x" * 5000),
        ("\ud800", "\ud800"),
        ("anna\0", PASSWORD),
        ("x" * 5000, PASSWORD),
    ],
)
async def test_everything_else_is_refused(house: FrontDesk, account: str, secret: str) -> None:
    assert await house.ask(account, secret) is None
    [event] = house.denied
    assert (event.worker, event.peer, event.reason) == ("web", "192.0.2.1:5", "wrong account or password")
    assert len(event.account) <= 64


async def test_a_guest_brings_its_limits(house: FrontDesk) -> None:
    principal = await house.ask("guest")
    assert principal is not None
    assert principal.grant == Grant(endpoints=("door",), not_before_ns=NOW, not_after_ns=NOW + 10)
    for at_ns, reason in ((NOW - 1, "not yet valid"), (NOW + 10, "no longer valid")):
        house.now_ns = at_ns
        assert await house.ask("guest", peer=f"192.0.2.{at_ns % 100}") is None
        assert house.denied[-1].reason == reason


async def test_a_disabled_user_is_refused_after_the_same_work(
    house: FrontDesk, hashes: list[str | None]
) -> None:
    await house.store.set_enabled("anna", False)
    assert await house.ask() is None
    assert len(hashes) == 1
    assert house.denied[-1].reason == "disabled"
    await house.store.set_enabled("anna", True)
    assert await house.ask() == ANNA


async def test_an_api_key_needs_no_password_work(house: FrontDesk, hashes: list[str | None]) -> None:
    key = await house.store.add_api_key("anna", "bridge")
    assert await house.ask("anna", key) == ANNA
    assert await house.ask("", key) == ANNA
    assert await house.ask("boss", key) is None
    assert await house.ask("anna", key[:-2]) is None
    assert [event.reason for event in house.denied] == ["wrong API key"] * 2
    assert hashes == []
    await house.store.set_enabled("anna", False)
    assert await house.ask("anna", key) is None


async def test_an_attack_does_not_stop_a_good_key(house: FrontDesk) -> None:
    key = await house.store.add_api_key("anna", "bridge")
    for number in range(100):
        await house.ask("anna", f"pk_guess{number}_x")
    assert await house.ask("anna", PASSWORD) is None
    assert await house.ask("anna", key) == ANNA


async def test_wrong_keys_of_a_stranger_keep_no_family_out(
    house: FrontDesk, autojump_clock: MockClock
) -> None:
    """They cost nothing and never wait, so they must make nobody wait: after a restart nobody is known."""
    for number in range(200):
        await house.ask("anna", f"pk_guess{number}_x", peer="2001:db8::bad")
    assert await house.ask("anna", PASSWORD, peer="192.0.2.9") is not None
    assert await house.ask("boss", PASSWORD, peer="2001:db8::9") is not None


async def test_a_password_that_was_right_is_not_worked_on_again(
    house: FrontDesk, hashes: list[str | None]
) -> None:
    for number in range(10):
        assert await house.ask(peer=f"192.0.2.{number}") is not None
    assert len(hashes) == 1
    assert await house.ask(secret="wrong horse") is None
    assert len(hashes) == 2


async def test_ten_phones_at_once_cost_one_hash(house: FrontDesk, hashes: list[str | None]) -> None:
    found: list[Principal | None] = []

    async def phone(number: int) -> None:
        found.append(await house.ask(peer=f"192.0.2.{number}"))

    async with trio.open_nursery() as nursery:
        for number in range(3 * MAX_WAITING):
            nursery.start_soon(phone, number)
    assert len(hashes) == 1
    assert None not in found


async def test_who_shares_a_check_does_not_end_with_it(house: FrontDesk, hashes: list[str | None]) -> None:
    """The first asker hangs up; the one who waited for the same answer still gets it."""
    found: list[Principal | None] = []
    gone = trio.CancelScope()

    async def first() -> None:
        with gone:
            await house.ask()

    async def second() -> None:
        found.append(await house.ask())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(second)
        await trio.testing.wait_all_tasks_blocked()
        gone.cancel()
    assert found == [ANNA]


async def test_a_changed_password_is_forgotten_at_once(house: FrontDesk) -> None:
    assert await house.ask() == ANNA
    await house.store.set_password("anna", "another one")
    assert await house.ask() is None
    assert await house.ask(secret="another one") == ANNA
    await house.store.remove_user("anna")
    assert await house.ask(secret="another one") is None


async def test_a_password_changed_while_it_is_checked_is_the_old_one(
    house: FrontDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = passwords.verify_password

    def slow(password_hash: str | None, secret: str) -> bool:
        right = verify(password_hash, secret)
        trio.from_thread.run(house.store.set_password, "anna", "another one")
        return right

    monkeypatch.setattr(passwords, "verify_password", slow)
    assert await house.ask() is None


async def test_few_proofs_are_kept_and_none_can_be_read(
    house: FrontDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PROOFS", 2)
    for name in ("anna", "boss", "guest"):
        assert await house.ask(name) is not None
    assert len(house.access._proofs) == 2
    assert PASSWORD.encode() not in b"".join(house.access._proofs)


async def test_a_hash_of_other_parameters_is_renewed(
    house: FrontDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    old = house.store.find("anna")
    assert old is not None
    await house.store.replace_hash("anna", old.password_hash, weak)
    assert await house.ask() == ANNA
    renewed = house.store.find("anna")
    assert renewed is not None
    assert renewed.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await house.ask() == ANNA


async def test_after_some_mistakes_one_waits_without_work(house: FrontDesk, hashes: list[str | None]) -> None:
    for _ in range(4):
        await house.ask(secret="wrong horse")
    assert len(hashes) == 4
    assert await house.ask() is None
    assert len(hashes) == 4
    assert await house.ask(peer="192.0.2.99") is not None


@pytest.mark.parametrize("account", ["anna", "nobody"])
async def test_waiting_does_not_tell_who_exists(
    house: FrontDesk, account: str, hashes: list[str | None]
) -> None:
    for _ in range(20):
        assert await house.ask(account, "wrong horse") is None
    assert len(hashes) == 4


async def test_the_wait_ends(house: FrontDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("trio.current_time", lambda: now[0])
    for _ in range(4):
        await house.ask(secret="wrong horse")
    assert await house.ask() is None
    now[0] = 1.5
    assert await house.ask() == ANNA


async def test_known_phones_get_in_while_strangers_flood(house: FrontDesk) -> None:
    phones = [f"192.0.2.{number}" for number in range(5)]
    for phone in phones:
        assert await house.ask(peer=phone) is not None
    house.access._proofs.clear()
    async with trio.open_nursery() as nursery:

        async def stranger(number: int) -> None:
            while True:
                try:
                    assert await house.ask(secret=f"guess {number}", peer=f"10.0.{number}.1") is None
                except TryLater:
                    pass
                await trio.sleep(0.001)

        for number in range(60):
            nursery.start_soon(stranger, number)
        await trio.sleep(0.05)
        for phone in phones:
            house.access._proofs.clear()
            with trio.fail_after(5):
                assert await house.ask(peer=phone) is not None
        nursery.cancel_scope.cancel()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["10.0.0.1", "10.0.0.2", "192.0.2.1", "2001:db8::1"]),
            st.sampled_from(["anna", "boss", "nobody"]),
            st.sampled_from(["guess", "pk_guess_x", PASSWORD]),
            st.integers(1, 12),
        ),
        max_size=8,
    )
)
def test_who_has_been_in_gets_in_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str, int]]
) -> None:
    """Whatever others try, and whatever the same place tries on other accounts."""

    async def play() -> None:
        store = AccessStore.open(tmp_path_factory.mktemp("access") / "access.db").store
        await store.add_user("anna", role="resident", password=PASSWORD)
        await store.add_user("boss", role="admin", password=PASSWORD)
        house = FrontDesk(store)
        assert await house.ask(peer="192.0.2.1") is not None
        for peer, account, secret, times in steps:
            if (peer, account) == ("192.0.2.1", "anna"):
                continue
            for _ in range(times):
                await house.ask(account, secret, peer)
        assert await house.ask(peer="192.0.2.1:99") is not None

    trio.run(play)


def test_unknown_disabled_and_wrong_take_the_same_time(tmp_path: Path) -> None:
    async def measure() -> dict[str, float]:
        store = AccessStore.open(tmp_path / "access.db").store
        await store.add_user("boss", role="admin", password=PASSWORD)
        await store.add_user("off", role="resident", password=PASSWORD)
        await store.set_enabled("off", False)
        access = Access(store, report=lambda event: None, config=AccessConfig(free_attempts=100))
        spent: dict[str, list[float]] = {"boss": [], "off": [], "nobody": []}
        await access.authenticate(account="x", secret="warm", via="web", peer="p")
        for number in range(9):
            for account, times in spent.items():
                begun = time.process_time()
                await access.authenticate(account=account, secret=f"guess {number}", via="web", peer="p")
                times.append(time.process_time() - begun)
        return {account: statistics.median(times) for account, times in spent.items()}

    medians = trio.run(measure)
    assert max(medians.values()) < 1.6 * min(medians.values()), medians


async def test_refusals_are_summed_up(house: FrontDesk, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.access.run)
        for _ in range(25):
            await house.ask("anna", "pk_guess_x")
            await trio.sleep(1)
        assert [event.count for event in house.denied] == [1, 9, 10]
        await trio.sleep(30)
        assert sum(event.count for event in house.denied) == 25
        told = len(house.denied)
        await trio.sleep(1000)
        assert len(house.denied) == told
        nursery.cancel_scope.cancel()


async def test_what_is_summed_up_is_told_at_the_end(house: FrontDesk) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.access.run)
        for _ in range(5):
            await house.ask("anna", "pk_guess_x")
        nursery.cancel_scope.cancel()
    assert [event.count for event in house.denied] == [1, 4]


async def test_secrets_are_never_told(house: FrontDesk) -> None:
    key = await house.store.add_api_key("anna", "bridge")
    for secret in ("hunter2 hunter2", key + "x"):
        await house.ask("anna", secret)
        told = msgspec.json.encode(house.denied).decode() + repr(house.denied) + repr(vars(house.access))
        assert secret not in told


async def test_who_is_admitted_without_being_asked_for_a_secret(house: FrontDesk) -> None:
    assert house.access.admits("anna")
    assert house.access.admits("guest")
    assert not house.access.admits("nobody")
    house.now_ns = NOW + 10
    assert not house.access.admits("guest")
    await house.store.set_enabled("anna", False)
    assert not house.access.admits("anna")


async def test_the_mistakes_of_others_are_no_wrong_password(house: FrontDesk) -> None:
    for number in range(3 * 8 + 1):
        assert await house.ask(secret="guess", peer=f"10.0.{number}.1") is None
    with pytest.raises(TryLater) as later:
        await house.ask(peer="192.0.2.99")
    assert later.value.retry_after_s == pytest.approx(1, abs=0.2)


async def test_own_mistakes_are(house: FrontDesk) -> None:
    for _ in range(4):
        assert await house.ask(secret="guess") is None
    assert await house.ask() is None  # right, but it has to wait for its own sake
