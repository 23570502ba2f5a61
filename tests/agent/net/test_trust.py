"""Whom a client of ours believes; what the fingerprint does in a handshake is tested where it is used."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from agent.model.errors import ConfigError
from agent.net.trust import client_context, read_secret


def test_names_and_chains_are_checked_unless_told_otherwise(tmp_path: Path) -> None:
    plain = client_context(ca_file=None, fingerprint=None, where="here")
    assert plain.verify_mode is ssl.CERT_REQUIRED
    assert plain.check_hostname
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    own = client_context(ca_file=str(ca), fingerprint=None, where="here")
    assert len(own.get_ca_certs()) == 1
    assert own.check_hostname
    for context in (
        client_context(ca_file=None, fingerprint=bytes(32), where="here"),
        client_context(ca_file=None, fingerprint=None, where="here", verify=False),
    ):
        assert context.verify_mode is ssl.CERT_NONE
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_an_authority_that_cannot_be_read(tmp_path: Path) -> None:
    for content in (None, b"nothing of the kind"):
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"^workers\.x\.ca_file: "):
            client_context(ca_file=str(path), fingerprint=None, where="workers.x")


@pytest.mark.parametrize(("size", "fits"), [(100, True), (101, False)])
def test_the_largest_secret_is_the_callers_choice(size: int, fits: bool, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("k" * size)
    path.chmod(0o600)
    if fits:
        assert read_secret(str(path), "here", max_bytes=100) == "k" * 100
    else:
        with pytest.raises(ConfigError, match="larger than 100 bytes"):
            read_secret(str(path), "here", max_bytes=100)
