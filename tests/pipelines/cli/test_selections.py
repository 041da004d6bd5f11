"""Commands over several events: which, what is printed, and how the command ends."""

import json
from pathlib import Path

import pytest

from tests.pipelines.cli.conftest import Sluice

DAYS = "2013-01-01..2013-01-02"
DAILY = "flights/* or weather_observed"


@pytest.fixture(scope="module")
def published(sluice: Sluice) -> Sluice:
    """The two daily events of flights, with two days of each."""
    done = sluice("publish", "flights/*", DAYS, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {(row["event"], row["window"]) for row in rows} == {
        (f"flights/{name}", day)
        for name in ("carrier_day_closed", "flight_cancelled")
        for day in ("2013-01-01", "2013-01-02")
    }
    return sluice


def _events(text: str) -> set[str]:
    return {row["event"] for row in json.loads(text)}


def test_a_list_is_of_the_selected_events(sluice: Sluice) -> None:
    assert _events(sluice("list", "not flights/*", "--json").stdout) == {"weather_observed"}
    assert _events(sluice("list", "owner:team:*", "--json").stdout) == {
        "flight_cancelled", "carrier_day_closed", "weather_observed",
    }  # fmt: skip


def test_what_selects_nothing_or_is_no_selection_is_refused_by_every_command(sluice: Sluice) -> None:
    for command in (
        ["list"], ["check"], ["register"], ["status"], ["dead-letters"], ["verify"], ["redrive"], ["tail"],
        ["pause"], ["ledger", "report"], ["ledger", "adopt"],
    ):  # fmt: skip
        none = sluice(*command, "flight/*")
        assert none.returncode == 1 and "did you mean flights/*?" in none.stderr, (command, none.stderr)
    for command in (["publish"], ["plan"], ["preview"], ["check"], ["verify"]):
        wrong = sluice(*command, "flights/* an weather_observed", "2013-01-01")
        assert wrong.returncode == 1 and "character 11" in wrong.stderr, (command, wrong.stderr)
        assert "did you mean 'and'?" in wrong.stderr and "Traceback" not in wrong.stderr


def test_a_check_of_several_events_names_each(sluice: Sluice) -> None:
    seen = sluice("check", "flights/*", "2013-01", "--offline", "--json")
    assert [one["event"] for one in json.loads(seen.stdout)] == [
        "flights/carrier_day_closed",
        "flights/flight_cancelled",
    ]


def test_what_is_of_one_event_says_how_many_were_selected_and_which(sluice: Sluice) -> None:
    told = "picks 2 events, and"
    for command in (
        ["preview", "flights/*", "2013-01-01"],
        ["tail", "flights/*"],
        ["verify", "flights/*", "--topic", "elsewhere"],
        ["plan", "flights/*", "2013-01-01", "--out", "plan.json"],
        ["replay", "flights/*", "--key", "x", "--reason", "because"],
        ["replay", "flights/*", "--to", "elsewhere", "--reason", "because"],
    ):
        refused = sluice(*command)
        assert refused.returncode == 1 and told in refused.stderr, (command, refused.stderr)
        assert "flights/carrier_day_closed, flights/flight_cancelled" in refused.stderr
    one = sluice("preview", "flight_can*", "2013-01-02", "--show", "1")
    assert one.returncode == 0 and "9 source rows" in one.stdout


def test_status_and_verify_are_of_the_published_ones(published: Sluice) -> None:
    assert _events(published("status", "*closed", "--json").stdout) == {"flights/carrier_day_closed"}
    lines = published("status", "flights/* or weather_observed").stdout
    assert "flights/flight_cancelled" in lines and "Not published yet: weather/weather_observed." in lines
    seen = published("verify", "flights/*", "2013-01", "--json")
    assert seen.returncode == 0
    verdicts = [
        (one["event"], one["window"]) for one in json.loads(seen.stdout) if one["verdict"] == "agrees"
    ]
    assert ("flights/carrier_day_closed", "2013-01-01") in verdicts
    assert ("flights/flight_cancelled", "2013-01-02") in verdicts


def test_an_event_without_a_window_of_that_time_is_named_and_left_out(published: Sluice) -> None:
    for command, option in (("verify", "--json"), ("check", "--offline")):
        some = published(command, DAILY, "2013-12-31", option)
        assert "weather/weather_observed: no window overlaps 2013-12-31" in some.stderr
        assert "flights/flight_cancelled" in some.stdout and "weather/weather_observed" not in some.stdout
        none = published(command, "flights/*", "2012-01", option)
        assert none.returncode == 1 and "no window of the selected events overlaps" in none.stderr


def test_states_pick_by_the_ledger(published: Sluice) -> None:
    assert _events(published("list", "state:published", "--json").stdout) == {
        "carrier_day_closed", "flight_cancelled",
    }  # fmt: skip
    assert _events(published("list", "state:unpublished", "--json").stdout) == {"weather_observed"}
    assert "weather_observed" in _events(published("list", "state:late", "--json").stdout)
    none = published("list", "state:interrupted")
    assert none.returncode == 1 and "picks none of 3 events now" in none.stderr
    assert "flights/flight_cancelled (late, published)" in none.stderr


def test_a_plan_of_several_is_an_array_and_events_without_a_window_are_named(published: Sluice) -> None:
    plans = json.loads(published("plan", "flights/*", DAYS, "--json").stdout)
    assert [plan["event"] for plan in plans] == ["flights/carrier_day_closed", "flights/flight_cancelled"]
    assert all(window["action"] == "nothing" for plan in plans for window in plan["windows"])
    past = published("publish", DAILY, "2012-12-30")
    assert past.returncode == 0
    assert "flights/flight_cancelled: no ended window overlaps 2012-12-30" in past.stderr


def test_a_replay_of_several_leaves_out_what_was_never_published(published: Sluice) -> None:
    done = published("replay", DAILY, "2013-01-01", "--reason", "lost", "--json")
    assert done.returncode == 0, done.stderr
    assert _events(done.stdout) == {"flights/carrier_day_closed", "flights/flight_cancelled"}
    assert "weather/weather_observed" in done.stderr
    none = published("redrive", "flights/*")
    assert (none.returncode, none.stdout) == (0, "None of 2 events has dead letters.\n")


def test_the_ledgers_entries_of_a_selection_are_those_of_its_events_and_windows(published: Sluice) -> None:
    for arguments, entries in ((["flights/*"], 4), (["flights/*", "2013-01-01"], 2), (["*closed"], 2)):
        assert f"of {entries} entries" in published("ledger", "adopt", *arguments).stdout


def test_an_event_in_error_is_told_if_it_may_be_meant(sluice: Sluice, tree: Path) -> None:
    broken = tree / "assets/flights/broken.py"
    try:
        broken.write_text("this is not python\n")
        meant = sluice("check", "flights/*", "--offline")
        assert meant.returncode == 1 and "assets/flights/broken.py" in meant.stderr
        assert "flights/flight_cancelled" in meant.stdout
        other = sluice("list", "weather/*")
        assert (other.returncode, other.stderr) == (0, "")
    finally:
        broken.unlink()
