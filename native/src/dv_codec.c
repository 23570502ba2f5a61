/* One Opus encoder and one decoder in a block of the caller's, fused with the packet header. */
#include "dv_voice.h"

#include <opus.h>
#include <stdalign.h>
#include <string.h>

/* The block: struct dv_codec, then libopus's encoder, then its decoder, each on DV_CODEC_ALIGN and
 * found by offset, so that a copy of the block is a codec too.
 *
 * packet and pcm are what libopus writes to. It gives no promise about its output on failure, and this
 * library does: the result is copied out once it is good. Each direction has a buffer of its own, and
 * the rest is constant after init, which is the thread rule of the header. */
struct dv_codec {
    uint32_t magic;
    uint32_t sample_rate_hz;
    uint32_t frame_samples;
    size_t decoder_at;
    uint8_t packet[DV_ENCODE_MAX_BYTES];
    int16_t pcm[DV_DECODE_MAX_SAMPLES];
};

static const uint32_t CODEC_MAGIC = 0x6476C0DEu;

enum {
    BITRATE_AUTO = 0,
    BITRATE_MIN_BPS = 6000,
    BITRATE_MAX_BPS = 300000, /* libopus's own ceiling for one channel */
    BITRATE_DEFAULT_BPS = 24000,
    COMPLEXITY_MAX = 10,
    COMPLEXITY_DEFAULT = 5,
    CHANNELS = 1
};

#define ALIGNED(size) (((size) + (DV_CODEC_ALIGN - 1)) / DV_CODEC_ALIGN * DV_CODEC_ALIGN)
#define ENCODER_AT ALIGNED(sizeof(struct dv_codec))

_Static_assert(DV_CODEC_ALIGN % alignof(max_align_t) == 0, "the block must suit any type of libopus");
_Static_assert(DV_ENCODE_MAX_BYTES == DV_HEADER_BYTES + 3 * 1275 + 7, "three frames and their framing");
_Static_assert(DV_DECODE_MAX_SAMPLES == 48000 / 1000 * 120, "120 ms at the highest rate");

static OpusEncoder *encoder_of(struct dv_codec *codec)
{
    return (OpusEncoder *)(void *)((unsigned char *)codec + ENCODER_AT);
}

static OpusDecoder *decoder_of(struct dv_codec *codec)
{
    return (OpusDecoder *)(void *)((unsigned char *)codec + codec->decoder_at);
}

static size_t decoder_offset(void)
{
    return ENCODER_AT + ALIGNED((size_t)opus_encoder_get_size(CHANNELS));
}

static int is_codec(const struct dv_codec *codec)
{
    return (uintptr_t)codec % DV_CODEC_ALIGN == 0 && codec->magic == CODEC_MAGIC;
}

static int is_sample_rate(uint32_t sample_rate_hz)
{
    switch (sample_rate_hz) {
    case 8000:
    case 12000:
    case 16000:
    case 24000:
    case 48000:
        return 1;
    default:
        return 0;
    }
}

static int is_frame_duration(uint32_t frame_us)
{
    switch (frame_us) {
    case 2500:
    case 5000:
    case 10000:
    case 20000:
    case 40000:
    case 60000:
        return 1;
    default:
        return 0;
    }
}

static int are_settings(const struct dv_codec_settings *settings)
{
    if (settings->bitrate_bps != BITRATE_AUTO &&
        (settings->bitrate_bps < BITRATE_MIN_BPS || settings->bitrate_bps > BITRATE_MAX_BPS)) {
        return 0;
    }
    if (settings->complexity > COMPLEXITY_MAX) {
        return 0;
    }
    return settings->signal == DV_SIGNAL_AUTO || settings->signal == DV_SIGNAL_VOICE;
}

static int apply_settings(OpusEncoder *encoder, const struct dv_codec_settings *settings)
{
    const opus_int32 bitrate =
        settings->bitrate_bps == BITRATE_AUTO ? OPUS_AUTO : (opus_int32)settings->bitrate_bps;
    const opus_int32 complexity = (opus_int32)settings->complexity;
    const opus_int32 signal = settings->signal == DV_SIGNAL_VOICE ? OPUS_SIGNAL_VOICE : OPUS_AUTO;

    if (opus_encoder_ctl(encoder, OPUS_SET_BITRATE(bitrate)) != OPUS_OK ||
        opus_encoder_ctl(encoder, OPUS_SET_COMPLEXITY(complexity)) != OPUS_OK ||
        opus_encoder_ctl(encoder, OPUS_SET_SIGNAL(signal)) != OPUS_OK ||
        opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(0)) != OPUS_OK ||
        opus_encoder_ctl(encoder, OPUS_SET_DTX(0)) != OPUS_OK) {
        return 0;
    }
    return 1;
}

