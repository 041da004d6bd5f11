"""A window that a run left blocked or failed
is shown on the page of the published asset, and by every command."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

import pipelines
from pipelines.authoring.loading.discovery import load_catalogue
from pipelines.cli.actions.verify import Verified
from pipelines.cli.root import sluice
from pipelines.ledger.unfinished_windows import Unfinished, note, unfinished
from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.resource import run_resources
from pipelines.orchestration.definitions.tables import build_tables
from pipelines.orchestration.keys import asset_key
from pipelines.orchestration.launch import windows_told
from pipelines.pacing.pacer import Pacer
from pipelines.publishing.publisher import Publisher
from pipelines.reconciling.reconciler import Reconciler
from resources.errors import SluiceError, TransientError
from resources.snapshots import SnapshotStore
from tests.pipelines.orchestration.test_dead_letters import ALL, here, instance, run
from tests.pipelines.publishing.conftest import WINDOW, World, embedded_world
from tests.pipelines.publishing.test_redrive import ALIVE, BROKEN, MENDED, ROWS

__all__ = ["embedded_world", "here", "instance"]
NAME = "tests/happened"


def noted(world: World) -> list[Unfinished]:
    return unfinished(world.platform().snapshots, [NAME])


def checks(result: dg.ExecuteInProcessResult) -> list[tuple[bool | None, str]]:
    """The result of the published asset's check."""
    return [
        (one.passed, one.description or "")
        for one in result.get_asset_check_evaluations()
        if one.check_name == "reconciled"
    ]


def observed(world: World, instance: dg.DagsterInstance) -> dict[str, Any]:
    record = instance.fetch_observations(asset_key(world.event, "published"), limit=1).records[0]
    assert record.asset_observation is not None
    assert record.asset_observation.partition == WINDOW
    return {name: value.value for name, value in record.asset_observation.metadata.items()}


def test_a_blocked_window_is_red_with_its_reason_until_it_is_published(
    here: World, instance: dg.DagsterInstance
) -> None:
    here.define(BROKEN)
    here.rows(ROWS)
    blocked = run(here, instance)
    ((passed, told),) = checks(blocked)
    assert not passed
    assert told.startswith("blocked: 3 of 20 rows do not fit the contract")
    assert told.endswith(f"next: sluice dead-letters {NAME} {WINDOW}")
    about = observed(here, instance)
    assert (about["action"], about["rows_dead"], about["rows_read"]) == ("blocked", 3, 20)
    assert about["next_step"] == f"sluice dead-letters {NAME} {WINDOW}"
    assert windows_told(blocked.all_events, here.event, "published")[WINDOW]["action"] == "blocked"
    (one,) = noted(here)
    assert (one.state, one.dead, one.rows_in, one.run_id) == ("blocked", 3, 20, blocked.run_id)
    assert "(value" not in one.reason, "no value of a row is kept"

    # The published asset alone reports the same.
    alone = run(here, instance, stages=("published",))
    ((passed, told),) = checks(alone)
    assert not passed
    assert told.startswith("blocked: ")

    here.define("return rows")
    ((passed, told),) = checks(run(here, instance))
    assert passed
    assert noted(here) == []


def test_a_failed_window_is_red_and_what_was_published_before_stays(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.rows(ALIVE)
    assert run(here, instance).success

    def publish(*_: object) -> None:
        raise SluiceError("here", "it went wrong", next_step="mend it")

    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish", publish)
        ((passed, told),) = checks(run(here, instance))
    assert not passed
    assert told == f"failed: here: it went wrong; next: mend it; then sluice publish {NAME} {WINDOW}"
    assert [one.state for one in noted(here)] == ["failed"]
    # Nothing changed, so the topic is not read again; the check is green again all the same.
    ((passed, told),) = checks(run(here, instance))
    assert passed
    assert "before, it was failed: here: it went wrong" in told
    assert noted(here) == []


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (SluiceError("topic", "takes no more", next_step="make room"), "failed: topic: takes no more"),
        (SluiceError(f"{NAME} on x", "takes no more"), "failed: takes no more"),
        (TypeError("a defect"), "failed: TypeError: a defect"),
    ],
)
def test_windows_that_a_preflight_refuses_are_failed(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, error: Exception, named: str
) -> None:
    monkeypatch.setattr(Publisher, "require_fit", raising(error))
    ((passed, told),) = checks(run(here, instance))
    assert not passed
    assert told.startswith(named)
    assert [one.state for one in noted(here)] == ["failed"]


