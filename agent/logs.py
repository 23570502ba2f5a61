"""Where log lines go: stderr, with the priority prefix that journald reads when it is the reader.

Source: sd-daemon(3) for the `<N>` prefixes; JOURNAL_STREAM is the device and inode of the journal's
stream, and is inherited by terminals that are no journal, so that it must be compared (systemd.exec(5)).
"""

from __future__ import annotations

import logging
import os

STDERR = 2
_PREFIX = {logging.DEBUG: "<7>", logging.INFO: "<6>", logging.WARNING: "<4>", logging.ERROR: "<3>"}


class _JournalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = _PREFIX.get(record.levelno, "<2>")
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def _is_journal(fd: int) -> bool:
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def start_logging(level: int = logging.INFO) -> None:
    """Send every log line to stderr; foreign libraries from WARNING on."""
    handler = logging.StreamHandler()
    if _is_journal(STDERR):
        handler.setFormatter(_JournalFormatter("%(name)s: %(message)s"))
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
        )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("agent", "hw"):
        logging.getLogger(name).setLevel(level)
