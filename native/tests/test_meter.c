/* Tests of dv_meter.c: levels that can be worked out on paper, and a flag that knows a voice from a noise. */
#include "dv_voice.h"

#include "check.h"

#include <stdlib.h>

static const uint32_t RATES_HZ[] = {8000, 12000, 16000, 22050, 24000, 44100, 48000, 192000};
enum { SECONDS = 4, PCM_CAP = 192000 * SECONDS };

static size_t rates(void)
{
    return briefly() ? 1 : COUNT_OF(RATES_HZ);
}

static int16_t pcm[PCM_CAP];
static uint32_t noise_state;

/* About Gaussian: the sum of twelve uniform numbers. */
static double noise(double deviation)
{
    double sum = -6.0;
    for (int i = 0; i < 12; i++) {
        noise_state = noise_state * 1664525u + 1013904223u;
        sum += (double)noise_state / 4294967296.0;
    }
    return sum * deviation;
}

static int16_t clipped(double value)
{
    return (int16_t)lrint(value > 32767 ? 32767 : value < -32768 ? -32768 : value);
}

enum sound { SILENCE, HISS, LOUD_HISS, HUM, RUMBLE, VOICE, QUIET_VOICE, VOICE_IN_HISS, VOICE_WITH_OFFSET };

/* A voice: syllables of gliding harmonics with two formants, words of 0.9 s, pauses of 0.3 s. */
static double voice_at(double t, double *phase, double rate_hz)
{
    *phase += TWO_PI * (125.0 + 20.0 * sin(TWO_PI * 2.2 * t)) / rate_hz;
    const double syllable = sin(TWO_PI * 3.5 * t);
    if (syllable <= 0 || fmod(t, 1.2) > 0.9) {
        return 0;
    }
    double sum = 0;
    for (int k = 1; k < 18; k++) {
        sum += sin(k * *phase) / k * (k == 4 || k == 5 || k == 9 ? 2.0 : 1.0);
    }
    return syllable * sum;
}

static void write_sound(enum sound sound, size_t from, size_t to, double rate_hz)
{
    double phase = 0;
    double slow = 0;
    for (size_t i = from; i < to; i++) {
        const double t = (double)(i - from) / rate_hz;
        double value = 0;
        switch (sound) {
        case SILENCE:
            break;
        case HISS:
            value = noise(300);
            break;
        case LOUD_HISS:
            value = noise(5000);
            break;
        case HUM:
            value = 3000 * sin(TWO_PI * 50 * t) + 1000 * sin(TWO_PI * 150 * t) + noise(20);
            break;
        case RUMBLE:
            slow += (noise(6000) - slow) * TWO_PI * 15.0 / rate_hz;
            value = slow * 4 + noise(20);
            break;
        case VOICE:
            value = 3500 * voice_at(t, &phase, rate_hz) + noise(40);
            break;
        case QUIET_VOICE:
            value = 250 * voice_at(t, &phase, rate_hz) + noise(8);
            break;
        case VOICE_IN_HISS:
            value = 3500 * voice_at(t, &phase, rate_hz) + noise(600);
            break;
        case VOICE_WITH_OFFSET:
            value = 3500 * voice_at(t, &phase, rate_hz) + noise(40) + 900;
            break;
        }
        pcm[i] = clipped(value);
    }
}

/* The share of 20 ms calls, from `skip` on, in which somebody speaks. */
static double spoken(uint32_t rate_hz, size_t samples, size_t skip)
{
    struct dv_meter meter;
    struct dv_level level;
    const size_t step = rate_hz / 50;
    size_t calls = 0;
    size_t voiced = 0;
    assert(dv_meter_init(&meter, rate_hz) == DV_OK);
    for (size_t at = 0; at + step <= samples; at += step) {
        assert(dv_meter_measure(&meter, pcm + at, step, &level) == DV_OK);
        if (at >= skip) {
            calls++;
            voiced += level.voice;
        }
    }
    return (double)voiced / (double)calls;
}

static double spoken_in(enum sound sound, uint32_t rate_hz)
{
    noise_state = 1;
    write_sound(sound, 0, (size_t)rate_hz * SECONDS, rate_hz);
    return spoken(rate_hz, (size_t)rate_hz * SECONDS, 0);
}

