"""If the record timestamp is to be the event time, it is exactly that, also before 1970;
otherwise the row is a dead letter."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from pipelines import load_catalogue
from pipelines.publishing.request import Replay
from pipelines.publishing.stored_rows import NotPublishable
from pipelines.reconciling.reconciler import Reconciler
from pipelines.stages.transform import Transformed
from tests.matrix import one_of
from tests.pipelines.publishing.conftest import World

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS = ("1969-12-31", "1970-01-01", "1970-01-02")
# Event times in microseconds since 1970, and their record timestamps: None if none is possible.
INSTANTS = {
    -43_200_000_000: -43_200_000,
    -1_000_001: -1_001,
    -1_000: -1,
    -1: -1,
    0: None,
    1: None,
    999: None,
    1_000: 1,
    1_001: 1,
    86_400_000_000: 86_400_000,
}


@pytest.fixture(params=one_of("world", "embedded_world"))
def old_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose windows are around the beginning of 1970."""
    found: World = request.getfixturevalue(request.param)
    fill(found, list(INSTANTS))
    declare(found)
    found.create_topic(retention_ms="-1")
    yield found


def fill(world: World, micros: list[int], amount: int = 1) -> None:
    world._forget_platforms()
    told = ", ".join(f"('k{at}', make_timestamptz({at}), {amount})" for at in micros)
    with duckdb.connect(str(world.folder / "dwh.duckdb")) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE happenings (id VARCHAR, happened_at TIMESTAMPTZ, amount BIGINT)"
        )
        connection.execute(f"INSERT INTO happenings VALUES {told}")


def declare(world: World, more: str = 'record_timestamp="event_time", dead_letters=0.9,') -> None:
    world.define(more=more)
    path = world.folder / "assets" / "tests" / "happened.py"
    path.write_text(
        path.read_text().replace('daily("2013-01-01", "2013-02-01")', 'daily("1969-12-30", "1970-01-05")')
    )
    world.event = load_catalogue(world.folder / "assets").find("happened")


def deliver(world: World, **settings: object) -> list[Transformed]:
    platform = world.platform(**settings)
    done = []
    for day in DAYS:
        done.append(world.prepare(platform, window=day))
        world.publish(platform, window=day)
    return done


def stamps(world: World) -> dict[int, int]:
    """Record timestamps by event time in microseconds."""
    return {
        (record.value["happened_at"] - EPOCH) // timedelta(microseconds=1): record.timestamp_ms
        for record in world.seen()
        if record.value is not None
    }


@pytest.mark.parametrize("way", ["native", "public"])
def test_event_times_around_1970_are_the_timestamps_or_dead_letters(old_world: World, way: str) -> None:
    done = deliver(old_world, producing=way)
    assert stamps(old_world) == {at: stamp for at, stamp in INSTANTS.items() if stamp is not None}
    assert [dict(one.reasons) for one in done] == [{}, {"zero_timestamp": 3}, {}]
    letter = done[1].sample[0]
    assert (letter["field"], letter["value"]) == ("happened_at", "1970-01-01 00:00:00+00:00")
    assert 'record_timestamp="publish_time"' in letter["detail"]
    with Reconciler(old_world.event, old_world.platform(producing=way)) as reconciler:
        assert [reconciler.reconcile_whole(day).verdict for day in DAYS] == ["agrees"] * 3


def test_a_correction_and_a_replay_carry_the_event_times(old_world: World) -> None:
    deliver(old_world)
    fill(old_world, [at for at in INSTANTS if at != 1_000], amount=2)
    platform = old_world.platform()
    for day in DAYS:
        old_world.prepare(platform, window=day)
        old_world.publish(platform, window=day)
        old_world.publish(platform, window=day, reason="once more", replay=Replay(request=f"again {day}"))
    found = [record for record in old_world.seen() if record.value is not None]
    assert len(found) > 2 * len(INSTANTS) - 10
    for record in found:
        assert record.value is not None
        at = (record.value["happened_at"] - EPOCH) // timedelta(microseconds=1)
        assert record.timestamp_ms == INSTANTS[at]


def test_stored_rows_that_cannot_have_their_timestamp_are_not_published(old_world: World) -> None:
    declare(old_world, "dead_letters=0.9,")
    platform = old_world.platform()
    assert old_world.prepare(platform, window=DAYS[1]).dead == 0
    declare(old_world)
    with pytest.raises(
        NotPublishable, match=r"3 stored rows cannot be published.*materialize transformed again"
    ):
        old_world.publish(platform, window=DAYS[1])
    assert old_world.seen() == []


def test_the_time_of_publication_is_as_good_for_1970_as_for_any_day(old_world: World) -> None:
    declare(old_world, "")
    deliver(old_world)
    assert stamps(old_world).keys() == INSTANTS.keys()
    assert min(stamps(old_world).values()) > 1_600_000_000_000
