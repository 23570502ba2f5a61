from __future__ import annotations

import base64
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import ConfigError
from agent.workers.zello.commands import MAX_TOKEN_CHARS
from agent.workers.zello.config import TokenKeyConfig
from agent.workers.zello.tokens import (
    REFRESH_PER_ACCOUNT,
    RefreshTokens,
    TokenIssuer,
    TokenKeys,
    is_development,
    load_private_key,
    token_expiry,
)

NOW = 1_800_000_000.0
ISSUER = "QUJD/+8=.ZGVm=="


@functools.cache
def key(name: str = "one") -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(
    private: Any = None,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    data: bytes = (private or key()).private_bytes(Encoding.PEM, form, encryption or NoEncryption())
    return data


def public_file(folder: Path, private: Any, name: str = "key.pub") -> str:
    path = folder / name
    path.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(path)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def standard(data: bytes) -> str:
    return base64.b64encode(data).decode()


def signed(
    claims: Any,
    header: Any = None,
    *,
    by: rsa.RSAPrivateKey | None = None,
    encode: Any = base64url,
) -> str:
    """A token of anybody, in any spelling."""
    header = {"alg": "RS256", "typ": "JWT"} if header is None else header
    first = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{first}.{encode((by or key()).sign(first.encode(), padding.PKCS1v15(), SHA256()))}"


@pytest.fixture
def keys(tmp_path: Path) -> TokenKeys:
    config = TokenKeyConfig(issuer=ISSUER, public_key_file=public_file(tmp_path, key()))
    other = TokenKeyConfig(issuer="other", public_key_file=public_file(tmp_path, key("two"), "two.pub"))
    return TokenKeys.load((config, other))


def verify(keys: TokenKeys, token: str, *, now_s: float = NOW, grace_s: float = 0.0) -> str | None:
    return keys.verify(token, now_s=now_s, grace_s=grace_s)


GOOD = {"iss": ISSUER, "exp": int(NOW) + 60}


# ----- made by us -----


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_token_as_the_document_wants_it(form: PrivateFormat) -> None:
    token = TokenIssuer(ISSUER, pem(form=form)).make(NOW + 0.9)
    header, claims, signature = token.split(".")
    assert not set(token) & set("=+/")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "RS256", "typ": "JWT"}
    assert json.loads(base64.urlsafe_b64decode(claims + "==")) == {"iss": ISSUER, "exp": int(NOW) + 120}
    key().public_key().verify(
        base64.urlsafe_b64decode(signature + "=="),
        f"{header}.{claims}".encode(),
        padding.PKCS1v15(),
        SHA256(),
    )


def test_its_life_time() -> None:
    assert token_expiry(TokenIssuer(ISSUER, pem()).make(NOW, 3600.0)) == NOW + 3600


def test_what_we_make_we_accept(keys: TokenKeys) -> None:
    assert verify(keys, TokenIssuer(ISSUER, pem()).make(NOW)) == ISSUER


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "RSA private key in PEM form"),
        (
            b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
            "RSA private key in PEM form",
        ),
        (pem(encryption=BestAvailableEncryption(b"x")), "passphrase"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "expected an RSA key"),
        (pem(rsa.generate_private_key(65537, 1024)), "bits, got 1024"),
    ],
    ids=["empty", "garbage", "passphrase", "elliptic", "short"],
)
def test_keys_that_are_none(data: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        TokenIssuer(ISSUER, data, where="here")
    assert caught.value.path == "here"
    assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_of_ones_own(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem())
    path.chmod(mode)
    assert TokenIssuer(ISSUER, load_private_key(str(path), "here")).make(NOW)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_a_key_that_others_can_read_or_replace(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem())
    path.chmod(mode)
    with pytest.raises(ConfigError, match="open to others"):
        load_private_key(str(path), "here")


# ----- read without a key -----


def test_when_a_ready_made_token_ends() -> None:
    token = signed({"iss": "x", "exp": NOW + 0.5, "azp": "dev"})
    assert token_expiry(token) == NOW + 0.5
    assert is_development(token)
    assert not is_development(signed(GOOD))


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "...", "a.b", "a.b.c.d", "é.é.é", "e30.e30.", "W10.W10.", signed({"exp": True}),
        signed({"exp": "5"}), signed({"exp": 1e300}), signed({}), "a" * (MAX_TOKEN_CHARS + 1),
    ],
)  # fmt: skip
def test_tokens_that_do_not_say(token: str) -> None:
    assert token_expiry(token) is None
    assert not is_development(token)


