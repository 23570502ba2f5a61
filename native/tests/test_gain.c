/* Tests of dv_gain.c: nothing beyond the ceiling, nothing changed that is below it at 0 dB, and no clicks. */
#include "dv_voice.h"

#include "check.h"

#include <stdlib.h>

enum { RATE_HZ = 16000, SECOND = RATE_HZ };

static struct dv_gain new_gain(int32_t tenths_db)
{
    struct dv_gain gain;
    assert(dv_gain_init(&gain, RATE_HZ, tenths_db) == DV_OK);
    return gain;
}

static int32_t peak_of(const int16_t *pcm, size_t samples)
{
    int32_t peak = 0;
    for (size_t i = 0; i < samples; i++) {
        peak = abs(pcm[i]) > peak ? abs(pcm[i]) : peak;
    }
    return peak;
}

static void test_zero_db_below_the_ceiling_is_bit_exact(void)
{
    struct dv_gain gain = new_gain(0);
    int16_t pcm[SECOND];
    int16_t out[SECOND];
    write_sine(pcm, SECOND, 0, 300.0, RATE_HZ, DV_CEILING);
    for (size_t at = 0; at + 317 <= SECOND; at += 317) {
        assert(dv_gain_apply(&gain, pcm + at, out + at, 317) == DV_OK);
        assert(memcmp(pcm + at, out + at, 317 * sizeof *pcm) == 0);
        assert(gain.at_rest);
    }
}

static void test_gain_is_what_was_asked_for(void)
{
    static const struct {
        int32_t tenths_db;
        double factor;
    } table[] = {{60, 1.9953}, {-60, 0.50119}, {200, 10.0}, {-400, 0.01}, {1, 1.01158}, {-1, 0.98855}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct dv_gain gain = new_gain(table[i].tenths_db);
        int16_t pcm[SECOND];
        int16_t out[SECOND];
        write_sine(pcm, SECOND, 0, 440.0, RATE_HZ, 2000.0);
        assert(dv_gain_apply(&gain, pcm, out, SECOND) == DV_OK);
        for (size_t n = 0; n < SECOND; n++) {
            assert(fabs(out[n] - pcm[n] * table[i].factor) <= 1.5);
        }
    }
}

/* Whatever the sound, the cut and the gain: the ceiling holds, and no sample changes its sign. */
static void test_nothing_passes_the_ceiling(void)
{
    static const int32_t gains[] = {0, 200, 400, -100};
    uint32_t noise = 7;
    for (size_t g = 0; g < COUNT_OF(gains); g++) {
        struct dv_gain gain = new_gain(gains[g]);
        int16_t pcm[700];
        int16_t out[700];
        for (int call = 0; call < 300; call++) {
            noise = noise * 1664525u + 1013904223u;
            const size_t samples = (noise >> 16) % 701;
            for (size_t i = 0; i < samples; i++) {
                noise = noise * 1664525u + 1013904223u;
                const int32_t any = (int32_t)(noise >> 16) - 32768;
                pcm[i] = (int16_t)(call % 3 == 0 ? any : call % 3 == 1 ? any / 64 : (any < 0 ? -32768 : 32767));
            }
            assert(dv_gain_apply(&gain, pcm, out, samples) == DV_OK);
            assert(peak_of(out, samples) <= DV_CEILING);
            for (size_t i = 0; i < samples; i++) {
                assert((int32_t)pcm[i] * out[i] >= 0);
            }
        }
    }
}

static void test_a_loud_voice_is_turned_down_and_not_flattened(void)
{
    struct dv_gain gain = new_gain(200);
    int16_t pcm[SECOND];
    write_sine(pcm, SECOND, 0, 220.0, RATE_HZ, 12000.0); /* 20 dB more would be 120000 */
    for (size_t at = 0; at < SECOND; at += 320) {
        assert(dv_gain_apply(&gain, pcm + at, pcm + at, 320) == DV_OK);
    }
    assert(peak_of(pcm + SECOND / 2, SECOND / 2) > DV_CEILING * 98 / 100);
    /* Of a sine that was clipped this hard, three samples in four would lie at the ceiling. */
    size_t flat = 0;
    for (size_t i = SECOND / 2; i < SECOND; i++) {
        flat += abs(pcm[i]) >= DV_CEILING - 30;
    }
    assert(flat < SECOND / 2 / 20);
}

static void test_the_limiter_lets_go(void)
{
    struct dv_gain gain = new_gain(0);
    int16_t pcm[SECOND];
    int16_t out[SECOND];
    write_sine(pcm, SECOND, 0, 440.0, RATE_HZ, 32767.0);
    assert(dv_gain_apply(&gain, pcm, out, 3200) == DV_OK);
    assert(!gain.at_rest && gain.now < 0.9f);
    write_sine(pcm, SECOND, 0, 440.0, RATE_HZ, 8000.0);
    assert(dv_gain_apply(&gain, pcm, out, SECOND) == DV_OK);
    assert(peak_of(out, 160) < 7500 && peak_of(out + 1600, 160) > 7600); /* 63 per cent of the way in 100 ms */
    assert(gain.at_rest && memcmp(pcm + SECOND - 320, out + SECOND - 320, 320 * sizeof *pcm) == 0);
}

