"""Files as a terminal shows them."""

from pathlib import Path

from resources.settings import find_project


def shown_path(path: Path) -> str:
    """Relative to the project if the path is below it, otherwise absolute."""
    root = find_project().root.resolve()
    found = path.resolve()
    return str(found.relative_to(root)) if found.is_relative_to(root) else str(path)
