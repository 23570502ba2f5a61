/* Fuzz target: dv_codec_decode_packet on a sequence of packets, for the decoder remembers.
 *
 * Input: one byte that chooses the sample rate, then records of
 *     u8 capacity     PCM capacity in units of 1/255 of the longest packet (255: always enough)
 *     u16 length      big-endian; cut to what is left
 *     bytes           the packet
 * The truth it holds the decoder to: a documented status or 1..capacity samples, nothing else; on a
 * status the outputs are untouched; no byte and no sample beyond either end. */
#include "dv_voice.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 32, RECORD_HEADER = 3, CANARY = 0xA5 };

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
    }
    free(untouched);
    free(pcm);
    free(in);
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
    require(dv_codec_init(codec, block_size, rate_hz, 20000, NULL) == DV_OK);
    for (int record = 0; record < RECORDS_MAX && size >= RECORD_HEADER; record++) {
        const size_t pcm_cap = longest * data[0] / 255;
        size_t len = ((size_t)data[1] << 8) | data[2];
        data += RECORD_HEADER;
        size -= RECORD_HEADER;
        if (len > size) {
            len = size;
        }
        decode(codec, data, len, pcm_cap);
        data += len;
        size -= len;
    }
    free(codec);
    return 0;
}
