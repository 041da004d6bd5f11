"""Runs event modules as modules of the package `assets`, wherever their tree lies, and words what goes wrong."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dis import opmap
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pipelines.authoring.problems import DeclarationProblem, near_miss

if TYPE_CHECKING:
    from pipelines.authoring.module_source import ModuleSource

PACKAGE = "assets"


@contextmanager
def tree_as_package(assets_root: Path) -> Iterator[None]:
    """Makes `import assets.x.y` find the files of `assets_root`, freshly, while the block runs.

    The application's own tree stays imported afterwards, so that its modules are where tracebacks and pickles look for
    them; for any other tree what was there before comes back.
    """
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE}
    for name in before:
        del sys.modules[name]
    importlib.invalidate_caches()
    package = ModuleType(PACKAGE)
    package.__path__ = [str(assets_root)]
    init = assets_root / "__init__.py"
    package.__file__ = str(init) if init.is_file() else None
    package.__spec__ = importlib.util.spec_from_file_location(
        PACKAGE, init, submodule_search_locations=[str(assets_root)]
    )
    sys.modules[PACKAGE] = package
    try:
        yield
    finally:
        if assets_root != application_root() / PACKAGE:
            for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
                del sys.modules[name]
            sys.modules.update(before)


def application_root() -> Path:
    """The folder that holds `assets/`, `pipelines/` and `resources/`."""
    return Path(__file__).resolve().parents[2]


def run_module(name: str, source: ModuleSource) -> None:
    """Runs the parsed module as `name`, e.g. `assets.flights.flight_departed`. Raises whatever it raises.

    Compiled from the tree that was parsed for its lines, so each file is read and parsed once.
    """
    parent, _, short = name.rpartition(".")
    package = importlib.import_module(parent)
    spec = importlib.util.spec_from_file_location(name, source.path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with redirect_stdout(sys.stderr):  # stdout is the command's own, which may be JSON for programs
            exec(compile(source.tree, str(source.path), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    setattr(package, short, module)


def imported_again(path: Path) -> ModuleType:
    """The module of an event from its file, with its helpers, as another process would import it.

    `path` is `<tree>/<domain>/<event>.py`. What is imported already stays as it is. Raises whatever the module raises.
    """
    from pipelines.authoring.module_source import ModuleSource

    root = path.parents[1]
    name = f"{PACKAGE}.{path.parent.name}.{path.stem}"
    before = {one: module for one, module in sys.modules.items() if one.partition(".")[0] == PACKAGE}
    try:
        with tree_as_package(root):
            run_module(name, ModuleSource(path, path.name))
            return sys.modules[name]
    finally:
        for one in [one for one in sys.modules if one.partition(".")[0] == PACKAGE]:
            del sys.modules[one]
        sys.modules.update(before)


def unreadable(file: str, error: Exception) -> DeclarationProblem:
    """The problem of a module that could not even be parsed."""
    if isinstance(error, SyntaxError):
        return _syntax(file, error)
    if isinstance(error, OSError):
        return DeclarationProblem(file, None, f"the file cannot be read: {error.strerror}")
    return DeclarationProblem(
        file, None, f"the file is not Python: {error}", next_step="save it as UTF-8 text"
    )


def beyond_reading(file: str, error: Exception) -> DeclarationProblem:
    """The problem of a module or contract that whatever reads it gives up on: it is nested too deep for Python's parser, for
    instance, which then raises MemoryError without a word."""
    told = str(error).strip().partition("\n")[0]
    return DeclarationProblem(
        file,
        None,
        f"the module, its SQL or its contract cannot be read: {type(error).__name__}{': ' + told if told else ''}",
        next_step="look for what is nested very deep",
    )


def _syntax(file: str, error: SyntaxError) -> DeclarationProblem:
    text = (error.text or "").strip()
    return DeclarationProblem(
        file, error.lineno, f"Python cannot read {text!r}: {error.msg}" if text else f"Python: {error.msg}"
    )


def failed_import(
    file: str, error: BaseException, assets_root: Path, authoring_names: list[str]
) -> DeclarationProblem:
    """The problem of a module that raised while it was imported: the deepest line of the tree, and no stack trace."""
    place, line = file, None
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(assets_root):
            place, line = str(Path(PACKAGE) / path.relative_to(assets_root)), frame.lineno
    if isinstance(error, SyntaxError) and error.filename:
        path = Path(error.filename)
        if path.is_relative_to(assets_root):
            return _syntax(str(Path(PACKAGE) / path.relative_to(assets_root)), error)
    problem, allowed, hint = _worded(error, authoring_names)
    return DeclarationProblem(place, line, problem, allowed, hint)


def raised_in_words(error: BaseException) -> bool:
    """Whether a `raise` statement raised it; a Ctrl-C of the user's arrives anywhere else."""
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == opmap["RAISE_VARARGS"]


def _worded(error: BaseException, authoring_names: list[str]) -> tuple[str, str | None, str | None]:
    match error:
        case ModuleNotFoundError(name=str(name)):
            top = name.partition(".")[0]
            if top in (PACKAGE, "pipelines", "resources"):
                return f"there is no module {name}", None, "check its spelling and that the file exists"
            return (
                f"the package {top!r} is not installed here",
                None,
                f"check its spelling, or add {top} to pyproject.toml",
            )
        case ImportError(name="pipelines"):
            wanted = str(error).partition("'")[2].partition("'")[0]
            return (
                f"pipelines has no {wanted!r}",
                ", ".join(authoring_names),
                near_miss(wanted, authoring_names),
            )
        case ImportError():
            return f"an import fails: {str(error).partition(' (')[0]}", None, None
        case NameError(name=str(name)) if name in authoring_names:
            return f"{name} is not imported", None, f"add: from pipelines import {name}"
        case NameError(name=str(name)):
            return f"the name {name!r} is not defined", None, near_miss(name, authoring_names)
        case TypeError() if str(error).partition("(")[0] in authoring_names:
            name = str(error).partition("(")[0]
            return str(error), f'{name}(start, end=None, *, delay="0h")', f'write {name}("2013-01-01")'
        case SystemExit() | KeyboardInterrupt():
            return (
                "importing it ends the program",
                "declarations and functions only",
                "take the exit out of the module",
            )
    what = type(error).__name__
    message = str(error).strip().partition("\n")[0]
    return f"importing it raises {what}{': ' + message if message else ''}", None, None
