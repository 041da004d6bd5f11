"""Sluice compared with hand-written code, its peers and raw librdkafka in C, on one real Apache Kafka.

    python -m benchmarks.compare [--scale 1] [--rows N] [--runs 3] [--data lineitem orders flights] [--only …]

`contenders/` has one module for each way of doing the work. The rest makes the data, runs each contender in a
separate process, in turn with the others, reads back what it wrote, and prints one table. docs/performance.md
shows the last run and explains it.
"""
