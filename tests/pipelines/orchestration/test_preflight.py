"""The preflight of a run: a failed check stops it before its first window,
and is reported in one sentence."""

import logging
from collections.abc import Iterator

from pipelines.preflight import fitness
from pipelines.preflight.facts import Facts
from pipelines.preflight.finding import Finding
from tests.pipelines.orchestration.test_dead_letters import embedded_world, here, instance, run, told
from tests.pipelines.publishing.conftest import World

__all__ = ["embedded_world", "here", "instance"]


def test_a_run_that_cannot_publish_begins_no_window(here: World, instance, monkeypatch) -> None:
    here.rows([("a", 1, 1)])
    monkeypatch.setenv("SLUICE_CREATE_TOPICS", "false")
    monkeypatch.setenv("SLUICE_REGISTER_CONTRACTS", "false")
    result = run(here, instance)
    assert not result.success
    said = told(result)
    assert "does not exist" in said and "not registered under" in said, "everything at once"
    assert "kafka-topics.sh" in said and "sluice register" in said, "with what to do"
    assert not [event for event in result.all_events if event.event_type_value == "ASSET_MATERIALIZATION"]


def test_without_publishing_there_is_no_preflight(here: World, instance, monkeypatch) -> None:
    here.rows([("a", 1, 1)])
    monkeypatch.setenv("SLUICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert run(here, instance, stages=("sourced", "transformed")).success


def test_what_preflight_warns_about_is_a_warning_in_the_runs_log(here: World, instance, monkeypatch) -> None:
    def warns(_facts: Facts) -> Iterator[Finding]:
        yield Finding("topic", "warning", "this is not right yet", next_step="look at it")

    monkeypatch.setattr(fitness, "topic_findings", warns)
    here.rows([("a", 1, 1)])
    result = run(here, instance)
    assert result.success
    (line,) = [one for one in instance.all_logs(result.run_id) if "this is not right yet" in one.user_message]
    assert line.level == logging.WARNING
    assert "next: look at it" in line.user_message
