"""A window with a wrong value is not published, whichever step made the value wrong;
what is on a topic is checked too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.contract import AvroType
from pipelines.encoding import EncodedBatch, RecordEncoder
from pipelines.independent_judge.errors import Misjudged
from pipelines.publishing.publisher import Publisher
from pipelines.reconciling.reconciler import Reconciler
from pipelines.stages.source_and_transform import source_and_transform
from pipelines.transform.conforming import conformer
from tests.pipelines.publishing.conftest import WINDOW, World, embedded_world

__all__ = ["embedded_world"]

ROWS = [(f"k{n}", n, n) for n in range(60)]


def next_rows(real: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that returns for each row the value of the next row."""

    def conform(source: Any, avro: AvroType) -> Any:
        array, misfits = real(source, avro)
        if pa.types.is_int64(array.type):
            array = pa.concat_arrays([array.slice(1), array.slice(0, 1)])
        return array, misfits

    return conform


def amounts_plus_one(self: RecordEncoder, batch: pa.RecordBatch, *, with_ids: bool = False) -> EncodedBatch:
    more = pa.array([value + 1 for value in batch.column("amount").to_pylist()], pa.int64())
    wrong = batch.set_column(batch.schema.get_field_index("amount"), batch.schema.field("amount"), more)
    return _ENCODE(self, wrong, with_ids=with_ids)


_ENCODE = RecordEncoder.encode


@pytest.fixture
def wrong_encoder() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield lambda: patch.setattr(RecordEncoder, "encode", amounts_plus_one)


@pytest.mark.parametrize("together", [True, False], ids=["in one pass", "step by step"])
def test_a_window_that_was_conformed_wrongly_has_no_snapshot_to_publish(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    world = embedded_world
    world.rows(ROWS)
    monkeypatch.setattr(conformer, "conform_column", next_rows(conformer.conform_column))  # type: ignore[attr-defined]
    platform = world.platform()
    window = world.event.windows.window(WINDOW)
    with pytest.raises(Misjudged, match="column 'amount'"):
        if together:
            source_and_transform(world.event, window, platform, run_id="r")[1]()
        else:
            world.prepare(platform)
    assert platform.snapshots.current(world.event.full_name, WINDOW, "transformed") is None
    assert not list(Path(world.folder / "home").rglob("validated-*.json"))


def test_an_encoder_that_is_wrong_is_found_before_anything_is_published(
    embedded_world: World, wrong_encoder: Any
) -> None:
    world = embedded_world
    world.rows(ROWS)
    platform = world.platform()
    wrong_encoder()
    with pytest.raises(Misjudged, match="column 'amount'"):
        world.prepare(platform)


def test_an_encoder_that_goes_wrong_later_publishes_nothing(
    embedded_world: World, wrong_encoder: Any
) -> None:
    world = embedded_world
    world.rows(ROWS)
    platform = world.platform()
    world.prepare(platform)
    wrong_encoder()
    with pytest.raises(Misjudged, match="column 'amount'") as caught:
        world.publish(platform)
    assert caught.value.row == 0
    assert world.seen() == []
    with Publisher(world.event, platform, run_id="r") as publisher:
        assert publisher.ledger(WINDOW) is None


def test_a_topic_that_was_written_by_a_wrong_encoder_is_named_by_verify(
    embedded_world: World, wrong_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    with monkeypatch.context() as older:
        older.setattr("pipelines.encoding.judge.RecordJudge.judge", lambda *_, **__: None)
        wrong_encoder()
        world.deliver(ROWS)
        with Reconciler(world.event, world.platform()) as reconciler:
            assert reconciler.reconcile_whole(WINDOW).ok  # it agrees with the snapshot, which is as wrong
    with Reconciler(world.event, world.platform()) as reconciler:
        found = reconciler.reconcile_whole(WINDOW)
        assert (found.verdict, found.ok) == ("differs", False)
        assert "column 'amount'" in found.told and "row 0" in found.told
        assert not reconciler.reconcile(WINDOW).ok


def published_by_an_older_build(
    world: World, monkeypatch: pytest.MonkeyPatch, kernel: Callable[..., Any]
) -> None:
    """All three steps with a wrong kernel, and without the judge."""
    with monkeypatch.context() as older:
        older.setattr("pipelines.transform.conforming.judge.ConformJudge.judge", lambda *_: ())
        older.setattr(conformer, "conform_column", kernel(conformer.conform_column))  # type: ignore[attr-defined]
        world.deliver(ROWS)


BODIES = {
    "no transform": "return rows",
    "a transform": "return rows.assign(amount=rows['amount'] * 2)",
    "a transform that leaves rows out": "return rows[rows['amount'] > 20]",
    "a transform that makes two of one": "return rows.loc[rows.index.repeat(2)]",
    "a transform that forgets the index": "return rows.reset_index(drop=True)",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("whole", ["", "whole_window=True"], ids=["in batches", "whole window"])
def test_a_wrong_value_that_an_older_build_published_is_named_by_verify(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch, body: str, whole: str
) -> None:
    world = embedded_world
    world.define(body, more=whole)
    published_by_an_older_build(world, monkeypatch, next_rows)
    with Reconciler(world.event, world.platform()) as reconciler:
        found = reconciler.reconcile_whole(WINDOW)
    assert not found.ok
    assert found.wrong and "column 'amount'" in found.wrong and "publish the window again" in found.wrong


def test_rows_with_dead_letters_among_them_are_compared_with_their_own_source(embedded_world: World) -> None:
    world = embedded_world
    world.define(
        "return rows.assign(amount=rows['amount'].where(rows['amount'] > 20))", more="dead_letters=0.5"
    )
    world.deliver(ROWS)
    with Reconciler(world.event, world.platform()) as reconciler:
        found = reconciler.reconcile_whole(WINDOW)
    assert found.ok and found.judged >= 4 and found.not_judged is None
    world.define(
        "return rows.assign(amount=rows['amount'].where(rows['amount'] > 21))", more="dead_letters=0.5"
    )
    with Reconciler(world.event, world.platform()) as reconciler:
        found = reconciler.reconcile_whole(WINDOW)
    assert found.ok and not found.judged and found.not_judged == "another version of the module made the rows"


def test_a_transform_that_makes_other_rows_each_time_is_no_wrong_value(embedded_world: World) -> None:
    world = embedded_world
    world.define(
        "import random; return rows.assign(amount=[random.randrange(10**15) for _ in range(len(rows))])"
    )
    world.deliver(ROWS)
    with Reconciler(world.event, world.platform()) as reconciler:
        found = reconciler.reconcile_whole(WINDOW)
    assert found.ok and found.not_judged == "the transform makes other rows of the same ones each time"


def test_a_window_without_its_sourced_rows_is_verified_by_its_records_alone(embedded_world: World) -> None:
    world = embedded_world
    world.deliver(ROWS)
    for file in Path(world.folder / "home").rglob("sourced-*.parquet"):
        file.unlink()
    with Reconciler(world.event, world.platform()) as reconciler:
        found = reconciler.reconcile_whole(WINDOW)
    assert found.ok and found.not_judged == "the sourced snapshot is not stored any more"


def test_the_rows_that_were_judged_are_counted_and_are_the_same_in_each_run(embedded_world: World) -> None:
    world = embedded_world
    world.rows(ROWS)
    first, second = world.prepare(), world.prepare()
    assert first.judged == second.judged == first.facts["judged"] >= 4
