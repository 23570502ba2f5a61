/* Run a fuzz target over files without libFuzzer: each file whole, then each of its beginnings, so that
 * a corpus of good packets is also one of every packet cut short. Under gcc's sanitizers this is what a
 * machine without clang checks.
 *
 *     replay FILE...
 * Exit status 0: the target survived all of them. 2: a file could not be read, or none was given. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX_BYTES = 1 << 20, PREFIX_MAX_BYTES = 1024 };

static int replay(const char *path, uint8_t *buffer)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 0;
    }
    const size_t size = fread(buffer, 1, FILE_MAX_BYTES, file);
    const int failed = ferror(file) || fgetc(file) != EOF;
    (void)fclose(file);
    if (failed) {
        (void)fprintf(stderr, "%s: not readable, or longer than %d bytes\n", path, FILE_MAX_BYTES);
        return 0;
    }
    (void)LLVMFuzzerTestOneInput(buffer, size);
    for (size_t prefix = 0; prefix < size && prefix <= PREFIX_MAX_BYTES; prefix++) {
        (void)LLVMFuzzerTestOneInput(buffer, prefix);
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s FILE...\n", argv[0]);
        return 2;
    }
    uint8_t *buffer = malloc(FILE_MAX_BYTES);
    if (buffer == NULL) {
        return 2;
    }
    int status = 0;
    for (int i = 1; i < argc; i++) {
        if (!replay(argv[i], buffer)) {
            status = 2;
        }
    }
    free(buffer);
    (void)printf("%s: %d files replayed\n", argv[0], argc - 1);
    return status;
}
