"""A tombstone is sent only if the newest record of its key is from the window itself:
rows move between windows."""

from itertools import product
from typing import TYPE_CHECKING

import pytest

from pipelines.publishing.publisher import Publisher
from pipelines.publishing.request import PublishRequest, Replay
from resources.kafka.errors import KafkaRefused
from resources.kafka.reading.range_reader import RangeReader
from resources.kafka.transactions import TransactionalProducer
from tests.hearing import into
from tests.pipelines.publishing.stale.test_stale_writes import (
    LATER,
    SKIP,
    WINDOW,
    Foreigner,
    agrees,
    at,
    entry,
    standing,
)

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import Row, World

DAY = 24 * 60
KEEPS: list["Row"] = [(f"keeps{n}", n, n) for n in range(20)]


def placed(places: dict[str, int | None]) -> list["Row"]:
    """A row for each key at its minute since the first window's start; None: the warehouse has no such
    row."""
    return [(key, minute, minute) for key, minute in places.items() if minute is not None]


def publish_all(world: "World", rows: list["Row"], order: list[str]) -> None:
    world.rows(rows)
    for window in order:
        platform = world.platform()
        world.prepare(platform, window=window)
        world.publish(platform, window=window)


@pytest.mark.parametrize("orders", list(product([[WINDOW, LATER], [LATER, WINDOW]], repeat=2)))
def test_every_move_between_windows_leaves_the_warehouse_on_the_topic(
    embedded_world: "World", orders: tuple[list[str], list[str]]
) -> None:
    """The name of each key is its position in three states: absent, in the first window, in the second."""
    world = embedded_world
    world.define(more="tombstones=True,")
    minutes = {"a": None, "1": 60, "2": DAY + 60}
    paths = ["".join(path) for path in product("a12", repeat=3)]
    for round_, order in enumerate([[WINDOW, LATER], *orders]):
        # Another minute in each round: a row that moved within its window is another event of the same key.
        wanted = {path: None if (base := minutes[path[round_]]) is None else base + round_ for path in paths}
        publish_all(world, placed(wanted), order)
        found = standing(world)
        assert {path: found.get(path) for path in paths} == wanted
    assert agrees(world) and agrees(world, LATER)


@pytest.mark.parametrize("more", ["tombstones=True,", SKIP + " tombstones=True,"])
def test_a_row_that_moved_to_a_window_published_before_keeps_its_newer_record(
    world: "World", more: str
) -> None:
    world.define(more=more)
    world.create_topic(3, cleanup_policy="compact")
    publish_all(world, [*KEEPS, ("moved", 10, 1), ("gone", 11, 2)], [WINDOW, LATER])
    publish_all(world, [*KEEPS, ("moved", DAY + 10, 3)], [LATER, WINDOW])
    found = standing(world)
    assert (found["moved"], found["gone"]) == (3, None)
    told = entry(world)
    assert (told.rows_total, told.stale, told.status) == (1, 1, "published")
    assert any("1 tombstone left out" in said for said in world.said)
    assert agrees(world)
    publish_all(world, [*KEEPS], [LATER, WINDOW])
    assert standing(world)["moved"] is None, "the window that has it now lets it go"


@pytest.mark.parametrize("contract", ["the same fields", "another contract", "without the former key"])
@pytest.mark.parametrize("more", ["tombstones=True,", SKIP + " tombstones=True,"])
def test_under_another_key_the_former_keys_are_deleted_and_no_others(
    embedded_world: "World", more: str, contract: str
) -> None:
    """The values of both key fields overlap: '2' is both a former key and a new one;
    'x' is in a window that did not change."""
    world = embedded_world
    note = {"name": "note", "type": "string", "doc": "another name of it"}
    body, fields = "return rows.assign(note=rows['id'] + '!')", [note]
    world.define(body, more=more, extra_fields=fields)
    publish_all(world, [("a", 10, 1), ("2", 11, 2), ("b", 12, 3), ("x", DAY + 1, 2)], [WINDOW, LATER])
    key = "amount" if contract != "without the former key" else "note"
    if contract == "another contract":
        fields = [note, {"name": "more", "type": ["null", "string"], "default": None, "doc": "nothing"}]  # type: ignore[dict-item]
        body = "return rows.assign(note=rows['id'] + '!', more=None)"
    if contract == "without the former key":
        body = "return rows.rename(columns={'id': 'note'})"
    world.define(body, more=more, extra_fields=fields, key=key, without="id" if key == "note" else None)
    world.rows([("a", 10, 1), ("2", 11, 2), ("c", 13, 4), ("x", DAY + 1, 2)])
    world.prepare()
    before = {(record.kafka_partition, record.offset) for record in world.seen()}
    world.publish(on_definition_change="correct")
    sent = [record for record in world.seen() if (record.kafka_partition, record.offset) not in before]
    new = {"1", "2", "4"} if key == "amount" else {"a", "2", "c"}
    assert {record.key for record in sent if record.value is not None} == new
    assert {record.key for record in sent if record.value is None} == {"a", "2", "b"} - new
    assert {key for key, amount in standing(world).items() if amount is not None} == {*new, "x"}
    assert agrees(world)


def test_a_row_that_moved_to_an_earlier_window_is_not_deleted_there(embedded_world: "World") -> None:
    world = embedded_world
    world.define(more="tombstones=True,")
    publish_all(world, [*KEEPS, ("moved", DAY + 10, 1)], [WINDOW, LATER])
    publish_all(world, [*KEEPS, ("moved", 10, 2)], [WINDOW, LATER])
    assert standing(world)["moved"] == 2


