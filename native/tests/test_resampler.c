/* Tests of dv_resampler.c: a tone comes out clean and in time, what cannot be carried is gone, and over hours not
 * a sample is lost. */
#include "dv_voice.h"

#include "check.h"

#include <stdlib.h>

static struct dv_resampler *new_resampler(uint32_t rate_in_hz, uint32_t rate_out_hz)
{
    const size_t size = dv_resampler_size(rate_in_hz, rate_out_hz);
    assert(size > 0 && size % DV_CODEC_ALIGN == 0 && size < 64 * 1024);
    void *block = aligned_alloc(DV_CODEC_ALIGN, size);
    assert(block != NULL);
    assert(dv_resampler_init(block, size, rate_in_hz, rate_out_hz) == DV_OK);
    return block;
}

/* Resample `samples` of a tone in calls of `step`; returns the samples that came out. */
static size_t resample_tone(uint32_t rate_in_hz, uint32_t rate_out_hz, double tone_hz, double amplitude, size_t samples,
                            size_t step, int16_t *out)
{
    struct dv_resampler *resampler = new_resampler(rate_in_hz, rate_out_hz);
    int16_t *in = malloc(step * sizeof *in);
    assert(in != NULL);
    size_t written = 0;
    for (size_t at = 0; at < samples; at += step) {
        const size_t run = samples - at < step ? samples - at : step;
        write_sine(in, run, at, tone_hz, rate_in_hz, amplitude);
        const int32_t most = dv_resampler_output_max(resampler, run);
        int16_t *exact = malloc((size_t)most * sizeof *exact); /* so that a sanitizer sees one sample too far */
        assert(exact != NULL);
        const int32_t count = dv_resampler_process(resampler, in, run, exact, (size_t)most);
        assert(count >= 0 && count <= most);
        memcpy(out + written, exact, (size_t)count * sizeof *out);
        free(exact);
        written += (size_t)count;
    }
    free(in);
    free(resampler);
    return written;
}

/* The power of the best-fitting sine of that frequency, and of all else. */
static void take_apart(const int16_t *pcm, size_t samples, double tone_hz, double rate_hz, double *tone, double *rest)
{
    double ss = 0;
    double cc = 0;
    double sc = 0;
    double ys = 0;
    double yc = 0;
    double yy = 0;
    for (size_t i = 0; i < samples; i++) {
        const double s = sin(TWO_PI * tone_hz * (double)i / rate_hz);
        const double c = cos(TWO_PI * tone_hz * (double)i / rate_hz);
        ss += s * s;
        cc += c * c;
        sc += s * c;
        ys += pcm[i] * s;
        yc += pcm[i] * c;
        yy += (double)pcm[i] * pcm[i];
    }
    const double det = ss * cc - sc * sc;
    const double a = (ys * cc - yc * sc) / det;
    const double b = (yc * ss - ys * sc) / det;
    *tone = a * ys + b * yc;
    *rest = yy - *tone;
}

static const struct {
    uint32_t in_hz, out_hz;
} PAIRS[] = {{16000, 48000}, {48000, 16000}, {44100, 16000}, {16000, 44100}, {8000, 16000},   {16000, 8000},
             {16000, 16000}, {22050, 16000}, {32000, 16000}, {8000, 192000}, {192000, 16000}, {11025, 48000}};

static void test_a_tone_comes_out_clean_and_as_loud(void)
{
    for (size_t i = 0; i < COUNT_OF(PAIRS); i++) {
        static int16_t out[192000 + 64];
        const size_t written =
            resample_tone(PAIRS[i].in_hz, PAIRS[i].out_hz, 1000.0, 20000.0, PAIRS[i].in_hz, 320, out);
        const size_t settled = written / 10;
        double tone;
        double rest;
        take_apart(out + settled, written - settled, 1000.0, PAIRS[i].out_hz, &tone, &rest);
        assert(10 * log10(tone / rest) > 70);
        const double amplitude = sqrt(2 * tone / (double)(written - settled));
        assert(fabs(amplitude / 20000.0 - 1) < 0.005);
    }
}

static void test_what_the_lower_rate_cannot_carry_is_gone(void)
{
    static int16_t out[48000 + 64];
    static const double tones_hz[] = {8500.0, 9000.0, 10000.0, 15000.0, 17000.0, 21000.0};
    for (size_t i = 0; i < COUNT_OF(tones_hz); i++) {
        const size_t written = resample_tone(48000, 16000, tones_hz[i], 20000.0, 48000, 960, out);
        double power = 0;
        for (size_t n = written / 10; n < written * 9 / 10; n++) {
            power += (double)out[n] * out[n];
        }
        assert(10 * log10(power / ((double)written * 0.8) / (20000.0 * 20000.0 / 2) + 1e-12) < -60);
    }
    /* And on the way up, no mirror of the tone appears above the old half. */
    const size_t written = resample_tone(16000, 48000, 3000.0, 20000.0, 16000, 320, out);
    double tone;
    double rest;
    take_apart(out + written / 10, written * 8 / 10, 13000.0, 48000.0, &tone, &rest);
    assert(10 * log10(tone / rest) < -60);
}

