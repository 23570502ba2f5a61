/* Tests of dv_packet.c: the header both ways, every refusal, and that a refusal writes nothing. */
#include "dv_voice.h"

#include "check.h"

#include <stdlib.h>

static const struct {
    uint8_t bytes[DV_PACKET_MIN_BYTES];
    struct dv_packet_header header;
} PACKETS[] = {
    {{1, 0, 0, 0, 0, 0, 0, 0, 0, 0x48}, {0, 0}},
    {{1, 0, 0, 0x03, 0xE9, 0, 0, 0, 1, 0x48}, {1001, 1}},
    {{1, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0x48}, {0x01234567u, 0x89ABCDEFu}},
    {{1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x48}, {UINT32_MAX, UINT32_MAX}},
};

static void test_header_reads_and_writes_the_same_bytes(void)
{
    for (size_t i = 0; i < COUNT_OF(PACKETS); i++) {
        struct dv_packet packet;
        assert(dv_packet_parse(PACKETS[i].bytes, sizeof PACKETS[i].bytes, &packet) == DV_OK);
        assert(packet.header.stream_id == PACKETS[i].header.stream_id);
        assert(packet.header.packet_id == PACKETS[i].header.packet_id);
        assert(packet.payload == PACKETS[i].bytes + DV_HEADER_BYTES);
        assert(packet.payload_len == 1);

        uint8_t written[DV_HEADER_BYTES];
        assert(dv_packet_write_header(&PACKETS[i].header, written, sizeof written) == DV_HEADER_BYTES);
        assert(memcmp(written, PACKETS[i].bytes, DV_HEADER_BYTES) == 0);
    }
}

static void refuse(const uint8_t *in, size_t in_len, enum dv_status expected)
{
    struct dv_packet packet;
    memset(&packet, 0xA5, sizeof packet);
    assert(dv_packet_parse(in, in_len, &packet) == expected);
    assert(all_bytes_are(&packet, sizeof packet, 0xA5));
}

static void test_length_is_checked_before_the_first_read(void)
{
    for (size_t len = 0; len < DV_PACKET_MIN_BYTES; len++) {
        uint8_t *exact = malloc(len == 0 ? 1 : len); /* exact, so that a sanitizer sees one byte too far */
        assert(exact != NULL);
        memset(exact, 1, len);
        refuse(exact, len, DV_ERR_TOO_SHORT);
        free(exact);
    }
    /* One byte is there; were anything read before the length is refused, a sanitizer would say so. */
    uint8_t *one = malloc(1);
    assert(one != NULL);
    *one = 1;
    refuse(one, DV_PACKET_MAX_BYTES + 1, DV_ERR_TOO_LONG);
    refuse(one, SIZE_MAX / 2 + 1, DV_ERR_TOO_LONG);
    refuse(one, SIZE_MAX - 1, DV_ERR_TOO_LONG);
    refuse(one, (size_t)-1, DV_ERR_TOO_LONG);
    free(one);
}

static void test_longest_packet_is_accepted(void)
{
    uint8_t *longest = calloc(1, DV_PACKET_MAX_BYTES);
    assert(longest != NULL);
    longest[0] = 1;
    struct dv_packet packet;
    assert(dv_packet_parse(longest, DV_PACKET_MAX_BYTES, &packet) == DV_OK);
    assert(packet.payload + packet.payload_len == longest + DV_PACKET_MAX_BYTES);
    free(longest);
}

static void test_every_other_type_is_refused(void)
{
    uint8_t bytes[DV_PACKET_MIN_BYTES] = {0};
    for (unsigned type = 0; type < 256; type++) {
        if (type != 1) {
            bytes[0] = (uint8_t)type;
            refuse(bytes, sizeof bytes, DV_ERR_TYPE);
        }
    }
}

static void test_null_is_refused(void)
{
    struct dv_packet packet;
    assert(dv_packet_parse(PACKETS[0].bytes, DV_PACKET_MIN_BYTES, NULL) == DV_ERR_ARGUMENT);
    assert(dv_packet_parse(NULL, DV_PACKET_MIN_BYTES, &packet) == DV_ERR_ARGUMENT);
    uint8_t out[DV_HEADER_BYTES];
    assert(dv_packet_write_header(NULL, out, sizeof out) == DV_ERR_ARGUMENT);
    assert(dv_packet_write_header(&PACKETS[0].header, NULL, sizeof out) == DV_ERR_ARGUMENT);
}

static void test_header_needs_nine_bytes(void)
{
    uint8_t out[DV_HEADER_BYTES + 1];
    memset(out, 0xA5, sizeof out);
    for (size_t cap = 0; cap < DV_HEADER_BYTES; cap++) {
        assert(dv_packet_write_header(&PACKETS[1].header, out, cap) == DV_ERR_CAPACITY);
        assert(all_bytes_are(out, sizeof out, 0xA5));
    }
    assert(dv_packet_write_header(&PACKETS[1].header, out, SIZE_MAX) == DV_HEADER_BYTES);
    assert(out[DV_HEADER_BYTES] == 0xA5);
}

static void test_every_status_has_a_text_of_its_own(void)
{
    for (int32_t status = DV_ERR_OPUS; status <= DV_OK; status++) {
        assert(strcmp(dv_status_name(status), "unknown status") != 0);
        for (int32_t other = DV_ERR_OPUS; other < status; other++) {
            assert(strcmp(dv_status_name(status), dv_status_name(other)) != 0);
        }
    }
    assert(strcmp(dv_status_name(DV_OK), "ok") == 0);
    assert(strcmp(dv_status_name(INT32_MAX), "ok") == 0);
    assert(strcmp(dv_status_name(DV_ERR_OPUS - 1), "unknown status") == 0);
    assert(strcmp(dv_status_name(INT32_MIN), "unknown status") == 0);
}

int main(void)
{
    test_header_reads_and_writes_the_same_bytes();
    test_length_is_checked_before_the_first_read();
    test_longest_packet_is_accepted();
    test_every_other_type_is_refused();
    test_null_is_refused();
    test_header_needs_nine_bytes();
    test_every_status_has_a_text_of_its_own();
    return 0;
}
