"""The settings of one process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resources.security.masking import mask
from resources.security.private_files import GroupAccess
from resources.settings.consumers import groups_of
from resources.settings.environments import Environment
from resources.settings.errors import SettingsError
from resources.settings.files import plain
from resources.settings.jobs import JobSetting
from resources.settings.names import variable
from resources.settings.secret_files import CurrentValues
from resources.settings.started import comparable_address
from resources.settings.values import SCALARS
from resources.settings.written import Origin


@dataclass(frozen=True)
class Settings:
    """All settings of one process. `kafka` and `registry` contain client properties, secrets included."""

    home: Path
    assets: Path
    # Not shown: a URL may contain a password.
    snapshots: str = field(repr=False)
    kafka: Mapping[str, str] = field(repr=False)
    registry: Mapping[str, str] = field(repr=False)
    warehouses: Mapping[str, str] = field(repr=False)
    samples: str
    code_location: str
    topic_prefix: str
    ledger_topic: str
    """Includes the prefix."""
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
    embedded_servers: bool
    policy: str
    ui_hosts: str
    embedded: bool
    """Whether Kafka is the one that `sluice up` started."""
    embedded_registry_url: str | None = None
    """The address of the embedded registry that `sluice up` started, also if another registry is in use."""
    consumers: Mapping[str, str] = field(default_factory=dict)
    """Service -> the ids of its consumer groups, separated by commas."""
    environment: Environment | None = None
    """The environment in force; None if none was chosen."""
    environments: tuple[str, ...] = ()
    """The environments that the settings file declares."""
    jobs: tuple[JobSetting, ...] = ()
    """Jobs over selections, for every environment."""
    file: Path = Path("sluice.toml")
    """The settings file; it need not exist."""
    origins: Mapping[str, Origin] = field(default_factory=dict, repr=False)
    """For each setting that is not the default: where its value comes from."""

    @property
    def uses_sample_warehouse(self) -> bool:
        """Whether events without a `warehouse` read the sample file of this home."""
        scheme, _, path = self.warehouses["default"].partition("://")
        # duckdb:///var/x and duckdb:////var/x are the same file.
        return scheme == "duckdb" and path.startswith("/") and _same_file(f"/{path.lstrip('/')}", self.home)

    @property
    def samples_in_use(self) -> bool:
        """Whether the sample events of Sluice's own tree are loaded."""
        return self.uses_sample_warehouse if self.samples == "auto" else self.samples == "true"

    @property
    def bootstrap_servers(self) -> str:
        """`host:port,…` of Kafka; raises SettingsError if none is known."""
        servers = self.kafka.get("bootstrap.servers")
        if not servers:
            raise self._unset("no Kafka is known", "kafka", "bootstrap.servers", "host:9092")
        return servers

    @property
    def registry_url(self) -> str:
        """The base URL of the schema registry; raises SettingsError if none is known."""
        url = self.registry.get("url")
        if not url:
            raise self._unset("no schema registry is known", "registry", "url", "http://host:8081")
        return url

    @property
    def registry_is_embedded(self) -> bool:
        """Whether the registry in use is the one that `sluice up` started; this is
        independent of the Kafka in use."""
        own, used = self.embedded_registry_url, self.registry.get("url")
        return bool(own and used) and comparable_address(own or "") == comparable_address(used or "")

    def groups_of(self, service: str) -> tuple[str, ...]:
        """The consumer groups of a service that an event declares as its consumer."""
        return groups_of(service, self.consumers)

    def variable(self, setting: str) -> str:
        """The environment variable of a setting, for the environment in force."""
        return variable(setting, self.environment.name if self.environment else "")

    def origin(self, setting: str) -> Origin:
        """Where the value of a setting comes from."""
        return self.origins.get(setting, Origin("default"))

    def destination(self) -> str:
        """What this process writes to, in one line, without secrets."""
        shown = self.printable()
        parts = [
            f"Kafka {shown.get('kafka.bootstrap.servers', 'not set')}",
            f"registry {shown.get('registry.url', 'not set')}",
            f"topics that begin with {self.topic_prefix!r}" if self.topic_prefix else "no topic prefix",
        ]
        return (
            f"Environment {self.environment.name if self.environment else 'not chosen'}: {', '.join(parts)}"
        )

    @property
    def secret_files(self) -> set[Path]:
        """The files that contain the value of a setting."""
        return {origin.file for origin in self.origins.values() if origin.file is not None}

    def secrets_fingerprint(self) -> str:
        """A text that changes if the content of such a file changes."""
        groups = (self.kafka, self.registry, self.warehouses)
        return "-".join(group.fingerprint() for group in groups if isinstance(group, CurrentValues))

    def printable(self) -> dict[str, str]:
        """Every setting as text, with secrets masked."""
        rows = {name: mask(name, plain(getattr(self, name))) for name in SCALARS}
        for group, values in (
            ("kafka", self.kafka),
            ("registry", self.registry),
            ("warehouse", self.warehouses),
            ("consumers", self.consumers),
        ):
            rows |= {(full := f"{group}.{name}"): mask(full, value) for name, value in sorted(values.items())}
        return rows

    def _unset(self, problem: str, group: str, name: str, example: str) -> SettingsError:
        table = f"[env.{self.environment.name}.{group}]" if self.environment else f"[{group}]"
        up = "`sluice up` starts an embedded broker and registry for a first look"
        if self.environment and not self.embedded_servers:
            up = (
                f"set it; an environment uses the embedded servers of `sluice up` only with embedded_servers = true below "
                f"[env.{self.environment.name}]"
            )
        return SettingsError(
            f"environment {self.environment.name}" if self.environment else "settings",
            problem,
            allowed=f"{self.variable(f'{group}.{name}')}={example}, or {name} below {table} in sluice.toml",
            next_step=up,
        )


def _same_file(path: str, home: Path) -> bool:
    """Whether `path` is the sample file of the home; it need not exist."""
    return os.path.realpath(path) == os.path.realpath(home / "sample.duckdb")
