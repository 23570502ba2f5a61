"""`portero ca`: the certificate authority of this door, which clients have to trust."""

from __future__ import annotations

import hashlib
import os
import ssl
from pathlib import Path

import click

from agent.commands.exits import Failure
from agent.commands.output import fingerprint_rows, json_option, print_json, print_line
from agent.commands.state import CA_FILE, READY_FILE, ready, state_dir, state_option

_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"


@click.command()
@click.option(
    "--export",
    "target",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Write the certificate (PEM, no key in it) to FILE, - for standard output.",
)
@json_option
@state_option
def ca(target: Path | None, as_json: bool) -> None:
    """Show or export the certificate that clients must trust.

    Compare the fingerprint with what the phone shows before it is trusted there.
    """
    path = ca_path()
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        raise Failure(
            f"{path}: there is no certificate yet",
            todo="The first start of the door makes it. Is it in another directory? --state DIR",
        ) from None
    fingerprint = fingerprint_of(pem, path)
    if target == Path("-"):
        click.echo(pem, nl=False)
        return
    if target is not None:
        # Readable for everybody, unlike what else the door writes: that is what an export is for.
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as file:
            file.write(pem)
    if as_json:
        exported = str(target) if target is not None else None
        print_json({"path": str(path), "sha256": fingerprint, "exported": exported})
    else:
        print_line(path)
        for title, part in zip(("SHA-256", ""), fingerprint_rows(fingerprint), strict=False):
            print_line(f"{title:<7} {part}")
        if target is not None:
            print_line(f"exported to {target}")


def ca_path() -> Path:
    """What clients of this door trust: as the running agent says, else the door's own authority."""
    own = state_dir() / CA_FILE
    if (state_dir() / READY_FILE).exists():
        return Path(str(ready().get("ca") or own))
    return own


def fingerprint_of(pem: bytes, path: Path) -> str:
    """The SHA-256 of the first certificate as people compare it: AB:CD:… Raises: Failure."""
    try:
        text = pem.decode("ascii")
        der = ssl.PEM_cert_to_DER_cert(text[text.index(_BEGIN) : text.index(_END) + len(_END)])
    except ValueError as error:
        raise Failure(f"{path}: not a certificate in PEM form") from error
    return hashlib.sha256(der).digest().hex(":").upper()
