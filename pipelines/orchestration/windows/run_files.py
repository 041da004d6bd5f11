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
from resources.settings import find_project

_PRIVATE = (".git", ".env")


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
        in_store = store is not None and real.is_relative_to(os.path.realpath(store))
        in_project = real.is_relative_to(project) and not _is_private(real, project, platform)
        if not in_store and not in_project:
            raise _refused(option, address, platform)
        if stat.S_ISREG(real.stat().st_mode):
            return real
        problem = "is no regular file"
    except FileNotFoundError:
        problem = "there is no such file"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise SluiceError(f"run config, {option}: {address}", problem, allowed=_allowed(platform))


def _is_private(real: Path, project: Path, platform: Platform) -> bool:
    first = real.relative_to(project).parts[:1]
    secret = any(part.startswith(_PRIVATE) for part in first)
    # Dagster's home holds the configuration of its storage, and every run.
    homes = [os.path.realpath(one) for one in (platform.settings.home, os.environ.get("DAGSTER_HOME")) if one]
    in_home = any(real.is_relative_to(home) and home != str(project) for home in homes)
    holds_settings = {find_project().settings_file, *platform.settings.secret_files}
    return secret or in_home or real in {Path(os.path.realpath(one)) for one in holds_settings}


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
    return f"a file below the project {find_project().root} (no settings, and not Dagster's home), or below the snapshot store {platform.snapshots.shown}"
