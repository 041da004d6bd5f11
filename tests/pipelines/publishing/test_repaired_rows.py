"""The rules of a redrive, without a broker: which rows were repaired, and in which order they join the
others."""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.encoding import RecordEncoder
from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.dead_letters.repaired_rows import repaired, together
from pipelines.publishing.next_generation.decision import decide, decide_redrive
from pipelines.stages.dead_letters import RetriedRows
from pipelines.transform import LETTERS_SCHEMA
from resources.platform import Platform
from resources.snapshots import Snapshot

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import World

MIDNIGHT = 1_356_998_400_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> "World":
    from tests.pipelines.publishing.conftest import World

    return World(tmp_path_factory.mktemp("world"), "127.0.0.1:1", "http://127.0.0.1:1")


def entry(**changes: object) -> LedgerEntry:
    found = LedgerEntry(
        event="tests/happened", window="w", topic="t", generation=2, kind="redrive", status="published",
        snapshot="new", rows_total=4, rows_done=4, code_version="a", contract="c", schema_id=1, run_id="r",
        written_at="now", delta="d",
    )  # fmt: skip
    return found.advanced(**changes)


def test_what_a_redrive_decides() -> None:
    assert decide_redrive(entry(), 3, "3 repaired").action == "redrive"
    assert decide_redrive(entry(), 3, "3 repaired").generation == 3
    assert decide_redrive(entry(), 0, "none").action == "nothing"
    stopped = entry(status="publishing", rows_done=1)
    assert decide_redrive(stopped, None, "").action == "finish"
    # Any other run finishes it too, whatever it would publish itself.
    assert decide(stopped, "another").action == "finish"
    assert decide(stopped, "new").action == "resume"
    assert decide(entry(), "new").action == "nothing"


def test_letters_say_which_rows_were_tried_and_how_often() -> None:
    letters = [
        {"event": "e", "window": "w", "run_id": "r", "attempts": n, "source_row": row, "field": "", "reason": "null",
         "value": None, "detail": "", "row": None}
        for row, n in ((7, 2), (7, 2), (3, 1), (None, 4))
    ]  # fmt: skip
    tried = RetriedRows.of([pa.RecordBatch.from_pylist(letters, schema=LETTERS_SCHEMA)])
    assert (tried.rows.tolist(), tried.attempts.tolist(), tried.unknown) == ([3, 7], [1, 2], 1)
    asked = np.array([0, 3, 7, 8, -1])
    assert tried.attempts_of(asked).tolist() == [0, 1, 2, 0, 0]
    assert tried.among(asked).tolist() == [False, True, True, False, False]
    none = RetriedRows.of([])
    assert none.attempts_of(asked).tolist() == [0] * 5 and not none.among(asked).any()


def stored(platform: Platform, world: "World", amounts: list[int]) -> Snapshot:
    schema = world.event.contract.arrow_schema
    with platform.snapshots.writer("tests/happened", "w", "transformed", schema) as out:
        for first in range(0, len(amounts), 3):
            part = amounts[first : first + 3]
            columns = [
                pa.array([str(amount) for amount in part]),
                pa.array([MIDNIGHT] * len(part)).cast(schema.field("happened_at").type),
                pa.array(part, pa.int64()),
            ]
            out.write(pa.RecordBatch.from_arrays(columns, schema=schema))
        return out.finish({}, make_current=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.lists(st.integers(0, 4), max_size=8),
    new=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=8),
)
def test_what_was_repaired_is_what_the_base_lacks_of_the_rows_tried_again(
    world: "World", base: list[int], new: list[tuple[int, bool]]
) -> None:
    platform = world.platform(batch_rows=2)
    encoder = RecordEncoder(world.event.contract, schema_id=1, topic="t", key="id")
    again = np.flatnonzero([tried for _, tried in new]).astype(np.int64)
    found = repaired(
        platform,
        encoder,
        stored(platform, world, base),
        stored(platform, world, [amount for amount, _ in new]),
        again,
    )
    others = Counter(amount for amount, tried in new if not tried)
    tried = Counter(amount for amount, tried in new if tried)
    there = Counter(base)
    assert Counter(new[row][0] for row in found.rows) == tried - (there - others)
    assert set(found.rows) <= set(again.tolist()) and list(found.rows) == sorted(found.rows)
    assert found.others == sum((others - there).values())
    assert found.gone == sum((there - others - tried).values())
    # "Alone": the published rows and the repaired ones are together exactly the new snapshot.
    together_ = there + Counter(new[row][0] for row in found.rows)
    assert found.alone == (together_ == others + tried)


TIMES = st.lists(st.integers(0, 9), max_size=12)


@settings(max_examples=200, deadline=None)
@given(base=TIMES, more=TIMES, size=st.integers(1, 4))
def test_rows_join_in_order_of_time(base: list[int], more: list[int], size: int) -> None:
    schema = pa.schema([("at", pa.timestamp("us", "UTC")), ("name", pa.string())])

    def batches(times: list[int], prefix: str) -> list[pa.RecordBatch]:
        rows = [(time, f"{prefix}{n}") for n, time in enumerate(times)]
        return [
            pa.RecordBatch.from_arrays(
                [
                    pa.array([t for t, _ in rows[i : i + size]], pa.int64()).cast(schema[0].type),
                    pa.array([n for _, n in rows[i : i + size]], pa.string()),
                ],
                schema=schema,
            )
            for i in range(0, len(rows), size)
        ]

    joined = list(together(batches(base, "b"), batches(more, "m"), "at"))
    assert all(batch.schema == schema for batch in joined)
    rows = [(row["at"].microsecond, row["name"]) for batch in joined for row in batch.to_pylist()]
    # Nothing lost, nothing twice, and each side in its earlier order.
    assert [name for _, name in rows if name[0] == "b"] == [f"b{n}" for n in range(len(base))]
    assert [name for _, name in rows if name[0] == "m"] == [f"m{n}" for n in range(len(more))]
    if base == sorted(base) and more == sorted(more):
        assert [time for time, _ in rows] == sorted(base + more)
