"""Sluice beside the hand-written ways, its peers and raw librdkafka in C, on one real Apache Kafka.

    python -m benchmarks.compare [--scale 1] [--rows N] [--runs 3] [--data lineitem orders flights] [--only …]

`contenders/` holds one module for each way of doing the work; the rest makes the data, runs each contender in a
process of its own, in turn with the others, reads back what it wrote, and prints one table. docs/performance.md
shows the last run and says what it means.
"""
