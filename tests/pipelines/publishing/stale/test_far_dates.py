"""Our own values are compared by their event time, whatever dates they have and in whatever unit."""

from typing import TYPE_CHECKING, Any

import pytest

from pipelines.contract.temporal import WideDate, WideTimestamp
from pipelines.dry_run.dry_run import DryRun
from pipelines.ledger.entry import ledger_key, read_entry
from pipelines.publishing.request import PublishRequest
from pipelines.reconciling.records.event_reader import EventReader, printable

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import Seen, World

WINDOW, LATER = "2013-01-01", "2013-01-02"
_DATE = {"type": "int", "logicalType": "date"}
_STAMP = {"type": "long", "logicalType": "timestamp-micros"}
# The type, one Arrow value as an expression over `rows`,
# the value that our consumer decodes, and how it is shown.
FAR: dict[str, tuple[Any, str, Any, Any]] = {
    "year 10000": (_DATE, "far([2932897] * len(rows), pa.date32())", WideDate(2_932_897), "+10000-01-01"),
    "BC": (_DATE, "far([-735160] * len(rows), pa.date32())", WideDate(-735_160), "-0043-03-15"),
    "last microsecond": (
        _STAMP,
        "far([2**63 - 2] * len(rows), pa.timestamp('us', 'UTC'))",
        WideTimestamp(2**63 - 2, 1_000_000, True),
        "+294247-01-10T04:00:54.775806Z",
    ),
    "in an array": (
        {"type": "array", "items": _DATE},
        "pa.ListArray.from_arrays(pa.array(range(len(rows) + 1), pa.int32()), far([2932897] * len(rows), pa.date32()))",
        [WideDate(2_932_897)],
        ["+10000-01-01"],
    ),
    "in a record": (
        {"type": "record", "name": "Until", "fields": [{"name": "day", "type": ["null", _DATE], "doc": "day"}]},
        "pa.StructArray.from_arrays([far([2932897] * len(rows), pa.date32())], ['day'])",
        {"day": WideDate(2_932_897)},
        {"day": "+10000-01-01"},
    ),
    "in a map": (
        {"type": "map", "values": _STAMP},
        "pa.MapArray.from_arrays(pa.array(range(len(rows) + 1), pa.int32()), ['k'] * len(rows), "
        "far([-2**62] * len(rows), pa.timestamp('us', 'UTC')))",
        {"k": WideTimestamp(-(2**62), 1_000_000, True)},
        {"k": "-144169-06-28T09:59:32.612096Z"},
    ),
}  # fmt: skip
BODY = """import pandas as pd
    import pyarrow as pa

    def far(counts, kind):
        return pa.array(counts, pa.int32() if kind == pa.date32() else pa.int64()).view(kind)

    until = {value}
    return rows.assign(until=pd.Series(pd.arrays.ArrowExtensionArray(until), rows.index))"""


def far(world: "World", name: str) -> None:
    kind, value, _, _ = FAR[name]
    field = {"name": "until", "type": kind, "doc": "until when"}
    world.define(BODY.format(value=value), more='stale_writes="skip",', extra_fields=[field])


def standing(world: "World") -> dict[str, "Seen"]:
    return {record.key: record for record in world.seen()}


@pytest.mark.parametrize("name", FAR)
def test_a_newer_event_is_published_behind_one_with_such_a_date(embedded_world: "World", name: str) -> None:
    world = embedded_world
    far(world, name)
    world.create_topic(3, cleanup_policy="compact")
    assert world.deliver([("k1", 720, 1), ("k2", 720, 2)]).published == 2

    world.rows([("k1", 5, 11), ("k2", 5, 12)], day=LATER)
    platform = world.platform()
    world.prepare(platform, window=LATER)
    assert world.publish(platform, window=LATER).published == 2
    # And an older one is left out, by the event time in the value.
    world.rows([("k1", 5, 21)])
    assert world.deliver(on_definition_change="correct").stale == 1

    assert not [said for said in world.said if "another producer" in said]
    found = standing(world)
    assert {key: record.row[2] for key, record in found.items()} == {"k1": 11, "k2": 12}
    _, _, decoded, shown = FAR[name]
    assert {repr(record.value and record.value["until"]) for record in found.values()} == {repr(decoded)}
    reader = EventReader(world.platform())
    read = list(reader.read(world.topic, dict.fromkeys(range(3), 0)))
    assert [printable(record)["until"] for record in read] == [shown] * len(read)


@pytest.mark.parametrize("name", FAR)
def test_a_plan_shows_such_a_date_and_names_what_changed(embedded_world: "World", name: str) -> None:
    world = embedded_world
    far(world, name)
    world.deliver([("k1", 720, 1)])
    world.rows([("k1", 720, 2)])
    key = ledger_key(world.topic, WINDOW)
    entry = read_entry(key, world.platform().ledger.latest(key))
    assert entry is not None
    foresight = DryRun(world.event, world.platform(), PublishRequest(), {entry.key: entry})
    (found,) = foresight.windows([world.event.windows.window(WINDOW)])
    assert found.changes == ({"key": "k1", "fields": {"amount": (1, 2)}},)
    assert found.sample[0]["until"] == FAR[name][3]
