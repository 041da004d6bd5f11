"""Mistakes that only rows show: if a run or a preview refuses an event, `check` refuses it in the same words;
if `check` accepts an event, they accept it too."""

import re
from typing import Any

import pytest

from pipelines import CatalogueError
from pipelines.cli.actions.preview import preview
from pipelines.publishing.stored_rows import new_encoder
from pipelines.stages.source_and_transform import source_and_transform
from pipelines.stages.transform import blocked
from resources.errors import SluiceError
from tests.fixtures_postgres import PostgresServer, execute
from tests.matrix import one_of
from tests.pipelines.event_check.conftest import FIELDS, TABLE, Made, World

MANY = TABLE.replace("range(40)", "range(400)")
Mistake = tuple[str, dict[str, Any], str | None]


def field(avro: Any, values: str, **more: Any) -> dict[str, Any]:
    """A column `x` with this SQL, and a field of this type."""
    return {"fields": {**FIELDS, "x": avro}, "columns": f"id, happened_at, n, {values} AS x", **more}


def rows(avro: Any, values: str, **more: Any) -> dict[str, Any]:
    """A column `x` that the transform makes in a frame `rows`, and a field of this type."""
    return {"body": f"return rows.assign(x={values})", "fields": {**FIELDS, "x": avro}, **more}


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
ENUM = {"type": "enum", "name": "Kind", "symbols": ["LATE", "EARLY"]}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
LOCAL = {"type": "long", "logicalType": "local-timestamp-micros"}
UUID = {"type": "string", "logicalType": "uuid"}
DATE = {"type": "int", "logicalType": "date"}
TIME = {"type": "int", "logicalType": "time-millis"}
FIXED = {"type": "fixed", "name": "Four", "size": 4}
LIST = {"type": "array", "items": "long"}
MAP = {"type": "map", "values": "long"}
RECORD = {"type": "record", "name": "Part", "fields": [{"name": "a", "type": "long", "doc": "A."}]}

