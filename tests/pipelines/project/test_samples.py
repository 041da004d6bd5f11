"""The sample events: loaded with the sample warehouse,
and with another one only if somebody turns them on."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines import load_catalogue
from pipelines.authoring.catalogue import UnknownEventError
from pipelines.authoring.samples import SAMPLES
from pipelines.cli.root import sluice
from pipelines.orchestration.definitions.location import load_location
from resources.settings import ROOT

OWN = "duckdb:///nowhere/own.duckdb"


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))


def test_the_samples_are_the_events_of_this_tree() -> None:
    assert {f"{path.parent.name}/{path.stem}" for path in (ROOT / "assets").glob("*/[a-z]*.py")} == SAMPLES


def test_over_the_sample_warehouse_they_are_loaded() -> None:
    assert set(load_catalogue().events) == SAMPLES


def test_over_a_warehouse_of_ones_own_they_are_neither_checked_nor_tested_nor_scheduled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLUICE_WAREHOUSE_DEFAULT", OWN)
    assert len(load_catalogue()) == 0  # tests/test_every_event.py uses this catalogue
    told = CliRunner().invoke(sluice, ["check", "--offline"])
    assert told.exit_code == 0, told.output
    assert "8 sample events left out" in told.output and "flight_departed" not in told.output
    location = load_location()
    assert not list(location.schedules or []) and not list(location.assets or [])
    with pytest.raises(UnknownEventError, match=r"is a sample event.*SLUICE_SAMPLES=true"):
        load_catalogue().find("flight_departed")


def test_whoever_asks_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_WAREHOUSE_DEFAULT", OWN)
    monkeypatch.setenv("SLUICE_SAMPLES", "true")
    assert set(load_catalogue().events) == SAMPLES
    monkeypatch.delenv("SLUICE_WAREHOUSE_DEFAULT")
    monkeypatch.setenv("SLUICE_SAMPLES", "false")
    assert len(load_catalogue()) == 0
