/* Tests of dv_codec.c in a conversation: packets of any shape, loss, other streams, other settings, loudness. */
#include "dv_voice.h"

#include "check.h"
#include "codecs.h"

#include <opus.h>
#include <stdlib.h>

static void check_voice(uint32_t rate_hz, uint32_t frame_us, uint32_t frames, uint32_t channels)
{
    struct dv_codec *codec = new_block(dv_codec_size());
    struct dv_codec_settings settings;
    dv_codec_settings_default(&settings);
    settings.complexity = 3;
    settings.bitrate_bps = frame_us < 10000 ? 64000 : 32000;
    assert(dv_codec_init(codec, dv_codec_size(), rate_hz, frame_us, frames, channels, &settings) == DV_OK);
    const size_t samples = frame_samples(rate_hz, frame_us) * frames;
    const size_t packets = rate_hz / 2 / samples;
    int16_t *sent = malloc(samples * packets * sizeof *sent);
    int16_t *heard = malloc(samples * packets * sizeof *heard);
    int16_t *pcm = malloc(samples * channels * sizeof *pcm);
    assert(sent != NULL && heard != NULL && pcm != NULL);
    write_voice(sent, samples * packets, 0, rate_hz);
    for (size_t n = 0; n < packets; n++) {
        for (size_t i = 0; i < samples; i++) {
            for (size_t c = 0; c < channels; c++) { /* of two channels, the mean is the voice */
                const int32_t apart = channels == 1 ? 0 : c == 0 ? 500 : -500;
                pcm[i * channels + c] = (int16_t)(sent[n * samples + i] + apart);
            }
        }
        uint8_t packet[DV_ENCODE_MAX_BYTES];
        struct dv_packet_header header;
        const int32_t len =
            dv_codec_encode_packet(codec, 5, (uint32_t)n, pcm, samples * channels, packet, sizeof packet);
        assert(len > DV_PACKET_MIN_BYTES);
        assert(opus_packet_get_nb_frames(packet + DV_HEADER_BYTES, len - DV_HEADER_BYTES) >= (int)frames);
        assert(dv_codec_decode_packet(codec, packet, (size_t)len, &header, heard + n * samples, samples) ==
               (int32_t)samples);
    }
    assert(likeness(sent, heard, samples * packets, rate_hz / 80) > 0.9); /* 12.5 ms: more than any look-ahead */
    free(pcm);
    free(heard);
    free(sent);
    free(codec);
}

static void test_a_voice_survives_in_packets_of_any_shape(void)
{
    for (size_t r = 0; r < (briefly() ? 1 : COUNT_OF(RATES_HZ)); r++) {
        for (size_t f = 0; f < COUNT_OF(FRAMES_US); f++) {
            for (uint32_t frames = 1; frames <= 120000 / FRAMES_US[f]; frames = frames < 4 ? frames + 1 : frames * 2) {
                check_voice(RATES_HZ[r], FRAMES_US[f], frames, 1 + frames % 2);
            }
        }
    }
    check_voice(16000, 2500, 48, 2);
}

/* Frames of a packet are alike even when libopus changes its mind: at every bit rate, from packet to packet. */
static void test_frames_of_a_packet_are_alike_whatever_the_settings(void)
{
    struct dv_codec *codec = new_block(dv_codec_size());
    struct dv_codec *listener = new_codec(48000, 20000);
    assert(dv_codec_init(codec, dv_codec_size(), 48000, 20000, 6, 1, NULL) == DV_OK);
    static const uint32_t bitrates[] = {6000, 300000, 9000, 64000, 12000, 0, 24000, 40000};
    static int16_t pcm[DV_DECODE_MAX_SAMPLES];
    uint32_t noise = 1;
    for (uint32_t n = 0; n < 64; n++) {
        const struct dv_codec_settings settings = {
            .bitrate_bps = bitrates[n / 2 % COUNT_OF(bitrates)],
            .complexity = n % 3 == 0 ? 10 : 5,
            .signal = n % 16 < 12 ? DV_SIGNAL_AUTO : DV_SIGNAL_VOICE,
        };
        assert(dv_codec_configure(codec, &settings) == DV_OK);
        if (n % 4 == 1) { /* music of a kind, in the middle of the voice */
            for (size_t i = 0; i < COUNT_OF(pcm); i++) {
                noise = noise * 1664525u + 1013904223u;
                pcm[i] = (int16_t)((int32_t)(noise >> 17) - 16384);
            }
        } else {
            write_voice(pcm, COUNT_OF(pcm), n * COUNT_OF(pcm), 48000.0);
        }
        uint8_t packet[DV_ENCODE_MAX_BYTES];
        struct dv_packet_header header;
        const int32_t len = dv_codec_encode_packet(codec, 1, n, pcm, COUNT_OF(pcm), packet, sizeof packet);
        assert(len > 0);
        const unsigned char *frames[48];
        opus_int16 lens[48];
        assert(opus_packet_parse(packet + DV_HEADER_BYTES, len - DV_HEADER_BYTES, NULL, frames, lens, NULL) == 6);
        for (int i = 0; i < 6; i++) {
            assert(lens[i] > 1); /* none was left out */
        }
        assert(dv_codec_decode_packet(listener, packet, (size_t)len, &header, pcm, COUNT_OF(pcm)) ==
               DV_DECODE_MAX_SAMPLES);
    }
    free(listener);
    free(codec);
}

