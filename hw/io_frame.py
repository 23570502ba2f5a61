"""Frames of Portero IO: a payload with its CRC-32, COBS-encoded between zeros (docs/portero-io.md); pure.

    00 | COBS(payload | CRC-32 of it, most significant byte first) | 00

At most MAX_FRAME bytes with both zeros. COBS (consistent overhead byte stuffing, S. Cheshire and M. Baker,
1997) leaves no zero between the two, so that a zero always ends a frame and noise costs one frame at most.
CRC-32 is that of Ethernet and zlib: CBF43926 for "123456789".
"""

from __future__ import annotations

import zlib

from hw.errors import MalformedFrame

DELIMITER = 0
MAX_FRAME = 256
MAX_ENCODED = MAX_FRAME - 2
CRC_BYTES = 4
MAX_PAYLOAD = MAX_ENCODED - 1 - CRC_BYTES
_FULL = 0xFF  # a block of 254 bytes which no zero follows


def cobs_encode(data: bytes) -> bytes:
    """`data` without zeros: at most one byte longer, and one more for each 254 bytes."""
    out = bytearray()
    for part in data.split(b"\0"):
        begin = 0
        while len(part) - begin >= _FULL - 1:
            out.append(_FULL)
            out += part[begin : begin + _FULL - 1]
            begin += _FULL - 1
        out.append(len(part) - begin + 1)
        out += part[begin:]
    return bytes(out)


def cobs_decode(encoded: bytes) -> bytes:
    """What `cobs_encode` was given. Raises: MalformedFrame, for zeros and for a block that is cut off."""
    if DELIMITER in encoded:
        raise MalformedFrame("a zero inside a frame")
    out = bytearray()
    at = 0
    while at < len(encoded):
        code = encoded[at]
        end = at + code
        if end > len(encoded):
            raise MalformedFrame("a block longer than its frame")
        out += encoded[at + 1 : end]
        if code != _FULL and end < len(encoded):
            out.append(DELIMITER)
        at = end
    return bytes(out)


def encode_frame(payload: bytes) -> bytes:
    """The bytes on the wire. Raises: ValueError for an empty payload, or one above MAX_PAYLOAD."""
    if not 0 < len(payload) <= MAX_PAYLOAD:
        raise ValueError(f"expected 1 to {MAX_PAYLOAD} bytes of payload, got {len(payload)}")
    crc = zlib.crc32(payload).to_bytes(CRC_BYTES, "big")
    return b"\0" + cobs_encode(payload + crc) + b"\0"


def decode_frame(encoded: bytes) -> bytes:
    """The payload of what stood between two zeros. Raises: MalformedFrame."""
    if len(encoded) > MAX_ENCODED:
        raise MalformedFrame("a frame too long")
    body = cobs_decode(encoded)
    if len(body) <= CRC_BYTES:
        raise MalformedFrame("a frame too short")
    payload, crc = body[:-CRC_BYTES], body[-CRC_BYTES:]
    if zlib.crc32(payload) != int.from_bytes(crc, "big"):
        raise MalformedFrame("a wrong checksum")
    return payload


class Deframer:
    """Bytes of a wire to payloads; any bytes at any split, never raises, keeps at most MAX_ENCODED.

    refused: what stood between two zeros and was no frame. noise: its bytes.
    """

    def __init__(self) -> None:
        self.refused = 0
        self.noise = 0
        self._encoded = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that are complete now."""
        payloads = []
        *ended, rest = data.split(b"\0")
        for part in ended:
            self._keep(part)
            if self._skipping:
                self._refuse()
            elif self._encoded:
                try:
                    payloads.append(decode_frame(bytes(self._encoded)))
                except MalformedFrame:
                    self._refuse()
            self._encoded.clear()
            self._skipping = False
        self._keep(rest)
        return payloads

    def _keep(self, part: bytes) -> None:
        if self._skipping or len(self._encoded) + len(part) > MAX_ENCODED:
            self.noise += len(self._encoded) + len(part)
            self._encoded.clear()
            self._skipping = True
        else:
            self._encoded += part

    def _refuse(self) -> None:
        self.refused += 1
        self.noise += len(self._encoded)