def test_a_run_that_does_not_publish_notes_what_is_blocked_and_says_nothing_of_the_topic(
    here: World, instance: dg.DagsterInstance
) -> None:
    here.define(BROKEN)
    here.rows(ROWS)
    stages = ("sourced", "transformed")
    assert checks(run(here, instance, stages=stages)) == []
    assert [one.state for one in noted(here)] == ["blocked"]
    here.define(MENDED)
    here.rows([row for row in ROWS if row[2] != 7])
    assert run(here, instance, stages=stages).success
    assert noted(here) == []


@pytest.fixture
def commands(here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    here.define(BROKEN)
    here.rows(ROWS)
    assert not run(here, instance).success
    catalogue = load_catalogue(here.folder / "assets")
    monkeypatch.setattr(pipelines, "load_catalogue", lambda **_: catalogue)
    runner = CliRunner()
    yield lambda *words: runner.invoke(sluice, words, catch_exceptions=False)


@pytest.mark.parametrize(
    "words", [("status",), ("status", "happened"), ("verify", "happened"), ("verify", "happened", WINDOW)]
)
def test_commands_say_blocked_and_the_next_command(commands: Any, words: tuple[str, ...]) -> None:
    told = commands(*words).output
    assert "blocked" in told
    assert "3 of 20 rows do not fit the contract" in told
    assert f"Next: sluice dead-letters {NAME} {WINDOW}" in told
    assert commands(*words).exit_code == (words[0] == "verify"), "it is not published"
    assert "has not been published" not in told
    assert "Nothing has been published" not in told


@pytest.mark.parametrize(
    ("again", "next_step"),
    [
        (None, f"sluice publish {NAME} {WINDOW}"),
        (False, f"sluice publish {NAME} {WINDOW}"),
        (True, f"sluice replay {NAME} {WINDOW} --reason ... publishes it again"),
    ],
)
def test_a_plan_says_the_state_before_and_the_next_command(
    here: World, commands: Any, monkeypatch: pytest.MonkeyPatch, again: bool | None, next_step: str
) -> None:
    here.define("return rows")
    here.rows(ALIVE)
    catalogue = load_catalogue(here.folder / "assets")
    monkeypatch.setattr(pipelines, "load_catalogue", lambda **_: catalogue)
    (one,) = noted(here)
    if again is not None:
        advice = next_step if again else None
        note(here.platform().snapshots, replace(one, state="failed", advice=advice, relaunch=not again))
    told = json.loads(commands("plan", "happened", WINDOW, "--json").output)
    (window,) = told["windows"]
    assert f"its newest run was {'blocked' if again is None else 'failed'}" in window["because"]
    assert window["because"].endswith(f"next: {next_step}")


@pytest.mark.parametrize(
    "words", [("status", "--json"), ("status", "happened", "--json"), ("verify", "happened", "--json")]
)
def test_programs_are_told_too(commands: Any, words: tuple[str, ...]) -> None:
    (one,) = json.loads(commands(*words).output)
    one = one.get("newest_run", one)
    assert (one["event"], one["window"], one["state"], one["dead"]) == (NAME, WINDOW, "blocked", 3)
    assert one["next_step"] == f"sluice dead-letters {NAME} {WINDOW}"


ONE = Unfinished(NAME, WINDOW, "failed", "it went wrong", "run", "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (ONE, f"sluice publish {NAME} {WINDOW}"),
        (replace(ONE, advice="make room", relaunch=True), f"make room; then sluice publish {NAME} {WINDOW}"),
        (replace(ONE, advice="sluice replay x", relaunch=False), "sluice replay x"),
        (replace(ONE, advice="from a version that did not say"), "from a version that did not say"),
        (
            replace(ONE, advice="ask `sluice doctor`", relaunch=True),
            f"ask `sluice doctor`; then sluice publish {NAME} {WINDOW}",
        ),
        (replace(ONE, state="blocked", advice="sluice redrive x"), f"sluice dead-letters {NAME} {WINDOW}"),
    ],
)
def test_the_next_step_is_that_of_the_error(one: Unfinished, told: str) -> None:
    assert one.next_step == one.as_json()["next_step"] == told
    assert str(one).endswith(f"; next: {told}")


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b"garbage",
        b"[]",
        b"7",
        b"\xff",
        b"{}",
        b'{"event": 5}',
        b'{"rows_in": "many"}',
        b'{"state": "odd"}',
    ],
)
def test_a_note_that_is_none_keeps_nobody_from_looking(tmp_path: Path, held: bytes) -> None:
    store = SnapshotStore(str(tmp_path))
    note(store, ONE)
    note(store, replace(ONE, window="2024-01-02"))
    (file,) = tmp_path.glob(f".unfinished/{NAME}/2024-01-02.json")
    file.write_bytes(held)
    assert unfinished(store, [NAME]) == [ONE]
    # Written by a later version, or by an earlier one.
    facts = asdict(ONE)
    del facts["advice"]
    file.write_text(json.dumps({**facts, "later": 1}))
    assert unfinished(store, [NAME]) == [ONE, ONE]