static void test_loud_stereo_is_mixed_without_overflow(void)
{
    struct dv_codec *codec = new_block(dv_codec_size());
    assert(dv_codec_init(codec, dv_codec_size(), 16000, 20000, 1, 2, NULL) == DV_OK);
    static int16_t pcm[640];
    uint8_t packet[DV_ENCODE_MAX_BYTES];
    struct dv_level level;
    static const struct {
        int16_t left, right;
        uint32_t peak;
    } table[] = {{20000, 20000, 20000}, {-20000, -20000, 20000}, {32767, -32768, 0}, {30000, 10000, 20000}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        for (size_t n = 0; n < 320; n++) {
            pcm[2 * n] = table[i].left;
            pcm[2 * n + 1] = table[i].right;
        }
        assert(dv_codec_encode_packet(codec, 1, 1, pcm, 320, packet, sizeof packet) == DV_ERR_FRAME_SIZE);
        assert(dv_codec_encode_packet(codec, 1, 1, pcm, 640, packet, sizeof packet) > 0);
        assert(dv_codec_sent_level(codec, &level) == DV_OK && level.peak == table[i].peak);
    }
    free(codec);
}

static void test_gain_and_level_of_both_directions(void)
{
    struct dv_codec *codec = new_codec(16000, 20000);
    struct dv_codec_settings settings;
    struct dv_level sent = {0};
    struct dv_level heard = {0};
    struct dv_packet_header header;
    int16_t pcm[320];
    int16_t out[320];
    uint8_t packet[DV_ENCODE_MAX_BYTES];
    assert(dv_codec_sent_level(codec, &sent) == DV_OK && sent.peak == 0);
    for (int gain = -200; gain <= 400; gain += 200) {
        dv_codec_settings_default(&settings);
        settings.send_gain_tenths_db = gain;
        settings.receive_gain_tenths_db = -gain / 2;
        assert(dv_codec_configure(codec, &settings) == DV_OK);
        for (size_t n = 0; n < 60; n++) {
            write_sine(pcm, 320, n * 320, 440.0, 16000.0, 2000.0);
            const int32_t len = dv_codec_encode_packet(codec, 1, 1, pcm, 320, packet, sizeof packet);
            assert(dv_codec_decode_packet(codec, packet, (size_t)len, &header, out, 320) == 320);
            assert(dv_codec_sent_level(codec, &sent) == DV_OK && dv_codec_heard_level(codec, &heard) == DV_OK);
            assert(sent.peak <= DV_CEILING && heard.peak <= DV_CEILING);
        }
        const double wanted = 2000.0 * pow(10.0, gain / 200.0);
        const double expected = wanted > DV_CEILING ? DV_CEILING : wanted;
        assert(fabs(sent.peak / expected - 1) < 0.02);
        const double returned = expected * pow(10.0, -gain / 400.0);
        assert(fabs(sqrt(2.0 * (double)heard.mean_square) * 32768.0 / returned - 1) < 0.15);
    }
    free(codec);
}

/* The levels are those of a gain and a meter by themselves, whichever way the codec took to them: in frames that
 * do not end with a block of the meter, some with a peak after a second without one. */
