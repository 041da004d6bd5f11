"""Settings as the user wrote them, in the settings file and in variables, each with
the place where it was read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from resources.settings.environments import (
    TABLE,
    Environment,
    nameless,
    owner_of,
    require_key,
    unknown_variable,
)
from resources.settings.errors import SettingsError
from resources.settings.files import below, expanded, flatten, plain
from resources.settings.jobs import JOBS
from resources.settings.names import (
    FILE_SUFFIX,
    FOREIGN,
    GROUPS,
    PREFIX,
    setting_of,
    unknown_setting,
    variable_prefix,
)
from resources.settings.secret_files import read_secret
from resources.settings.values import SCALARS

Kind = Literal["default", "settings file", "environment table", "variable", "file", "sluice up"]
# Settings for all environments: the state of this machine, in which each environment has
# its own folder, and the events.
_OF_THE_MACHINE = ("home", "assets")
_CONNECTIONS = ("kafka", "registry", "warehouse")


@dataclass(frozen=True)
class Origin:
    """Where a value comes from. `place`: the variable, the table or the file that contains it, for people.
    `file`: the file that contains only this value."""

    kind: Kind
    place: str = ""
    file: Path | None = None

    def __str__(self) -> str:
        return self.place or self.kind


@dataclass(frozen=True)
class Written:
    """One value. `name`: how the user wrote the setting. `where`: the place that an error names. `base`: the
    folder that relative paths start from; None is the working directory. `file`: the file that contains the value."""

    setting: str
    text: str
    name: str
    where: str
    base: Path | None
    origin: Origin
    file: Path | None = None


def of_the_file(from_file: Mapping[str, Any], path: Path) -> Iterator[Written]:
    """The values in the settings file for all environments."""
    table = {key: value for key, value in from_file.items() if key not in (TABLE, JOBS)}
    for key, value in table.items():
        require_key(key, value, str(path))
    yield from _of_table(table, str(path), path, Origin("settings file", path.name))


def of_the_table(table: Mapping[str, Any], path: Path, environment: Environment) -> Iterator[Written]:
    """The values in the settings file for one environment."""
    place = f"[{TABLE}.{environment.name}]"
    origin = Origin("environment table", f"{place} of {path.name}")
    yield from _of_table(table, f"{path}: {place}", path, origin)


def of_the_variables(
    environ: Mapping[str, str], declared: Mapping[str, object], environment: Environment | None
) -> Iterator[Written]:
    """The values of variables for the environment in force. Variables of other environments are ignored, and
    so are empty ones where an empty value means nothing.

    Raises SettingsError for a variable that is not a setting, and for one without an environment in its
    name if an environment was chosen.
    """
    chosen = environment.name if environment else ""
    found: list[Written] = []
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in FOREIGN:
            continue
        owner = owner_of(name, declared)
        prefix = variable_prefix(owner)
        setting = setting_of(name[len(prefix) :])
        if setting is None:
            raise (
                unknown_setting("environment", name, prefix=prefix)
                if owner
                else unknown_variable(name, declared)
            )
        if not value and _unset_if_empty(setting):
            continue
        if owner != chosen:
            if not owner and environment and setting.removesuffix(FILE_SUFFIX) not in _OF_THE_MACHINE:
                raise nameless(name, setting, environment)
            if owner:
                continue
        found.append(Written(setting, value, name, "environment", None, Origin("variable", name)))
    # A variable with the environment's name comes later and wins: for example its
    # own home over the machine's home.
    found.sort(key=lambda one: owner_of(one.name, declared) == chosen)
    yield from _with_files(found, beside_each_other=True)


def _unset_if_empty(setting: str) -> bool:
    """Whether an empty variable counts as not set: a CI sets the variable of a missing secret to an empty text,
    and no server, login, file or folder has an empty value."""
    group, dot, _ = setting.partition(".")
    return group in _CONNECTIONS if dot else setting.removesuffix(FILE_SUFFIX) == "home"


def _of_table(table: Mapping[str, Any], where: str, path: Path, origin: Origin) -> Iterator[Written]:
    found: list[Written] = []
    for key, value in table.items():
        rows = flatten(value, f"{key}.") if key in GROUPS and isinstance(value, dict) else [(key, value)]
        names: set[str] = set()
        for name, one in rows:
            if name in names:
                raise SettingsError(
                    where,
                    f"{name} is written in two spellings",
                    allowed=f'one of them: "{name.partition(".")[2]}" = "…" below [{key}], or the same without the '
                    "quotation marks",
                    next_step="remove one of the two lines",
                )
            names.add(name)
            found.append(Written(name, _text(name, one, where), name, where, path.parent, origin))
    yield from _with_files(found, beside_each_other=False)


def _text(name: str, value: object, where: str) -> str:
    """The value as text. The consumer groups of a service are a list; as text they are separated
    by commas, as in a variable. Raises SettingsError for another list, and for a table."""
    several = value if isinstance(value, list) and name.startswith("consumers.") else [value]
    for one in several:
        if isinstance(one, list | dict):
            group, _, inner = name.partition(".")
            form = f'one text, with commas between its parts: "{inner}" = "a,b"'
            # The value is not shown: it may be a secret.
            raise SettingsError(
                where,
                f"{name} is a {'list' if isinstance(one, list) else 'table'}, and not one value",
                next_step=f"write {form if group in ('kafka', 'registry') else f'one value: {inner or name} = …'}",
            )
    return ", ".join(map(plain, several))


def _with_files(found: list[Written], *, beside_each_other: bool) -> Iterator[Written]:
    """`found`, with the content of files instead of their paths. In one place, a value and a file
    for it must not both be set."""
    direct = {one.setting: one for one in found if not names_a_file(one.setting, one.text)}
    for one in found:
        if not names_a_file(one.setting, one.text):
            yield one
            continue
        setting = one.setting.removesuffix(FILE_SUFFIX)
        if setting in direct and (not beside_each_other or _same_prefix(one, direct[setting])):
            raise SettingsError(
                one.where,
                f"{direct[setting].name} and {one.name} are both set",
                allowed="one of them: the value, or the file that holds it",
            )
        path = below(one.base, expanded(one.text, f"{one.name}={one.text}"))
        text = read_secret(path, setting, one.name)
        yield replace(
            one, setting=setting, text=text, origin=Origin("file", f"{path} ({one.name})", path), file=path
        )


def _same_prefix(one: Written, other: Written) -> bool:
    return one.name.upper().removesuffix(FILE_SUFFIX.upper()) == other.name.upper()


def names_a_file(setting: str, value: str) -> bool:
    """Whether the value is the path of a file that contains the value. A warehouse may have the name
    `x_file`; then its value is a URL. A consumer may have such a name, too, and is no secret."""
    if not setting.endswith(FILE_SUFFIX) or setting in SCALARS or setting.startswith("consumers."):
        return False
    return not (setting.startswith("warehouse.") and "://" in value)
