"""The names of settings: `kafka.sasl.password` in a file is `SLUICE_KAFKA_SASL_PASSWORD` in the environment, and
`SLUICE_STAGE_KAFKA_SASL_PASSWORD` for the environment `stage`."""

import os
from collections.abc import Iterable

from resources.errors import did_you_mean
from resources.follow_ups import CHOSEN_BY, ENVIRONMENT
from resources.security.masking import is_shown
from resources.settings.errors import SettingsError
from resources.settings.values import SCALARS

PREFIX = "SLUICE_"
GROUPS = ("kafka", "registry", "warehouse", "consumers")
# Variables that are no settings: they are read elsewhere, or by the test suite.
FOREIGN = {"SLUICE_COMPILED", "SLUICE_REQUIRE_SERVERS", "SLUICE_TOML", ENVIRONMENT, CHOSEN_BY}
FILE_SUFFIX = "_file"
"""The end of the name of a setting whose value is in a file."""
# The only property of librdkafka with an underscore in its name.
_UNDERSCORED = {"log_level"}


def variable(setting: str, environment: str | None = None) -> str:
    """The environment variable of a setting (`batch_rows`, `kafka.sasl.password`, `warehouse.erp`).

    `environment`: the environment that the variable is for; None means the chosen one, "" none.
    """
    chosen = os.environ.get(ENVIRONMENT, "") if environment is None else environment
    return f"{variable_prefix(chosen)}{setting.replace('.', '_').upper()}"


def variable_prefix(environment: str) -> str:
    """The beginning of the names of an environment's variables; `SLUICE_` if there is no environment ("")."""
    return f"{PREFIX}{environment.replace('-', '_').upper()}_" if environment else PREFIX


def setting_of(rest: str) -> str | None:
    """The setting that a variable is for, from its name without the prefix; None if there is none.

    `KAFKA_SASL_PASSWORD` is `kafka.sasl.password`, and `KAFKA_SASL_PASSWORD_FILE` is
    `kafka.sasl.password_file`, unless the client has a property with the longer name.
    """
    name = rest.lower()
    if name in SCALARS or name.removesuffix(FILE_SUFFIX) in SCALARS:
        return name
    group, _, inner = name.partition("_")
    if group not in GROUPS or not inner:
        return None
    # Users choose the names of warehouses and services; the names of client properties contain dots.
    if group in ("warehouse", "consumers"):
        return f"{group}.{inner}"
    in_a_file = inner.removesuffix(FILE_SUFFIX)
    if inner != in_a_file and in_a_file and not is_shown(f"{group}.{_dotted(inner)}"):
        return f"{group}.{_dotted(in_a_file)}{FILE_SUFFIX}"
    return f"{group}.{_dotted(inner)}"


def _dotted(inner: str) -> str:
    return inner if inner in _UNDERSCORED else inner.replace("_", ".")


def unknown_setting(where: str, name: str, *, prefix: str | None = None) -> SettingsError:
    """The error for a name that is not a setting: a key of the settings file, or a
    variable that begins with `prefix`."""
    prefix = PREFIX if prefix is None and name.startswith(PREFIX) else prefix
    if prefix is None:
        options: list[str] = [*SCALARS, *GROUPS]
        groups = ", ".join(f"[{group}]" for group in GROUPS)
    else:
        options = [f"{prefix}{one.upper()}" for one in SCALARS]
        groups = ", ".join(f"{prefix}{group.upper()}_…" for group in GROUPS)
    return SettingsError(
        where,
        f"unknown setting {name}.{did_you_mean(name, options)}",
        allowed=f"{', '.join(options)}; and {groups}",
    )


def first_words(names: Iterable[str] = ()) -> set[str]:
    """The first words of variables that belong to no environment: the name of an
    environment must not begin with one."""
    settings = {name.partition("_")[0] for name in (*SCALARS, *names)}
    foreign = {name.removeprefix(PREFIX).partition("_")[0].lower() for name in FOREIGN}
    return settings | foreign | set(GROUPS)
