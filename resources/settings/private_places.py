"""The files and folders that contain secrets or local state, whatever environment is chosen.

A run of one environment must not read what belongs to another one, so the table of each environment and every
variable is read here, and not only those in force.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.settings.environments import TABLE
from resources.settings.errors import SettingsError
from resources.settings.files import below, expanded, flatten, read_toml
from resources.settings.names import PREFIX
from resources.settings.project import find_project

# The ends of settings whose value is the path of a file: a value in a file, a key, a certificate.
_FILE_ENDS = ("_file", ".file", ".location")
_CODE_LOCATION = "CODE_LOCATION"


@dataclass(frozen=True)
class PrivatePlaces:
    """`homes`: the folders of local state. `files`: the settings file, and the files that settings name."""

    homes: frozenset[Path]
    files: frozenset[Path]


def private_places(environ: Mapping[str, str] | None = None) -> PrivatePlaces:
    """The places that the settings file and the variables name, without links. Raises SettingsError for a
    settings file that cannot be read."""
    environ = os.environ if environ is None else environ
    project = find_project(environ)
    base = project.settings_file.parent
    named = [*_of_the_file(read_toml(project.settings_file)), *_of_the_variables(environ)]
    homes, files = {_real(project.root / ".sluice")}, {_real(project.settings_file)}
    for is_home, text, from_file in named:
        with suppress(SettingsError, ValueError):  # a path that cannot be opened contains nothing
            path = _real(below(base if from_file else None, expanded(text, text)))
            (homes if is_home else files).add(path)
    return PrivatePlaces(frozenset(homes), frozenset(files))


def _of_the_file(from_file: Mapping[str, Any]) -> Iterator[tuple[bool, str, bool]]:
    """For each path in the settings file: whether it is a home, the path, and True."""
    tables = from_file.get(TABLE, {})
    declared = tables.values() if isinstance(tables, dict) else ()
    for table in (from_file, *(one for one in declared if isinstance(one, dict))):
        for name, value in flatten({key: one for key, one in table.items() if key != TABLE}):
            if not isinstance(value, str) or not value or name.startswith("consumers."):
                continue
            if name == "home" or name.endswith(_FILE_ENDS):
                yield name == "home", value, True


def _of_the_variables(environ: Mapping[str, str]) -> Iterator[tuple[bool, str, bool]]:
    """For each path in a variable of any environment: whether it is a home, the path, and False."""
    for name, value in environ.items():
        if not name.startswith(PREFIX) or "_CONSUMERS_" in name or not value:
            continue
        if name.endswith("_HOME"):
            yield True, value, False
        elif name.endswith(("_FILE", "_LOCATION")) and not name.endswith(_CODE_LOCATION):
            yield False, value, False


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