static void test_the_pass_band_is_flat(void)
{
    static int16_t out[48000 + 64];
    static const double tones_hz[] = {50.0, 300.0, 3400.0, 6000.0, 6700.0};
    for (size_t i = 0; i < COUNT_OF(tones_hz); i++) {
        const size_t written = resample_tone(16000, 48000, tones_hz[i], 20000.0, 16000, 320, out);
        double tone;
        double rest;
        take_apart(out + written / 10, written - written / 10, tones_hz[i], 48000.0, &tone, &rest);
        const double amplitude = sqrt(2 * tone / (double)(written - written / 10));
        assert(fabs(20 * log10(amplitude / 20000.0)) < 0.1);
    }
}

static void test_the_delay_is_what_it_says(void)
{
    for (size_t i = 0; i < COUNT_OF(PAIRS); i++) {
        struct dv_resampler *resampler = new_resampler(PAIRS[i].in_hz, PAIRS[i].out_hz);
        const int32_t delay = dv_resampler_delay_samples(resampler);
        static int16_t in[4000];
        static int16_t out[4000 * 25];
        memset(in, 0, sizeof in);
        for (size_t n = 1000; n < 1040; n++) { /* a short hump, for one sample is too thin at the lower rate */
            in[n] = (int16_t)lrint(10000 * (1 - cos(TWO_PI * (double)(n - 1000) / 40)));
        }
        const int32_t count = dv_resampler_process(resampler, in, 4000, out, COUNT_OF(out));
        double weight = 0;
        double moment = 0;
        for (int32_t n = 0; n < count; n++) {
            weight += out[n];
            moment += (double)out[n] * n;
        }
        const double expected = 1020.0 * PAIRS[i].out_hz / PAIRS[i].in_hz + delay;
        assert(fabs(moment / weight - expected) < 2.0);
        free(resampler);
    }
}

static void test_length_is_exact_over_time(void)
{
    static const size_t steps[] = {1, 7, 320, 441, 882, 4096};
    for (size_t i = 0; i < COUNT_OF(PAIRS); i++) {
        struct dv_resampler *resampler = new_resampler(PAIRS[i].in_hz, PAIRS[i].out_hz);
        static int16_t in[4096];
        static int16_t out[4096 * 25];
        uint64_t total_in = 0;
        uint64_t total_out = 0;
        for (size_t call = 0; call < 100; call++) {
            const size_t step = steps[call % COUNT_OF(steps)];
            const int32_t count = dv_resampler_process(resampler, in, step, out, COUNT_OF(out));
            assert(count >= 0);
            total_in += step;
            total_out += (uint64_t)count;
            assert(fabs((double)total_out - (double)total_in * PAIRS[i].out_hz / PAIRS[i].in_hz) < 1.0001);
        }
        free(resampler);
    }
}

static void test_drift_gives_that_change(void)
{
    static const int32_t drifts_ppb[] = {200000, -200000, 1000000, 10000000, -10000000, 50000};
    for (size_t i = 0; i < COUNT_OF(drifts_ppb); i++) {
        struct dv_resampler *resampler = new_resampler(16000, 16000);
        static int16_t in[1600];
        static int16_t out[2000];
        assert(dv_resampler_set_drift(resampler, drifts_ppb[i]) == DV_OK);
        int64_t total = 0;
        for (int call = 0; call < 1000; call++) { /* 100 s */
            total += dv_resampler_process(resampler, in, 1600, out, COUNT_OF(out));
        }
        const double expected = 1600000 / (1 + drifts_ppb[i] * 1e-9);
        /* The glide of 100 ms per whole per cent costs at most half of that, in samples. */
        assert(fabs((double)total - expected) < 2 + fabs(drifts_ppb[i] * 1e-9) * 16000 * 0.1);
        assert(dv_resampler_set_drift(resampler, 0) == DV_OK);
        for (int call = 0; call < 2; call++) {
            (void)dv_resampler_process(resampler, in, 1600, out, COUNT_OF(out));
        }
        total = 0;
        for (int call = 0; call < 100; call++) {
            total += dv_resampler_process(resampler, in, 1600, out, COUNT_OF(out));
        }
        assert(llabs(total - 160000) <= 1);
        free(resampler);
    }
}

static void test_a_change_of_drift_does_not_click(void)
{
    struct dv_resampler *resampler = new_resampler(16000, 16000);
    int16_t in[320];
    int16_t out[400];
    int32_t before = 0;
    for (size_t call = 0; call < 100; call++) {
        write_sine(in, 320, call * 320, 200.0, 16000.0, 10000.0);
        assert(dv_resampler_set_drift(resampler, call % 2 == 0 ? DV_DRIFT_MAX_PPB : -DV_DRIFT_MAX_PPB) == DV_OK);
        const int32_t count = dv_resampler_process(resampler, in, 320, out, COUNT_OF(out));
        for (int32_t i = 0; i < count; i++) {
            assert(abs(out[i] - before) < 850); /* the sine itself makes steps of 785 */
            before = out[i];
        }
    }
    free(resampler);
}

