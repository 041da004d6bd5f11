"""Dead letters after a fix, on a real Apache Kafka:
exactly the repaired rows are sent, once, and the others stay known."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.cli.actions.dead_letters import windows_to_redrive
from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.dead_letters.retry import CannotRedrive
from pipelines.publishing.next_generation.correction import DefinitionChanged
from pipelines.publishing.next_generation.generation_planner import NeverPublished
from pipelines.publishing.publisher import NotPublishable
from pipelines.publishing.request import Redrive
from pipelines.reconciling.reconciler import Reconciler
from pipelines.stages.transform import Blocked
from tests.pipelines.publishing.test_crashes import Interrupted, entry, interrupt

if TYPE_CHECKING:
    from pipelines.publishing.result import PublishResult
    from tests.pipelines.publishing.conftest import Row, World

WINDOW = "2013-01-01"
SHARE = "dead_letters=0.5,"
ROWS: list["Row"] = [(f"k{n % 4}", n * 10, n) for n in range(20)]
# Null although the contract requires a value: rows 3, 7 and 11 are dead letters.
BROKEN = "return rows.assign(amount=rows['amount'].where(~rows['amount'].isin([3, 7, 11]), None))"
MENDED = "return rows.assign(amount=rows['amount'].where(~rows['amount'].isin([7]), None))"
DEAD = [row for row in ROWS if row[2] in (3, 7, 11)]
ALIVE = [row for row in ROWS if row not in DEAD]


def redrive(
    world: "World", *, settings: dict[str, Any] | None = None, force: bool = False, **how: Any
) -> "PublishResult":
    return world.publish(world.platform(**settings or {}), redrive=Redrive(force), run_id="redrives", **how)


def letters(world: "World") -> list[tuple[int, str, int, str]]:
    """Source row, reason, attempts and run of the window's current dead letters."""
    store = world.platform().snapshots
    current = store.current("tests/happened", WINDOW, "dead")
    assert current is not None
    rows = [row for batch in store.read(current, batch_rows=100) for row in batch.to_pylist()]
    assert {(row["event"], row["window"]) for row in rows} <= {("tests/happened", WINDOW)}
    return [(row["source_row"], row["reason"], row["attempts"], row["run_id"]) for row in rows]


def reconciled(world: "World") -> str:
    with Reconciler(world.event, world.platform()) as reconciler:
        return reconciler.reconcile(WINDOW).verdict


def published_with_letters(world: "World", rows: list["Row"] = ROWS, more: str = SHARE) -> "PublishResult":
    world.define(BROKEN, more=more)
    return world.deliver(rows)


def test_exactly_the_repaired_rows_go_out_and_say_what_they_are(world: "World") -> None:
    first = published_with_letters(world)
    assert (first.action, first.published) == ("backfill", 17)
    assert letters(world) == [(n, "null", 1, "prepares") for n in (3, 7, 11)]

    world.define(MENDED, more=SHARE)
    # The warehouse is not queried: its current rows are a matter for another run.
    world.rows([])
    result = redrive(world, reason="pieces were counted wrong")
    assert (result.action, result.generation, result.published, result.skipped) == ("redrive", 2, 2, 17)
    assert (result.rows_read, result.dead) == (19, 1)
    assert "2 events repaired of 3 dead letters; still dead: null 1" in result.because
    assert world.counted() == Counter(row for row in ROWS if row[2] != 7)
    again = [record for record in world.seen() if record.headers]
    assert sorted(record.row[2] for record in again) == [3, 11]
    assert {record.headers["sluice_kind"] for record in again} == {"redrive"}
    assert {record.headers["sluice_generation"] for record in again} == {"2"}
    assert {record.headers["sluice_reason"] for record in again} == {"pieces were counted wrong"}
    assert all(record.headers["sluice_event_id"] for record in again)
    assert letters(world) == [(7, "null", 2, "redrives")]
    done = entry(world)
    assert (done.kind, done.status, done.rows_done) == ("redrive", "published", 2)
    assert (done.code_version, done.snapshot) == (world.event.code_version, result.snapshot)
    assert reconciled(world) == "agrees"

    # There is no question and nothing is sent if the window is run again, in part or whole.
    assert world.publish().action == "nothing"
    assert world.deliver(ROWS).action == "nothing"
    assert world.counted() == Counter(row for row in ROWS if row[2] != 7)


