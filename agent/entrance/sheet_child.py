"""`python -m agent.entrance.sheet_child`: a key file on standard input, its rows as JSON on standard output.

A process of its own with limits of its own: whatever the file is made of, the door goes on ringing.
"""

from __future__ import annotations

import resource
import sys

import msgspec

from agent.entrance.sheet import MAX_FILE_BYTES, read
from agent.model.errors import MalformedMessage

MEMORY_BYTES = 400 * 1024 * 1024
CPU_S = 30


def main() -> int:
    """0 with `{"rows": [...]}`, or with `{"error": reason}`."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer: object = {"rows": read(sys.stdin.buffer.read(MAX_FILE_BYTES + 1))}
    except MalformedMessage as error:
        answer = {"error": error.reason}
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
