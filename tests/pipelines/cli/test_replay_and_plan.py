"""`replay` and `plan` as an operator runs them, against a broker and a registry."""

import json
from pathlib import Path

import pytest

from tests.pipelines.cli.conftest import Sluice

DAY = "2013-01-02"
WINDOWS = "2013-01-01..2013-01-03"


@pytest.fixture(scope="module")
def published(sluice: Sluice) -> Sluice:
    done = sluice("publish", "flight_cancelled", WINDOWS)
    assert done.returncode == 0, done.stderr
    return sluice


def records(sluice: Sluice, *arguments: str) -> list[dict[str, object]]:
    told = sluice("tail", "flight_cancelled", "--from-beginning", "--json", *arguments)
    assert told.returncode == 0, told.stderr
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_a_replay_of_some_keys_is_marked_and_recorded(published: Sluice, tmp_path: Path) -> None:
    before = records(published)
    keys = sorted(str(record["key"]) for record in before)[:2]
    (tmp_path / "keys.txt").write_text("\n".join(keys) + "\n")
    done = published(
        "replay", "flight_cancelled", "--keys", str(tmp_path / "keys.txt"), "--reason", "billing lost them", "--by", "anna"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 events published" in done.stdout
    again = [r for r in records(published) if "sluice_kind" in r["headers"]]
    assert sorted(str(record["key"]) for record in again) == keys
    assert {record["headers"]["sluice_reason"] for record in again} == {"billing lost them"}  # type: ignore[index]
    entries = json.loads(published("status", "flight_cancelled", "--json").stdout)
    replayed = [entry for entry in entries if entry["kind"] == "replay"]
    assert sum(entry["rows_done"] for entry in replayed) == 2
    for entry in replayed:
        assert (entry["requested_by"], entry["reason"]) == ("anna", "billing lost them")
        assert entry["selection"].startswith("2 keys: ")
    assert published("verify", "flight_cancelled", WINDOWS).returncode == 0
    assert "Nothing was published" in published("publish", "flight_cancelled", WINDOWS).stdout


def test_keys_that_are_in_no_window_are_named_and_nothing_is_replayed(
    published: Sluice, tmp_path: Path
) -> None:
    before = records(published)
    key = str(before[0]["key"])
    (tmp_path / "keys.txt").write_text(f"{key}\n{key} \nnobody\n")
    asked = ("flight_cancelled", "--keys", str(tmp_path / "keys.txt"), "--reason", "x")
    told = f"2 of 3 keys are in none of these windows: '{key} ', 'nobody'"

    done = published("replay", *asked)
    assert done.returncode == 1
    assert done.stdout.strip() == f"Nothing was replayed: {told}."
    assert "add --matching-only" in done.stderr and "Traceback" not in done.stderr
    as_json = published("replay", *asked, "--json")
    assert as_json.returncode == 1
    rows = json.loads(as_json.stdout)
    assert {row["action"] for row in rows} == {"refused"}
    assert rows[0]["unmatched_keys"]["first"] == [f"{key} ", "nobody"]
    assert (
        published(
            "replay", "flight_cancelled", "--key", "nobody", "--reason", "x", "--matching-only"
        ).returncode
        == 1
    )
    assert len(records(published)) == len(before)

    planned = published("plan", *asked, "--replay", "--out", str(tmp_path / "plan.json"))
    assert planned.returncode == 1 and f"{told}." in planned.stdout
    assert json.loads((tmp_path / "plan.json").read_text())["unmatched_keys"]["count"] == 2
    applied = published("plan", "--apply", str(tmp_path / "plan.json"))
    assert applied.returncode == 1 and "2 of its 3 keys are in none of its windows" in applied.stderr
    fresh = published("plan", *asked, "--replay", "--fresh")
    assert fresh.returncode == 1 and f"{told}." in fresh.stdout

    done = published("replay", *asked, "--matching-only")
    assert done.returncode == 0, done.stderr
    assert "1 event published" in done.stdout and f" {told}." in done.stdout
    planned = published("plan", *asked, "--replay", "--matching-only", "--out", str(tmp_path / "plan.json"))
    assert planned.returncode == 0, planned.stderr
    assert published("plan", "--apply", str(tmp_path / "plan.json")).returncode == 0
    assert len(records(published)) == len(before) + 2


def test_windows_with_a_gap_are_one_selection(published: Sluice) -> None:
    """Dagster publishes them with several runs, none of which has every key."""
    assert published("publish", "flight_cancelled", "2013-01-07").returncode == 0
    keys = [str(record["key"]) for record in records(published)]
    first = next(key for key in keys if key.startswith("2013-01-01"))
    last = next(key for key in keys if key.startswith("2013-01-07"))
    for how in ((), ("--fresh",), ("--fresh", "--to", "gap.v1"), ("--to", "gap.v1")):
        asked = ("replay", "flight_cancelled", "--key", first, "--key", last, "--reason", "x", *how)
        done = published(*asked)
        assert done.returncode == 0, done.stderr
        assert "2 events published" in done.stdout
        done = published(*asked, "--key", "nobody")
        assert done.returncode == 1
        assert "1 of 3 keys is in none of these windows: 'nobody'." in done.stdout
        assert ("2 events published" in done.stdout) == ("--fresh" in how)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("flight_cancelled", DAY), "a replay needs a reason"),
        (("flight_cancelled", DAY, "--matching-only", "--reason", "x"), "--matching-only is about keys"),
        (("flight_cancelled", "2013-03", "--reason", "x"), "has no published window"),
        (("flight_cancelled", "--from", "soon", "--reason", "x"), "'soon' is no instant"),
        (("flight_cancelled", "--keys", "no-such-file", "--reason", "x"), "cannot be read"),
        (("flight_cancelled", "--to", "flights.carrier-day-closed.v1", "--reason", "x"), "is the topic of"),
        (("flight_cancelled", "--to", "flights.flight-cancelled.v1", "--reason", "x"), "is the topic of"),
        (
            ("flight_cancelled", "--from", "2013-01-02", "--until", "2013-01-01", "--reason", "x"),
            "ends before it begins",
        ),
    ],
)
def test_a_replay_that_cannot_be(published: Sluice, arguments: tuple[str, ...], problem: str) -> None:
    done = published("replay", *arguments)
    assert done.returncode != 0
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_windows_that_were_never_published_are_left_out(published: Sluice) -> None:
    done = published(
        "replay", "flight_cancelled", "2013-01-03..2013-01-05", "--reason", "x", "--to", "shadow.v1"
    )
    assert done.returncode == 0, done.stderr
    assert "left out, since never published: 2 of 3 windows" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plan_is_made_applied_and_then_has_nothing_to_do(published: Sluice, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    planned = published("plan", "flight_cancelled", "2013-01-03..2013-01-04", "--out", str(file))
    assert planned.returncode == 0, planned.stderr
    assert "unchanged since generation" in planned.stdout and "never published before" in planned.stdout
    assert f"Next: sluice plan --apply {file}" in planned.stdout
    assert not [e for e in json.loads(published("status", "--json").stdout) if e["window"] == "2013-01-04"]

    plan = json.loads(file.read_text())
    (new,) = [window for window in plan["windows"] if window["action"] == "backfill"]
    applied = published("plan", "--apply", str(file), "--json")
    assert applied.returncode == 0, applied.stderr
    outcome = {row["window"]: row["published"] for row in json.loads(applied.stdout)}
    assert outcome == {"2013-01-03": 0, "2013-01-04": new["records"]}
    assert "Nothing was published" in published("plan", "--apply", str(file)).stdout

    plan["windows"][0]["expected"]["snapshot"] = "0" * 64
    plan["windows"][0]["window"] = "2013-01-05"
    plan["windows"] = plan["windows"][:1]
    file.write_text(json.dumps(plan))
    outdated = published("plan", "--apply", str(file))
    assert outdated.returncode == 1
    assert "its rows have changed since the plan" in outdated.stderr
    assert "Traceback" not in outdated.stderr


def test_a_plan_of_a_replay_counts_it(published: Sluice) -> None:
    planned = published("plan", "flight_cancelled", DAY, "--replay", "--reason", "x", "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["stages"] == ["published"]
    assert [(window["action"], window["records"]) for window in plan["windows"]] == [("replay", 9)]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "name an event and its windows"),
        (("flight_cancelled", DAY, "--key", "k"), "add --replay"),
        (("flight_cancelled", DAY, "--replay"), "a replay needs a reason"),
        (("--apply", "no-such-plan"), "cannot be read"),
        (("flight_cancelled", "--apply", "plan"), "the plan says it all"),
    ],
)
def test_a_plan_that_cannot_be(sluice: Sluice, arguments: tuple[str, ...], problem: str) -> None:
    done = sluice("plan", *arguments)
    assert done.returncode != 0
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_plan(sluice: Sluice, tmp_path: Path) -> None:
    no_plan = "is no plan that this version understands: "
    for text, told in (
        ("", "line 1, column 1 is not JSON, the text ends there"),
        ("{}", f"{no_plan}it has no entry 'sluice_plan'"),
        ('{"sluice_plan": 9}', f"{no_plan}written by another version"),
        ('{"sluice_plan": 1, "windows": 3}', f"{no_plan}its entry 'windows' is no list"),
    ):
        (tmp_path / "plan.json").write_text(text)
        done = sluice("plan", "--apply", str(tmp_path / "plan.json"))
        assert done.returncode == 1
        assert told in done.stderr
