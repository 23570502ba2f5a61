/* dv_voice.h: the voice of the door, between a sound card and a network. The C API, and its only manual.
 *
 * Five things, each of which stands alone:
 *     dv_codec      PCM to voice packets and voice packets to PCM, with gain, level and voice activity
 *                   of both directions in the same call
 *     dv_packet     the header of a voice packet
 *     dv_gain       amplification that never clips
 *     dv_meter      how loud a sound is, and whether somebody speaks
 *     dv_resampler  from any sample rate to any other, and a little faster or slower
 *
 * A voice packet is a 9-byte header and one self-contained Opus packet:
 *
 *     offset  size  field
 *     0       1     type, 1 = audio
 *     1       4     stream id, big-endian
 *     5       4     packet id, big-endian
 *     9       1..   one Opus packet (RFC 6716), beginning with its TOC byte
 *
 * Source: Zello Channel API, "Stream data".
 *
 * PCM is signed 16 bit in the byte order of the machine, and mono but for what a codec of two channels
 * is given to encode.
 *
 *     void *block = aligned_alloc(DV_CODEC_ALIGN, size);   // dv_codec_size(), rounded up to the boundary
 *     dv_codec_init(block, size, 16000, 20000, 1, 1, NULL);
 *     struct dv_codec *codec = block;
 *     int32_t n = dv_codec_encode_packet(codec, stream_id, packet_id, pcm, 320, out, sizeof out);
 *     if (n < 0) report(dv_status_name(n)); else send(out, (size_t)n);
 *
 * Promises of every function:
 *   - No allocation, no global variable, no lock, no clock, no output. All memory is the caller's.
 *   - Nothing outside [pointer, pointer + length) is read and nothing outside [pointer, pointer +
 *     capacity) is written, for any bytes in the packet, hostile ones included, and for any length,
 *     SIZE_MAX included: a length beyond its maximum is refused before the first read.
 *   - On error no output is touched: not the buffer, not the structure.
 *   - A NULL pointer is DV_ERR_ARGUMENT, unless the function says otherwise.
 *   - Lengths and capacities are bytes, unless the name says samples. Samples are single numbers: an
 *     interleaved pair of two channels counts as two.
 *   - The mathematical library is called while something is set up or a level is told in decibels, and
 *     never once per packet or per sample.
 *
 * Threads: functions that are given no object may run anywhere, at any time. An object (codec, gain,
 * meter, resampler) belongs to one thread at a time, with one exception: in one codec, the functions of
 * the sending side (encode_packet, sent_level) and those of the hearing side (decode_packet, conceal,
 * reset_decoder, heard_level) may run at the same time, for the two sides share only what init wrote.
 * dv_codec_configure touches both sides.
 */
#ifndef DV_VOICE_H
#define DV_VOICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of the header, and of the shortest packet: a header and the TOC byte. */
#define DV_HEADER_BYTES 9
#define DV_PACKET_MIN_BYTES 10

/* The longest packet that is looked at. Opus allows 48 frames of 1275 bytes, 61,298 bytes with their
 * framing, and padding without end; what is over is a flood, not a voice. */
#define DV_PACKET_MAX_BYTES 65535

/* The capacity that encoding asks for: 120 ms of Opus at its most talkative, the lengths of up to 48
 * frames, and the header. A packet of speech is far shorter, 50 to 400 bytes. */
#define DV_ENCODE_MAX_BYTES 7787

/* The longest sound of one Opus packet, 120 ms, at 48 kHz. At another rate: sample_rate_hz * 3 / 25. */
#define DV_DECODE_MAX_SAMPLES 5760

/* The boundary, in bytes, on which the block of a codec or of a resampler begins. */
#define DV_CODEC_ALIGN 16

/* The most samples that one call of a gain, a meter or a resampler takes: about a minute at 16 kHz. */
#define DV_PCM_MAX_SAMPLES 1048576

/* What no limiter lets through: 1 dB below full scale. Lossy coding adds a little to a peak, and the
 * last decibel is left to it. */
