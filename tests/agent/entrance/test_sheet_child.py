"""The reader of key files is a process that ends, whatever it is given."""

from __future__ import annotations

import json
import subprocess
import sys


def child(content: bytes) -> tuple[int, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "agent.entrance.sheet_child"], input=content, capture_output=True, check=False
    )
    return done.returncode, done.stdout


def test_rows() -> None:
    status, out = child(b"key,name\n7BB26E,ana\n")
    assert (status, json.loads(out)) == (0, {"rows": [[2, {"number": "7BB26E", "holder": "ana"}, ""]]})


def test_a_reason() -> None:
    status, out = child(b"nothing")
    assert (status, "headers" in json.loads(out)["error"]) == (0, True)


def test_more_than_it_reads() -> None:
    status, out = child(bytes(9 << 20))
    assert (status, "larger" in json.loads(out)["error"]) == (0, True)