size_t dv_codec_size(void)
{
    return decoder_offset() + ALIGNED((size_t)opus_decoder_get_size(CHANNELS));
}

void dv_codec_settings_default(struct dv_codec_settings *settings)
{
    if (settings == NULL) {
        return;
    }
    settings->bitrate_bps = BITRATE_DEFAULT_BPS;
    settings->complexity = COMPLEXITY_DEFAULT;
    settings->signal = DV_SIGNAL_VOICE;
}

enum dv_status dv_codec_init(void *mem, size_t cap, uint32_t sample_rate_hz, uint32_t frame_us,
                             const struct dv_codec_settings *settings)
{
    struct dv_codec_settings chosen;
    dv_codec_settings_default(&chosen);
    if (settings != NULL) {
        chosen = *settings;
    }
    if (mem == NULL || !are_settings(&chosen)) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_sample_rate(sample_rate_hz)) {
        return DV_ERR_SAMPLE_RATE;
    }
    if (!is_frame_duration(frame_us)) {
        return DV_ERR_FRAME_SIZE;
    }
    if ((uintptr_t)mem % DV_CODEC_ALIGN != 0) {
        return DV_ERR_ALIGNMENT;
    }
    if (cap < dv_codec_size()) {
        return DV_ERR_CAPACITY;
    }

    struct dv_codec *codec = mem;
    memset(codec, 0, sizeof *codec);
    codec->sample_rate_hz = sample_rate_hz;
    codec->frame_samples = sample_rate_hz / 100 * (frame_us / 100) / 100; /* fits: 480 * 600 */
    codec->decoder_at = decoder_offset();
    const opus_int32 rate = (opus_int32)sample_rate_hz;
    if (opus_encoder_init(encoder_of(codec), rate, CHANNELS, OPUS_APPLICATION_VOIP) != OPUS_OK ||
        opus_decoder_init(decoder_of(codec), rate, CHANNELS) != OPUS_OK ||
        !apply_settings(encoder_of(codec), &chosen)) {
        return DV_ERR_OPUS;
    }
    codec->magic = CODEC_MAGIC; /* last: a half-made codec is not a codec */
    return DV_OK;
}

int32_t dv_codec_encode_packet(struct dv_codec *codec, uint32_t stream_id, uint32_t packet_id,
                               const int16_t *pcm, size_t pcm_samples, uint8_t *out, size_t out_cap)
{
    if (codec == NULL || pcm == NULL || out == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_codec(codec)) {
        return DV_ERR_UNINITIALISED;
    }
    if (pcm_samples != codec->frame_samples) {
        return DV_ERR_FRAME_SIZE;
    }
    if (out_cap < DV_ENCODE_MAX_BYTES) {
        return DV_ERR_CAPACITY;
    }
    const struct dv_packet_header header = {.stream_id = stream_id, .packet_id = packet_id};
    const int32_t header_len = dv_packet_write_header(&header, codec->packet, sizeof codec->packet);
    const opus_int32 opus_len = opus_encode(encoder_of(codec), pcm, (int)pcm_samples, codec->packet + header_len,
                                            (opus_int32)sizeof codec->packet - header_len);
    if (opus_len <= 0) {
        return DV_ERR_OPUS;
    }
    memcpy(out, codec->packet, (size_t)(header_len + opus_len));
    return header_len + opus_len;
}

int32_t dv_codec_decode_packet(struct dv_codec *codec, const uint8_t *in, size_t in_len,
                               struct dv_packet_header *header, int16_t *pcm, size_t pcm_cap_samples)
{
    if (codec == NULL || in == NULL || header == NULL || pcm == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_codec(codec)) {
        return DV_ERR_UNINITIALISED;
    }
    struct dv_packet packet;
    const enum dv_status status = dv_packet_parse(in, in_len, &packet);
    if (status != DV_OK) {
        return status;
    }
    const opus_int32 payload_len = (opus_int32)packet.payload_len; /* fits: DV_PACKET_MAX_BYTES */
    const int expected =
        opus_packet_get_nb_samples(packet.payload, payload_len, (opus_int32)codec->sample_rate_hz);
    if (expected <= 0) {
        return DV_ERR_PAYLOAD;
    }
    if ((size_t)expected > pcm_cap_samples) {
        return DV_ERR_CAPACITY;
    }
    const int samples =
        opus_decode(decoder_of(codec), packet.payload, payload_len, codec->pcm, DV_DECODE_MAX_SAMPLES, 0);
    if (samples == OPUS_INVALID_PACKET) {
        return DV_ERR_PAYLOAD;
    }
    if (samples != expected) {
        return DV_ERR_OPUS;
    }
    memcpy(pcm, codec->pcm, (size_t)samples * sizeof *pcm);
    *header = packet.header;
    return samples;
}
