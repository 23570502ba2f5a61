/* Level and voice activity. The level is that of the samples as they are; the voice is looked for in blocks of
 * about 10 ms of a thinned sound of 8 to 16 kHz, where there is less hiss in the way of it. */
#include "dv_voice.h"

#include <math.h>
#include <string.h>

static const uint32_t METER_MAGIC = 0x64766D45u;

static const float STANDS_OUT = 5.0f;      /* 7 dB above the floor */
static const float WAVERS = 1.5f;          /* how far the differences of a steady noise get from their floor */
static const float AUDIBLE = 1074.0f;      /* mean square of -60 dBFS, in steps of 16 bit */
static const float SILENCE = 4.0f;         /* below: a muted or absent source, which says nothing of the room */
static const float PITCH_MIN_HZ = 120.0f;  /* above mains hum and its first harmonic */
static const float PITCH_MAX_HZ = 1500.0f; /* below the centre of hiss at 8 kHz, 1800 */
static const float OFFSET_SHARE = 1.0f / 32;
static const float NOT_YET = 1e30f;

enum {
    BLOCKS_PER_SECOND = 100,
    BLOCK_MAX_SAMPLES = DV_RATE_MAX_HZ / BLOCKS_PER_SECOND,
    THIN_MIN_HZ = 8000,
    FLOOR_BLOCKS = 120, /* the quietest of the last one to two times so long is the floor */
    ONSET_BLOCKS = 2,
    HOLD_BLOCKS = 16
};

static const double DBFS_MIN = -96.0;

