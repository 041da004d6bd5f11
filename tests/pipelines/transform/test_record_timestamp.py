"""The record timestamp of an event time, and the rows that cannot have one."""

import datetime as dt
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract import Contract, parse_contract
from pipelines.publishing.selection import Selection
from pipelines.transform import Transformer
from pipelines.transform.record_timestamp import microseconds, milliseconds
from tests.arrow_forms import forms

PER_MILLISECOND = {"millis": 1, "micros": 1_000, "nanos": 1_000_000}
UNITS = {"millis": "ms", "micros": "us", "nanos": "ns"}
COUNTS = st.one_of(st.integers(-(2**63) + 2, 2**63 - 2), st.integers(-3_000_000, 3_000_000))


def contract_of(name: str) -> Contract:
    fields = [
        {"name": "id", "type": "string", "doc": "What."},
        {"name": "at", "type": {"type": "long", "logicalType": f"timestamp-{name}"}, "doc": "When."},
    ]
    return parse_contract(json.dumps({"type": "record", "name": "T", "fields": fields}), Path("t.avsc"))


def times(counts: list[int], name: str) -> pa.Array:
    return pa.array(counts, pa.int64()).view(pa.timestamp(UNITS[name], "UTC"))


@given(st.sampled_from(list(UNITS)), st.lists(COUNTS, max_size=9))
def test_it_is_the_millisecond_that_has_begun(name: str, counts: list[int]) -> None:
    assert milliseconds(times(counts, name)).tolist() == [count // PER_MILLISECOND[name] for count in counts]


def test_it_is_the_same_in_every_form() -> None:
    kind, values = pa.timestamp("us", "UTC"), [dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, dt.UTC)] * 3
    for name, array in forms(values, kind, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)):
        assert milliseconds(array).tolist() == [-1] * 3, name


@pytest.mark.parametrize("record_timestamp", ["event_time", "publish_time"])
@given(st.sampled_from(list(UNITS)), st.lists(COUNTS, max_size=9))
def test_rows_whose_timestamp_would_be_0_are_dead_letters(
    record_timestamp: str, name: str, counts: list[int]
) -> None:
    counts = [*counts, 0, PER_MILLISECOND[name] - 1, PER_MILLISECOND[name], -1]
    transformer = Transformer(
        contract_of(name), transform=None, key="id", event_time="at", record_timestamp=record_timestamp
    )
    ids = [str(row) for row in range(len(counts))]
    done = transformer.apply(pa.record_batch({"id": pa.array(ids), "at": times(counts, name)}), 0)
    dead = [
        row
        for row, count in enumerate(counts)
        if record_timestamp == "event_time" and count // PER_MILLISECOND[name] == 0
    ]
    assert [
        (letter["source_row"], letter["field"], letter["reason"]) for letter in done.dead.to_pylist()
    ] == [(row, "at", "zero_timestamp") for row in dead]
    assert done.rows.column("id").to_pylist() == [text for text in ids if int(text) not in dead]


def test_a_row_outside_of_its_window_is_dead_for_that_first() -> None:
    day = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
    transformer = Transformer(
        contract_of("micros"),
        transform=None,
        key="id",
        event_time="at",
        record_timestamp="event_time",
        window_start=day,
        window_end=day + dt.timedelta(days=1),
    )
    done = transformer.apply(pa.record_batch({"id": pa.array(["a"]), "at": times([0], "micros")}), 0)
    (letter,) = done.dead.to_pylist()
    assert letter["reason"] == "outside_window" and "zero_timestamp" in letter["detail"]


@given(st.sampled_from(list(UNITS)), st.lists(COUNTS, max_size=9))
def test_microseconds_are_those_that_have_begun_in_the_order_of_the_instants(
    name: str, counts: list[int]
) -> None:
    found = microseconds(times(counts, name)).tolist()
    exact = [count * 1_000 // PER_MILLISECOND[name] for count in counts]
    assert [
        one for one, other in zip(found, exact, strict=True) if -(2**63) // 1_000 < other // 1_000 < 2**53
    ] == [other for other in exact if -(2**63) // 1_000 < other // 1_000 < 2**53]
    assert sorted(found) == [one for _, one in sorted(zip(exact, found, strict=True))]


@pytest.mark.parametrize("name", list(UNITS))
@given(st.lists(COUNTS, max_size=9), st.datetimes(timezones=st.just(dt.UTC)))
def test_a_bound_divides_instants_of_every_unit_exactly(
    name: str, counts: list[int], bound: dt.datetime
) -> None:
    micros = (bound - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    counts = [*counts, micros * PER_MILLISECOND[name] // 1_000]
    counts = [count for count in counts if abs(count) < 2**63]
    batch = pa.record_batch({"id": pa.array([str(n) for n in range(len(counts))]), "at": times(counts, name)})
    key_type = contract_of(name).field("id").type
    for selection, inside in (
        (Selection(since=bound), lambda count: count * 1_000 >= micros * PER_MILLISECOND[name]),
        (Selection(until=bound), lambda count: count * 1_000 < micros * PER_MILLISECOND[name]),
    ):
        rows = selection.rows([batch], key="id", key_type=key_type, times_of=lambda batch: batch.column("at"))
        chosen = [row["id"] for part in rows for row in part.select(["id"]).to_pylist()]
        assert chosen == [str(n) for n, count in enumerate(counts) if inside(count)]
