/* Columns of a batch to Avro record bodies, row by row: the bytes that fastavro writes (pipelines/encoding/rowwise.py).

   Every pointer is into memory that the caller owns for the length of the call. Nothing is allocated and nothing is
   read beyond what a field's description says. Little-endian machines only; the loader sees to it. */

#include <stdint.h>
#include <string.h>

#include "c_library.h"

enum {
    BRANCH,    /* only the union's branch: a nullable record, whose fields follow as fields of their own */
    TEXT,      /* `offsets` into `data`: the length, then the bytes, which must be UTF-8 */
    BYTES,     /* the same of any bytes */
    INT32,     /* zig-zag varint */
    INT64,
    BLOCK,     /* `width` bytes a row, as they are */
    SHORTEST,  /* `width` bytes a row, little-endian two's complement, as the shortest big-endian bytes */
    SIZED,     /* the same in `size` bytes */
    UUID,      /* `offsets` into text of 36 characters, as 16 bytes */
    ITEMS      /* `counts` items, which `offsets` into `data` hold encoded: one block */
};

/* As pipelines/encoding/columns/compiled_writer.py fills it (a numpy dtype of the same layout). */
struct field {
    int32_t kind;
    int32_t width;           /* of a value; of an offset (4 or 8), where there are offsets */
    int32_t size;            /* of SIZED: bytes written; of decimals otherwise 0 */
    int32_t digits;          /* of decimals: bytes that the precision can need */
    uint8_t nullable;
    uint8_t branch;
    uint8_t null_branch;
    const uint8_t *present;  /* a byte a row, or null: everywhere */
    const uint8_t *valid;    /* the same */
    const uint8_t *data;
    const void *offsets;
    const int64_t *counts;
};

/* Why a row cannot be encoded. */
enum { TOO_MANY_DIGITS = 1, NOT_36_CHARACTERS = 2, NOT_HEXADECIMAL = 3, NOT_UTF8 = 4 };

static inline uint8_t *varint(uint8_t *out, uint64_t zigzag)
{
    while (zigzag >= 0x80) {
        *out++ = (uint8_t)(zigzag | 0x80);
        zigzag >>= 7;
    }
    *out++ = (uint8_t)zigzag;
    return out;
}

