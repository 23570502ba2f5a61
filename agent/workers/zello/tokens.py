"""Tokens of Zello (JWT, RS256): made for its cloud, read, verified for our own server; and refresh tokens.

A production token is a compact JWS without padding, whose payload has `iss` and `exp` alone. What others
make is read as some of them write it: standard base64, padded or not; the signature is over the characters
that came.
Source: "Authentication" of the Zello Channel API; tokens of third-party senders, as observed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from agent.model.errors import ConfigError, MalformedMessage
from agent.net.trust import read_secret
from agent.wire.json import decode_any
from agent.workers.zello.commands import MAX_TOKEN_CHARS
from agent.workers.zello.config import TokenKeyConfig
from agent.workers.zello.fields import number_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

LIFETIME_S: Final = 120.0
MAX_KEY_BYTES: Final = 16 * 1024
MIN_KEY_BITS: Final = 2048
MAX_KEY_BITS: Final = 8192  # a larger one makes every logon of a stranger expensive
REFRESH_BYTES: Final = 32
REFRESH_PER_ACCOUNT: Final = 32
_HEADER: Final = {"alg": "RS256", "typ": "JWT"}
_URL_SAFE: Final = str.maketrans("-_", "+/")


def load_private_key(path: str, where: str) -> bytes:
    """The PEM of a private key that nobody else can read. where: the setting, for the error.

    Raises: ConfigError, also when the file is open to others.
    """
    return read_secret(path, where, max_bytes=MAX_KEY_BYTES).encode()


class TokenIssuer:
    """Makes production tokens. private_key_pem: RSA, PKCS#8 or PKCS#1, without a passphrase.

    where: the setting that names the key, for the error. Raises: ConfigError when it is no such key.
    """

    def __init__(self, issuer: str, private_key_pem: bytes, *, where: str = "private_key_file") -> None:
        self._issuer = issuer
        self._key = _private_key(private_key_pem, where)

    def make(self, now_s: float, lifetime_s: float = LIFETIME_S) -> str:
        """A token that is good for `lifetime_s`. now_s: UTC seconds; the clock has to be right."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        claims = {"iss": self._issuer, "exp": int(now_s + lifetime_s)}
        signed = b".".join(_to_base64url(msgspec.json.encode(part)) for part in (_HEADER, claims))
        signature = self._key.sign(signed, PKCS1v15(), SHA256())
        return (signed + b"." + _to_base64url(signature)).decode("ascii")


def token_expiry(token: str) -> float | None:
    """When a token ends, UTC seconds, as it says itself; None for text that does not say."""
    read = _read(token)
    return None if read is None else number_of(read.claims, "exp")


def is_development(token: str) -> bool:
    """True for a ready-made token of the developer console, as it says itself; those last 30 days."""
    read = _read(token)
    return read is not None and read.claims.get("azp") == "dev"


class TokenKeys:
    """The public keys of the issuers whose tokens are accepted; an issuer may have several."""

    def __init__(self, keys: dict[str, tuple[RSAPublicKey, ...]]) -> None:
        self._keys = keys

    @classmethod
    def load(cls, configs: tuple[TokenKeyConfig, ...]) -> TokenKeys:
        """Read the key files. Blocks. Raises: ConfigError."""
        keys: dict[str, tuple[RSAPublicKey, ...]] = {}
        for number, config in enumerate(configs):
            where = f"workers.zello.server.tokens[{number}].public_key_file"
            keys[config.issuer] = (*keys.get(config.issuer, ()), _public_key(config.public_key_file, where))
        return cls(keys)

    def verify(self, token: str, *, now_s: float, grace_s: float) -> str | None:
        """The issuer of a good token, or None for any other text.

        grace_s: for so long after its end a token is still good: web clients come back with the one that
        they began with. An unknown issuer costs the same work as a known one.
        """
        read = _read(token)
        if read is None or not self._keys:
            return None
        issuer = read.claims.get("iss")
        known = self._keys.get(issuer) if isinstance(issuer, str) else None
        # Every key is tried, whatever came before: the time tells nothing about which issuers we know.
        signed = [_is_signed(read, key) for key in known or next(iter(self._keys.values()))]
        ends_s = number_of(read.claims, "exp")
        good = (
            known is not None
            and any(signed)
            # Nothing but this algorithm, and no extension that one has to understand (RFC 7515, 4.1.11).
            and read.header.get("alg") == "RS256"
            and "crit" not in read.header
            and ends_s is not None
            and now_s < ends_s + grace_s
        )
        return issuer if good and isinstance(issuer, str) else None


