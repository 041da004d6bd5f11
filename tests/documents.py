"""What the tests of the documents read from Markdown: fenced blocks, commands, links, anchors, tables."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: the name that its fence has, and its text."""

    language: str
    text: str


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The page's fenced blocks; only those of `language` if it is given."""
    found = [Block(*match.groups()) for match in _FENCE.finditer(page.read_text())]
    return [block for block in found if language in (None, block.language)]


def commands(page: Path) -> Iterator[list[str]]:
    """Every command after a `$ ` in the page's console blocks, as words; `a && b` is two."""
    for block in blocks(page, "console"):
        for line in block.text.splitlines():
            if line.startswith("$ "):
                for part in line[2:].split("&&"):
                    yield shlex.split(part)


def links(page: Path) -> list[str]:
    """Targets of the page's links, except those in code."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text()))
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(page: Path) -> set[str]:
    """The anchors of the page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def table(page: Path, first_heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading; code marks are kept."""
    rows: list[list[str]] = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells[:1] == [first_heading]:
            rows = [cells]
        elif rows and cells:
            rows.append(cells)
        elif rows:
            break
    assert rows, f"{page.name} has no table that begins with {first_heading}"
    return rows[2:]
