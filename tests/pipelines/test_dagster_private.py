"""Sluice's uses of Dagster's private interfaces are in `pipelines/dagster_private.py`, and nowhere else.

ruff refuses the imports of private modules. This test finds what an import does not show: attributes, names
in strings, replaced methods, SQL on Dagster's tables, and methods that Dagster does not mark as public.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._annotations import is_public
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata

from pipelines import dagster_private
from pipelines.dagster_private import UNMARKED
from tests.dagster_interfaces import FILE, gone, used
from tests.documents import ROOT

_PRIVATE = re.compile(r"dagster(\.\w+)*\._\w|dagster_(shared|webserver|graphql)\b")
_TAG = re.compile(r"\.?dagster/\w+")
# Dagster's documentation has a page for each of them.
_DOCUMENTED = {
    "dagster/backfill",
    "dagster/code_references",
    "dagster/column_schema",
    "dagster/max_retries",
    "dagster/partition",
    "dagster/partition_row_count",
    "dagster/schedule_name",
}
# Names of tables that are also ordinary words in Sluice.
_WORDS = {"runs", "jobs", "snapshots"}
_TABLES = {
    name
    for metadata in (SqlEventLogStorageMetadata, RunStorageSqlMetadata, ScheduleStorageSqlMetadata)
    for name in metadata.tables
} - _WORDS
_OWNERS = {
    "instance": "dagster:DagsterInstance",
    "event_log_storage": "dagster._core.storage.event_log.base:EventLogStorage",
    "storage": "dagster._core.storage.event_log.base:EventLogStorage",
    "daemon_cursor_storage": "dagster._core.storage.daemon_cursor:DaemonCursorStorage",
}
_PYTHONS = {"_exit", "_getframe"}
# The whole module is one private interface: dagster_private says why it is used.
_WHOLE = "pipelines/orchestration/event_log.py"


def _modules() -> Iterator[Path]:
    for folder in ("assets", "pipelines", "resources"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def problems(text: str) -> list[str]:
    """What a module's text contains that only `dagster_private` may contain."""
    tree = ast.parse(text)
    of_dagster = re.search(r"^\s*(from|import) (dagster|pipelines\.dagster_private)\b", text, re.MULTILINE)
    found = chain(_imported(tree), _named(tree), _attributes(tree) if of_dagster else ())
    return sorted({f"line {line}: {what}" for line, what in found})


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, one.name) for one in node.names if _PRIVATE.match(one.name))
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{one.name}" for one in node.names]
            yield from ((node.lineno, name) for name in names if _PRIVATE.match(name))


def _named(tree: ast.Module) -> Iterator[tuple[int, str]]:
    documents = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in documents:
            continue
        if _PRIVATE.search(node.value):
            yield node.lineno, f"the name {node.value!r}"
        if tag := _TAG.match(node.value):
            if tag[0] not in _DOCUMENTED:
                yield node.lineno, f"the undocumented tag {node.value!r}"
        elif any(re.search(rf"\b{table}\b", node.value) for table in _TABLES):
            yield node.lineno, f"a table of Dagster in {node.value!r}"


