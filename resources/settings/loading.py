"""Reads the settings: from variables, then the environment's table in `sluice.toml`, then the top of
`sluice.toml`, then the servers of `sluice up`, then the defaults. The first that has a value wins."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from resources.follow_ups import ENVIRONMENT
from resources.security.masking import secrets_of, secrets_of_environment, shown_words
from resources.security.secrets import learn
from resources.settings.consumers import require_groups
from resources.settings.environments import TABLE, Environment, chosen, declared_environments, owner_of
from resources.settings.errors import SettingsError
from resources.settings.files import (
    absolute,
    absolute_file,
    flatten,
    plain,
    read_toml,
    working_folder,
)
from resources.settings.jobs import JOBS, declared_jobs
from resources.settings.names import FOREIGN, GROUPS, PREFIX, setting_of, variable_prefix
from resources.settings.project import Project, assets_folder, find_project
from resources.settings.secret_files import CurrentValues, SecretFile
from resources.settings.settings import Settings
from resources.settings.started import started_servers
from resources.settings.values import GROUP_ACCESS, SCALARS, require_topic, typed_value
from resources.settings.written import (
    Origin,
    Written,
    names_a_file,
    of_the_file,
    of_the_table,
    of_the_variables,
)

_ENVIRONMENTS = "environments"
_UP = Origin("sluice up", "`sluice up`")


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings now. Raises SettingsError with the variable or the file."""
    environ = os.environ if environ is None else environ
    project = find_project(environ)
    path = project.settings_file
    from_file = read_toml(path)
    _learn_secrets(from_file, environ)
    declared = declared_environments(from_file, str(path))
    environment = chosen(environ, declared, str(path))
    found = _Found()
    for one in of_the_file(from_file, path):
        found.take(one)
    variables = list(of_the_variables(environ, declared, environment))
    if environment:
        for one in variables:
            if not owner_of(one.name, declared):  # the folder for this machine's state
                found.take(one)
        found.begin(environment)
        for one in of_the_table(declared[environment.name], path, environment):
            found.take(one)
    for one in variables:
        if owner_of(one.name, declared) == (environment.name if environment else ""):
            found.take(one)
    made = found.settings(environment, tuple(sorted(declared)), project, assets_folder(environ))
    return replace(made, jobs=declared_jobs(from_file, str(path)))


def settings_of_environments(environ: Mapping[str, str] | None = None) -> dict[str, Settings | SettingsError]:
    """The settings of each declared environment, as this process would read them, or the error in them."""
    environ = dict(os.environ if environ is None else environ)
    path = find_project(environ).settings_file
    declared = declared_environments(read_toml(path), str(path))
    found: dict[str, Settings | SettingsError] = {}
    for name in sorted(declared):
        # Variables without an environment's name belong to no environment.
        own = {key: value for key, value in environ.items() if key in FOREIGN or not key.startswith(PREFIX)}
        own |= {key: value for key, value in environ.items() if owner_of(key, declared) == name}
        own |= {key: value for key, value in environ.items() if key == "SLUICE_HOME"}
        try:
            found[name] = load_settings({**own, ENVIRONMENT: name})
        except SettingsError as error:
            found[name] = error
    return found