# name: (arguments of `made`, words of the refusal; None: it is accepted)
MISTAKES: dict[str, tuple[dict[str, Any], str | None]] = {
    # columns
    "a column misspelt in the SQL": ({"columns": "id, happened_at, n AS nn", "body": "rows = rows\nreturn rows"}, "other names: nn for n"),
    "a column that the transform drops": ({"body": 'return rows.drop(columns="n")'}, "no column for the field 'n'"),
    "a column that the transform renames": ({"body": 'return rows.rename(columns={"n": "N"})'}, "other names: N for n"),
    "a column too many": ({"body": 'return rows.assign(more=1)'}, "column 'more' is not a field"),
    "a column twice": ({"body": 'return pd.concat([rows, rows["n"]], axis=1)'}, "stands more than once"),
    "a column named by a number": ({"body": 'return rows.rename(columns={"n": 0})'}, "other names: 0 for n"),
    "the key as the index": ({"body": 'return rows.set_index("id")'}, "no column for the field 'id'"),
    "the event id filled": (
        {"body": 'return rows.assign(event_id="x")', "more": 'event_id="event_id",', "fields": {**FIELDS, "event_id": UUID}},
        "column 'event_id' is the event id",
    ),
    "the event id left to Sluice": (
        {"body": "rows = rows\nreturn rows", "more": 'event_id="event_id",', "fields": {**FIELDS, "event_id": UUID}}, None,
    ),
    "columns in another order": ({"body": 'return rows[["n", "happened_at", "id"]]'}, None),
    # what is returned
    "nothing returned": ({"body": "if len(rows) < 0:\n    return rows"}, "the transform returned None"),
    "a Series": ({"body": 'return rows["n"]'}, "the transform returned a Series"),
    "a list": ({"body": 'return list(rows["n"])'}, "the transform returned a list"),
    "a dict": ({"body": 'return rows.to_dict()'}, "the transform returned a dict"),
    "an array": ({"body": "return rows.to_numpy()"}, "the transform returned a ndarray"),
    "the class of a frame": ({"body": "return pd.DataFrame"}, "the transform returned a type"),
    "an empty frame without columns": ({"body": "return pd.DataFrame()"}, "missing (3 of 3): id, happened_at, n"),
    "fewer rows": ({"body": 'return rows[rows["n"] > 3]'}, None),
    "no rows": ({"body": "return rows[0:0]"}, None),
    "each row twice": ({"body": "return pd.concat([rows, rows])"}, None),
    "no index": ({"body": "return rows.reset_index(drop=True)"}, None),
    "other index": ({"body": "rows.index = rows.index + 1000\nreturn rows"}, None),
    # what is raised
    "always raises": ({"body": "raise ValueError('no')", "table": MANY}, "the transform raises on every row: ValueError: no"),
    "always raises, few rows": ({"body": "raise ValueError('no')"}, "the transform raises on every row: ValueError: no"),
    "a column that is not there": ({"body": 'return rows.assign(n=rows["m"])'}, "the transform raises on every row: no column 'm'"),
    "a name that is not defined": ({"body": "return rows.assign(n=undefined)"}, "NameError"),
    "a method that is not there": ({"body": "return rows.assing(n=1)"}, "no column or method 'assing'; did you mean 'assign'?"),
    "raises for one row": ({"body": "return rows.assign(n=[1 // (int(n) - 7) for n in rows['n']])"}, "ZeroDivisionError"),
    "raises for one row of a whole window": (
        {"body": "return rows.assign(n=[1 // (int(n) - 7) for n in rows['n']])", "more": "whole_window=True,"},
        "the transform raised ZeroDivisionError",
    ),
    "recursion": ({"body": "return thing_happened(rows)"}, "RecursionError"),
    "an assertion": ({"body": "assert rows['n'].max() < 10\nreturn rows"}, "AssertionError"),
    "it cancels a task": ({"body": "import asyncio\nraise asyncio.CancelledError('no')"}, "CancelledError"),
    "it ends the process": ({"body": "import sys\nsys.exit(3)\nreturn rows"}, "SystemExit"),
    "raises on an empty frame alone": ({"body": "return rows.assign(n=rows['n'].iloc[0] * 0 + rows['n'])"}, None),
    # types
    "text for a number": (rows("long", '"1"'), "column 'x' is"),
    "a number for text": (rows("string", 'rows["n"]'), "column 'x' is"),
    "a fraction for a whole number": (rows("long", 'rows["n"] + 0.5'), "fraction"),
    "floats that are whole": (rows("long", 'rows["n"].astype("float64")'), None),
    "a float for a decimal": (rows(DECIMAL, 'rows["n"] * 0.1'), "column 'x' is"),
    "too many digits": (field(DECIMAL, "(n * 1000000)::DECIMAL(18, 2)"), "too_many_digits"),
    "more places than the scale": (field(DECIMAL, "(n / 7)::DECIMAL(18, 6)"), "precision_loss"),
    "beyond an int": (field("int", "n * 1000000000"), "out_of_range"),
    "a truth value for a number": (rows("long", 'rows["n"] > 3'), "column 'x' is"),
    "a number for a truth value": (rows("boolean", 'rows["n"]'), "column 'x' is"),
    "a date for an instant": (field(MICROS, "happened_at::DATE"), "column 'x' is"),
    "a naive time for an instant": (field(MICROS, "happened_at::TIMESTAMP"), "column 'x' is"),
    "naive times among objects": (
        rows(MICROS, "[t.to_pydatetime().replace(tzinfo=None) for t in rows['happened_at']]"), "column 'x' is timestamp[us]",
    ),
    "an instant for a local time": (field(LOCAL, "happened_at"), "column 'x' is"),
    "microseconds in milliseconds": (field(MILLIS, "happened_at + to_microseconds(n)"), "precision_loss"),
    "a time with a date": (field(DATE, "happened_at::TIMESTAMP"), "precision_loss"),
    "a time for a time": (field(TIME, "'24:00:00'::TIME"), "out_of_range"),
    "a symbol that is unknown": (field(ENUM, "CASE WHEN n = 5 THEN 'ON_TIME' ELSE 'LATE' END"), "unknown_symbol"),
    "a symbol in small letters": (rows(ENUM, '"late"'), "unknown_symbol"),
    "null where a value is required": (field("long", "maybe"), "null 5"),
    "NaN": (rows("double", "float('nan')"), "nan 40"),
    "infinity in a number": (rows("long", "float('inf')"), "infinite"),
    "a text that is no uuid": (field(UUID, "id"), "bad_uuid"),
    "bytes of another length": (field(FIXED, "id::BLOB || 'xyz'::BLOB"), "wrong_length"),
    "bytes for text": (field("string", "id::BLOB"), "column 'x' is"),
    "text that is not UTF-8": (rows("string", r"[chr(0xD800)] * len(rows)"), "UnicodeEncodeError"),
    "a number for a list": (rows(LIST, 'rows["n"]'), "column 'x' is"),
    "text in a list of numbers": (field(LIST, "[id]"), "column 'x[]' is"),
    "null in a list": (field(LIST, "[n, NULL]"), "null 40"),
    "a struct without its field": (field(RECORD, "{'b': n}"), "column 'x' is"),
    "a struct with another field": (field(RECORD, "{'a': n, 'b': n}"), "column 'x' is"),
    "a dict with another field": (rows(RECORD, "[{'a': 1, 'b': 2}] * len(rows)"), "unknown_field"),
    "a dict without its field": (rows(RECORD, "[{}] * len(rows)"), "missing_field"),
    "a struct for a map": (field(MAP, "{'a': n}"), "column 'x' is"),
    "numbers for a map's keys": (field(MAP, "MAP {n: n}"), "column 'x[]' is"),
    "objects of several types": (rows("long", "[1 if n % 2 else 'a' for n in rows['n']]"), "wrong_type"),
    "a span of time": (rows("long", 'rows["happened_at"] - rows["happened_at"].min()'), "column 'x' is"),
    "a type that Arrow lacks": (rows("string", "pd.Series(pd.period_range('2024', periods=len(rows)), rows.index)"), "column 'x'"),
    "complex numbers": (rows("double", "[1j] * len(rows)"), "column 'x'"),
    "categories": (rows("string", 'rows["id"].astype("category")'), None),
    "a scalar of numpy": (rows("long", "__import__('numpy').int64(3)"), None),
    # key and event time
    "a key that is null": ({"columns": "CASE WHEN n = 3 THEN NULL ELSE id END AS id, happened_at, n"}, "null_key"),
    "a key of another type": ({"columns": "n AS id, happened_at, n"}, "column 'id' is"),
    "an empty key": ({"columns": "'' AS id, happened_at, n"}, None),
    "an event time that moves": (
        {"body": "return rows.assign(happened_at=rows['happened_at'] + pd.Timedelta(days=1))"}, "outside_window 40",
    ),
    "an event time on the window's end": (
        {"columns": "id, date_trunc('day', happened_at) + INTERVAL 1 DAY AS happened_at, n"}, "outside_window 40",
    ),
    "an event time that is null": ({"body": "return rows.assign(happened_at=pd.NaT)"}, "null 40"),
    "an event time in seconds": ({"columns": "id, epoch(happened_at) AS happened_at, n"}, "column 'happened_at' is"),
    # the SQL, when it runs
    "a cast that fails": ({"columns": "id, happened_at, id::BIGINT AS n"}, "Could not convert string"),
    "a cast that overflows": ({"columns": "id, happened_at, (n * 1000)::TINYINT AS n"}, "out of range"),
    "an arithmetic overflow": ({"columns": "id, happened_at, n * 9223372036854775807 AS n"}, "Overflow"),
    "a date that is none": ({"columns": "id, happened_at, epoch(strptime(id, '%Y'))::BIGINT AS n"}, "Could not parse string"),
    "a subquery of many rows": ({"columns": "id, happened_at, (SELECT n FROM things) AS n"}, "More than one row"),
    "a pattern that is none": ({"columns": "id, happened_at, regexp_matches(id, '(')::BIGINT AS n"}, "missing )"),
    "an error of its own": ({"columns": "id, happened_at, error('no: ' || id) AS n"}, "no: ********"),
    "a division by zero": ({"columns": "id, happened_at, n // 0 AS n"}, "Division by zero"),
    "a table that is not there": ({"source": "SELECT id, happened_at, n FROM thing {where}"}, "thing"),
    "a column that the table lacks": ({"columns": "id, happened_at, m AS n"}, "m"),
    "an ambiguous column": (
        {"source": "SELECT id, a.happened_at, a.n FROM things AS a, things AS b WHERE a.happened_at >= :window_start "
         "AND a.happened_at < :window_end"}, "mbiguous",
    ),
    "a function that is not there": ({"columns": "id, happened_at, lenght(id) AS n"}, "lenght"),
    "types that cannot be compared": ({"columns": "id, happened_at, n", "source":
        "SELECT id, happened_at, n FROM things {where} AND happened_at > 5"}, "Cannot compare"),
    # rows
    "an empty table": ({"table": f"{TABLE.replace('range(40)', 'range(0)')}"}, None),
    "few dead letters that are allowed": (field("long", "maybe", more="dead_letters=0.2,"), None),
    "more dead letters than are allowed": (field("long", "maybe", more="dead_letters=0.1,"), "allows 10.00%"),
    "all rows dead": (field("long", "NULL::BIGINT", more="dead_letters=0.5,"), "null 40"),
}  # fmt: skip