enum dv_status dv_meter_init(struct dv_meter *meter, uint32_t sample_rate_hz)
{
    if (meter == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (sample_rate_hz < DV_RATE_MIN_HZ || sample_rate_hz > DV_RATE_MAX_HZ) {
        return DV_ERR_SAMPLE_RATE;
    }
    memset(meter, 0, sizeof *meter);
    while (sample_rate_hz >> (meter->thin_shift + 1) >= THIN_MIN_HZ) {
        meter->thin_shift++;
    }
    meter->block_samples = sample_rate_hz / BLOCKS_PER_SECOND >> meter->thin_shift << meter->thin_shift;
    meter->share = 1.0f / (float)(meter->block_samples >> meter->thin_shift);
    const float radian_hz = (float)sample_rate_hz / (float)(1u << meter->thin_shift) / 6.2831853f;
    meter->pitch_scale = radian_hz * radian_hz;
    for (int i = 0; i < 2; i++) {
        meter->floor_now[i] = NOT_YET;
        meter->floor_before[i] = NOT_YET;
    }
    meter->magic = METER_MAGIC;
    return DV_OK;
}

/* The extremes of a run of at most a block, and the sum of its squares.
 *
 * The halves of a square are added up by themselves, here and below: then all is 32 bits wide, and compilers
 * make vectors of it. */
static int64_t add_level(const int16_t *pcm, size_t samples, int16_t *low, int16_t *high)
{
    int16_t lowest = *low;
    int16_t highest = *high;
    uint32_t square_low = 0;
    uint32_t square_high = 0;
    for (size_t i = 0; i < samples; i++) {
        const int16_t value = pcm[i];
        const uint32_t square = (uint32_t)(value * value);
        lowest = value < lowest ? value : lowest;
        highest = value > highest ? value : highest;
        square_low += square & 0xFFFFu;
        square_high += square >> 16;
    }
    *low = lowest;
    *high = highest;
    return ((int64_t)square_high << 16) + square_low;
}

/* The means of groups of 2^thin_shift samples; a group may begin in one call and end in the next. */
static size_t thin(struct dv_meter *meter, const int16_t *pcm, size_t samples, int16_t *out)
{
    const uint32_t shift = meter->thin_shift;
    const size_t group = (size_t)1 << shift;
    size_t count = 0;
    size_t i = 0;
    while (i < samples && meter->group_filled > 0) {
        meter->group_sum += pcm[i++];
        if (++meter->group_filled == group) {
            out[count++] = (int16_t)(meter->group_sum >> shift);
            meter->group_filled = 0;
            meter->group_sum = 0;
        }
    }
    const size_t whole = (samples - i) >> shift;
    const int16_t *from = pcm + i;
    if (shift == 1) { /* 16 kHz, worth a vector */
        for (size_t n = 0; n < whole; n++) {
            out[count + n] = (int16_t)((from[2 * n] + from[2 * n + 1]) >> 1);
        }
    } else {
        for (size_t n = 0; n < whole; n++) {
            int32_t sum = 0;
            for (size_t k = 0; k < group; k++) {
                sum += from[n * group + k];
            }
            out[count + n] = (int16_t)(sum >> shift);
        }
    }
    for (i += whole * group; i < samples; i++) {
        meter->group_sum += pcm[i];
        meter->group_filled++;
    }
    return count + whole;
}

/* Add a run of the thinned sound to its block. The squares of the differences come from the products of
 * neighbours: (a - b)^2 = a^2 + b^2 - 2ab. */
static void add_block(struct dv_meter *meter, const int16_t *pcm, size_t samples)
{
    if (samples == 0) {
        return;
    }
    const int32_t first = pcm[0];
    const int32_t last = pcm[samples - 1];
    int32_t sum = first;
    uint32_t square_low = (uint32_t)(first * first) & 0xFFFFu;
    uint32_t square_high = (uint32_t)(first * first) >> 16;
    uint32_t product_low = 0;
    int32_t product_high = 0;
    for (size_t i = 1; i < samples; i++) {
        const uint32_t square = (uint32_t)(pcm[i] * pcm[i]);
        const int32_t product = pcm[i] * pcm[i - 1];
        sum += pcm[i];
        square_low += square & 0xFFFFu;
        square_high += square >> 16;
        product_low += (uint32_t)product & 0xFFFFu;
        product_high += product >> 16; /* rounds down, as the halves want it */
    }
    const int64_t before = meter->last;
    const int64_t squares = ((int64_t)square_high << 16) + square_low;
    const int64_t products = (int64_t)product_high * 65536 + product_low + first * before;
    meter->last = last;
    meter->sum += sum;
    meter->squares += squares;
    meter->steps += squares + (squares - (int64_t)last * last + before * before) - 2 * products;
}

static float lower(float a, float b)
{
    return a < b ? a : b;
}

/* Judge the block that is complete. */
static void judge(struct dv_meter *meter)
{
    const float mean = (float)meter->sum * meter->share;
    /* The offset of a cheap microphone. Not the block's own mean: that is half of what a hum is. */
    meter->offset += (mean - meter->offset) * (meter->blocks == 0 ? 1.0f : OFFSET_SHARE);
    const float power[2] = {
        (float)meter->squares * meter->share - meter->offset * (2.0f * mean - meter->offset),
        (float)meter->steps * meter->share,
    };
    float floor[2];
    for (int i = 0; i < 2; i++) {
        if (power[0] > SILENCE) {
            meter->floor_now[i] = lower(meter->floor_now[i], power[i]);
        }
        floor[i] = lower(meter->floor_now[i], meter->floor_before[i]);
    }
    /* For a sine, differences over squares are its frequency, squared, in radians per sample; for any other
     * sound, that of the centre of its spectrum. Of interest is that of what stands out from the floor. */
    const float extra = power[0] - floor[0];
    const float pitch = (power[1] - WAVERS * floor[1]) * meter->pitch_scale;
    const int like_a_voice = power[0] > AUDIBLE && power[0] > STANDS_OUT * floor[0] &&
                             pitch > PITCH_MIN_HZ * PITCH_MIN_HZ * extra &&
                             pitch < PITCH_MAX_HZ * PITCH_MAX_HZ * extra;
    meter->loud_blocks = like_a_voice ? meter->loud_blocks + 1 : 0;
    if (meter->loud_blocks >= ONSET_BLOCKS) {
        meter->loud_blocks = ONSET_BLOCKS;
        meter->hold_blocks = HOLD_BLOCKS;
    } else if (meter->hold_blocks > 0) {
        meter->hold_blocks--;
    }
    if (++meter->blocks > FLOOR_BLOCKS) {
        meter->blocks = 1;
        for (int i = 0; i < 2; i++) {
            meter->floor_before[i] = meter->floor_now[i];
            meter->floor_now[i] = NOT_YET;
        }
    }
    meter->block_filled = 0;
    meter->sum = 0;
    meter->squares = 0;
    meter->steps = 0;
}

enum dv_status dv_meter_measure(struct dv_meter *meter, const int16_t *pcm, size_t samples, struct dv_level *out)
{
    if (meter == NULL || pcm == NULL || out == NULL || samples == 0) {
        return DV_ERR_ARGUMENT;
    }
    if (meter->magic != METER_MAGIC) {
        return DV_ERR_UNINITIALISED;
    }
    if (samples > DV_PCM_MAX_SAMPLES) {
        return DV_ERR_TOO_LONG;
    }
    int16_t low = 0;
    int16_t high = 0;
    int64_t squares = 0;
    uint32_t voice = 0;
    int judged = 0;
    for (size_t at = 0; at < samples;) {
        const size_t room = meter->block_samples - meter->block_filled;
        const size_t left = samples - at;
        const size_t run = left < room ? left : room;
        squares += add_level(pcm + at, run, &low, &high);
        if (meter->thin_shift == 0) {
            add_block(meter, pcm + at, run);
        } else {
            int16_t thinned[BLOCK_MAX_SAMPLES / 2 + 1];
            add_block(meter, thinned, thin(meter, pcm + at, run, thinned));
        }
        meter->block_filled += (uint32_t)run;
        at += run;
        if (meter->block_filled == meter->block_samples) {
            judge(meter);
            judged = 1;
            voice |= meter->hold_blocks > 0;
        }
    }
    out->mean_square = (float)((double)squares / (double)samples / (32768.0 * 32768.0));
    out->peak = (uint32_t)(-low > high ? -low : high);
    out->voice = judged ? voice : meter->hold_blocks > 0;
    return DV_OK;
}

double dv_level_rms_dbfs(const struct dv_level *level)
{
    const double power = level == NULL ? 0.0 : (double)level->mean_square;
    const double dbfs = power > 0.0 ? 10.0 * log10(power) : DBFS_MIN;
    return dbfs > DBFS_MIN ? dbfs : DBFS_MIN;
}

double dv_level_peak_dbfs(const struct dv_level *level)
{
    const double peak = level == NULL ? 0.0 : (double)level->peak;
    return peak > 0.0 ? 20.0 * log10(peak / 32768.0) : DBFS_MIN;
}
