from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from click.testing import Result

Portero = Callable[..., Result]


@pytest.fixture
def ca_file(state: Path) -> Path:
    path = state / "tls" / "ca.pem"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(trustme.CA().cert_pem.bytes())
    return path


def test_ca_shows_path_and_fingerprint(portero: Portero, ca_file: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    fingerprint = x509.load_pem_x509_certificate(ca_file.read_bytes()).fingerprint(SHA256()).hex(":").upper()
    assert portero("ca").stdout == f"{ca_file}\nSHA-256 {fingerprint}\n"
    told = json.loads(portero("ca", "--json").stdout)
    assert told == {"path": str(ca_file), "sha256": fingerprint, "exported": None}


def test_ca_is_exported_for_everybody(portero: Portero, ca_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "door.pem"
    done = portero("ca", "--export", str(target))
    assert done.exit_code == 0
    assert f"exported to {target}" in done.stdout
    assert target.read_bytes() == ca_file.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) & 0o600 == 0o600
    assert portero("ca", "--export", "-").stdout_bytes == ca_file.read_bytes()


def test_ca_that_is_not_there(portero: Portero, state: Path) -> None:
    done = portero("ca")
    assert done.exit_code == 1
    assert "there is no certificate yet" in done.stderr
    (state / "tls").mkdir()
    (state / "tls" / "ca.pem").write_text("rubbish \xff")
    done = portero("ca")
    assert done.exit_code == 1
    assert "not a certificate" in done.stderr


def test_ca_export_to_nowhere(portero: Portero, ca_file: Path) -> None:
    done = portero("ca", "--export", "/nonexistent/x.pem")
    assert done.exit_code == 1
    assert "/nonexistent/x.pem: No such file or directory" in done.stderr