#define DV_CEILING 29203

/* The range of a gain, in tenths of a decibel: 40 dB in either direction. */
#define DV_GAIN_MIN_TENTHS_DB (-400)
#define DV_GAIN_MAX_TENTHS_DB 400

/* The rates, in Hz, that a gain, a meter and a resampler take; any between them. */
#define DV_RATE_MIN_HZ 8000
#define DV_RATE_MAX_HZ 192000

/* The furthest that a resampler leaves its nominal ratio, in parts per billion: one per cent. */
#define DV_DRIFT_MAX_PPB 10000000

/* Zero is success, negatives are errors. Functions that produce data return its count instead of
 * DV_OK, so a result is an error exactly when it is below zero. Values never change meaning. */
enum dv_status {
    DV_OK = 0,
    DV_ERR_ARGUMENT = -1,     /* a NULL pointer, or a setting outside its range */
    DV_ERR_SAMPLE_RATE = -2,  /* not a rate of Opus, or outside DV_RATE_MIN_HZ..DV_RATE_MAX_HZ */
    DV_ERR_FRAME_SIZE = -3,   /* not a duration of Opus; or PCM that is not exactly one packet */
    DV_ERR_ALIGNMENT = -4,    /* the block does not begin on a multiple of DV_CODEC_ALIGN */
    DV_ERR_CAPACITY = -5,     /* a block or an output buffer is too small */
    DV_ERR_UNINITIALISED = -6, /* the object has not been through its init */
    DV_ERR_TOO_SHORT = -7,    /* fewer than DV_PACKET_MIN_BYTES */
    DV_ERR_TOO_LONG = -8,     /* more than DV_PACKET_MAX_BYTES, or than DV_PCM_MAX_SAMPLES */
    DV_ERR_TYPE = -9,         /* the first byte is not 1: not an audio packet */
    DV_ERR_PAYLOAD = -10,     /* the bytes after the header are not an Opus packet */
    DV_ERR_OPUS = -11         /* libopus failed for a reason that is not the input */
};

/* What the encoder may assume about the sound. */
enum dv_signal {
    DV_SIGNAL_AUTO = 0,
    DV_SIGNAL_VOICE = 1
};

/* How to encode, and how loud; dv_codec_settings_default fills it.
 *   bitrate_bps  6000..300000, or 0 to let libopus choose by rate and frame (variable bit rate in
 *                either case). Default 24000.
 *   complexity   0..10, processor time for quality. Default 5; 8 to 10 cost twice as much.
 *   signal       Default DV_SIGNAL_VOICE: left to guess, libopus takes some voices for music at
 *                complexity 7 and above and spends half as many bytes again.
 *   send_gain_tenths_db, receive_gain_tenths_db
 *                amplification before encoding and after decoding, as dv_gain does it. Default 0: a sound
 *                below DV_CEILING passes bit for bit, at no cost.
 * Fixed: application VOIP, no in-band error correction (of no use over TCP), no discontinuous
 * transmission (every frame gives a packet). */
struct dv_codec_settings {
    uint32_t bitrate_bps;
    uint32_t complexity;
    enum dv_signal signal;
    int32_t send_gain_tenths_db;
    int32_t receive_gain_tenths_db;
};

struct dv_packet_header {
    uint32_t stream_id;
    uint32_t packet_id;
};

/* A parsed packet. payload is a view: it points into the parsed input and lives as long as that. */
struct dv_packet {
    struct dv_packet_header header;
    const uint8_t *payload;
    size_t payload_len;
};

/* How loud one stretch of sound was.
 *   mean_square  of the samples, each divided by 32768: 0 in digital silence, 1 for a full-scale square.
 *   peak         the greatest distance from zero, 0..32768.
 *   voice        1 while somebody speaks, else 0; see dv_meter. */
struct dv_level {
    float mean_square;
    uint32_t peak;
    uint32_t voice;
};

/* One encoder and one decoder with their working memory, in a single block of the caller's. */
struct dv_codec;

