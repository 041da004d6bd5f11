"""The text of an event module:
where its arguments are, whether its transform does nothing, what its code is."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from pipelines.authoring.sql.source_sql import dedented

Node = TypeVar("Node", bound=ast.AST)


class ModuleSource:
    """A parsed module. `path` is the file; `text` is its content if the file is not written yet; `file` is
    the name of the file in errors. Raises SyntaxError, ValueError, OSError."""

    def __init__(self, path: Path, file: str, text: str | None = None) -> None:
        self.path = path
        self.file = file
        # Bytes, so that a coding line has the same effect as in Python itself.
        self.tree = ast.parse(path.read_bytes() if text is None else text.encode(), str(path))

    @property
    def docstring(self) -> str | None:
        """The module's docstring, without surrounding whitespace; None if it has none."""
        return (ast.get_docstring(self.tree) or "").strip() or None

    def function(self, name: str, decorated_at: int) -> ast.FunctionDef | None:
        """The function `name` whose decorators include the call at line `decorated_at`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef) and node.name == name:
                first = min((decorator.lineno for decorator in node.decorator_list), default=node.lineno)
                if first <= decorated_at <= node.lineno:
                    return node
        return None


def argument_node(function: ast.FunctionDef, decorated_at: int, argument: str) -> ast.expr | None:
    """The value of `argument` in the decorator call at that line."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and decorator.lineno <= decorated_at <= (
            decorator.end_lineno or 0
        ):
            for keyword in decorator.keywords:
                if keyword.arg == argument:
                    return keyword.value
    return None


def is_identity(function: ast.FunctionDef) -> bool:
    """Whether the function only returns its argument: then its rows need not become a frame at all."""
    body = _without_docstring(function.body)
    arguments = [*function.args.posonlyargs, *function.args.args]
    return (
        len(function.decorator_list) == 1
        and len(body) == 1
        and isinstance(body[0], ast.Return)
        and isinstance(body[0].value, ast.Name)
        and len(arguments) == 1
        and body[0].value.id == arguments[0].arg
    )


def returns_nothing(function: ast.FunctionDef) -> bool:
    """Whether no path of the function returns a value or raises."""
    return not any(
        (isinstance(node, ast.Return) and node.value is not None) or isinstance(node, ast.Raise)
        for node in _statements(function, into_definitions=False)
    )


# Calls that return another value in every run, by the last name of the call: of datetime and pandas; of uuid,
# os, numpy and secrets; and every call of these modules. `today` needs a rule, because it returns the same
# date in the two calls of one check.
_CLOCKS = {"now", "utcnow", "today"}
_CHANCE = {"uuid1", "uuid4", "urandom", "default_rng", "RandomState"}
_MODULES = {"random", "secrets", "time"}
_OF_TIME = {
    "time",
    "time_ns",
    "perf_counter",
    "perf_counter_ns",
    "monotonic",
    "localtime",
    "gmtime",
    "ctime",
    "asctime",
}
# The hash of a text, the id of an object and the order of texts in a set differ from process to process.
_OF_A_PROCESS = {"hash", "id"}


def unrepeatable_calls(tree: ast.Module) -> list[tuple[int, str]]:
    """Calls in a module that read a clock, use chance, or differ between processes; each once, with its line.

    Other functions and the module's constants count too: the transform may use them.
    """
    own = _bound_names(tree)
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for told in _unrepeatable(node, own):
                found.setdefault(told, node.lineno)
    return sorted((line, told) for told, line in found.items())


def _bound_names(tree: ast.Module) -> set[str]:
    """Names that the module defines itself."""
    bound = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add(other or name)
    return bound


def _unrepeatable(call: ast.Call, own: set[str]) -> Iterator[str]:
    name = ast.unparse(call.func)
    if _is_unrepeatable(call, name.split(".")) or (name in _OF_A_PROCESS and name not in own):
        yield f"{name}()"
    for given in call.args:
        if isinstance(given, ast.Name) and given.id == "hash" and "hash" not in own:
            yield "hash()"
    if (
        isinstance(call.func, ast.Attribute)
        and call.func.attr == "join"
        and call.args
        and _is_a_set(call.args[0])
    ):
        yield "join() of a set"


def _is_a_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    return isinstance(node, ast.Set | ast.SetComp)


def _is_unrepeatable(call: ast.Call, parts: list[str]) -> bool:
    owners, last = parts[:-1], parts[-1]
    if any("(" in owner for owner in owners):
        return False  # a method of the result of another call: that call is checked by itself
    texts = {argument.value for argument in call.args if isinstance(argument, ast.Constant)}
    if last in ("Timestamp", "to_datetime", "datetime64") and texts & {"now", "today"}:
        return True
    if owners and last in _CLOCKS:
        return True
    if last in _CHANCE:
        seeded = last in ("default_rng", "RandomState") and (call.args or call.keywords)
        return not seeded  # with a seed it returns the same each time
    if owners[-1:] == ["time"]:
        return (last in _OF_TIME and not call.args) or (last == "strftime" and len(call.args) == 1)
    return bool(_MODULES & set(owners)) and last not in ("Random", "seed")


