/* Fuzz target: the life of a codec, with any packets. The decoder remembers, and so do limiter and meter.
 *
 * Input: one byte that chooses the sample rate, then records that begin with
 *     u8 operation    what to do, modulo OPERATIONS
 *     u8 capacity     PCM capacity in units of 1/255 of the longest packet (255: always enough)
 *     u16 number      big-endian
 * and, for DECODE, go on with `number` bytes of the packet, cut to what is left. Elsewhere the number is an
 * argument: the duration to conceal, the settings to take, the loudness to encode.
 * The truth it holds the codec to: a documented status or 1..capacity samples, nothing else; on a status the
 * outputs are untouched; no byte and no sample beyond either end; no sample beyond the ceiling; a level that
 * tells of the samples. */
#include "dv_voice.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 32, RECORD_HEADER = 4, CANARY = 0xA5, FRAME_US = 20000 };
enum { DECODE, CONCEAL, RESET, CONFIGURE, ENCODE, OPERATIONS };

static void require(int holds)
{
    if (!holds) {
        abort();
    }
}

static int is_documented(int32_t status)
{
    return status == DV_ERR_TOO_SHORT || status == DV_ERR_TOO_LONG || status == DV_ERR_TYPE ||
           status == DV_ERR_PAYLOAD || status == DV_ERR_CAPACITY;
}

static void require_heard(const struct dv_codec *codec, const int16_t *pcm, int32_t samples)
{
    struct dv_level level;
    uint32_t peak = 0;
    for (int32_t i = 0; i < samples; i++) {
        const uint32_t distance = (uint32_t)(pcm[i] < 0 ? -pcm[i] : pcm[i]);
        peak = distance > peak ? distance : peak;
    }
    require(peak <= DV_CEILING);
    require(dv_codec_heard_level(codec, &level) == DV_OK);
    require(level.peak == peak && level.mean_square >= 0.0f && level.mean_square <= 1.0f && level.voice <= 1);
}

static void decode(struct dv_codec *codec, const uint8_t *bytes, size_t len, size_t pcm_cap)
{
    /* Exact allocations, so that the sanitizer sees one byte, or one sample, too far. */
    const size_t pcm_bytes = pcm_cap * sizeof(int16_t);
    uint8_t *in = malloc(len == 0 ? 1 : len);
    int16_t *pcm = malloc(pcm_bytes == 0 ? 1 : pcm_bytes);
    int16_t *untouched = malloc(pcm_bytes == 0 ? 1 : pcm_bytes);
    require(in != NULL && pcm != NULL && untouched != NULL);
    if (len > 0) {
        memcpy(in, bytes, len);
    }
    memset(pcm, CANARY, pcm_bytes);
    memset(untouched, CANARY, pcm_bytes);
    struct dv_packet_header header;
    struct dv_packet_header no_header;
    memset(&header, CANARY, sizeof header);
    memset(&no_header, CANARY, sizeof no_header);

    const int32_t result = dv_codec_decode_packet(codec, in, len, &header, pcm, pcm_cap);
    if (result < 0) {
        require(is_documented(result));
        require(memcmp(pcm, untouched, pcm_bytes) == 0);
        require(memcmp(&header, &no_header, sizeof header) == 0);
    } else {
        struct dv_packet packet;
        require(result > 0 && (size_t)result <= pcm_cap);
        require(dv_packet_parse(in, len, &packet) == DV_OK);
        require(memcmp(&header, &packet.header, sizeof header) == 0);
        require_heard(codec, pcm, result);
    }
    free(untouched);
    free(pcm);
    free(in);
}

/* A number up to 49 is a duration of Opus or one just beyond, any other number is taken as it is. */
static void conceal(struct dv_codec *codec, uint32_t rate_hz, uint32_t number, size_t pcm_cap)
{
    const uint32_t duration_us = number < 50 ? number * 2500u : number;
    int16_t *pcm = malloc(pcm_cap == 0 ? 1 : pcm_cap * sizeof *pcm);
    require(pcm != NULL);
    const int32_t result = dv_codec_conceal(codec, duration_us, pcm, pcm_cap);
    if (duration_us == 0 || duration_us > 120000 || duration_us % 2500 != 0) {
        require(result == DV_ERR_FRAME_SIZE);
    } else if (rate_hz / 400 * (duration_us / 2500) > pcm_cap) {
        require(result == DV_ERR_CAPACITY);
    } else {
        require(result == (int32_t)(rate_hz / 400 * (duration_us / 2500)));
        require_heard(codec, pcm, result);
    }
    free(pcm);
}

