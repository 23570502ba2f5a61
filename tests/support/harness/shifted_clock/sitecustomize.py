"""On the PYTHONPATH of a process: its wall clock is off by the nanoseconds that stand in a file.

The interpreter imports this before anything else, so everybody who asks `time` gets the shifted one. The
monotonic clock is left alone, as a clock that is set leaves it alone.
"""

import os
import time

_file = os.open(os.environ["SHIFTED_CLOCK"], os.O_RDONLY)
_time_ns = time.time_ns


def _shifted_ns() -> int:
    return _time_ns() + int(os.pread(_file, 32, 0))


def _shifted() -> float:
    return _shifted_ns() / 1e9


time.time_ns = _shifted_ns
time.time = _shifted
