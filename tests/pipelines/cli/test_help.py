"""Help is shown at once, teaches, and loads nothing that it does not need."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from pipelines.cli.root import sluice
from tests.pipelines.cli.conftest import ROOT

COMMANDS = sluice.list_commands(None)  # type: ignore[arg-type]
HEAVY = ("dagster", "pandas", "pyarrow", "duckdb", "confluent_kafka", "fastavro", "sqlglot", "rich", "httpx")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_no_help_loads_a_heavy_package(arguments: list[str]) -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nfrom pipelines.cli.root import sluice\n"
            f"try:\n    sluice({arguments!r})\nexcept SystemExit:\n    pass\n"
            f"print('loaded:', sorted(set(sys.modules) & set({HEAVY!r})))",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert told.rstrip().endswith("loaded: []"), told[-300:]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_and_says_what_the_command_never_does(name: str) -> None:
    told = CliRunner().invoke(sluice, [name, "--help"], prog_name="sluice")
    assert told.exit_code == 0
    assert f"sluice {name}" in told.output.partition("\n")[2], "an example to copy"
    promise = ("never", "changes nothing", "unless")
    assert any(word in told.output for word in promise), "what it never does"


def test_every_command_of_the_overview_exists_and_says_what_it_does() -> None:
    told = CliRunner().invoke(sluice, ["--help"]).output
    for name in COMMANDS:
        assert f"  {name} " in told


def test_a_wrong_command_names_the_nearest_and_is_a_usage_error() -> None:
    told = CliRunner().invoke(sluice, ["pubish"])
    assert told.exit_code == 2
    assert "Did you mean 'publish'?" in told.output


def test_the_projects_own_packages_win_over_strangers_of_the_same_name(tmp_path: object) -> None:
    from pathlib import Path

    stranger = Path(str(tmp_path)) / "resources"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("raise RuntimeError('a stranger was imported')\n")
    # As in the installed script: the root is on the path, but after somebody else's folder.
    script = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import importlib.util as u\n"
        f"spec = u.spec_from_file_location('pipelines', {str(ROOT / 'pipelines/__init__.py')!r}, "
        f"submodule_search_locations=[{str(ROOT / 'pipelines')!r}])\n"
        "module = u.module_from_spec(spec); sys.modules['pipelines'] = module; spec.loader.exec_module(module)\n"
        "import resources; print(resources.__file__)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)  # type: ignore[call-overload]
    assert told.stdout.strip() == str(ROOT / "resources/__init__.py"), told.stderr