# Refused when the module is loaded, before any request to a server; so every command says the same.
UNLOADABLE: dict[str, tuple[dict[str, Any], str]] = {
    "two types beside null": ({"fields": {**FIELDS, "n": ["null", "string", "long"]}}, "n"),
    "a default of another type": ({"fields": {**FIELDS, "x": ["null", {"type": "array", "items": "lnog"}]}}, "lnog"),
    "a key that may be null": ({"fields": {**FIELDS, "id": ["null", "string"]}}, "may be null"),
    "an event time that is a number": ({"fields": {**FIELDS, "happened_at": "long"}}, "happened_at"),
    "a decimal without precision": ({"fields": {**FIELDS, "n": {"type": "bytes", "logicalType": "decimal"}}}, "precision"),
    "an enum without symbols": ({"fields": {**FIELDS, "n": {"type": "enum", "name": "E", "symbols": []}}}, "symbols"),
    "no bounds": ({"source": "SELECT id, happened_at, n FROM things"}, ":window_start"),
    "BETWEEN": (
        {"source": "SELECT id, happened_at, n FROM things WHERE happened_at BETWEEN :window_start AND :window_end"},
        "half-open",
    ),
    "a column selected twice": ({"columns": "id, happened_at, n, n"}, "two columns"),
    "a field that the SQL lacks": ({"columns": "id, happened_at"}, "n"),
    "a module that raises": ({"before": "raise RuntimeError('no')"}, "RuntimeError"),
    "a transform of two arguments": ({"before": "rows = 1", "body": "return rows", "more": "keys='id',"}, "keys"),
}  # fmt: skip


