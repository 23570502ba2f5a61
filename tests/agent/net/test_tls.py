from __future__ import annotations

import datetime
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.model.errors import ConfigError
from agent.net import tls as module
from agent.net.addresses import is_address, is_host_name, own_names
from agent.net.tls import EARLIEST_S, LEAF_DAYS, Tls, TlsConfig, fingerprint

DAY_S = 86400
NAMES = ("door-1", "door-1.local", "localhost", "127.0.0.1", "::1", "192.0.2.7")
NOW_S = EARLIEST_S + 100 * DAY_S


class World:
    """The machine around a Tls: its clock and its names."""

    def __init__(self, directory: Path, config: TlsConfig | None = None) -> None:
        self.now_s = float(NOW_S)
        self.names: tuple[str, ...] = NAMES
        self.directory = directory
        self.tls = Tls(
            directory,
            config or TlsConfig(names=("door.example.org",)),
            names=lambda: self.names,
            clock=lambda: self.now_s,
            built_at_s=EARLIEST_S,
        )

    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.directory / "server.pem").read_bytes())

    def authority(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.directory / "ca.pem").read_bytes())


def served_leaf(tls: Tls, name: str = "localhost") -> x509.Certificate:
    """Shake hands in memory with a client that trusts `ca_path`, and return what was shown."""
    trusted = ssl.create_default_context(cafile=str(tls.ca_path))
    # X509_V_FLAG_NO_CHECK_TIME: the clock of the test is not the clock of OpenSSL.
    trusted.verify_flags |= ssl.VerifyFlags(0x200000)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusted.wrap_bio(to_client, to_server, server_hostname=name)
    server = tls.server_context().wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    assert client.selected_alpn_protocol() is None
    return x509.load_der_x509_certificate(shown)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_first_start_makes_an_authority_and_a_leaf(tmp_path: Path) -> None:
    world = World(tmp_path / "state" / "tls")
    await world.tls.prepare()
    folder = world.directory
    assert mode(folder) == 0o700
    assert [mode(folder / name) for name in ("ca.key", "server.pem", "issued.json")] == [0o600] * 3
    assert sorted(path.name for path in folder.iterdir()) == ["ca.key", "ca.pem", "issued.json", "server.pem"]
    authority, leaf = world.authority(), world.leaf()
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    leaf.verify_directly_issued_by(authority)
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "door-1",
        "door-1.local",
        "localhost",
        "door.example.org",
    ]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "::1",
        "192.0.2.7",
    ]
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert lifetime <= datetime.timedelta(days=LEAF_DAYS)
    assert leaf.not_valid_before_utc.timestamp() == NOW_S - DAY_S
    years = (authority.not_valid_after_utc - authority.not_valid_before_utc).days / 365
    assert years == pytest.approx(20, abs=0.1)
    assert b"PRIVATE" not in (folder / "ca.pem").read_bytes()


