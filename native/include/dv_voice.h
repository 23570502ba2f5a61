/* dv_voice.h: voice packets of the door. The C API, and its only manual.
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
 * A codec turns PCM into voice packets and voice packets into PCM, header and Opus together in one
 * call. PCM is mono, signed 16 bit, in the byte order of the machine.
 *
 *     void *block = aligned_alloc(DV_CODEC_ALIGN, dv_codec_size());
 *     dv_codec_init(block, dv_codec_size(), 16000, 20000, NULL);
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
 *   - Lengths and capacities are bytes, unless the name says samples.
 *
 * Threads: functions without a codec argument may run anywhere, at any time. In one codec, one
 * encode and one decode may run at the same time, for the two directions share only what init wrote;
 * two encodes, or two decodes, may not.
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

/* The capacity that encoding asks for: three frames of 1275 bytes with 7 bytes of framing, and the
 * header. A packet of speech is far shorter, 50 to 200 bytes. */
#define DV_ENCODE_MAX_BYTES 3841

/* The longest sound of one Opus packet, 120 ms, at 48 kHz. At another rate: sample_rate_hz * 3 / 25. */
#define DV_DECODE_MAX_SAMPLES 5760

/* The boundary, in bytes, on which the block of a codec begins. */
#define DV_CODEC_ALIGN 16

/* Zero is success, negatives are errors. Functions that produce data return its count instead of
 * DV_OK, so a result is an error exactly when it is below zero. Values never change meaning. */
enum dv_status {
    DV_OK = 0,
    DV_ERR_ARGUMENT = -1,     /* a NULL pointer, or a setting outside its range */
    DV_ERR_SAMPLE_RATE = -2,  /* not 8000, 12000, 16000, 24000 or 48000 Hz */
    DV_ERR_FRAME_SIZE = -3,   /* not a frame duration of Opus; or PCM that is not exactly one frame */
    DV_ERR_ALIGNMENT = -4,    /* the block does not begin on a multiple of DV_CODEC_ALIGN */
    DV_ERR_CAPACITY = -5,     /* a block or an output buffer is too small */
    DV_ERR_UNINITIALISED = -6, /* the codec has not been through dv_codec_init */
    DV_ERR_TOO_SHORT = -7,    /* fewer than DV_PACKET_MIN_BYTES */
    DV_ERR_TOO_LONG = -8,     /* more than DV_PACKET_MAX_BYTES */
    DV_ERR_TYPE = -9,         /* the first byte is not 1: not an audio packet */
    DV_ERR_PAYLOAD = -10,     /* the bytes after the header are not an Opus packet */
    DV_ERR_OPUS = -11         /* libopus failed for a reason that is not the input */
};

/* What the encoder may assume about the sound. */
enum dv_signal {
    DV_SIGNAL_AUTO = 0,
    DV_SIGNAL_VOICE = 1
};

/* How to encode; dv_codec_settings_default fills it.
 *   bitrate_bps  6000..300000, or 0 to let libopus choose by rate and frame (variable bit rate in
 *                either case). Default 24000.
 *   complexity   0..10, processor time for quality. Default 5; 8 to 10 cost twice as much.
 *   signal       Default DV_SIGNAL_VOICE: left to guess, libopus takes some voices for music at
 *                complexity 7 and above and spends half as many bytes again.
 * Fixed: application VOIP, no in-band error correction (of no use over TCP), no discontinuous
 * transmission (every frame gives a packet). */
struct dv_codec_settings {
    uint32_t bitrate_bps;
    uint32_t complexity;
    enum dv_signal signal;
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

/* One encoder and one decoder with their working memory, in a single block of the caller's. */
struct dv_codec;

/* The English text of a status, for a log: a static string, never NULL. A count is "ok". */
const char *dv_status_name(int32_t status);

/* Read the header of the voice packet in [in, in + in_len) and find its payload. Opus is not looked at.
 *   out     receives the fields and a view into `in`.
 *   returns DV_OK, DV_ERR_ARGUMENT, DV_ERR_TOO_SHORT, DV_ERR_TOO_LONG or DV_ERR_TYPE. */
enum dv_status dv_packet_parse(const uint8_t *in, size_t in_len, struct dv_packet *out);

/* Write the 9 bytes that precede the Opus data; the inverse of dv_packet_parse.
 *   returns DV_HEADER_BYTES, DV_ERR_ARGUMENT or DV_ERR_CAPACITY. */
int32_t dv_packet_write_header(const struct dv_packet_header *header, uint8_t *out, size_t out_cap);

/* The bytes a codec needs: 75 KiB with libopus 1.3, 195 KiB with 1.5. The same for every rate and frame, and
 * constant within a process; another build of libopus may need another size, so ask instead of remembering. */
size_t dv_codec_size(void);

/* Fill *settings with the defaults above. NULL is allowed and does nothing. */
void dv_codec_settings_default(struct dv_codec_settings *settings);

/* Make a codec of the block [mem, mem + cap).
 *   mem             on DV_CODEC_ALIGN; afterwards it is the codec, (struct dv_codec *)mem. It stays the
 *                   caller's and needs no destructor. It holds no pointer into itself: a byte copy on
 *                   another aligned block is an independent codec in the same state.
 *   cap             at least dv_codec_size().
 *   sample_rate_hz  8000, 12000, 16000, 24000 or 48000: of the PCM in both directions. A packet that
 *                   was encoded at another rate is resampled by the decoder.
 *   frame_us        microseconds of sound in each encoded packet: 2500, 5000, 10000, 20000, 40000 or
 *                   60000. Packets to decode may have any duration.
 *   settings        copied; NULL for the defaults.
 * Calling it again on the same block starts afresh.
 *   returns DV_OK, DV_ERR_ARGUMENT, DV_ERR_SAMPLE_RATE, DV_ERR_FRAME_SIZE, DV_ERR_ALIGNMENT,
 *           DV_ERR_CAPACITY; or DV_ERR_OPUS, and only then is the block written to all the same:
 *           it must be initialised before any other use. */
enum dv_status dv_codec_init(void *mem, size_t cap, uint32_t sample_rate_hz, uint32_t frame_us,
                             const struct dv_codec_settings *settings);

/* Encode one frame into one voice packet, header and Opus data in one go.
 *   pcm, pcm_samples  exactly one frame: sample_rate_hz * frame_us / 1000000 samples.
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

#ifdef __cplusplus
}
#endif

#endif
