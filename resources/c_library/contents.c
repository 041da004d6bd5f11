/* The content of records as two numbers of 64 bits: pipelines/reconciling/records/content.py says how they are made. */

#include <stdint.h>
#include <string.h>

#include "c_library.h"

#define FIRST_SEED 0x243F6A8885A308D3u
#define SECOND_SEED 0x13198A2E03707344u
#define FIRST_FACTOR 0x9E3779B97F4A7C15u
#define SECOND_FACTOR 0xD6E8FEB86659FD93u
#define TOMBSTONE UINT64_MAX

enum { LONG = 1024 };

struct lanes {
    uint64_t first, second;
};

static inline void mix(struct lanes *lanes, uint64_t word)
{
    uint64_t first = (lanes->first ^ word) * FIRST_FACTOR, second = (lanes->second ^ word) * SECOND_FACTOR;
    lanes->first = first ^ first >> 32;
    lanes->second = second ^ second >> 32;
}

static inline void absorb(struct lanes *lanes, uint64_t told, const uint8_t *data, int64_t length)
{
    mix(lanes, told);
    for (; length >= 8; length -= 8, data += 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        mix(lanes, word);
    }
    uint64_t last = 0;
    memcpy(&last, data, (size_t)length);
    mix(lanes, last);
}

static inline int is_valid(const uint8_t *valid, int64_t row)
{
    return !valid || valid[row >> 3] >> (row & 7) & 1;
}

/* Both numbers of each record. `offsets` of a side are rows + 1; its `valid` is NULL, or Arrow's bits, of which the
   first record's is the one at `first_bit`. Returns -1, or the first row of which a side is so long that another hash
   takes its place. */
SLUICE int64_t sluice_contents(
    int64_t rows, const int64_t *key_offsets, const uint8_t *keys, const uint8_t *key_valid, int64_t key_bit,
    const int64_t *value_offsets, const uint8_t *values, const uint8_t *value_valid, int64_t value_bit,
    uint64_t *first, uint64_t *second)
{
    for (int64_t row = 0; row < rows; row++) {
        struct lanes lanes = {FIRST_SEED, SECOND_SEED};
        int there = is_valid(key_valid, key_bit + row);
        int64_t length = there ? key_offsets[row + 1] - key_offsets[row] : 0;
        if (length > LONG)
            return row;
        absorb(&lanes, (uint64_t)length, keys + key_offsets[row], length);
        there = is_valid(value_valid, value_bit + row);
        length = there ? value_offsets[row + 1] - value_offsets[row] : 0;
        if (length > LONG)
            return row;
        absorb(&lanes, there ? (uint64_t)length : TOMBSTONE, values + value_offsets[row], length);
        mix(&lanes, 0);
        mix(&lanes, 0);
        first[row] = lanes.first;
        second[row] = lanes.second;
    }
    return -1;
}