def test_a_row_that_fails_again_is_kept_and_not_tried_by_the_same_version_again(world: "World") -> None:
    published_with_letters(world)
    same = redrive(world)
    assert (same.action, same.published, same.dead) == ("nothing", 0, 3)
    assert "nothing new to try" in same.because
    assert letters(world) == [(n, "null", 1, "prepares") for n in (3, 7, 11)]

    # Another version, which fixes nothing.
    world.define(BROKEN + "  # counted", more=SHARE, doc="Same rows.")
    world.define(BROKEN.replace("isin([3, 7, 11])", "isin([3, 7, 11, 99])"), more=SHARE)
    failed = redrive(world)
    assert (failed.action, failed.published, failed.dead) == ("nothing", 0, 3)
    assert "0 events repaired of 3 dead letters; still dead: null 3" in failed.because
    assert letters(world) == [(n, "null", 2, "redrives") for n in (3, 7, 11)]
    assert "nothing new to try" in redrive(world).because
    assert letters(world) == [(n, "null", 2, "redrives") for n in (3, 7, 11)]
    assert "0 events repaired" in redrive(world, force=True).because
    assert letters(world) == [(n, "null", 3, "redrives") for n in (3, 7, 11)]
    assert (entry(world).generation, world.counted()) == (1, Counter(ALIVE))
    # And the fixed version still finds them.
    world.define("return rows", more=SHARE)
    assert redrive(world).published == 3
    assert letters(world) == []
    assert redrive(world).because == "it has no dead letters"
    assert world.deliver(ROWS).action == "nothing"


def test_a_fix_that_alters_other_events_publishes_none_of_them(world: "World") -> None:
    published_with_letters(world)
    body = "return rows.assign(amount=rows['amount'].where(rows['amount'] != 5, 50))"
    world.define(body, more=SHARE)
    result = redrive(world)
    assert (result.action, result.published, result.rows_read) == ("redrive", 3, 20)
    assert "also makes 1 other event new or different and 1 event vanish" in result.because
    assert world.counted() == Counter(ROWS)
    assert reconciled(world) == "agrees"
    # The whole state in time order, as a replay publishes it.
    store = world.platform().snapshots
    state = store.find("tests/happened", WINDOW, "transformed", result.snapshot)
    assert state is not None
    times = [t for batch in store.read(state, batch_rows=3) for t in batch["happened_at"].to_pylist()]
    assert times == sorted(times) and len(times) == 20

    # A run of the published asset alone finds nothing to do;
    # a whole run requires a decision about the one event.
    assert world.publish().action == "nothing"
    with pytest.raises(DefinitionChanged) as asked:
        world.deliver(ROWS)
    assert (asked.value.changed, asked.value.gone) == (1, 0), "one of its key takes its place"
    corrected = world.deliver(ROWS, on_definition_change="correct")
    assert (corrected.action, corrected.published, corrected.gone) == ("correct", 1, 0)
    assert world.counted() == Counter([*ROWS, ("k1", 50, 50)])
    assert world.deliver(ROWS).action == "nothing"


def test_of_a_row_with_several_events_only_the_repaired_ones_go_out(world: "World") -> None:
    """One row becomes three events; one event of row 3 was a dead letter, the two others are on the topic."""
    explode = (
        "rows = rows.loc[rows.index.repeat(3)]\n"
        "    part = rows.groupby(level=0).cumcount()\n"
        "    amount = rows['amount'] * 100 + part\n"
        "    return rows.assign(amount=amount.where({}, None))"
    )
    world.define(explode.format("amount != 301"), more=SHARE)
    first = world.deliver(ROWS)
    assert first.published == 59
    world.define(explode.format("amount != -1"), more=SHARE)
    result = redrive(world)
    assert (result.action, result.published) == ("redrive", 1)
    assert "other events" not in result.because
    assert world.counted() == Counter((k, m, a * 100 + part) for k, m, a in ROWS for part in range(3))
    assert world.deliver(ROWS).action == "nothing"


def test_equal_events_are_neither_lost_nor_doubled(world: "World") -> None:
    """The fixed row 11 becomes an event that is equal to one on the topic."""
    rows: list[Row] = [("k", 5, 1), ("k", 5, 11), ("k", 6, 2)]
    world.define(BROKEN, more=SHARE)
    assert world.deliver(rows).published == 2
    world.define("return rows.assign(amount=rows['amount'].where(rows['amount'] != 11, 1))", more=SHARE)
    result = redrive(world)
    assert (result.action, result.published) == ("redrive", 1)
    assert world.counted() == Counter({("k", 5, 1): 2, ("k", 6, 2): 1})
    assert world.deliver(rows).action == "nothing"


