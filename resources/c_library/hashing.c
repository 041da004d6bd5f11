/* SHA-256 of many short messages in one call, where the processor has instructions for it. Elsewhere Python's hashlib
   is the quicker way, and sluice_can_hash says no.

   Source: FIPS 180-4; Intel's SHA extensions, "sha256rnds2" (two rounds), "sha256msg1" and "sha256msg2" (schedule). */

#include <stdint.h>
#include <string.h>

#include "c_library.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t ROUND[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* The state as the instructions hold it: words A B E F and C D G H, from the highest. */
struct state {
    __m128i abef, cdgh;
};

struct hash {
    struct state state;
    uint8_t block[64];
    size_t held;
    uint64_t length;
};

static WITH_SHA void take_blocks(struct state *state, const uint8_t *data, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef = state->abef, cdgh = state->cdgh;
    for (; blocks; blocks--, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i words[4];
        for (int i = 0; i < 4; i++)
            words[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), big_endian);
#pragma GCC unroll 16
        for (int four = 0; four < 16; four++) {
            __m128i now = words[four & 3];
            __m128i sum = _mm_add_epi32(now, _mm_load_si128((const __m128i *)(ROUND + 4 * four)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            if (four < 12) {
                __m128i last = words[(four + 3) & 3];
                __m128i middle = _mm_alignr_epi8(last, words[(four + 2) & 3], 4);
                __m128i first = _mm_sha256msg1_epu32(now, words[(four + 1) & 3]);
                words[four & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(first, middle), last);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    state->abef = abef;
    state->cdgh = cdgh;
}

static WITH_SHA void begin(struct hash *hash)
{
    hash->state.abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
    hash->state.cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
    hash->held = 0;
    hash->length = 0;
}

static WITH_SHA void take(struct hash *hash, const uint8_t *data, size_t length)
{
    hash->length += length;
    if (hash->held) {
        size_t room = 64 - hash->held, part = length < room ? length : room;
        memcpy(hash->block + hash->held, data, part);
        hash->held += part;
        data += part;
        length -= part;
        if (hash->held < 64)
            return;
        take_blocks(&hash->state, hash->block, 1);
        hash->held = 0;
    }
    take_blocks(&hash->state, data, length / 64);
    hash->held = length % 64;
    memcpy(hash->block, data + (length - hash->held), hash->held);
}

static WITH_SHA void finish(struct hash *hash, uint8_t *digest)
{
    uint64_t bits = hash->length * 8;
    hash->block[hash->held++] = 0x80;
    if (hash->held > 56) {
        memset(hash->block + hash->held, 0, 64 - hash->held);
        take_blocks(&hash->state, hash->block, 1);
        hash->held = 0;
    }
    memset(hash->block + hash->held, 0, 56 - hash->held);
    for (int i = 0; i < 8; i++)
        hash->block[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
    take_blocks(&hash->state, hash->block, 1);
    uint32_t abef[4], cdgh[4];
    _mm_storeu_si128((__m128i *)abef, hash->state.abef);
    _mm_storeu_si128((__m128i *)cdgh, hash->state.cdgh);
    const uint32_t words[8] = {abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0]};
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 4; j++)
            digest[4 * i + j] = (uint8_t)(words[i] >> (24 - 8 * j));
}

SLUICE int32_t sluice_can_hash(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* For each row the digest of `head`, the key's length as 4 big-endian bytes, the key, and its part of each of two
   binary columns, into 32 bytes of `digests`. */
SLUICE WITH_SHA void sluice_event_digests(
    const uint8_t *head, int64_t head_length, int64_t rows, const int64_t *key_ends, const uint8_t *keys,
    const int64_t *front_ends, const uint8_t *front, const int64_t *back_ends, const uint8_t *back, uint8_t *digests)
{
    struct hash common;
    begin(&common);
    take(&common, head, (size_t)head_length);
    for (int64_t row = 0; row < rows; row++, digests += 32) {
        struct hash hash = common;
        uint64_t key_length = (uint64_t)(key_ends[row + 1] - key_ends[row]);
        const uint8_t size[4] = {
            (uint8_t)(key_length >> 24), (uint8_t)(key_length >> 16), (uint8_t)(key_length >> 8), (uint8_t)key_length};
        take(&hash, size, 4);
        take(&hash, keys + key_ends[row], (size_t)key_length);
        take(&hash, front + front_ends[row], (size_t)(front_ends[row + 1] - front_ends[row]));
        take(&hash, back + back_ends[row], (size_t)(back_ends[row + 1] - back_ends[row]));
        finish(&hash, digests);
    }
}

#else

SLUICE int32_t sluice_can_hash(void)
{
    return 0;
}

SLUICE void sluice_event_digests(
    const uint8_t *head, int64_t head_length, int64_t rows, const int64_t *key_ends, const uint8_t *keys,
    const int64_t *front_ends, const uint8_t *front, const int64_t *back_ends, const uint8_t *back, uint8_t *digests)
{
    (void)head, (void)head_length, (void)rows, (void)key_ends, (void)keys, (void)front_ends, (void)front;
    (void)back_ends, (void)back, (void)digests;
}

#endif
