"""Hashes have the promised parameters, and the queue its order."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from agent.access import passwords
from agent.access.passwords import (
    MAX_WAITING,
    Verdict,
    Verifier,
    check_password,
    generate_password,
    hash_password,
    needs_rehash,
    verify_password,
)
from agent.access.users import AccessError


def test_a_hash_has_the_decided_parameters() -> None:
    hashed = hash_password("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not needs_rehash(hashed)
    assert verify_password(hashed, "correct horse")
    assert not verify_password(hashed, "correct horse ")
    assert hash_password("correct horse") != hashed


@pytest.mark.parametrize(
    "password_hash", [None, "", "garbage", "$argon2id$v=19$m=1$x", "$2b$12$abc", "$argon2id$"]
)
def test_no_hash_matches_nothing(password_hash: str | None) -> None:
    assert not verify_password(password_hash, "anything at all")
    assert not verify_password(password_hash, "")


def test_text_that_is_no_unicode_is_a_password_like_any_other() -> None:
    hashed = hash_password("\ud800abcdefgh")
    assert verify_password(hashed, "\ud800abcdefgh")
    assert not verify_password(hashed, "?abcdefgh")


def test_a_hash_of_other_parameters_is_to_be_renewed() -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("correct horse")
    assert verify_password(weak, "correct horse")
    assert needs_rehash(weak)


def test_unknown_users_cost_the_same() -> None:
    hashed = hash_password("correct horse")
    verify_password(None, "warm")
    times: dict[str | None, list[float]] = {hashed: [], None: []}
    for _ in range(7):
        for password_hash, spent in times.items():
            begun = time.thread_time()
            verify_password(password_hash, "wrong horse")
            spent.append(time.thread_time() - begun)
    real, dummy = (sorted(spent)[3] for spent in times.values())
    assert 0.6 < dummy / real < 1.6


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025, "ü" * 513, "pk_abcdefgh"])
def test_bad_passwords_are_refused(password: str) -> None:
    with pytest.raises(AccessError) as caught:
        check_password(password)
    assert password not in str(caught.value) or not password


@pytest.mark.parametrize("password", ["12345678", "        ", "x" * 1024, " padded ", "日本語日本語日本"])
def test_nothing_else_is_asked_of_a_password(password: str) -> None:
    check_password(password)


def test_made_passwords_are_good_and_differ() -> None:
    made = {generate_password() for _ in range(200)}
    assert len(made) == 200
    for password in made:
        check_password(password)
        assert re.fullmatch(r"([a-hjkmnp-z]{4}-){3}[a-hjkmnp-z]{4}", password)
    assert len(set(passwords._LETTERS)) ** 16 > 2**60


def test_argon2_is_not_imported_before_the_first_log_in() -> None:
    code = "import sys, agent.access.authenticate; sys.exit('argon2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class SlowWork:
    """Stands for argon2: each check waits for its turn to be let go, in the order in which it began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.go = threading.Semaphore(0)
        monkeypatch.setattr(passwords, "verify_password", self)

    def __call__(self, password_hash: str | None, secret: str) -> bool:
        self.begun.append(secret)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.go.acquire()
        self.at_once -= 1
        return True


async def test_strangers_wait_behind_who_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    work, verifier = SlowWork(monkeypatch), Verifier()
    verdicts: dict[str, Verdict] = {}

    async def ask(name: str, known: bool) -> None:
        verdicts[name] = await verifier.verify(None, name, known=known)

    async with trio.open_nursery() as nursery:
        for number in range(MAX_WAITING):
            nursery.start_soon(ask, f"stranger{number}", False)
            await wait_all_tasks_blocked()
        nursery.start_soon(ask, "one too many", False)
        for number in range(20):
            nursery.start_soon(ask, f"known{number}", True)
        await wait_all_tasks_blocked()
        assert verdicts == {"one too many": "busy"}
        for _ in range(MAX_WAITING + 20):
            work.go.release()
    assert work.most_at_once == 1
    assert work.begun[0] == "stranger0"
    assert "stranger2" not in work.begun[:20]
    assert set(verdicts.values()) == {"busy", "right"}


async def test_a_place_in_the_queue_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    work, verifier = SlowWork(monkeypatch), Verifier()
    for _ in range(3 * MAX_WAITING):
        with trio.move_on_after(0.001):
            await verifier.verify(None, "x", known=False)
    for _ in range(3 * MAX_WAITING):
        work.go.release()
    assert await verifier.verify(None, "y", known=False) == "right"


def test_a_hash_gives_its_memory_back() -> None:
    script = (
        "from agent.access.passwords import hash_password, verify_password\n"
        "def rss_kib(): return int(open('/proc/self/statm').read().split()[1]) * 4\n"
        "hashed = hash_password('correct horse')\n"
        "before = rss_kib()\n"
        "for _ in range(3): verify_password(hashed, 'battery staple')\n"
        "import trio\n"
        "async def one(): await trio.to_thread.run_sync(verify_password, hashed, 'battery staple')\n"
        "trio.run(one)\n"
        "print(before, rss_kib() - before)\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown_kib = int(answer.stdout.split()[1])
    assert grown_kib < 10 * 1024
