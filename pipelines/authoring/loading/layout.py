"""The files of an `assets/` tree:
which are event modules, and which are in a place where nothing looks for them."""

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.authoring.problems import DeclarationProblem, near_miss

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PLACE = "<domain>/<event>.py, with <event>.avsc beside it"


@dataclass
class Survey:
    """The event modules, sorted by path, and the mistakes of the tree itself."""

    modules: list[Path] = field(default_factory=list)
    problems: list[DeclarationProblem] = field(default_factory=list)


def survey(root: Path) -> Survey:
    """Reads the tree. Names that begin with an underscore or a dot are ignored:
    authors may use them freely."""
    found = Survey()
    if not root.is_dir():
        found.problems.append(
            DeclarationProblem(
                root.name,
                None,
                f"there is no folder {root}",
                "a folder with one folder per domain",
                "change to a folder of your project, name its sluice.toml with SLUICE_TOML, or start a project: sluice init DIR",
            )
        )
        return found
    files = sorted(_files(root))
    modules = {path.relative_to(root) for path in files if path.suffix == ".py"}
    for path in files:
        place = path.relative_to(root)
        named = f"{root.name}/{place.as_posix()}"
        if path.suffix == ".avsc":
            if place.with_suffix(".py") not in modules:
                found.problems.append(_orphan(named, place, modules))
        elif len(place.parts) != 2:
            found.problems.append(_misplaced(root.name, named, place))
        elif (problem := _misnamed(named, place)) is not None:
            found.problems.append(problem)
        else:
            found.modules.append(path)
    return found


def _files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            # A link to a folder that contains it would be an endless loop.
            if not (entry.is_symlink() and folder.resolve().is_relative_to(entry.resolve())):
                yield from _files(entry)
        elif entry.suffix in (".py", ".avsc"):
            yield entry


def _orphan(named: str, place: Path, modules: set[Path]) -> DeclarationProblem:
    stems = {module.stem for module in modules if module.parent == place.parent}
    near = near_miss(place.stem, stems)
    return DeclarationProblem(
        named,
        None,
        "the contract belongs to no module",
        f"a module {place.stem}.py beside it",
        f"{near} A contract bears the name of its module"
        if near
        else "write the module, or delete the contract",
    )


def _misplaced(folder: str, named: str, place: Path) -> DeclarationProblem:
    if len(place.parts) == 1:
        return DeclarationProblem(
            named,
            None,
            "the module lies in no domain",
            f"{folder}/{_PLACE}",
            "move it into the folder of its domain",
        )
    target = f"{folder}/{place.parts[0]}/{place.name}"
    return DeclarationProblem(
        named,
        None,
        "the module lies too deep: a domain has no folders",
        f"{folder}/{_PLACE}",
        f"move it to {target}",
    )


def _misnamed(named: str, place: Path) -> DeclarationProblem | None:
    for kind, name in (("domain", place.parts[0]), ("event", place.stem)):
        if _NAME.fullmatch(name) and not keyword.iskeyword(name):
            continue
        near = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()).strip("_")
        good = bool(_NAME.fullmatch(near)) and not keyword.iskeyword(near)
        return DeclarationProblem(
            named,
            None,
            f"{name!r} cannot be the name of {'a domain' if kind == 'domain' else 'an event'}",
            "lower-case letters, digits and underscores, beginning with a letter; no word of Python's own",
            f"did you mean {near!r}?" if good else None,
        )
    return None
