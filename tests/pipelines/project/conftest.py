"""An environment in which only the wheel is installed, and embedded servers for a project."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
_NOT_SOURCE = shutil.ignore_patterns(
    ".*", "*.egg-info", "__pycache__", "build", "dist", "docs", "tests", "benchmarks"
)


def not_source(folder: str, names: list[str]) -> set[str]:
    """What does not belong to the source of the package, at the top of the tree; a project's files have
    folders with these names too."""
    return (
        _NOT_SOURCE(folder, names)
        if Path(folder) == ROOT
        else {name for name in names if name == "__pycache__"}
    )


def build_wheel(folder: Path) -> Path:
    """The project's wheel, built from a copy of the tree with its own build backend and without network."""
    shutil.copytree(ROOT, folder / "tree", ignore=not_source)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation",
            "--wheel-dir", str(folder), str(folder / "tree"),
        ],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    (built,) = folder.glob("sluice-*.whl")
    return built


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a virtual environment with the wheel in it. It gets the wheel's dependencies from this
    environment: a path in a `.pth` file adds its packages, but not the tree that is installed there in
    editable mode."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    (Path(site.stdout.strip()) / "seen.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index",
            "--ignore-installed", str(build_wheel(folder)),
        ],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    return python.parent
