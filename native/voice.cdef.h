/* Declarations for cffi, which checks them against include/dv_voice.h at compile time; the manual is there. */

#define DV_HEADER_BYTES ...
#define DV_PACKET_MIN_BYTES ...
#define DV_PACKET_MAX_BYTES ...
#define DV_ENCODE_MAX_BYTES ...
#define DV_DECODE_MAX_SAMPLES ...
#define DV_CODEC_ALIGN ...
#define DV_PCM_MAX_SAMPLES ...
#define DV_CEILING ...
#define DV_GAIN_MIN_TENTHS_DB ...
#define DV_GAIN_MAX_TENTHS_DB ...
#define DV_RATE_MIN_HZ ...
#define DV_RATE_MAX_HZ ...
#define DV_DRIFT_MAX_PPB ...

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
    int32_t send_gain_tenths_db;
    int32_t receive_gain_tenths_db;
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

struct dv_level {
    float mean_square;
    uint32_t peak;
    uint32_t voice;
    ...;
};

struct dv_features {
    const char *version;
    uint32_t in_band_fec;
    uint32_t dtx;
    uint32_t dred;
    uint32_t deep_plc;
    ...;
};

struct dv_codec;
struct dv_gain { ...; };
struct dv_meter { ...; };
struct dv_resampler;

const char *dv_status_name(int32_t status);
enum dv_status dv_packet_parse(const uint8_t *in, size_t in_len, struct dv_packet *out);
int32_t dv_packet_write_header(const struct dv_packet_header *header, uint8_t *out, size_t out_cap);

size_t dv_codec_size(void);
void dv_codec_settings_default(struct dv_codec_settings *settings);
enum dv_status dv_codec_init(void *mem, size_t cap, uint32_t sample_rate_hz, uint32_t frame_us,
                             uint32_t frames_per_packet, uint32_t channels,
                             const struct dv_codec_settings *settings);
enum dv_status dv_codec_configure(struct dv_codec *codec, const struct dv_codec_settings *settings);
int32_t dv_codec_encode_packet(struct dv_codec *codec, uint32_t stream_id, uint32_t packet_id,
                               const int16_t *pcm, size_t pcm_samples, uint8_t *out, size_t out_cap);
int32_t dv_codec_decode_packet(struct dv_codec *codec, const uint8_t *in, size_t in_len,
                               struct dv_packet_header *header, int16_t *pcm, size_t pcm_cap_samples);
int32_t dv_codec_conceal(struct dv_codec *codec, uint32_t duration_us, int16_t *pcm, size_t pcm_cap_samples);
enum dv_status dv_codec_reset_decoder(struct dv_codec *codec);
enum dv_status dv_codec_sent_level(const struct dv_codec *codec, struct dv_level *out);
enum dv_status dv_codec_heard_level(const struct dv_codec *codec, struct dv_level *out);
enum dv_status dv_features_probe(void *mem, size_t cap, struct dv_features *out);

enum dv_status dv_gain_init(struct dv_gain *gain, uint32_t sample_rate_hz, int32_t gain_tenths_db);
enum dv_status dv_gain_set(struct dv_gain *gain, int32_t gain_tenths_db);
enum dv_status dv_gain_reset(struct dv_gain *gain);
enum dv_status dv_gain_apply(struct dv_gain *gain, const int16_t *in, int16_t *out, size_t samples);

enum dv_status dv_meter_init(struct dv_meter *meter, uint32_t sample_rate_hz);
enum dv_status dv_meter_measure(struct dv_meter *meter, const int16_t *pcm, size_t samples, struct dv_level *out);
double dv_level_rms_dbfs(const struct dv_level *level);
double dv_level_peak_dbfs(const struct dv_level *level);

size_t dv_resampler_size(uint32_t rate_in_hz, uint32_t rate_out_hz);
enum dv_status dv_resampler_init(void *mem, size_t cap, uint32_t rate_in_hz, uint32_t rate_out_hz);
int32_t dv_resampler_delay_samples(const struct dv_resampler *resampler);
enum dv_status dv_resampler_set_drift(struct dv_resampler *resampler, int32_t drift_ppb);
int32_t dv_resampler_output_max(const struct dv_resampler *resampler, size_t in_samples);
int32_t dv_resampler_process(struct dv_resampler *resampler, const int16_t *in, size_t in_samples, int16_t *out,
                             size_t out_cap_samples);
