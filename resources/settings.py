"""Where the outside world is: read from the environment, then `sluice.toml`, then the embedded servers.

A setting `kafka.sasl.password` is written `SLUICE_KAFKA_SASL_PASSWORD` in the environment, or
`"sasl.password" = ...` below `[kafka]` in `sluice.toml`; the environment wins. A relative folder
is meant from the file that names it; in the environment, from where the process stands. Every property
of librdkafka and of the schema registry client passes through unchanged, so SASL, TLS and OAuth need no
support of ours. Nothing here is read at import, and no secret is ever part of a printed value.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resources.errors import SluiceError, did_you_mean

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "SLUICE_"

_STARS = "********"
_SECRET = re.compile(r"password|passphrase|secret|token$|user\.info|jaas|\.pem$", re.IGNORECASE)
# A secret in a query string, a DSN or a list of options, whatever the setting is called.
_SECRET_INSIDE = re.compile(
    r"(password|passwd|pwd|secret|token|credentials?|access_?key|api_?key)\w*\s*[=:]", re.IGNORECASE
)

_SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

# name -> (default, what it means); the page docs/settings.md says the same with examples.
_SCALARS: dict[str, tuple[str | bool | int, str]] = {
    "home": ("", "folder of local state: Dagster's home, embedded servers, sample warehouse"),
    "snapshots": ("", "folder or fsspec URL that keeps the snapshots"),
    "code_location": ("sluice", "part of every transactional.id; two installations on one Kafka must differ"),
    "ledger_topic": ("sluice.ledger", "the compacted topic that records every publication"),
    "ledger_partitions": (16, "fixed when the ledger topic is created; never changed afterwards"),
    "create_topics": (False, "create missing topics instead of naming the command to run"),
    "topic_partitions": (3, "partitions of a topic created by Sluice"),
    "replication_factor": (0, "replicas of a topic created by Sluice; 0: the brokers' own default"),
    "register_contracts": (False, "register a new contract at publish, when it is compatible"),
    "batch_rows": (32768, "rows a step holds at a time"),
    "transaction_seconds": (2, "longest time between two commits while publishing"),
    "transaction_rows": (1_000_000, "most rows between two commits while publishing"),
    "max_rows_per_second": (0, "most rows that a run publishes per second; 0: no limit"),
    "max_bytes_per_second": (
        0,
        "most bytes, before compression, that a run publishes per second; 0: no limit",
    ),
    "producing": ("auto", "how records reach the client: auto, native or public"),
    "reconcile": (True, "read back what a run published and compare it with the snapshot"),
    "max_dead_letters": (
        10000,
        "dead letters of a window kept with row and value; of the others place and reason are",
    ),
    "memory_limit": ("128MB", "memory of the embedded query engine; beyond it spills to disk"),
    "ui_hosts": (
        "",
        "host names under which the web server is opened, besides localhost and its own address",
    ),
}
# Read elsewhere, or by the test suite; allowed to stand in the environment.
_FOREIGN = {"SLUICE_COMPILED", "SLUICE_REQUIRE_SERVERS", "SLUICE_TOML"}


class SettingsError(SluiceError):
    """A setting that is missing, unknown or out of range."""


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
    ui_hosts: str
    embedded: bool

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

    def printable(self) -> dict[str, str]:
        """Every setting as text, secrets masked."""
        rows = {name: mask(name, str(getattr(self, name))) for name in _SCALARS}
        for group, values in (
            ("kafka", self.kafka),
            ("registry", self.registry),
            ("warehouse", self.warehouses),
        ):
            rows |= {f"{group}.{name}": mask(name, value) for name, value in sorted(values.items())}
        return rows


def mask(name: str, value: str) -> str:
    """`value`, or stars when `name` or the value itself carries a secret."""
    if _SECRET.search(name) or _SECRET_INSIDE.search(value):
        return _STARS
    # To the last @ before the path: a password may hold one itself.
    return re.sub(r"(://[^:/@\s]*):[^/\s]*@", rf"\1:{_STARS}@", value)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings now. Raises SettingsError naming the variable or the file."""
    environ = os.environ if environ is None else environ
    named = environ.get("SLUICE_TOML")
    toml_path = Path(named or ROOT / "sluice.toml").expanduser().absolute()
    if named and not toml_path.exists():
        raise SettingsError(f"SLUICE_TOML={named}", "there is no such file")
    from_file = _read_toml(toml_path)
    groups: dict[str, dict[str, str]] = {"kafka": {}, "registry": {}, "warehouse": {}}
    scalars: dict[str, Any] = {name: default for name, (default, _) in _SCALARS.items()}
    for name, value in from_file.items():
        if name in groups:
            if not isinstance(value, dict):
                raise SettingsError(
                    str(toml_path), f"{name} is not a table", allowed=f"properties below [{name}]"
                )
            found = {key: _plain(inner) for key, inner in _flatten(value).items()}
            if name == "warehouse":
                found = {key: _absolute_file(url, toml_path.parent) for key, url in found.items()}
            groups[name] |= found
        elif name in scalars:
            scalars[name] = _typed(str(toml_path), name, _plain(value))
            if name in ("home", "snapshots"):
                scalars[name] = _absolute(scalars[name], toml_path.parent)
        else:
            raise _unknown(str(toml_path), name)
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in _FOREIGN:
            continue
        name = variable.removeprefix(PREFIX).lower()
        group, _, rest = name.partition("_")
        if name in scalars:
            scalars[name] = _typed("environment", variable, value)
        elif group in groups and rest:
            # Warehouse names are ours and hold no dots; client properties are dotted.
            groups[group][rest if group == "warehouse" else rest.replace("_", ".")] = value
        else:
            raise _unknown("environment", variable)

    # Absolute: the web server, the daemon and a run may each stand in another folder.
    home = Path(_absolute(scalars["home"], Path.cwd()) if scalars["home"] else ROOT / ".sluice")
    del scalars["home"]
    embedded = _embedded(home)
    in_use = bool(embedded) and "bootstrap.servers" not in groups["kafka"]
    if in_use:
        groups["kafka"]["bootstrap.servers"] = embedded["bootstrap_servers"]
        groups["registry"].setdefault("url", embedded["registry_url"])
        explicit = set(from_file) | {v.removeprefix(PREFIX).lower() for v in environ}
        # A first look has nobody to ask for a topic.
        for name in ("create_topics", "register_contracts"):
            if name not in explicit:
                scalars[name] = True
    groups["warehouse"].setdefault("default", f"duckdb:///{home / 'sample.duckdb'}")
    scalars["snapshots"] = _absolute(scalars["snapshots"] or str(home / "snapshots"), Path.cwd())
    groups["warehouse"] = {name: _absolute_file(url, Path.cwd()) for name, url in groups["warehouse"].items()}
    return Settings(
        home=home,
        kafka=groups["kafka"],
        registry=groups["registry"],
        warehouses=groups["warehouse"],
        embedded=in_use,
        **scalars,
    )


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"not valid TOML: {error}") from None
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from None


