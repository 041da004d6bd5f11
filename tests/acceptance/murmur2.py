"""Kafka's murmur2, copied exactly from `org.apache.kafka.common.utils.Utils`, one key at a time: our own code
is compared with it."""


def java_partition(key: bytes, kafka_partitions: int) -> int:
    """The Kafka partition to which a Java producer sends a key (`BuiltInPartitioner.partitionForKey`)."""
    return (java_murmur2(key) & 0x7FFFFFFF) % kafka_partitions


def java_murmur2(data: bytes) -> int:
    """The hash as Java's signed int."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    h ^= h >> 15
    return h - (1 << 32) if h >> 31 else h