static void test_a_voice_is_heard_at_any_rate(void)
{
    for (size_t r = 0; r < rates(); r++) {
        assert(spoken_in(VOICE, RATES_HZ[r]) > 0.7);
        assert(spoken_in(QUIET_VOICE, RATES_HZ[r]) > 0.7);
        assert(spoken_in(VOICE_IN_HISS, RATES_HZ[r]) > 0.5);
        assert(spoken_in(VOICE_WITH_OFFSET, RATES_HZ[r]) > 0.7);
    }
}

static void test_a_pause_between_words_is_seen(void)
{
    assert(spoken_in(VOICE, 16000) < 0.95);
}

static void test_no_noise_is_a_voice(void)
{
    for (size_t r = 0; r < rates(); r++) {
        assert(spoken_in(SILENCE, RATES_HZ[r]) <= 0.0);
        assert(spoken_in(HISS, RATES_HZ[r]) <= 0.02);
        assert(spoken_in(LOUD_HISS, RATES_HZ[r]) <= 0.02);
        assert(spoken_in(HUM, RATES_HZ[r]) <= 0.02);
        assert(spoken_in(RUMBLE, RATES_HZ[r]) <= 0.15);
    }
}

/* It may take a noise that sets in for a voice at first, but not for ever. */
static void test_a_noise_that_sets_in_becomes_background(void)
{
    static const enum sound sounds[] = {HISS, LOUD_HISS, HUM, SILENCE};
    static const uint32_t rates[] = {8000, 16000, 48000};
    for (size_t r = 0; r < COUNT_OF(rates); r++) {
        for (size_t s = 0; s < COUNT_OF(sounds); s++) {
            const size_t half = (size_t)rates[r];
            noise_state = 3;
            for (size_t i = 0; i < half; i++) {
                pcm[i] = clipped(noise(20));
            }
            write_sound(sounds[s], half, half * SECONDS, rates[r]);
            assert(spoken(rates[r], half * SECONDS, half + half * 5 / 2) <= 0.0);
        }
    }
}

static void test_a_click_is_no_voice(void)
{
    noise_state = 5;
    for (size_t i = 0; i < 32000; i++) {
        pcm[i] = clipped(noise(20));
    }
    for (size_t i = 20000; i < 20080; i++) {
        pcm[i] = clipped(20000 * sin(TWO_PI * 700 * (double)i / 16000));
    }
    assert(spoken(16000, 32000, 0) <= 0.0);
}

static void test_a_voice_after_digital_silence_is_heard(void)
{
    noise_state = 1;
    write_sound(SILENCE, 0, 16000, 16000);
    write_sound(VOICE, 16000, 64000, 16000);
    assert(spoken(16000, 64000, 16000) > 0.7);
}

static struct dv_level measured(size_t samples)
{
    struct dv_meter meter;
    struct dv_level level;
    assert(dv_meter_init(&meter, 16000) == DV_OK);
    assert(dv_meter_measure(&meter, pcm, samples, &level) == DV_OK);
    return level;
}

static void test_levels_are_those_on_paper(void)
{
    struct dv_level level;
    write_sine(pcm, 16000, 0, 1000.0, 16000.0, 32767.0);
    level = measured(16000);
    assert(fabs(dv_level_rms_dbfs(&level) + 3.01) < 0.02 && fabs(dv_level_peak_dbfs(&level)) < 0.02);
    write_sine(pcm, 16000, 0, 1000.0, 16000.0, 3276.8);
    level = measured(16000);
    assert(fabs(dv_level_rms_dbfs(&level) + 23.01) < 0.02 && fabs(dv_level_peak_dbfs(&level) + 20) < 0.02);
    for (size_t i = 0; i < 16000; i++) {
        pcm[i] = i % 2 == 0 ? -32768 : 32767;
    }
    level = measured(16000);
    assert(level.peak == 32768 && fabs(dv_level_peak_dbfs(&level)) < 1e-9 && fabs(dv_level_rms_dbfs(&level)) < 1e-3);
    for (size_t i = 0; i < 16000; i++) {
        pcm[i] = -32768;
    }
    level = measured(16000);
    assert(level.peak == 32768 && fabs(dv_level_rms_dbfs(&level)) < 1e-9);
    memset(pcm, 0, 16000 * sizeof *pcm);
    level = measured(16000);
    assert(level.peak == 0 && dv_level_rms_dbfs(&level) <= -96.0 && dv_level_peak_dbfs(&level) <= -96.0);
    pcm[5] = -1;
    level = measured(16000);
    assert(level.peak == 1 && dv_level_rms_dbfs(&level) <= -96.0 && fabs(dv_level_peak_dbfs(&level) + 90.31) < 0.02);
    assert(dv_level_rms_dbfs(NULL) <= -96.0 && dv_level_peak_dbfs(NULL) <= -96.0);
}

