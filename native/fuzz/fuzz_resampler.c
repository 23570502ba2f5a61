/* Fuzz target: a resampler through any lengths and drifts, and what comes out through gain and meter.
 *
 * Input: u8 and u8 that choose the two rates, u16 of the sound, then records of
 *     u8 drift    in steps of a hundredth of the range, around 128; beyond it, it must be refused
 *     u16 samples big-endian, how many go in
 * The truth it holds the resampler to: never more than output_max, and over all calls what the ratio says,
 * between the slowest and the fastest drift; outputs untouched when the capacity is too small; the same
 * sound however it is cut; nothing beyond the ceiling behind a gain of 20 dB. */
#include "dv_voice.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 12, RECORD_HEADER = 3, HEAD = 4, RATES = 16, IN_MAX_SAMPLES = 2000, OUT_MAX_SAMPLES = 6000 };

static void require(int holds)
{
    if (!holds) {
        abort();
    }
}

static void *new_block(size_t size)
{
    void *block = aligned_alloc(DV_CODEC_ALIGN, (size + DV_CODEC_ALIGN - 1) / DV_CODEC_ALIGN * DV_CODEC_ALIGN);
    require(block != NULL);
    return block;
}

/* A fresh resampler. Filling the filter takes longer than all the rest, so each pair of rates is made once. */
static struct dv_resampler *new_resampler(size_t in_index, size_t out_index, uint32_t rate_in, uint32_t rate_out)
{
    static void *pristine[RATES][RATES];
    const size_t size = dv_resampler_size(rate_in, rate_out);
    if (pristine[in_index][out_index] == NULL) {
        pristine[in_index][out_index] = new_block(size);
        require(dv_resampler_init(pristine[in_index][out_index], size, rate_in, rate_out) == DV_OK);
    }
    void *block = new_block(size);
    memcpy(block, pristine[in_index][out_index], size);
    return block;
}

/* Resample into memory of exactly the size asked for; returns the samples, and the sound in *out. */
static size_t resample(struct dv_resampler *resampler, const int16_t *pcm, size_t samples, int16_t **out)
{
    int16_t *in = malloc(samples == 0 ? 1 : samples * sizeof *in);
    const int32_t most = dv_resampler_output_max(resampler, samples);
    require(in != NULL && most > 0);
    if (samples > 0) {
        memcpy(in, pcm, samples * sizeof *in);
    }
    *out = malloc((size_t)most * sizeof **out);
    require(*out != NULL);
    memset(*out, 0xA5, (size_t)most * sizeof **out);
    require(dv_resampler_process(resampler, in, samples, *out, (size_t)most - 1) == DV_ERR_CAPACITY);
    for (int32_t i = 0; i < most; i++) {
        require((*out)[i] == (int16_t)0xA5A5);
    }
    const int32_t written = dv_resampler_process(resampler, in, samples, *out, (size_t)most);
    require(written >= 0 && written <= most);
    free(in);
    return (size_t)written;
}

static void amplify_and_measure(struct dv_gain *gain, struct dv_meter *meter, int16_t *pcm, size_t samples)
{
    struct dv_level level;
    require(dv_gain_apply(gain, pcm, pcm, samples) == DV_OK);
    if (samples == 0) {
        require(dv_meter_measure(meter, pcm, samples, &level) == DV_ERR_ARGUMENT);
        return;
    }
    require(dv_meter_measure(meter, pcm, samples, &level) == DV_OK);
    require(level.peak <= DV_CEILING && level.mean_square >= 0.0f && level.mean_square < 1.0f && level.voice <= 1);
    require(dv_level_rms_dbfs(&level) >= -96.0 && dv_level_rms_dbfs(&level) <= dv_level_peak_dbfs(&level) + 0.01);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rates_hz[RATES] = {8000,  11025, 12000, 16000, 22050,  24000,  32000,  44100,
                                        48000, 8001,  65537, 88200, 96000, 191999, 192000, 176400};
    static int16_t pcm[IN_MAX_SAMPLES];
    if (size < HEAD) {
        return 0;
    }
    const size_t in_index = data[0] % RATES;
    const size_t out_index = data[1] % RATES;
    const uint32_t rate_in = rates_hz[in_index];
    const uint32_t rate_out = rates_hz[out_index];
    uint32_t noise = ((uint32_t)data[2] << 8) | data[3];
    data += HEAD;
    size -= HEAD;

    const size_t block_size = dv_resampler_size(rate_in, rate_out);
    struct dv_resampler *resampler = new_resampler(in_index, out_index, rate_in, rate_out);
    struct dv_gain gain;
    struct dv_meter meter;
    require(dv_gain_init(&gain, rate_out, 200) == DV_OK && dv_meter_init(&meter, rate_out) == DV_OK);
    size_t total_in = 0;
    size_t total_out = 0;
    for (int record = 0; record < RECORDS_MAX && size >= RECORD_HEADER && total_out < OUT_MAX_SAMPLES; record++) {
        const int32_t drift_ppb = ((int32_t)data[0] - 128) * (DV_DRIFT_MAX_PPB / 100);
        size_t samples = (((size_t)data[1] << 8) | data[2]) % (IN_MAX_SAMPLES + 1);
        if (rate_out > rate_in) { /* not many times more on the way up */
            samples = samples * rate_in / rate_out;
        }
        data += RECORD_HEADER;
        size -= RECORD_HEADER;
        require(dv_resampler_set_drift(resampler, drift_ppb) ==
                (abs(drift_ppb) <= DV_DRIFT_MAX_PPB ? DV_OK : DV_ERR_ARGUMENT));
        for (size_t i = 0; i < samples; i++) {
            noise = noise * 1664525u + 1013904223u;
            pcm[i] = (int16_t)((int32_t)(noise >> 16) - 32768);
        }
        struct dv_resampler *twin = new_block(block_size); /* hears the same in two halves */
        memcpy(twin, resampler, block_size);
        int16_t *out;
        int16_t *first;
        int16_t *second;
        const size_t written = resample(resampler, pcm, samples, &out);
        const size_t half = resample(twin, pcm, samples / 2, &first);
        const size_t rest = resample(twin, pcm + samples / 2, samples - samples / 2, &second);
        require(half + rest == written);
        require(memcmp(out, first, half * sizeof *out) == 0 && memcmp(out + half, second, rest * sizeof *out) == 0);
        total_in += samples;
        total_out += written;
        amplify_and_measure(&gain, &meter, out, written);
        free(second);
        free(first);
        free(out);
        free(twin);
    }
    const double nominal = (double)total_in * rate_out / rate_in;
    require((double)total_out >= nominal / 1.0101 - 2.0 && (double)total_out <= nominal / 0.9899 + 2.0);
    free(resampler);
    return 0;
}
