/* One Opus encoder and one decoder in a block of the caller's, fused with the packet header. */
#include "dv_voice.h"

#include <opus.h>
#include <stdalign.h>
#include <string.h>

/* The block: struct dv_codec, then libopus's encoder, its decoder and its repacketizer, each on
 * DV_CODEC_ALIGN and found by offset, so that a copy of the block is a codec too. (A repacketizer remembers
 * where frames are, but only from its init at the start of a packet to the end of the same call.)
 *
 * What libopus writes goes to memory of ours first. It gives no promise about its output on failure, and
 * this library does: the result is copied out once it is good. Each side has its own, and what is outside
 * the sides is constant after init, which is the thread rule of the header. */
enum {
    FRAMES_MAX_BYTES = 6 * 1280, /* 120 ms of Opus: six times the longest frame, and its framing */
    FRAMES_MAX = 48,
    PACKET_MAX_US = 120000
};

struct sending {
    struct dv_gain gain;
    struct dv_meter meter;
    struct dv_level level;
    int16_t pcm[DV_DECODE_MAX_SAMPLES];
    uint8_t frames[FRAMES_MAX_BYTES];
    uint8_t packet[DV_ENCODE_MAX_BYTES];
};

struct hearing {
    struct dv_gain gain;
    struct dv_meter meter;
    struct dv_level level;
    int16_t pcm[DV_DECODE_MAX_SAMPLES];
};

struct dv_codec {
    uint32_t magic;
    uint32_t sample_rate_hz;
    uint32_t frame_samples;
    uint32_t frames_per_packet;
    uint32_t channels;
    size_t decoder_at;
    size_t repacketizer_at;
    struct sending sending;
    struct hearing hearing;
};

static const uint32_t CODEC_MAGIC = 0x6476C0DEu;

enum {
    BITRATE_AUTO = 0,
    BITRATE_MIN_BPS = 6000,
    BITRATE_MAX_BPS = 300000, /* libopus's own ceiling for one channel */
    BITRATE_DEFAULT_BPS = 24000,
    COMPLEXITY_MAX = 10,
    COMPLEXITY_DEFAULT = 5,
    CHANNELS = 1,     /* of what libopus encodes and decodes */
    CHANNELS_MAX = 2, /* of what the caller may bring */
    ATTEMPTS = 3,     /* at a packet whose frames have to be alike */
    CONCEAL_STEP_US = 2500
};

#define ALIGNED(size) (((size) + (DV_CODEC_ALIGN - 1)) / DV_CODEC_ALIGN * DV_CODEC_ALIGN)
#define ENCODER_AT ALIGNED(sizeof(struct dv_codec))

_Static_assert(DV_CODEC_ALIGN % alignof(max_align_t) == 0, "the block must suit any type of libopus");
_Static_assert(DV_ENCODE_MAX_BYTES == DV_HEADER_BYTES + FRAMES_MAX_BYTES + 2 + 2 * FRAMES_MAX,
               "header, frames, two bytes of framing, and two for the length of each frame");
_Static_assert(DV_DECODE_MAX_SAMPLES == 48000 / 1000 * 120, "120 ms at the highest rate");

static OpusEncoder *encoder_of(struct dv_codec *codec)
{
    return (OpusEncoder *)(void *)((unsigned char *)codec + ENCODER_AT);
}

static OpusDecoder *decoder_of(struct dv_codec *codec)
{
    return (OpusDecoder *)(void *)((unsigned char *)codec + codec->decoder_at);
}

static OpusRepacketizer *repacketizer_of(struct dv_codec *codec)
{
    return (OpusRepacketizer *)(void *)((unsigned char *)codec + codec->repacketizer_at);
}

static size_t decoder_offset(void)
{
    return ENCODER_AT + ALIGNED((size_t)opus_encoder_get_size(CHANNELS));
}

