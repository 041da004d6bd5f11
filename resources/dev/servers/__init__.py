"""Servers that Sluice starts itself, embedded or real: a broker and a registry,
for a first look and for tests.

`up(home)` starts them detached and returns their addresses; `down(home)` stops what `up` started;
`status(home)` says what runs. The platform imports nothing from here when it publishes.
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
