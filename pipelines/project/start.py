"""Writes the files of a new project. A file that already exists stays as it is."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import quote, urlsplit

from resources.errors import SluiceError
from resources.security.private_files import as_the_user_likes
from resources.settings import ROOT
from resources.settings.files import below, expanded
from resources.settings.project import runs_from_its_tree

_FILES = Path(__file__).with_name("files")
# If its file had the final name, it would apply to the folder of the templates itself.
_NAMES = {"gitignore": ".gitignore"}


@dataclass(frozen=True)
class Started:
    """What was written and what existed before, as paths relative to the project.
    `requirement`: how the project names Sluice."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    requirement: str

    @property
    def requirement_is_local(self) -> bool:
        """Whether the project's requirement cannot be installed on other machines."""
        return "file://" in self.requirement


def start_project(folder: Path) -> Started:
    """Write the files of a project that `folder` lacks; creates the folder.
    Raises SluiceError; nothing is overwritten."""
    folder = below(None, expanded(str(folder), str(folder)))
    _require_name(folder)
    if runs_from_its_tree() and folder.resolve().is_relative_to(ROOT.resolve()):
        raise SluiceError(
            str(folder),
            "is in Sluice's own tree",
            next_step="name a folder outside of it, for a repository of its own",
        )
    requirement = own_requirement()
    values = {
        "@NAME@": folder.name,
        "@REQUIREMENT@": requirement,
        "@REQUIREMENT_EMBEDDED@": requirement.replace("sluice", "sluice[embedded]", 1),
    }
    written, kept = [], []
    place = folder
    try:
        for name, template in _templates():
            place = folder / name
            _make(place.parent)
            text = template.read_text(encoding="utf-8")
            for word, value in values.items():
                text = text.replace(word, value)
            try:
                with place.open("x", encoding="utf-8") as file:
                    file.write(text)
                as_the_user_likes(place)
                written.append(name)
            except FileExistsError:
                kept.append(name)
    except OSError as error:
        raise SluiceError(
            str(place),
            f"cannot be written: {error.strerror}",
            allowed="a folder that is new, or that you may write to",
            next_step="repeat the command after that: it completes the project, and overwrites nothing",
        ) from None
    return Started(tuple(written), tuple(kept), requirement)


def _require_name(folder: Path) -> None:
    """Raise SluiceError, before anything is written, for a name that no file of the project can contain."""
    try:
        str(folder).encode("utf-8")
    except UnicodeEncodeError:
        raise SluiceError(
            str(folder),
            "cannot be a project: the name is not UTF-8",
            allowed="a folder whose path is UTF-8",
            next_step="name another folder; nothing was written",
        ) from None


def _make(folder: Path) -> None:
    """Create the folder and those above it,
    with the rights that the user gives to new folders, because colleagues read them."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir()
        as_the_user_likes(one)


def own_requirement() -> str:
    """How pip installs this Sluice again:
    from the file, folder or repository that it came from, otherwise by its version.

    The name alone is not enough if it was never installed from an index: the package with this name in an
    index may be somebody else's.
    """
    try:
        found = distribution("sluice")
    except PackageNotFoundError:  # Sluice runs from its tree and is not installed
        return f"sluice @ {ROOT.as_uri()}"
    return f"sluice @ {address}" if (address := _origin(found)) else f"sluice=={found.version}"


def _origin(found: Distribution) -> str | None:
    """The address in `direct_url.json` (PEP 610); None if Sluice came from an index."""
    with suppress(ValueError, KeyError, TypeError):
        told = json.loads(found.read_text("direct_url.json") or "")
        url = _without_token(str(told["url"]))
        if vcs := told.get("vcs_info"):
            url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
        if folder := str(told.get("subdirectory", "")):
            url = f"{url}{'&' if '#' in url else '#'}subdirectory={quote(folder)}"
        return url
    return None


def _without_token(url: str) -> str:
    """The address without a login, because a token must not be in a file that is committed. The user `git`
    without a password stays: it is no secret, and over SSH the address is another one without it."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host).geturl() if at and login != "git" else url


def _templates() -> Iterator[tuple[Path, Path]]:
    """Each file of a project, with its path in the project."""
    for path in sorted(_FILES.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            place = path.relative_to(_FILES)
            yield place.with_name(_NAMES.get(place.name, place.name)), path
