/* Write the seeds of the fuzz corpora: `make corpus` runs it as `make_corpus corpus`. The committed
 * seeds are its output; the Opus bytes depend a little on the libopus that made them, their shapes do not.
 * New findings are added beside them by hand, under a name that says what they showed. */
#include "dv_voice.h"

#include <math.h>
#include <opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED_CAP = 65536, PACKET_CAP = 4096, FRAME_CAP = 1276 };
enum { RECORD_HEADER = 4, DECODE = 0, CONCEAL, RESET, CONFIGURE, ENCODE }; /* of fuzz_decode.c */

static uint8_t seed[SEED_CAP];
static size_t seed_len;

static void require(int holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "make_corpus: %s\n", what);
        exit(1);
    }
}

static void write_file(const char *root, const char *target, const char *name, const uint8_t *data, size_t len)
{
    char path[512];
    const int n = snprintf(path, sizeof path, "%s/%s/%s", root, target, name);
    require(n > 0 && (size_t)n < sizeof path, "path too long");
    FILE *file = fopen(path, "wb");
    require(file != NULL, path);
    require(fwrite(data, 1, len, file) == len && fclose(file) == 0, path);
}

static void begin_decode_seed(uint8_t rate_index)
{
    seed[0] = rate_index;
    seed_len = 1;
}

static void add_operation(uint8_t operation, uint32_t number)
{
    seed[seed_len] = operation;
    seed[seed_len + 1] = 255;
    seed[seed_len + 2] = (uint8_t)(number >> 8);
    seed[seed_len + 3] = (uint8_t)number;
    seed_len += RECORD_HEADER;
}

static void add_packet(const uint8_t *packet, size_t len)
{
    require(len <= UINT16_MAX && seed_len + RECORD_HEADER + len <= sizeof seed, "seed too long");
    add_operation(DECODE, (uint32_t)len);
    memcpy(seed + seed_len, packet, len);
    seed_len += len;
}

static void write_tone(int16_t *pcm, int samples, int channels, int start, int rate_hz)
{
    for (int i = 0; i < samples; i++) {
        const double value = 7000.0 * sin(6.283185307179586 * 310.0 * (double)(start + i) / (double)rate_hz);
        for (int c = 0; c < channels; c++) {
            pcm[i * channels + c] = (int16_t)lrint(value);
        }
    }
}

/* A packet as a foreign encoder makes it: `frames` frames, packed as Opus code 0 to 3, perhaps padded. */
static size_t foreign_packet(uint8_t *out, int application, int rate_hz, int channels, int frame, int frames,
                             int padded_len)
{
    static uint8_t opus[48][FRAME_CAP];
    static int16_t pcm[2 * DV_DECODE_MAX_SAMPLES];
    int error = OPUS_OK;
    OpusEncoder *encoder = opus_encoder_create(rate_hz, channels, application, &error);
    OpusRepacketizer *repacketizer = opus_repacketizer_create();
    require(encoder != NULL && repacketizer != NULL && frames <= 48, "libopus");
    require(opus_encoder_ctl(encoder, OPUS_SET_BITRATE(16000 * channels)) == OPUS_OK, "bitrate");
    require(opus_encoder_ctl(encoder, OPUS_SET_BANDWIDTH(OPUS_BANDWIDTH_NARROWBAND)) == OPUS_OK, "bandwidth");
    require(opus_encoder_ctl(encoder, OPUS_SET_FORCE_CHANNELS(channels)) == OPUS_OK, "channels");
    for (int n = 0; n < frames + 5; n++) { /* the first five let its mode settle */
        uint8_t *slot = opus[n < 5 ? 0 : n - 5];
        write_tone(pcm, frame, channels, n * frame, rate_hz);
        const opus_int32 len = opus_encode(encoder, pcm, frame, slot, FRAME_CAP);
        require(len > 0, "encode");
        require(n < 5 || opus_repacketizer_cat(repacketizer, slot, len) == OPUS_OK, "repacketize");
    }
    const struct dv_packet_header header = {1001, 7};
    require(dv_packet_write_header(&header, out, PACKET_CAP) == DV_HEADER_BYTES, "header");
    opus_int32 len = opus_repacketizer_out(repacketizer, out + DV_HEADER_BYTES, PACKET_CAP - DV_HEADER_BYTES);
    require(len > 0, "repacketizer out");
    if (padded_len > len) {
        require(opus_packet_pad(out + DV_HEADER_BYTES, len, padded_len) == OPUS_OK, "pad");
        len = padded_len;
    }
    opus_encoder_destroy(encoder);
    opus_repacketizer_destroy(repacketizer);
    return DV_HEADER_BYTES + (size_t)len;
}

