"""Everything that touches the outside world: warehouse, snapshots, Kafka, registry."""

from resources.process.memory import choose_pool

# Must run before a module of these packages loads pyarrow, which reads the choice only once.
choose_pool()