static inline uint8_t *zigzag_varint(uint8_t *out, int64_t value)
{
    return varint(out, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

static inline int64_t offset_of(const struct field *field, int64_t row)
{
    return field->width == 8 ? ((const int64_t *)field->offsets)[row] : ((const int32_t *)field->offsets)[row];
}

/* Most texts are short: two moves that may overlap are quicker than a call, and read nothing beyond. */
static inline uint8_t *copied(uint8_t *out, const uint8_t *from, int64_t length)
{
    if (length > 32) {
        memcpy(out, from, (size_t)length);
    } else if (length >= 16) {
        memcpy(out, from, 16);
        memcpy(out + length - 16, from + length - 16, 16);
    } else if (length >= 8) {
        memcpy(out, from, 8);
        memcpy(out + length - 8, from + length - 8, 8);
    } else if (length >= 4) {
        memcpy(out, from, 4);
        memcpy(out + length - 4, from + length - 4, 4);
    } else {
        for (int64_t place = 0; place < length; place++)
            out[place] = from[place];
    }
    return out + length;
}

/* RFC 3629: the shortest form of each character, no surrogates, nothing above U+10FFFF. Reads nothing beyond. */
static int is_utf8(const uint8_t *text, int64_t length)
{
    const uint8_t *end = text + length;
    for (uint64_t word; end - text >= 8; text += 8) {
        memcpy(&word, text, 8);
        if (word & 0x8080808080808080)
            break;
    }
    while (text < end) {
        uint8_t first = *text++;
        if (first < 0x80)
            continue;
        int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
        if (first < 0xC2 || first > 0xF4 || end - text < more)
            return 0;
        uint8_t lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
        uint8_t highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        for (; more--; lowest = 0x80, highest = 0xBF, text++)
            if (*text < lowest || *text > highest)
                return 0;
    }
    return 1;
}

/* -1: more digits than the precision has. Else how many of the low bytes the shortest form has. */
static inline int shortest(const uint8_t *word, int width, int digits)
{
    uint8_t sign = word[digits - 1] & 0x80 ? 0xFF : 0;
    for (int place = digits; place < width; place++)
        if (word[place] != sign)
            return -1;
    int needed = digits;
    while (needed > 1 && word[needed - 1] == sign && ((word[needed - 2] ^ sign) & 0x80) == 0)
        needed--;
    return needed;
}

/* SHORTEST of 16 bytes of which the precision needs at most 8, as most decimals are: the same without a step a byte.
   Writes up to 8 bytes beyond what it returns. */
static inline uint8_t *short_decimal(uint8_t *out, const uint8_t *word, int digits)
{
    int64_t low, high;
    memcpy(&low, word, 8);
    memcpy(&high, word + 8, 8);
    int64_t above = low >> (8 * digits - 1);
    if ((above != 0 && above != -1) || high != low >> 63)
        return 0;
    uint64_t magnitude = (uint64_t)(low ^ (low >> 63));
    int needed = magnitude ? (64 - __builtin_clzll(magnitude)) / 8 + 1 : 1;
    uint64_t big_endian = __builtin_bswap64((uint64_t)low << (64 - 8 * needed));
    *out++ = (uint8_t)(needed << 1);
    memcpy(out, &big_endian, 8);
    return out + needed;
}

static inline int digit(uint8_t character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

static int uuid(uint8_t *out, const uint8_t *text)
{
    for (int place = 0; place < 36; place++) {
        if (place == 8 || place == 13 || place == 18 || place == 23)
            continue;
        int high = digit(text[place]), low = digit(text[++place]);
        if (high < 0 || low < 0)
            return 0;
        *out++ = (uint8_t)(high << 4 | low);
    }
    return 1;
}

/* `rows` records, each after `prefix`, into `out`, which holds as much as the caller computed the most to be and 8
   bytes more, which may be written to; row r is
   at out + ends[r] to ends[r + 1]. Returns the bytes written, or -1 with the field, the row and the reason in
   `refused`. */
SLUICE int64_t sluice_encode(
    const struct field *fields, int64_t field_count, int64_t rows, const uint8_t *prefix, int64_t prefix_length,
    int64_t *ends, uint8_t *out, int64_t *refused)
{
    uint8_t *at = out;
    ends[0] = 0;
    for (int64_t row = 0; row < rows; row++) {
        at = copied(at, prefix, prefix_length);
        for (int64_t place = 0; place < field_count; place++) {
            const struct field *field = fields + place;
            if (field->present && !field->present[row])
                continue;
            int valid = !field->valid || field->valid[row];
            if (field->nullable)
                *at++ = valid ? field->branch : field->null_branch;
            if (!valid)
                continue;
            int reason = 0;
            switch (field->kind) {
            case BRANCH:
                break;
            case TEXT:
            case BYTES: {
                int64_t start = offset_of(field, row), length = offset_of(field, row + 1) - start;
                if (field->kind == TEXT && !is_utf8(field->data + start, length)) {
                    reason = NOT_UTF8;
                    break;
                }
                at = copied(varint(at, (uint64_t)length << 1), field->data + start, length);
                break;
            }
            case INT32: {
                int32_t value;
                memcpy(&value, field->data + row * 4, 4);
                at = zigzag_varint(at, value);
                break;
            }
            case INT64: {
                int64_t value;
                memcpy(&value, field->data + row * 8, 8);
                at = zigzag_varint(at, value);
                break;
            }
            case BLOCK:
                at = copied(at, field->data + row * field->width, field->width);
                break;
            case SHORTEST: {
                const uint8_t *word = field->data + row * field->width;
                if (field->width == 16 && field->digits <= 8) {
                    uint8_t *after = short_decimal(at, word, field->digits);
                    if (after)
                        at = after;
                    else
                        reason = TOO_MANY_DIGITS;
                    break;
                }
                int needed = shortest(word, field->width, field->digits);
                if (needed < 0) {
                    reason = TOO_MANY_DIGITS;
                    break;
                }
                *at++ = (uint8_t)(needed << 1);
                while (needed--)
                    *at++ = word[needed];
                break;
            }
            case SIZED: {
                const uint8_t *word = field->data + row * field->width;
                if (shortest(word, field->width, field->digits) < 0) {
                    reason = TOO_MANY_DIGITS;
                    break;
                }
                uint8_t sign = word[field->digits - 1] & 0x80 ? 0xFF : 0;
                for (int above = field->size; above > field->digits; above--)
                    *at++ = sign;
                for (int below = field->digits; below--;)
                    *at++ = word[below];
                break;
            }
            case UUID: {
                int64_t start = offset_of(field, row);
                if (offset_of(field, row + 1) - start != 36)
                    reason = NOT_36_CHARACTERS;
                else if (!uuid(at, field->data + start))
                    reason = NOT_HEXADECIMAL;
                else
                    at += 16;
                break;
            }
            case ITEMS: {
                int64_t start = offset_of(field, row);
                if (field->counts[row]) {
                    at = zigzag_varint(at, field->counts[row]);
                    at = copied(at, field->data + start, offset_of(field, row + 1) - start);
                }
                *at++ = 0;
                break;
            }
            }
            if (reason) {
                refused[0] = place;
                refused[1] = row;
                refused[2] = reason;
                return -1;
            }
        }
        ends[row + 1] = at - out;
    }
    return at - out;
}

SLUICE int64_t sluice_field_bytes(void)
{
    return sizeof(struct field);
}
