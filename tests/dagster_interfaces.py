"""Whether this Dagster has every private interface that Sluice uses: `python -m tests.dagster_interfaces`.

The list of interfaces is read from the text of `pipelines/dagster_private.py`: if Dagster lacks one of them,
the module itself cannot be imported.
"""

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "pipelines" / "dagster_private.py"
_TABLES = ("UNMARKED", "REPLACED")


def used(text: str) -> Iterator[tuple[str, str]]:
    """Each interface as (where it is defined, its name): ("dagster:DagsterInstance", "get_runs")."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster"):
            yield from ((str(node.module), one.name) for one in node.names)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) in _TABLES and node.value:
            for place, names in ast.literal_eval(node.value).items():
                yield from ((place, name) for name in names or ("",))


def gone(text: str) -> list[str]:
    """The interfaces that this Dagster lacks."""
    return [".".join(filter(None, one)) for one in sorted({*used(text)}) if not _is_there(*one)]


def _is_there(place: str, name: str) -> bool:
    module, _, owner = place.partition(":")
    try:
        found = import_module(module)
        if owner:
            found = getattr(found, owner)
    except (ImportError, AttributeError):
        return False
    if not name or hasattr(found, name) or name in getattr(found, "__annotations__", {}):
        return True
    try:
        import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


def main() -> None:
    """Print the version, and which interfaces are missing."""
    text = FILE.read_text(encoding="utf-8")
    missing = gone(text)
    told = f"Dagster {version('dagster')}"
    if not missing:
        print(f"{told}: each of the {len({*used(text)})} private interfaces that Sluice uses is there")
        return
    sys.exit(
        f"{told}: {len(missing)} private interface{'s' * (len(missing) > 1)} that Sluice uses "
        f"{'are' if len(missing) > 1 else 'is'} gone: {', '.join(missing)}; next: pipelines/dagster_private.py says for each "
        "what it is for and the public way; until it is replaced, keep Dagster below this version in pyproject.toml"
    )


if __name__ == "__main__":
    main()
