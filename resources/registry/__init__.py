"""The schema registry: where consumers find the contracts by the id in each record."""

from resources.registry.confluent import ConfluentRegistry
from resources.registry.errors import (
    ContractIncompatible,
    RegistryRefused,
    RegistryUnavailable,
    SchemaUnknown,
)
from resources.registry.protocol import RegisteredSchema, Registry

__all__ = [
    "ConfluentRegistry",
    "ContractIncompatible",
    "RegisteredSchema",
    "Registry",
    "RegistryRefused",
    "RegistryUnavailable",
    "SchemaUnknown",
]
