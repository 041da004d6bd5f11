"""The commands as a user runs them, one after the other, against a broker and a registry."""

import json
import re
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.pipelines.cli.conftest import Sluice, command

ANSI = "\x1b["
WEEK = "2013-01-01..2013-01-03"


def _table(output: str) -> dict[str, list[str]]:
    """Rows of a printed table by their first cell."""
    return {
        cells[0]: cells[1:] for line in output.splitlines() if (cells := re.split(r"\s{2,}", line.strip()))
    }


def test_the_way_of_an_event_from_check_to_tail(sluice: Sluice) -> None:
    listed = json.loads(sluice("list", "--json").stdout)
    assert {row["event"] for row in listed} == {"flight_cancelled", "carrier_day_closed", "weather_observed"}

    checked = sluice("check", "flight_cancelled")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.search(r"\d+ checks: \d+ ok", checked.stdout) and "FAIL" not in checked.stdout

    nothing = sluice("status")
    assert (nothing.returncode, nothing.stderr) == (0, "")
    assert "Nothing has been published" in nothing.stdout

    seen = sluice("preview", "flight_cancelled", "2013-01-02", "--show", "1")
    assert seen.returncode == 0, seen.stderr
    assert "9 source rows, all of the window" in seen.stdout
    assert "schema id 0" in seen.stdout and "not registered" in seen.stdout
    assert "Nothing has been published" in sluice("status").stdout, "a preview leaves no trace"
    assert sluice("tail", "flight_cancelled").returncode == 1, "a preview makes no topic"

    registered = sluice("register", "flight_cancelled")
    assert registered.returncode == 0 and "registered" in registered.stdout
    assert "already there" in sluice("register", "flight_cancelled").stdout

    first = sluice("publish", "flight_cancelled", WEEK)
    assert first.returncode == 0, first.stderr
    assert _table(first.stdout)["total"][:4] == ["22", "22", "0", "0"]
    assert "2013-01-02: backfill: 9 published" in first.stderr, "progress, window by window"

    again = sluice("publish", "flight_cancelled", WEEK)
    assert _table(again.stdout)["total"][:4] == ["22", "0", "22", "0"]
    assert "Nothing was published" in again.stdout

    status = sluice("status", "flight_cancelled")
    assert _table(status.stdout)["2013-01-02"][:4] == ["published", "9", "9", "1"]
    entries = json.loads(sluice("status", "--json").stdout)
    assert sum(entry["rows_done"] for entry in entries) == 22

    every = [
        json.loads(line)
        for line in sluice("tail", "flight_cancelled", "--from-beginning", "--json").stdout.splitlines()
    ]
    assert len(every) == len({record["key"] for record in every}) == 22
    last = sluice("tail", "flight_cancelled", "-n", "2").stdout.splitlines()
    newest = sorted(
        (record["timestamp"], record["kafka_partition"], record["offset"], record["key"]) for record in every
    )
    assert [line.split("  ")[1] for line in last] == [key for *_, key in newest[-2:]]


def test_all_publishes_the_windows_of_every_event_that_overlap(sluice: Sluice) -> None:
    done = sluice("publish", "--all", "2013-02-01-05:00..2013-02-01-06:00", "--json")
    assert done.returncode == 0, done.stderr
    windows = {(row["event"], row["window"]) for row in json.loads(done.stdout)}
    assert windows == {
        ("flights/carrier_day_closed", "2013-02-01"),
        ("flights/flight_cancelled", "2013-02-01"),
        ("weather/weather_observed", "2013-02-01-05:00"),
        ("weather/weather_observed", "2013-02-01-06:00"),
    }


