"""Every touch of the outside world: warehouse, snapshots, Kafka, registry."""