static void test_level_is_that_of_what_the_limiter_left(void)
{
    struct dv_codec *codec = new_codec(16000, 2500);
    struct dv_gain gain;
    struct dv_meter meter;
    uint32_t voiced = 0;
    assert(dv_gain_init(&gain, 16000, 0) == DV_OK && dv_meter_init(&meter, 16000) == DV_OK);
    for (size_t n = 0; n < 2000; n++) {
        int16_t pcm[40];
        uint8_t packet[DV_ENCODE_MAX_BYTES];
        struct dv_level level;
        struct dv_level expected;
        write_voice(pcm, 40, n * 40, 16000.0);
        for (size_t i = 0; i < 40; i++) {
            pcm[i] = (int16_t)(n % 450 == 449 && i > 20 ? 32000 : n % 500 < 250 ? pcm[i] / 1000 : pcm[i]);
        }
        assert(dv_codec_encode_packet(codec, 1, 1, pcm, 40, packet, sizeof packet) > 0);
        assert(dv_gain_apply(&gain, pcm, pcm, 40) == DV_OK);
        assert(dv_meter_measure(&meter, pcm, 40, &expected) == DV_OK);
        assert(dv_codec_sent_level(codec, &level) == DV_OK);
        assert(level.peak == expected.peak && level.voice == expected.voice);
        assert(fabs((double)(level.mean_square - expected.mean_square)) < 1e-9);
        voiced += level.voice;
    }
    assert(voiced > 500 && voiced < 1500);
    free(codec);
}

static void test_concealment_carries_on_and_fades(void)
{
    static const uint32_t bad_us[] = {0, 1, 2499, 2501, 20001, 122500, UINT32_MAX};
    for (size_t r = 0; r < COUNT_OF(RATES_HZ); r++) {
        struct dv_codec *codec = new_codec(RATES_HZ[r], 20000);
        const size_t samples = frame_samples(RATES_HZ[r], 20000);
        int16_t pcm[DV_DECODE_MAX_SAMPLES];
        uint8_t packet[DV_ENCODE_MAX_BYTES];
        struct dv_packet_header header;
        struct dv_level level;
        assert(dv_codec_conceal(codec, 20000, pcm, COUNT_OF(pcm)) == (int32_t)samples); /* before the first packet */
        assert(all_bytes_are(pcm, samples * sizeof *pcm, 0));
        double spoken = 0;
        for (size_t n = 0; n < 25; n++) {
            write_voice(pcm, samples, n * samples, RATES_HZ[r]);
            const int32_t len = dv_codec_encode_packet(codec, 1, 1, pcm, samples, packet, sizeof packet);
            assert(dv_codec_decode_packet(codec, packet, (size_t)len, &header, pcm, COUNT_OF(pcm)) > 0);
            spoken = energy(pcm, samples) > spoken ? energy(pcm, samples) : spoken;
        }
        const double last = energy(pcm, samples);
        assert(dv_codec_conceal(codec, 20000, pcm, samples) == (int32_t)samples);
        assert(energy(pcm, samples) > 0.05 * last && energy(pcm, samples) < 2 * spoken);
        assert(dv_codec_heard_level(codec, &level) == DV_OK && level.peak > 0);
        assert(dv_codec_conceal(codec, 20000, pcm, samples - 1) == DV_ERR_CAPACITY);
        for (size_t i = 0; i < COUNT_OF(bad_us); i++) {
            assert(dv_codec_conceal(codec, bad_us[i], pcm, COUNT_OF(pcm)) == DV_ERR_FRAME_SIZE);
        }
        for (uint32_t us = 2500; us <= 120000; us += 2500) {
            assert(dv_codec_conceal(codec, us, pcm, COUNT_OF(pcm)) == (int32_t)frame_samples(RATES_HZ[r], us));
        }
        assert(energy(pcm, samples) < 0.05 * spoken); /* seconds later: nobody goes on for ever */
        assert(dv_codec_decode_packet(codec, packet, 20, &header, pcm, COUNT_OF(pcm)) != 0); /* and it is usable */
        free(codec);
    }
}

