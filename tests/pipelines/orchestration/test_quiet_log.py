"""The log of a run without a problem has nothing that looks like an error."""

import logging
import re

import dagster as dg
import pytest

from pipelines.encoding import event_id
from pipelines.encoding.columns import compiled_writer
from resources import c_library
from tests.pipelines.orchestration.test_dead_letters import here, instance, run
from tests.pipelines.publishing.conftest import World, embedded_world

__all__ = ["embedded_world", "here", "instance"]
FAULT = re.compile(r"did not|fail|error|warn|refus|cannot|unexpected|expected", re.IGNORECASE)


def test_a_good_run_says_nothing_that_looks_like_a_fault(here: World, instance: dg.DagsterInstance) -> None:
    here.rows([(f"k{n}", n, n) for n in range(20)])
    for _ in range(2):  # published, and unchanged
        result = run(here, instance)
        assert result.success
        logs = instance.all_logs(result.run_id)
        assert [log.message for log in logs if log.level >= logging.WARNING] == []
        assert [log.message for log in logs if FAULT.search(log.message)] == []


def test_a_run_without_the_compiled_library_says_so_once(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_library, "library", lambda: None)
    monkeypatch.setattr(event_id, "library", lambda: None)
    monkeypatch.setattr(compiled_writer, "library", lambda: None)
    monkeypatch.setattr(c_library, "_built", list)
    here.rows([(f"k{n}", n, n) for n in range(20)])
    result = run(here, instance)
    assert result.success
    warned = [log.message for log in instance.all_logs(result.run_id) if log.level >= logging.WARNING]
    assert [("compiled library" in one, "install a wheel of Sluice" in one) for one in warned] == [
        (True, True)
    ]
    published = next(
        event
        for event in result.all_events
        if event.is_step_materialization and "encoding" in event.materialization.metadata
    )
    assert published.materialization.metadata["encoding"].value == "fastavro"
