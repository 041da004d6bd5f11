"""Environments: `[env.NAME]` tables of the settings file; `--env` or `SLUICE_ENV` chooses one of them."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from resources.errors import did_you_mean
from resources.follow_ups import CHOSEN_BY, ENVIRONMENT, by_option
from resources.settings.errors import SettingsError
from resources.settings.names import (
    FILE_SUFFIX,
    GROUPS,
    first_words,
    setting_of,
    unknown_setting,
    variable,
    variable_prefix,
)
from resources.settings.values import SCALARS

TABLE = "env"
_OPTION = "--env"
_NAME = re.compile(r"(?=.{1,40}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ALLOWED_NAME = "at most 40 lower-case letters, digits and single '-', beginning with a letter"


@dataclass(frozen=True)
class Environment:
    """The environment in force. `chosen_by` is `--env` or `SLUICE_ENV`."""

    name: str
    chosen_by: str


def choose(name: str) -> None:
    """Choose an environment for this process and its children, as `--env` does."""
    os.environ[ENVIRONMENT] = name
    os.environ[CHOSEN_BY] = by_option(name)


def chosen(environ: Mapping[str, str], declared: Iterable[str], where: str) -> Environment | None:
    """The environment that the variables choose; None if they choose none. Raises SettingsError for an
    environment that is not `declared` in the settings file `where`."""
    name, names = environ.get(ENVIRONMENT), sorted(declared)
    if name is None or (not name and not names):
        return None
    by = _OPTION if environ.get(CHOSEN_BY) == by_option(name) else ENVIRONMENT
    if not name:
        raise SettingsError(
            ENVIRONMENT, "is empty", allowed=", ".join(names), next_step="name one, or unset the variable"
        )
    if name not in names:
        raise SettingsError(
            f"{by} {name}" if by == _OPTION else f"{by}={name}",
            f"there is no such environment.{did_you_mean(name, names)}",
            allowed=", ".join(names) or f"none: {where} has no [{TABLE}.NAME] table",
            next_step=f"add a table [{TABLE}.{name if _NAME.fullmatch(name) else 'NAME'}] to {where}",
        )
    return Environment(name, by)


def declared_environments(from_file: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The `[env.NAME]` tables by name.

    Raises SettingsError for a name that is not allowed, and for a key that is not a setting, in every table.
    The values are checked when the environment is chosen.
    """
    tables = from_file.get(TABLE, {})
    if not isinstance(tables, dict):
        raise SettingsError(where, f"{TABLE} is not a table", allowed=f"one table each: [{TABLE}.NAME]")
    for name, table in tables.items():
        at = f"{where}: [{TABLE}.{name}]"
        _require_name(name, at)
        if not isinstance(table, dict):
            raise SettingsError(
                where,
                f"{TABLE}.{name} is not a table",
                allowed=f"settings below [{TABLE}.{name}], properties below [{TABLE}.{name}.kafka]",
            )
        for key, value in table.items():
            require_key(key, value, at, f"{TABLE}.{name}.")
    _require_distinct(tables, where)
    return dict(tables)


def require_key(key: str, value: object, where: str, prefix: str = "") -> None:
    """Raise SettingsError if `key` of a table is neither a setting nor a group of properties."""
    if key in GROUPS:
        if not isinstance(value, dict):
            raise SettingsError(where, f"{key} is not a table", allowed=f"properties below [{prefix}{key}]")
    elif key.removesuffix(FILE_SUFFIX) not in SCALARS and key not in SCALARS:
        raise unknown_setting(where, key)


def owner_of(name: str, declared: Iterable[str]) -> str:
    """The environment whose name is in the name of a variable; "" if there is none."""
    carried = [one for one in declared if name.upper().startswith(variable_prefix(one))]
    return max(carried, key=len, default="")


def nameless(name: str, setting: str, environment: Environment) -> SettingsError:
    """The error for a variable whose name contains no environment, although an environment was chosen."""
    return SettingsError(
        f"environment {environment.name} ({environment.chosen_by})",
        f"{name} carries no environment's name, so it could be meant for another one",
        allowed=f"{variable(setting, environment.name)} for this environment",
        next_step="rename the variable, or unset it; what all environments share is set at the top of sluice.toml",
    )


def unknown_variable(name: str, declared: Iterable[str]) -> SettingsError:
    """The error for a variable that is neither a setting nor a setting of a declared environment."""
    names = list(declared)
    words = name[len("SLUICE_") :].split("_")
    for count in range(1, len(words)):
        head = "-".join(words[:count]).lower()
        if setting_of("_".join(words[count:])) and _NAME.fullmatch(head) and head not in first_words():
            near = did_you_mean(head, names)
            return SettingsError(
                "environment",
                f"unknown setting {name}: there is no environment {head!r}.{near}",
                allowed=", ".join(names) or f"none: sluice.toml has no [{TABLE}.NAME] table",
                next_step=f"correct the variable's name, or declare the environment: [{TABLE}.{head}] in sluice.toml",
            )
    return unknown_setting("environment", name)


def _require_name(name: str, at: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingsError(at, f"{name!r} cannot be the name of an environment", allowed=_ALLOWED_NAME)
    first = name.partition("-")[0]
    if first in first_words():
        raise SettingsError(
            at,
            f"{name!r} cannot be the name of an environment: {variable('…', name)} would look like a variable of the "
            f"setting {_example(first)}",
            allowed=f"a name that does not begin like a setting: not {', '.join(sorted(first_words()))}",
        )


def _example(first: str) -> str:
    found = [name for name in SCALARS if name.partition("_")[0] == first]
    return found[0] if found else first


def _require_distinct(names: Iterable[str], where: str) -> None:
    """Refuse two names such as `eu` and `eu-kafka`: `SLUICE_EU_KAFKA_…` would be a variable of both."""
    ordered = sorted(names)
    for name in ordered:
        for longer in ordered:
            rest = longer.removeprefix(f"{name}-")
            if rest != longer and rest.partition("-")[0] in first_words():
                raise SettingsError(
                    where,
                    f"[{TABLE}.{name}] and [{TABLE}.{longer}]: {variable('…', longer)} could be a variable of either",
                    next_step=f"rename {longer!r}",
                )
