"""An event that moves to a team's repository keeps its code version and its place in the ledger: nothing is published again."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines import load_catalogue
from pipelines.project.start import start_project
from tests.pipelines.cli.conftest import ROOT, Sluice, command

pytestmark = pytest.mark.slow

EVENT = "flights/flight_cancelled"


def test_moving_an_event_publishes_nothing_again(
    sluice: Sluice, tree: Path, servers: dict[str, str], tmp_path: Path
) -> None:
    first = sluice("publish", EVENT, "2013-01-01..2013-01-03")
    assert "events published" in first.stdout, first.stderr

    project = tmp_path / "team"
    start_project(project)
    (project / "assets" / "flights").mkdir()
    for suffix in (".py", ".avsc"):
        place = Path("assets") / f"{EVENT}{suffix}"
        shutil.move(tree / place, project / place)
    (project / "sluice.toml").write_text(f'snapshots = "{servers["SLUICE_HOME"]}/snapshots"\n')

    environ = {name: value for name, value in servers.items() if name not in ("SLUICE_HOME", "DAGSTER_HOME")}
    moved = subprocess.run(
        command("publish", EVENT, "2013-01-01..2013-01-03"),
        cwd=project / "assets",
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "Nothing was published: every event was on its topic already" in moved.stdout, (
        moved.stdout + moved.stderr
    )
    assert (project / ".sluice").is_dir()

    before, after = (load_catalogue(folder / "assets").find(EVENT) for folder in (ROOT, project))
    assert before.code_version == after.code_version
