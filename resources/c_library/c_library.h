/* What the files of the compiled library share. They include nothing of Python: it is loaded by ctypes. */

#define SLUICE __attribute__((visibility("default")))

#include <stddef.h>
#include <stdint.h>

/* rd_kafka_message_t of rdkafka.h, part of its stable interface. */
struct message {
    int32_t err;
    void *topic;
    int32_t partition;
    const void *payload;
    size_t length;
    const void *key;
    size_t key_length;
    int64_t offset;
    void *opaque;
};
