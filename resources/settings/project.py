"""The project that a process works for: its folder, its settings file, and the folder of its events.

A project is found as git finds a repository: it is the nearest folder with a `sluice.toml`, starting at the
working directory and going up. Instead, `SLUICE_TOML` can name the file; a process passes its project to its
children in this way. If Sluice runs from its own tree, that tree is the last choice.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resources.settings.errors import SettingsError
from resources.settings.files import (
    ROOT,
    absolute,
    below,
    expanded,
    read_toml,
    require_regular,
    working_folder,
)

FILE = "sluice.toml"
ASSETS = "assets"


@dataclass(frozen=True)
class Project:
    """`root` is the folder of the project. `settings_file` may be in another folder, and need not exist."""

    root: Path
    settings_file: Path

    def environment(self) -> dict[str, str]:
        """The variables with which a child process finds the same project from any working directory."""
        return {"SLUICE_TOML": str(self.settings_file)} if self.settings_file.is_file() else {}


def runs_from_its_tree() -> bool:
    """Whether this is Sluice's repository, with the sample events. An installed
    package contains no events."""
    return (ROOT / ASSETS).is_dir() and ROOT.name not in ("site-packages", "dist-packages")


def find_project(environ: Mapping[str, str] | None = None) -> Project:
    """The project of this process. Raises SettingsError if SLUICE_TOML names a file that does not exist, and
    for a file that is not TOML."""
    named = (os.environ if environ is None else environ).get("SLUICE_TOML")
    file = _named(named) if named else _nearest(working_folder())
    # The settings file for Sluice's own tree may be anywhere, for example `/etc/sluice.toml`.
    own = not runs_from_its_tree() or _has_events(file)
    return Project(file.parent if own else ROOT, file)


def assets_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of the event modules: the setting `assets`, or else `assets` in the
    project. It need not exist."""
    environ = os.environ if environ is None else environ
    if named := environ.get("SLUICE_ASSETS"):
        return Path(absolute(named, None, f"SLUICE_ASSETS={named}"))
    project = find_project(environ)
    named = read_toml(project.settings_file).get(ASSETS)
    where = f"{project.settings_file}: {ASSETS}"
    return Path(absolute(str(named), project.settings_file.parent, where)) if named else project.root / ASSETS


def _named(value: str) -> Path:
    file = below(None, expanded(value, f"SLUICE_TOML={value}"))
    require_regular(file, f"SLUICE_TOML={value}")
    return file


def _nearest(start: Path) -> Path:
    """`sluice.toml` in the nearest folder that has one; if there is none, the path where it would be."""
    for folder in (start, *start.parents):
        file = folder / FILE
        if file.is_file():
            if folder != start:
                _require_own(file)
            return file
        if folder == ROOT:
            break
    return (ROOT if runs_from_its_tree() else start) / FILE


def _require_own(file: Path) -> None:
    """Refuse what another user made. A folder above, such as /tmp, may contain anybody's files, and a project's
    modules are code that runs here: whoever owns a link, its target, the folder or the folder of the modules
    chooses that code."""
    _require_owner(file, file)
    _require_owner(file.parent, file)
    # Only now is the file read: its contents are trusted.
    named = read_toml(file).get(ASSETS)
    _require_owner(file.parent / ASSETS, file)
    if named:
        _require_owner(Path(absolute(str(named), file.parent, f"{file}: {ASSETS}")), file)


def _require_owner(path: Path, file: Path) -> None:
    """Raise SettingsError unless the path, and its target if it is a link, belong to this user or to root."""
    owners: set[int] = set()
    with suppress(FileNotFoundError):  # a folder of modules need not exist
        owners.add(path.lstat().st_uid)
        owners.add(path.stat().st_uid)
    if not owners <= {os.geteuid(), 0}:
        raise SettingsError(
            str(path),
            "belongs to another user, and was found in a folder above the working directory",
            next_step=f"if you trust it: SLUICE_TOML={file}, or change to the folder {file.parent}",
        )


def _has_events(file: Path) -> bool:
    return (file.parent / ASSETS).is_dir() or bool(read_toml(file).get(ASSETS))