/* The steepest step of a slow sine says whether a change of gain was heard. */
static void test_a_change_of_gain_does_not_click(void)
{
    struct dv_gain gain = new_gain(100);
    int16_t pcm[SECOND];
    write_sine(pcm, SECOND, 0, 50.0, RATE_HZ, 3000.0);
    assert(dv_gain_apply(&gain, pcm, pcm, 3200) == DV_OK);
    assert(dv_gain_set(&gain, -100) == DV_OK);
    assert(dv_gain_apply(&gain, pcm + 3200, pcm + 3200, 3200) == DV_OK);
    assert(dv_gain_set(&gain, 100) == DV_OK);
    assert(dv_gain_apply(&gain, pcm + 6400, pcm + 6400, SECOND - 6400) == DV_OK);
    assert(peak_of(pcm + 3500, 2900) < 1000 && peak_of(pcm + SECOND - 3200, 3200) > 9000);
    for (size_t i = 1; i < SECOND; i++) {
        assert(abs(pcm[i] - pcm[i - 1]) < 800); /* a ramp of 16 samples over 9500; at once, it would be 9000 */
    }
}

static void test_how_it_is_cut_matters_only_by_a_run(void)
{
    struct dv_gain whole = new_gain(200);
    struct dv_gain cut = new_gain(200);
    int16_t pcm[SECOND];
    int16_t first[SECOND];
    int16_t second[SECOND];
    write_sine(pcm, SECOND, 0, 300.0, RATE_HZ, 9000.0);
    assert(dv_gain_apply(&whole, pcm, first, SECOND) == DV_OK);
    for (size_t at = 0; at < SECOND; at += 160) {
        assert(dv_gain_apply(&cut, pcm + at, second + at, 160) == DV_OK);
    }
    double difference = 0;
    for (size_t i = SECOND / 2; i < SECOND; i++) {
        difference += fabs((double)first[i] - second[i]);
    }
    assert(difference / (SECOND / 2.0) < 400);
}

static void test_refusals_write_nothing(void)
{
    struct dv_gain gain;
    memset(&gain, 0xA5, sizeof gain);
    assert(dv_gain_init(NULL, RATE_HZ, 0) == DV_ERR_ARGUMENT);
    assert(dv_gain_init(&gain, RATE_HZ, 401) == DV_ERR_ARGUMENT);
    assert(dv_gain_init(&gain, RATE_HZ, -401) == DV_ERR_ARGUMENT);
    assert(dv_gain_init(&gain, 7999, 0) == DV_ERR_SAMPLE_RATE);
    assert(dv_gain_init(&gain, 192001, 0) == DV_ERR_SAMPLE_RATE);
    assert(dv_gain_set(&gain, 0) == DV_ERR_UNINITIALISED);
    assert(dv_gain_reset(&gain) == DV_ERR_UNINITIALISED);
    int16_t in[4] = {1, 2, 3, 4};
    int16_t out[4];
    memset(out, 0xA5, sizeof out);
    assert(dv_gain_apply(&gain, in, out, 4) == DV_ERR_UNINITIALISED);
    assert(all_bytes_are(&gain, sizeof gain, 0xA5));
    gain = new_gain(60);
    const struct dv_gain before = gain;
    assert(dv_gain_set(NULL, 0) == DV_ERR_ARGUMENT && dv_gain_set(&gain, 1000) == DV_ERR_ARGUMENT);
    assert(dv_gain_reset(NULL) == DV_ERR_ARGUMENT);
    assert(dv_gain_apply(NULL, in, out, 4) == DV_ERR_ARGUMENT && dv_gain_apply(&gain, NULL, out, 4) == DV_ERR_ARGUMENT);
    assert(dv_gain_apply(&gain, in, NULL, 4) == DV_ERR_ARGUMENT);
    assert(dv_gain_apply(&gain, in, out, DV_PCM_MAX_SAMPLES + 1) == DV_ERR_TOO_LONG);
    assert(dv_gain_apply(&gain, in, out, SIZE_MAX) == DV_ERR_TOO_LONG);
    assert(dv_gain_apply(&gain, in, out, 0) == DV_OK);
    assert(all_bytes_are(out, sizeof out, 0xA5) && memcmp(&gain, &before, sizeof gain) == 0);
}

static void test_reset_lets_go_at_once(void)
{
    struct dv_gain gain = new_gain(0);
    int16_t loud[320];
    int16_t quiet[320];
    int16_t out[320];
    write_sine(loud, 320, 0, 440.0, RATE_HZ, 32767.0);
    write_sine(quiet, 320, 0, 440.0, RATE_HZ, 1000.0);
    assert(dv_gain_apply(&gain, loud, out, 320) == DV_OK && !gain.at_rest);
    assert(dv_gain_reset(&gain) == DV_OK);
    assert(dv_gain_apply(&gain, quiet, out, 320) == DV_OK && memcmp(quiet, out, sizeof out) == 0);
}

int main(void)
{
    test_zero_db_below_the_ceiling_is_bit_exact();
    test_gain_is_what_was_asked_for();
    test_nothing_passes_the_ceiling();
    test_a_loud_voice_is_turned_down_and_not_flattened();
    test_the_limiter_lets_go();
    test_a_change_of_gain_does_not_click();
    test_how_it_is_cut_matters_only_by_a_run();
    test_refusals_write_nothing();
    test_reset_lets_go_at_once();
    return 0;
}