def _attributes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    own, inside, dagsters = _own_names(tree), _inherited(tree), _of_dagster(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if _is_private(node.attr) and node.attr not in _PYTHONS:
                # Attributes of `self` may come from a base class of Sluice.
                if id(node) in inside if ast.unparse(node.value) == "self" else node.attr not in own:
                    yield node.lineno, f"the attribute {ast.unparse(node)}"
            elif isinstance(node.ctx, ast.Store):
                if _root(node) in dagsters or _is_a_method(node):
                    yield node.lineno, f"{ast.unparse(node)} is replaced"
            else:
                yield from _unmarked(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "delattr"):
            of, name = ast.unparse(node.args[0]), node.args[1]
            if isinstance(name, ast.Constant):
                if _is_private(name.value) and name.value not in own:  # type: ignore[arg-type]
                    yield node.lineno, f"the attribute {of}.{name.value}"  # type: ignore[str-bytes-safe]
            elif ast.unparse(node.func) != "getattr" and of not in ("self", "cls"):
                yield node.lineno, f"attributes of {of} are replaced"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _own_names(tree: ast.Module) -> set[str]:
    """Private names that the module itself defines."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _root(node) == "self":
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def _of_dagster(tree: ast.Module) -> set[str]:
    """Names that the module imports from Dagster, and names of the objects that it makes with them."""
    found = {
        (one.asname or one.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for one in node.names
        if "dagster" in f"{getattr(node, 'module', '')}.{one.name}"
    }
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=ast.Call(func=made)) if _root(made) in found:
                found |= {one.id for one in targets if isinstance(one, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=made)) if _root(made) in found:
                found.add(name)
    return found


def _is_a_method(node: ast.Attribute) -> bool:
    owner = _owner(node)
    return owner is not None and hasattr(_class(owner), node.attr)


def _inherited(tree: ast.Module) -> set[int]:
    """`self._x` in a class with a base from Dagster, if the class does not define `_x`."""
    imported = _of_dagster(tree)
    found = set()
    for kind in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        bases = {re.split(r"[.\[]", ast.unparse(base))[0] for base in kind.bases}
        if bases & imported:
            own = _own_names(ast.Module([kind], []))
            found |= {
                id(node)
                for node in ast.walk(kind)
                if isinstance(node, ast.Attribute) and _root(node) == "self" and node.attr not in own
            }
    return found


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return ast.unparse(node)


def _unmarked(node: ast.Attribute) -> Iterator[tuple[int, str]]:
    """A method of an instance or of its storage that Dagster does not mark as public, and that is not
    listed."""
    owner = _owner(node)
    if owner is None or node.attr in UNMARKED.get(owner, ()):
        return
    if _is_dagsters(owner, node.attr):
        yield node.lineno, f"{ast.unparse(node)} is not marked as public"


def _owner(node: ast.Attribute) -> str | None:
    """The class that an attribute belongs to, according to the name before it."""
    called = re.search(r"(\w+?)(_of\(self\))?$", ast.unparse(node.value))
    return _OWNERS.get(called[1].lstrip("_")) if called else None


@cache
def _class(place: str) -> type:
    module, _, name = place.partition(":")
    found: type = getattr(import_module(module), name)
    return found


@cache
def _is_dagsters(place: str, name: str) -> bool:
    """Whether the class has an attribute of this name that is not marked as public."""
    static: Any = vars(dg.DagsterInstance).get(name) if place.endswith("DagsterInstance") else None
    marked = static is not None and any(
        is_public(one) for one in (static, getattr(static, "fget", None)) if one is not None
    )
    return hasattr(_class(place), name) and not marked


def test_no_module_uses_a_private_interface_by_itself() -> None:
    found = {
        str(path.relative_to(ROOT)): told
        for path in _modules()
        if path not in (FILE, ROOT / _WHOLE) and (told := problems(path.read_text(encoding="utf-8")))
    }
    assert found == {}, "use it through pipelines/dagster_private.py"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("from dagster._core.events import X", "dagster._core.events.X"),
        ("from dagster import _core", "dagster._core"),
        ("import dagster._utils as u", "dagster._utils"),
        ("from dagster_shared.error import X", "dagster_shared.error.X"),
        ("def f():\n    from dagster_graphql import schema", "dagster_graphql.schema"),
        ("import_module('dagster._cli.dev')", "the name 'dagster._cli.dev'"),
        ("run([python, '-m', 'dagster_webserver'])", "the name 'dagster_webserver'"),
        ("import dagster as dg\ninstance._storage", "the attribute instance._storage"),
        ("import dagster as dg\ngetattr(context, '_step')", "the attribute context._step"),
        ("import dagster as dg\ndg.DagsterInstance.get = mine", "dg.DagsterInstance.get is replaced"),
        (
            "import dagster as dg\nshape: Any = dg.Shape({})\nshape.post_process = mine",
            "shape.post_process is replaced",
        ),
        ("import dagster as dg\nself._instance.event_log_storage.store_event = mine", "is replaced"),
        ("import dagster as dg\nsetattr(storage, name, mine)", "attributes of storage are replaced"),
        (
            "from pipelines.dagster_private import RunLauncher\nclass L(RunLauncher[int]):\n    def f(self):\n"
            "        self._instance",
            "the attribute self._instance",
        ),
        (
            "import dagster as dg\ncontext.instance.wipe()\nself._instance.run_storage",
            "not marked as public",
        ),
        ("import dagster as dg\ninstance.event_log_storage.wipe()", "is not marked as public"),
        ("query('DELETE FROM event_logs')", "a table of Dagster"),
        ("tags = {'dagster/input_event_pointer/x': '1'}", "the undocumented tag"),
        ("tags = {f'.dagster/repository{x}': '1'}", "the undocumented tag"),
    ],
)
def test_each_way_to_a_private_interface_is_seen(text: str, told: str) -> None:
    assert told in " ".join(problems(text))


@pytest.mark.parametrize(
    "text",
    [
        "from dagster import DagsterRunStatus",
        "import dagster as dg\ninstance.get_run_by_id(run_id)",
        "import dagster as dg\nclass A:\n    def f(self):\n        self._x = self._f()\n    def _f(self): ...",
        "import dagster as dg\ninstance.get_runs()\ninstance.event_log_storage.get_pool_limits()",
        "tags = {'dagster/max_retries': '0'}",
        '"""The daemon (dagster._daemon) reads event_logs."""',
    ],
)
def test_public_ones_and_names_of_the_module_s_own_are_not(text: str) -> None:
    assert problems(text) == []


def test_each_one_has_its_line_in_the_table() -> None:
    told = dagster_private.__doc__ or ""
    missing = []
    for place, name in used(FILE.read_text(encoding="utf-8")):
        if place not in UNMARKED and not re.search(rf"\b{name or place}\b", told):
            missing.append(f"{place}.{name}" if place not in told else "")
    assert [one for one in missing if one] == []
    assert [name for name in dagster_private.VARIABLES if f"| {name} |" not in told] == []
    for line in told.splitlines():
        if line.startswith("| "):
            assert len([cell for cell in line.strip("|").split("|") if cell.strip()]) == 4, line


def test_nothing_is_listed_that_is_not_used() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in _modules() if path != FILE)
    exported = {*dagster_private.__all__} - {"REPLACED", "UNMARKED", "VARIABLES"}
    assert [name for name in sorted(exported) if not re.search(rf"\b{name}\b", text)] == []
    listed = {name for names in UNMARKED.values() for name in names}
    assert [name for name in sorted(listed) if not re.search(rf"\.{name}\b", text)] == []
    assert [name for name in dagster_private.VARIABLES if name not in text] == []


def test_variables_that_no_page_documents_are_listed() -> None:
    documented = {
        "DAGSTER_HOME",
        "DAGSTER_WEBSERVER",
    }  # and click's options of the web server, by their prefix
    text = "\n".join(path.read_text(encoding="utf-8") for path in _modules() if path != FILE)
    assert {*re.findall(r"\"(DAGSTER_\w+)\"", text)} - documented == {*dagster_private.VARIABLES}


def test_this_dagster_has_them_all_and_a_missing_one_is_named() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert gone(text) == []
    text = text.replace("import PostProcessingError", "import NoSuchError").replace('"get_runs"', '"no_runs"')
    text = text.replace('"dagster._cli.dev": (', '"dagster._cli.no_dev": (')
    assert gone(text) == [
        "dagster._cli.no_dev.dev_command",
        "dagster._cli.no_dev.open_ipc_subprocess",
        "dagster._config.NoSuchError",
        "dagster:DagsterInstance.no_runs",
    ]