/* A gain with its limiter. The caller provides the memory, by value; the fields are the library's. */
struct dv_gain {
    uint32_t magic;
    uint32_t run_samples;
    uint32_t at_rest;
    float wanted;
    float now;
    float release;
};

/* A meter. The caller provides the memory, by value; the fields are the library's. */
struct dv_meter {
    uint32_t magic;
    uint32_t block_samples;
    uint32_t block_filled;
    uint32_t thin_shift;
    uint32_t group_filled;
    int32_t group_sum;
    int32_t last;
    uint32_t blocks;
    int64_t sum;
    int64_t squares;
    int64_t steps;
    float share;
    float pitch_scale;
    float offset;
    float floor_now[2];
    float floor_before[2];
    uint32_t loud_blocks;
    uint32_t hold_blocks;
};

/* A resampler with its filter and its memory of the sound, in a single block of the caller's. */
struct dv_resampler;

/* What the libopus in use can do, found out by trying, whatever headers this was compiled with.
 *   version      libopus's own words, a static string.
 *   in_band_fec  error correction inside the next packet
 *   dtx          discontinuous transmission
 *   dred         deep redundancy (libopus 1.5 and later, if built in)
 *   deep_plc     concealment by a neural network (libopus 1.5 and later, if built in)
 * All but version are 0 or 1. The codec uses none of them; a lost packet is concealed better with the
 * last one only where the decoder's complexity asks for it, and that costs more than encoding. */
struct dv_features {
    const char *version;
    uint32_t in_band_fec;
    uint32_t dtx;
    uint32_t dred;
    uint32_t deep_plc;
};

/* The English text of a status, for a log: a static string, never NULL. A count is "ok". */
const char *dv_status_name(int32_t status);

/* Read the header of the voice packet in [in, in + in_len) and find its payload. Opus is not looked at.
 *   out     receives the fields and a view into `in`.
 *   returns DV_OK, DV_ERR_ARGUMENT, DV_ERR_TOO_SHORT, DV_ERR_TOO_LONG or DV_ERR_TYPE. */
enum dv_status dv_packet_parse(const uint8_t *in, size_t in_len, struct dv_packet *out);

/* Write the 9 bytes that precede the Opus data; the inverse of dv_packet_parse.
 *   returns DV_HEADER_BYTES, DV_ERR_ARGUMENT or DV_ERR_CAPACITY. */
int32_t dv_packet_write_header(const struct dv_packet_header *header, uint8_t *out, size_t out_cap);

/* ---- codec ------------------------------------------------------------------------------------- */

/* The bytes a codec needs: about 100 KiB with libopus 1.3, 220 KiB with 1.5. The same for every rate and
 * frame, and constant within a process; another build of libopus may need another size, so ask. */
size_t dv_codec_size(void);

/* Fill *settings with the defaults above. NULL is allowed and does nothing. */
void dv_codec_settings_default(struct dv_codec_settings *settings);

/* Make a codec of the block [mem, mem + cap).
 *   mem                on DV_CODEC_ALIGN; afterwards it is the codec, (struct dv_codec *)mem. It stays the
 *                      caller's and needs no destructor. Between calls it holds no pointer into itself: a
 *                      byte copy on another aligned block is an independent codec in the same state.
 *   cap                at least dv_codec_size().
 *   sample_rate_hz     8000, 12000, 16000, 24000 or 48000: of the PCM in both directions. A packet that
 *                      was encoded at another rate is resampled by the decoder.
 *   frame_us           microseconds of sound in each encoded Opus frame: 2500, 5000, 10000, 20000, 40000
 *                      or 60000. Packets to decode may have any duration.
 *   frames_per_packet  Opus frames in each encoded packet, 1 or more, of 120 ms together at most.
 *   channels           of the PCM to encode: 1, or 2 interleaved, which are mixed into one. Decoded PCM
 *                      is mono always.
 *   settings           copied; NULL for the defaults.
 * Calling it again on the same block starts afresh.
 *   returns DV_OK, DV_ERR_ARGUMENT, DV_ERR_SAMPLE_RATE, DV_ERR_FRAME_SIZE, DV_ERR_ALIGNMENT,
 *           DV_ERR_CAPACITY; or DV_ERR_OPUS, and only then is the block written to all the same:
 *           it must be initialised before any other use. */
