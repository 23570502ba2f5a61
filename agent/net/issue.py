"""The door's own certificate authority, as a program: it makes the authority once, and leaves as asked.

`python -m agent.net.issue` is run as a child and gone again, because the cryptography package costs 17 MB
that a small door does not have. Nothing else imports this module.

The authority carries no name constraints: clients disagree on how to read them, and a name added to the
configuration later would need a new authority on every phone. Its key never leaves the directory.
"""

from __future__ import annotations

import argparse
import hashlib
import ipaddress
import json
import os
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.statefile import replace_file

MAX_COMMON_NAME = 64


def main(arguments: Sequence[str]) -> int:
    """Make what is missing and a new leaf; 0, or 1 with one line of reason on standard error."""
    parser = argparse.ArgumentParser(prog="agent.net.issue")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--not-before", type=int, required=True, help="UTC seconds")
    parser.add_argument("--leaf-days", type=int, required=True)
    parser.add_argument("--authority-days", type=int, required=True)
    parser.add_argument("names", nargs="+", help="host names and addresses; the first is the common name")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    not_before = datetime.fromtimestamp(options.not_before, UTC)
    try:
        options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        options.directory.chmod(0o700)
        authority, key = ensure_authority(
            options.directory, options.names[0], not_before, timedelta(days=options.authority_days)
        )
        issue_leaf(
            options.directory, options.names, authority, key, not_before, timedelta(days=options.leaf_days)
        )
    except (OSError, ValueError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


def ensure_authority(
    directory: Path, name: str, not_before: datetime, lifetime: timedelta
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority in `directory`, made when there is none.

    Raises: ValueError when what is there cannot be used; it is never replaced, since clients trust it.
    """
    certificate_file, key_file = directory / "ca.pem", directory / "ca.key"
    if not certificate_file.exists():
        return make_authority(certificate_file, key_file, name, not_before, lifetime)
    way_out = "restore both from a backup, or remove both and trust the new authority on every client"
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"ca.pem and ca.key cannot be used ({why[:80]}): {way_out}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError(f"ca.key is not the key of ca.pem: {way_out}")
    return certificate, key


def make_authority(
    certificate_file: Path, key_file: Path, name: str, not_before: datetime, lifetime: timedelta
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A new self-signed authority. The key is stored first: without its certificate it is nothing yet."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Several doors in one trust store need different names, or clients pick the wrong key.
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"Portero {name[:40]} {secrets.token_hex(4)}")]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_before + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(identifier.digest, None, None), critical=False)
        .sign(key, hashes.SHA256())
    )
    replace_file(key_file, _pem(key))
    replace_file(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return certificate, key


def issue_leaf(
    directory: Path,
    names: Sequence[str],
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    not_before: datetime,
    lifetime: timedelta,
) -> None:
    """A new certificate and key in `server.pem`, one file so that they always fit, noted in `issued.json`."""
    key = ec.generate_private_key(ec.SECP256R1())
    not_after = min(not_before + lifetime, authority.not_valid_after_utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:MAX_COMMON_NAME])]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM) + _pem(key)
    record = {
        "names": list(names),
        "not_before_s": int(not_before.timestamp()),
        "not_after_s": int(not_after.timestamp()),
        "sha256": hashlib.sha256(chain).hexdigest(),
    }
    replace_file(directory / "server.pem", chain)
    replace_file(directory / "issued.json", json.dumps(record).encode())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
