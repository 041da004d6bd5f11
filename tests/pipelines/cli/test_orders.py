"""Which runs pause, resume and cancel apply to: those of one event, of a selection, or one run by its id."""

from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from pipelines import Catalogue, load_catalogue
from pipelines.authoring.problems import DeclarationProblem
from pipelines.cli.options import events
from pipelines.cli.runs import control
from pipelines.orchestration.keys import EVENTS_TAG, key_of
from resources.errors import SluiceError


def _run(run_id: str, *events: str) -> dg.DagsterRun:
    places = [event.split("/") for event in events]
    keys = {key_of(domain, name, "published") for domain, name in places}
    return dg.DagsterRun(job_name="__ASSET_JOB", run_id=run_id, asset_selection=keys)


RUNS = [
    _run("aaaa1111", "flights/flight_departed"),
    _run("bbbb2222", "flights/flight_departed", "flights/flight_arrived"),
    _run("cccc3333", "weather/weather_observed"),
    dg.DagsterRun(
        job_name="nightly",
        run_id="dddd4444",
        tags={EVENTS_TAG: "flights/flight_cancelled,weather/month_closed"},
    ),
]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("flight_departed", ["aaaa1111", "bbbb2222"]),
        ("flights/*", ["bbbb2222", "aaaa1111", "dddd4444"]),
        ("owner:team:meteorology", ["dddd4444", "cccc3333"]),
        ("cccc", ["cccc3333"]),
        # Quotes and parentheses around one name change nothing.
        ('"flight_departed"', ["aaaa1111", "bbbb2222"]),
        ("((flights/flight_departed))", ["aaaa1111", "bbbb2222"]),
        ('("cccc")', ["cccc3333"]),
        ("flight_departed and not flight_arrived", ["aaaa1111", "bbbb2222"]),
    ],
)
def test_the_runs_that_are_meant(monkeypatch: pytest.MonkeyPatch, text: str, runs: list[str]) -> None:
    assert sorted(_ordered(monkeypatch, text)) == sorted(runs)


def test_a_selection_without_a_run_under_way_says_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SluiceError, match="aaaa1111 of flights/flight_departed"):
        _ordered(monkeypatch, "*/carrier_day_closed")


@pytest.mark.parametrize(
    ("text", "runs", "named"),
    [
        ("flights/*", ["aaaa1111", "bbbb2222", "dddd4444"], False),
        # No event of this selection loads.
        ("flights/flight_dep* or flight_dep*", ["aaaa1111", "bbbb2222"], False),
        # The owner of an event that does not load is not known.
        ("owner:team:meteorology", ["cccc3333", "dddd4444"], True),
    ],
)
def test_runs_of_events_that_do_not_load_are_meant_too_and_the_exit_code_is_1(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    runs: list[str],
    named: bool,
) -> None:
    _without(monkeypatch, "flights/flight_departed")
    given: list[str] = []
    with pytest.raises(SystemExit) as ended:
        _ordered(monkeypatch, text, given)
    assert ended.value.code == 1 and sorted(given) == runs
    told = capsys.readouterr().err
    assert "its key is wrong" in told
    assert ("sluice pause flights/flight_departed" in told) == named


def _without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The catalogue in which the event of this name does not load."""
    whole = load_catalogue()
    problem = DeclarationProblem("assets/flights/flight_departed.py", None, "its key is wrong")
    healthy = Catalogue(
        {one.full_name: one for one in whole if one.full_name != name},
        whole.assets_root,
        refused={name: (problem,)},
    )
    monkeypatch.setattr(events, "loaded_events", lambda: healthy)


def _ordered(monkeypatch: pytest.MonkeyPatch, text: str, given: list[str] | None = None) -> list[str]:
    given = [] if given is None else given
    eyes = SimpleNamespace(end=lambda _: None, why_lost=lambda _instance, _run: None)
    doubles: dict[str, Any] = {
        "say_destination": lambda _: None,
        "dagster_instance": lambda _: None,
        "LostRuns": lambda: eyes,
        "under_way": lambda _: RUNS,
        "give": lambda _instance, run, _order, _by: given.append(run.run_id),
        "_outcome": lambda *_: "is asked to pause.",
    }
    for name, double in doubles.items():
        monkeypatch.setattr(control, name, double)
    control.order_runs(text, "pause")
    return given
