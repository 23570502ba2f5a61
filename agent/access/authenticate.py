"""Proves who somebody is against the door's own users: password, API key or PIN; throttled, summed up."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Literal

import trio

from agent.access.config import AccessConfig
from agent.access.denials import PERIOD_S, Denials
from agent.access.passwords import MAX_BYTES, Verdict, Verifier, needs_rehash
from agent.access.pins import MAX_WRONG, WrongPins, is_pin
from agent.access.store import KEY_PREFIX, AccessStore
from agent.access.throttle import Throttle
from agent.access.users import AccessError, Account
from agent.model.errors import TryLater
from agent.model.events import AccessDenied
from agent.model.principals import Grant, Principal

MAX_PROOFS = 64
SAVE_EVERY_S = 3600.0
READ_AGAIN_S = 10.0

Credential = Literal["password", "PIN"]

_log = logging.getLogger(__name__)


class Access:
    """The door's own authenticator (`runtime.Authenticator`).

    A password or PIN that was right is remembered as a keyed hash, so that ten phones that come back after a
    power cut do not cost ten argon2 hashes; it is forgotten when the account's hash is another one.

    Mistakes with PINs and with passwords are counted apart: who guesses one slows nobody down at the other.
    Ten wrong PINs within a day lock the PIN of an account until it is set anew (access/pins.py).
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
        config = config or AccessConfig()
        self._throttles: dict[Credential, Throttle] = {"password": Throttle(config), "PIN": Throttle(config)}
        self._wrong_pins = WrongPins()
        self._to_lock: dict[str, str] = {}
        self._denials = Denials()
        self._verifier = Verifier()
        self._proof_key = secrets.token_bytes(32)
        self._proofs: OrderedDict[bytes, str] = OrderedDict()
        self._running: dict[bytes, _Attempt] = {}
        self._denied = trio.Event()

    async def run(self) -> None:
        """Publish what was summed up, store locks of PINs and when keys were used, while the agent runs."""
        save_at = trio.current_time() + SAVE_EVERY_S
        try:
            while True:
                self._denied = trio.Event()
                with trio.move_on_at(self._next_at(save_at)):
                    await self._denied.wait()
                now = trio.current_time()
                self._tell(now)
                await self._store_locks()
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
        if not secret.startswith(KEY_PREFIX):
            return await self._prove("password", account, secret, via, peer)
        throttle, found = self._throttles["password"], self._store.find_by_key(secret)
        if found is None or account not in ("", found.name):
            throttle.failed(peer, account, trio.current_time(), shared=False)
            self._deny("wrong API key", account=account, via=via, peer=peer)
            return None
        throttle.succeeded(peer, found.name)
        return self._admitted(found, account, via, peer, proven_locally=True)

    async def authenticate_pin(self, *, account: str, pin: str, via: str, peer: str) -> Principal | None:
        """The principal whose PIN it is, or None.

        As `authenticate` does it: accounts that are unknown, or have no PIN or a locked one, cost the same.
        Raises: TryLater when it was not this peer's mistakes that kept us from looking.
        """
        await trio.lowlevel.checkpoint()
        return await self._prove("PIN", account, pin, via, peer)

    def principal(self, account: str, *, via: str, peer: str) -> Principal | None:
        """See runtime.Authenticator; a refusal is told as any other."""
        found = self._store.find(account)
        if found is None:
            self._deny("no such account", account=account, via=via, peer=peer)
            return None
        return self._admitted(found, account, via, peer, proven_locally=False)

    async def _prove(
        self, credential: Credential, account: str, secret: str, via: str, peer: str
    ) -> Principal | None:
        """The principal whose secret it is, when it is this peer's turn to be looked at. Raises: TryLater."""
        throttle = self._throttles[credential]
        deny = partial(self._deny, account=account, via=via, peer=peer)
        now = trio.current_time()
        if throttle.own_wait_s(peer, account, now) > 0:
            return deny("too many attempts")
        wait_s = throttle.wait_s(peer, account, now)
        if wait_s > 0:
            deny("too many attempts of others")
            raise TryLater("too many attempts of others", wait_s)
        verdict = await self._verify(credential, account, secret, known=throttle.knows(peer, account))
        if verdict == "busy":
            deny("too many log-ins at once")
            raise TryLater("too many log-ins at once")
        found = self._store.find(account)
        if verdict == "wrong" or found is None:
            throttle.failed(peer, account, trio.current_time())
            if credential == "PIN" and found is not None and found.pin_hash is not None:
                self._wrong_pin(found, found.pin_hash, secret, via, peer)
            else:
                deny(f"wrong account or {credential}")
            return None
        throttle.succeeded(peer, found.name)
        return self._admitted(found, account, via, peer, proven_locally=True)

    def _wrong_pin(self, account: Account, pin_hash: str, pin: str, via: str, peer: str) -> None:
        """Count a wrong PIN of an account that has one; what cannot be a PIN is no guess."""
        name = account.name
        if self._hash_of("PIN", name) is None:
            self._deny("the PIN is locked", account=name, via=via, peer=peer)
        elif is_pin(pin) and self._wrong_pins.failed(name, pin_hash, trio.current_time()):
            self._to_lock[name] = pin_hash
            # On its own: summed up with what follows, the reason would be lost.
            reason = f"{MAX_WRONG} wrong PINs within a day: the PIN is locked until it is set anew"
            self._report(AccessDenied(worker=via, peer=peer[:64], account=name, reason=reason))
            self._denied.set()
        else:
            self._deny("wrong account or PIN", account=name, via=via, peer=peer)

    async def _store_locks(self) -> None:
        """Make locked PINs stay locked over a restart; what fails holds in memory and is tried again."""
        for name, pin_hash in list(self._to_lock.items()):
            try:
                await self._store.lock_pin(name, pin_hash)
            except AccessError as error:
                _log.warning("lock of a PIN not stored account=%s reason=%s", name, error)
            else:
                if self._to_lock.get(name) == pin_hash:
                    del self._to_lock[name]

    def _admitted(
        self, found: Account, account: str, via: str, peer: str, *, proven_locally: bool
    ) -> Principal | None:
        """The principal of an account, unless it is shut out now. account: what was asked for."""
        reason = self._shut_out(found)
        if reason is not None:
            self._deny(reason, account=account, via=via, peer=peer)
            return None
        return Principal(
            name=found.name,
            role=found.role,
            via=via,
            peer=peer,
            proven_locally=proven_locally,
            grant=Grant(
                endpoints=found.endpoints,
                not_before_ns=found.valid_from_ns,
                not_after_ns=found.valid_until_ns,
            ),
        )

    async def _verify(self, credential: Credential, name: str, secret: str, *, known: bool) -> Verdict:
        """Whether the secret is right, from memory or by argon2; the same question is worked on once."""
        parts = (_encoded(part) for part in (credential, name, secret))
        proof = hmac.digest(self._proof_key, b"\0".join(parts), sha256)
        while True:
            secret_hash = self._hash_of(credential, name) if len(secret) <= MAX_BYTES else None
            if secret_hash is not None and self._proofs.get(proof) == secret_hash:
                self._proofs.move_to_end(proof)
                return "right"
            running = self._running.get(proof)
            if running is None:
                break
            await running.done.wait()
            if running.verdict == "wrong" and running.secret_hash == self._hash_of(credential, name):
                return "wrong"
        attempt = self._running[proof] = _Attempt(secret_hash)
        try:
            attempt.verdict = await self._verifier.verify(secret_hash, secret[:MAX_BYTES], known=known)
            if attempt.verdict == "right":
                attempt.verdict = await self._proven(credential, name, secret, proof, secret_hash)
            return attempt.verdict
        finally:
            del self._running[proof]
            attempt.done.set()

    async def _proven(
        self, credential: Credential, name: str, secret: str, proof: bytes, secret_hash: str | None
    ) -> Verdict:
        """Remember a secret that was right, if it still is, and renew a hash with other parameters."""
        if secret_hash is None or secret_hash != self._hash_of(credential, name):
            return "wrong"
        if needs_rehash(secret_hash):
            new = await self._verifier.hash(secret)
            try:
                await self._store.replace_hash(name, secret_hash, new)
            except AccessError as error:
                _log.warning("hash not renewed account=%s reason=%s", name, error)
            if self._hash_of(credential, name) not in (secret_hash, new):
                return "wrong"
            secret_hash = self._hash_of(credential, name) or secret_hash
        self._proofs[proof] = secret_hash
        self._proofs.move_to_end(proof)
        if len(self._proofs) > MAX_PROOFS:
            self._proofs.popitem(last=False)
        return "right"

    def _hash_of(self, credential: Credential, name: str) -> str | None:
        """What the secret is compared with; None also for a PIN that is locked."""
        account = self._store.find(name)
        if account is None or credential == "password":
            return None if account is None else account.password_hash
        if account.pin_hash is None or account.pin_locked:
            return None
        return None if self._wrong_pins.locked(name, account.pin_hash) else account.pin_hash

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

    def _deny(self, reason: str, *, account: str, via: str, peer: str) -> None:
        now = trio.current_time()
        event = self._denials.add(worker=via, peer=peer, account=account, reason=reason, now=now)
        if event is not None:
            self._report(event)
            self._denied.set()

    def _tell(self, now: float) -> None:
        for event in self._denials.due(now):
            self._report(event)


class _Attempt:
    """A secret that is being checked; `verdict` is None while it is, and when the check was given up."""

    def __init__(self, secret_hash: str | None) -> None:
        self.secret_hash = secret_hash
        self.verdict: Verdict | None = None
        self.done = trio.Event()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
