/* Where a Java producer puts a key. */

#include <stdint.h>
#include <string.h>

#include "c_library.h"

/* Source: org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey. */
static inline uint32_t murmur2(const uint8_t *key, uint64_t length)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t hash = 0x9747b28c ^ (uint32_t)length;
    for (; length >= 4; key += 4, length -= 4) {
        uint32_t word;
        memcpy(&word, key, 4);
        word *= m;
        word ^= word >> 24;
        hash = hash * m ^ word * m;
    }
    if (length) {
        for (uint64_t place = 0; place < length; place++)
            hash ^= (uint32_t)key[place] << (8 * place);
        hash *= m;
    }
    hash ^= hash >> 13;
    hash *= m;
    return hash ^ hash >> 15;
}

/* Key r is at keys + ends[r] to ends[r + 1]. */
SLUICE void sluice_murmur2(int64_t rows, const int64_t *ends, const uint8_t *keys, uint32_t *hashes)
{
    for (int64_t row = 0; row < rows; row++)
        hashes[row] = murmur2(keys + ends[row], (uint64_t)(ends[row + 1] - ends[row]));
}
