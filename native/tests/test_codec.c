/* Tests of dv_codec.c: sound survives the way there and back, every refusal is the documented one and
 * writes nothing, and a packet decodes by what it is, not by what was announced. */
#include "dv_voice.h"

#include "check.h"
#include "codecs.h"

#include <opus.h>
#include <stdlib.h>

/* Half a second of a 440 Hz tone through one codec; the last quarter comes back as loud as it went in. */
static void check_round_trip(uint32_t rate_hz, uint32_t frame_us)
{
    const size_t samples = frame_samples(rate_hz, frame_us);
    const uint32_t packets = 500000u / frame_us;
    struct dv_codec *codec = new_codec(rate_hz, frame_us);
    double sent = 0;
    double heard = 0;
    for (uint32_t n = 0; n < packets; n++) {
        int16_t pcm[DV_DECODE_MAX_SAMPLES];
        int16_t decoded[DV_DECODE_MAX_SAMPLES];
        uint8_t packet[DV_ENCODE_MAX_BYTES];
        struct dv_packet_header header = {0, 0};
        write_sine(pcm, samples, n * samples, 440.0, rate_hz, 8000.0);
        const int32_t len = dv_codec_encode_packet(codec, 22695, n, pcm, samples, packet, sizeof packet);
        assert(len >= DV_PACKET_MIN_BYTES && len <= DV_ENCODE_MAX_BYTES);
        assert(packet[0] == 1);
        /* Exact-size copies, so that a sanitizer sees the first byte and the first sample too far. */
        uint8_t *exact = malloc((size_t)len);
        int16_t *exact_pcm = malloc(samples * sizeof *exact_pcm);
        assert(exact != NULL && exact_pcm != NULL);
        memcpy(exact, packet, (size_t)len);
        const int32_t count = dv_codec_decode_packet(codec, exact, (size_t)len, &header, exact_pcm, samples);
        assert(count == (int32_t)samples);
        assert(header.stream_id == 22695 && header.packet_id == n);
        memcpy(decoded, exact_pcm, samples * sizeof *decoded);
        free(exact);
        free(exact_pcm);
        if (n >= packets / 2) {
            sent += energy(pcm, samples);
            heard += energy(decoded, samples);
        }
    }
    assert(heard > 0.7 * sent && heard < 1.4 * sent);
    free(codec);
}

static void test_sound_survives_at_every_rate_and_frame(void)
{
    for (size_t r = 0; r < (briefly() ? 1 : COUNT_OF(RATES_HZ)); r++) {
        for (size_t f = 0; f < COUNT_OF(FRAMES_US); f++) {
            check_round_trip(RATES_HZ[r], FRAMES_US[f]);
        }
    }
}

static void refuse_init(size_t offset, size_t cap, uint32_t rate_hz, uint32_t frame_us,
                        const struct dv_codec_settings *settings, enum dv_status expected)
{
    const size_t size = dv_codec_size() + DV_CODEC_ALIGN;
    uint8_t *block = new_block(size);
    memset(block, 0xA5, size);
    assert(dv_codec_init(block + offset, cap, rate_hz, frame_us, 1, 1, settings) == expected);
    assert(all_bytes_are(block, size, 0xA5));
    free(block);
}

