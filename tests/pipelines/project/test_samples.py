"""The sample events: loaded with the sample warehouse,
and with another one only if somebody turns them on."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines import load_catalogue
from pipelines.authoring.catalogue import UnknownEventError
from pipelines.authoring.samples import SAMPLES
from pipelines.cli.root import sluice
from pipelines.orchestration.definitions.location import load_location
from pipelines.selection.evaluation import select
from pipelines.selection.parser import parse
from resources.settings import ROOT, load_settings

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


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"SLUICE_SAMPLES": "false"}, "samples is false (SLUICE_SAMPLES)"),
        ({"SLUICE_WAREHOUSE_DEFAULT": OWN}, "warehouse.default is not the sample warehouse"),
    ],
)
def test_the_reason_is_the_setting_that_leaves_them_out(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], why: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert (
        f"8 sample events left out, because {why}. To load them"
        in CliRunner().invoke(sluice, ["list"]).output
    )
    for given, said in (
        ("flight_departed", "flights/flight_departed is a sample event"),
        ("flights/*", "'flights/*' names 5 sample events"),
    ):
        told = CliRunner().invoke(sluice, ["list", given])
        assert told.exit_code == 1
        assert f"{said}, and {why}" in " ".join(told.output.split())
        assert "to load the samples: SLUICE_SAMPLES=true" in told.output


def test_a_selection_that_picks_other_events_too_says_that_samples_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = load_catalogue()
    own = {name: event for name, event in whole.events.items() if name == "weather/weather_observed"}
    catalogue = replace(whole, events=own, samples_left_out=SAMPLES - own.keys())
    monkeypatch.setenv("SLUICE_SAMPLES", "false")
    picked = select(parse("weather/* and not month_closed*"), catalogue, lambda _: {})
    assert [event.full_name for event in picked.events] == list(own)
    assert any("1 sample event left out, because samples is false" in note for note in picked.notes), (
        picked.notes
    )
    assert not select(parse("owner:*"), catalogue, lambda _: {}).notes


@pytest.mark.parametrize(
    "form", ["duckdb://{home}/{file}", "duckdb:///{home}/{file}", "duckdb://{home}/x/../{file}"]
)
def test_the_sample_warehouse_is_known_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    url = form.format(home=tmp_path, file="sample.duckdb")
    monkeypatch.setenv("SLUICE_WAREHOUSE_DEFAULT", url)
    assert load_settings().uses_sample_warehouse
    assert set(load_catalogue().events) == SAMPLES
    monkeypatch.setenv("SLUICE_WAREHOUSE_DEFAULT", url.replace("sample.duckdb", "own.duckdb"))
    assert not load_settings().uses_sample_warehouse
