/* What the C tests share: assertions that no build flag can switch off, and a tone to listen for. */
#ifndef DV_CHECK_H
#define DV_CHECK_H

#undef NDEBUG
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static const double TWO_PI = 6.283185307179586;

/* Under a tool that makes all of it fifty times slower, one rate stands for many: `make valgrind` asks for it. */
static inline int briefly(void)
{
    return getenv("DV_TEST_BRIEFLY") != NULL;
}

/* Fill pcm with a sine of the given amplitude; `start` continues the phase over frames. */
static inline void write_sine(int16_t *pcm, size_t samples, size_t start, double tone_hz, double rate_hz,
                              double amplitude)
{
    for (size_t i = 0; i < samples; i++) {
        pcm[i] = (int16_t)lrint(amplitude * sin(TWO_PI * tone_hz * (double)(start + i) / rate_hz));
    }
}

static inline int all_bytes_are(const void *memory, size_t len, uint8_t value)
{
    const uint8_t *bytes = memory;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != value) {
            return 0;
        }
    }
    return 1;
}

#endif