def _refusal(world: World, window: str) -> SluiceError | None:
    """Why a run would not publish the window: its own steps, up to the encoder."""
    event = world.event
    (wanted,) = event.windows.parse(window)
    with world.platform.aside() as aside:
        try:
            _, transformed = source_and_transform(event, wanted, aside, run_id="run")
            done = transformed()
            if not done.passed:
                raise blocked(event, wanted, done)
            for batch in aside.snapshots.read(done.snapshot, batch_rows=1000):
                new_encoder(event, 1).encode(batch)
        except SluiceError as error:
            return error
    return None


def _previews(world: World, window: str) -> bool:
    (wanted,) = world.event.windows.parse(window)
    try:
        return preview(world.event, wanted, world.platform, rows=1000, shown=3).passed
    except SluiceError:
        return False


def _agree(world: World, words: str | None) -> None:
    """`check`, `preview` and a run say the same about the only window that has rows."""
    findings = world.check()
    failed = [one for one in findings if not one.ok and one.subject in ("query", "rows")]
    told = _without_line("\n".join(one.told for one in failed))
    refusal = _refusal(world, "2024-01-02")
    assert _previews(world, "2024-01-02") == (refusal is None)
    assert (refusal is None) == (words is None), refusal
    if refusal is None:
        assert not failed, told
        return
    assert words is not None and failed, findings
    assert words in told, told
    for problem in getattr(refusal, "problems", None) or [refusal]:
        assert _without_line(problem.problem) in told, (problem.problem, told)


