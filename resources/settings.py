"""Where the outside world is: read from the environment, then `sluice.toml`, then the embedded servers.

A setting `kafka.sasl.password` is written `SLUICE_KAFKA_SASL_PASSWORD` in the environment, or
`"sasl.password" = ...` below `[kafka]` in `sluice.toml`; the environment wins. A relative folder
is meant from the file that names it; in the environment, from where the process stands. Every property
of librdkafka and of the schema registry client passes through unchanged, so SASL, TLS and OAuth need no
support of ours. Nothing here is read at import. What is secret in the values is learned before anything else
(`resources.security.secrets`), and is no part of a printed value.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from resources.errors import SluiceError, did_you_mean
from resources.security.masking import mask, secrets_of, secrets_of_environment, shown_words
from resources.security.private_files import GroupAccess
from resources.security.secrets import learn
from resources.wording import cut, text_of

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "SLUICE_"

_GROUP_ACCESS = ("none", "read", "write")
# The only property of librdkafka whose name has an underscore.
_UNDERSCORED = {"log_level"}
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
    "group_access": (
        "none",
        "what the user's group may do with the files that Sluice makes: none, read or write",
    ),
    "ui_hosts": (
        "",
        "host names under which the web server is opened, besides localhost and its own address",
    ),
}
# What Kafka's protocol (int32, int16) and the rows of an Arrow batch (int64) can hold.
_MOST = {
    "replication_factor": 32_767,
    "ledger_partitions": 2**31 - 1,
    "topic_partitions": 2**31 - 1,
    "batch_rows": 2**31 - 1,
}
_MOST_OF_ANY = 2**63 - 1
# Kafka's own rule of a topic's name; a transactional.id is text in one line.
_TEXTS = {
    "ledger_topic": (
        r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}",
        "at most 249 letters, digits, '.', '_' and '-', as Kafka has it",
    ),
    "code_location": (r"[^\x00-\x1f\x7f\ud800-\udfff]{0,1000}", "at most 1,000 characters in one line"),
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
        return bool(own and used) and _server(own or "") == _server(used or "")

    def printable(self) -> dict[str, str]:
        """Every setting as text, secrets masked."""
        rows = {name: mask(name, str(getattr(self, name))) for name in _SCALARS}
        for group, values in (
            ("kafka", self.kafka),
            ("registry", self.registry),
            ("warehouse", self.warehouses),
        ):
            rows |= {(full := f"{group}.{name}"): mask(full, value) for name, value in sorted(values.items())}
        return rows


def _server(url: str) -> tuple[str, str, int | None, str] | str:
    """Scheme, host, port and path of a URL: the same however one writes this machine. A URL without them as it is."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    loopback = host == "localhost" or host == "::1"
    return parts.scheme.lower(), "127.0.0.1" if loopback else host, port, parts.path.rstrip("/")