static void write_packet_seeds(const char *root)
{
    static const uint8_t first[] = {1, 0, 0, 0x03, 0xE9, 0, 0, 0, 1, 0x48, 0x0B, 0xE4, 0xC1, 0x36, 0xEC, 0xC5, 0x80};
    static const uint8_t greatest[] = {1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x58, 0};
    static const uint8_t image[] = {2, 0, 0, 0x23, 0x29, 0, 0, 0, 2, 0xFF, 0xD8, 0xFF, 0xE0};
    static const uint8_t header_only[] = {1, 0, 0, 0, 1, 0, 0, 0, 0};
    write_file(root, "packet", "first_of_stream", first, sizeof first);
    write_file(root, "packet", "greatest_ids", greatest, sizeof greatest);
    write_file(root, "packet", "image", image, sizeof image);
    write_file(root, "packet", "header_only", header_only, sizeof header_only);
    write_file(root, "packet", "empty", header_only, 0);
}

/* Six packets of our own encoder, so that the decoder has a past. */
static void write_own_stream(const char *root, uint8_t rate_index, uint32_t rate_hz, uint32_t frame_us)
{
    static int16_t pcm[DV_DECODE_MAX_SAMPLES];
    uint8_t packet[DV_ENCODE_MAX_BYTES];
    const int samples = (int)(rate_hz / 1000 * (frame_us / 100) / 10);
    void *block = aligned_alloc(DV_CODEC_ALIGN, dv_codec_size());
    require(block != NULL && dv_codec_init(block, dv_codec_size(), rate_hz, frame_us, 1, 1, NULL) == DV_OK, "codec");
    begin_decode_seed(rate_index);
    for (uint32_t n = 0; n < 6; n++) {
        write_tone(pcm, samples, 1, (int)n * samples, (int)rate_hz);
        const int32_t len =
            dv_codec_encode_packet(block, 22695, n, pcm, (size_t)samples, packet, sizeof packet);
        require(len > 0, "encode_packet");
        add_packet(packet, (size_t)len);
    }
    free(block);
    char name[64];
    (void)snprintf(name, sizeof name, "own_%uhz_%uus", (unsigned)rate_hz, (unsigned)frame_us);
    write_file(root, "decode", name, seed, seed_len);
}

static void write_foreign(const char *root, const char *name, int application, int rate_hz, int channels, int frame,
                          int frames, int padded_len)
{
    uint8_t packet[PACKET_CAP];
    const size_t len = foreign_packet(packet, application, rate_hz, channels, frame, frames, padded_len);
    begin_decode_seed(2);
    add_packet(packet, len);
    write_file(root, "decode", name, seed, seed_len);
}

static void write_malformed(const char *root)
{
    static const uint8_t payloads[][4] = {
        {0x48},             /* 20 ms with nothing in it: legal */
        {0x4B},             /* code 3 without its count */
        {0x4B, 0},          /* no frames */
        {0x4B, 7},          /* 140 ms */
        {0x49, 5},          /* two equal frames in one byte */
        {0x4A, 9, 5},       /* a frame longer than the packet */
        {0x4B, 0x41, 0xFF, 0xFF}, /* padding longer than the packet */
        {0x4B, 0x82, 3, 1}, /* two frames of differing length, the first too long */
    };
    static const size_t lens[] = {1, 1, 2, 2, 2, 3, 4, 4};
    uint8_t packet[DV_HEADER_BYTES + sizeof payloads[0]] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    begin_decode_seed(2);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        memcpy(packet + DV_HEADER_BYTES, payloads[i], lens[i]);
        add_packet(packet, DV_HEADER_BYTES + lens[i]);
    }
    packet[0] = 2;
    add_packet(packet, DV_PACKET_MIN_BYTES);
    add_packet(packet, DV_HEADER_BYTES);
    write_file(root, "decode", "malformed", seed, seed_len);
}

