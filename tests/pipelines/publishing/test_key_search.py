"""Keys of a replay that are in no row of its windows are found, by the type of the key."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from pipelines import daily
from pipelines.authoring.event import Event
from pipelines.contract import Contract, parse_contract
from pipelines.publishing.key_search import KeySearch, KeysUnmatched, Unmatched, require_typed
from pipelines.publishing.selection import Selection
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import SnapshotStore

DAYS = daily("2024-01-01", "2024-02-01")
UUID = "aaaaaaaa-8b86-d011-b42d-00c04fc964ff"


def contract(key_type: Any) -> Contract:
    happened = {"name": "happened_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
    fields = [{"name": "id", "type": key_type}, happened, {"name": "note", "type": "string"}]
    return parse_contract(json.dumps({"type": "record", "name": "X", "fields": fields}), Path("x.avsc"))


def event(key_type: Any) -> Event:
    made = SimpleNamespace(
        full_name="tests/x", windows=DAYS, key="id", event_time="happened_at", contract=contract(key_type)
    )
    return cast(Event, made)


class Days:
    """Stored windows of one event whose key has this type."""

    def __init__(self, folder: Path, key_type: Any) -> None:
        self.store, self.event = SnapshotStore(str(folder)), event(key_type)
        self._platform = SimpleNamespace(snapshots=self.store, settings=SimpleNamespace(batch_rows=2))
        self._days: list[tuple[str, Any, Contract]] = []

    def add(self, day: str, *keys: Any, under: Any = None) -> None:
        """Store a window with an event for each key, an hour apart; `under`: another type of the key."""
        of_then = self.event.contract if under is None else contract(under)
        start = DAYS.window(day).start.timestamp()
        rows = [
            {"id": key, "happened_at": int(start + 3600 * hour) * 1000, "note": "x"}
            for hour, key in enumerate(keys)
        ]
        table = pa.Table.from_pylist(
            rows,
            pa.schema(
                [("id", of_then.field("id").arrow_type), ("happened_at", pa.int64()), ("note", pa.string())]
            ),
        ).cast(of_then.arrow_schema)
        with self.store.writer("tests/x", day, "transformed", table.schema) as out:
            for batch in table.to_batches():
                out.write(batch)
            self._days.append((day, out.finish({}), of_then))

    def look(self, *keys: str, **bounds: Any) -> Unmatched | None:
        selection = Selection(frozenset(keys), **bounds)
        sought = KeySearch(self.event, cast(Platform, self._platform), selection)
        for day, snapshot, of_then in self._days:
            sought.look(self.store, snapshot, day, of_then)
        return sought.unmatched


@pytest.mark.parametrize(
    ("key_type", "rows", "typed"),
    [
        ("string", ["AB      ", "EFGHIJKL", ""], ["AB      ", "EFGHIJKL", ""]),
        ({"type": "string", "logicalType": "uuid"}, [UUID], [UUID.upper(), f"{{{UUID}}}"]),
        ("int", [1, -7, 0], ["01", "-007", "+0"]),
        ("long", [2**62], [str(2**62)]),
        ("bytes", [b"\x00\xff", b""], ["0x00FF", "0x"]),
        ({"type": "fixed", "name": "f", "size": 2}, [b"\x00\xff"], ["00 ff"]),
        ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, ["A", "A"], ["A"]),
    ],
)
def test_a_key_is_found_in_any_of_the_windows(
    tmp_path: Path, key_type: Any, rows: list[Any], typed: list[str]
) -> None:
    days = Days(tmp_path, key_type)
    days.add("2024-01-01", *rows[1:])
    days.add("2024-01-02")
    days.add("2024-01-03", *rows[:1])
    require_typed(days.event, Selection(frozenset(typed)))
    assert days.look(*typed) is None


@pytest.mark.parametrize(
    ("key_type", "rows", "typed", "missing"),
    [
        ("string", ["AB      "], ["AB      ", "AB", "ab      ", "nobody"], ["AB", "ab      ", "nobody"]),
        ("int", [1], ["2", "001"], ["2"]),
        ({"type": "string", "logicalType": "uuid"}, [UUID], [UUID.replace("a", "b"), UUID.upper()], [UUID.replace("a", "b")]),
        ("bytes", [b"a"], ["61", "62"], ["62"]),
        ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, ["A"], ["B"], ["B"]),
    ],
)  # fmt: skip
def test_a_key_that_is_in_no_window_is_named(
    tmp_path: Path, key_type: Any, rows: list[Any], typed: list[str], missing: list[str]
) -> None:
    days = Days(tmp_path, key_type)
    days.add("2024-01-01", *rows)
    found = days.look(*typed)
    assert found == Unmatched(len(typed), len(missing), tuple(sorted(missing)))


def test_a_key_outside_the_range_of_event_time_is_not_selected(tmp_path: Path) -> None:
    days = Days(tmp_path, "string")
    days.add("2024-01-01", "a", "b", "c")
    start = DAYS.window("2024-01-01").start
    found = days.look("a", "b", since=start.replace(hour=1), until=start.replace(hour=2))
    assert str(found) == (
        "1 of 2 keys is in none of these windows within event time 2024-01-01T01:00:00Z..2024-01-01T02:00:00Z: 'a'"
    )


def test_a_range_of_event_time_must_hold_an_event(tmp_path: Path) -> None:
    days = Days(tmp_path, "string")
    days.add("2024-01-01", "a", "b", "c")
    days.add("2024-01-02")
    start = DAYS.window("2024-01-01").start
    # An event at 01:00 is in the range that begins there, and not in the range that ends there.
    assert days.look(since=start.replace(hour=1), until=start.replace(hour=2)) is None
    assert days.look(since=start.replace(minute=1), until=start.replace(hour=1)) is not None
    assert days.look(until=DAYS.window("2024-01-03").end) is None
    found = days.look(since=start.replace(hour=3))
    assert found == Unmatched(0, 0, (), "event time 2024-01-01T03:00:00Z..")
    told = str(KeysUnmatched(days.event, found, replayed=False))
    assert "no event of these windows is selected by event time 2024-01-01T03:00:00Z..; nothing was" in told
    assert days.look() is None


def test_rows_of_an_earlier_contract_have_its_keys(tmp_path: Path) -> None:
    days = Days(tmp_path, "int")
    days.add("2024-01-01", "01", "nobody", under="string")
    days.add("2024-01-02", 7)
    assert days.look("01", "nobody", "07") is None
    # Read as an int it is the key 1, which no row has.
    assert days.look("1") == Unmatched(1, 1, ("1",))


def test_many_keys_are_counted_and_some_are_named() -> None:
    unmatched = Unmatched(3000, 2500, tuple(f"k{n:04d}" for n in range(100)))
    told = str(KeysUnmatched(event("string"), unmatched, replayed=False))
    assert "2,500 of 3,000 keys are in none of these windows: 'k0000', 'k0001'" in told
    assert "and 2,490 more; nothing was replayed" in told and "--matching-only" in told
    assert Unmatched.from_dict(json.loads(json.dumps(unmatched.as_dict()))) == unmatched


def test_what_cannot_be_a_key_is_refused_with_what_can() -> None:
    with pytest.raises(
        SluiceError, match=r"'x', 'y' cannot be keys of this event, whose key id is int"
    ) as found:
        require_typed(event("int"), Selection(frozenset(["x", "1", "y"])))
    assert found.value.allowed == "a whole number of 32 bits, such as 42"
    # Some of its rows were published when the key was a text.
    require_typed(event("int"), Selection(frozenset(["x"])), [contract("string").field("id").type])