static void test_init_refuses_and_writes_nothing(void)
{
    const size_t size = dv_codec_size();
    assert(size > DV_ENCODE_MAX_BYTES && size < 512 * 1024);
    assert(dv_codec_init(NULL, size, 16000, 20000, 1, 1, NULL) == DV_ERR_ARGUMENT);

    static const uint32_t bad_rates[] = {0, 1, 11025, 15999, 16001, 22050, 32000, 44100, 96000, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(bad_rates); i++) {
        refuse_init(0, size, bad_rates[i], 20000, NULL, DV_ERR_SAMPLE_RATE);
    }
    static const uint32_t bad_frames[] = {0, 1, 20, 2499, 19999, 20001, 30000, 80000, 120000, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(bad_frames); i++) {
        refuse_init(0, size, 16000, bad_frames[i], NULL, DV_ERR_FRAME_SIZE);
    }
    for (size_t offset = 1; offset < DV_CODEC_ALIGN; offset++) {
        refuse_init(offset, size, 16000, 20000, NULL, DV_ERR_ALIGNMENT);
    }
    refuse_init(0, 0, 16000, 20000, NULL, DV_ERR_CAPACITY);
    refuse_init(0, size - 1, 16000, 20000, NULL, DV_ERR_CAPACITY);

    struct dv_codec_settings settings;
    dv_codec_settings_default(NULL);
    static const uint32_t bad_bitrates[] = {1, 5999, 300001, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(bad_bitrates); i++) {
        dv_codec_settings_default(&settings);
        settings.bitrate_bps = bad_bitrates[i];
        refuse_init(0, size, 16000, 20000, &settings, DV_ERR_ARGUMENT);
    }
    dv_codec_settings_default(&settings);
    settings.complexity = 11;
    refuse_init(0, size, 16000, 20000, &settings, DV_ERR_ARGUMENT);
    dv_codec_settings_default(&settings);
    settings.signal = (enum dv_signal)2;
    refuse_init(0, size, 16000, 20000, &settings, DV_ERR_ARGUMENT);
    static const int32_t bad_gains[] = {401, -401, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(bad_gains); i++) {
        dv_codec_settings_default(&settings);
        settings.send_gain_tenths_db = bad_gains[i];
        refuse_init(0, size, 16000, 20000, &settings, DV_ERR_ARGUMENT);
        dv_codec_settings_default(&settings);
        settings.receive_gain_tenths_db = bad_gains[i];
        refuse_init(0, size, 16000, 20000, &settings, DV_ERR_ARGUMENT);
    }
    uint8_t *block = new_block(size);
    memset(block, 0xA5, size);
    static const struct {
        uint32_t frame_us, frames, channels;
        enum dv_status status;
    } bad[] = {
        {20000, 0, 1, DV_ERR_FRAME_SIZE},  {20000, 7, 1, DV_ERR_FRAME_SIZE}, {60000, 3, 1, DV_ERR_FRAME_SIZE},
        {2500, 49, 1, DV_ERR_FRAME_SIZE},  {40000, 4, 1, DV_ERR_FRAME_SIZE}, {20000, UINT32_MAX, 1, DV_ERR_FRAME_SIZE},
        {20000, 1, 0, DV_ERR_ARGUMENT},    {20000, 1, 3, DV_ERR_ARGUMENT},   {20000, 1, UINT32_MAX, DV_ERR_ARGUMENT},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert(dv_codec_init(block, size, 16000, bad[i].frame_us, bad[i].frames, bad[i].channels, NULL) ==
               bad[i].status);
    }
    assert(all_bytes_are(block, size, 0xA5));
    free(block);
}

static void test_init_stays_inside_its_size(void)
{
    const size_t size = dv_codec_size();
    uint8_t *block = new_block(size + 64);
    memset(block, 0xA5, size + 64);
    assert(dv_codec_init(block, SIZE_MAX, 48000, 60000, 1, 1, NULL) == DV_OK);
    int16_t pcm[2880];
    uint8_t packet[DV_ENCODE_MAX_BYTES];
    struct dv_packet_header header;
    write_sine(pcm, COUNT_OF(pcm), 0, 700.0, 48000.0, 9000.0);
    struct dv_codec *codec = (struct dv_codec *)(void *)block;
    const int32_t len = dv_codec_encode_packet(codec, 1, 1, pcm, COUNT_OF(pcm), packet, sizeof packet);
    assert(len > 0);
    assert(dv_codec_decode_packet(codec, packet, (size_t)len, &header, pcm, COUNT_OF(pcm)) == 2880);
    assert(all_bytes_are(block + size, 64, 0xA5));
    free(block);
}

static int32_t tone_packet_len(const struct dv_codec_settings *settings, uint8_t *packet, size_t packet_cap)
{
    void *block = new_block(dv_codec_size());
    assert(dv_codec_init(block, dv_codec_size(), 16000, 20000, 1, 1, settings) == DV_OK);
    int32_t len = 0;
    for (size_t n = 0; n < 10; n++) {
        int16_t pcm[320];
        write_sine(pcm, COUNT_OF(pcm), n * COUNT_OF(pcm), 500.0 + 100.0 * (double)n, 16000.0, 9000.0);
        len = dv_codec_encode_packet(block, 1, 1, pcm, COUNT_OF(pcm), packet, packet_cap);
        assert(len > 0);
    }
    free(block);
    return len;
}