def test_an_interrupted_window_is_not_called_published(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it is on the topic, and right."""
    here.rows(ALIVE)
    with monkeypatch.context() as patched:
        patched.setenv("SLUICE_TRANSACTION_ROWS", "4")
        patched.setattr(Pacer, "sent", raising(SluiceError("here", "it was stopped")))
        assert not run(here, instance).success
    with Reconciler(here.event, here.platform()) as reconciler:
        found = Verified(reconciler.reconcile_whole(WINDOW))
    assert (found.result.verdict, found.verdict, found.ok) == ("agrees", "interrupted", False)
    assert found.as_json()["verdict"] == "interrupted"
    runner = CliRunner()
    catalogue = load_catalogue(here.folder / "assets")
    monkeypatch.setattr(pipelines, "load_catalogue", lambda **_: catalogue)
    told = runner.invoke(sluice, ["verify", "happened"])
    assert told.exit_code == 1
    assert "only the first 4 records of" in told.output
    assert f"sluice publish {NAME} {WINDOW}" in told.output
    assert "Nothing is missing" not in told.output
    assert run(here, instance).success
    assert runner.invoke(sluice, ["verify", "happened"]).exit_code == 0


def raising(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_blocked_window_stays_red_where_those_behind_it_are_published(
    here: World, instance: dg.DagsterInstance
) -> None:
    """The page of the asset shows the check's newest evaluation."""
    here.define('return rows.assign(amount=rows["amount"].where(rows["id"] != "bad"))')
    here.rows([("bad", 0, 1), ("k1", 24 * 60, 1), ("k2", 48 * 60, 1)])
    keys = [WINDOW, "2013-01-02", "2013-01-03"]
    ran = dg.materialize(
        [build_assets(here.event), *build_tables([here.event])],
        resources=run_resources(),
        instance=instance,
        selection=[asset_key(here.event, stage) for stage in ALL],
        tags={"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[2]},
        raise_on_error=False,
    )
    told = [
        (one.partition, one.passed)
        for one in ran.get_asset_check_evaluations()
        if one.check_name == "reconciled"
    ]
    assert told == [(keys[0], False), (keys[1], True), (keys[2], True), (keys[0], False)]


def test_a_run_that_does_not_publish_notes_no_failure_of_its_own(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did not have to publish the window."""
    here.rows(ALIVE)
    with monkeypatch.context() as patched:
        patched.setattr(
            "pipelines.orchestration.windows.one_window.source_and_transform",
            raising(SluiceError("x", "wrong")),
        )
        assert not run(here, instance, stages=("sourced", "transformed")).success
    assert noted(here) == []


def test_a_fault_that_did_not_pass_is_noted_when_nothing_is_tried_again(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.rows(ALIVE)
    monkeypatch.setattr("pipelines.orchestration.windows.run._FIRST_WAIT_SECONDS", 0)
    for place in ("publish", "require_fit"):
        with monkeypatch.context() as patched:
            patched.setattr(Publisher, place, raising(TransientError("brokers", f"do not answer {place}")))
            ((passed, told),) = checks(run(here, instance))
        assert not passed
        assert told.startswith(f"failed: brokers: do not answer {place}; next: sluice publish")
        assert [one.state for one in noted(here)] == ["failed"]


def test_commands_say_failed_and_the_next_command(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.rows(ALIVE)
    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish", raising(SluiceError("here", "it went wrong")))
        assert not run(here, instance).success
    catalogue = load_catalogue(here.folder / "assets")
    monkeypatch.setattr(pipelines, "load_catalogue", lambda **_: catalogue)
    runner = CliRunner()
    for words in (
        ("status",),
        ("status", "happened"),
        ("verify", "happened"),
        ("dead-letters", "happened", WINDOW),
    ):
        told = runner.invoke(sluice, words, catch_exceptions=False).output
        assert "failed at " in told and "here: it went wrong" in told, words
        assert f"Next: sluice publish {NAME} {WINDOW}" in told, words
    planned = runner.invoke(sluice, ("plan", "happened", WINDOW), catch_exceptions=False)
    assert "its newest run was failed: here: it went wrong" in " ".join(planned.output.split())
    (one,) = json.loads(runner.invoke(sluice, ("plan", "happened", WINDOW, "--json")).stdout)["windows"]
    assert "its newest run was failed: here: it went wrong" in one["because"]
