/*
 * Publishes records from a file (see raw_c.py for its form) with librdkafka as fast as it goes.
 *
 *   raw_c BOOTSTRAP TOPIC FILE ROWS_PER_TRANSACTION [PROPERTY=VALUE ...]
 *
 * Prints "ready" when the records are in memory, waits for a line, publishes, prints how many records were
 * acknowledged and librdkafka's version, and waits for its input to end. With transactional.id among the properties
 * it commits after every ROWS_PER_TRANSACTION records or two seconds, whichever is first.
 */
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct block {
        int64_t rows;
        int32_t *key_offsets, *value_offsets;
        char *keys, *values;
        struct block *next;
} block_t;

static int64_t acknowledged = 0;

static void fail(const char *what, const char *why) {
        fprintf(stderr, "%s: %s\n", what, why);
        exit(1);
}

static void check(const char *what, rd_kafka_error_t *error) {
        if (error)
                fail(what, rd_kafka_error_string(error));
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
        if (message->err)
                fail("delivery", rd_kafka_err2str(message->err));
        acknowledged++;
}

static double now(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec + t.tv_nsec / 1e9;
}

static void *part(FILE *in, size_t bytes) {
        void *data = malloc(bytes ? bytes : 1);
        if (!data || fread(data, 1, bytes, in) != bytes)
                fail("records", "the file ends too early");
        return data;
}

static block_t *load(const char *path) {
        FILE *in = fopen(path, "rb");
        block_t *first = NULL, **link = &first;
        int64_t head[3];
        if (!in)
                fail(path, "cannot be opened");
        while (fread(head, sizeof(head), 1, in) == 1) {
                block_t *b = calloc(1, sizeof(*b));
                b->rows = head[0];
                b->key_offsets = part(in, 4 * (head[0] + 1));
                b->value_offsets = part(in, 4 * (head[0] + 1));
                b->keys = part(in, head[1]);
                b->values = part(in, head[2]);
                *link = b;
                link = &b->next;
        }
        fclose(in);
        return first;
}

int main(int argc, char **argv) {
        char errstr[512], line[16];
        if (argc < 5)
                fail("usage", "BOOTSTRAP TOPIC FILE ROWS_PER_TRANSACTION [PROPERTY=VALUE ...]");
        int64_t rows_per_transaction = atoll(argv[4]);
        int transactional = 0;
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], errstr, sizeof(errstr));
        for (int i = 5; i < argc; i++) {
                char *value = strchr(argv[i], '=');
                *value++ = 0;
                transactional |= !strcmp(argv[i], "transactional.id");
                if (rd_kafka_conf_set(conf, argv[i], value, errstr, sizeof(errstr)))
                        fail(argv[i], errstr);
        }
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        block_t *blocks = load(argv[3]);
        rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
        if (!rk)
                fail("producer", errstr);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, argv[2], NULL);
        printf("ready\n");
        fflush(stdout);
        if (!fgets(line, sizeof(line), stdin))
                return 1;

        int64_t open_rows = 0;
        double began = now();
        if (transactional) {
                check("init_transactions", rd_kafka_init_transactions(rk, 60000));
                check("begin_transaction", rd_kafka_begin_transaction(rk));
        }
        for (block_t *b = blocks; b; b = b->next) {
                for (int64_t row = 0; row < b->rows; row++) {
                        int32_t k = b->key_offsets[row], v = b->value_offsets[row];
                        /* Flags 0: values stay where they are. */
                        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, b->values + v,
                                                b->value_offsets[row + 1] - v, b->keys + k,
                                                b->key_offsets[row + 1] - k, NULL)) {
                                if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                                        fail("produce", rd_kafka_err2str(rd_kafka_last_error()));
                                rd_kafka_poll(rk, 10);
                        }
                        if (++open_rows % 1024 == 0) {
                                rd_kafka_poll(rk, 0);
                                if (transactional &&
                                    (open_rows >= rows_per_transaction || now() - began >= 2)) {
                                        check("commit", rd_kafka_commit_transaction(rk, 60000));
                                        check("begin_transaction", rd_kafka_begin_transaction(rk));
                                        open_rows = 0;
                                        began = now();
                                }
                        }
                }
        }
        rd_kafka_flush(rk, 60000);
        if (transactional)
                check("commit", rd_kafka_commit_transaction(rk, 60000));
        printf("%lld %s\n", (long long)acknowledged, rd_kafka_version_str());
        fflush(stdout);
        while (fgets(line, sizeof(line), stdin))
                ;
        return 0;
}