enum dv_status dv_codec_init(void *mem, size_t cap, uint32_t sample_rate_hz, uint32_t frame_us,
                             uint32_t frames_per_packet, uint32_t channels,
                             const struct dv_codec_settings *settings);

/* Change the settings of a running codec; they hold from the next packet. A gain moves without a click.
 *   settings  copied.
 *   returns DV_OK, DV_ERR_ARGUMENT, DV_ERR_UNINITIALISED, after which nothing has changed; or DV_ERR_OPUS,
 *           after which the codec should be initialised again. */
enum dv_status dv_codec_configure(struct dv_codec *codec, const struct dv_codec_settings *settings);

/* Encode the sound of one voice packet, header and Opus data in one go.
 *   pcm, pcm_samples  exactly one packet: sample_rate_hz * frame_us / 1000000 * frames_per_packet *
 *                     channels samples. Not written to.
 *   out, out_cap      at least DV_ENCODE_MAX_BYTES, whatever the packet's length will be, so that a
 *                     call that fits today cannot fail on a louder frame. May not overlap the codec.
 *   returns the bytes written, DV_PACKET_MIN_BYTES or more; DV_ERR_ARGUMENT, DV_ERR_UNINITIALISED,
 *           DV_ERR_FRAME_SIZE or DV_ERR_CAPACITY, after which the codec is as before the call;
 *           or DV_ERR_OPUS, after which it should be initialised again. */
int32_t dv_codec_encode_packet(struct dv_codec *codec, uint32_t stream_id, uint32_t packet_id,
                               const int16_t *pcm, size_t pcm_samples, uint8_t *out, size_t out_cap);

/* Check and decode one voice packet, header and Opus data in one go.
 *   in, in_len            the packet; any bytes at all. Any legal Opus packet is decoded by what its TOC
 *                         says, whatever rate, duration (2.5 to 120 ms) or number of frames the peer
 *                         announced elsewhere; two channels become one.
 *   header                receives stream id and packet id. The order of packets is not checked.
 *   pcm, pcm_cap_samples  receives the sound; DV_DECODE_MAX_SAMPLES are always enough.
 *   returns the samples written, 1 or more; DV_ERR_ARGUMENT, DV_ERR_UNINITIALISED, DV_ERR_TOO_SHORT,
 *           DV_ERR_TOO_LONG, DV_ERR_TYPE, DV_ERR_PAYLOAD, DV_ERR_CAPACITY (the packet is longer than
 *           pcm_cap_samples) or DV_ERR_OPUS. The codec stays usable after each of them. */
int32_t dv_codec_decode_packet(struct dv_codec *codec, const uint8_t *in, size_t in_len,
                               struct dv_packet_header *header, int16_t *pcm, size_t pcm_cap_samples);

/* Make up the sound of a packet that did not come, from those that did (packet loss concealment). The
 * longer it goes on, the quieter it is, down to silence; before the first packet it is silence.
 *   duration_us           2500..120000, a multiple of 2500.
 *   pcm, pcm_cap_samples  receives the sound; DV_DECODE_MAX_SAMPLES are always enough.
 *   returns the samples written, 1 or more; DV_ERR_ARGUMENT, DV_ERR_UNINITIALISED, DV_ERR_FRAME_SIZE,
 *           DV_ERR_CAPACITY or DV_ERR_OPUS. The codec stays usable after each of them. */
int32_t dv_codec_conceal(struct dv_codec *codec, uint32_t duration_us, int16_t *pcm, size_t pcm_cap_samples);

/* Forget what was heard, before the first packet of another stream: decoder, limiter and level.
 *   returns DV_OK, DV_ERR_ARGUMENT, DV_ERR_UNINITIALISED or DV_ERR_OPUS. */