static void test_settings_reach_the_encoder(void)
{
    uint8_t by_default[DV_ENCODE_MAX_BYTES];
    uint8_t spelt_out[DV_ENCODE_MAX_BYTES];
    uint8_t rich[DV_ENCODE_MAX_BYTES];
    struct dv_codec_settings settings;
    dv_codec_settings_default(&settings);
    assert(settings.bitrate_bps == 24000 && settings.complexity == 5 && settings.signal == DV_SIGNAL_VOICE);
    const int32_t len = tone_packet_len(NULL, by_default, sizeof by_default);
    assert(tone_packet_len(&settings, spelt_out, sizeof spelt_out) == len);
    assert(memcmp(by_default, spelt_out, (size_t)len) == 0);
    settings.bitrate_bps = 96000;
    assert(tone_packet_len(&settings, rich, sizeof rich) > 2 * len);
    settings.bitrate_bps = 0;
    settings.complexity = 0;
    settings.signal = DV_SIGNAL_AUTO;
    assert(tone_packet_len(&settings, rich, sizeof rich) > 0);
}

static void test_voice_at_high_complexity_stays_speech(void)
{
    struct dv_codec_settings settings;
    dv_codec_settings_default(&settings);
    settings.complexity = 10;
    uint8_t packet[DV_ENCODE_MAX_BYTES];
    assert(tone_packet_len(&settings, packet, sizeof packet) > 0);
    assert(packet[DV_HEADER_BYTES] >> 3 < 12); /* TOC configurations 0 to 11 are SILK, Opus's speech coder */
}

static void test_silence_still_gives_a_packet(void)
{
    struct dv_codec *codec = new_codec(16000, 20000);
    const int16_t silence[320] = {0};
    uint8_t packet[DV_ENCODE_MAX_BYTES];
    for (uint32_t n = 0; n < 100; n++) {
        /* Discontinuous transmission would fall to a lone TOC byte after some 200 ms. */
        assert(dv_codec_encode_packet(codec, 1, n, silence, 320, packet, sizeof packet) > DV_PACKET_MIN_BYTES + 1);
    }
    free(codec);
}

static void test_encode_refuses_and_writes_nothing(void)
{
    struct dv_codec *codec = new_codec(16000, 20000);
    int16_t pcm[321];
    uint8_t out[DV_ENCODE_MAX_BYTES];
    write_sine(pcm, COUNT_OF(pcm), 0, 440.0, 16000.0, 8000.0);
    memset(out, 0xA5, sizeof out);

    static const size_t bad_samples[] = {
        0, 1, 160, 319, 321, 640, 65536 + 320, SIZE_MAX / 2 + 1, SIZE_MAX,
#if SIZE_MAX > UINT32_MAX
        (size_t)UINT32_MAX + 1 + 320, /* 320, were it cut to 32 bits */
#endif
    };
    for (size_t i = 0; i < COUNT_OF(bad_samples); i++) {
        assert(dv_codec_encode_packet(codec, 1, 1, pcm, bad_samples[i], out, sizeof out) == DV_ERR_FRAME_SIZE);
    }
    static const size_t bad_caps[] = {0, 1, 9, 10, 1276, 3841, DV_ENCODE_MAX_BYTES - 1};
    for (size_t i = 0; i < COUNT_OF(bad_caps); i++) {
        assert(dv_codec_encode_packet(codec, 1, 1, pcm, 320, out, bad_caps[i]) == DV_ERR_CAPACITY);
    }
    assert(dv_codec_encode_packet(NULL, 1, 1, pcm, 320, out, sizeof out) == DV_ERR_ARGUMENT);
    assert(dv_codec_encode_packet(codec, 1, 1, NULL, 320, out, sizeof out) == DV_ERR_ARGUMENT);
    assert(dv_codec_encode_packet(codec, 1, 1, pcm, 320, NULL, sizeof out) == DV_ERR_ARGUMENT);
    assert(all_bytes_are(out, sizeof out, 0xA5));

    /* None of that touched the encoder: it goes on exactly as a fresh one. */
    struct dv_codec *fresh = new_codec(16000, 20000);
    uint8_t expected[DV_ENCODE_MAX_BYTES];
    const int32_t len = dv_codec_encode_packet(fresh, 1, 1, pcm, 320, expected, sizeof expected);
    assert(dv_codec_encode_packet(codec, 1, 1, pcm, 320, out, SIZE_MAX) == len);
    assert(memcmp(out, expected, (size_t)len) == 0);
    assert(all_bytes_are(out + len, sizeof out - (size_t)len, 0xA5));
    free(fresh);
    free(codec);
}

