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
    DV_PCM_MAX_SAMPLES: int
    DV_CEILING: int
    DV_GAIN_MIN_TENTHS_DB: int
    DV_GAIN_MAX_TENTHS_DB: int
    DV_RATE_MIN_HZ: int
    DV_RATE_MAX_HZ: int
    DV_DRIFT_MAX_PPB: int
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
        self,
        mem: FFI.CData,
        cap: int,
        sample_rate_hz: int,
        frame_us: int,
        frames_per_packet: int,
        channels: int,
        settings: FFI.CData,
        /,
    ) -> int: ...
    def dv_codec_configure(self, codec: FFI.CData, settings: FFI.CData, /) -> int: ...
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
    def dv_codec_conceal(
        self, codec: FFI.CData, duration_us: int, pcm: FFI.CData, pcm_cap_samples: int, /
    ) -> int: ...
    def dv_codec_reset_decoder(self, codec: FFI.CData, /) -> int: ...
    def dv_codec_sent_level(self, codec: FFI.CData, out: FFI.CData, /) -> int: ...
    def dv_codec_heard_level(self, codec: FFI.CData, out: FFI.CData, /) -> int: ...
    def dv_features_probe(self, mem: FFI.CData, cap: int, out: FFI.CData, /) -> int: ...
    def dv_gain_init(self, gain: FFI.CData, sample_rate_hz: int, gain_tenths_db: int, /) -> int: ...
    def dv_gain_set(self, gain: FFI.CData, gain_tenths_db: int, /) -> int: ...
    def dv_gain_reset(self, gain: FFI.CData, /) -> int: ...
    def dv_gain_apply(self, gain: FFI.CData, pcm: FFI.CData, out: FFI.CData, samples: int, /) -> int: ...
    def dv_meter_init(self, meter: FFI.CData, sample_rate_hz: int, /) -> int: ...
    def dv_meter_measure(self, meter: FFI.CData, pcm: FFI.CData, samples: int, out: FFI.CData, /) -> int: ...
    def dv_level_rms_dbfs(self, level: FFI.CData, /) -> float: ...
    def dv_level_peak_dbfs(self, level: FFI.CData, /) -> float: ...
    def dv_resampler_size(self, rate_in_hz: int, rate_out_hz: int, /) -> int: ...
    def dv_resampler_init(self, mem: FFI.CData, cap: int, rate_in_hz: int, rate_out_hz: int, /) -> int: ...
    def dv_resampler_delay_samples(self, resampler: FFI.CData, /) -> int: ...
    def dv_resampler_set_drift(self, resampler: FFI.CData, drift_ppb: int, /) -> int: ...
    def dv_resampler_output_max(self, resampler: FFI.CData, in_samples: int, /) -> int: ...
    def dv_resampler_process(
        self,
        resampler: FFI.CData,
        pcm: FFI.CData,
        in_samples: int,
        out: FFI.CData,
        out_cap_samples: int,
        /,
    ) -> int: ...

lib: Final[_Lib]
