/* A resampler: one low-pass, sampled at many sub-sample shifts ("phases"), in between which the shift that is
 * needed is interpolated. The position in the input is a fixed-point number, so that nothing adds up over days. */
#include "dv_voice.h"

#include <math.h>
#include <string.h>

/* The block: struct dv_resampler, then the filter of (phases + 1) rows of `taps`, then the history.
 *
 * `at` is where the window of the next output begins in the history. The history starts as silence, one
 * sample short of a window, so that the first sample in gives the first one out. */
struct dv_resampler {
    uint32_t magic;
    uint32_t taps;
    uint32_t phases;
    uint32_t rate_in_hz;
    uint32_t rate_out_hz;
    uint64_t nominal; /* samples of input per sample of output; this and the next three in units of 2^-40 */
    uint64_t wanted;
    uint64_t step;
    uint64_t slew;
    uint64_t at;
    size_t filled;
};

static const uint32_t RESAMPLER_MAGIC = 0x64765265u;

enum {
    FRACTION_BITS = 40,
    PHASE_BITS = 20,       /* of the fraction, what is left below the phase for interpolating */
    LOBES = 24,            /* zero crossings of the sinc on either side */
    PHASES = 128,          /* per sample of the lower rate: -80 dB of interpolation error */
    PHASES_MIN = 8,
    CHUNK = 512,           /* samples of input between two moves of the history */
    GLIDES_PER_SECOND = 10 /* of the whole drift */
};
static const uint64_t FRACTION_ONE = (uint64_t)1 << FRACTION_BITS;
static const double PI = 3.14159265358979323846;
static const double KAISER_BETA = 6.76;  /* 70 dB */
static const double PASS_SHARE = 0.94;   /* the middle of the slope, as a share of half the lower rate */
static const double DRIFT_MAX = 0.01;

#define ALIGNED(size) (((size) + (DV_CODEC_ALIGN - 1)) / DV_CODEC_ALIGN * DV_CODEC_ALIGN)
#define FILTER_AT ALIGNED(sizeof(struct dv_resampler))

static int is_rate(uint32_t rate_hz)
{
    return rate_hz >= DV_RATE_MIN_HZ && rate_hz <= DV_RATE_MAX_HZ;
}

/* Going down, the filter is as much longer as the output is slower, and needs as many fewer phases. */
static uint32_t taps_for(uint32_t rate_in_hz, uint32_t rate_out_hz)
{
    const uint32_t up = rate_in_hz > rate_out_hz ? rate_in_hz : rate_out_hz;
    const uint32_t half = (LOBES * up + rate_out_hz - 1) / rate_out_hz;
    return (2 * half + 3) / 4 * 4;
}

static uint32_t phases_for(uint32_t rate_in_hz, uint32_t rate_out_hz)
{
    if (rate_in_hz <= rate_out_hz) {
        return PHASES;
    }
    const uint32_t phases = (uint32_t)((uint64_t)PHASES * rate_out_hz / rate_in_hz) + 1;
    return phases < PHASES_MIN ? PHASES_MIN : phases;
}

static size_t filter_bytes(uint32_t taps, uint32_t phases)
{
    return ALIGNED((size_t)taps * (phases + 1) * sizeof(float));
}

static float *filter_of(struct dv_resampler *resampler)
{
    return (float *)(void *)((unsigned char *)resampler + FILTER_AT);
}

static float *history_of(struct dv_resampler *resampler)
{
    return (float *)(void *)((unsigned char *)resampler + FILTER_AT +
                             filter_bytes(resampler->taps, resampler->phases));
}

static size_t history_cap(const struct dv_resampler *resampler)
{
    return (size_t)resampler->taps + CHUNK;
}

static int is_resampler(const struct dv_resampler *resampler)
{
    return (uintptr_t)resampler % DV_CODEC_ALIGN == 0 && resampler->magic == RESAMPLER_MAGIC;
}

size_t dv_resampler_size(uint32_t rate_in_hz, uint32_t rate_out_hz)
{
    if (!is_rate(rate_in_hz) || !is_rate(rate_out_hz)) {
        return 0;
    }
    const uint32_t taps = taps_for(rate_in_hz, rate_out_hz);
    return FILTER_AT + filter_bytes(taps, phases_for(rate_in_hz, rate_out_hz)) +
           ALIGNED(((size_t)taps + CHUNK) * sizeof(float));
}

