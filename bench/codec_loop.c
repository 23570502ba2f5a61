/* The plain C loops that bench/codec.py compares the wrapper with. Compiled when the bench runs, beside
 * native/src; no part of the library.
 *
 * A loop does `rounds` times the whole second of sound, `frames` frames of `samples` each, and returns
 * 0 or the first error. The `raw` pair is what one would write without the library: opus_encode and nine
 * bytes by hand; nine bytes by hand and opus_decode. */
#include "dv_voice.h"

#include <opus.h>
#include <string.h>

enum { PACKET_CAP = DV_ENCODE_MAX_BYTES };

int32_t loop_init(void *mem, size_t cap, uint32_t sample_rate_hz, uint32_t frame_us, uint32_t complexity)
{
    struct dv_codec_settings settings;
    dv_codec_settings_default(&settings);
    settings.complexity = complexity;
    return dv_codec_init(mem, cap, sample_rate_hz, frame_us, 1, 1, &settings);
}

int32_t loop_encode(void *codec, const int16_t *pcm, size_t frames, size_t samples, size_t rounds)
{
    uint8_t out[PACKET_CAP];
    for (size_t round = 0; round < rounds; round++) {
        for (size_t n = 0; n < frames; n++) {
            const int32_t len =
                dv_codec_encode_packet(codec, 1, (uint32_t)n, pcm + n * samples, samples, out, sizeof out);
            if (len < 0) {
                return len;
            }
        }
    }
    return 0;
}

int32_t loop_decode(void *codec, const uint8_t *packets, const uint32_t *lens, size_t frames, size_t rounds)
{
    int16_t pcm[DV_DECODE_MAX_SAMPLES];
    struct dv_packet_header header;
    for (size_t round = 0; round < rounds; round++) {
        for (size_t n = 0; n < frames; n++) {
            const int32_t count = dv_codec_decode_packet(codec, packets + n * PACKET_CAP, lens[n], &header, pcm,
                                                         DV_DECODE_MAX_SAMPLES);
            if (count < 0) {
                return count;
            }
        }
    }
    return 0;
}

size_t raw_encoder_size(void)
{
    return (size_t)opus_encoder_get_size(1);
}

size_t raw_decoder_size(void)
{
    return (size_t)opus_decoder_get_size(1);
}

int32_t raw_init(void *encoder, void *decoder, int32_t sample_rate_hz, int32_t complexity)
{
    if (opus_encoder_init(encoder, sample_rate_hz, 1, OPUS_APPLICATION_VOIP) != OPUS_OK ||
        opus_decoder_init(decoder, sample_rate_hz, 1) != OPUS_OK ||
        opus_encoder_ctl((OpusEncoder *)encoder, OPUS_SET_BITRATE(24000)) != OPUS_OK ||
        opus_encoder_ctl((OpusEncoder *)encoder, OPUS_SET_COMPLEXITY(complexity)) != OPUS_OK ||
        opus_encoder_ctl((OpusEncoder *)encoder, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE)) != OPUS_OK) {
        return -1;
    }
    return 0;
}

int32_t raw_encode(void *encoder, const int16_t *pcm, size_t frames, size_t samples, size_t rounds)
{
    uint8_t out[PACKET_CAP];
    for (size_t round = 0; round < rounds; round++) {
        for (size_t n = 0; n < frames; n++) {
            memcpy(out, (const uint8_t[]){1, 0, 0, 0, 1, 0, 0, 0, (uint8_t)n}, DV_HEADER_BYTES);
            if (opus_encode(encoder, pcm + n * samples, (int)samples, out + DV_HEADER_BYTES,
                            PACKET_CAP - DV_HEADER_BYTES) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

int32_t raw_decode(void *decoder, const uint8_t *packets, const uint32_t *lens, size_t frames, size_t rounds)
{
    int16_t pcm[DV_DECODE_MAX_SAMPLES];
    for (size_t round = 0; round < rounds; round++) {
        for (size_t n = 0; n < frames; n++) {
            const uint8_t *packet = packets + n * PACKET_CAP;
            if (packet[0] != 1 || opus_decode(decoder, packet + DV_HEADER_BYTES, (opus_int32)lens[n] - DV_HEADER_BYTES,
                                              pcm, DV_DECODE_MAX_SAMPLES, 0) < 0) {
                return -1;
            }
        }
    }
    return 0;
}
