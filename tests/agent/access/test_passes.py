from __future__ import annotations

import time

import pytest
from harness.context import DictAuthenticator

from agent.access.passes import LIFETIME_S, MOST, PREFIX, Passes
from agent.model.actions import (
    AnswerCall,
    EndCall,
    Lock,
    Ring,
    SetNotify,
    SoundSiren,
    StartTalk,
    SwitchLight,
    Unlock,
)
from agent.model.principals import Principal, authorise


class Desk:
    def __init__(self) -> None:
        self.store = DictAuthenticator({"ana": ("secret", "resident")})
        self.passes = Passes(self.store)

    async def log_in(self, account: str, secret: str) -> Principal | None:
        return await self.passes.authenticate(account=account, secret=secret, via="zmes", peer="127.0.0.1")


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_pass_may_listen_and_do_nothing_else(desk: Desk) -> None:
    account, secret = desk.passes.issue()
    assert account.startswith(PREFIX)
    principal = await desk.log_in(account, secret)
    assert principal is not None
    assert (principal.name, principal.via, principal.peer) == (account, "zmes", "127.0.0.1")
    for action in (
        Unlock(endpoint="strike"),
        Lock(endpoint="strike"),
        SoundSiren(endpoint="siren"),
        SwitchLight(endpoint="lamp", on=True),
        Ring(endpoint="bell"),
        AnswerCall(),
        EndCall(),
        SetNotify(mode="mute"),
    ):
        assert authorise(principal, action, 0) is not None


@pytest.mark.parametrize("talk", [False, True])
async def test_a_pass_for_voices_may_hear_and_perhaps_speak(desk: Desk, talk: bool) -> None:
    account, secret = desk.passes.issue_voice(talk=talk)
    principal = await desk.log_in(account, secret)
    assert principal is not None
    assert (principal.role, principal.proven_locally) == ("resident", True)
    for granted in (StartTalk(), AnswerCall(), EndCall()):
        assert (authorise(principal, granted, 0) is None) is talk
    for action in (
        Unlock(endpoint="strike"),
        SoundSiren(endpoint="siren"),
        SwitchLight(endpoint="lamp", on=True),
        Ring(endpoint="bell"),
        SetNotify(mode="mute"),
    ):
        assert authorise(principal, action, 0) is not None


@pytest.mark.parametrize("wrong", ["", "x", "\ud800", "ü", "\0"])
async def test_a_wrong_secret_is_refused_and_not_passed_on(desk: Desk, wrong: str) -> None:
    account, secret = desk.passes.issue()
    assert await desk.log_in(account, wrong) is None
    assert await desk.log_in(account, secret + wrong if wrong else secret[:-1]) is None
    assert desk.store.calls == []


async def test_everybody_else_is_asked_of_the_store(desk: Desk) -> None:
    ana = await desk.log_in("ana", "secret")
    assert ana is not None
    assert ana.role == "resident"
    assert await desk.log_in("ana", "wrong") is None
    assert await desk.log_in(PREFIX + "00000000", "secret") is None
    assert [account for account, _ in desk.store.calls] == ["ana", "ana", PREFIX + "00000000"]


async def test_a_pass_has_no_pin_and_nobody_vouches_for_it(desk: Desk) -> None:
    desk.store.pins["ana"] = "739152"
    account, secret = desk.passes.issue()

    async def dial(account: str, pin: str) -> Principal | None:
        return await desk.passes.authenticate_pin(account=account, pin=pin, via="zello", peer="zello:ana")

    assert await dial(account, secret) is None
    assert desk.passes.principal(account, via="zello", peer="zello:ana") is None
    ana = await dial("ana", "739152")
    assert ana is not None
    assert ana.proven_locally
    vouched = desk.passes.principal("ana", via="zello", peer="zello:ana")
    assert vouched is not None
    assert (vouched.name, vouched.proven_locally) == ("ana", False)


async def test_a_pass_is_admitted_for_its_hour(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    account, _ = desk.passes.issue()
    now = time.monotonic()
    assert desk.passes.admits(account)
    monkeypatch.setattr(time, "monotonic", lambda: now + LIFETIME_S + 5)
    assert not desk.passes.admits(account)


async def test_a_pass_ends_after_an_hour(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    account, secret = desk.passes.issue()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + LIFETIME_S - 5)
    assert await desk.log_in(account, secret) is not None
    monkeypatch.setattr(time, "monotonic", lambda: now + LIFETIME_S + 5)
    assert await desk.log_in(account, secret) is None


async def test_the_oldest_of_too_many_is_dropped(desk: Desk) -> None:
    issued = [desk.passes.issue() for _ in range(MOST + 1)]
    assert len({account for account, _ in issued}) == len({secret for _, secret in issued}) == MOST + 1
    assert await desk.log_in(*issued[0]) is None
    for account, secret in issued[1:]:
        assert await desk.log_in(account, secret) is not None


def test_no_secret_in_a_repr(desk: Desk) -> None:
    _, secret = desk.passes.issue()
    assert secret not in repr(desk.passes)


async def test_a_voice_pass_tells_who_asked_for_it(desk: Desk) -> None:
    account, secret = desk.passes.issue_voice(talk=True, who="ro ot/\n-x")
    assert account.startswith(f"{PREFIX}rootx-")
    assert len(desk.passes.issue_voice(talk=True, who="w" * 500)[0]) <= 64
    principal = await desk.log_in(account, secret)
    assert principal is not None
    assert principal.name == account
