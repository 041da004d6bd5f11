"""The whole project is installed,
and packages of others that have the same common names are not used instead of ours."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import assets
import pipelines
import resources
from tests.pipelines.project.conftest import build_wheel

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipelines", "resources")


def test_the_packages_are_those_of_this_tree() -> None:
    for package in (assets, pipelines, resources):
        assert Path(str(package.__file__)) == ROOT / package.__name__ / "__init__.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_packages_and_no_events(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        (entry_points,) = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        scripts = archive.read(entry_points).decode()
        assert "sluice = pipelines.cli:main" in scripts
        # Dagster's own script of this name has no guard.
        assert "dagster-webserver = pipelines.webserver.__main__:instead_of_dagsters" in scripts
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in wanted} >= {".py", ".xml", ".yml"}
    assert sorted(wanted - held) == [], (
        "a package without __init__.py, or data that pyproject.toml does not name"
    )
    assert sorted(held - wanted) == []


def test_the_installed_wheel_runs_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)

    def told(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return _python(
            tmp_path,
            "import pipelines; print(pipelines.__file__); from pipelines.cli import main; main()",
            *arguments,
            before=(str(_stray(tmp_path)), str(site)),
        )

    nowhere = told("list")
    assert nowhere.stdout.splitlines()[0] == str(site / "pipelines/__init__.py")
    assert nowhere.returncode == 1 and "start a project: sluice init DIR" in nowhere.stderr, nowhere.stderr
    assert told("init", ".").returncode == 0
    empty = told("list")
    assert empty.returncode == 0 and "There is no event" in empty.stdout, empty.stderr


def test_the_sluice_command_is_ours_whatever_else_is_installed(tmp_path: Path) -> None:
    told = subprocess.run(
        [Path(sys.executable).parent / "sluice", "list"],
        cwd=tmp_path,
        env=_environ(tmp_path, _stray(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "flight_departed" in told.stdout


def test_dagster_loads_our_resources_whatever_else_is_installed(tmp_path: Path) -> None:
    told = _python(
        tmp_path,
        "import runpy, sys; runpy.run_path(sys.argv[1]); print(sys.modules['resources'].__file__)",
        str(ROOT / "pipelines/definitions.py"),
        before=(str(_stray(tmp_path)),),
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == str(ROOT / "resources/__init__.py")


def _stray(tmp_path: Path) -> Path:
    """A folder with somebody else's `resources`, which Python would find before ours."""
    stranger = tmp_path / "stranger" / "resources"
    stranger.mkdir(parents=True, exist_ok=True)
    (stranger / "__init__.py").write_text("raise ImportError('this is a stranger')\n")
    return stranger.parent


def _environ(tmp_path: Path, *before: object) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "DAGSTER_"))}
    path = os.pathsep.join(map(str, before))
    return {**kept, "PYTHONPATH": path, "SLUICE_HOME": str(tmp_path / "home")}


def _python(
    tmp_path: Path, code: str, *arguments: str, before: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        cwd=tmp_path,
        env=_environ(tmp_path, *before),
        capture_output=True,
        text=True,
        check=False,
    )
