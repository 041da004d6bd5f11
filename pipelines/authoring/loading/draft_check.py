"""Checks the texts of an event that has no files yet,
as the catalogue would check its files, and runs none of its code.

The content of a draft comes from a warehouse, where others choose the names. So a draft is a declaration that
has only literals, and literals are read, not run.
"""

from __future__ import annotations

import ast
from pathlib import Path
from types import FunctionType
from typing import Any

from pipelines.authoring.cadence import CADENCES
from pipelines.authoring.catalogue import Catalogue, CatalogueError
from pipelines.authoring.declaration import EventDeclaration, event
from pipelines.authoring.event import Event
from pipelines.authoring.loading.discovery import shared_topics
from pipelines.authoring.loading.module_import import PACKAGE
from pipelines.authoring.loading.module_source import CodeText, ModuleSource, is_identity
from pipelines.authoring.loading.resolution import Module
from pipelines.authoring.problems import collecting
from pipelines.authoring.topics import TopicClaim
from pipelines.authoring.window_declaration import daily, hourly, monthly, weekly
from pipelines.contract import Contract, parse_contract

_WINDOWS = {"hourly": hourly, "daily": daily, "weekly": weekly, "monthly": monthly}


def judged(path: Path, module: str, contract: str, others: Catalogue) -> Event:
    """The event that the texts would be as `path`,
    which is `<root>/<domain>/<event>.py`, and the contract beside it.

    Raises CatalogueError with every mistake, for example a topic that one of the `others` has; ValueError for
    a module that is more than a declaration of literals over `return rows`.
    """
    drafted = _Drafted(path, module, contract)
    found = drafted.resolve()
    name = f"{path.parent.name}/{path.stem}"
    claims = [
        TopicClaim(one.full_name, one.topic, f"{PACKAGE}/{one.full_name}.py", one.function_line)
        for one in others
    ]
    shared = [problem for claimant, problem in shared_topics([*claims, *drafted.claims]) if claimant == name]
    if found.event is None or shared:
        raise CatalogueError([*found.problems, *shared], others)
    return found.event


class _Drafted(Module):
    def __init__(self, path: Path, module: str, contract: str) -> None:
        root = path.parents[1]
        self.claims: list[TopicClaim] = []
        super().__init__(path, root, {}, CodeText(root), self.claims)
        self._module_text, self._contract_text = module, contract

    def _source(self) -> ModuleSource:
        return ModuleSource(self._path, self._file, self._module_text)

    def _loaded_contract(self, path: Path) -> Contract:
        return parse_contract(self._contract_text, path)

    def _declaration(self, source: ModuleSource) -> EventDeclaration:
        function, decorator = _declared(source.tree, self._name)
        with collecting() as collector:
            arguments = {str(given.arg): _value(given.value) for given in decorator.keywords}
            declaration: EventDeclaration = event(**arguments)(_as_it_is(function.name))
        declaration.line = decorator.lineno
        for (
            one
        ) in collector.problems:  # of windows, which name the line that made them: here, one of this file
            line = next(given.value.lineno for given in decorator.keywords if given.arg == "windows")
            self._problem(line, one.problem, one.allowed, one.next_step)
        return declaration


def _declared(tree: ast.Module, name: str) -> tuple[ast.FunctionDef, ast.Call]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name and is_identity(node):
            (decorator,) = node.decorator_list
            if (
                isinstance(decorator, ast.Call)
                and not decorator.args
                and ast.unparse(decorator.func) == "event"
            ):
                return node, decorator
    raise ValueError(f"the module does not declare {name} over rows as they are")


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id=cadence), args=[ast.Constant(value=str(start))], keywords=[]) if (
            cadence in CADENCES
        ):
            return _WINDOWS[cadence](start)
    return ast.literal_eval(node)


def _as_it_is(name: str) -> FunctionType:
    def rows_as_they_are(rows: Any) -> Any:
        return rows

    return FunctionType(rows_as_they_are.__code__, {}, name)
