/* Gain with a limiter. The sound is cut into runs of a millisecond; at each border between two runs there is
 * one gain, and it moves in a straight line from border to border. A run's own peak bounds the gain at both
 * of its borders, so it bounds the line between them. */
#include "dv_voice.h"

#include <math.h>
#include <string.h>

static const uint32_t GAIN_MAGIC = 0x64766741u;
static const float CEILING = DV_CEILING;
static const float ARRIVED = 1e-3f; /* so near to the wanted gain, 0.01 dB, the last step is taken at once */

enum { RUNS_PER_SECOND = 1000, RELEASE_RUNS = 100 };

static int is_gain(int32_t gain_tenths_db)
{
    return gain_tenths_db >= DV_GAIN_MIN_TENTHS_DB && gain_tenths_db <= DV_GAIN_MAX_TENTHS_DB;
}

static void want(struct dv_gain *gain, int32_t gain_tenths_db)
{
    gain->wanted = gain_tenths_db == 0 ? 1.0f : (float)pow(10.0, gain_tenths_db / 200.0);
}

static void note_rest(struct dv_gain *gain)
{
    gain->at_rest = gain->wanted >= 1.0f && gain->wanted <= 1.0f && gain->now >= 1.0f;
}

enum dv_status dv_gain_init(struct dv_gain *gain, uint32_t sample_rate_hz, int32_t gain_tenths_db)
{
    if (gain == NULL || !is_gain(gain_tenths_db)) {
        return DV_ERR_ARGUMENT;
    }
    if (sample_rate_hz < DV_RATE_MIN_HZ || sample_rate_hz > DV_RATE_MAX_HZ) {
        return DV_ERR_SAMPLE_RATE;
    }
    memset(gain, 0, sizeof *gain);
    gain->run_samples = sample_rate_hz / RUNS_PER_SECOND;
    gain->release = 1.0f - (float)exp(-1.0 / RELEASE_RUNS);
    want(gain, gain_tenths_db);
    gain->now = gain->wanted;
    note_rest(gain);
    gain->magic = GAIN_MAGIC;
    return DV_OK;
}

enum dv_status dv_gain_set(struct dv_gain *gain, int32_t gain_tenths_db)
{
    if (gain == NULL || !is_gain(gain_tenths_db)) {
        return DV_ERR_ARGUMENT;
    }
    if (gain->magic != GAIN_MAGIC) {
        return DV_ERR_UNINITIALISED;
    }
    want(gain, gain_tenths_db);
    note_rest(gain);
    return DV_OK;
}

enum dv_status dv_gain_reset(struct dv_gain *gain)
{
    if (gain == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (gain->magic != GAIN_MAGIC) {
        return DV_ERR_UNINITIALISED;
    }
    gain->now = gain->wanted;
    note_rest(gain);
    return DV_OK;
}

static int32_t peak_of(const int16_t *pcm, size_t samples)
{
    int32_t low = 0;
    int32_t high = 0;
    for (size_t i = 0; i < samples; i++) {
        low = pcm[i] < low ? pcm[i] : low;
        high = pcm[i] > high ? pcm[i] : high;
    }
    return -low > high ? -low : high;
}

/* The most that a run may be amplified by: the wanted gain, or less. */
static float allowed(const struct dv_gain *gain, const int16_t *pcm, size_t samples)
{
    const float peak = (float)peak_of(pcm, samples);
    return peak * gain->wanted > CEILING ? CEILING / peak : gain->wanted;
}

static void amplify(const int16_t *in, int16_t *out, size_t samples, float from, float to)
{
    const float step = (to - from) / (float)samples;
    for (size_t i = 0; i < samples; i++) {
        float value = (float)in[i] * (from + step * (float)(i + 1));
        /* Only for the start of a call, whose peak came too soon for a ramp; and for the last bit of a float. */
        value = value > CEILING ? CEILING : value;
        value = value < -CEILING ? -CEILING : value;
        out[i] = (int16_t)(value < 0 ? value - 0.5f : value + 0.5f);
    }
}

enum dv_status dv_gain_apply(struct dv_gain *gain, const int16_t *in, int16_t *out, size_t samples)
{
    if (gain == NULL || in == NULL || out == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (gain->magic != GAIN_MAGIC) {
        return DV_ERR_UNINITIALISED;
    }
    if (samples > DV_PCM_MAX_SAMPLES) {
        return DV_ERR_TOO_LONG;
    }
    if (gain->at_rest && peak_of(in, samples) <= DV_CEILING) {
        if (in != out && samples > 0) {
            memcpy(out, in, samples * sizeof *out);
        }
        return DV_OK;
    }
    size_t run = samples < gain->run_samples ? samples : gain->run_samples;
    float bound = allowed(gain, in, run);
    for (size_t at = 0; at < samples;) {
        const size_t next_at = at + run;
        const size_t left = samples - next_at;
        const size_t next = left < gain->run_samples ? left : gain->run_samples;
        const float next_bound = next > 0 ? allowed(gain, in + next_at, next) : bound;
        const float share = (float)run / (float)gain->run_samples;
        float to = gain->now + (gain->wanted - gain->now) * gain->release * share;
        if (to > gain->wanted * (1.0f - ARRIVED)) {
            to = gain->wanted;
        }
        to = bound < to ? bound : to;
        to = next_bound < to ? next_bound : to;
        amplify(in + at, out + at, run, gain->now, to);
        gain->now = to;
        at = next_at;
        run = next;
        bound = next_bound;
    }
    note_rest(gain);
    return DV_OK;
}