static size_t repacketizer_offset(void)
{
    return decoder_offset() + ALIGNED((size_t)opus_decoder_get_size(CHANNELS));
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

static int is_gain(int32_t gain_tenths_db)
{
    return gain_tenths_db >= DV_GAIN_MIN_TENTHS_DB && gain_tenths_db <= DV_GAIN_MAX_TENTHS_DB;
}

static int are_settings(const struct dv_codec_settings *settings)
{
    if (settings->bitrate_bps != BITRATE_AUTO &&
        (settings->bitrate_bps < BITRATE_MIN_BPS || settings->bitrate_bps > BITRATE_MAX_BPS)) {
        return 0;
    }
    if (settings->complexity > COMPLEXITY_MAX || !is_gain(settings->send_gain_tenths_db) ||
        !is_gain(settings->receive_gain_tenths_db)) {
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
    return repacketizer_offset() + ALIGNED((size_t)opus_repacketizer_get_size());
}

void dv_codec_settings_default(struct dv_codec_settings *settings)
{
    if (settings == NULL) {
        return;
    }
    settings->bitrate_bps = BITRATE_DEFAULT_BPS;
    settings->complexity = COMPLEXITY_DEFAULT;
    settings->signal = DV_SIGNAL_VOICE;
    settings->send_gain_tenths_db = 0;
    settings->receive_gain_tenths_db = 0;
}

enum dv_status dv_codec_init(void *mem, size_t cap, uint32_t sample_rate_hz, uint32_t frame_us,
                             uint32_t frames_per_packet, uint32_t channels,
                             const struct dv_codec_settings *settings)
{
    struct dv_codec_settings chosen;
    dv_codec_settings_default(&chosen);
    if (settings != NULL) {
        chosen = *settings;
    }
    if (mem == NULL || !are_settings(&chosen) || channels == 0 || channels > CHANNELS_MAX) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_sample_rate(sample_rate_hz)) {
        return DV_ERR_SAMPLE_RATE;
    }
    if (!is_frame_duration(frame_us) || frames_per_packet == 0 || frames_per_packet > PACKET_MAX_US / frame_us) {
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
    codec->frames_per_packet = frames_per_packet;
    codec->channels = channels;
    codec->decoder_at = decoder_offset();
    codec->repacketizer_at = repacketizer_offset();
    (void)dv_gain_init(&codec->sending.gain, sample_rate_hz, chosen.send_gain_tenths_db);
    (void)dv_meter_init(&codec->sending.meter, sample_rate_hz);
    (void)dv_gain_init(&codec->hearing.gain, sample_rate_hz, chosen.receive_gain_tenths_db);
    (void)dv_meter_init(&codec->hearing.meter, sample_rate_hz);
    (void)opus_repacketizer_init(repacketizer_of(codec));
    const opus_int32 rate = (opus_int32)sample_rate_hz;
    if (opus_encoder_init(encoder_of(codec), rate, CHANNELS, OPUS_APPLICATION_VOIP) != OPUS_OK ||
        opus_decoder_init(decoder_of(codec), rate, CHANNELS) != OPUS_OK ||
        !apply_settings(encoder_of(codec), &chosen)) {
        return DV_ERR_OPUS;
    }
    codec->magic = CODEC_MAGIC; /* last: a half-made codec is not a codec */
    return DV_OK;
}

enum dv_status dv_codec_configure(struct dv_codec *codec, const struct dv_codec_settings *settings)
{
    if (codec == NULL || settings == NULL || !are_settings(settings)) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_codec(codec)) {
        return DV_ERR_UNINITIALISED;
    }
    (void)dv_gain_set(&codec->sending.gain, settings->send_gain_tenths_db);
    (void)dv_gain_set(&codec->hearing.gain, settings->receive_gain_tenths_db);
    return apply_settings(encoder_of(codec), settings) ? DV_OK : DV_ERR_OPUS;
}

/* Gain, then level, in one pass if the gain has nothing to do: then `pcm` is returned as it is, and else
 * `work`, which may be the same memory. */
static const int16_t *condition(struct dv_gain *gain, struct dv_meter *meter, struct dv_level *level,
                                const int16_t *pcm, int16_t *work, size_t samples)
{
    if (gain->at_rest) {
        const struct dv_meter before = *meter;
        (void)dv_meter_measure(meter, pcm, samples, level);
        if (level->peak <= DV_CEILING) {
            return pcm;
        }
        *meter = before;
    }
    (void)dv_gain_apply(gain, pcm, work, samples);
    (void)dv_meter_measure(meter, work, samples, level);
    return work;
}

static void mix_down(const int16_t *pairs, int16_t *pcm, size_t samples)
{
    for (size_t i = 0; i < samples; i++) {
        pcm[i] = (int16_t)((pairs[2 * i] + pairs[2 * i + 1]) / 2);
    }
}

/* Encode the frames of one packet and bind them together. Frames of one packet share its TOC byte, so libopus
 * may not change mode or bandwidth among them. It does so rarely, and stays there: then the packet is done
 * again. A frame that still differs is left out, and the listener's decoder conceals it: an empty frame is
 * legal. Returns the length, or a negative number if libopus failed. */
static opus_int32 encode_frames(struct dv_codec *codec, const int16_t *pcm, uint8_t *out, opus_int32 out_cap)
{
    struct sending *sending = &codec->sending;
    OpusRepacketizer *repacketizer = repacketizer_of(codec);
    const opus_int32 slot_cap = (opus_int32)(FRAMES_MAX_BYTES / codec->frames_per_packet);
    for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
        uint32_t alike = 0;
        (void)opus_repacketizer_init(repacketizer);
        for (uint32_t n = 0; n < codec->frames_per_packet; n++) {
            uint8_t *slot = sending->frames + n * (uint32_t)slot_cap;
            const opus_int32 len = opus_encode(encoder_of(codec), pcm + (size_t)n * codec->frame_samples,
                                               (int)codec->frame_samples, slot, slot_cap);
            if (len <= 0) {
                return OPUS_INTERNAL_ERROR;
            }
            if (opus_repacketizer_cat(repacketizer, slot, len) == OPUS_OK) {
                alike++;
            } else if (attempt == ATTEMPTS) {
                slot[0] = sending->frames[0] & 0xFCu; /* the first frame's TOC, code 0: one frame, here empty */
                if (opus_repacketizer_cat(repacketizer, slot, 1) != OPUS_OK) {
                    return OPUS_INTERNAL_ERROR;
                }
            } else {
                break;
            }
        }
        if (alike == codec->frames_per_packet) {
            break;
        }
    }
    return opus_repacketizer_out(repacketizer, out, out_cap);
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
    const size_t samples = (size_t)codec->frame_samples * codec->frames_per_packet; /* of the one channel */
    if (pcm_samples != samples * codec->channels) {
        return DV_ERR_FRAME_SIZE;
    }
    if (out_cap < DV_ENCODE_MAX_BYTES) {
        return DV_ERR_CAPACITY;
    }
    struct sending *sending = &codec->sending;
    if (codec->channels > CHANNELS) {
        mix_down(pcm, sending->pcm, samples);
        pcm = sending->pcm;
    }
    pcm = condition(&sending->gain, &sending->meter, &sending->level, pcm, sending->pcm, samples);

    const struct dv_packet_header header = {.stream_id = stream_id, .packet_id = packet_id};
    const int32_t header_len = dv_packet_write_header(&header, sending->packet, sizeof sending->packet);
    uint8_t *payload = sending->packet + header_len;
    const opus_int32 payload_cap = (opus_int32)sizeof sending->packet - header_len;
    const opus_int32 opus_len = codec->frames_per_packet == 1
                                    ? opus_encode(encoder_of(codec), pcm, (int)samples, payload, payload_cap)
                                    : encode_frames(codec, pcm, payload, payload_cap);
    if (opus_len <= 0) {
        return DV_ERR_OPUS;
    }
    memcpy(out, sending->packet, (size_t)(header_len + opus_len));
    return header_len + opus_len;
}