# Authoring names that are not part of a code version.
_AGREEMENTS = {"promise", "topic"}
# The fields of a node that hold statements.
# Expressions, which are most of a tree, hold none and need not be visited.
_BODIES = ("body", "handlers", "orelse", "finalbody", "cases")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _statements(node: ast.AST, *, into_definitions: bool) -> Iterator[ast.AST]:
    """The statements below `node`; also those inside functions and classes if `into_definitions`."""
    waiting = _children(node)
    while waiting:
        child = waiting.pop()
        yield child
        if into_definitions or not isinstance(child, _DEFINITIONS):
            waiting += _children(child)


def _children(node: ast.AST) -> list[ast.AST]:
    return [child for name in _BODIES for child in getattr(node, name, ())]


def line_of_sql(node: ast.expr | None, text: str, offset: int) -> int | None:
    """The line of the file that has the character `offset` of the dedented, stripped SQL `text`;
    None if it is not known."""
    if node is None:
        return None
    lines = text.count("\n")
    if not isinstance(node, ast.Constant) or (node.end_lineno or 0) - node.lineno != lines:
        return node.lineno  # built from parts, or with escapes: its lines are not the lines of the file
    blank = text[: len(text) - len(text.lstrip())].count("\n")
    return node.lineno + blank + dedented(text)[:offset].count("\n")


class CodeText:
    """The code that decides what a transform returns, as a text that layout, comments and docs do not change.

    This is the module, without decorators and docstrings, and every module of the same tree that it imports,
    at any depth. Code from outside the tree (pandas, a library of the team) is not in it.
    """

    def __init__(self, assets_root: Path) -> None:
        self._root = assets_root
        self._texts: dict[Path, tuple[str, tuple[Path, ...]]] = {}

    def of(self, path: Path, tree: ast.Module) -> str:
        """The code of the module at `path`, and of its helpers in the order of their names."""
        if path not in self._texts:
            self._texts[path] = self._reduced(path, tree)
        text, imported = self._texts[path]
        helpers: dict[Path, str] = {}
        todo = list(imported)
        while todo:
            helper = todo.pop()
            if helper == path or helper in helpers:
                continue
            if helper not in self._texts:
                self._texts[helper] = self._reduced(helper, ast.parse(helper.read_bytes()))
            helpers[helper], further = self._texts[helper]
            todo.extend(further)
        return "\n\f".join(
            [text, *(f"{helper.relative_to(self._root)}\n{helpers[helper]}" for helper in sorted(helpers))]
        )

    def _reduced(self, path: Path, tree: ast.Module) -> tuple[str, tuple[Path, ...]]:
        imported = tuple(self._imports(path, tree))
        return ast.unparse(_bare(tree)), imported

    def _imports(self, path: Path, tree: ast.Module) -> Iterator[Path]:
        package = path.relative_to(self._root).parts[:-1]
        for node in _statements(tree, into_definitions=True):
            names: list[tuple[str, ...]] = []
            if isinstance(node, ast.Import):
                names = [_inside(alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                module = tuple((node.module or "").split(".")) if node.module else ()
                if node.level:
                    base = package[: len(package) - node.level + 1] + module
                elif module[:1] == ("assets",):
                    base = module[1:]
                else:
                    continue
                names = [base, *((*base, alias.name) for alias in node.names)]
            for parts in names:
                candidate = self._root.joinpath(*parts).with_suffix(".py") if parts else None
                if candidate is not None and candidate.is_file():
                    yield candidate


def _inside(name: str) -> tuple[str, ...]:
    first, *rest = name.split(".")
    return tuple(rest) if first == "assets" else ()


def _bare(node: Node) -> Node:
    """The node without decorators of `@event` and docstrings,
    which do not change what a transform returns."""
    if isinstance(node, ast.ImportFrom):
        return cast(Node, _without_agreements(node))
    if not _children(node):
        return node
    bare: Any = copy.copy(node)
    for name in _BODIES:
        if children := getattr(node, name, None):
            setattr(bare, name, [_bare(child) for child in children if not _is_agreement(child)])
    if isinstance(node, ast.FunctionDef):
        bare.decorator_list = [decorator for decorator in node.decorator_list if not _is_event(decorator)]
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        bare.body = _without_docstring(bare.body) or [ast.Pass()]
    elif isinstance(node, ast.Module):
        bare.body = _without_docstring(bare.body)
    return cast(Node, bare)


def _without_agreements(node: ast.ImportFrom) -> ast.ImportFrom:
    """The import without the names that only declare something for others: adding a promise changes no row.

    The other authoring names stay in it, because they were part of the first code versions.
    """
    if node.module != "pipelines" or node.level:
        return node
    kept: Any = copy.copy(node)
    kept.names = [alias for alias in node.names if alias.name not in _AGREEMENTS]
    return cast(ast.ImportFrom, kept)


def _is_agreement(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and not _without_agreements(node).names


def _is_event(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (isinstance(called, ast.Name) and called.id == "event") or (
        isinstance(called, ast.Attribute) and called.attr == "event"
    )


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return body[1:]
    return list(body)
