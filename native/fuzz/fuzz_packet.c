/* Fuzz target: dv_packet_parse on any bytes. The truth it holds the parser to: a documented status or
 * OK, nothing else; a view that lies inside the input; a header that writes back to the same bytes. */
#include "dv_voice.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *in = malloc(size == 0 ? 1 : size); /* exact, so that the sanitizer sees one byte too far */
    require(in != NULL);
    if (size > 0) {
        memcpy(in, data, size);
    }
    struct dv_packet packet;
    struct dv_packet untouched;
    memset(&packet, 0xA5, sizeof packet);
    memset(&untouched, 0xA5, sizeof untouched);

    const enum dv_status status = dv_packet_parse(in, size, &packet);
    if (status == DV_OK) {
        uint8_t header[DV_HEADER_BYTES];
        require(size >= DV_PACKET_MIN_BYTES && size <= DV_PACKET_MAX_BYTES);
        require(packet.payload == in + DV_HEADER_BYTES && packet.payload_len == size - DV_HEADER_BYTES);
        require(dv_packet_write_header(&packet.header, header, sizeof header) == DV_HEADER_BYTES);
        require(memcmp(header, in, sizeof header) == 0);
    } else {
        require(status == DV_ERR_TOO_SHORT || status == DV_ERR_TOO_LONG || status == DV_ERR_TYPE);
        require(memcmp(&packet, &untouched, sizeof packet) == 0);
    }
    free(in);
    return 0;
}
