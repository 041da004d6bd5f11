"""A small schema registry: the part of Confluent's REST API that Avro producers and consumers use, on SQLite.

For a first look and for tests; `resources.dev.servers` starts it. It uses plain HTTP, has no users and no
schema references, and stores only Avro schemas.
"""
