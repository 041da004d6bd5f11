"""Entries that belong to another place:
refused wherever they are read, until a person accepts the current place."""

import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pipelines.dry_run.dry_run import DryRun
from pipelines.ledger.acceptance import accepting, adopting, rewrite, wanted
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry, ledger_key, read_entry
from pipelines.ledger.history import generations
from pipelines.ledger.identity import Decision, LedgerOfElsewhere, Part, accepted, adopted, require_here
from pipelines.ledger.record_validation import Status
from pipelines.ledger.topic_identity import TopicRemade
from pipelines.preflight.fitness import preflight
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.request import PublishRequest, Redrive, Replay
from pipelines.reconciling.expected import CannotReconcile
from pipelines.reconciling.reconciler import Reconciler
from resources.identity import Identity
from resources.kafka.errors import ProducerFenced
from resources.kafka.topics.ledger_topic import ledger_partition
from resources.kafka.transactions import TransactionalProducer
from tests.hearing import into
from tests.pipelines.ledger.test_ledger_records import WHOLE
from tests.pipelines.publishing.conftest import WINDOW, Row, World
from tests.pipelines.publishing.test_remade_topics import (
    any_world,
    findings,
    once_acknowledged,
    remake,
    verified,
)

__all__ = ["any_world"]

ROWS: list[Row] = [(f"k{n}", n, n) for n in range(60)]
WORD = Decision("me@here", "2026-01-01T00:00:00+00:00", "moved")
HERE = Identity("MkU3OEVBNTctOEUyRi00", "8d6eab53-0000-4000-8000-000000000001", "sluice")


def entry(world: World) -> LedgerEntry:
    key = ledger_key(world.topic, WINDOW)
    found = read_entry(key, world.platform().ledger.latest(key))
    assert found is not None
    return found


def write(world: World, told: LedgerEntry) -> None:
    """Write an entry as somebody else would."""
    settings = world.settings()
    with TransactionalProducer(settings, "by hand", event="e", window="w", topic=told.topic) as producer:
        producer.claim()
        producer.begin()
        place = ledger_partition(told.key, settings.ledger_partitions)
        producer.record(settings.ledger_topic, place, told.key.encode(), told.to_json())
        producer.commit()


@pytest.mark.parametrize(
    ("part", "field"), [("cluster", "cluster_id"), ("store", "store_id"), ("location", "code_location")]
)
def test_an_entry_of_elsewhere_is_refused_with_both_ids(part: Part, field: str) -> None:
    require_here(WHOLE, HERE)
    require_here(WHOLE.advanced(**{field: None}), HERE)
    require_here(WHOLE, replace(HERE, **{field: None}))
    with pytest.raises(LedgerOfElsewhere) as refused:
        require_here(WHOLE, replace(HERE, **{field: "another"}))
    told = str(refused.value)
    assert getattr(WHOLE, field) in told and "another" in told
    assert f"sluice ledger accept-{part} flights/departed 2013-01-01 --reason" in told
    assert refused.value.part == part


def test_what_a_person_accepts_is_noted_and_changes_nothing_else() -> None:
    there = replace(HERE, store_id="another")
    after = accepted(WHOLE, "store", there, WHOLE.topic_id, None, WORD)
    assert after is not None
    require_here(after, there)
    note = {
        "what": "store", "was": HERE.store_id, "now": "another", "by": WORD.by, "at": WORD.at, "reason": WORD.reason,
    }  # fmt: skip
    assert after == WHOLE.advanced(store_id="another", accepted=(*WHOLE.accepted, note))
    assert read_entry(after.key, after.to_json()) == after
    assert accepted(after, "store", there, WHOLE.topic_id, None, WORD) is None
    assert accepted(WHOLE, "location", there, WHOLE.topic_id, None, WORD) is None
    assert accepted(WHOLE, "topic", there, WHOLE.topic_id, None, WORD) is None


