"""Reads a topic as any Python service would: with confluent_kafka, the registry over HTTP, and fastavro. Uses
no code of Sluice.

It shows that a consumer needs nothing of Sluice to read what Sluice publishes.
"""

import io
import json
import urllib.request
import uuid
from typing import Any

import fastavro
from confluent_kafka import Consumer


def first_events(bootstrap_servers: str, registry_url: str, topic: str, count: int) -> list[tuple[str, Any]]:
    """The first `count` committed events of a topic as (key, value)."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"a-first-look-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    schemas: dict[int, Any] = {}
    events: list[tuple[str, Any]] = []
    consumer.subscribe([topic])
    try:
        # Joining a group takes a moment. After that, half a minute without a record is the end.
        while len(events) < count and (message := consumer.poll(30)) is not None:
            if message.error() is not None:
                break
            value = message.value()
            if value is None:
                continue
            schema_id = int.from_bytes(value[1:5], "big")
            if schema_id not in schemas:
                with urllib.request.urlopen(f"{registry_url}/schemas/ids/{schema_id}") as answer:
                    schemas[schema_id] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
            event = fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas[schema_id], None)
            events.append(((message.key() or b"").decode(), event))
    finally:
        consumer.close()
    return events