# ----- verified -----


@pytest.mark.parametrize(
    "token",
    [
        signed(GOOD),
        signed(GOOD, encode=standard),
        signed(GOOD, encode=lambda data: base64.urlsafe_b64encode(data).decode()),
        signed(GOOD, encode=lambda data: standard(data).rstrip("=")),
        signed({**GOOD, "exp": NOW + 0.5, "azp": "dev", "extra": [1]}),
        signed(GOOD, {"alg": "RS256"}),
    ],
    ids=["base64url", "base64 with padding", "base64url with padding", "base64 bare", "claims", "no typ"],
)
def test_good_tokens(keys: TokenKeys, token: str) -> None:
    assert verify(keys, token) == ISSUER


@pytest.mark.parametrize(
    "token",
    [
        signed(GOOD, by=key("two")),
        signed({**GOOD, "iss": "other"}),
        signed({**GOOD, "iss": "unknown"}),
        signed({**GOOD, "iss": None}),
        signed({**GOOD, "iss": [ISSUER]}),
        signed({"exp": NOW + 60}),
        signed({"iss": ISSUER}),
        signed({**GOOD, "exp": "1900000000"}),
        signed({**GOOD, "exp": True}),
        signed({**GOOD, "exp": None}),
        signed({**GOOD, "exp": NOW}),
        signed({**GOOD, "exp": NOW - 1}),
        signed(GOOD, {"alg": "none"}),
        signed(GOOD, {"alg": "HS256"}),
        signed(GOOD, {"alg": "rs256"}),
        signed(GOOD, {}),
        signed(GOOD, {"alg": "RS256", "crit": ["b64"], "b64": False}),
        signed(GOOD, []),
        signed([]),
        signed(GOOD).rsplit(".", 1)[0] + ".",
        signed(GOOD).rsplit(".", 1)[0],
        signed(GOOD) + ".x",
        signed(GOOD)[:-4],
        signed(GOOD) + " ",
        "x" + signed(GOOD),
    ],
)
def test_tokens_that_are_not_good(keys: TokenKeys, token: str) -> None:
    assert verify(keys, token) is None


def test_a_changed_token(keys: TokenKeys) -> None:
    header, _, signature = signed(GOOD).split(".")
    forged = base64url(json.dumps({**GOOD, "exp": NOW + 1e6}).encode())
    assert verify(keys, f"{header}.{forged}.{signature}") is None


def test_the_signature_is_over_the_characters_that_came(keys: TokenKeys) -> None:
    """The same bytes in another spelling have another signature."""
    header, claims, signature = signed(GOOD).split(".")
    claims += "=" * (-len(claims) % 4) or "===="
    assert verify(keys, f"{header}.{claims}.{signature}") is None


@pytest.mark.parametrize(("late_s", "good"), [(0, True), (86_399, True), (86_400, False)])
def test_an_expired_token_has_its_grace(keys: TokenKeys, late_s: float, good: bool) -> None:
    token = signed({**GOOD, "exp": NOW})
    assert (verify(keys, token, now_s=NOW + late_s, grace_s=86_400.0) == ISSUER) is good


def test_an_issuer_may_have_several_keys(tmp_path: Path) -> None:
    files = [public_file(tmp_path, key(name), name) for name in ("one", "two")]
    keys = TokenKeys.load(tuple(TokenKeyConfig(issuer="i", public_key_file=path) for path in files))
    for name in ("one", "two"):
        assert verify(keys, signed({**GOOD, "iss": "i"}, by=key(name))) == "i"
    assert verify(keys, signed({**GOOD, "iss": "i"}, by=key("three"))) is None