/* The other operations of a codec, around packets of its own. */
static void write_life(const char *root)
{
    static const struct {
        uint8_t operation;
        uint32_t number;
    } life[] = {
        {CONCEAL, 8},    {ENCODE, 9000},   {CONCEAL, 8},     {CONCEAL, 48},  {RESET, 0},
        {CONCEAL, 1},    {ENCODE, 32767},  {CONFIGURE, 0x8F20}, {ENCODE, 32767}, {CONCEAL, 20000},
        {CONFIGURE, 3},  {CONFIGURE, 450}, {ENCODE, 0},      {ENCODE, 65535}, {CONCEAL, 49},
    };
    for (uint8_t rate_index = 0; rate_index < 5; rate_index++) {
        begin_decode_seed(rate_index);
        for (size_t i = 0; i < sizeof life / sizeof life[0]; i++) {
            add_operation(life[i].operation, life[i].number);
        }
        char name[64];
        (void)snprintf(name, sizeof name, "life_at_rate_%u", (unsigned)rate_index);
        write_file(root, "decode", name, seed, seed_len);
    }
}

static void write_resampler_seeds(const char *root)
{
    static const struct {
        const char *name;
        uint8_t bytes[4 + 4 * 3];
    } seeds[] = {
        /* rates, sound, then drift and samples */
        {"card_48000_to_16000", {8, 3, 0x12, 0x34, 128, 3, 0xC0, 128, 3, 0xC0, 128, 3, 0xC0, 128, 0, 0}},
        {"card_16000_to_48000", {3, 8, 0x12, 0x34, 128, 1, 0x40, 128, 1, 0x40, 128, 0, 1, 128, 1, 0x40}},
        {"card_44100_to_16000", {7, 3, 0xFF, 0xFF, 128, 3, 0x72, 228, 3, 0x72, 28, 3, 0x72, 128, 3, 0x72}},
        {"drift_of_16000", {3, 3, 0x01, 0x02, 228, 7, 0xD0, 28, 7, 0xD0, 255, 7, 0xD0, 0, 7, 0xD0}},
        {"furthest_down", {14, 0, 0x80, 0x00, 128, 7, 0xD0, 228, 7, 0xD0, 28, 0, 1, 128, 0, 25}},
        {"furthest_up", {0, 14, 0x00, 0x80, 128, 0, 1, 128, 0, 1, 28, 0, 100, 228, 0, 3}},
        {"odd_rates", {9, 10, 0x33, 0x77, 130, 2, 0x01, 126, 0, 0, 129, 1, 0xFF, 127, 0, 7}},
    };
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        write_file(root, "resampler", seeds[i].name, seeds[i].bytes, sizeof seeds[i].bytes);
    }
}

int main(int argc, char **argv)
{
    require(argc == 2, "usage: make_corpus DIRECTORY");
    const char *root = argv[1];
    write_packet_seeds(root);

    write_own_stream(root, 0, 8000, 20000);
    write_own_stream(root, 1, 12000, 40000);
    write_own_stream(root, 2, 16000, 20000);
    write_own_stream(root, 2, 16000, 60000);
    write_own_stream(root, 3, 24000, 60000);
    write_own_stream(root, 4, 48000, 2500);
    write_own_stream(root, 4, 48000, 60000);

    write_foreign(root, "speech_code1", OPUS_APPLICATION_VOIP, 16000, 1, 320, 2, 0);
    write_foreign(root, "speech_code3_120ms", OPUS_APPLICATION_VOIP, 16000, 1, 960, 2, 0);
    write_foreign(root, "music_stereo_3x20ms", OPUS_APPLICATION_AUDIO, 48000, 2, 960, 3, 0);
    write_foreign(root, "music_48_frames", OPUS_APPLICATION_RESTRICTED_LOWDELAY, 48000, 1, 120, 48, 0);
    write_foreign(root, "padded", OPUS_APPLICATION_VOIP, 16000, 1, 320, 1, 700);
    write_malformed(root);
    write_life(root);
    write_resampler_seeds(root);
    return 0;
}