static void test_a_block_is_no_codec_before_init(void)
{
    void *block = new_block(dv_codec_size());
    memset(block, 0, dv_codec_size());
    int16_t pcm[320] = {0};
    uint8_t packet[DV_ENCODE_MAX_BYTES] = {1};
    struct dv_packet_header header;
    assert(dv_codec_encode_packet(block, 1, 1, pcm, 320, packet, sizeof packet) == DV_ERR_UNINITIALISED);
    assert(dv_codec_decode_packet(block, packet, 10, &header, pcm, 320) == DV_ERR_UNINITIALISED);
    assert(dv_codec_conceal(block, 20000, pcm, 320) == DV_ERR_UNINITIALISED);
    assert(dv_codec_reset_decoder(block) == DV_ERR_UNINITIALISED);
    struct dv_codec_settings settings;
    struct dv_level level;
    dv_codec_settings_default(&settings);
    assert(dv_codec_configure(block, &settings) == DV_ERR_UNINITIALISED);
    assert(dv_codec_sent_level(block, &level) == DV_ERR_UNINITIALISED);
    assert(dv_codec_heard_level(block, &level) == DV_ERR_UNINITIALISED);
    assert(dv_codec_conceal(NULL, 20000, pcm, 320) == DV_ERR_ARGUMENT);
    assert(dv_codec_conceal(block, 20000, NULL, 320) == DV_ERR_ARGUMENT);
    assert(dv_codec_reset_decoder(NULL) == DV_ERR_ARGUMENT);
    assert(dv_codec_sent_level(NULL, &level) == DV_ERR_ARGUMENT);
    assert(dv_codec_heard_level(block, NULL) == DV_ERR_ARGUMENT);
    free(block);
}

static void refuse_decode(const uint8_t *in, size_t in_len, size_t pcm_cap, int32_t expected)
{
    struct dv_codec *codec = new_codec(16000, 20000);
    int16_t pcm[1920];
    struct dv_packet_header header;
    memset(pcm, 0xA5, sizeof pcm);
    memset(&header, 0xA5, sizeof header);
    assert(pcm_cap <= COUNT_OF(pcm));
    assert(dv_codec_decode_packet(codec, in, in_len, &header, pcm, pcm_cap) == expected);
    assert(all_bytes_are(pcm, sizeof pcm, 0xA5));
    assert(all_bytes_are(&header, sizeof header, 0xA5));
    free(codec);
}

static void test_decode_refuses_and_writes_nothing(void)
{
    static const uint8_t lone_toc[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0x48};       /* 20 ms, nothing in it: legal */
    static const uint8_t image[] = {2, 0, 0, 0, 1, 0, 0, 0, 1, 0x48};
    static const uint8_t no_count[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0x4B};       /* code 3 without its count */
    static const uint8_t no_frames[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0x4B, 0};   /* code 3, count 0 */
    static const uint8_t too_much[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0x4B, 7};    /* seven times 20 ms */
    static const uint8_t odd_pair[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0x49, 5};    /* two equal frames in one byte */
    static const uint8_t past_end[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0x4A, 9, 5}; /* first frame longer than all */
    static const uint8_t padding[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0x4B, 0x41, 0xFF, 0xFF}; /* padding past the end */

    for (size_t len = 0; len < DV_PACKET_MIN_BYTES; len++) {
        refuse_decode(lone_toc, len, 1920, DV_ERR_TOO_SHORT);
    }
    refuse_decode(lone_toc, DV_PACKET_MAX_BYTES + 1, 1920, DV_ERR_TOO_LONG);
    refuse_decode(lone_toc, (size_t)INT32_MAX + 1 + DV_HEADER_BYTES, 1920, DV_ERR_TOO_LONG);
    refuse_decode(lone_toc, SIZE_MAX, 1920, DV_ERR_TOO_LONG);
    refuse_decode(image, sizeof image, 1920, DV_ERR_TYPE);
    refuse_decode(no_count, sizeof no_count, 1920, DV_ERR_PAYLOAD);
    refuse_decode(no_frames, sizeof no_frames, 1920, DV_ERR_PAYLOAD);
    refuse_decode(too_much, sizeof too_much, 1920, DV_ERR_PAYLOAD);
    refuse_decode(odd_pair, sizeof odd_pair, 1920, DV_ERR_PAYLOAD);
    refuse_decode(past_end, sizeof past_end, 1920, DV_ERR_PAYLOAD);
    refuse_decode(padding, sizeof padding, 1920, DV_ERR_PAYLOAD);
    refuse_decode(lone_toc, sizeof lone_toc, 0, DV_ERR_CAPACITY);
    refuse_decode(lone_toc, sizeof lone_toc, 319, DV_ERR_CAPACITY);

    struct dv_codec *codec = new_codec(16000, 20000);
    int16_t pcm[320];
    struct dv_packet_header header;
    assert(dv_codec_decode_packet(NULL, lone_toc, sizeof lone_toc, &header, pcm, 320) == DV_ERR_ARGUMENT);
    assert(dv_codec_decode_packet(codec, NULL, sizeof lone_toc, &header, pcm, 320) == DV_ERR_ARGUMENT);
    assert(dv_codec_decode_packet(codec, lone_toc, sizeof lone_toc, NULL, pcm, 320) == DV_ERR_ARGUMENT);
    assert(dv_codec_decode_packet(codec, lone_toc, sizeof lone_toc, &header, NULL, 320) == DV_ERR_ARGUMENT);
    assert(dv_codec_decode_packet(codec, lone_toc, sizeof lone_toc, &header, pcm, SIZE_MAX) == 320);
    free(codec);
}