async def test_clients_that_trust_the_authority_are_content(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.tls.prepare()
    for name in ("localhost", "door-1.local", "door.example.org", "127.0.0.1", "::1", "192.0.2.7"):
        assert served_leaf(world.tls, name) == world.leaf()
    with pytest.raises(ssl.SSLCertVerificationError):
        served_leaf(world.tls, "other.example.org")
    context = world.tls.server_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_openssl_is_content_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.tls.prepare()
    command = ["openssl", "verify", "-x509_strict", "-attime", str(NOW_S), "-purpose", "sslserver"]
    done = await trio.run_process(
        [*command, "-CAfile", str(world.tls.ca_path), str(tmp_path / "server.pem")], capture_stdout=True
    )
    assert b": OK" in done.stdout


async def test_a_second_start_changes_nothing_and_starts_no_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    await world.tls.prepare()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(trio, "run_process", None)
    again = World(tmp_path)
    # An address that went away is no reason either.
    again.names = NAMES[:-1]
    await again.tls.prepare()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert served_leaf(again.tls) == world.leaf()


async def test_renewal_keeps_the_authority_and_the_context(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.tls.prepare()
    context, authority, first = world.tls.server_context(), world.authority(), world.leaf()
    world.now_s += (LEAF_DAYS - 32) * DAY_S
    await world.tls._refresh()
    assert world.leaf() == first
    world.now_s += 3 * DAY_S
    await world.tls._refresh()
    assert world.leaf() != first
    assert world.authority() == authority
    assert world.tls.server_context() is context
    assert served_leaf(world.tls) == world.leaf()


async def test_a_new_name_is_added(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.tls.prepare()
    world.names = (*NAMES, "192.0.2.99")
    await world.tls._refresh()
    assert served_leaf(world.tls, "192.0.2.99") == world.leaf()


@pytest.mark.parametrize("lost", ["server.pem", "issued.json"])
@pytest.mark.parametrize("how", ["gone", "empty", "garbled"])
async def test_what_a_power_cut_took_is_made_again(tmp_path: Path, lost: str, how: str) -> None:
    world = World(tmp_path)
    await world.tls.prepare()
    authority = world.authority()
    path = tmp_path / lost
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if how == "empty" else b"\xff{" + path.read_bytes()[5:])
    (tmp_path / "server.pem.new").write_bytes(b"half a file")
    again = World(tmp_path)
    await again.tls.prepare()
    assert again.authority() == authority
    assert served_leaf(again.tls) == again.leaf()


async def test_an_authority_that_was_only_begun_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_bytes(b"what was written before the power went")
    world = World(tmp_path)
    await world.tls.prepare()
    assert served_leaf(world.tls) == world.leaf()


@pytest.mark.parametrize("how", ["gone", "garbled", "another"])
async def test_an_authority_is_never_replaced(tmp_path: Path, how: str) -> None:
    world = World(tmp_path)
    await world.tls.prepare()
    key = tmp_path / "ca.key"
    if how == "gone":
        key.unlink()
    elif how == "garbled":
        key.write_bytes(b"garbage")
    else:
        stranger = ec.generate_private_key(ec.SECP256R1())
        key.write_bytes(
            stranger.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    before = world.authority()
    # While the leaf is good nothing is noticed; when it is due the old one goes on.
    world.now_s += LEAF_DAYS * DAY_S
    again = World(tmp_path)
    again.now_s = world.now_s
    with pytest.raises(ConfigError, match="restore both from a backup, or remove both"):
        await again.tls._refresh()
    await again.tls.prepare()
    assert served_leaf(again.tls) == world.leaf()
    (tmp_path / "server.pem").unlink()
    with pytest.raises(ConfigError, match="restore both"):
        await World(tmp_path).tls.prepare()
    assert again.authority() == before


async def test_a_clock_that_was_never_set(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.now_s = 1000.0
    await world.tls.prepare()
    assert world.leaf().not_valid_before_utc.timestamp() == EARLIEST_S - DAY_S
    first = world.leaf()
    # Neither waiting nor a clock that is set soon after makes another one.
    await world.tls._refresh()
    world.now_s = EARLIEST_S + 10 * DAY_S
    await world.tls._refresh()
    assert world.leaf() == first
    # The clock is set, years later: what we have is no good any more.
    world.now_s = EARLIEST_S + 800 * DAY_S
    await world.tls._refresh()
    assert world.leaf().not_valid_before_utc.timestamp() == EARLIEST_S + 799 * DAY_S


async def test_a_certificate_from_the_future_is_replaced(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.now_s = NOW_S + 5000 * DAY_S
    await world.tls.prepare()
    world.now_s = NOW_S
    await world.tls._refresh()
    assert world.leaf().not_valid_before_utc.timestamp() == NOW_S - DAY_S


async def test_renewing_for_ever_survives_failures(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(tmp_path)
    calls = 0

    async def refresh() -> None:
        nonlocal calls
        calls += 1
        await trio.lowlevel.checkpoint()
        if calls < 3:
            raise ConfigError("tls", "no space left")

    monkeypatch.setattr(world.tls, "_refresh", refresh)
    with trio.move_on_after(12 * 3600):
        await world.tls.renew_forever()
    assert calls >= 12
    assert "no space left" in caplog.text


async def test_a_child_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(slow))
    monkeypatch.setattr(module, "ISSUE_TIMEOUT_S", 0.2)
    with trio.fail_after(10), pytest.raises(ConfigError, match=r"no certificate within 0\.2 s"):
        await World(tmp_path / "tls").tls.prepare()


async def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot make a certificate in .*file"):
        await World(tmp_path / "file" / "tls").tls.prepare()


def own_files(folder: Path, name: str = "localhost") -> tuple[TlsConfig, trustme.CA]:
    authority = trustme.CA()
    issued = authority.issue_cert(name)
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    return TlsConfig(cert_file=str(folder / "cert.pem"), key_file=str(folder / "key.pem")), authority


def shown(tls: Tls) -> bytes:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = tls.server_context().wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    found = client.getpeercert(binary_form=True)
    assert found is not None
    return found


async def test_files_of_the_operator_are_used_and_read_again(tmp_path: Path) -> None:
    config, _ = own_files(tmp_path)
    world = World(tmp_path / "tls", config)
    await world.tls.prepare()
    assert not world.directory.exists()
    assert world.tls.ca_path == tmp_path / "cert.pem"
    first = shown(world.tls)
    assert (
        world.tls.fingerprint
        == x509.load_der_x509_certificate(first).fingerprint(hashes.SHA256()).hex(":").upper()
    )
    # Half of a replacement: the old pair stays in use, and nothing is broken by it.
    key = (tmp_path / "key.pem").read_bytes()
    own_files(tmp_path)
    new_key = (tmp_path / "key.pem").read_bytes()
    (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(ConfigError, match="are not a certificate and its key"):
        await world.tls._refresh()
    assert shown(world.tls) == first
    (tmp_path / "key.pem").write_bytes(new_key)
    await world.tls._refresh()
    assert shown(world.tls) != first


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    config, _ = own_files(tmp_path)
    (tmp_path / "key.pem").unlink()
    with pytest.raises(
        ConfigError, match=r"tls\.cert_file: .*key\.pem: No such file or directory for user "
    ) as raised:
        await World(tmp_path, config).tls.prepare()
    assert raised.value.path == "tls.cert_file"


async def test_a_file_that_may_not_be_read_says_who_and_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, _ = own_files(tmp_path)
    (tmp_path / "key.pem").chmod(0o040)
    real_open = Path.open

    def refuse(self: ssl.SSLContext, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    def refuse_open(self: Path, *args: object, **kwargs: object) -> object:
        if self.name == "key.pem":
            raise PermissionError(13, "Permission denied")
        return real_open(self, *args, **kwargs)  # type: ignore[call-overload]

    # The tests may run as root, whom nothing is forbidden.
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuse)
    monkeypatch.setattr(Path, "open", refuse_open)
    with pytest.raises(ConfigError, match=r"key\.pem: Permission denied for user \w+: mode 0040, owner \w+"):
        await World(tmp_path, config).tls.prepare()


async def test_a_key_with_a_passphrase_does_not_ask_on_the_terminal(tmp_path: Path) -> None:
    config, _ = own_files(tmp_path)
    key = serialization.load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with trio.fail_after(5), pytest.raises(ConfigError, match="are not a certificate and its key"):
        await World(tmp_path, config).tls.prepare()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cert_file": "x"}, "cert_file and key_file together"),
        ({"names": ["two words"]}, "host names or addresses"),
        ({"names": ["-x"]}, "host names or addresses"),
        ({"names": ["--directory=/"]}, "host names or addresses"),
        ({"names": ["*.example.org"]}, "host names or addresses"),
        ({"names": [f"n{number}" for number in range(40)]}, "at most 32 names"),
        ({"nams": []}, "unknown field"),
    ],
)
def test_configuration_is_checked(given: dict[str, object], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(given, TlsConfig)


def test_names_of_this_machine() -> None:
    names = own_names()
    assert {"localhost", "127.0.0.1", "::1"} <= set(names)
    assert len(names) == len(set(names))
    assert all(is_host_name(name) or is_address(name) for name in names)
    if is_host_name(socket.gethostname()):
        assert names[0] == socket.gethostname()
        assert names[1].endswith(".local")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("door", True),
        ("a.b-c.d1", True),
        ("x" * 64, False),
        ("", False),
        ("a..b", False),
        ("a_b", False),
        ("ü", False),
        ("a.", False),
        ("a\n", False),
    ],
)
def test_host_names(text: str, good: bool) -> None:
    assert is_host_name(text) == good


def test_addresses() -> None:
    assert is_address("fe80::1")
    assert not is_address("fe80::1%eth0")
    assert not is_address("1.2.3")


def test_the_agent_never_loads_cryptography() -> None:
    code = "import sys, agent.net.tls, agent.net.websocket; print('cryptography' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "False"


def test_a_file_without_certificate_has_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff nothing")
    for path in (tmp_path / "x", tmp_path / "y"):
        with pytest.raises(ConfigError):
            fingerprint(path)


async def test_the_record_tells_what_was_issued(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.tls.prepare()
    record = json.loads((tmp_path / "issued.json").read_text())
    assert record["names"] == [*NAMES, "door.example.org"]
    assert record["not_after_s"] - record["not_before_s"] == LEAF_DAYS * DAY_S