def _absolute(place: str, base: Path) -> str:
    """`place`, a URL or a folder, as it is meant from anywhere."""
    return place if "://" in place else str(base / Path(place).expanduser())


def _absolute_file(url: str, base: Path) -> str:
    """A warehouse's URL; `duckdb://name.duckdb`, without the third slash, is relative to `base`."""
    scheme, separator, path = url.partition("://")
    relative = separator and scheme == "duckdb" and not path.startswith("/")
    return f"duckdb://{base / path}" if relative else url


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _typed(where: str, name: str, value: str) -> str | bool | int:
    default = _SCALARS[name.removeprefix(PREFIX).lower()][0]
    if isinstance(default, bool):
        if value.lower() not in _SWITCHES:
            raise SettingsError(where, f"{name}={value!r} is not a switch", allowed="true or false")
        return _SWITCHES[value.lower()]
    if isinstance(default, int):
        least = min(default, 1)
        if not re.fullmatch("[0-9]+", value) or int(value) < least:
            raise SettingsError(where, f"{name}={value!r} is not a whole number{' above 0' if least else ''}")
        return int(value)
    return value


def _unknown(where: str, name: str) -> SettingsError:
    options = [f"{PREFIX}{n.upper()}" for n in _SCALARS] if name.startswith(PREFIX) else list(_SCALARS)
    groups = "SLUICE_KAFKA_…, SLUICE_REGISTRY_…, SLUICE_WAREHOUSE_…"
    return SettingsError(
        where,
        f"unknown setting {name}.{did_you_mean(name, options)}",
        allowed=f"{', '.join(options)}; and {groups}",
    )


def _embedded(home: Path) -> dict[str, str]:
    """Addresses of the servers `sluice up` started, or nothing."""
    try:
        state = json.loads((home / "servers.json").read_text())
    except (OSError, ValueError):
        return {}
    addresses = {name: state.get(name) for name in ("bootstrap_servers", "registry_url")}
    return addresses if all(addresses.values()) else {}