/* Write a packet of `frames` Opus frames from libopus's own encoder and repacketizer; returns its length. */
static size_t peer_packet(uint8_t *out, int rate_hz, int channels, int frame, int frames, int padded_len)
{
    enum { FRAME_CAP = 1276 };
    static uint8_t opus[48][FRAME_CAP];
    int error = OPUS_OK;
    OpusEncoder *encoder = opus_encoder_create(rate_hz, channels, OPUS_APPLICATION_AUDIO, &error);
    OpusRepacketizer *repacketizer = opus_repacketizer_create();
    assert(encoder != NULL && repacketizer != NULL && error == OPUS_OK);
    assert(frames <= 48 && frame * channels <= DV_DECODE_MAX_SAMPLES);
    /* Frames of one packet share one configuration, so the encoder may not change its mind in between. */
    assert(opus_encoder_ctl(encoder, OPUS_SET_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND)) == OPUS_OK);
    assert(opus_encoder_ctl(encoder, OPUS_SET_FORCE_CHANNELS(channels)) == OPUS_OK);
    assert(opus_encoder_ctl(encoder, OPUS_SET_BITRATE(64000)) == OPUS_OK);
    static int16_t pcm[DV_DECODE_MAX_SAMPLES];
    for (int n = 0; n < frames + 5; n++) { /* the first five let its mode settle */
        write_sine(pcm, (size_t)(frame * channels), (size_t)(n * frame * channels), 300.0, rate_hz, 7000.0);
        uint8_t *slot = opus[n < 5 ? 0 : n - 5];
        const opus_int32 len = opus_encode(encoder, pcm, frame, slot, FRAME_CAP);
        assert(len > 0);
        if (n >= 5) {
            assert(opus_repacketizer_cat(repacketizer, slot, len) == OPUS_OK);
        }
    }
    memset(out, 0, DV_HEADER_BYTES);
    out[0] = 1;
    opus_int32 len = opus_repacketizer_out(repacketizer, out + DV_HEADER_BYTES, DV_PACKET_MAX_BYTES - DV_HEADER_BYTES);
    assert(len > 0);
    if (padded_len > len) {
        assert(opus_packet_pad(out + DV_HEADER_BYTES, len, padded_len) == OPUS_OK);
        len = padded_len;
    }
    opus_encoder_destroy(encoder);
    opus_repacketizer_destroy(repacketizer);
    return DV_HEADER_BYTES + (size_t)len;
}