@dataclass
class _Found:
    """The values so far. A value that is taken later wins."""

    scalars: dict[str, Any] = field(default_factory=lambda: {name: one for name, (one, _) in SCALARS.items()})
    groups: dict[str, dict[str, str]] = field(default_factory=lambda: {group: {} for group in GROUPS})
    origins: dict[str, Origin] = field(default_factory=dict)
    files: dict[str, SecretFile] = field(default_factory=dict)

    def begin(self, environment: Environment) -> None:
        """From now on, values of `environment` are taken. For it, folders of all environments get an inner
        folder, so that its files are never taken for those of another environment. And it uses servers for
        development only if it says so itself."""
        for name in ("home", "snapshots"):
            if self.scalars[name]:
                self.scalars[name] = _inside(self.scalars[name], environment)
                before = self.origins[name]
                self.origins[name] = Origin(
                    before.kind, f"{before.place}, {_inside('.', environment)[2:]} in it"
                )
        self.scalars["embedded_servers"] = False
        self.origins.pop("embedded_servers", None)

    def take(self, one: Written) -> None:
        """Take one more value."""
        group, dot, rest = one.setting.partition(".")
        in_a_table = one.origin.kind == "environment table"
        if one.setting == "assets" and (in_a_table or one.name not in ("assets", "SLUICE_ASSETS")):
            raise SettingsError(
                one.where,
                f"{one.name}: the events are the same ones in every environment",
                allowed="assets at the top of sluice.toml, or SLUICE_ASSETS",
            )
        if dot:
            if group == "consumers":
                require_groups(one.where, one.name, one.text)
            self.groups[group][rest] = absolute_file(one.text, one.base) if group == "warehouse" else one.text
        else:
            value = typed_value(one.where, one.name, one.setting, one.text)
            if one.setting in ("home", "snapshots", "policy") and value:
                value = absolute(str(value), one.base, f"{one.where}: {one.name}")
            self.scalars[one.setting] = value
        self.origins[one.setting] = one.origin
        self.files.pop(one.setting, None)
        if one.file is not None:
            self.files[one.setting] = SecretFile(one.name, one.file, one.base or _working_folder_if_any())

    def settings(
        self, environment: Environment | None, declared: tuple[str, ...], project: Project, assets: Path
    ) -> Settings:
        """The settings with these values, and what follows from them."""
        self._require()
        scalars, groups = dict(self.scalars), {group: dict(values) for group, values in self.groups.items()}
        # Absolute, because the web server, the daemon and a run may each have another working folder.
        home = Path(scalars.pop("home") or _inside(str(project.root / ".sluice"), environment))
        del scalars["assets"]
        started = started_servers(home)
        embedded = started if {"bootstrap_servers", "registry_url"} <= started.keys() else {}
        in_use = bool(embedded) and scalars["embedded_servers"] and "bootstrap.servers" not in groups["kafka"]
        if in_use:
            self._default(groups["kafka"], "kafka.bootstrap.servers", embedded["bootstrap_servers"], _UP)
            self._default(groups["registry"], "registry.url", embedded["registry_url"], _UP)
            # At a first look, there is nobody who could be asked to create a topic.
            for name in ("create_topics", "register_contracts"):
                if name not in self.origins:
                    scalars[name], self.origins[name] = True, _UP
        self._default(groups["warehouse"], "warehouse.default", f"duckdb:///{home / 'sample.duckdb'}")
        scalars["snapshots"] = scalars["snapshots"] or str(home / "snapshots")
        scalars["ledger_topic"] = f"{scalars['topic_prefix']}{scalars['ledger_topic']}"
        return Settings(
            home=home,
            assets=assets,
            kafka=self._current("kafka", groups["kafka"]),
            registry=self._current("registry", groups["registry"]),
            warehouses=self._current("warehouse", groups["warehouse"]),
            consumers=groups["consumers"],
            embedded=in_use,
            embedded_registry_url=started.get("embedded_registry_url"),
            environment=environment,
            environments=declared,
            file=project.settings_file,
            origins=self.origins,
            **scalars,
        )

    def _require(self) -> None:
        if self.scalars["group_access"] not in GROUP_ACCESS:
            raise SettingsError(
                "settings", f"group_access={self.scalars['group_access']!r}", allowed=", ".join(GROUP_ACCESS)
            )
        require_topic(self.scalars["topic_prefix"], self.scalars["ledger_topic"])
        policy = self.scalars["policy"]
        if policy and not Path(policy).is_file():
            raise SettingsError(
                f"policy={policy}", "there is no such file", next_step="correct the path, or remove it"
            )

    def _default(self, group: dict[str, str], setting: str, value: str, origin: Origin | None = None) -> None:
        name = setting.partition(".")[2]
        if name not in group:
            group[name] = value
            if origin:
                self.origins[setting] = origin

    def _current(self, group: str, values: Mapping[str, str]) -> Mapping[str, str]:
        files = {
            setting.partition(".")[2]: file
            for setting, file in self.files.items()
            if setting.partition(".")[0] == group
        }
        return CurrentValues(group, values, files) if files else dict(values)


def _working_folder_if_any() -> Path | None:
    """The working directory at this moment: a process may change it before it reads a file again."""
    try:
        return working_folder()
    except SettingsError:
        return None


def _inside(place: str, environment: Environment | None) -> str:
    """The folder of an environment inside a folder for all of them."""
    return f"{place.rstrip('/')}/{_ENVIRONMENTS}/{environment.name}" if environment else place


def _learn_secrets(from_file: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Learn all secrets before any text mentions a setting; also those in a wrong setting, and in
    one of another environment."""
    tables = from_file.get(TABLE)
    named = list(tables) if isinstance(tables, dict) else []
    rows = [
        (_without_table(name), plain(value))
        for name, value in flatten({key: one for key, one in from_file.items() if key != JOBS})
    ]
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable not in FOREIGN:
            rest = variable[len(variable_prefix(owner_of(variable, named))) :].upper()
            # For an environment that is not declared: whatever its name is, the group comes after it.
            behind = [place for group in GROUPS if (place := rest.find(f"{group.upper()}_")) >= 0]
            rest = rest[min(behind, default=0) :]
            rows.append((setting_of(rest) or rest.lower(), value))
    # The path of a file that contains a secret may be shown.
    rows = [row for row in rows if not names_a_file(*row)]
    others = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    learn(
        [*(one for row in rows for one in secrets_of(*row)), *secrets_of_environment(others)],
        shown=[word for row in rows for word in shown_words(*row)],
    )


def _without_table(name: str) -> str:
    """`kafka.sasl.password` from `env.stage.kafka.sasl.password`."""
    return name.split(".", 2)[2] if name.startswith(f"{TABLE}.") and name.count(".") > 1 else name
