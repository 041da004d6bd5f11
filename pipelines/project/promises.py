"""What every event must fulfil, as functions for a test suite: `promise(event, platform)` raises
AssertionError if the event does not.

They read the warehouse of the settings, and write only below a temporary folder; they use no Kafka and no
registry. An event without rows is skipped.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast
from unittest import SkipTest

import fastavro

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.encoding import RecordEncoder, decode_record, split_frame
from pipelines.event_check.findings import check_rows
from pipelines.event_check.sample import samples_of
from pipelines.event_check.windows import complete_windows
from pipelines.stages.source import source_window
from pipelines.stages.transform import transform_window
from resources.platform import Platform
from resources.settings import load_settings
from resources.snapshots import Snapshot

Promise = Callable[[Event, Platform], None]
_SCHEMA_ID = 7
_MOST_DECODED = 10_000


def platform_for_tests(folder: Path) -> Platform:
    """The platform of the settings, with local state and snapshots in `folder`.
    It changes nothing that was published."""
    return Platform(replace(load_settings(), home=folder, snapshots=str(folder / "snapshots")))


def publishes_the_same_again(event: Event, platform: Platform) -> None:
    """Two readings of a window make the same snapshot,
    its rows become events without loss, and each event can be decoded."""
    window = _window_with_rows(event, platform)
    first = source_window(event, window, platform, run_id="first")
    again = source_window(event, window, platform, run_id="again")
    _require(
        event, first.sha256 == again.sha256, f"window {window.key}: the same rows must make the same snapshot"
    )

    done = transform_window(event, window, platform, run_id="first")
    _require(event, done.passed, f"window {window.key}: {done.verdict}: {done.sample}")
    _require(
        event,
        done.rows_in == first.rows,
        f"window {window.key}: the transform got {done.rows_in} of {first.rows} rows",
    )
    _require(
        event,
        done.dropped == 0,
        f"window {window.key}: the transform drops {done.dropped} rows, which consumers then miss",
    )
    repeated = transform_window(event, window, platform, run_id="again")
    _require(
        event,
        repeated.snapshot.sha256 == done.snapshot.sha256,
        f"window {window.key}: the transform gave other events the second time",
    )
    _require_readable(event, window, platform, done.snapshot)


def _require_readable(event: Event, window: Window, platform: Platform, snapshot: Snapshot) -> None:
    encoder = RecordEncoder(
        event.contract, schema_id=_SCHEMA_ID, topic=event.topic, key=event.key, event_id=event.event_id
    )
    rows, ids = 0, set[str]()
    for batch in platform.snapshots.read(snapshot, batch_rows=1000):
        encoded = encoder.encode(batch, with_ids=True)
        assert encoded.event_ids is not None
        ids.update(encoded.event_ids.to_pylist())
        for key, value in zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True):
            if rows < _MOST_DECODED:
                _require(event, bool(key), f"window {window.key}: an empty key")
                _require(
                    event, split_frame(value)[0] == _SCHEMA_ID, f"window {window.key}: another schema id"
                )
                # An event time is a timestamp.
                moment = cast(
                    dt.datetime, decode_record(value, lambda _: event.contract.text)[event.event_time]
                )
                _require(
                    event,
                    window.start <= moment < window.end,
                    f"window {window.key}: an event time outside of it: {moment}",
                )
            rows += 1
    _require(event, rows == snapshot.rows, f"window {window.key}: {rows} records of {snapshot.rows} rows")
    _require(event, len(ids) == rows, f"window {window.key}: two equal events: does a join multiply rows?")


def depends_on_its_own_rows_alone(event: Event, platform: Platform) -> None:
    """Whole frames, halves and single rows make the same events,
    and the query returns the same rows twice."""
    window = _window_with_rows(event, platform)
    findings = list(check_rows(event, platform, [window]))
    wrong = "\n".join(f"{one.told}; next: {one.next_step}" for one in findings if not one.ok)
    _require(event, not wrong, wrong)


def has_a_contract_that_other_tools_read(event: Event, platform: Platform) -> None:  # noqa: ARG001
    """fastavro reads the contract, and each field has a doc."""
    fastavro.parse_schema(event.contract.schema)
    bare = [field.name for field in event.contract.fields if not field.doc]
    _require(event, not bare, f"{event.contract.path.name}: fields without a doc: {', '.join(bare)}")
    _require(event, event.contract.path.stem == event.name, "the contract is not named as the module")


PROMISES: tuple[Promise, ...] = (
    publishes_the_same_again,
    depends_on_its_own_rows_alone,
    has_a_contract_that_other_tools_read,
)


def _window_with_rows(event: Event, platform: Platform) -> Window:
    """A complete window that has rows: the first, the newest, or one between.
    Raises SkipTest if no window has any."""
    with platform.aside() as aside:
        found = next(samples_of(event, aside, complete_windows(event)), None)
    if found is None:
        raise SkipTest(f"{event.full_name}: no complete window has rows")
    return found.window


def _require(event: Event, kept: bool, problem: str) -> None:
    if not kept:
        raise AssertionError(f"{event.full_name}: {problem}")