@pytest.mark.parametrize(("topic_id", "kept"), [(WHOLE.topic_id, True), ("another", False), (None, False)])
def test_offsets_are_kept_only_on_the_same_topic(topic_id: str | None, kept: bool) -> None:
    after = accepted(WHOLE, "cluster", replace(HERE, cluster_id="new"), topic_id, None, WORD)
    assert after is not None and after.topic_id == topic_id
    assert (after.offsets == WHOLE.offsets) is kept
    assert [one.displaced for one in generations(after)] == ([0, 0] if kept else [975, 975])
    assert read_entry(after.key, after.to_json()) == after


def test_an_entry_of_before_adopts_what_is_known() -> None:
    old = WHOLE.advanced(topic_id=None, cluster_id=None, store_id=None, code_location=None)
    assert adopted(old, HERE, WHOLE.topic_id) == WHOLE
    assert adopted(WHOLE, HERE, WHOLE.topic_id) is None
    assert adopted(old.advanced(topic_id="t"), Identity(None, None, None), None) is None


def ways(world: World) -> dict[str, Callable[[], Any]]:
    """Every operation that decides by the entry."""
    there = entry(world)
    windows = world.event.windows.parse(WINDOW)

    def planned() -> None:
        (found,) = DryRun(world.event, world.platform(), PublishRequest(), {there.key: there}).windows(
            windows
        )
        assert found.refused is not None and "the ledger was written for" in found.refused
        raise LedgerOfElsewhere(there, "store", "", "")

    return {
        "publish": world.publish,
        "correction": lambda: world.deliver([*ROWS, ("new", 700, 1)]),
        "replay": lambda: world.publish(reason="again", replay=Replay("r")),
        "redrive": lambda: world.publish(redrive=Redrive()),
        "plan": planned,
        "verify": lambda: verified(world),
    }


@pytest.mark.parametrize("part", ["cluster", "store", "location"])
def test_every_way_refuses_until_a_person_accepts(embedded_world: World, part: Part) -> None:
    world = embedded_world
    world.deliver(ROWS)
    first = entry(world)
    field = {"cluster": "cluster_id", "store": "store_id", "location": "code_location"}[part]
    assert getattr(first, field)
    write(world, first.advanced(**{field: "elsewhere"}))
    for name, way in ways(world).items():
        with pytest.raises(LedgerOfElsewhere):
            way()
        assert entry(world).generation == 1, name
    platform = world.platform()
    change = accepting(platform, part, WORD)
    (found,) = wanted([entry(world)], change)
    assert found.ids(part) == ("elsewhere", getattr(first, field))
    assert entry(world) == first.advanced(**{field: "elsewhere"}), "a listing changes nothing"
    done = rewrite(platform, first.key, change)
    assert done is not None and entry(world) == done.after
    assert rewrite(platform, first.key, change) is None, "once is enough"
    world.rows(ROWS)
    world.prepare()
    assert world.publish().action == "nothing"
    assert world.deliver([*ROWS, ("new", 700, 1)]).published == 1
    assert entry(world).accepted[-1]["reason"] == "moved", "later generations remember it"


def test_a_store_without_its_snapshots_is_not_the_one_that_was_published_from(embedded_world: World) -> None:
    world = embedded_world
    world.deliver(ROWS)
    shutil.rmtree(world.folder / "home" / "snapshots")
    world.rows(ROWS)
    world.prepare()
    with pytest.raises(LedgerOfElsewhere, match="snapshot store"):
        world.publish()


def test_records_that_were_restored_are_accepted_and_not_said_to_agree(any_world: World) -> None:
    world = any_world
    world.deliver(ROWS)
    remake(world)
    platform = world.platform()
    (change, there) = (accepting(platform, "topic", WORD), entry(world))
    assert len(list(wanted([there], change))) == 1
    done = rewrite(platform, there.key, change)
    assert done is not None and done.after.offsets == {} and done.after.displaced == 60
    assert rewrite(platform, there.key, change) is None
    # A person has decided that the records are there; nobody knows at which offsets.
    assert world.publish().action == "nothing"
    with pytest.raises(CannotReconcile, match="not known"):
        verified(world)
    assert world.deliver([*ROWS, ("new", 700, 1)]).published == 1
    found = verified(world)
    assert (found.verdict, found.expected) == ("agrees", 1)
    assert any("generation 1" in note for note in found.notes)
    assert world.counted() == Counter([("new", 700, 1)])


