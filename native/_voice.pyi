from typing import Final

from _cffi_backend import FFI

ffi: Final[FFI]

class _Lib:
    DV_HEADER_BYTES: int
    DV_PACKET_MIN_BYTES: int
    DV_PACKET_MAX_BYTES: int
    DV_ENCODE_MAX_BYTES: int
    DV_DECODE_MAX_SAMPLES: int
    DV_CODEC_ALIGN: int
    DV_OK: int
    DV_ERR_ARGUMENT: int
    DV_ERR_SAMPLE_RATE: int
    DV_ERR_FRAME_SIZE: int
    DV_ERR_ALIGNMENT: int
    DV_ERR_CAPACITY: int
    DV_ERR_UNINITIALISED: int
    DV_ERR_TOO_SHORT: int
    DV_ERR_TOO_LONG: int
    DV_ERR_TYPE: int
    DV_ERR_PAYLOAD: int
    DV_ERR_OPUS: int
    DV_SIGNAL_AUTO: int
    DV_SIGNAL_VOICE: int
    def dv_status_name(self, status: int, /) -> FFI.CData: ...
    def dv_packet_parse(self, data: bytes, data_len: int, out: FFI.CData, /) -> int: ...
    def dv_packet_write_header(self, header: FFI.CData, out: FFI.CData, out_cap: int, /) -> int: ...
    def dv_codec_size(self, /) -> int: ...
    def dv_codec_settings_default(self, settings: FFI.CData, /) -> None: ...
    def dv_codec_init(
        self, mem: FFI.CData, cap: int, sample_rate_hz: int, frame_us: int, settings: FFI.CData, /
    ) -> int: ...
    def dv_codec_encode_packet(
        self,
        codec: FFI.CData,
        stream_id: int,
        packet_id: int,
        pcm: FFI.CData,
        pcm_samples: int,
        out: FFI.CData,
        out_cap: int,
        /,
    ) -> int: ...
    def dv_codec_decode_packet(
        self,
        codec: FFI.CData,
        data: bytes,
        data_len: int,
        header: FFI.CData,
        pcm: FFI.CData,
        pcm_cap_samples: int,
        /,
    ) -> int: ...

lib: Final[_Lib]
