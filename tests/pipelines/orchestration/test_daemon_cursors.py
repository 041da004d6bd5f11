"""The first start of Dagster's daemon logs nothing that looks like an error."""

import logging

import dagster as dg
import pytest
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    DAGSTER_EVENT_TYPES,
    _create_cursor_key,
    _fetch_persisted_cursors,
    _persist_cursors,
)

from pipelines.orchestration.daemon_cursors import begin_at_newest


def test_the_daemon_finds_where_to_begin(caplog: pytest.LogCaptureFixture) -> None:
    with dg.DagsterInstance.ephemeral() as instance, caplog.at_level(logging.WARNING):
        instance.report_runless_asset_event(dg.AssetMaterialization("a"))
        begin_at_newest(instance)
        found = _fetch_persisted_cursors(instance, DAGSTER_EVENT_TYPES, logging.getLogger("daemon"))
        newest = instance.event_log_storage.get_maximum_record_id()
    assert newest and set(found.values()) == {newest}
    assert caplog.records == []


def test_where_the_daemon_is_it_stays() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first, second = DAGSTER_EVENT_TYPES
        _persist_cursors(instance, {first: 7})
        begin_at_newest(instance)
        keys = {_create_cursor_key(one) for one in (first, second)}
        assert instance.daemon_cursor_storage.get_cursor_values(keys) == {
            _create_cursor_key(first): "7",
            _create_cursor_key(second): "0",
        }