def test_rows_that_the_mended_transform_leaves_out_are_counted(world: "World") -> None:
    published_with_letters(world)
    world.define("return rows[rows['amount'] != 7]", more=SHARE)
    result = redrive(world)
    assert (result.published, result.dead) == (2, 0)
    assert "1 row left out by the transform now" in result.because


@pytest.mark.parametrize("commits", [0, 2])
@pytest.mark.parametrize("then", ["redrive", "publish", "run"])
def test_an_interrupted_redrive_is_finished_by_the_next_run_of_any_kind(
    world: "World", monkeypatch: pytest.MonkeyPatch, commits: int, then: str
) -> None:
    world.define(
        "return rows.assign(amount=rows['amount'].where(rows['amount'].isin(range(0, 20, 2)), None))",
        more="dead_letters=0.6,",
    )
    assert world.deliver(ROWS).published == 10
    world.define("return rows", more=SHARE)
    with monkeypatch.context() as patched:
        interrupt(patched, commits=commits)
        with pytest.raises(Interrupted):
            redrive(world, settings={"transaction_rows": 3})
    stopped = entry(world)
    if commits:
        assert (stopped.kind, stopped.status, stopped.rows_done) == ("redrive", "publishing", commits * 3)

    def run() -> "PublishResult":
        if then == "redrive":
            return redrive(world)
        return world.publish() if then == "publish" else world.deliver(ROWS)

    if not commits and then != "redrive":
        # Nothing of it is on the topic:
        # it is as if the window had been transformed again, so a person must decide.
        with pytest.raises(DefinitionChanged):
            run()
        assert redrive(world).published == 10
    else:
        result = run()
        assert result.published == 10 - commits * 3
        assert result.action in ("redrive", "resume", "finish")
    assert world.counted() == Counter(ROWS)
    assert world.by_key() == {
        key: [
            *(r for r in ROWS if r[0] == key and r[2] % 2 == 0),
            *(r for r in ROWS if r[0] == key and r[2] % 2),
        ]
        for key in ("k0", "k1", "k2", "k3")
    }
    assert reconciled(world) == "agrees"
    for again in (redrive(world), world.publish(), world.deliver(ROWS)):
        assert again.action == "nothing"
    assert world.counted() == Counter(ROWS)