enum dv_status dv_codec_reset_decoder(struct dv_codec *codec);

/* How loud the sound of the last call was, after gain and limiter: what was encoded, or what was decoded
 * or concealed. All zero before the first.
 *   returns DV_OK, DV_ERR_ARGUMENT or DV_ERR_UNINITIALISED. */
enum dv_status dv_codec_sent_level(const struct dv_codec *codec, struct dv_level *out);
enum dv_status dv_codec_heard_level(const struct dv_codec *codec, struct dv_level *out);

/* Find out what libopus can do. Takes a few milliseconds.
 *   mem, cap  scratch memory, on DV_CODEC_ALIGN, of at least dv_codec_size(); free afterwards.
 *   returns DV_OK, DV_ERR_ARGUMENT, DV_ERR_ALIGNMENT, DV_ERR_CAPACITY or DV_ERR_OPUS. */
enum dv_status dv_features_probe(void *mem, size_t cap, struct dv_features *out);

/* ---- gain -------------------------------------------------------------------------------------- */

/* Make a gain of *gain. No sample it gives is further from zero than DV_CEILING, whatever comes in.
 *
 * Where the amplified sound would be, the limiter turns the gain down, along a ramp of a millisecond that
 * ends before the peak; at a peak in the very first millisecond of a call it flattens instead. It lets
 * go again with a time constant of 100 ms. A gain of 0 dB gives every sound below the ceiling bit for bit.
 *   sample_rate_hz  DV_RATE_MIN_HZ..DV_RATE_MAX_HZ
 *   gain_tenths_db  DV_GAIN_MIN_TENTHS_DB..DV_GAIN_MAX_TENTHS_DB
 *   returns DV_OK, DV_ERR_ARGUMENT or DV_ERR_SAMPLE_RATE. */
enum dv_status dv_gain_init(struct dv_gain *gain, uint32_t sample_rate_hz, int32_t gain_tenths_db);

/* Change the gain of a running one, without a click: down within a millisecond, up like the limiter.
 *   returns DV_OK, DV_ERR_ARGUMENT or DV_ERR_UNINITIALISED. */
enum dv_status dv_gain_set(struct dv_gain *gain, int32_t gain_tenths_db);

/* Forget the sound so far, before another one: the limiter lets go at once.
 *   returns DV_OK, DV_ERR_ARGUMENT or DV_ERR_UNINITIALISED. */
enum dv_status dv_gain_reset(struct dv_gain *gain);

/* Amplify `samples` samples, 0..DV_PCM_MAX_SAMPLES, from `in` to `out`, which may be the same memory but
 * may not overlap in part.
 *   returns DV_OK, DV_ERR_ARGUMENT, DV_ERR_UNINITIALISED or DV_ERR_TOO_LONG. */
enum dv_status dv_gain_apply(struct dv_gain *gain, const int16_t *in, int16_t *out, size_t samples);

/* ---- meter ------------------------------------------------------------------------------------- */

/* Make a meter of *meter. It tells how loud a sound is, and whether somebody speaks.
 *
 * Somebody speaks while blocks of 10 ms are louder than -60 dBFS, stand out by 7 dB from the quietest of the
 * last one to two and a half seconds, and what stands out has its centre between 120 and 1500 Hz. A noise
 * that goes on is background after that time, and from the beginning if it was there first; hum, rumble and
 * hiss are not even taken for a voice when they begin. The flag comes after 20 ms and stays for 160 ms.
 * It depends on the sound alone, not on how it is cut into calls.
 *   sample_rate_hz  DV_RATE_MIN_HZ..DV_RATE_MAX_HZ
 *   returns DV_OK, DV_ERR_ARGUMENT or DV_ERR_SAMPLE_RATE. */
enum dv_status dv_meter_init(struct dv_meter *meter, uint32_t sample_rate_hz);