def test_a_window_with_dead_letters_fails_by_name_and_the_others_stand(sluice: Sluice, tree: Path) -> None:
    name = "flight_refused"
    module = (tree / "assets/flights/flight_cancelled.py").read_text()
    module = module.replace("flight_cancelled", name).replace("flight-cancelled", "flight-refused")
    # One null although the contract requires a value, only on the first day.
    nulled = (
        "            nullif(carrier, if(flight = 1925 AND month = 1 AND day = 1, carrier, '')) AS carrier,\n"
    )
    assert "            carrier,\n" in module
    module = module.replace("            carrier,\n", nulled, 1)
    try:
        (tree / f"assets/flights/{name}.py").write_text(module)
        (tree / f"assets/flights/{name}.avsc").write_text(
            (tree / "assets/flights/flight_cancelled.avsc").read_text()
        )
        seen = sluice("preview", name, "2013-01-01")
        assert "1 of 3 rows do not fit the contract (null 1)" in seen.stdout, seen.stdout + seen.stderr
        done = sluice("publish", name, WEEK)
        assert done.returncode == 1
        table = _table(done.stdout)
        assert table["2013-01-01"][0] == "blocked"
        assert table["2013-01-02"][:3] == ["backfill", "9", "9"]
        assert f"flights/{name}: not published: 2013-01-01" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        for suffix in ("py", "avsc"):
            (tree / f"assets/flights/{name}.{suffix}").unlink(missing_ok=True)


def test_a_broken_module_is_named_and_leaves_the_others_usable(sluice: Sluice, tree: Path) -> None:
    broken = tree / "assets/flights/broken.py"
    try:
        broken.write_text("this is not python\n")
        listed = sluice("list")
        assert listed.returncode == 1
        assert "assets/flights/broken.py" in listed.stderr and "Traceback" not in listed.stderr
        assert "flight_cancelled" in listed.stdout
        assert sluice("check", "flight_cancelled", "--offline").returncode == 0
        asked = sluice("check", "broken")
        assert asked.returncode == 1 and "assets/flights/broken.py" in asked.stderr
    finally:
        broken.unlink()


@pytest.mark.parametrize(
    ("written", "instead", "named"),
    [("tailnum  ", "tail_no", "tail_no"), ("flight  ", "carrier ", "flight_number")],
    ids=["a column the warehouse has not", "a type the contract has not"],
)
def test_a_check_tries_the_query_in_the_warehouse(
    sluice: Sluice, tree: Path, written: str, instead: str, named: str
) -> None:
    module = tree / "assets/flights/flight_cancelled.py"
    before = module.read_text()
    try:
        module.write_text(before.replace(f"            {written}", f"            {instead} "))
        checked = sluice("check", "flight_cancelled", "--offline")
        assert checked.returncode == 1
        assert "FAIL  query" in checked.stdout and named in checked.stdout, checked.stdout + checked.stderr
    finally:
        module.write_text(before)


def test_a_contract_that_breaks_its_consumers_is_refused(sluice: Sluice, tree: Path) -> None:
    assert sluice("register", "carrier_day_closed").returncode == 0
    contract = tree / "assets/flights/carrier_day_closed.avsc"
    before = contract.read_text()
    try:
        schema = json.loads(before)
        next(field for field in schema["fields"] if field["name"] == "scheduled")["type"] = "string"
        contract.write_text(json.dumps(schema))
        checked = sluice("check", "carrier_day_closed")
        assert checked.returncode == 1 and "FAIL  compatibility" in checked.stdout
        refused = sluice("register", "carrier_day_closed")
        assert refused.returncode == 1 and "is not compatible" in refused.stdout
    finally:
        contract.write_text(before)


def test_a_draft_passes_its_check_and_is_never_written_over(sluice: Sluice, tree: Path) -> None:
    made = sluice("new", "hour_measured", "--domain", "skies", "--table", "weather", "--windows", "hourly")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "key         origin" in made.stdout and "from 2013-01-01-06:00" in made.stdout
    module = tree / "assets/skies/hour_measured.py"
    text = module.read_text()
    assert sluice("check", "hour_measured").returncode == 0
    assert "3 source rows" in sluice("preview", "hour_measured", "2013-01-01-06:00").stdout
    twice = sluice("new", "skies/hour_measured", "--table", "weather")
    assert twice.returncode == 1 and "nothing is overwritten" in twice.stderr
    assert module.read_text() == text
    wrong = sluice("new", "hour_missed", "--domain", "skies", "--table", "weather", "--owner", "bob")
    assert wrong.returncode == 1 and "owner='bob'" in wrong.stderr
    assert not (tree / "assets/skies/hour_missed.py").exists(), "nothing is left behind"
    for path in (tree / "assets/skies").glob("*.*"):
        path.unlink()


