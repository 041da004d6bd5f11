"""Runs event modules as modules of the package `assets`,
wherever their tree is, and describes what goes wrong."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dis import opmap
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pipelines.authoring.loading.author_output import author_output_aside
from pipelines.authoring.loading.kept_process import process_kept
from pipelines.authoring.problems import DeclarationProblem, near_miss
from resources.wording import cut, raised, text_of

if TYPE_CHECKING:
    from pipelines.authoring.loading.module_source import ModuleSource

PACKAGE = "assets"


class LoadTookTooLong(BaseException):
    """The time for loading a module is over.
    Not an Exception, so that `except Exception` in the module does not catch it."""


@contextmanager
def tree_as_package(assets_root: Path, *, stays: bool = False) -> Iterator[None]:
    """Makes `import assets.x.y` find the files of `assets_root`, freshly, while the block runs.

    `stays`: the modules stay imported after the block, so that tracebacks and pickles find them. Otherwise
    the earlier imports are restored.
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
        if not stays:
            for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
                del sys.modules[name]
            sys.modules.update(before)


def run_module(name: str, source: ModuleSource) -> None:
    """Runs the parsed module as `name`, e.g. `assets.flights.flight_departed`.
    Raises whatever the module raises.

    Compiles the tree that was already parsed for its lines, so each file is read and parsed once.
    """
    parent, _, short = name.rpartition(".")
    package = importlib.import_module(parent)
    spec = importlib.util.spec_from_file_location(name, source.path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with author_output_aside(), process_kept():
            exec(compile(source.tree, str(source.path), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    setattr(package, short, module)


def imported_again(path: Path) -> ModuleType:
    """The module of an event from its file, with its helpers, as another process would import it.

    `path` is `<tree>/<domain>/<event>.py`. Modules that are imported already stay as they are. Raises
    whatever the module raises.
    """
    from pipelines.authoring.loading.module_source import ModuleSource

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


def beyond_reading(file: str, error: BaseException) -> DeclarationProblem:
    """The problem of a module or contract that its parser cannot read: for example, it is nested too deep for
    Python's parser, which then raises MemoryError without a message."""
    if isinstance(error, LoadTookTooLong):
        return DeclarationProblem(
            file,
            None,
            "reading the module and its contract takes too long, and was ended",
            "two files of text",
            "look whether one of them is a pipe, or very large",
        )
    if isinstance(error, UnicodeEncodeError):
        where = cut(repr(error.object[max(0, error.start - 20) : error.end + 20]))
        return DeclarationProblem(
            file,
            None,
            f"a text of the module holds half a surrogate pair, {error.object[error.start]!r}, which is no character: {where}",
            next_step="write the whole character",
        )
    told = cut(raised(error).partition("\n")[0])
    deep = isinstance(error, RecursionError | MemoryError)
    return DeclarationProblem(
        file,
        None,
        f"the module, its SQL or its contract cannot be read: {told}",
        next_step="look for what is nested very deep"
        if deep
        else "look at what the module does while it is imported",
    )


def _syntax(file: str, error: SyntaxError) -> DeclarationProblem:
    text = cut((error.text or "").strip())
    return DeclarationProblem(
        file, error.lineno, f"Python cannot read {text!r}: {error.msg}" if text else f"Python: {error.msg}"
    )


def failed_import(
    file: str, error: BaseException, assets_root: Path, authoring_names: list[str]
) -> DeclarationProblem:
    """The problem of a module that raised while it was imported:
    names the deepest line of the tree, without a stack trace."""
    place, line = file, None
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(assets_root):
            place, line = str(Path(assets_root.name) / path.relative_to(assets_root)), frame.lineno
    if isinstance(error, SyntaxError) and error.filename:
        path = Path(error.filename)
        if path.is_relative_to(assets_root):
            return _syntax(str(Path(assets_root.name) / path.relative_to(assets_root)), error)
    problem, allowed, hint = _worded(error, authoring_names)
    return DeclarationProblem(place, line, problem, allowed, hint)


def raised_in_words(error: BaseException) -> bool:
    """Whether a `raise` statement raised it; a user's Ctrl-C can be raised at any other line."""
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
            wanted = text_of(error).partition("'")[2].partition("'")[0]
            return (
                f"pipelines has no {wanted!r}",
                ", ".join(authoring_names),
                near_miss(wanted, authoring_names),
            )
        case ImportError():
            return f"an import fails: {text_of(error).partition(' (')[0]}", None, None
        case NameError(name=str(name)) if name in authoring_names:
            return f"{name} is not imported", None, f"add: from pipelines import {name}"
        case NameError(name=str(name)):
            return f"the name {name!r} is not defined", None, near_miss(name, authoring_names)
        case TypeError() if text_of(error).startswith("limits("):
            return text_of(error), "limits(*, rows_per_second, bytes_per_second, lag)", None
        case TypeError() if text_of(error).partition("(")[0] in authoring_names:
            name = text_of(error).partition("(")[0]
            return text_of(error), f'{name}(start, end=None, *, delay="0h")', f'write {name}("2013-01-01")'
        case LoadTookTooLong():
            return (
                "importing it takes too long, and was ended here",
                "declarations and functions only",
                "move what takes long into the SQL or into the transform",
            )
        case SystemExit() | KeyboardInterrupt():
            return (
                "importing it ends the program",
                "declarations and functions only",
                "take the exit out of the module",
            )
    return f"importing it raises {cut(raised(error).partition(chr(10))[0], 400)}", None, None
