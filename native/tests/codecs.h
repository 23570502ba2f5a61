/* Codecs for tests, and a voice to send through them. */
#ifndef DV_CODECS_H
#define DV_CODECS_H

#include "check.h"
#include "dv_voice.h"

#include <stdlib.h>

static const uint32_t RATES_HZ[] = {8000, 12000, 16000, 24000, 48000};
static const uint32_t FRAMES_US[] = {2500, 5000, 10000, 20000, 40000, 60000};

static inline void *new_block(size_t size)
{
    void *block = aligned_alloc(DV_CODEC_ALIGN, (size + DV_CODEC_ALIGN - 1) / DV_CODEC_ALIGN * DV_CODEC_ALIGN);
    assert(block != NULL);
    return block;
}

static inline struct dv_codec *new_codec(uint32_t sample_rate_hz, uint32_t frame_us)
{
    void *block = new_block(dv_codec_size());
    assert(dv_codec_init(block, dv_codec_size(), sample_rate_hz, frame_us, 1, 1, NULL) == DV_OK);
    return block;
}

static inline size_t frame_samples(uint32_t sample_rate_hz, uint32_t frame_us)
{
    return (size_t)((uint64_t)sample_rate_hz * frame_us / 1000000u);
}

static inline double energy(const int16_t *pcm, size_t samples)
{
    double sum = 0;
    for (size_t i = 0; i < samples; i++) {
        sum += (double)pcm[i] * pcm[i];
    }
    return sum / (double)samples;
}

/* Something like a voice: gliding harmonics in syllables. */
static inline void write_voice(int16_t *pcm, size_t samples, size_t start, double rate_hz)
{
    for (size_t i = 0; i < samples; i++) {
        const double t = (double)(start + i) / rate_hz;
        const double phase = TWO_PI * (170.0 * t - 20.0 / (TWO_PI * 2.2) * cos(TWO_PI * 2.2 * t));
        /* Little of the fundamental: libopus turns its phase by a high-pass, which no ear minds but a likeness does. */
        double sum = 0.3 * sin(phase);
        for (int k = 2; k < 14; k++) {
            sum += sin(k * phase) / k * (k == 3 || k == 4 || k == 7 ? 2.0 : 1.0);
        }
        const double syllable = sin(TWO_PI * 3.5 * t);
        pcm[i] = (int16_t)lrint(3000.0 * (0.2 + 0.8 * (syllable > 0 ? syllable : 0)) * sum);
    }
}

/* The likeness of two sounds, one of them late by at most `late_max` samples: 1 if they are the same. */
static inline double likeness(const int16_t *sent, const int16_t *heard, size_t samples, size_t late_max)
{
    double best = 0;
    for (size_t late = 0; late < late_max; late++) {
        double product = 0;
        double sent_power = 0;
        double heard_power = 0;
        for (size_t i = 0; i + late < samples; i++) {
            product += (double)sent[i] * heard[i + late];
            sent_power += (double)sent[i] * sent[i];
            heard_power += (double)heard[i + late] * heard[i + late];
        }
        const double value = product / sqrt(sent_power * heard_power + 1);
        best = value > best ? value : best;
    }
    return best;
}

#endif