static void configure(struct dv_codec *codec, uint32_t number)
{
    const struct dv_codec_settings settings = {
        .bitrate_bps = (number & 0xFFu) * 1200u,
        .complexity = number % 3u,
        .signal = number & 0x100u ? DV_SIGNAL_VOICE : DV_SIGNAL_AUTO,
        .send_gain_tenths_db = (int32_t)(number % 900u) - 450,
        .receive_gain_tenths_db = (int32_t)(number / 256u * 4u) - 450,
    };
    const int sound = (settings.bitrate_bps == 0 || settings.bitrate_bps >= 6000) && settings.bitrate_bps <= 300000 &&
                      abs(settings.send_gain_tenths_db) <= 400 && abs(settings.receive_gain_tenths_db) <= 400;
    require(dv_codec_configure(codec, &settings) == (sound ? DV_OK : DV_ERR_ARGUMENT));
}

/* A pattern as loud as the number says, through the encoder and back in. */
static void encode(struct dv_codec *codec, uint32_t rate_hz, uint32_t number)
{
    const size_t samples = rate_hz / 50;
    int16_t *pcm = malloc(samples * sizeof *pcm);
    uint8_t *out = malloc(DV_ENCODE_MAX_BYTES);
    require(pcm != NULL && out != NULL);
    for (size_t i = 0; i < samples; i++) {
        pcm[i] = (int16_t)((int32_t)((i * 2654435761u) % (2u * number + 1u)) - (int32_t)(number > 32767 ? 32767 : number));
    }
    const int32_t len = dv_codec_encode_packet(codec, number, 1, pcm, samples, out, DV_ENCODE_MAX_BYTES);
    struct dv_level level;
    require(len >= DV_PACKET_MIN_BYTES && len <= DV_ENCODE_MAX_BYTES);
    require(dv_codec_sent_level(codec, &level) == DV_OK && level.peak <= DV_CEILING);
    decode(codec, out, (size_t)len, rate_hz / 25 * 3);
    free(out);
    free(pcm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rates_hz[] = {8000, 12000, 16000, 24000, 48000};
    if (size == 0) {
        return 0;
    }
    const uint32_t rate_hz = rates_hz[data[0] % (sizeof rates_hz / sizeof rates_hz[0])];
    const size_t longest = rate_hz / 25 * 3;
    data++;
    size--;

    const size_t block_size = (dv_codec_size() + DV_CODEC_ALIGN - 1) / DV_CODEC_ALIGN * DV_CODEC_ALIGN;
    struct dv_codec *codec = aligned_alloc(DV_CODEC_ALIGN, block_size);
    require(codec != NULL);
    require(dv_codec_init(codec, block_size, rate_hz, FRAME_US, 1, 1, NULL) == DV_OK);
    for (int record = 0; record < RECORDS_MAX && size >= RECORD_HEADER; record++) {
        const int operation = data[0] % OPERATIONS;
        const size_t pcm_cap = longest * data[1] / 255;
        const uint32_t number = ((uint32_t)data[2] << 8) | data[3];
        data += RECORD_HEADER;
        size -= RECORD_HEADER;
        switch (operation) {
        case DECODE: {
            const size_t len = number > size ? size : number;
            decode(codec, data, len, pcm_cap);
            data += len;
            size -= len;
            break;
        }
        case CONCEAL:
            conceal(codec, rate_hz, number, pcm_cap);
            break;
        case RESET:
            require(dv_codec_reset_decoder(codec) == DV_OK);
            break;
        case CONFIGURE:
            configure(codec, number);
            break;
        default:
            encode(codec, rate_hz, number);
            break;
        }
    }
    free(codec);
    return 0;
}
