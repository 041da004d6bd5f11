"""A window for which nothing is sent: the reason, in every command and in the words for each window."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.cli.output.nothing_sent import Silent, besides, nothing_because
from pipelines.cli.runs.report import _sent
from pipelines.publishing.result import Outcome, PublishResult  # type: ignore[attr-defined]
from pipelines.run_events import done_told
from tests.matrix import one_of

if TYPE_CHECKING:
    from tests.pipelines.cli.conftest import Sluice

NONE, ALREADY = Silent("no_rows"), Silent("unchanged")


@pytest.mark.parametrize(
    ("windows", "told"),
    [
        ([NONE], "the window has no rows"),
        ([NONE] * 3, "3 windows have no rows"),
        ([ALREADY], "every event was on its topic already"),
        ([ALREADY] * 2, "every event was on its topic already"),
        ([NONE, ALREADY, NONE, NONE, ALREADY], "3 windows have no rows; 2 were on their topics already"),
        ([NONE, ALREADY], "1 window has no rows; 1 was on its topic already"),
        ([Silent("no_events")], "the window has rows, but none became an event"),
        ([Silent("gone")], "the window lost events, and sends no tombstones for them"),
        ([Silent("stale", 1)], "1 record was left out as stale: its key has a newer value on the topic"),
        (
            [Silent("stale", 2), NONE],
            "1 window has no rows; 2 records were left out as stale: their keys have newer values on the topic",
        ),
        ([Silent("not_selected")] * 2, "2 windows have no event that is selected"),
        ([Silent("not_repaired")], "the window has no dead letter that fits now"),
        ([], "there was no window"),
    ],
)
def test_why_nothing_is_sent(windows: list[Silent], told: str) -> None:
    assert nothing_because(windows) == told


def test_what_is_said_besides_what_was_sent() -> None:
    assert besides([]) == ""
    assert besides([NONE, NONE, ALREADY]) == "; 2 windows have no rows; 1 was on its topic already"
    assert besides([Silent("published", 2)]) == (
        "; 2 records were left out as stale: their keys have newer values on the topic"
    )


@pytest.mark.parametrize(
    ("counts", "outcome", "told"),
    [
        ({"rows_read": 3, "published": 3}, "published", "3 published, 0 skipped"),
        ({"rows_read": 0, "rows_sourced": 0}, "no_rows", "the window has no rows"),
        ({"rows_read": 0, "rows_sourced": 7}, "no_events", "none of its 7 rows became an event"),
        ({"rows_read": 0, "rows_sourced": 0, "nothing": "not_selected"}, "no_rows", "the window has no rows"),
        ({"rows_read": 3, "skipped": 3}, "unchanged", "0 published, 3 skipped"),
        ({"rows_read": 3, "skipped": 3, "stale": 1}, "stale", "0 published, 3 skipped, 1 left out as stale"),
        (
            {"rows_read": 3, "published": 2, "tombstones": 1, "skipped": 2},
            "published",
            "2 published (1 tombstone), 2 skipped",
        ),
        # A tombstone is not a row.
        (
            {"rows_read": 0, "gone": 1, "stale": 1, "rows_sourced": 0},
            "stale",
            "0 published, 0 skipped, 1 left out as stale",
        ),
        ({"rows_read": 0, "gone": 2, "rows_sourced": 0}, "gone", "0 published, 0 skipped"),
        ({"rows_read": 0, "nothing": "not_selected"}, "not_selected", "0 published, 0 skipped"),
    ],
)
def test_what_became_of_a_window(counts: dict[str, int], outcome: Outcome, told: str) -> None:
    result = PublishResult("correct", "why", 2, "ab", 1, **counts)  # type: ignore[arg-type]
    assert (result.outcome, done_told(result.done("w"))) == (outcome, f"correct: {told} (why)")


@pytest.mark.parametrize(
    ("records", "tombstones", "told"),
    [
        (0, 0, "0 events"),
        (1, 0, "1 event"),
        (1, 1, "1 tombstone"),
        (4, 2, "2 events and 2 tombstones"),
        (2, 1, "1 event and 1 tombstone"),
    ],
)
def test_a_tombstone_is_not_called_an_event(records: int, tombstones: int, told: str) -> None:
    assert _sent(records, tombstones) == told


MODULE = '''"""Something happened."""

import pandas as pd

from pipelines import daily, event


@event(
    topic="flights.{name}.v1",
    key="id",
    event_time="happened_at",
    windows=daily("2024-01-01", "2024-01-08"),
    owner="team:probe",
    {more}
    source="""
        SELECT id, happened_at, n
        FROM (VALUES ('a', TIMESTAMPTZ '2024-01-01 12:00:00+00', 1), ('b', TIMESTAMPTZ '2024-01-02 12:00:00+00', NULL),
            ('c', TIMESTAMPTZ '2024-01-03 12:00:00+00', 3)) AS made(id, happened_at, n)
        WHERE happened_at >= :window_start AND happened_at < :window_end
    """,
)
def {name}(rows: pd.DataFrame) -> pd.DataFrame:
    return {returns}
'''
CONTRACT = json.dumps(
    {
        "type": "record", "name": "Happened", "doc": "It happened.",
        "fields": [
            {"name": "id", "type": "string", "doc": "Key."},
            {"name": "happened_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When."},
            {"name": "n", "type": "int", "doc": "A number."},
        ],
    }
)  # fmt: skip


@pytest.fixture(scope="module", params=one_of("", "erp"), ids=["duckdb", "postgresql"])
def warehouse(request: pytest.FixtureRequest) -> dict[str, str]:
    """The setting of a second warehouse beside the sample's, or none."""
    if not request.param:
        return {}
    return {"SLUICE_WAREHOUSE_ERP": request.getfixturevalue("postgres").new_database()}