static void test_reset_makes_the_decoder_a_fresh_one(void)
{
    struct dv_codec *codec = new_codec(16000, 20000);
    struct dv_codec *fresh = new_codec(16000, 20000);
    int16_t pcm[320];
    int16_t out[320];
    int16_t expected[320];
    uint8_t packet[DV_ENCODE_MAX_BYTES];
    struct dv_packet_header header;
    struct dv_level level;
    int32_t len = 0;
    for (size_t n = 0; n < 10; n++) {
        write_sine(pcm, 320, n * 320, 440.0, 16000.0, n < 9 ? 32767.0 : 2000.0); /* nor does the limiter remember */
        len = dv_codec_encode_packet(codec, 1, 1, pcm, 320, packet, sizeof packet);
        assert(dv_codec_decode_packet(codec, packet, (size_t)len, &header, out, 320) == 320);
    }
    assert(dv_codec_reset_decoder(codec) == DV_OK);
    assert(dv_codec_heard_level(codec, &level) == DV_OK && level.peak == 0);
    assert(dv_codec_decode_packet(codec, packet, (size_t)len, &header, out, 320) == 320);
    assert(dv_codec_decode_packet(fresh, packet, (size_t)len, &header, expected, 320) == 320);
    assert(memcmp(out, expected, sizeof out) == 0);
    free(fresh);
    free(codec);
}

static void test_configure_is_all_or_nothing(void)
{
    struct dv_codec *codec = new_codec(16000, 20000);
    struct dv_codec *twin = new_codec(16000, 20000);
    struct dv_codec_settings settings;
    dv_codec_settings_default(&settings);
    settings.bitrate_bps = 96000;
    settings.complexity = 11;
    assert(dv_codec_configure(codec, &settings) == DV_ERR_ARGUMENT);
    assert(dv_codec_configure(NULL, &settings) == DV_ERR_ARGUMENT && dv_codec_configure(codec, NULL) == DV_ERR_ARGUMENT);
    int16_t pcm[320];
    uint8_t first[DV_ENCODE_MAX_BYTES];
    uint8_t second[DV_ENCODE_MAX_BYTES];
    write_voice(pcm, 320, 0, 16000.0);
    const int32_t len = dv_codec_encode_packet(codec, 1, 1, pcm, 320, first, sizeof first);
    assert(dv_codec_encode_packet(twin, 1, 1, pcm, 320, second, sizeof second) == len);
    assert(memcmp(first, second, (size_t)len) == 0);
    settings.complexity = 5;
    assert(dv_codec_configure(codec, &settings) == DV_OK);
    int32_t rich = 0;
    int32_t lean = 0;
    for (size_t n = 1; n < 20; n++) {
        write_voice(pcm, 320, n * 320, 16000.0);
        rich += dv_codec_encode_packet(codec, 1, 1, pcm, 320, first, sizeof first);
        lean += dv_codec_encode_packet(twin, 1, 1, pcm, 320, second, sizeof second);
    }
    assert(rich > 2 * lean);
    free(twin);
    free(codec);
}

static void test_features_are_found_without_a_trace(void)
{
    const size_t size = dv_codec_size();
    struct dv_features features;
    memset(&features, 0xA5, sizeof features);
    uint8_t *block = new_block(size + 64);
    memset(block, 0xA5, size + 64);
    assert(dv_features_probe(NULL, size, &features) == DV_ERR_ARGUMENT);
    assert(dv_features_probe(block, size, NULL) == DV_ERR_ARGUMENT);
    assert(dv_features_probe(block + 1, size, &features) == DV_ERR_ALIGNMENT);
    assert(dv_features_probe(block, size - 1, &features) == DV_ERR_CAPACITY);
    assert(all_bytes_are(&features, sizeof features, 0xA5) && all_bytes_are(block, size + 64, 0xA5));
    assert(dv_features_probe(block, size, &features) == DV_OK);
    assert(all_bytes_are(block + size, 64, 0xA5));
    assert(strcmp(features.version, opus_get_version_string()) == 0);
    assert(features.in_band_fec == 1 && features.dtx == 1 && features.dred <= 1 && features.deep_plc <= 1);
    free(block);
}

int main(void)
{
    test_a_voice_survives_in_packets_of_any_shape();
    test_frames_of_a_packet_are_alike_whatever_the_settings();
    test_loud_stereo_is_mixed_without_overflow();
    test_gain_and_level_of_both_directions();
    test_level_is_that_of_what_the_limiter_left();
    test_concealment_carries_on_and_fades();
    test_reset_makes_the_decoder_a_fresh_one();
    test_configure_is_all_or_nothing();
    test_features_are_found_without_a_trace();
    return 0;
}