def settings_file(environ: Mapping[str, str] | None = None) -> Path:
    """The file that settings are read from, whether it is there or not."""
    named = (os.environ if environ is None else environ).get("SLUICE_TOML")
    return Path(named or ROOT / "sluice.toml").expanduser().absolute()


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings now. Raises SettingsError naming the variable or the file."""
    environ = os.environ if environ is None else environ
    named = environ.get("SLUICE_TOML")
    toml_path = settings_file(environ)
    if named and not toml_path.exists():
        raise SettingsError(f"SLUICE_TOML={named}", "there is no such file")
    from_file = _read_toml(toml_path)
    _learn_secrets(from_file, environ)
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
            groups[group][_property(group, rest)] = value
        else:
            raise _unknown("environment", variable)

    if scalars["group_access"] not in _GROUP_ACCESS:
        raise SettingsError(
            "settings", f"group_access={scalars['group_access']!r}", allowed=", ".join(_GROUP_ACCESS)
        )
    # Absolute: the web server, the daemon and a run may each stand in another folder.
    home = Path(_absolute(scalars["home"], Path.cwd()) if scalars["home"] else ROOT / ".sluice")
    del scalars["home"]
    started = _started(home)
    embedded = started if {"bootstrap_servers", "registry_url"} <= started.keys() else {}
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
        embedded_registry_url=started.get("embedded_registry_url"),
        **scalars,
    )


def _property(group: str, rest: str) -> str:
    """The name of a property behind that of its variable: dots for underscores, but for those that have them."""
    if group == "warehouse" or rest in _UNDERSCORED:
        return rest
    return rest.replace("_", ".")


def _learn_secrets(from_file: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Before anything is said of a setting, also of one that is wrong."""
    rows = [(name, _plain(value)) for name, value in _flatten(from_file).items()]
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable not in _FOREIGN:
            group, _, rest = variable.removeprefix(PREFIX).lower().partition("_")
            dotted = _property(group, rest)
            known = group in ("kafka", "registry", "warehouse")
            rows.append((f"{group}.{dotted}" if known else variable.removeprefix(PREFIX).lower(), value))
    learn(
        [*(one for row in rows for one in secrets_of(*row)), *secrets_of_environment(environ)],
        shown=[word for row in rows for word in shown_words(*row)],
    )


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise SettingsError(
            str(path), f"not valid TOML: it is not UTF-8 (byte {error.start})", next_step="save it as UTF-8"
        ) from None
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise SettingsError(str(path), "not valid TOML: it is nested too deep") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is that of a number of 4,300 digits
        raise SettingsError(
            str(path),
            f"not valid TOML: {cut(text_of(error), 200)}",
            allowed='lines such as [kafka], name = "text", name = 7, name = true; a text stands in double quotes, and a '
            "table or a name is written once",
        ) from None


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
        least, most = min(default, 1), _MOST.get(name.removeprefix(PREFIX).lower(), _MOST_OF_ANY)
        # Not more digits than `most` has: Python reads no number of more than 4,300.
        digits = value.lstrip("0") or "0"
        whole = re.fullmatch("[0-9]+", value) is not None
        if whole and (len(digits) > len(str(most)) or int(digits) > most):
            shown = value if len(value) <= 20 else f"{value[:20]}..."
            raise SettingsError(where, f"{name}={shown!r} is too large", allowed=f"at most {most:,}")
        if not whole or int(digits) < least:
            raise SettingsError(where, f"{name}={value!r} is not a whole number{' above 0' if least else ''}")
        return int(digits)
    pattern, allowed = _TEXTS.get(name.removeprefix(PREFIX).lower(), (None, ""))
    if pattern and not re.fullmatch(pattern, value):
        raise SettingsError(where, f"{name}={value[:40]!r} cannot be used", allowed=allowed)
    return value


def _unknown(where: str, name: str) -> SettingsError:
    options = [f"{PREFIX}{n.upper()}" for n in _SCALARS] if name.startswith(PREFIX) else list(_SCALARS)
    groups = "SLUICE_KAFKA_…, SLUICE_REGISTRY_…, SLUICE_WAREHOUSE_…"
    return SettingsError(
        where,
        f"unknown setting {name}.{did_you_mean(name, options)}",
        allowed=f"{', '.join(options)}; and {groups}",
    )


def _started(home: Path) -> dict[str, str]:
    """Addresses of the servers `sluice up` started and nobody stopped: `bootstrap_servers`, `registry_url`, and the latter
    as `embedded_registry_url` if the registry is the embedded one."""
    try:
        state = json.loads((home / "servers.json").read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(state, dict):
        return {}
    found = {name: state[name] for name in ("bootstrap_servers", "registry_url") if state.get(name)}
    with suppress(KeyError, TypeError):  # of a server that was never started
        if state["servers"]["registry"]["kind"] == "embedded":
            found["embedded_registry_url"] = found["registry_url"]
    return found