@pytest.fixture
def sluice(sluice: "Sluice", warehouse: dict[str, str]) -> "Sluice":
    """The command line with the warehouse."""
    return lambda *arguments: sluice(*arguments, **warehouse)


@pytest.fixture(scope="module")
def happened(tree: Path, warehouse: dict[str, str]) -> str:
    """An event with a row on the first three days of seven; the second day's row does not fit the contract.
    Beside it another event, whose transform leaves all rows out."""
    folder = tree / "assets" / "flights"
    more, last = ('warehouse="erp",', "_erp") if warehouse else ("", "")
    for name, returns in (
        (f"happened{last}", "rows"),
        (f"left_out{last}", 'rows[rows["n"].fillna(0) > 100]'),
    ):
        (folder / f"{name}.py").write_text(MODULE.format(name=name, more=more, returns=returns))
        (folder / f"{name}.avsc").write_text(CONTRACT)
    return f"happened{last}"


def _said(told: "object") -> str:
    return f"{getattr(told, 'stdout', '')}\n{getattr(told, 'stderr', '')}"


def test_a_window_without_rows_is_called_that_by_every_command(sluice: "Sluice", happened: str) -> None:
    window = "2024-01-05"
    for arguments, told in (
        (["plan", happened, window], "Nothing would be published: the window has no rows."),
        (["preview", happened, window], "the window has no rows"),
        (["publish", happened, window], "Nothing was published: the window has no rows."),
        (["publish", happened, window], "Nothing was published: the window has no rows."),
        (["plan", happened, window], "unchanged since generation 1; the window has no rows"),
        (["replay", happened, window, "--reason", "x"], "Nothing was replayed: the window has no rows."),
        (["redrive", happened, window], "Nothing was redriven: the window has no rows."),
        (["verify", happened], "no rows"),
        (["status", happened], "no rows"),
        (["check", happened, window], f"window {window} has no rows"),
        (["dead-letters", happened, window], "the window has no rows"),
    ):
        done = sluice(*arguments)
        assert done.returncode == 0, _said(done)
        assert told in _said(done), _said(done)
        assert "already" not in _said(done) and "every row" not in _said(done), _said(done)
    assert "sluice publish" not in sluice("preview", happened, window).stdout
    unread = sluice("dead-letters", happened, "2024-01-06").stdout
    assert (
        unread
        == f"There are no dead letters of flights/{happened} 2024-01-06: the window was not read yet.\n"
    )
    assert json.loads(sluice("publish", happened, window, "--json").stdout)[0]["outcome"] == "no_rows"
    assert json.loads(sluice("plan", happened, window, "--json").stdout)["windows"][0]["outcome"] == "no_rows"
    assert json.loads(sluice("verify", happened, window, "--json").stdout)[0]["no_rows"] is True
    assert json.loads(sluice("status", happened, "--json").stdout)[0]["no_rows"] is True


def test_the_run_of_several_windows_is_true_of_each(sluice: "Sluice", happened: str) -> None:
    first = sluice("publish", happened, "2024-01-03..2024-01-06")
    assert "1 event published; 3 windows have no rows." in first.stdout, first.stdout
    assert "2024-01-04: backfill: the window has no rows (never published before)" in first.stderr
    again = sluice("publish", happened, "2024-01-03..2024-01-06")
    assert "Nothing was published: 3 windows have no rows; 1 was on its topic already." in again.stdout
    plan = sluice("plan", happened, "2024-01-03..2024-01-06")
    assert "Nothing would be published: 3 windows have no rows; 1 was on its topic already." in plan.stdout


def test_rows_that_the_transform_leaves_out_are_not_called_no_rows(sluice: "Sluice", happened: str) -> None:
    left_out = happened.replace("happened", "left_out")
    done = sluice("publish", left_out, "2024-01-01")
    assert "Nothing was published: the window has rows, but none became an event." in done.stdout
    assert "its 1 row became no event" in done.stderr
    seen = sluice("preview", left_out, "2024-01-01")
    assert seen.returncode == 0 and "none of these rows becomes an event" in seen.stdout


def test_a_preview_of_blocked_rows_fails_and_proposes_no_publication(sluice: "Sluice", happened: str) -> None:
    seen = sluice("preview", happened, "2024-01-02")
    assert seen.returncode == 1
    assert "The window is blocked" in seen.stdout and "sluice publish" not in seen.stdout
    told = sluice("preview", happened, "2024-01-02", "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["passed"] is False
    checked = sluice("check", happened, "2024-01-02", "--json")
    assert checked.returncode == 1
    (blocked,) = [one for one in json.loads(checked.stdout)[0]["findings"] if one["level"] == "failed"]
    assert (blocked["subject"], blocked["window"]) == ("rows", "2024-01-02") and "blocked" in blocked["told"]
