"""Servers that Sluice starts itself, embedded or real: a broker and a registry, for a first look and tests.

`up(home)` starts them detached and returns their addresses; `down(home)` stops what `up` started;
`status(home)` says what runs. Nothing here is imported by the platform when it publishes.
"""

from resources.dev.servers.errors import OtherKindRunning, ServerFailed, ServerUnavailable
from resources.dev.servers.supervisor import KafkaKind, RegistryKind, Servers, ServerStatus, down, status, up

__all__ = [
    "KafkaKind",
    "OtherKindRunning",
    "RegistryKind",
    "ServerFailed",
    "ServerStatus",
    "ServerUnavailable",
    "Servers",
    "down",
    "status",
    "up",
]
