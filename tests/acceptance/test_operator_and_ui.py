"""A backfill is launched in the UI, and its run is a process of the daemon:
it obeys an operator at a terminal."""

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_killed_run import assert_once, ledger_entry
from tests.acceptance.test_operator import rows_done, sluice
from tests.acceptance.test_ui import _BACKFILL, Ui
from tests.acceptance.test_ui import ui as ui

WINDOW = "2013-07-14"
OP = "flights__flight_departed"


def _backfill(ui: Ui, **config: Any) -> str:
    stages = ("sourced", "transformed", "published")
    launched = ui.ask(
        _BACKFILL,
        p={
            "assetSelection": [
                {"path": ["flights", "flight_departed", f"flight_departed_{stage}"]} for stage in stages
            ],
            "partitionNames": [WINDOW],
            "runConfigData": {"ops": {OP: {"config": config}}},
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return str(launched["backfillId"])


def _ended(ui: Ui, backfill: str) -> str:
    def status() -> str | None:
        found = [run["status"] for run in ui.runs(dagster__backfill=backfill)]
        return found[0] if found and found[0] in ("SUCCESS", "FAILURE", "CANCELED") else None

    return str(ui.until(status, "the end of the run"))


@pytest.mark.matrix
def test_a_backfill_is_paused_and_cancelled_from_a_terminal_and_launched_again_in_the_ui(
    ui: Ui, sample_warehouse: Path
) -> None:
    project = ui.project
    since = project.outsider.ends(project.catalogue.find("flight_departed").topic)
    backfill = _backfill(ui, max_rows_per_second=30)
    ui.until(lambda: rows_done(project, WINDOW) > 0, "the first transaction")
    paused = sluice(project, "pause", "flight_departed")
    assert f"{WINDOW}: paused by operator" in paused.stdout, paused.stdout + paused.stderr
    done = rows_done(project, WINDOW)
    (run,) = ui.runs(dagster__backfill=backfill)
    assert run["status"] == "STARTED"
    assert {"key": "sluice/control", "value": "pause"} in run["tags"]
    cancelled = sluice(project, "cancel", run["runId"][:8])
    assert "cancelled." in cancelled.stdout, cancelled.stdout + cancelled.stderr
    assert _ended(ui, backfill) == "CANCELED"
    left = ledger_entry(project, WINDOW)
    assert left is not None and left["status"] == "publishing" and left["rows_done"] == done
    assert _ended(ui, _backfill(ui)) == "SUCCESS"
    assert_once(project, sample_warehouse, WINDOW, since)
