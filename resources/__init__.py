"""Every touch of the outside world: warehouse, snapshots, Kafka, registry."""

from resources.process.memory import choose_pool

# Before any module of these packages loads pyarrow, which asks once.
choose_pool()
