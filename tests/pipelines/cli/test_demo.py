"""`sluice demo` without any preparation, on servers that it starts itself; and a second time."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.cli.conftest import command, environment


@pytest.fixture
def home(tree: Path, tmp_path: Path) -> Iterator[Path]:
    (tree / "assets/weather/weather_observed.py").unlink(missing_ok=True)
    (tree / "assets/weather/weather_observed.avsc").unlink(missing_ok=True)
    yield tmp_path / "home"
    subprocess.run(
        command("down"), cwd=tree, env=environment(tmp_path / "home"), check=True, capture_output=True
    )


def _demo(tree: Path, home: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("demo"),
        cwd=tree,
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_first_look_and_a_second(tree: Path, home: Path) -> None:
    first = _demo(tree, home)
    assert first.returncode == 0, first.stdout + first.stderr
    row = re.search(r"flights/flight_cancelled +7 +(\d+) +(\d+) +0 ", first.stdout)
    assert row and row[1] == row[2] == "35", first.stdout
    assert '"flight_id"' in first.stdout, "events read back"
    for step in ("make ui", "sluice new", "sluice publish"):
        assert step in first.stdout
    second = _demo(tree, home)
    assert second.returncode == 0
    assert "Nothing was published" in second.stdout
    assert re.search(r"flights/flight_cancelled +7 +35 +0 +0 ", second.stdout), second.stdout


def test_it_keeps_away_from_a_kafka_of_the_users(tree: Path, home: Path) -> None:
    told = _demo(tree, home, SLUICE_KAFKA_BOOTSTRAP_SERVERS="kafka.example:9092")
    assert told.returncode == 1
    assert "publishes only to its own" in told.stderr
    assert not (home / "servers.json").exists(), "nothing was started"