static void test_a_packet_decodes_by_what_it_is(void)
{
    static const struct {
        int rate_hz, channels, frame, frames, padded_len;
        int32_t ms_tenths;
    } peers[] = {
        {48000, 1, 120, 1, 0, 25},     {48000, 1, 120, 48, 0, 1200}, {48000, 2, 960, 1, 0, 200},
        {48000, 2, 960, 6, 0, 1200},   {16000, 1, 320, 3, 0, 600},   {16000, 1, 960, 2, 0, 1200},
        {8000, 1, 160, 2, 0, 400},     {24000, 1, 480, 3, 4000, 600}, {12000, 1, 120, 1, 60000, 100},
        {16000, 1, 320, 1, DV_PACKET_MAX_BYTES - DV_HEADER_BYTES, 200},
    };
    uint8_t *packet = malloc(DV_PACKET_MAX_BYTES);
    assert(packet != NULL);
    for (size_t i = 0; i < COUNT_OF(peers); i++) {
        const size_t len = peer_packet(packet, peers[i].rate_hz, peers[i].channels, peers[i].frame, peers[i].frames,
                                       peers[i].padded_len);
        for (size_t r = 0; r < COUNT_OF(RATES_HZ); r++) {
            struct dv_codec *codec = new_codec(RATES_HZ[r], 20000);
            int16_t pcm[DV_DECODE_MAX_SAMPLES];
            struct dv_packet_header header;
            const int32_t expected = (int32_t)RATES_HZ[r] / 1000 * peers[i].ms_tenths / 10;
            assert(dv_codec_decode_packet(codec, packet, len, &header, pcm, COUNT_OF(pcm)) == expected);
            assert(dv_codec_decode_packet(codec, packet, len, &header, pcm, (size_t)expected) == expected);
            assert(dv_codec_decode_packet(codec, packet, len, &header, pcm, (size_t)expected - 1) ==
                   DV_ERR_CAPACITY);
            assert(energy(pcm, (size_t)expected) > 0);
            free(codec);
        }
    }
    free(packet);
}

static void test_a_copy_is_an_independent_codec(void)
{
    const size_t size = dv_codec_size();
    struct dv_codec *codec = new_codec(16000, 20000);
    int16_t pcm[320];
    uint8_t first[DV_ENCODE_MAX_BYTES];
    uint8_t second[DV_ENCODE_MAX_BYTES];
    write_sine(pcm, 320, 0, 440.0, 16000.0, 8000.0);
    assert(dv_codec_encode_packet(codec, 1, 1, pcm, 320, first, sizeof first) > 0);
    void *copy = new_block(size);
    memcpy(copy, codec, size);
    write_sine(pcm, 320, 320, 440.0, 16000.0, 8000.0);
    const int32_t len = dv_codec_encode_packet(codec, 1, 2, pcm, 320, first, sizeof first);
    memset(codec, 0xA5, size);
    free(codec);
    assert(dv_codec_encode_packet(copy, 1, 2, pcm, 320, second, sizeof second) == len);
    assert(memcmp(first, second, (size_t)len) == 0);
    free(copy);
}

static void test_garbage_does_not_end_a_call(void)
{
    struct dv_codec *codec = new_codec(16000, 20000);
    int16_t pcm[1920];
    uint8_t packet[DV_ENCODE_MAX_BYTES];
    struct dv_packet_header header;
    uint32_t noise = 1;
    for (uint32_t n = 0; n < 2000; n++) {
        const size_t len = DV_PACKET_MIN_BYTES + n % 90;
        for (size_t i = 0; i < len; i++) {
            noise = noise * 1664525u + 1013904223u;
            packet[i] = (uint8_t)(noise >> 24);
        }
        packet[0] = 1;
        const int32_t count = dv_codec_decode_packet(codec, packet, len, &header, pcm, COUNT_OF(pcm));
        assert(count > 0 || count == DV_ERR_PAYLOAD);
    }
    write_sine(pcm, 320, 0, 440.0, 16000.0, 8000.0);
    const int32_t len = dv_codec_encode_packet(codec, 1, 1, pcm, 320, packet, sizeof packet);
    assert(dv_codec_decode_packet(codec, packet, (size_t)len, &header, pcm, COUNT_OF(pcm)) == 320);
    free(codec);
}

int main(void)
{
    test_sound_survives_at_every_rate_and_frame();
    test_init_refuses_and_writes_nothing();
    test_init_stays_inside_its_size();
    test_settings_reach_the_encoder();
    test_voice_at_high_complexity_stays_speech();
    test_silence_still_gives_a_packet();
    test_encode_refuses_and_writes_nothing();
    test_a_block_is_no_codec_before_init();
    test_decode_refuses_and_writes_nothing();
    test_a_packet_decodes_by_what_it_is();
    test_a_copy_is_an_independent_codec();
    test_garbage_does_not_end_a_call();
    return 0;
}