def test_the_work_does_not_tell_which_issuers_we_know(
    keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []

    def count(read: Any, known: Any) -> bool:
        looked.append(True)
        return False

    monkeypatch.setattr("agent.workers.zello.tokens._is_signed", count)
    for claims in (GOOD, {**GOOD, "iss": "unknown"}, {**GOOD, "exp": 0}, {}):
        looked.clear()
        assert verify(keys, signed(claims)) is None
        assert looked == [True]


def test_without_keys_no_token_is_good() -> None:
    assert verify(TokenKeys.load(()), signed(GOOD)) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "cannot be read"),
        (b"", "RSA public key in PEM form"),
        (pem(), "RSA public key in PEM form"),
        (
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "expected an RSA key",
        ),
    ],
    ids=["missing", "empty", "private", "elliptic"],
)
def test_public_keys_that_are_none(tmp_path: Path, data: bytes | None, reason: str) -> None:
    path = tmp_path / "key"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError, match=reason) as caught:
        TokenKeys.load((TokenKeyConfig(issuer="i", public_key_file=str(path)),))
    assert caught.value.path == "workers.zello.server.tokens[0].public_key_file"


@functools.cache
def some_keys() -> TokenKeys:
    return TokenKeys({ISSUER: (key().public_key(),)})


PART = st.one_of(
    st.text(max_size=20),
    st.binary(max_size=20).map(base64url),
    st.dictionaries(
        st.sampled_from(["alg", "iss", "exp", "crit"]), st.none() | st.integers() | st.text(max_size=5)
    ).map(lambda plain: base64url(json.dumps(plain).encode())),
)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=100), st.lists(PART, min_size=2, max_size=4).map(".".join)))
def test_any_text(token: str) -> None:
    """Nobody signs by chance, and nothing raises."""
    assert verify(some_keys(), token) is None
    token_expiry(token)
    is_development(token)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from("Ax-_+/=.\n"))
def test_any_change_of_the_signed_part(at: int, character: str) -> None:
    token = signed(GOOD)
    end = token.rindex(".")
    at %= end
    changed = token[:at] + character + token[at + 1 :]
    assert (verify(some_keys(), changed) == ISSUER) is (changed == token)


def test_importing_it_is_cheap() -> None:
    code = "import sys, agent.workers.zello.tokens; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ----- refresh tokens -----


def test_a_refresh_token_is_good_once() -> None:
    tokens = RefreshTokens()
    token = tokens.issue("ana", NOW)
    assert tokens.redeem(token + "x", NOW) is None
    assert tokens.redeem(token, NOW) == "ana"
    assert tokens.redeem(token, NOW) is None
    assert len(tokens) == 0


def test_one_of_nobody() -> None:
    tokens = RefreshTokens()
    assert tokens.redeem(tokens.issue("", NOW), NOW) == ""


def test_they_differ() -> None:
    tokens = RefreshTokens()
    assert len({tokens.issue("ana", NOW) for _ in range(20)}) == 20
    assert all(len(tokens.issue("ana", NOW)) >= 43 for _ in range(3))


def test_one_ends() -> None:
    tokens = RefreshTokens(lifetime_s=100)
    assert tokens.redeem(tokens.issue("ana", NOW), NOW + 99) == "ana"
    assert tokens.redeem(tokens.issue("ana", NOW), NOW + 100) is None


def test_the_oldest_give_way() -> None:
    tokens = RefreshTokens(most=3)
    given = [tokens.issue(f"u{number}", NOW) for number in range(4)]
    assert [tokens.redeem(token, NOW) for token in given] == [None, "u1", "u2", "u3"]


def test_one_account_does_not_use_up_those_of_others() -> None:
    tokens = RefreshTokens()
    token, first, *later = (
        tokens.issue("ana", NOW),
        *(tokens.issue("ben", NOW) for _ in range(REFRESH_PER_ACCOUNT * 10)),
    )
    assert len(tokens) == REFRESH_PER_ACCOUNT + 1
    assert tokens.redeem(first, NOW) is None
    assert tokens.redeem(later[-1], NOW) == "ben"
    assert tokens.redeem(token, NOW) == "ana"


def test_those_of_an_account_can_be_forgotten() -> None:
    tokens = RefreshTokens()
    mine, other = tokens.issue("ana", NOW), tokens.issue("ben", NOW)
    tokens.forget("ana")
    tokens.forget("nobody")
    assert tokens.redeem(mine, NOW) is None
    assert tokens.redeem(other, NOW) == "ben"


def test_they_are_not_kept_as_they_are() -> None:
    tokens = RefreshTokens()
    token = tokens.issue("ana", NOW)
    assert token not in repr(vars(tokens))


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_refresh_token(token: str) -> None:
    tokens = RefreshTokens()
    tokens.issue("ana", NOW)
    assert tokens.redeem(token, NOW) is None
