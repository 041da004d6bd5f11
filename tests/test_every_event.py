"""The conformance suite: every event found under assets/ keeps the platform's promises. A new event joins by being there."""

from collections.abc import Iterator
from pathlib import Path

import fastavro
import pytest

from pipelines import Event, Window, load_catalogue
from pipelines.encoding import RecordEncoder, decode_record, split_frame
from pipelines.event_check.findings import check_rows
from pipelines.stages.source import source_window
from pipelines.stages.transform import transform_window
from resources.dev.sample import build_sample_warehouse
from resources.platform import Platform
from resources.settings import load_settings

EVENTS = list(load_catalogue().events.values())
SCHEMA_ID = 7


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("every-event")
    warehouse = build_sample_warehouse(folder / "sample.duckdb")
    settings = load_settings(
        {
            "SLUICE_HOME": str(folder),
            "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{warehouse}",
            "SLUICE_SNAPSHOTS": str(folder / "snapshots"),
        }
    )
    with Platform(settings) as opened:
        yield opened


def _window_with_rows(event: Event, platform: Platform) -> Window:
    """The first window of the event's first weeks that holds rows."""
    first = event.windows.containing(event.windows.start)
    window = first
    for _ in range(60):
        if source_window(event, window, platform, run_id="test").rows:
            return window
        window = event.windows.containing(window.end)
    raise AssertionError(f"{event.full_name}: no rows in 60 windows from {first.key}")


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.full_name)
def test_the_event_keeps_every_promise(event: Event, platform: Platform) -> None:
    window = _window_with_rows(event, platform)

    first = source_window(event, window, platform, run_id="first")
    again = source_window(event, window, platform, run_id="again")
    assert first.sha256 == again.sha256, "the same rows must make the same snapshot"

    done = transform_window(event, window, platform, run_id="first")
    assert done.passed, f"{done.verdict}: {done.sample}"
    assert done.rows_in == first.rows
    assert done.dropped == 0, "a row that the transform leaves out is lost to consumers"
    assert transform_window(event, window, platform, run_id="again").snapshot.sha256 == done.snapshot.sha256

    encoder = RecordEncoder(
        event.contract, schema_id=SCHEMA_ID, topic=event.topic, key=event.key, event_id=event.event_id
    )
    rows, ids = 0, []
    for batch in platform.snapshots.read(done.snapshot, batch_rows=1000):
        encoded = encoder.encode(batch, with_ids=True)
        assert encoded.event_ids is not None
        ids += encoded.event_ids.to_pylist()
        for key, value in zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True):
            assert key, "an empty key"
            assert split_frame(value)[0] == SCHEMA_ID
            record = decode_record(value, lambda _: event.contract.text)
            moment = record[event.event_time]
            assert window.start <= moment < window.end
            rows += 1
    assert rows == done.snapshot.rows
    assert len(set(ids)) == len(ids), "two equal events in one window: is a join multiplying rows?"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.full_name)
def test_the_events_depend_on_nothing_but_their_own_rows(event: Event, platform: Platform) -> None:
    """Whole frames, halves and single rows make the same events, twice; the query gives the same rows, twice."""
    findings = list(check_rows(event, platform, [_window_with_rows(event, platform)]))
    assert "\n".join(f"{one.told}; next: {one.next_step}" for one in findings if not one.ok) == ""
    assert {"rows", "repeatable"} <= {one.subject for one in findings if one.level == "ok"}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.full_name)
def test_the_contract_is_one_that_other_tools_read(event: Event) -> None:
    fastavro.parse_schema(event.contract.schema)
    assert all(field.doc for field in event.contract.fields)
    assert Path(event.contract.path).stem == event.name
