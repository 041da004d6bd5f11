"""Dead letters from a terminal: listed, counted, and redriven after a fix."""

import json
from pathlib import Path

from tests.pipelines.cli.conftest import Sluice

EVENT = "flights/flight_cancelled"
WINDOW = "2013-01-02"
BROKEN = """    return rows.assign(destination=rows["destination"].where(rows["destination"] != rows["destination"].iloc[0], None))
"""


def broken(tree: Path, body: str) -> None:
    """Give flight_cancelled a transform with this body."""
    module = tree / "assets/flights/flight_cancelled.py"
    text = module.read_text()
    start = text.rindex("    return rows")
    module.write_text(text[:start] + body)


def test_dead_letters_from_none_to_redriven(sluice: Sluice, tree: Path) -> None:
    none = sluice("dead-letters")
    assert (none.returncode, none.stdout) == (0, "There are no dead letters.\n")
    assert "has no dead letters" in sluice("redrive", "flight_cancelled").stdout
    assert "has no dead letters" in sluice("plan", "flight_cancelled", "--redrive").stdout

    whole = (tree / "assets/flights/flight_cancelled.py").read_text()
    broken(tree, BROKEN)
    blocked = sluice("publish", "flight_cancelled", f"{WINDOW}..2013-01-03")
    assert blocked.returncode == 1
    assert "or redrive it" in blocked.stderr

    found = json.loads(sluice("dead-letters", "--json").stdout)
    assert [(one["event"], one["window"], one["state"]) for one in found] == [
        (EVENT, WINDOW, "blocked"),
        (EVENT, "2013-01-03", "blocked"),
    ]
    dead = found[0]["dead"]
    assert found[0]["reasons"] == {"null": dead} and found[0]["rows_in"] == 9
    told = sluice("dead-letters")
    assert told.returncode == 0
    assert EVENT in told.stdout and f"null {sum(one['dead'] for one in found)}" in told.stdout
    assert f"{WINDOW}  blocked" in sluice("dead-letters", "flight_cancelled").stdout
    letters = sluice("dead-letters", "flight_cancelled", WINDOW)
    assert f"{WINDOW}: {dead} of 9 rows, blocked: null {dead}" in letters.stdout
    assert "destination" in letters.stdout and f"sluice redrive {EVENT} {WINDOW}" in letters.stdout
    (one,) = json.loads(sluice("dead-letters", "flight_cancelled", WINDOW, "--json").stdout)
    assert {(row["field"], row["reason"], row["window"]) for row in one["letters"]} == {
        ("destination", "null", WINDOW)
    }
    assert all(json.loads(row["row"])["flight_id"] for row in one["letters"])

    again = sluice("redrive", "flight_cancelled")
    assert again.returncode == 1 and "nothing new to try" in again.stderr
    assert "--force" in again.stderr and "Traceback" not in again.stderr

    (tree / "assets/flights/flight_cancelled.py").write_text(whole)
    done = sluice("redrive", "flight_cancelled", "--reason", "destinations are known", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["window"], row["action"], row["dead"]) for row in rows] == [
        (WINDOW, "backfill", 0),
        ("2013-01-03", "backfill", 0),
    ]
    assert rows[0]["published"] == 9
    assert sluice("dead-letters").stdout == "There are no dead letters.\n"
    assert sluice("verify", "flight_cancelled").returncode == 0
    publish = sluice("publish", "flight_cancelled", f"{WINDOW}..2013-01-03", "--json")
    assert [row["action"] for row in json.loads(publish.stdout)] == ["nothing", "nothing"]