/* Hand over what the decoder has just written. */
static int32_t give_heard(struct dv_codec *codec, int samples, int16_t *pcm)
{
    struct hearing *hearing = &codec->hearing;
    const int16_t *heard = condition(&hearing->gain, &hearing->meter, &hearing->level, hearing->pcm, hearing->pcm,
                                     (size_t)samples);
    memcpy(pcm, heard, (size_t)samples * sizeof *pcm);
    return samples;
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
    const int samples = opus_decode(decoder_of(codec), packet.payload, payload_len, codec->hearing.pcm,
                                    DV_DECODE_MAX_SAMPLES, 0);
    if (samples == OPUS_INVALID_PACKET) {
        return DV_ERR_PAYLOAD;
    }
    if (samples != expected) {
        return DV_ERR_OPUS;
    }
    *header = packet.header;
    return give_heard(codec, samples, pcm);
}

int32_t dv_codec_conceal(struct dv_codec *codec, uint32_t duration_us, int16_t *pcm, size_t pcm_cap_samples)
{
    if (codec == NULL || pcm == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_codec(codec)) {
        return DV_ERR_UNINITIALISED;
    }
    if (duration_us == 0 || duration_us > PACKET_MAX_US || duration_us % CONCEAL_STEP_US != 0) {
        return DV_ERR_FRAME_SIZE;
    }
    const uint32_t wanted = codec->sample_rate_hz / 400 * (duration_us / CONCEAL_STEP_US);
    if (wanted > pcm_cap_samples) {
        return DV_ERR_CAPACITY;
    }
    const int samples = opus_decode(decoder_of(codec), NULL, 0, codec->hearing.pcm, (int)wanted, 0);
    if (samples != (int)wanted) {
        return DV_ERR_OPUS;
    }
    return give_heard(codec, samples, pcm);
}

enum dv_status dv_codec_reset_decoder(struct dv_codec *codec)
{
    if (codec == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_codec(codec)) {
        return DV_ERR_UNINITIALISED;
    }
    if (opus_decoder_ctl(decoder_of(codec), OPUS_RESET_STATE) != OPUS_OK) {
        return DV_ERR_OPUS;
    }
    struct hearing *hearing = &codec->hearing;
    (void)dv_gain_reset(&hearing->gain);
    (void)dv_meter_init(&hearing->meter, codec->sample_rate_hz);
    memset(&hearing->level, 0, sizeof hearing->level);
    return DV_OK;
}

static enum dv_status give_level(const struct dv_codec *codec, const struct dv_level *level, struct dv_level *out)
{
    if (!is_codec(codec)) {
        return DV_ERR_UNINITIALISED;
    }
    *out = *level;
    return DV_OK;
}

enum dv_status dv_codec_sent_level(const struct dv_codec *codec, struct dv_level *out)
{
    return codec == NULL || out == NULL ? DV_ERR_ARGUMENT : give_level(codec, &codec->sending.level, out);
}

enum dv_status dv_codec_heard_level(const struct dv_codec *codec, struct dv_level *out)
{
    return codec == NULL || out == NULL ? DV_ERR_ARGUMENT : give_level(codec, &codec->hearing.level, out);
}