/* The modified Bessel function of order zero, by its series: the Kaiser window is made of it. */
static double bessel_i0(double x)
{
    double term = 1.0;
    double sum = 1.0;
    for (int k = 1; k < 40; k++) {
        term *= (x / (2.0 * k)) * (x / (2.0 * k));
        sum += term;
    }
    return sum;
}

static void fill_filter(float *filter, uint32_t taps, uint32_t phases, double cutoff)
{
    const double half = taps / 2.0;
    for (uint32_t phase = 0; phase <= phases; phase++) {
        float *row = filter + (size_t)phase * taps;
        double sum = 0.0;
        for (uint32_t k = 0; k < taps; k++) {
            const double t = (double)k - (half - 1.0) - (double)phase / phases;
            const double edge = 1.0 - (t / half) * (t / half);
            const double window = edge > 0.0 ? bessel_i0(KAISER_BETA * sqrt(edge)) : 1.0;
            const double angle = 2.0 * PI * cutoff * t;
            const double value = (fabs(t) < 1e-9 ? 1.0 : sin(angle) / angle) * window;
            row[k] = (float)value;
            sum += value;
        }
        for (uint32_t k = 0; k < taps; k++) { /* every phase passes a constant at the same level */
            row[k] = (float)((double)row[k] / sum);
        }
    }
}

enum dv_status dv_resampler_init(void *mem, size_t cap, uint32_t rate_in_hz, uint32_t rate_out_hz)
{
    if (mem == NULL) {
        return DV_ERR_ARGUMENT;
    }
    const size_t size = dv_resampler_size(rate_in_hz, rate_out_hz);
    if (size == 0) {
        return DV_ERR_SAMPLE_RATE;
    }
    if ((uintptr_t)mem % DV_CODEC_ALIGN != 0) {
        return DV_ERR_ALIGNMENT;
    }
    if (cap < size) {
        return DV_ERR_CAPACITY;
    }
    memset(mem, 0, size);
    struct dv_resampler *resampler = mem;
    resampler->taps = taps_for(rate_in_hz, rate_out_hz);
    resampler->phases = phases_for(rate_in_hz, rate_out_hz);
    resampler->rate_in_hz = rate_in_hz;
    resampler->rate_out_hz = rate_out_hz;
    /* Rounded up: what is a whole number of samples at both rates gives just these, and not one too soon. */
    resampler->nominal = (((uint64_t)rate_in_hz << FRACTION_BITS) + rate_out_hz - 1) / rate_out_hz;
    resampler->wanted = resampler->nominal;
    resampler->step = resampler->nominal;
    resampler->slew =
        (uint64_t)((double)resampler->nominal * DRIFT_MAX * GLIDES_PER_SECOND / (double)rate_out_hz) + 1;
    resampler->filled = resampler->taps - 1;
    const double lower = rate_in_hz > rate_out_hz ? (double)rate_out_hz / rate_in_hz : 1.0;
    fill_filter(filter_of(resampler), resampler->taps, resampler->phases, 0.5 * PASS_SHARE * lower);
    resampler->magic = RESAMPLER_MAGIC;
    return DV_OK;
}

int32_t dv_resampler_delay_samples(const struct dv_resampler *resampler)
{
    if (resampler == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_resampler(resampler)) {
        return DV_ERR_UNINITIALISED;
    }
    const uint64_t doubled = (uint64_t)resampler->taps * resampler->rate_out_hz / resampler->rate_in_hz;
    return (int32_t)((doubled + 1) / 2);
}

enum dv_status dv_resampler_set_drift(struct dv_resampler *resampler, int32_t drift_ppb)
{
    if (resampler == NULL || drift_ppb < -DV_DRIFT_MAX_PPB || drift_ppb > DV_DRIFT_MAX_PPB) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_resampler(resampler)) {
        return DV_ERR_UNINITIALISED;
    }
    const double change = (double)resampler->nominal * (drift_ppb * 1e-9);
    resampler->wanted = (uint64_t)((int64_t)resampler->nominal + (int64_t)change);
    return DV_OK;
}

