"""Kafka: client settings, topics, the transactional producer, the ledger topic, reading back."""
