"""Proves who somebody is against the door's own users: password or API key, throttled, summed up."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from hashlib import sha256

import trio

from agent.access.config import AccessConfig
from agent.access.denials import PERIOD_S, Denials
from agent.access.passwords import MAX_BYTES, Verdict, Verifier, needs_rehash
from agent.access.store import KEY_PREFIX, AccessStore
from agent.access.throttle import Throttle
from agent.access.users import AccessError, Account
from agent.model.errors import TryLater
from agent.model.events import AccessDenied
from agent.model.principals import Grant, Principal

MAX_PROOFS = 64
SAVE_EVERY_S = 3600.0
READ_AGAIN_S = 10.0

_log = logging.getLogger(__name__)


class Access:
    """The door's own authenticator (`runtime.Authenticator`).

    A password that was right is remembered as a keyed hash, so that ten phones that come back after a power
    cut do not cost ten argon2 hashes; it is forgotten when the account's password hash is another one.
    """

    def __init__(
        self,
        store: AccessStore,
        *,
        report: Callable[[AccessDenied], object],
        config: AccessConfig | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._report = report
        self._clock_ns = clock_ns
        self._throttle = Throttle(config or AccessConfig())
        self._denials = Denials()
        self._verifier = Verifier()
        self._proof_key = secrets.token_bytes(32)
        self._proofs: OrderedDict[bytes, str] = OrderedDict()
        self._running: dict[bytes, _Attempt] = {}
        self._denied = trio.Event()

    async def run(self) -> None:
        """Publish what was summed up, and store when keys were used, for as long as the agent runs."""
        save_at = trio.current_time() + SAVE_EVERY_S
        try:
            while True:
                self._denied = trio.Event()
                with trio.move_on_at(self._next_at(save_at)):
                    await self._denied.wait()
                now = trio.current_time()
                self._tell(now)
                if now >= save_at:
                    save_at = now + SAVE_EVERY_S
                    await self._store.save_last_used()
                await self._store.read_again()
        finally:
            self._tell(trio.current_time() + PERIOD_S)

    def _next_at(self, save_at: float) -> float:
        denials_at = self._denials.next_at
        read_at = trio.current_time() + READ_AGAIN_S if self._store.unread else save_at
        return min(save_at, read_at, save_at if denials_at is None else denials_at)

    async def authenticate(self, *, account: str, secret: str, via: str, peer: str) -> Principal | None:
        """The principal whose password or API key `secret` is, or None.

        account: the exact name; may be empty with an API key, which knows whose it is.
        Throttled peers are refused before any work; unknown and disabled accounts cost the same as others.
        Raises: TryLater when it was not this peer's mistakes that kept us from looking.
        """
        await trio.lowlevel.checkpoint()
        deny = partial(self._deny, account=account, via=via, peer=peer)
        if secret.startswith(KEY_PREFIX):
            found = self._store.find_by_key(secret)
            if found is None or account not in ("", found.name):
                self._throttle.failed(peer, account, trio.current_time(), shared=False)
                return deny("wrong API key")
        else:
            now = trio.current_time()
            if self._throttle.own_wait_s(peer, account, now) > 0:
                return deny("too many attempts")
            wait_s = self._throttle.wait_s(peer, account, now)
            if wait_s > 0:
                deny("too many attempts of others")
                raise TryLater("too many attempts of others", wait_s)
            verdict = await self._verify(account, secret, known=self._throttle.knows(peer, account))
            if verdict == "busy":
                deny("too many log-ins at once")
                raise TryLater("too many log-ins at once")
            found = self._store.find(account)
            if verdict == "wrong" or found is None:
                return deny("wrong account or password", strike=True)
        self._throttle.succeeded(peer, found.name)
        reason = self._shut_out(found)
        if reason is not None:
            return deny(reason)
        return Principal(
            name=found.name,
            role=found.role,
            via=via,
            peer=peer,
            proven_locally=True,
            grant=Grant(
                endpoints=found.endpoints,
                not_before_ns=found.valid_from_ns,
                not_after_ns=found.valid_until_ns,
            ),
        )

    async def _verify(self, name: str, secret: str, *, known: bool) -> Verdict:
        """Whether the password is right, from memory or by argon2; the same question is worked on once."""
        proof = hmac.digest(self._proof_key, _encoded(name) + b"\0" + _encoded(secret), sha256)
        while True:
            password_hash = self._hash_of(name) if len(secret) <= MAX_BYTES else None
            if password_hash is not None and self._proofs.get(proof) == password_hash:
                self._proofs.move_to_end(proof)
                return "right"
            running = self._running.get(proof)
            if running is None:
                break
            await running.done.wait()
            if running.verdict == "wrong" and running.password_hash == self._hash_of(name):
                return "wrong"
        attempt = self._running[proof] = _Attempt(password_hash)
        try:
            attempt.verdict = await self._verifier.verify(password_hash, secret[:MAX_BYTES], known=known)
            if attempt.verdict == "right":
                attempt.verdict = await self._proven(name, secret, proof, password_hash)
            return attempt.verdict
        finally:
            del self._running[proof]
            attempt.done.set()

    async def _proven(self, name: str, secret: str, proof: bytes, password_hash: str | None) -> Verdict:
        """Remember a password that was right, if it still is, and renew a hash with other parameters."""
        if password_hash is None or password_hash != self._hash_of(name):
            return "wrong"
        if needs_rehash(password_hash):
            new = await self._verifier.hash(secret)
            try:
                await self._store.replace_hash(name, password_hash, new)
            except AccessError as error:
                _log.warning("password hash not renewed account=%s reason=%s", name, error)
            if self._hash_of(name) not in (password_hash, new):
                return "wrong"
            password_hash = self._hash_of(name) or password_hash
        self._proofs[proof] = password_hash
        self._proofs.move_to_end(proof)
        if len(self._proofs) > MAX_PROOFS:
            self._proofs.popitem(last=False)
        return "right"

    def _hash_of(self, name: str) -> str | None:
        account = self._store.find(name)
        return None if account is None else account.password_hash

    def admits(self, account: str) -> bool:
        """See runtime.Authenticator."""
        found = self._store.find(account)
        return found is not None and self._shut_out(found) is None

    def _shut_out(self, account: Account) -> str | None:
        """Why somebody who is known may not come in now."""
        now_ns = self._clock_ns()
        if not account.enabled:
            return "disabled"
        if account.valid_from_ns is not None and now_ns < account.valid_from_ns:
            return "not yet valid"
        if account.valid_until_ns is not None and now_ns >= account.valid_until_ns:
            return "no longer valid"
        return None

    def _deny(self, reason: str, *, account: str, via: str, peer: str, strike: bool = False) -> None:
        now = trio.current_time()
        if strike:
            self._throttle.failed(peer, account, now)
        event = self._denials.add(worker=via, peer=peer, account=account, reason=reason, now=now)
        if event is not None:
            self._report(event)
            self._denied.set()

    def _tell(self, now: float) -> None:
        for event in self._denials.due(now):
            self._report(event)


class _Attempt:
    """A password that is being checked; `verdict` is None while it is, and when the check was given up."""

    def __init__(self, password_hash: str | None) -> None:
        self.password_hash = password_hash
        self.verdict: Verdict | None = None
        self.done = trio.Event()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
