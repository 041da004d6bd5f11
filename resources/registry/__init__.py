"""The schema registry: consumers find the contract there by the id in each record."""

from resources.registry.confluent import ConfluentRegistry
from resources.registry.errors import (
    ContractIncompatible,
    NotARegistry,
    NotAvro,
    RegistryRefused,
    RegistryUnavailable,
    RightMissing,
    SchemaUnknown,
)
from resources.registry.protocol import RegisteredSchema, Registry

__all__ = [
    "ConfluentRegistry",
    "ContractIncompatible",
    "NotARegistry",
    "NotAvro",
    "RegisteredSchema",
    "Registry",
    "RegistryRefused",
    "RegistryUnavailable",
    "RightMissing",
    "SchemaUnknown",
]
