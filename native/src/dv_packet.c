/* The header of a voice packet, and the texts of the statuses. Pure functions of their arguments. */
#include "dv_voice.h"

enum { TYPE_AUDIO = 1, STREAM_ID_AT = 1, PACKET_ID_AT = 5 };

static uint32_t read_u32(const uint8_t *bytes)
{
    return ((uint32_t)bytes[0] << 24) | ((uint32_t)bytes[1] << 16) | ((uint32_t)bytes[2] << 8) | bytes[3];
}

static void write_u32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

enum dv_status dv_packet_parse(const uint8_t *in, size_t in_len, struct dv_packet *out)
{
    if (in == NULL || out == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (in_len < DV_PACKET_MIN_BYTES) {
        return DV_ERR_TOO_SHORT;
    }
    if (in_len > DV_PACKET_MAX_BYTES) {
        return DV_ERR_TOO_LONG;
    }
    if (in[0] != TYPE_AUDIO) {
        return DV_ERR_TYPE;
    }
    out->header.stream_id = read_u32(in + STREAM_ID_AT);
    out->header.packet_id = read_u32(in + PACKET_ID_AT);
    out->payload = in + DV_HEADER_BYTES;
    out->payload_len = in_len - DV_HEADER_BYTES;
    return DV_OK;
}

int32_t dv_packet_write_header(const struct dv_packet_header *header, uint8_t *out, size_t out_cap)
{
    if (header == NULL || out == NULL) {
        return DV_ERR_ARGUMENT;
    }
    if (out_cap < DV_HEADER_BYTES) {
        return DV_ERR_CAPACITY;
    }
    out[0] = TYPE_AUDIO;
    write_u32(out + STREAM_ID_AT, header->stream_id);
    write_u32(out + PACKET_ID_AT, header->packet_id);
    return DV_HEADER_BYTES;
}

const char *dv_status_name(int32_t status)
{
    if (status >= 0) {
        return "ok";
    }
    switch ((enum dv_status)status) {
    case DV_OK:
        break;
    case DV_ERR_ARGUMENT:
        return "argument out of range";
    case DV_ERR_SAMPLE_RATE:
        return "sample rate is not supported";
    case DV_ERR_FRAME_SIZE:
        return "not a duration of Opus";
    case DV_ERR_ALIGNMENT:
        return "memory is not aligned";
    case DV_ERR_CAPACITY:
        return "buffer is too small";
    case DV_ERR_UNINITIALISED:
        return "object is not initialised";
    case DV_ERR_TOO_SHORT:
        return "packet is too short";
    case DV_ERR_TOO_LONG:
        return "input is too long";
    case DV_ERR_TYPE:
        return "packet is not audio";
    case DV_ERR_PAYLOAD:
        return "payload is not an Opus packet";
    case DV_ERR_OPUS:
        return "libopus failed";
    }
    return "unknown status";
}
