"""Rows to records in the compiled library and in plain Python, where there is none.

python benchmarks/encoding.py [--rows 200000] [--rounds 5]

The rows are shaped like TPC-H's lineitem: 18 columns, four of them decimal(15, 2), every column but the key
nullable. Both ways work on the same rows in one process, in turn; the result is nanoseconds of processor time
a row, the median of the rounds. First the bytes of both ways are compared.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.contract import Contract, parse_contract
from pipelines.encoding import RecordEncoder, murmur2
from pipelines.encoding.event_id import compiled_digests, plain_digests
from pipelines.reconciling.records.content import content_hashes, plain_hashes
from resources.kafka.batches.murmur2 import plain_murmur2

_TEXTS = {"l_returnflag": 1, "l_linestatus": 1, "l_shipinstruct": 17, "l_shipmode": 7, "l_comment": 27}
_MONEY = ("l_quantity", "l_extendedprice", "l_discount", "l_tax")
_DAYS = ("l_shipdate", "l_commitdate", "l_receiptdate")
_LONGS = ("l_orderkey", "l_partkey", "l_suppkey", "l_linenumber")


def contract() -> Contract:
    kinds: dict[str, Any] = dict.fromkeys(_LONGS, "long")
    money = {"type": "bytes", "logicalType": "decimal", "precision": 15, "scale": 2}
    kinds |= dict.fromkeys(_MONEY, money)
    kinds |= dict.fromkeys(_TEXTS, "string")
    kinds |= {name: {"type": "int", "logicalType": "date"} for name in _DAYS}
    fields = [{"name": "line", "type": "string"}] + [
        {"name": name, "type": ["null", kind]} for name, kind in kinds.items()
    ]
    fields.append({"name": "shipped_at", "type": {"type": "long", "logicalType": "timestamp-micros"}})  # type: ignore[arg-type]
    return parse_contract(
        json.dumps({"type": "record", "name": "LineItem", "fields": fields}), Path("lineitem.avsc")
    )


def some_rows(of: Contract, count: int) -> pa.RecordBatch:
    numbers = pa.array(range(count), pa.int64())
    made: dict[str, pa.Array] = {"line": pc.binary_join_element_wise("line-", numbers.cast(pa.string()), "")}
    for n, name in enumerate(_LONGS):
        made[name] = pa.array((i * (7919 + n) % 200_000 for i in range(count)), pa.int64())
    for n, name in enumerate(_MONEY):
        made[name] = pa.array(
            (Decimal(i * (37 + n) % 9_000_000) / 100 for i in range(count)), pa.decimal128(15, 2)
        )
    for n, (name, length) in enumerate(_TEXTS.items()):
        made[name] = pa.array(
            (None if i % 97 == n else f"{i * 31 % 1_000_003:>{length}}"[:length] for i in range(count)),
            pa.string(),
        )
    for name in _DAYS:
        made[name] = pa.array((8_000 + i % 2_500 for i in range(count)), pa.int32())
    made["shipped_at"] = pa.array((10**15 + i * 60_000_000 for i in range(count)), pa.int64())
    columns = [made[field.name].cast(field.type) for field in of.arrow_schema]
    return pa.RecordBatch.from_arrays(columns, schema=of.arrow_schema)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    of = contract()
    rows = some_rows(of, asked.rows)
    fast, plain = (
        RecordEncoder(of, schema_id=7, topic="t", key="line", strategy=way)
        for way in ("compiled", "fastavro")
    )
    done = fast.encode(rows)
    assert done.values.equals(plain.encode(rows).values)
    nothing = pa.array([b""] * asked.rows, pa.large_binary())
    keys, values = done.keys, done.values
    works: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "encode": (lambda: fast.encode(rows), lambda: plain.encode(rows)),
        "event ids": (
            lambda: compiled_digests(b"x", keys, values, nothing),
            lambda: plain_digests(b"x", keys, values, nothing),
        ),
        "Kafka partition": (lambda: murmur2(keys), lambda: [plain_murmur2(key) for key in keys.to_pylist()]),
        "content": (lambda: content_hashes(keys, values), lambda: plain_hashes(keys, values)),
    }
    taken: dict[str, list[list[float]]] = {name: [[], []] for name in works}
    for _ in range(asked.rounds):
        for name, ways in works.items():
            for place, work in enumerate(ways):
                used = time.process_time()
                work()
                taken[name][place].append((time.process_time() - used) / asked.rows * 1e9)
    print(f"{asked.rows:,} rows, {done.total_bytes / asked.rows:.0f} bytes a record, {asked.rounds} rounds")
    print(
        f"{'nanoseconds a row':<20}{'compiled':>10}{'plain':>10}{'times':>8}{'compiled rows/s':>18}{'plain rows/s':>14}"
    )
    for name, (compiled, slow) in taken.items():
        one, other = median(compiled), median(slow)
        print(
            f"{name:<20}{one:>10,.0f}{other:>10,.0f}{other / one:>8.1f}{1e9 / one:>18,.0f}{1e9 / other:>14,.0f}"
        )


if __name__ == "__main__":
    main()
