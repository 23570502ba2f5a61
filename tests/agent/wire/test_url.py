from __future__ import annotations

import pytest

from agent.wire.url import check_trust, check_url, is_loopback


@pytest.mark.parametrize("url", ["https://door.local", "http://192.168.1.2:8080/x?y=z", "https://[::1]:443/"])
def test_good_urls(url: str) -> None:
    check_url(url, schemes=("https", "http"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "door.local",
        "https://",
        "ftp://door.local",
        "https://ana:secret@door.local",
        "https://ana@door.local",
        "https://door.local:0",
        "https://door.local:99999",
        "https://door.local/a b",
        "https://door.local/\x00",
        "https://door.local/#fragment",
    ],
)
def test_bad_urls_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refusal:
        check_url(url, schemes=("https", "http"))
    assert "secret" not in str(refusal.value)


def test_trust_has_to_make_sense() -> None:
    pin = "ab" * 32
    check_trust("http://door.local", None, None)
    check_trust("https://door.local", "ca.pem", None)
    check_trust("wss://door.local", None, pin)
    for url, ca_file, fingerprint in (
        ("https://door.local", "ca.pem", pin),
        ("http://door.local", "ca.pem", None),
        ("ws://door.local", None, pin),
        ("https://door.local", None, "xyz"),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            check_trust(url, ca_file, fingerprint)


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("192.168.1.1", False),
        ("door", False),
        ("", False),
    ],
)
def test_what_no_other_machine_reaches(host: str, near: bool) -> None:
    assert is_loopback(host) is near