/* Measure `samples` samples, 1..DV_PCM_MAX_SAMPLES.
 *   out     receives the level of these samples, and the voice flag: it is 1 if somebody spoke in any block
 *           that ended among them, or, if none did, in the last one.
 *   returns DV_OK, DV_ERR_ARGUMENT (no samples, too), DV_ERR_UNINITIALISED or DV_ERR_TOO_LONG. */
enum dv_status dv_meter_measure(struct dv_meter *meter, const int16_t *pcm, size_t samples, struct dv_level *out);

/* A level in dBFS, 0 being a full-scale square: a full-scale sine has a peak of 0 and an RMS of -3. What is
 * below -96, as digital silence is, is -96. NULL gives -96. */
double dv_level_rms_dbfs(const struct dv_level *level);
double dv_level_peak_dbfs(const struct dv_level *level);

/* ---- resampler --------------------------------------------------------------------------------- */

/* The bytes a resampler needs, 25 to 50 KiB, or 0 if a rate is outside DV_RATE_MIN_HZ..DV_RATE_MAX_HZ. */
size_t dv_resampler_size(uint32_t rate_in_hz, uint32_t rate_out_hz);

/* Make a resampler of the block [mem, mem + cap): a low-pass of 48 or more taps, 70 dB down from just above
 * half the lower rate, flat to 85 per cent of that, and sound in its first half of silence.
 *   mem     on DV_CODEC_ALIGN; afterwards it is the resampler. It stays the caller's, needs no destructor,
 *           and holds no pointer into itself.
 *   cap     at least dv_resampler_size(rate_in_hz, rate_out_hz).
 *   rate_in_hz, rate_out_hz  DV_RATE_MIN_HZ..DV_RATE_MAX_HZ; they may be equal, for its drift.
 *   returns DV_OK, DV_ERR_ARGUMENT, DV_ERR_SAMPLE_RATE, DV_ERR_ALIGNMENT or DV_ERR_CAPACITY. */
enum dv_status dv_resampler_init(void *mem, size_t cap, uint32_t rate_in_hz, uint32_t rate_out_hz);

/* How late the sound comes out, in samples of the output: 1.5 ms at the lower of the two rates and 16 kHz.
 *   returns the samples, DV_ERR_ARGUMENT or DV_ERR_UNINITIALISED. */
int32_t dv_resampler_delay_samples(const struct dv_resampler *resampler);

/* Play faster (above zero: fewer samples come out) or slower, by parts per billion of the ratio. The ratio
 * glides there, a whole per cent in 100 ms, so that nothing clicks.
 *   drift_ppb  -DV_DRIFT_MAX_PPB..DV_DRIFT_MAX_PPB
 *   returns DV_OK, DV_ERR_ARGUMENT or DV_ERR_UNINITIALISED. */
enum dv_status dv_resampler_set_drift(struct dv_resampler *resampler, int32_t drift_ppb);

/* The most samples that `in_samples` samples can become, at any drift: the capacity for a call.
 *   in_samples  0..DV_PCM_MAX_SAMPLES
 *   returns the samples, DV_ERR_ARGUMENT, DV_ERR_UNINITIALISED or DV_ERR_TOO_LONG. */
int32_t dv_resampler_output_max(const struct dv_resampler *resampler, size_t in_samples);

/* Resample the next stretch of a sound. All of it is taken; over time the samples that come out are
 * in * rate_out / rate_in of those that went in, to within one.
 *   in, in_samples        0..DV_PCM_MAX_SAMPLES
 *   out, out_cap_samples  at least dv_resampler_output_max(resampler, in_samples). May not overlap `in`.
 *   returns the samples written, 0 or more; DV_ERR_ARGUMENT, DV_ERR_UNINITIALISED, DV_ERR_TOO_LONG or
 *           DV_ERR_CAPACITY, after which nothing has been taken. */
int32_t dv_resampler_process(struct dv_resampler *resampler, const int16_t *in, size_t in_samples, int16_t *out,
                             size_t out_cap_samples);

#ifdef __cplusplus
}
#endif

#endif
