"""The files that a run's configuration may name: files below the project, and files of the snapshot store.

Somebody who may launch runs in the UI may not therefore read every file of the machine that runs them, and an
error quotes a key that matches nothing. Files that a command line names are read by the command itself, as
the user who typed it.
"""

import os
import stat
from pathlib import Path

from resources.errors import SluiceError
from resources.platform import Platform
from resources.settings import find_project, private_places

_PRIVATE = (".git", ".env")
# The folders of a home that contain the state of Dagster and of each environment.
_STATE = ("dagster", "environments")


def allowed_file(option: str, address: str, platform: Platform) -> str:
    """The address of a run's file in the form in which it is opened: a path without links, or a URL within a
    remote store. An empty one stays empty. Raises SluiceError if the run may not read it."""
    if not address:
        return ""
    scheme, separator, rest = address.partition("://")
    if separator and "::" not in address and scheme.lower() in ("file", "local") and rest.startswith("/"):
        return str(_allowed_path(option, address, Path(rest), platform))
    if separator or "::" in address:
        if not platform.snapshots.holds(address):
            raise _refused(option, address, platform)
        return address
    return str(_allowed_path(option, address, Path(address), platform))


def _allowed_path(option: str, address: str, path: Path, platform: Platform) -> Path:
    project = Path(os.path.realpath(find_project().root))
    store = platform.snapshots.local_folder
    try:
        real = Path(os.path.realpath(project / path))
        homes, files = _private(platform)
        in_store = store is not None and _is_in_store(real, Path(os.path.realpath(store)), homes)
        in_project = real.is_relative_to(project) and not _is_private(real, project, homes)
        if real in files or not (in_store or in_project):
            raise _refused(option, address, platform)
        if stat.S_ISREG(real.stat().st_mode):
            return real
        problem = "is no regular file"
    except FileNotFoundError:
        problem = "there is no such file"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise SluiceError(f"run config, {option}: {address}", problem, allowed=_allowed(platform))


def _private(platform: Platform) -> tuple[set[Path], set[Path]]:
    """The homes, and the files that contain settings or secrets, of every environment: a run of one must not read
    what belongs to another. Dagster's home holds the configuration of its storage, and every run."""
    places = private_places()
    homes = [platform.settings.home, *places.homes]
    if dagster_home := os.environ.get("DAGSTER_HOME"):
        homes.append(Path(dagster_home))
    files = [*platform.settings.secret_files, *places.files]
    return {Path(os.path.realpath(one)) for one in homes}, {Path(os.path.realpath(one)) for one in files}


def _is_in_store(real: Path, store: Path, homes: set[Path]) -> bool:
    """A store may be in a home; a home in a store is none of the store's files."""
    inner = (home for home in homes if home != store and home.is_relative_to(store))
    return real.is_relative_to(store) and not any(map(real.is_relative_to, inner))


def _is_private(real: Path, project: Path, homes: set[Path]) -> bool:
    first = real.relative_to(project).parts[:1]
    return any(part.startswith(_PRIVATE) for part in first) or any(
        _is_state(real, home, project) for home in homes
    )


def _is_state(real: Path, home: Path, project: Path) -> bool:
    # A project in a home, or at the same place, is not state.
    folders = [home / name for name in _STATE] if project.is_relative_to(home) else [home]
    return any(map(real.is_relative_to, folders))


def _refused(option: str, address: str, platform: Platform) -> SluiceError:
    refused = SluiceError(
        f"run config, {option}: {address}",
        "a run reads no file from there",
        allowed=_allowed(platform),
        next_step="copy the file to one of these places; or use the command line, which reads any file: `sluice replay "
        "--keys FILE`, `sluice plan --apply FILE`",
    )
    refused.relaunch = False
    return refused


def _allowed(platform: Platform) -> str:
    return f"a file below the project {find_project().root} (no settings or secrets, and nothing in a home of Sluice or Dagster), or below the snapshot store {platform.snapshots.shown}"
