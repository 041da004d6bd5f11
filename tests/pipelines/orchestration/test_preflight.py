"""The preflight of a run: what does not hold stops it before its first window, told in one sentence each."""

from tests.pipelines.orchestration.test_dead_letters import embedded_world, here, instance, run, told
from tests.pipelines.publishing.conftest import World

__all__ = ["embedded_world", "here", "instance"]


def test_a_run_that_cannot_publish_begins_no_window(here: World, instance, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    here.rows([("a", 1, 1)])
    monkeypatch.setenv("SLUICE_CREATE_TOPICS", "false")
    monkeypatch.setenv("SLUICE_REGISTER_CONTRACTS", "false")
    result = run(here, instance)
    assert not result.success
    said = told(result)
    assert "does not exist" in said and "not registered under" in said, "everything at once"
    assert "kafka-topics.sh" in said and "sluice register" in said, "with what to do"
    assert not [event for event in result.all_events if event.event_type_value == "ASSET_MATERIALIZATION"]


def test_without_publishing_there_is_no_preflight(here: World, instance, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    here.rows([("a", 1, 1)])
    monkeypatch.setenv("SLUICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert run(here, instance, stages=("sourced", "transformed")).success
