"""The Java Avro library reads what is produced, for every type, and writes the same bytes again."""

import json
import os
import shutil
import subprocess
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.contract import parse_contract
from pipelines.encoding import RecordEncoder
from tests.pipelines.encoding.strategies import STRATEGIES

pytestmark = pytest.mark.kafka

HERE = Path(__file__).parent / "java"
SCHEMA_ID = 70001
INSTANT = datetime(2013, 1, 1, 11, 17, 5, 123456, tzinfo=UTC)
# Java 1.12.0 reads nanoseconds before 1970 correctly but writes them back wrongly,
# so none of them is used here.
NANOS = 1357039025123456789
WALL = INSTANT.replace(tzinfo=None)
MILLIS = {"microsecond": 123000}
ID = "00112233-4455-6677-8899-aabbccddeeff"


def decimal(precision: int, scale: int, size: int | None = None) -> Any:
    said = {"logicalType": "decimal", "precision": precision, "scale": scale}
    return (
        {"type": "bytes"} | said if size is None else {"type": "fixed", "name": "Money", "size": size} | said
    )


def logical(base: str, name: str) -> Any:
    return {"type": base, "logicalType": name}


LEG = {
    "type": "record",
    "name": "Leg",
    "fields": [{"name": "to", "type": "string"}, {"name": "fuel", "type": [decimal(25, 3), "null"]}],
}

# Avro type, then pairs of the Arrow value and what Java must say it is.
TYPES: dict[str, tuple[Any, list[tuple[Any, Any]]]] = {
    "boolean": ("boolean", [(True, True), (False, False)]),
    "int": ("int", [(2**31 - 1, 2**31 - 1), (-(2**31), -(2**31)), (63, 63), (64, 64)]),
    "long": ("long", [(2**63 - 1, 2**63 - 1), (-(2**63), -(2**63)), (-64, -64), (-65, -65)]),
    "float": ("float", [(-1.25, -1.25), (2.0**24, 2.0**24)]),
    "double": ("double", [(5e-324, 5e-324), (-1.7976931348623157e308, -1.7976931348623157e308)]),
    "string": ("string", [("", ""), ("Zürich \U0001f6eb \0", "Zürich \U0001f6eb \0"), ("x" * 64, "x" * 64)]),
    "bytes": ("bytes", [(b"", ""), (b"\x00\xff", "00ff")]),
    "fixed": ({"type": "fixed", "name": "F", "size": 3}, [(b"\x00ab", "006162")]),
    "enum": ({"type": "enum", "name": "E", "symbols": ["EWR", "JFK"]}, [("JFK", "JFK"), ("EWR", "EWR")]),
    "decimal": (
        decimal(38, 4),
        [(Decimal(n).scaleb(-4), f"{n / 10000:.4f}") for n in (0, 1, -1, 127, 128, -128, -129, 32767, -32769)]
        + [(Decimal("-9999999999999999999999999999999999.9999"), "-" + "9" * 34 + ".9999")],
    ),
    "wide_decimal": (decimal(76, 0), [(Decimal("9" * 76), "9" * 76), (Decimal("-128"), "-128")]),
    "fixed_decimal": (decimal(9, 2, 5), [(Decimal("-1.28"), "-1.28"), (Decimal("9999999.99"), "9999999.99")]),
    "date": (logical("int", "date"), [(date(1969, 12, 31), "1969-12-31"), (date(2013, 1, 1), "2013-01-01")]),
    "time_millis": (logical("int", "time-millis"), [(time(23, 59, 59, 999000), "23:59:59.999")]),
    "time_micros": (logical("long", "time-micros"), [(time(23, 59, 59, 999999), "23:59:59.999999")]),
    "millis": (
        logical("long", "timestamp-millis"),
        [(INSTANT.replace(**MILLIS), "2013-01-01T11:17:05.123Z")],  # type: ignore[arg-type]
    ),
    "micros": (logical("long", "timestamp-micros"), [(INSTANT, "2013-01-01T11:17:05.123456Z")]),
    "nanos": (logical("long", "timestamp-nanos"), [(NANOS, "2013-01-01T11:17:05.123456789Z")]),
    "local_millis": (
        logical("long", "local-timestamp-millis"),
        [(WALL.replace(**MILLIS), "2013-01-01T11:17:05.123")],  # type: ignore[arg-type]
    ),
    "local_micros": (logical("long", "local-timestamp-micros"), [(WALL, "2013-01-01T11:17:05.123456")]),
    "local_nanos": (logical("long", "local-timestamp-nanos"), [(NANOS, "2013-01-01T11:17:05.123456789")]),
    "uuid": (logical("string", "uuid"), [(ID, ID)]),
    "fixed_uuid": ({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}, [(ID, ID)]),
    "null_first": (["null", "int"], [(None, None), (7, 7)]),
    "null_second": (["string", "null"], [(None, None), ("", "")]),
    "array": ({"type": "array", "items": ["null", "long"]}, [([], []), ([1, None, -300], [1, None, -300])]),
    "map": ({"type": "map", "values": "int"}, [([], {}), ([("é", 1)], {"é": 1})]),
    "nested": (
        {"type": "array", "items": LEG},
        [([{"to": "ATL", "fuel": Decimal("-0.128")}, {"to": "", "fuel": None}],
          [{"to": "ATL", "fuel": "-0.128"}, {"to": "", "fuel": None}])],
    ),
    "null_record": (["null", {**LEG, "name": "Only"}], [(None, None), ({"to": "B", "fuel": None},) * 2]),
}  # fmt: skip


@pytest.fixture(scope="module")
def jars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"CI must have {' and '.join(missing)}")
    if missing:
        pytest.skip(f"needs {' and '.join(missing)} on PATH")
    folder = tmp_path_factory.mktemp("jars")
    run(
        "mvn",
        "-q",
        "-B",
        "-f",
        str(HERE / "pom.xml"),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={folder}",
    )
    return folder


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, encoding="utf-8")
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_java_reads_every_type_and_writes_the_same_bytes(strategy: Any, jars: Path, tmp_path: Path) -> None:
    fields = [{"name": "key", "type": "string"}]
    fields += [{"name": name, "type": avro} for name, (avro, _) in TYPES.items()]
    schema = {"type": "record", "name": "All", "namespace": "sluice.test", "fields": fields}
    contract = parse_contract(json.dumps(schema), Path("all.avsc"))
    count = max(len(pairs) for _, pairs in TYPES.values())
    pairs = {name: [pairs[row % len(pairs)] for row in range(count)] for name, (_, pairs) in TYPES.items()}
    columns = {name: [value for value, _ in of] for name, of in pairs.items()}
    columns["key"] = [str(row) for row in range(count)]
    batch = pa.RecordBatch.from_pydict(columns, schema=contract.arrow_schema)
    encoder = RecordEncoder(contract, schema_id=SCHEMA_ID, topic="t.v1", key="key", strategy=strategy)
    values = encoder.encode(batch).values.to_pylist()

    (tmp_path / "schema.avsc").write_text(contract.text, encoding="utf-8")
    (tmp_path / "values.hex").write_text("".join(f"{value.hex()}\n" for value in values))
    arguments = [str(tmp_path / "schema.avsc"), str(tmp_path / "values.hex"), str(SCHEMA_ID)]
    said = run("java", "-cp", f"{jars}/*", str(HERE / "Judge.java"), *arguments).splitlines()

    assert [line.partition("\t")[0] for line in said] == [value[5:].hex() for value in values]
    for row, line in enumerate(said):
        expected = {name: of[row][1] for name, of in pairs.items()}
        assert json.loads(line.partition("\t")[2]) == {"key": str(row)} | expected
