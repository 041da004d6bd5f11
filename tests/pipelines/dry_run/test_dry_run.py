"""Plans on a real Apache Kafka:
they say what a run then does, write nothing, and a run must do what they say."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AdminClient

from pipelines.dry_run.dry_run import DryRun
from pipelines.dry_run.plan import WindowPlan
from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.publishing.next_generation.expectation import PlanOutdated
from pipelines.publishing.request import PublishRequest, Redrive, Replay
from pipelines.publishing.selection import Selection
from resources.errors import SluiceError
from resources.kafka.transactions import TransactionalProducer

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import Row, World

WINDOW = "2013-01-01"
ROWS: list["Row"] = [(f"k{n}", n * 10, n) for n in range(30)]
CHANGED: list["Row"] = [*ROWS[3:-1], ("k29", 290, 999), ("late", 5, 5)]


def ledger(world: "World", topic: str | None = None) -> LedgerEntry | None:
    key = ledger_key(topic or world.topic, WINDOW)
    return read_entry(key, world.platform().ledger.latest(key))


def plan(world: "World", entry: LedgerEntry | None = None, **request: Any) -> WindowPlan:
    entries = {entry.key: entry} if entry else {}
    foresight = DryRun(world.event, world.platform(), PublishRequest(**request), entries)
    (found,) = foresight.windows([world.event.windows.window(WINDOW)])
    return found


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def replay(**how: Any) -> dict[str, Any]:
    return {"reason": "asked for", "replay": Replay("request", **how)}


def test_a_plan_of_a_first_publication_writes_nothing(world: "World") -> None:
    world.rows(ROWS)
    before = files(world.folder)
    found = plan(world)
    assert (found.action, found.generation, found.rows, found.records, found.gone) == (
        "backfill",
        1,
        30,
        30,
        0,
    )
    assert found.refused is None
    assert [event["id"] for event in found.sample] == ["k0", "k1", "k2"]
    assert files(world.folder) == before, "a plan leaves no file"
    topics = AdminClient({"bootstrap.servers": world.bootstrap}).list_topics(timeout=60).topics
    assert not [name for name in topics if name.startswith(world.name)], "a plan makes no topic"
    assert world.platform().registry.latest(f"{world.topic}-value") is None, "a plan registers nothing"

    published = world.deliver()
    assert (published.published, published.bytes_sent) == (found.records, found.bytes)


def test_a_plan_of_a_correction_is_the_difference(world: "World") -> None:
    world.define(more="tombstones=True,")
    world.deliver(ROWS)
    world.rows(CHANGED)
    before, entry = files(world.folder / "home"), ledger(world)
    found = plan(world, entry)
    assert (found.action, found.generation, found.rows) == ("correct", 2, 28)
    assert (found.records, found.tombstones, found.gone) == (5, 3, 3)
    assert found.changes == ({"key": "k29", "fields": {"amount": (29, 999)}},)
    assert files(world.folder / "home") == before
    assert ledger(world) == entry

    result = world.deliver()
    assert (result.published, result.tombstones, result.gone) == (5, 3, 3)
    assert plan(world, ledger(world)).action == "nothing"


def test_a_plan_says_that_a_changed_definition_asks(world: "World") -> None:
    world.deliver(ROWS)
    world.define("return rows.assign(amount=rows['amount'].mask(rows['amount'] > 20, 0))")
    found = plan(world, ledger(world))
    assert (found.action, found.records) == ("asks", 9)
    assert "published by another version of this module or contract" in (found.refused or "")
    corrected = plan(world, ledger(world), on_definition_change="correct")
    assert (corrected.action, corrected.records, corrected.refused) == ("correct", 9, None)
    again = plan(world, ledger(world), on_definition_change="replay")
    assert again.records == 30


def test_a_plan_says_that_dead_letters_block(world: "World") -> None:
    world.rows(ROWS)
    world.define("return rows.assign(amount=rows['amount'].mask(rows['amount'] > 20))")
    found = plan(world)
    assert (found.action, found.dead, found.records) == ("blocked", 9, 0)
    assert "9 of 30 rows do not fit the contract" in (found.refused or "")


@pytest.mark.parametrize(
    ("how", "records"),
    [
        ({}, 30),
        ({"selection": Selection(frozenset({"k1", "k7"}))}, 2),
        ({"source": "fresh"}, 28 + 3),
        ({"topic": "elsewhere"}, 30),
    ],
)
def test_a_plan_of_a_replay(world: "World", how: dict[str, Any], records: int) -> None:
    if "topic" in how:
        how = {"topic": f"{world.topic}.shadow"}
    world.define(more="tombstones=True,")
    world.deliver(ROWS)
    world.rows(CHANGED)
    before, entry = files(world.folder / "home"), ledger(world)
    found = plan(world, entry, **replay(**how))
    assert (found.action, found.records) == ("replay", records)
    assert files(world.folder / "home") == before
    result = world.deliver(**replay(**how))
    assert (result.published, result.bytes_sent) == (found.records, found.bytes) or result.tombstones


def test_a_plan_counts_what_an_interrupted_run_left(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    world.rows(ROWS)
    platform = world.platform(transaction_rows=10)
    world.prepare(platform)
    real, commits = TransactionalProducer.commit, 0

    def commit(self: TransactionalProducer) -> Any:
        nonlocal commits
        commits += 1
        if commits == 2:
            raise KeyboardInterrupt
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "commit", commit)
        with pytest.raises(KeyboardInterrupt):
            world.publish(platform)
    found = plan(world, ledger(world))
    assert (found.action, found.records) == ("resume", 20)
    assert world.publish(expected={WINDOW: found.expected}).published == 20


def interrupted(world: "World", monkeypatch: pytest.MonkeyPatch, **request: Any) -> None:
    """Publish, and fail at the second commit."""
    real, commits = TransactionalProducer.commit, 0

    def commit(self: TransactionalProducer) -> Any:
        nonlocal commits
        commits += 1
        if commits == 2:
            raise KeyboardInterrupt
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "commit", commit)
        with pytest.raises(KeyboardInterrupt):
            world.publish(world.platform(transaction_rows=10), **request)


@pytest.mark.parametrize("source", ["stored", "fresh"])
@pytest.mark.parametrize("keys", [(), ("k1", "k7"), ("nobody",)])
@pytest.mark.parametrize("stopped", [None, "backfill", "replay"])
def test_a_plan_of_a_replay_is_what_the_run_does(
    world: "World", monkeypatch: pytest.MonkeyPatch, source: Any, keys: tuple[str, ...], stopped: str | None
) -> None:
    world.rows(ROWS)
    world.prepare()
    if stopped == "backfill":
        interrupted(world, monkeypatch)
    else:
        world.publish()
    if stopped == "replay":
        interrupted(world, monkeypatch, reason="another", replay=Replay("another"))
    world.rows(CHANGED)
    how = replay(source=source, selection=Selection(frozenset(keys)))
    found = plan(world, ledger(world), **how)
    result = (world.deliver if source == "fresh" else world.publish)(expected={WINDOW: found.expected}, **how)
    assert (found.records, found.generation) == (result.published, result.generation)
    assert found.action == result.action


def test_never_published_is_refused_in_a_plan_of_a_replay(world: "World") -> None:
    world.rows(ROWS)
    found = plan(world, **replay())
    assert found.action == "refused"
    assert "was never published" in (found.refused or "")


def test_applying_a_plan_refuses_rows_that_changed_since(world: "World") -> None:
    world.rows(ROWS)
    found = plan(world)
    expected = {WINDOW: found.expected}
    with pytest.raises(PlanOutdated, match="its rows have changed since the plan"):
        world.deliver(CHANGED, expected=expected)
    assert ledger(world) is None, "nothing was published"
    assert world.deliver(ROWS, expected=expected).published == 30


def test_applying_a_plan_refuses_a_window_published_since(world: "World") -> None:
    world.deliver(ROWS)
    world.rows(CHANGED)
    found = plan(world, ledger(world))
    world.publish(run_id="another", **replay())
    with pytest.raises(
        PlanOutdated, match="the ledger is at generation 2, 30 records; the plan found generation 1"
    ):
        world.deliver(expected={WINDOW: found.expected})
    assert len(world.seen()) == 60
    with pytest.raises(PlanOutdated, match="is not part of the plan"):
        world.deliver(expected={})


BROKEN = "return rows.assign(amount=rows['amount'].where(~rows['amount'].isin([3, 7, 11]), None))"
MENDED = "return rows.assign(amount=rows['amount'].where(~rows['amount'].isin([7]), None))"
WORSE = "return rows.assign(amount=rows['amount'].where(~rows['amount'].isin([7]), None) + 1)"


@pytest.mark.parametrize("mended", [MENDED, WORSE])
@pytest.mark.parametrize("share", ["dead_letters=0.5,", ""])
def test_a_plan_of_a_redrive_is_the_redrive(world: "World", mended: str, share: str) -> None:
    """For a published window, and for one that its dead letters blocked."""
    world.define(BROKEN, more=share)
    world.rows(ROWS)
    if share:
        world.deliver()
    else:
        world.prepare()
    world.define(mended, more=share or "dead_letters=0.5,")
    before, entry = files(world.folder / "home"), ledger(world)
    found = plan(world, entry, redrive=Redrive())
    assert files(world.folder / "home") == before, "a plan leaves no file"
    assert ledger(world) == entry
    if found.refused:
        with pytest.raises(SluiceError):
            world.publish(redrive=Redrive())
        return
    result = world.publish(redrive=Redrive())
    assert (result.action, result.generation, result.published, result.bytes_sent, result.dead) == (
        found.action,
        found.generation,
        found.records,
        found.bytes,
        found.dead,
    )
    assert result.outcome == (found.outcome or "published")
    again = plan(world, ledger(world), redrive=Redrive())
    assert (again.action, again.records) == ("nothing", 0)


def test_an_applied_plan_of_a_redrive_is_held_to_what_it_found(world: "World") -> None:
    world.define(BROKEN, more="dead_letters=0.5,")
    world.deliver(ROWS)
    world.define(MENDED, more="dead_letters=0.5,")
    expected = plan(world, ledger(world), redrive=Redrive()).expected
    other = replace(expected, snapshot="0" * 64)
    with pytest.raises(PlanOutdated, match="its rows have changed"):
        world.publish(redrive=Redrive(), expected={WINDOW: other})
    assert world.publish(redrive=Redrive(), expected={WINDOW: expected}).published == 2
