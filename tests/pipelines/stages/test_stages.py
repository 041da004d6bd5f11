"""The first two steps with a real warehouse:
snapshots that depend only on the rows, and verdicts that are right."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.stages.source import source_window
from pipelines.stages.transform import transform_window
from resources.errors import SluiceError
from resources.platform import Platform

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import World

WINDOW = "2013-01-01"


@pytest.fixture
def world(tmp_path: Path) -> "Iterator[World]":
    from tests.pipelines.publishing.conftest import World

    # Neither step uses a broker or a registry: nothing answers at these addresses.
    made = World(tmp_path, "127.0.0.1:1", "http://127.0.0.1:1")
    yield made
    made.close()


def rows(count: int) -> list[tuple[str, int, int]]:
    return [(f"k{n * 5 % 7}", (n * 37) % 1440, n) for n in range(count)]


def sourced(world: "World", platform: Platform, window: str = WINDOW) -> list[dict[str, object]]:
    snapshot = source_window(world.event, world.event.windows.window(window), platform, run_id="r")
    return [row for batch in platform.snapshots.read(snapshot, batch_rows=10) for row in batch.to_pylist()]


def test_rows_of_the_window_come_ordered_by_time_key_and_all_the_rest(world: "World") -> None:
    world.rows([*rows(50), ("k1", 5, 9), ("k1", 5, 8), ("k0", 5, 10)])
    found = sourced(world, world.platform())
    keys = [(row["happened_at"], row["id"], row["amount"]) for row in found]
    assert len(found) == 53
    assert keys == sorted(keys)
    assert sourced(world, world.platform(), "2013-01-02") == []


def test_the_hash_is_that_of_the_rows_whatever_their_order_and_batches(world: "World") -> None:
    hashes = set()
    for order, batch_rows in ((1, 7), (-1, 32768)):
        world.rows(rows(300)[::order])
        hashes.add(world.prepare(world.platform(batch_rows=batch_rows)).snapshot.sha256)
    assert len(hashes) == 1


def test_a_query_that_fails_names_the_module_at_once_or_in_its_rows(world: "World") -> None:
    world.rows(rows(3))
    text = (world.folder / "assets/tests/happened.py").read_text()
    for select, told in (
        ("idd AS id", "idd"),
        ("CAST(id AS INTEGER) AS id", r"column id at line \d+ of happened\.py: SELECT CAST"),
    ):
        (world.folder / "assets/tests/happened.py").write_text(
            text.replace("SELECT id,", f"SELECT {select},")
        )
        from pipelines import load_catalogue

        world.event = load_catalogue(world.folder / "assets").find("happened")
        with pytest.raises(
            SluiceError, match=rf"tests/happened 2013-01-01: .*({told}).*mend `source` in happened"
        ):
            sourced(world, world.platform())
    assert world.platform().snapshots.current("tests/happened", WINDOW, "sourced") is None


def test_dead_letters_are_counted_kept_and_block(world: "World") -> None:
    world.define(
        "return rows.assign(amount=rows['amount'].where(~rows['amount'].isin([3, 13, 23, 33, 43]), None))"
    )
    world.rows(rows(50))
    platform = world.platform(max_dead_letters=2, batch_rows=7)
    done = world.prepare(platform)
    assert (done.rows_in, done.dead, done.snapshot.rows, done.passed) == (50, 5, 45, False)
    assert sum(done.reasons.values()) == 5
    assert "5 of 50 rows" in done.verdict and "allows none" in done.verdict
    assert len(done.sample) == 5
    # Every dead letter is known; those beyond the setting have no content of their row.
    kept = [
        row for batch in platform.snapshots.read(done.letters, batch_rows=10) for row in batch.to_pylist()
    ]
    assert [(row["event"], row["window"], row["run_id"], row["attempts"]) for row in kept] == [
        ("tests/happened", WINDOW, "prepares", 1)
    ] * 5
    source = sourced(world, platform)
    assert {source[row["source_row"]]["amount"] for row in kept} == {3, 13, 23, 33, 43}
    assert [(row["field"], row["reason"]) for row in kept] == [("amount", "null")] * 5
    assert [row["row"] is not None for row in kept] == [True, True, False, False, False]
    assert platform.snapshots.current("tests/happened", WINDOW, "dead") == done.letters
    found = platform.snapshots.validation("tests/happened", WINDOW, done.snapshot.sha256)
    assert found is not None and found["passed"] is False


@pytest.mark.parametrize(("share", "passed"), [("0.1", True), ("0.09", False)])
def test_a_share_of_dead_letters_may_be_allowed(world: "World", share: str, passed: bool) -> None:
    body = "return rows.assign(amount=rows['amount'].where(~rows['amount'].isin([3, 13, 23, 33, 43]), None))"
    world.define(body, more=f"dead_letters={share},")
    world.rows(rows(50))
    assert world.prepare().passed is passed


def test_the_window_s_dead_letters_are_those_of_its_newest_snapshot(world: "World") -> None:
    world.define("return rows.assign(amount=rows['amount'].where(rows['amount'] != 3, None))")
    world.rows(rows(5))
    assert world.prepare().dead == 1
    world.rows(rows(3))
    done = world.prepare()
    current = world.platform().snapshots.current("tests/happened", WINDOW, "dead")
    assert done.dead == 0 and done.letters == current
    assert current is not None and current.rows == 0


def test_a_transform_sees_the_whole_window_only_where_it_asks(world: "World") -> None:
    body = "return rows.assign(amount=len(rows))"
    world.rows(rows(20))
    for more, amounts in (("", {7, 6}), ("whole_window=True,", {20})):
        world.define(body, more=more)
        platform = world.platform(batch_rows=7)
        done = world.prepare(platform)
        found = {
            a for b in platform.snapshots.read(done.snapshot, batch_rows=99) for a in b["amount"].to_pylist()
        }
        assert found == amounts


@pytest.mark.parametrize("more", ["", "whole_window=True,"])
def test_an_empty_window_passes(world: "World", more: str) -> None:
    world.define("return rows.assign(amount=rows['amount'] + 1)", more=more)
    done = world.prepare()
    assert (done.rows_in, done.dead, done.snapshot.rows, done.passed) == (0, 0, 0, True)


def test_transformed_without_sourced_says_what_comes_first(world: "World") -> None:
    with pytest.raises(SluiceError, match="materialize sourced first"):
        transform_window(world.event, world.event.windows.window(WINDOW), world.platform(), run_id="r")
