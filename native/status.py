"""Why the C library refused, and the memory that its objects live in."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from native._voice import ffi, lib

if TYPE_CHECKING:
    from _cffi_backend import FFI


class Status(enum.IntEnum):
    """`enum dv_status`: why the C library refused."""

    OK = lib.DV_OK
    ARGUMENT = lib.DV_ERR_ARGUMENT
    SAMPLE_RATE = lib.DV_ERR_SAMPLE_RATE
    FRAME_SIZE = lib.DV_ERR_FRAME_SIZE
    ALIGNMENT = lib.DV_ERR_ALIGNMENT
    CAPACITY = lib.DV_ERR_CAPACITY
    UNINITIALISED = lib.DV_ERR_UNINITIALISED
    TOO_SHORT = lib.DV_ERR_TOO_SHORT
    TOO_LONG = lib.DV_ERR_TOO_LONG
    TYPE = lib.DV_ERR_TYPE
    PAYLOAD = lib.DV_ERR_PAYLOAD
    OPUS = lib.DV_ERR_OPUS

    @property
    def text(self) -> str:
        """The library's words for it, in English, for a log."""
        return text_of(lib.dv_status_name(self))


class CodecError(Exception):
    """A `dv_status` other than OK, in `status`. The codec stays usable, except after `Status.OPUS`."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        return self.status.text


def text_of(string: FFI.CData) -> str:
    text = ffi.string(string)
    assert isinstance(text, bytes)
    return text.decode("ascii")


def aligned_block(size: int) -> tuple[FFI.CData, FFI.CData]:
    """Zeroed memory and where in it a C object begins; the first is kept as long as the second is used."""
    # cffi aligns like malloc, on some machines to 8 bytes: begin at the first boundary inside.
    memory = ffi.new("unsigned char[]", size + lib.DV_CODEC_ALIGN)
    return memory, memory + -int(ffi.cast("uintptr_t", memory)) % lib.DV_CODEC_ALIGN


def check(status: int) -> None:
    if status < 0:
        raise CodecError(Status(status))