def test_an_interrupted_window_goes_on_behind_what_was_restored(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    real, commits = TransactionalProducer.commit, iter(range(99))

    def second_fails(self: TransactionalProducer) -> Any:
        if next(commits) == 1:
            raise KeyboardInterrupt
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "commit", second_fails)
        with pytest.raises(KeyboardInterrupt):
            world.deliver(ROWS, settings={"transaction_rows": 25})
    remake(world)
    platform = world.platform()
    assert rewrite(platform, entry(world).key, accepting(platform, "topic", WORD)) is not None
    assert world.publish().published == 35
    found = verified(world)
    assert (found.verdict, found.expected) == ("agrees", 35)
    assert "the first 25 of 60 records of generation 1" in found.notes[0]
    assert world.publish().action == "nothing"


def test_a_run_that_publishes_the_window_is_ended_and_nothing_is_mixed(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    world.deliver(ROWS)
    write(world, entry(world).advanced(store_id=None))
    platform = world.platform()
    world.rows([*ROWS, ("new", 700, 1)])
    world.prepare()
    key = entry(world).key

    def adopt() -> None:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(rewrite, platform, key, adopting(platform)).result(60) is not None

    with once_acknowledged(monkeypatch, adopt), pytest.raises(ProducerFenced):
        world.publish()
    assert entry(world).generation == 1 and entry(world).store_id
    assert world.publish().published == 1
    assert world.counted() == Counter([*ROWS, ("new", 700, 1)])


def test_an_entry_of_before_is_filled_at_the_next_write(embedded_world: World) -> None:
    world = embedded_world
    world.deliver(ROWS)
    before = entry(world)
    old = before.advanced(topic_id=None, cluster_id=None, store_id=None, code_location=None)
    write(world, old)
    assert world.publish().action == "nothing"
    assert entry(world) == old, "to say that there is nothing to do writes nothing"
    assert world.deliver([*ROWS, ("new", 700, 1)]).published == 1
    after = entry(world)
    assert (after.cluster_id, after.store_id, after.code_location) == (
        before.cluster_id, before.store_id, before.code_location,
    )  # fmt: skip
    with Reconciler(world.event, world.platform()) as reconciler:
        assert reconciler.reconcile_whole(WINDOW).verdict == "agrees"


def refused_as_damaged(world: World, told: str) -> None:
    """Assert that every operation that decides by the entry refuses it."""
    for name, way in ways(world).items():
        if name == "plan":
            (found,) = DryRun(
                world.event, world.platform(), PublishRequest(), {entry(world).key: entry(world)}
            ).windows(world.event.windows.parse(WINDOW))
            assert found.refused is not None and told in found.refused
            continue
        with pytest.raises(LedgerDamaged, match=told):
            way()


@pytest.mark.parametrize("rows", [5, 0])
@pytest.mark.parametrize("status", ["published", "publishing"])
def test_an_entry_of_fewer_records_than_its_snapshot_has_is_damaged(
    embedded_world: World, rows: int, status: Status
) -> None:
    """Both numbers are changed in the same way, so that the record alone does not show it."""
    world = embedded_world
    world.deliver(ROWS)
    first = entry(world)
    write(world, first.advanced(rows_total=rows, rows_done=rows, status=status))
    refused_as_damaged(world, f"rows_total={rows}, and the snapshots that it names hold 60")
    write(world, first)
    assert verified(world).verdict == "agrees"


def test_a_correction_of_fewer_records_than_its_difference_has_is_damaged(embedded_world: World) -> None:
    world = embedded_world
    world.define(more="tombstones=True,")
    world.deliver(ROWS)
    world.deliver([*ROWS[2:], ("new", 700, 1), ("newer", 700, 1)])
    second = entry(world)
    assert second.delta and second.vanished and second.rows_total == 4
    assert verified(world).verdict == "agrees"
    write(world, second.advanced(rows_total=3, rows_done=3))
    refused_as_damaged(world, "rows_total=3, and the snapshots that it names hold 4")
    # The same if an earlier generation says it.
    write(world, second.advanced(earlier=({**second.earlier[0], "rows_total": 59, "rows_done": 59},)))
    with pytest.raises(LedgerDamaged, match="generation 1 says rows_total=59"):
        verified(world)


def test_records_that_are_all_there_are_not_confirmed_where_the_log_ends_before_them(
    embedded_world: World,
) -> None:
    """The embedded broker gives topics no id."""
    world = embedded_world
    world.deliver(ROWS)
    first = entry(world)
    p, (begin, _) = next(iter(first.offsets.items()))
    write(world, first.advanced(offsets={**first.offsets, p: (begin, 1_000_000)}))
    with pytest.raises(TopicRemade, match="the ledger knows offsets up to 1,000,000"):
        verified(world)
    with pytest.raises(TopicRemade):
        world.publish()


def test_check_names_a_window_that_is_another_place_s(embedded_world: World) -> None:
    world = embedded_world
    world.deliver(ROWS)
    first = entry(world)
    assert findings(world, "ledger records") == []
    write(world, first.advanced(code_location="elsewhere"))
    (found,) = findings(world, "ledger records")
    assert found.level == "failed" and "written for code location elsewhere" in found.told
    assert "accept-location" in found.next_step


def test_a_window_that_was_read_back_and_that_the_ledger_has_no_record_of_is_named(
    embedded_world: World,
) -> None:
    world = embedded_world
    world.deliver(ROWS)
    state = {"topic": world.topic, "generation": 1, "snapshot": "x"}
    store = world.platform().snapshots
    store.set_reconciled(world.event.full_name, WINDOW, state)
    assert findings(world, "ledger records") == []
    key = ledger_key(world.topic, WINDOW)
    settings = world.settings()
    # The record is removed by a tombstone first, then by a switch to another ledger.
    with TransactionalProducer(settings, "by hand", event="e", window="w", topic=world.topic) as producer:
        producer.claim()
        producer.begin()
        place = ledger_partition(key, settings.ledger_partitions)
        producer.record(settings.ledger_topic, place, key.encode(), None)
        producer.commit()
    (found,) = findings(world, "ledger records")
    assert found.level == "failed" and f"no record of {WINDOW}" in found.told
    assert f"restore the ledger topic {settings.ledger_topic}" in found.next_step
    world.environ["SLUICE_LEDGER_TOPIC"] += "2"
    (found,) = findings(world, "ledger records")
    assert f"no record of {WINDOW}" in found.told
    # A run reports it too, before it sends anything.
    world.said.clear()
    with Publisher(world.event, world.platform(), run_id="run", tell=into(world.said)) as publisher:
        publisher.require_fit(world.event.windows.parse(WINDOW))
    assert any(f"no record of {WINDOW}" in said for said in world.said)
    # On a topic without records, nothing can be published twice.
    store.set_reconciled(world.event.full_name, WINDOW, state | {"topic": "another"})
    assert findings(world, "ledger records") == []
    store.set_reconciled(world.event.full_name, WINDOW, state)
    remake(world)
    assert findings(world, "ledger records") == []


@pytest.mark.parametrize("days", [1, 2, 399, 400, 401, 777, 3_000])
def test_any_number_of_windows_is_looked_into(embedded_world: World, days: int) -> None:
    """If there are many windows, only a few are looked up in the ledger and in the notes,
    and not always the same ones."""
    world = embedded_world
    world.deliver(ROWS)
    first = world.event.windows.start
    wide = replace(world.event, windows=replace(world.event.windows, end=None))
    windows = wide.windows.between(
        wide.windows.key(first), wide.windows.key(first + timedelta(days=days - 1))
    )
    found = preflight(wide, world.platform(), windows)
    assert len(windows) == days and found


def test_a_plan_goes_by_the_record_that_a_run_reads(embedded_world: World) -> None:
    """There is another record with its key, in a partition that no run reads for it."""
    world = embedded_world
    world.deliver(ROWS)
    first = entry(world)
    wrong = LedgerDamaged("x", "not in the partition of its key")
    windows = world.event.windows.parse(WINDOW)
    for entries, refused in (({first.key: first}, False), ({}, True)):
        (found,) = DryRun(
            world.event, world.platform(), PublishRequest(), entries, damaged={first.key: wrong}
        ).windows(windows)
        assert (found.refused is not None) is refused
