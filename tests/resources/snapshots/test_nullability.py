"""An optional nested record with required fields survives the file it is stored in."""

from pathlib import Path

import pyarrow as pa

from resources.snapshots import SnapshotStore, alike

LEG = pa.struct([pa.field("fuel", pa.int32(), nullable=False), pa.field("note", pa.string())])
SCHEMA = pa.schema(
    [
        pa.field("leg", LEG),
        pa.field("legs", pa.list_(pa.field("item", LEG, nullable=False)), nullable=False),
        pa.field("by_name", pa.map_(pa.string(), pa.field("value", LEG)), nullable=False),
    ]
)


def test_null_structs_with_required_children_come_back_as_they_were(tmp_path: Path) -> None:
    leg = {"fuel": 3, "note": None}
    rows = [
        {"leg": None, "legs": [], "by_name": []},
        {"leg": leg, "legs": [leg, leg], "by_name": [("a", leg), ("b", None)]},
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    store = SnapshotStore(str(tmp_path))
    with store.writer("d/e", "2013-01-01", "transformed", SCHEMA) as out:
        out.write(batch)
        snapshot = out.finish({})
    assert store.schema(snapshot).equals(SCHEMA)
    (found,) = store.read(snapshot, batch_rows=10)
    assert found.schema.equals(SCHEMA)
    assert found.to_pylist() == rows
    found.validate(full=True)


def test_schemas_are_alike_but_for_nullability_and_metadata() -> None:
    def schema(*fields: pa.Field) -> pa.Schema:
        return pa.schema(fields)

    a, b = pa.field("a", pa.int64()), pa.field("b", pa.string())
    assert alike(schema(a, b), schema(a.with_nullable(False), b).with_metadata({"of": "another"}))
    for other in (
        schema(b, a),
        schema(a),
        schema(a, b.with_name("c")),
        schema(a, b.with_type(pa.large_string())),
    ):
        assert not alike(schema(a, b), other) and not alike(other, schema(a, b))
    assert not alike(SCHEMA, SCHEMA)  # nested ones never are
