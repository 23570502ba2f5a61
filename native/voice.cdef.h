/* Declarations for cffi, which checks them against include/dv_voice.h at compile time; the manual is there. */

#define DV_HEADER_BYTES ...
#define DV_PACKET_MIN_BYTES ...
#define DV_PACKET_MAX_BYTES ...
#define DV_ENCODE_MAX_BYTES ...
#define DV_DECODE_MAX_SAMPLES ...
#define DV_CODEC_ALIGN ...

enum dv_status {
    DV_OK = ...,
    DV_ERR_ARGUMENT = ...,
    DV_ERR_SAMPLE_RATE = ...,
    DV_ERR_FRAME_SIZE = ...,
    DV_ERR_ALIGNMENT = ...,
    DV_ERR_CAPACITY = ...,
    DV_ERR_UNINITIALISED = ...,
    DV_ERR_TOO_SHORT = ...,
    DV_ERR_TOO_LONG = ...,
    DV_ERR_TYPE = ...,
    DV_ERR_PAYLOAD = ...,
    DV_ERR_OPUS = ...,
    ...
};

enum dv_signal { DV_SIGNAL_AUTO = ..., DV_SIGNAL_VOICE = ..., ... };

struct dv_codec_settings {
    uint32_t bitrate_bps;
    uint32_t complexity;
    enum dv_signal signal;
    ...;
};

struct dv_packet_header {
    uint32_t stream_id;
    uint32_t packet_id;
    ...;
};

struct dv_packet {
    struct dv_packet_header header;
    const uint8_t *payload;
    size_t payload_len;
    ...;
};

struct dv_codec;

const char *dv_status_name(int32_t status);
enum dv_status dv_packet_parse(const uint8_t *in, size_t in_len, struct dv_packet *out);
int32_t dv_packet_write_header(const struct dv_packet_header *header, uint8_t *out, size_t out_cap);
size_t dv_codec_size(void);
void dv_codec_settings_default(struct dv_codec_settings *settings);
enum dv_status dv_codec_init(void *mem, size_t cap, uint32_t sample_rate_hz, uint32_t frame_us,
                             const struct dv_codec_settings *settings);
int32_t dv_codec_encode_packet(struct dv_codec *codec, uint32_t stream_id, uint32_t packet_id,
                               const int16_t *pcm, size_t pcm_samples, uint8_t *out, size_t out_cap);
int32_t dv_codec_decode_packet(struct dv_codec *codec, const uint8_t *in, size_t in_len,
                               struct dv_packet_header *header, int16_t *pcm, size_t pcm_cap_samples);
