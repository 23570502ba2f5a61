"""PINs, the few wrong ones that are taken, and who is vouched for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from harness.frontdesk import NOW, PASSWORD, PIN, FrontDesk
from trio.testing import MockClock

from agent.access.store import AccessStore
from agent.access.users import AccessError
from agent.model.errors import TryLater
from agent.model.principals import Grant, Principal


@pytest.fixture
async def desk(house: FrontDesk) -> FrontDesk:
    await house.store.set_pin("anna", PIN)
    await house.store.set_pin("boss", "860417")
    return house


def wrong_pins(number: int) -> list[str]:
    return [f"{500_123_456 + 7 * index}" for index in range(number)]


async def test_a_right_pin_proves_who_it_is(desk: FrontDesk, hashes: list[str | None]) -> None:
    anna = Principal(name="anna", role="resident", via="zello", peer="zello:anna", proven_locally=True)
    assert await desk.dial() == anna
    assert await desk.dial() == anna
    assert len(hashes) == 1, "what was right is remembered"
    assert desk.denied == []


@pytest.mark.parametrize(
    ("account", "pin"),
    [
        ("anna", "739153"),
        ("anna", "860417"),
        ("anna", ""),
        ("anna", PIN + " "),
        ("anna", PASSWORD),
        ("anna", "x" * 5000),
        ("anna", "\ud800"),
        ("Anna", PIN),
        ("guest", PIN),
        ("nobody", PIN),
        ("", PIN),
    ],
)
async def test_everything_else_is_no_right_pin(
    desk: FrontDesk, account: str, pin: str, hashes: list[str | None]
) -> None:
    assert await desk.dial(pin, account) is None
    [event] = desk.denied
    assert (event.worker, event.peer, event.reason) == ("zello", "zello:anna", "wrong account or PIN")
    assert len(hashes) == 1, "the same work for everybody"


async def test_pins_and_passwords_are_no_good_for_one_another(desk: FrontDesk) -> None:
    key = await desk.store.add_api_key("anna", "bridge")
    assert await desk.ask("anna", PIN) is None
    assert await desk.dial(PASSWORD) is None
    assert await desk.dial(key) is None
    assert await desk.ask("anna", PASSWORD) is not None
    assert await desk.dial() is not None
    # What was remembered of one is not remembered of the other.
    assert await desk.ask("anna", PIN, peer="192.0.2.2") is None
    assert await desk.dial(PASSWORD, peer="other") is None


async def test_a_right_pin_does_not_let_in_who_is_shut_out(desk: FrontDesk) -> None:
    await desk.store.set_pin("guest", "402913")
    assert await desk.dial("402913", "guest") is not None
    desk.now_ns = NOW + 10
    assert await desk.dial("402913", "guest") is None
    assert desk.denied[-1].reason == "no longer valid"
    await desk.store.set_enabled("anna", False)
    assert await desk.dial() is None
    assert desk.denied[-1].reason == "disabled"


async def test_a_changed_pin_is_forgotten_at_once(desk: FrontDesk) -> None:
    assert await desk.dial() is not None
    await desk.store.set_pin("anna", "204816")
    assert await desk.dial() is None
    assert await desk.dial("204816") is not None
    await desk.store.set_pin("anna", None)
    assert await desk.dial("204816") is None


@pytest.mark.parametrize("account", ["anna", "guest", "nobody"])
async def test_guessing_pins_is_slowed_down(
    desk: FrontDesk, account: str, hashes: list[str | None], autojump_clock: MockClock
) -> None:
    for pin in wrong_pins(20):
        assert await desk.dial(pin, account) is None
    assert len(hashes) == 4
    await trio.sleep(1.5)
    assert await desk.dial("5999", account) is None
    assert len(hashes) == 5


async def test_pin_guesses_of_strangers_are_no_wrong_pin(desk: FrontDesk) -> None:
    for number in range(3 * 8 + 1):
        assert await desk.dial("no pin", peer=f"10.0.{number}.1") is None
    with pytest.raises(TryLater):
        await desk.dial(peer="192.0.2.99")


async def test_guesses_at_the_pin_slow_nobody_down_at_the_password(desk: FrontDesk) -> None:
    for pin in wrong_pins(8):
        await desk.dial(pin, peer="192.0.2.1")
    assert await desk.ask("anna", PASSWORD, peer="192.0.2.1") is not None
    assert await desk.dial(peer="192.0.2.1") is None


async def guess(desk: FrontDesk, number: int) -> None:
    """Wrong PINs, each from another place, which is not slowed down."""
    for index, pin in enumerate(wrong_pins(number)):
        assert await desk.dial(pin, peer=f"10.0.{index}.1") is None


async def test_ten_wrong_pins_lock_it_and_the_door_is_told(desk: FrontDesk, hashes: list[str | None]) -> None:
    await guess(desk, 9)
    assert await desk.dial(peer="192.0.2.1") is not None, (
        "nine are not ten, and what was right changes nothing"
    )
    assert await desk.dial("5999", peer="192.0.2.2") is None
    told = desk.denied[-1]
    assert (told.account, told.count) == ("anna", 1)
    assert told.reason == "10 wrong PINs within a day: the PIN is locked until it is set anew"
    assert sum(event.count for event in desk.denied) == 10
    hashes.clear()
    for peer in ("192.0.2.1", "192.0.2.3"):
        assert await desk.dial(peer=peer) is None, "not for those who have been in, nor when remembered"
        assert desk.denied[-1].reason == "the PIN is locked"
    assert hashes == [None, None], "the same work"
    assert await desk.dial("860417", "boss", peer="boss") is not None
    assert await desk.ask("anna", PASSWORD) is not None
    assert await desk.dial(peer="192.0.2.4") is None, "a password unlocks nothing"
    await desk.store.set_pin("anna", PIN)
    assert await desk.dial(peer="192.0.2.4") is not None


async def test_what_cannot_be_a_pin_locks_nothing(desk: FrontDesk) -> None:
    for index in range(12):
        assert await desk.dial("open please", peer=f"10.0.{index}.1") is None
    assert await desk.dial() is not None


async def test_many_at_once_get_ten_guesses_all_together(
    desk: FrontDesk,
) -> None:
    """The right one is among those that wait when the tenth turns out to be wrong."""
    answers: list[Principal | None] = []

    async def dial(pin: str, peer: str) -> None:
        answers.append(await desk.dial(pin, peer=peer))

    await guess(desk, 9)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial, "5999", "10.1.0.1")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(dial, PIN, "10.1.0.2")
    assert answers == [None, None]
    assert [event.reason for event in desk.denied[-2:]] == [
        "10 wrong PINs within a day: the PIN is locked until it is set anew",
        "the PIN is locked",
    ]


async def test_a_lock_survives_a_restart(desk: FrontDesk, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.access.run)
        await trio.testing.wait_all_tasks_blocked()
        await guess(desk, 10)
        with trio.fail_after(5):
            while not desk.store.list_users()[0].pin_locked:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    again = FrontDesk(AccessStore.open(tmp_path / "access.db").store)
    assert await again.dial() is None
    assert again.denied[-1].reason == "the PIN is locked"
    await again.store.set_pin("anna", PIN)
    assert await again.dial() is not None
    assert not again.store.list_users()[0].pin_locked


async def test_a_lock_holds_when_the_disk_does_not(
    desk: FrontDesk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = True
    write = AccessStore.lock_pin

    async def lock_pin(store: AccessStore, name: str, pin_hash: str) -> None:
        if broken:
            raise AccessError("the change could not be written to the disk")
        await write(store, name, pin_hash)

    monkeypatch.setattr(AccessStore, "lock_pin", lock_pin)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.access.run)
        await trio.testing.wait_all_tasks_blocked()
        await guess(desk, 10)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert "lock of a PIN not stored account=anna" in caplog.text
        assert await desk.dial() is None
        assert not desk.store.list_users()[0].pin_locked
        broken = False
        await desk.ask("anna", "wrong horse", peer="192.0.2.77")  # the next refusal wakes it up
        with trio.fail_after(5):
            while not desk.store.list_users()[0].pin_locked:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_a_pin_hash_of_other_parameters_is_renewed(desk: FrontDesk) -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PIN)
    before = desk.store.find("anna")
    assert before is not None
    assert before.pin_hash is not None
    await desk.store.replace_hash("anna", before.pin_hash, weak)
    assert await desk.dial() is not None
    after = desk.store.find("anna")
    assert after is not None
    assert after.pin_hash is not None
    assert after.pin_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert after.password_hash == before.password_hash
    assert await desk.dial() is not None


async def test_pins_are_never_told(desk: FrontDesk) -> None:
    await guess(desk, 11)
    told = msgspec.json.encode(desk.denied).decode() + repr(vars(desk.access)) + repr(desk.store.find("anna"))
    for pin in (PIN, *wrong_pins(11)):
        assert pin not in told


# Who is vouched for.


async def test_somebody_vouched_for_is_not_proven_here(desk: FrontDesk) -> None:
    principal = desk.access.principal("guest", via="zello", peer="zello:guest")
    assert principal == Principal(
        name="guest",
        role="guest",
        via="zello",
        peer="zello:guest",
        proven_locally=False,
        grant=Grant(endpoints=("door",), not_before_ns=NOW, not_after_ns=NOW + 10),
    )
    assert desk.denied == []


async def test_nobody_can_vouch_for_who_may_not_come_in(desk: FrontDesk) -> None:
    await desk.store.set_enabled("anna", False)
    desk.now_ns = NOW + 10
    for account in ("anna", "guest", "nobody", "Boss"):
        assert desk.access.principal(account, via="zello", peer="zello:x") is None
    assert [(event.account, event.reason) for event in desk.denied] == [
        ("anna", "disabled"),
        ("guest", "no longer valid"),
        ("nobody", "no such account"),
        ("Boss", "no such account"),
    ]
    assert desk.access.principal("boss", via="zello", peer="zello:x") is not None