static void test_full_scale_does_not_wrap(void)
{
    static int16_t in[16000];
    static int16_t out[48000 + 600];
    struct dv_resampler *resampler = new_resampler(16000, 48000);
    for (size_t i = 0; i < COUNT_OF(in); i++) { /* square: its edges overshoot by a tenth */
        in[i] = i / 20 % 2 == 0 ? 32767 : -32768;
    }
    const int32_t count = dv_resampler_process(resampler, in, COUNT_OF(in), out, COUNT_OF(out));
    assert(count == 48000);
    int32_t turns = 0;
    for (int32_t i = 600; i < count; i++) { /* not the ringing before its very first edge */
        turns += (out[i] < 0) != (out[i - 1] < 0);
    }
    assert(turns >= 788 && turns <= 792);
    free(resampler);
}

static void test_refusals_write_nothing(void)
{
    static const uint32_t bad_rates[] = {0, 7999, 192001, UINT32_MAX};
    uint8_t *block = aligned_alloc(DV_CODEC_ALIGN, 65536);
    assert(block != NULL);
    memset(block, 0xA5, 65536);
    for (size_t i = 0; i < COUNT_OF(bad_rates); i++) {
        assert(dv_resampler_size(bad_rates[i], 16000) == 0 && dv_resampler_size(16000, bad_rates[i]) == 0);
        assert(dv_resampler_init(block, 65536, bad_rates[i], 16000) == DV_ERR_SAMPLE_RATE);
        assert(dv_resampler_init(block, 65536, 16000, bad_rates[i]) == DV_ERR_SAMPLE_RATE);
    }
    const size_t size = dv_resampler_size(16000, 48000);
    assert(dv_resampler_init(NULL, size, 16000, 48000) == DV_ERR_ARGUMENT);
    assert(dv_resampler_init(block + 1, size, 16000, 48000) == DV_ERR_ALIGNMENT);
    assert(dv_resampler_init(block, size - 1, 16000, 48000) == DV_ERR_CAPACITY);
    assert(all_bytes_are(block, 65536, 0xA5));

    int16_t in[320] = {0};
    int16_t out[1000];
    struct dv_resampler *resampler = (struct dv_resampler *)(void *)block;
    assert(dv_resampler_process(resampler, in, 320, out, 1000) == DV_ERR_UNINITIALISED);
    assert(dv_resampler_set_drift(resampler, 0) == DV_ERR_UNINITIALISED);
    assert(dv_resampler_delay_samples(resampler) == DV_ERR_UNINITIALISED);
    assert(dv_resampler_output_max(resampler, 1) == DV_ERR_UNINITIALISED);

    assert(dv_resampler_init(block, size, 16000, 48000) == DV_OK);
    assert(all_bytes_are(block + size, 65536 - size, 0xA5));
    memset(out, 0xA5, sizeof out);
    const int32_t most = dv_resampler_output_max(resampler, 320);
    assert(most >= 960 && most <= 975);
    assert(dv_resampler_process(NULL, in, 320, out, 1000) == DV_ERR_ARGUMENT);
    assert(dv_resampler_process(resampler, NULL, 320, out, 1000) == DV_ERR_ARGUMENT);
    assert(dv_resampler_process(resampler, in, 320, NULL, 1000) == DV_ERR_ARGUMENT);
    assert(dv_resampler_process(resampler, in, 320, out, (size_t)most - 1) == DV_ERR_CAPACITY);
    assert(dv_resampler_process(resampler, in, DV_PCM_MAX_SAMPLES + 1, out, SIZE_MAX) == DV_ERR_TOO_LONG);
    assert(dv_resampler_process(resampler, in, SIZE_MAX, out, SIZE_MAX) == DV_ERR_TOO_LONG);
    assert(dv_resampler_set_drift(NULL, 0) == DV_ERR_ARGUMENT);
    assert(dv_resampler_set_drift(resampler, DV_DRIFT_MAX_PPB + 1) == DV_ERR_ARGUMENT);
    assert(dv_resampler_set_drift(resampler, INT32_MIN) == DV_ERR_ARGUMENT);
    assert(dv_resampler_delay_samples(NULL) == DV_ERR_ARGUMENT && dv_resampler_output_max(NULL, 1) == DV_ERR_ARGUMENT);
    assert(dv_resampler_output_max(resampler, SIZE_MAX) == DV_ERR_TOO_LONG);
    assert(all_bytes_are(out, sizeof out, 0xA5));
    assert(dv_resampler_process(resampler, in, 0, out, 1000) == 0);
    assert(dv_resampler_process(resampler, in, 320, out, 1000) == 960); /* as if nothing had been asked before */
    free(block);
}

int main(void)
{
    test_a_tone_comes_out_clean_and_as_loud();
    test_what_the_lower_rate_cannot_carry_is_gone();
    test_the_pass_band_is_flat();
    test_the_delay_is_what_it_says();
    test_length_is_exact_over_time();
    test_drift_gives_that_change();
    test_a_change_of_drift_does_not_click();
    test_full_scale_does_not_wrap();
    test_refusals_write_nothing();
    return 0;
}