/* The voice of a block belongs to the block, however the sound is cut into calls. */
static void test_how_it_is_cut_does_not_matter(void)
{
    static const uint32_t rates[] = {8000, 16000, 44100, 48000};
    for (size_t r = 0; r < COUNT_OF(rates); r++) {
        const size_t samples = (size_t)rates[r] * 2;
        noise_state = 9;
        write_sound(VOICE_IN_HISS, 0, samples, rates[r]);
        struct dv_meter whole;
        struct dv_meter cut;
        struct dv_level level;
        assert(dv_meter_init(&whole, rates[r]) == DV_OK && dv_meter_init(&cut, rates[r]) == DV_OK);
        assert(dv_meter_measure(&whole, pcm, samples, &level) == DV_OK);
        uint32_t random = 4;
        for (size_t at = 0; at < samples;) {
            random = random * 1664525u + 1013904223u;
            size_t step = 1 + (random >> 20) % 700;
            step = step < samples - at ? step : samples - at;
            assert(dv_meter_measure(&cut, pcm + at, step, &level) == DV_OK);
            at += step;
        }
        assert(memcmp(&whole, &cut, sizeof whole) == 0);
    }
}

static void test_refusals_write_nothing(void)
{
    struct dv_meter meter;
    struct dv_level level;
    memset(&meter, 0xA5, sizeof meter);
    memset(&level, 0xA5, sizeof level);
    assert(dv_meter_init(NULL, 16000) == DV_ERR_ARGUMENT);
    assert(dv_meter_init(&meter, 0) == DV_ERR_SAMPLE_RATE);
    assert(dv_meter_init(&meter, 7999) == DV_ERR_SAMPLE_RATE);
    assert(dv_meter_init(&meter, 192001) == DV_ERR_SAMPLE_RATE);
    assert(dv_meter_measure(&meter, pcm, 160, &level) == DV_ERR_UNINITIALISED);
    assert(all_bytes_are(&meter, sizeof meter, 0xA5));
    assert(dv_meter_init(&meter, 16000) == DV_OK);
    const struct dv_meter before = meter;
    assert(dv_meter_measure(NULL, pcm, 160, &level) == DV_ERR_ARGUMENT);
    assert(dv_meter_measure(&meter, NULL, 160, &level) == DV_ERR_ARGUMENT);
    assert(dv_meter_measure(&meter, pcm, 160, NULL) == DV_ERR_ARGUMENT);
    assert(dv_meter_measure(&meter, pcm, 0, &level) == DV_ERR_ARGUMENT);
    assert(dv_meter_measure(&meter, pcm, DV_PCM_MAX_SAMPLES + 1, &level) == DV_ERR_TOO_LONG);
    assert(dv_meter_measure(&meter, pcm, SIZE_MAX, &level) == DV_ERR_TOO_LONG);
    assert(all_bytes_are(&level, sizeof level, 0xA5) && memcmp(&meter, &before, sizeof meter) == 0);
}

int main(void)
{
    test_a_voice_is_heard_at_any_rate();
    test_a_pause_between_words_is_seen();
    test_no_noise_is_a_voice();
    test_a_noise_that_sets_in_becomes_background();
    test_a_click_is_no_voice();
    test_a_voice_after_digital_silence_is_heard();
    test_levels_are_those_on_paper();
    test_how_it_is_cut_does_not_matter();
    test_refusals_write_nothing();
    return 0;
}