def test_ctrl_c_tells_what_stands_and_the_next_run_goes_on(
    sluice: Sluice, tree: Path, servers: dict[str, str]
) -> None:
    process = subprocess.Popen(
        # Each window takes a second and a half,
        # so the command is at work when the signal comes, however late that is.
        command("publish", "weather_observed", "2013-03-01", "--max-rows-per-second", "2"), cwd=tree, env=servers,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "2013-03-01-02:00: backfill" in line:
            break
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 130, told
    stopped = re.search(r"Stopped\. (\d+) of 24 windows are complete", told)
    assert stopped, told
    assert "Next: sluice publish weather_observed 2013-03-01" in told and "Traceback" not in told
    # The window of the printed line may not have been recorded yet.
    assert 2 <= int(stopped[1]) < 24

    rest = sluice("publish", "weather_observed", "2013-03-01")
    assert rest.returncode == 0, rest.stderr
    entries = [
        e
        for e in json.loads(sluice("status", "weather_observed", "--json").stdout)
        if e["window"] >= "2013-03"
    ]
    assert len(entries) == 24 and all(entry["status"] == "published" for entry in entries)
    records = sluice("tail", "weather_observed", "--from-beginning", "--json").stdout.splitlines()
    seen = [(r["key"], r["value"]["observed_at"]) for r in map(json.loads, records)]
    march = [one for one in seen if one[1].startswith("2013-03-01")]
    assert len(march) == len(set(march)) == sum(entry["rows_total"] for entry in entries)


def test_follow_prints_events_as_they_are_committed(
    sluice: Sluice, tree: Path, servers: dict[str, str]
) -> None:
    assert sluice("publish", "flight_cancelled", "2013-04-01").returncode == 0
    process = subprocess.Popen(
        command("tail", "flight_cancelled", "-n", "0", "--follow", "--json"), cwd=tree, env=servers, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        # Nothing shows when it has read the end of the topic:
        # windows are published until it prints one of them.
        for day in range(2, 31):
            done = sluice("publish", "flight_cancelled", f"2013-04-{day:02}")
            assert done.returncode == 0 and process.poll() is None, done.stderr
            if select.select([process.stdout], [], [], 1)[0]:
                break
        first = json.loads(process.stdout.readline())
        assert "2013-04-02" <= first["value"]["scheduled_at"][:10] <= f"2013-04-{day:02}"
    finally:
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=120)[1]
    assert "Stopped after" in told and process.returncode == 130


def test_doctor_reaches_everything_and_prints_no_secret(sluice: Sluice) -> None:
    told = sluice("doctor", SLUICE_REGISTRY_BASIC_AUTH_USER_INFO="me:hunter2")
    assert told.returncode == 0, told.stdout
    assert "hunter2" not in told.stdout + told.stderr
    for name in ("Kafka", "ledger", "registry", "warehouse default", "snapshots", "disk"):
        assert re.search(rf"ok\s+{name}", told.stdout), told.stdout


def test_doctor_names_each_thing_that_is_away(sluice: Sluice) -> None:
    told = sluice(
        "doctor", SLUICE_REGISTRY_URL="http://127.0.0.1:1", SLUICE_WAREHOUSE_DEFAULT="duckdb:///nowhere/x.duckdb",
        SLUICE_REGISTRY_MAX_RETRIES="0",
    )  # fmt: skip
    assert told.returncode == 1
    assert "FAIL  registry" in told.stdout and "FAIL  warehouse default" in told.stdout
    assert re.search(r"ok\s+Kafka", told.stdout), "one thing away does not hide the others"
    assert "Traceback" not in told.stdout + told.stderr


def test_output_in_a_pipe_holds_no_escape_sequences(sluice: Sluice) -> None:
    for arguments in (["list"], ["status"], ["--help"], ["publish", "nothing", "2013"]):
        told = sluice(*arguments)
        assert ANSI not in told.stdout + told.stderr
