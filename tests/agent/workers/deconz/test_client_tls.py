"""A gateway behind https: both its doors are checked in the same way."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from harness.deconz_gateway import KEY, DeconzGateway
from harness.deconz_home import Home
from trio.testing import MockClock


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def leaf(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("127.0.0.1")


def served(leaf: trustme.LeafCert) -> DeconzGateway:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return DeconzGateway(tls=context)


@pytest.mark.parametrize("pinned", [True, False])
async def test_rest_and_websocket_over_tls(
    pinned: bool, authority: trustme.CA, leaf: trustme.LeafCert, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
    trust: dict[str, Any] = {"ca_file": str(tmp_path / "ca.pem")}
    if pinned:
        trust = {"fingerprint": hashlib.sha256(der).hexdigest()}
    async with served(leaf).running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway, **trust)).run)
        await home.state("following")
        await gateway.change("sensors", "2", open=True)
        await home.until(lambda: home.remotes["door"].state() == "active")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("trust", [{}, {"fingerprint": "0" * 64}])
async def test_a_gateway_that_cannot_be_trusted_gets_no_key(
    trust: dict[str, Any], leaf: trustme.LeafCert, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with served(leaf).running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway, **trust)).run)
        await home.state("retrying")
        assert "certificate" in home.problem("bell")
        assert gateway.requests == []
        assert KEY not in home.problem("bell")
        nursery.cancel_scope.cancel()


async def test_an_authority_that_cannot_be_read_parks(
    leaf: trustme.LeafCert, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with served(leaf).running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway, ca_file=str(tmp_path / "none.pem"))).run)
        await home.state("parked")
        assert "workers.deconz.gateway.home.ca_file" in home.problem("bell")
        nursery.cancel_scope.cancel()
