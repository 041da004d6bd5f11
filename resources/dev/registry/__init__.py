"""A small schema registry: the Confluent REST subset that Avro producers and consumers use, on SQLite.

For a first look and for tests, started by `resources.dev.servers`. It speaks plain HTTP, knows no users and
no schema references, and keeps Avro only.
"""