def _without_line(text: str) -> str:
    # `check` and `preview` wrap the query in one that limits its rows, which changes its line numbers.
    text = re.sub(r"\bline \d+", "line", text, flags=re.IGNORECASE)
    # Python's message depends on the depth at which the code was called.
    return text.replace("depth exceeded while calling a Python object", "depth exceeded")


@pytest.mark.parametrize("name", MISTAKES)
def test_check_says_what_a_run_says(made: Made, name: str) -> None:
    arguments, words = MISTAKES[name]
    _agree(made(**arguments), words)


@pytest.mark.parametrize("name", UNLOADABLE)
def test_a_module_that_does_not_load_is_no_event(made: Made, name: str) -> None:
    arguments, words = UNLOADABLE[name]
    with pytest.raises(CatalogueError, match=words):
        made(**arguments)


POSTGRESQL: dict[str, tuple[dict[str, Any], str | None]] = {
    "a division by zero": ({"columns": "id, happened_at, n / (n - 7) AS n"}, "division by zero"),
    "a cast that fails": ({"columns": "id, happened_at, id::bigint AS n"}, "invalid input syntax"),
    "an overflow": ({"columns": "id, happened_at, n * 9223372036854775807 AS n"}, "out of range"),
    "a subquery of many rows": ({"columns": "id, happened_at, (SELECT n FROM things) AS n"}, "more than one row"),
    "an ambiguous column": (
        {"source": "SELECT id, a.happened_at, a.n FROM things a, things b WHERE a.happened_at >= :window_start AND "
         "a.happened_at < :window_end"}, "ambiguous",
    ),
    "a table that may not be read": ({"source": "SELECT id, happened_at, n FROM nowhere {where}"}, "nowhere"),
    "a type that is not taken": ({"columns": "id, happened_at, n, point(1, 2) AS x", "fields": {**FIELDS, "x": "string"}}, "point"),
    "a number that is none": (
        {"columns": "id, happened_at, n, 'NaN'::numeric(6, 2) AS x", "fields": {**FIELDS, "x": DECIMAL}}, "",
    ),
    "a good one": ({"columns": "id, happened_at, n * 2 AS n"}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", POSTGRESQL)
def test_so_it_is_on_postgresql(made: Made, things: str, name: str) -> None:
    arguments, words = POSTGRESQL[name]
    _agree(made(**arguments, warehouse=things), words)


@pytest.fixture(scope="module")
def things(postgres: PostgresServer) -> str:
    """A database with the table; its role has a time limit for statements."""
    url = postgres.new_database()
    execute(url, """
        CREATE TABLE things AS SELECT 'k' || lpad(i::text, 3, '0') AS id, i % 4 AS g, i::bigint AS n,
            i * 0.1::float8 AS f, TIMESTAMPTZ '2024-01-02 00:00:00+00' + i * INTERVAL '1 minute' AS happened_at
        FROM generate_series(0, 39) AS t(i)
    """)  # fmt: skip
    return url


_OTHERS: dict[str, Any] = {**FIELDS, "x": "long", "y": "long", "z": "boolean", "d": DECIMAL}


@pytest.mark.parametrize("on", one_of("duckdb", "postgresql"))
@pytest.mark.parametrize("body", ["return rows", "return rows.assign(n=rows['n'])"], ids=["as it is", "made"])
def test_columns_of_other_types_are_one_difference(
    made: Made, request: pytest.FixtureRequest, on: str, body: str
) -> None:
    columns = "id, happened_at, n, id AS x, id AS y, 1 AS z, CAST(1.5 AS DOUBLE PRECISION) AS d"
    warehouse = request.getfixturevalue("things") if on == "postgresql" else None
    world = made(body, columns=columns, fields=_OTHERS, warehouse=warehouse)
    (finding,) = [one for one in world.check() if not one.ok]
    head, *lines = finding.told.splitlines()
    assert head.endswith("the columns differ from the contract: other types (4 of 7):")
    assert [line.partition(";")[0] for line in lines] == ["- x, y: string", "- z: int32", "- d: double"]
    with pytest.raises(SluiceError) as refused:
        source_and_transform(
            world.event, world.event.windows.window("2024-01-02"), world.platform, run_id="run"
        )[1]()
    assert finding.told.partition(": the")[2] == str(refused.value.problem).partition("the")[2]
