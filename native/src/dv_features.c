/* What the libopus at hand can do. Its version alone does not tell, for much is chosen when it is built, and
 * the header this was compiled with may be older than the library it runs with. */
#include "dv_voice.h"

#include <opus.h>
#include <string.h>

/* libopus 1.5's name for it is not in the headers of 1.3; a request that is not known is refused. */
enum { SET_DRED_DURATION = 4050 };
enum { RATE_HZ = 16000, SAMPLES = 320, PACKETS = 12, PACKET_CAP = 400, DEEP_PLC_COMPLEXITY = 5 };

#define ALIGNED(size) (((size) + (DV_CODEC_ALIGN - 1)) / DV_CODEC_ALIGN * DV_CODEC_ALIGN)

/* A buzz with a pitch of 125 Hz, voiced enough for any concealment to carry on with. */
static void write_buzz(int16_t *pcm)
{
    for (int i = 0; i < SAMPLES; i++) {
        pcm[i] = (int16_t)((i % 128) * 100 - 6350);
    }
}

/* Speak for a quarter of a second, lose a packet, and see what the decoder makes of it at this complexity.
 * Returns 0 if it could not be done. */
static int conceal_at(OpusEncoder *encoder, OpusDecoder *decoder, opus_int32 complexity, int16_t *pcm)
{
    if (opus_encoder_init(encoder, RATE_HZ, 1, OPUS_APPLICATION_VOIP) != OPUS_OK ||
        opus_decoder_init(decoder, RATE_HZ, 1) != OPUS_OK ||
        opus_decoder_ctl(decoder, OPUS_SET_COMPLEXITY(complexity)) != OPUS_OK) {
        return 0;
    }
    unsigned char packet[PACKET_CAP];
    for (int n = 0; n < PACKETS; n++) {
        write_buzz(pcm);
        const opus_int32 len = opus_encode(encoder, pcm, SAMPLES, packet, PACKET_CAP);
        if (len <= 0 || opus_decode(decoder, packet, len, pcm, SAMPLES, 0) != SAMPLES) {
            return 0;
        }
    }
    return opus_decode(decoder, NULL, 0, pcm, SAMPLES, 0) == SAMPLES;
}

enum dv_status dv_features_probe(void *mem, size_t cap, struct dv_features *out)
{
    if (mem == NULL || out == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if ((uintptr_t)mem % DV_CODEC_ALIGN != 0) {
        return DV_ERR_ALIGNMENT;
    }
    if (cap < dv_codec_size()) {
        return DV_ERR_CAPACITY;
    }
    OpusEncoder *encoder = mem;
    OpusDecoder *decoder = (OpusDecoder *)(void *)((unsigned char *)mem + ALIGNED((size_t)opus_encoder_get_size(1)));
    if (opus_encoder_init(encoder, RATE_HZ, 1, OPUS_APPLICATION_VOIP) != OPUS_OK) {
        return DV_ERR_OPUS;
    }
    struct dv_features found = {.version = opus_get_version_string()};
    found.in_band_fec = opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(1)) == OPUS_OK;
    found.dtx = opus_encoder_ctl(encoder, OPUS_SET_DTX(1)) == OPUS_OK;
    found.dred = opus_encoder_ctl(encoder, SET_DRED_DURATION, (opus_int32)10) == OPUS_OK;
    int16_t plain[SAMPLES];
    int16_t deep[SAMPLES];
    /* A network makes up another sound than a formula does; without one, complexity changes nothing. */
    found.deep_plc = conceal_at(encoder, decoder, 0, plain) &&
                     conceal_at(encoder, decoder, DEEP_PLC_COMPLEXITY, deep) &&
                     memcmp(plain, deep, sizeof plain) != 0;
    *out = found;
    return DV_OK;
}
