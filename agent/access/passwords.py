"""Passwords: rules, argon2id, and the order in which those who log in wait for it.

argon2 is imported with the first hash. One hash costs 19 MiB and, on the smallest board, more than a second,
so one is made at a time and few may wait.
"""

from __future__ import annotations

import secrets
from functools import cache
from typing import TYPE_CHECKING, Literal

import trio

from agent.access.users import AccessError
from agent.memory import return_large_blocks

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MEMORY_KIB = 19 * 1024
TIME_COST = 2
MIN_LETTERS = 8
MAX_BYTES = 1024
MAX_WAITING = 8
MAX_KNOWN_WAITING = 64
# Without i, l, o: nobody should have to ask which letter that is. 16 of 23 letters are 72 bits.
_LETTERS = "abcdefghjkmnpqrstuvwxyz"

Verdict = Literal["right", "wrong", "busy"]


class Verifier:
    """Checks passwords, one at a time in a thread; strangers wait behind those who are known.

    Strangers queue among themselves for one place in the queue, so that however many they are, a known peer
    waits for two of their hashes at most.
    """

    def __init__(self) -> None:
        self._thread = trio.CapacityLimiter(1)
        self._stranger = trio.Semaphore(1)
        self._waiting = {True: 0, False: 0}

    async def verify(self, password_hash: str | None, secret: str, *, known: bool) -> Verdict:
        """Whether `secret` is the password; the same work when there is no hash to compare with.

        known: the asker has proven itself before; waits in the shorter queue.
        "busy" when too many wait already: nothing was checked.
        """
        if self._waiting[known] >= (MAX_KNOWN_WAITING if known else MAX_WAITING):
            await trio.lowlevel.checkpoint()
            return "busy"
        self._waiting[known] += 1
        try:
            if known:
                return await self._check(password_hash, secret)
            async with self._stranger:
                return await self._check(password_hash, secret)
        finally:
            self._waiting[known] -= 1

    async def hash(self, password: str) -> str:
        """The argon2id hash to store, when it is its turn."""
        return await trio.to_thread.run_sync(
            hash_password, password, limiter=self._thread, abandon_on_cancel=True
        )

    async def _check(self, password_hash: str | None, secret: str) -> Verdict:
        right = await trio.to_thread.run_sync(
            verify_password, password_hash, secret, limiter=self._thread, abandon_on_cancel=True
        )
        return "right" if right else "wrong"


def check_password(password: str) -> None:
    """Raises: AccessError for a password that is not good enough. Nothing is trimmed or changed."""
    if len(password) < MIN_LETTERS:
        raise AccessError(f"a password has at least {MIN_LETTERS} letters")
    if len(_encoded(password)) > MAX_BYTES:
        raise AccessError(f"a password has at most {MAX_BYTES} bytes")
    if password.startswith("pk_"):
        raise AccessError("a password cannot look like an API key")


def generate_password() -> str:
    """A password that can be read out and typed: four groups of four letters, 72 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def hash_password(password: str) -> str:
    """The argon2id hash to store. Blocks for tens of milliseconds to more than a second."""
    return _hasher().hash(_encoded(password))


def verify_password(password_hash: str | None, secret: str) -> bool:
    """Whether `secret` has that hash; does the same work without one. Blocks like `hash_password`.

    A hash that cannot be read is one that nothing matches.
    """
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher, dummy = _hasher(), _dummy_hash()
    encoded = _encoded(secret)
    if password_hash is None or not password_hash.startswith("$argon2id$"):
        password_hash, possible = dummy, False
    else:
        possible = True
    try:
        return hasher.verify(password_hash, encoded) and possible
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(password_hash: str) -> bool:
    """True for a hash that was made with other parameters than today's."""
    return _hasher().check_needs_rehash(password_hash)


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return_large_blocks()
    return PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1)


@cache
def _dummy_hash() -> str:
    """A hash with today's parameters that no password has. Made with the first log-in, whoever it is."""
    return _hasher().hash(secrets.token_bytes(32))


def _encoded(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
