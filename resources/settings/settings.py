"""The settings of one process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resources.security.masking import mask
from resources.security.private_files import GroupAccess
from resources.settings.errors import SettingsError
from resources.settings.started import comparable_address
from resources.settings.values import SCALARS


@dataclass(frozen=True)
class Settings:
    """All settings of one process. `kafka` and `registry` hold client properties, secrets included."""

    home: Path
    # Not shown: a URL may carry a password.
    snapshots: str = field(repr=False)
    kafka: Mapping[str, str] = field(repr=False)
    registry: Mapping[str, str] = field(repr=False)
    warehouses: Mapping[str, str] = field(repr=False)
    code_location: str
    ledger_topic: str
    ledger_partitions: int
    create_topics: bool
    topic_partitions: int
    replication_factor: int
    register_contracts: bool
    batch_rows: int
    transaction_seconds: int
    transaction_rows: int
    max_rows_per_second: int
    max_bytes_per_second: int
    producing: str
    reconcile: bool
    max_dead_letters: int
    memory_limit: str
    group_access: GroupAccess
    ui_hosts: str
    embedded: bool
    """Whether Kafka is the one that `sluice up` started."""
    embedded_registry_url: str | None = None
    """Where `sluice up` started the embedded registry, whichever registry is in use."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port,…` of Kafka; raises SettingsError when none is known."""
        servers = self.kafka.get("bootstrap.servers")
        if not servers:
            raise SettingsError(
                "settings",
                "no Kafka is known",
                allowed="SLUICE_KAFKA_BOOTSTRAP_SERVERS=host:9092, or bootstrap.servers below [kafka] in sluice.toml",
                next_step="`sluice up` starts an embedded broker and registry for a first look",
            )
        return servers

    @property
    def registry_url(self) -> str:
        """Base URL of the schema registry; raises SettingsError when none is known."""
        url = self.registry.get("url")
        if not url:
            raise SettingsError(
                "settings",
                "no schema registry is known",
                allowed="SLUICE_REGISTRY_URL=http://host:8081, or url below [registry] in sluice.toml",
                next_step="`sluice up` starts an embedded broker and registry for a first look",
            )
        return url

    @property
    def registry_is_embedded(self) -> bool:
        """Whether the registry in use is the one that `sluice up` started; it may be so with any Kafka."""
        own, used = self.embedded_registry_url, self.registry.get("url")
        return bool(own and used) and comparable_address(own or "") == comparable_address(used or "")

    def printable(self) -> dict[str, str]:
        """Every setting as text, secrets masked."""
        rows = {name: mask(name, str(getattr(self, name))) for name in SCALARS}
        for group, values in (
            ("kafka", self.kafka),
            ("registry", self.registry),
            ("warehouse", self.warehouses),
        ):
            rows |= {(full := f"{group}.{name}"): mask(full, value) for name, value in sorted(values.items())}
        return rows
