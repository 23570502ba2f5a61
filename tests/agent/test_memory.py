from __future__ import annotations

import subprocess
import sys

import pytest

FREED = """
blocks = [bytes(3000) for _ in range(10_000)]
keep = blocks[-1]  # at the top of the heap, so that nothing below goes back by itself
before = rss_kib()
del blocks
return_free_memory()
"""
LARGE = """
return_large_blocks()
before = rss_kib() + 30_000
for _ in range(3):
    large = bytearray(30_000_000)
    del large
"""


@pytest.mark.parametrize("story", [FREED, LARGE], ids=["freed", "large"])
def test_memory_goes_back(story: str) -> None:
    script = (
        "from agent.memory import return_free_memory, return_large_blocks\n"
        "def rss_kib(): return int(open('/proc/self/statm').read().split()[1]) * 4\n"
        f"{story}\n"
        "print(before, rss_kib())\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, after = answer.stdout.split()
    assert int(after) < int(before) - 20_000
