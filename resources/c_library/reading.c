/* Messages of a librdkafka consumer as columns. librdkafka's functions are handed in: this library is linked with
   nothing. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "c_library.h"

/* No record but the end of what can be read of a partition: RD_KAFKA_RESP_ERR__PARTITION_EOF. */
enum { PARTITION_END = -191 };

typedef ptrdiff_t (*consume_function)(void *queue, int timeout_ms, struct message **messages, size_t most);
typedef void (*destroy_function)(struct message *message);
typedef int64_t (*timestamp_function)(const struct message *message, int *type);

/* RD_KAFKA_TIMESTAMP_CREATE_TIME: the producer's own. */
enum { CREATE_TIME = 1 };

/* What some messages are, as numpy's int64: see `_TOLD` in resources/kafka/native/reader.py. */
struct told {
    int64_t records, ends, key_bytes, value_bytes, first_error;
};

/* How many messages were taken into `messages`: what is here, at most `most` of them, and where nothing is, the first
   to come in `wait_ms`. `told` says what they are; first_error is the place of the first that is an error, or -1.
   Returns -1 where librdkafka does. */
SLUICE int64_t sluice_take_messages(
    consume_function consume, void *queue, int32_t wait_ms, struct message **messages, int64_t most, struct told *told)
{
    memset(told, 0, sizeof(*told));
    told->first_error = -1;
    /* For one alone: for more it would wait until all of them are here. */
    ptrdiff_t taken = most > 0 ? consume(queue, wait_ms, messages, 1) : 0;
    if (taken == 1 && most > 1) {
        ptrdiff_t more = consume(queue, 0, messages + 1, (size_t)most - 1);
        taken += more > 0 ? more : 0;
    }
    for (ptrdiff_t i = 0; i < taken; i++) {
        const struct message *message = messages[i];
        if (message->err == 0) {
            told->records++;
            told->key_bytes += message->key ? (int64_t)message->key_length : 0;
            told->value_bytes += message->payload ? (int64_t)message->length : 0;
        } else if (message->err == PARTITION_END) {
            told->ends++;
        } else if (told->first_error < 0) {
            told->first_error = i;
        }
    }
    return taken;
}

/* One side of the records, key or value, as Arrow has a large_binary column. */
struct column {
    int64_t *offsets;
    uint8_t *data;
    uint8_t *valid; /* a bit for each record, all of them 0 at first */
    int64_t nulls, at;
};

static inline void put(struct column *column, int64_t row, const void *from, size_t length)
{
    if (from) {
        memcpy(column->data + column->at, from, length);
        column->at += (int64_t)length;
        column->valid[row >> 3] |= (uint8_t)(1 << (row & 7));
    } else {
        column->nulls++;
    }
    column->offsets[row + 1] = column->at;
}

/* Records into columns, ends into `end_partitions` and `end_offsets`; errors are passed over. Each message is freed as
   soon as it was copied. The columns hold as much as `told` said of the same messages. `timestamp` may be NULL; else
   `stamps` takes the milliseconds that the producer gave each record, INT64_MIN where the brokers wrote theirs. */
SLUICE void sluice_gather_messages(
    destroy_function destroy, struct message **messages, int64_t count, int32_t *partitions, int64_t *offsets,
    struct column *keys, struct column *values, int32_t *end_partitions, int64_t *end_offsets,
    timestamp_function timestamp, int64_t *stamps)
{
    int64_t row = 0, end = 0;
    keys->offsets[0] = values->offsets[0] = keys->at = values->at = keys->nulls = values->nulls = 0;
    for (int64_t i = 0; i < count; i++) {
        struct message *message = messages[i];
        if (message->err == 0) {
            partitions[row] = message->partition;
            offsets[row] = message->offset;
            put(keys, row, message->key, message->key_length);
            put(values, row, message->payload, message->length);
            if (timestamp) {
                int type = 0;
                int64_t stamp = timestamp(message, &type);
                stamps[row] = type == CREATE_TIME ? stamp : INT64_MIN;
            }
            row++;
        } else if (message->err == PARTITION_END) {
            end_partitions[end] = message->partition;
            end_offsets[end++] = message->offset;
        }
        messages[i] = NULL;
        destroy(message);
    }
}

/* Free those that were taken and not gathered. */
SLUICE void sluice_free_messages(destroy_function destroy, struct message **messages, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (messages[i])
            destroy(messages[i]);
}