class _Read(Struct, frozen=True):
    """A token taken apart, not verified. signed: the bytes that its signature is over."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def _read(token: str) -> _Read | None:
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        return None
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (_object(_from_base64(part)) for part in parts[:2])
        signature = _from_base64(parts[2])
    except (MalformedMessage, ValueError):
        return None
    return _Read(header, claims, f"{parts[0]}.{parts[1]}".encode("ascii"), signature)


def _object(data: bytes) -> dict[str, Any]:
    plain = decode_any(data, "token", max_bytes=MAX_TOKEN_CHARS)
    if not isinstance(plain, dict):
        raise MalformedMessage("token", "expected an object")
    return plain


def _from_base64(text: str) -> bytes:
    """Either alphabet, with or without padding. Raises: ValueError."""
    bare = text.translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _to_base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _is_signed(read: _Read, key: RSAPublicKey) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(read.signature, read.signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _private_key(pem: bytes, where: str) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ConfigError(where, "the key has a passphrase; expected one without") from None
    except (ValueError, UnsupportedAlgorithm):
        # Their text may quote from the key.
        raise ConfigError(where, "expected an RSA private key in PEM form") from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError(where, "expected an RSA key")
    if not MIN_KEY_BITS <= key.key_size <= MAX_KEY_BITS:
        raise ConfigError(where, f"expected {MIN_KEY_BITS}..{MAX_KEY_BITS} bits, got {key.key_size}")
    return key


def _public_key(path: str, where: str) -> RSAPublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        with open(path, "rb") as file:
            pem = file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise ConfigError(where, f"{path} cannot be read: {error.strerror or error}") from error
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(where, f"{path}: expected an RSA public key in PEM form") from None
    if not isinstance(key, RSAPublicKey):
        raise ConfigError(where, f"{path}: expected an RSA key")
    if not MIN_KEY_BITS <= key.key_size <= MAX_KEY_BITS:
        raise ConfigError(where, f"{path}: expected {MIN_KEY_BITS}..{MAX_KEY_BITS} bits, got {key.key_size}")
    return key


class RefreshTokens:
    """What our server gives out at a logon, good for one other logon of the same account.

    Kept as hashes, in memory: a restart forgets them, and clients log on with what they have. At most `most`,
    and REFRESH_PER_ACCOUNT of one account; the oldest give way.
    """

    def __init__(self, lifetime_s: float = 86_400.0, most: int = 256) -> None:
        self._lifetime_s = lifetime_s
        self._most = most
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def issue(self, account: str, now_s: float) -> str:
        """A new token. account: empty for somebody who has none."""
        token = secrets.token_urlsafe(REFRESH_BYTES)
        own = [key for key, (whose, _) in self._known.items() if whose == account]
        if len(own) >= REFRESH_PER_ACCOUNT:
            del self._known[own[0]]
        self._known[_hash(token)] = account, now_s + self._lifetime_s
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return token

    def redeem(self, token: str, now_s: float) -> str | None:
        """The account that a token was given to, empty for nobody's; None when it is none or over. Once."""
        account, ends_s = self._known.pop(_hash(token), (None, 0.0))
        return account if now_s < ends_s else None

    def forget(self, account: str) -> None:
        """The tokens of an account that was changed are good for nothing."""
        for key in [key for key, (whose, _) in self._known.items() if whose == account]:
            del self._known[key]


def _hash(token: str) -> bytes:
    # A token has 256 bits of chance: a plain hash is enough.
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