def test_an_interrupted_redrive_is_finished_before_newer_rows(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    published_with_letters(world)
    world.define("return rows", more=SHARE)
    with monkeypatch.context() as patched:
        interrupt(patched, commits=1)
        with pytest.raises(Interrupted):
            redrive(world, settings={"transaction_rows": 2})
    result = world.deliver([*ROWS, ("late", 5, 5)])
    assert (result.action, result.generation, result.published) == ("correct", 3, 2)
    assert world.counted() == Counter([*ROWS, ("late", 5, 5)])


def test_a_blocked_window_is_published_as_the_backfill_it_never_had(world: "World") -> None:
    world.define(BROKEN)
    world.rows(ROWS)
    world.prepare()
    with pytest.raises(NotPublishable):
        world.publish()
    with pytest.raises(Blocked, match="nothing new to try") as same:
        redrive(world)
    assert same.value.transformed is None

    world.define(MENDED)
    world.rows([])
    with pytest.raises(Blocked, match="1 of 20 rows do not fit") as still:
        redrive(world)
    assert still.value.transformed is not None and still.value.transformed.dead == 1
    assert letters(world) == [(7, "null", 2, "redrives")]

    world.define("return rows")
    result = redrive(world)
    assert (result.action, result.generation, result.published, result.dead) == ("backfill", 1, 20, 0)
    assert world.counted() == Counter(ROWS)
    assert not any(record.headers for record in world.seen())
    assert world.deliver(ROWS).action == "nothing"


def test_a_policy_that_allows_more_unblocks_without_another_version(world: "World") -> None:
    world.define(BROKEN)
    world.rows(ROWS)
    world.prepare()
    world.define(BROKEN, more=SHARE)
    assert redrive(world).published == 17
    assert len(letters(world)) == 3


def test_a_correction_that_was_blocked_goes_out_without_a_question(world: "World") -> None:
    """Late rows came, with dead letters among them.
    The fix repairs these and changes nothing else: there is nothing to decide."""
    world.define(BROKEN)
    world.deliver(ALIVE)
    world.rows(ROWS)
    world.prepare()
    world.define("return rows")
    result = redrive(world)
    assert (result.action, result.generation, result.published) == ("correct", 2, 3)
    assert world.counted() == Counter(ROWS)


@pytest.mark.parametrize("commits", [0, 2])
@pytest.mark.parametrize("before", [[], ALIVE[:10]], ids=["a backfill", "a correction"])
def test_an_interrupted_redrive_of_a_blocked_window_is_finished_by_the_next(
    world: "World", monkeypatch: pytest.MonkeyPatch, commits: int, before: list["Row"]
) -> None:
    world.define(BROKEN)
    if before:
        world.deliver(before)
    world.rows(ROWS)
    world.prepare()
    world.define("return rows")
    with monkeypatch.context() as patched:
        interrupt(patched, commits=commits)
        with pytest.raises(Interrupted):
            redrive(world, settings={"transaction_rows": 1})
    # No dead letter blocks the window any more,
    # and the repaired events are not on the topic, or not all of them.
    assert windows_to_redrive(world.event, world.platform()) == [WINDOW]
    result = redrive(world)
    assert result.published == len(ROWS) - len(before) - commits
    assert result.dead == 0
    assert world.counted() == Counter(ROWS)
    assert reconciled(world) == "agrees"
    assert windows_to_redrive(world.event, world.platform()) == []
    for again in (redrive(world), world.publish(), world.deliver(ROWS)):
        assert again.action == "nothing"
    assert world.counted() == Counter(ROWS)


def test_a_blocked_correction_whose_fix_alters_other_events_asks(world: "World") -> None:
    world.define(BROKEN)
    world.deliver(ALIVE)
    world.rows(ROWS)
    world.prepare()
    world.define("return rows.assign(amount=rows['amount'].where(rows['amount'] != 5, 50))")
    with pytest.raises(DefinitionChanged) as asked:
        redrive(world)
    assert (asked.value.changed, asked.value.gone) == (4, 0)
    assert world.counted() == Counter(ALIVE)


def test_newer_rows_wait_for_a_run_of_their_own(world: "World") -> None:
    published_with_letters(world)
    world.define("return rows", more=SHARE)
    newer = [*ROWS, ("late", 5, 5)]
    world.rows(newer)
    platform = world.platform()
    world.prepare(platform)
    # The window has newer rows, transformed but not published; the dead letters belong to the published rows.
    assert redrive(world).published == 3
    assert world.counted() == Counter(ROWS)
    result = world.publish()
    assert (result.action, result.published) == ("correct", 1)
    assert world.counted() == Counter(newer)


def test_what_cannot_be_redriven_says_so(world: "World") -> None:
    published_with_letters(world)
    way_out = "sluice publish tests/happened 2013-01-01 --correct"
    field = {"name": "more", "type": ["null", "long"], "doc": "more, pieces", "default": None}
    world.define("return rows.assign(more=None)", more=SHARE, extra_fields=[field])
    with pytest.raises(CannotRedrive, match="the contract or the key changed since") as caught:
        redrive(world)
    assert way_out in str(caught.value)
    world.define("return rows.sort_values('amount').reset_index(drop=True)", more=SHARE)
    with pytest.raises(CannotRedrive, match="drops the frame's index"):
        redrive(world)
    world.define("return rows.assign(amount=rows['amount'] + 0)", more=SHARE + "whole_window=True,")
    with pytest.raises(CannotRedrive, match="takes the whole window at once"):
        redrive(world)
    world.define("return rows")
    store = world.platform().snapshots
    source = store.current("tests/happened", WINDOW, "sourced")
    assert source is not None
    (world.folder / "home/snapshots" / source.path).unlink()
    with pytest.raises(CannotRedrive, match=r"the sourced snapshot .* is gone"):
        redrive(world)
    with pytest.raises(NeverPublished, match="was never published, and no dead letters keep it"):
        world.publish(window="2013-01-05", redrive=Redrive())
    assert (entry(world).generation, world.counted()) == (1, Counter(ALIVE))


def test_a_renamed_module_finds_its_letters(world: "World") -> None:
    published_with_letters(world)
    world.define("return rows", more=SHARE, name="renamed")
    assert redrive(world).published == 3
    done: LedgerEntry = entry(world)
    assert (done.event, done.kind) == ("tests/renamed", "redrive")
    assert reconciled(world) == "agrees"
    assert world.deliver(ROWS).action == "nothing"