def test_a_row_that_comes_back_is_published_though_its_tombstone_is_later(embedded_world: "World") -> None:
    world = embedded_world
    world.define(more=SKIP + " tombstones=True,")
    publish_all(world, [*KEEPS, ("back", 10, 1), ("earlier", DAY + 10, 2)], [WINDOW, LATER])
    publish_all(world, KEEPS, [WINDOW, LATER])
    assert (standing(world)["back"], standing(world)["earlier"]) == (None, None)
    publish_all(world, [*KEEPS, ("back", 10, 1), ("earlier", 10, 3)], [WINDOW, LATER])
    assert (standing(world)["back"], standing(world)["earlier"]) == (1, 3)
    assert agrees(world) and agrees(world, LATER)


def test_what_was_left_out_for_a_row_that_is_gone_is_sent_by_a_fresh_replay_alone(
    embedded_world: "World",
) -> None:
    """The stored rows of a window may be older than the deletion of their keys;
    rows that are sourced again are not."""
    world = embedded_world
    world.define(more=SKIP + " tombstones=True,")
    publish_all(world, [*KEEPS, ("moved", DAY + 10, 1)], [WINDOW, LATER])
    publish_all(world, [*KEEPS, ("moved", 10, 2)], [WINDOW, LATER])
    assert standing(world)["moved"] is None, "left out, since the later window still had it"
    assert any("1 stored row of" in said and WINDOW in said for said in world.said)
    assert world.publish(reason="r", replay=Replay("stored")).stale == 1
    assert standing(world)["moved"] is None
    assert world.publish(reason="r", replay=Replay("fresh", source="fresh")).stale == 0
    assert standing(world)["moved"] == 2


def test_a_row_that_comes_back_is_not_put_behind_a_newer_one_of_another_window(
    embedded_world: "World",
) -> None:
    world = embedded_world
    world.define(more=SKIP + " tombstones=True,")
    publish_all(world, [("k", 10, 1), *KEEPS], [WINDOW])
    publish_all(world, [("k", 10, 1), ("k", DAY + 10, 2), *KEEPS], [LATER])
    publish_all(world, [("k", 10, 1), *KEEPS], [LATER])
    assert standing(world)["k"] is None
    publish_all(world, [("k", 10, 1), ("k", 20, 3), *KEEPS], [WINDOW])
    assert standing(world)["k"] == 3
    publish_all(world, [("k", 10, 1), ("k", 20, 3), ("k", DAY + 10, 2), *KEEPS], [LATER])
    publish_all(world, [("k", 10, 1), ("k", 20, 3), *KEEPS], [LATER])
    publish_all(world, [("k", 10, 4), ("k", 20, 3), *KEEPS], [WINDOW])
    assert standing(world)["k"] is None, "of the window itself, 00:20 is newer than 00:10"


def test_what_another_producer_wrote_since_is_not_deleted(embedded_world: "World") -> None:
    world = embedded_world
    world.define(more="tombstones=True,")
    publish_all(world, [*KEEPS, ("live", 10, 1), ("older", 11, 2)], [WINDOW])
    other = Foreigner(world)
    other.put("live", at(0, day=9), 1001)
    other.put("older", at(0, day=1), 1002)
    publish_all(world, [*KEEPS], [WINDOW])
    assert (standing(world)["live"], standing(world)["older"]) == (1001, 1002)


def test_a_value_that_slips_in_before_the_tombstone_stands(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value is written after the topic was compared, and before the tombstones reach the log."""
    world.define(more="tombstones=True,")
    publish_all(world, [*KEEPS, ("live", 10, 1), ("gone", 11, 2)], [WINDOW])
    other, real, begun = Foreigner(world), TransactionalProducer.begin, 0

    def begin(self: TransactionalProducer) -> None:
        nonlocal begun
        real(self)
        begun += 1
        if begun == 1:
            other.put("live", at(0, day=1), 1001)
            other.put("keeps1", at(0, day=1), 1002)

    monkeypatch.setattr(TransactionalProducer, "begin", begin)
    publish_all(world, KEEPS, [WINDOW])
    found = standing(world)
    assert (found["live"], found["gone"], found["keeps1"]) == (1001, None, 1002)
    assert agrees(world)


def test_windows_whose_records_lie_in_another_order_than_their_times(embedded_world: "World") -> None:
    """The second window of the run has the first records of the topic:
    more of the topic must be read than for the first."""
    world = embedded_world
    world.define(more="tombstones=True,")
    publish_all(world, [("one", 10, 1), ("two", DAY + 10, 2)], [LATER, WINDOW])
    # Both windows in one run, so that both use one guard.
    world.rows([])
    platform = world.platform()
    for window in (WINDOW, LATER):
        world.prepare(platform, window=window)
    with Publisher(
        world.event, platform, run_id="both", request=PublishRequest(), tell=into(world.said)
    ) as publisher:
        results = [publisher.publish(window) for window in (WINDOW, LATER)]
    assert [result.tombstones for result in results] == [1, 1]
    assert standing(world) == {"one": None, "two": None}


def test_without_the_right_to_read_the_tombstones_go_out_with_a_warning(
    embedded_world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    world.define(more="tombstones=True,")
    publish_all(world, [*KEEPS, ("gone", 10, 1)], [WINDOW])

    def refused(*_: object) -> object:
        raise KafkaRefused(f"topic {world.topic}", "this login may not read it")

    with monkeypatch.context() as patched:
        patched.setattr(RangeReader, "read", refused)
        publish_all(world, KEEPS, [WINDOW])
    assert standing(world)["gone"] is None
    (said,) = [said for said in world.said if "may not read it" in said]
    assert "this login may not read it" in said and "each key lives in one window" in said
