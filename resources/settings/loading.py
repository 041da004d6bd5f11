"""Reads the settings: from the environment, then `sluice.toml`, then the servers of `sluice up`, then the defaults."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resources.security.masking import secrets_of, secrets_of_environment, shown_words
from resources.security.secrets import learn
from resources.settings.errors import SettingsError
from resources.settings.files import (
    absolute,
    absolute_file,
    default_home,
    flatten,
    plain,
    read_toml,
    settings_file,
)
from resources.settings.names import FOREIGN, GROUPS, PREFIX, property_name, unknown_setting
from resources.settings.settings import Settings
from resources.settings.started import started_servers
from resources.settings.values import GROUP_ACCESS, SCALARS, typed_value


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings now. Raises SettingsError naming the variable or the file."""
    environ = os.environ if environ is None else environ
    named = environ.get("SLUICE_TOML")
    toml_path = settings_file(environ)
    if named and not toml_path.exists():
        raise SettingsError(f"SLUICE_TOML={named}", "there is no such file")
    from_file = read_toml(toml_path)
    _learn_secrets(from_file, environ)
    groups: dict[str, dict[str, str]] = {group: {} for group in GROUPS}
    scalars: dict[str, Any] = {name: default for name, (default, _) in SCALARS.items()}
    for name, value in from_file.items():
        if name in groups:
            if not isinstance(value, dict):
                raise SettingsError(
                    str(toml_path), f"{name} is not a table", allowed=f"properties below [{name}]"
                )
            found = {key: plain(inner) for key, inner in flatten(value).items()}
            if name == "warehouse":
                found = {key: absolute_file(url, toml_path.parent) for key, url in found.items()}
            groups[name] |= found
        elif name in scalars:
            scalars[name] = typed_value(str(toml_path), name, name, plain(value))
            if name in ("home", "snapshots"):
                scalars[name] = absolute(scalars[name], toml_path.parent)
        else:
            raise unknown_setting(str(toml_path), name)
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in FOREIGN:
            continue
        name = variable.removeprefix(PREFIX).lower()
        group, _, rest = name.partition("_")
        if name in scalars:
            scalars[name] = typed_value("environment", variable, name, value)
        elif group in groups and rest:
            # Warehouse names are ours and hold no dots; client properties are dotted.
            groups[group][property_name(group, rest)] = value
        else:
            raise unknown_setting("environment", variable)

    if scalars["group_access"] not in GROUP_ACCESS:
        raise SettingsError(
            "settings", f"group_access={scalars['group_access']!r}", allowed=", ".join(GROUP_ACCESS)
        )
    # Absolute: the web server, the daemon and a run may each stand in another folder.
    home = Path(absolute(scalars["home"], Path.cwd()) if scalars["home"] else default_home())
    del scalars["home"]
    started = started_servers(home)
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
    scalars["snapshots"] = absolute(scalars["snapshots"] or str(home / "snapshots"), Path.cwd())
    groups["warehouse"] = {name: absolute_file(url, Path.cwd()) for name, url in groups["warehouse"].items()}
    return Settings(
        home=home,
        kafka=groups["kafka"],
        registry=groups["registry"],
        warehouses=groups["warehouse"],
        embedded=in_use,
        embedded_registry_url=started.get("embedded_registry_url"),
        **scalars,
    )


def _learn_secrets(from_file: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Learn the secrets before any text mentions a setting, also a wrong one."""
    rows = [(name, plain(value)) for name, value in flatten(from_file).items()]
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable not in FOREIGN:
            group, _, rest = variable.removeprefix(PREFIX).lower().partition("_")
            dotted = property_name(group, rest)
            known = group in GROUPS
            rows.append((f"{group}.{dotted}" if known else variable.removeprefix(PREFIX).lower(), value))
    learn(
        [*(one for row in rows for one in secrets_of(*row)), *secrets_of_environment(environ)],
        shown=[word for row in rows for word in shown_words(*row)],
    )