int32_t dv_resampler_output_max(const struct dv_resampler *resampler, size_t in_samples)
{
    if (resampler == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (!is_resampler(resampler)) {
        return DV_ERR_UNINITIALISED;
    }
    if (in_samples > DV_PCM_MAX_SAMPLES) {
        return DV_ERR_TOO_LONG;
    }
    /* At the slowest drift; one more for the fraction, one for the rounding of the step. */
    const uint64_t most = (uint64_t)in_samples * resampler->rate_out_hz * 100 / (resampler->rate_in_hz * (uint64_t)99);
    return (int32_t)(most + 2);
}

/* The sound at one window of the history, shifted by a fraction of a sample. Four sums, not one, for the
 * compiler may not reorder a sum of floats by itself. */
static float value_at(const float *window, const float *filter, uint32_t taps, uint32_t phases, uint64_t fraction)
{
    const uint64_t scaled = (fraction >> PHASE_BITS) * phases; /* the phase, and 20 bits below it */
    const float *row = filter + (size_t)(scaled >> PHASE_BITS) * taps;
    const float between = (float)(scaled & (((uint64_t)1 << PHASE_BITS) - 1)) / (float)(1 << PHASE_BITS);
    float before[4] = {0};
    float after[4] = {0};
    for (uint32_t k = 0; k < taps; k += 4) {
        for (uint32_t j = 0; j < 4; j++) {
            before[j] += window[k + j] * row[k + j];
            after[j] += window[k + j] * row[taps + k + j];
        }
    }
    const float first = (before[0] + before[1]) + (before[2] + before[3]);
    const float second = (after[0] + after[1]) + (after[2] + after[3]);
    return first + (second - first) * between;
}

static int16_t to_sample(float value)
{
    if (value >= 32767.0f) {
        return 32767;
    }
    if (value <= -32768.0f) {
        return -32768;
    }
    return (int16_t)(value < 0 ? value - 0.5f : value + 0.5f);
}

static void glide(struct dv_resampler *resampler)
{
    if (resampler->step < resampler->wanted) {
        const uint64_t gap = resampler->wanted - resampler->step;
        resampler->step += gap < resampler->slew ? gap : resampler->slew;
    } else if (resampler->step > resampler->wanted) {
        const uint64_t gap = resampler->step - resampler->wanted;
        resampler->step -= gap < resampler->slew ? gap : resampler->slew;
    }
}

int32_t dv_resampler_process(struct dv_resampler *resampler, const int16_t *in, size_t in_samples, int16_t *out,
                             size_t out_cap_samples)
{
    if (resampler == NULL || in == NULL || out == NULL) {
        return DV_ERR_ARGUMENT;
    }
    const int32_t most = dv_resampler_output_max(resampler, in_samples);
    if (most < 0) {
        return most;
    }
    if (out_cap_samples < (size_t)most) {
        return DV_ERR_CAPACITY;
    }
    float *history = history_of(resampler);
    const float *filter = filter_of(resampler);
    const size_t cap = history_cap(resampler);
    size_t written = 0;
    while (in_samples > 0) {
        if (resampler->filled == cap) {
            const size_t done = (size_t)(resampler->at >> FRACTION_BITS);
            resampler->filled -= done;
            memmove(history, history + done, resampler->filled * sizeof *history);
            resampler->at &= FRACTION_ONE - 1;
        }
        const size_t room = cap - resampler->filled;
        const size_t run = in_samples < room ? in_samples : room;
        for (size_t i = 0; i < run; i++) {
            history[resampler->filled + i] = (float)in[i];
        }
        resampler->filled += run;
        in += run;
        in_samples -= run;
        while ((size_t)(resampler->at >> FRACTION_BITS) + resampler->taps <= resampler->filled) {
            out[written++] = to_sample(value_at(history + (resampler->at >> FRACTION_BITS), filter, resampler->taps,
                                                resampler->phases, resampler->at & (FRACTION_ONE - 1)));
            resampler->at += resampler->step;
            glide(resampler);
        }
    }
    return (int32_t)written;
}
