"""What happened on the channel server since its start, for the status page."""

from __future__ import annotations

from msgspec import Struct


class Counters(Struct, kw_only=True):
    """packets_slow: not sent to a client that does not read. packets_fast: beyond max_rate.
    streams_unheard: for one connection, because another stream took too long there."""

    streams: int = 0
    streams_unheard: int = 0
    packets: int = 0
    packets_slow: int = 0
    packets_fast: int = 0
    packets_invalid: int = 0
    texts: int = 0
    locations: int = 0
    images: int = 0
    images_slow: int = 0
    logons: int = 0
    bad_logons: int = 0
    malformed: int = 0
    events_missed: int = 0
