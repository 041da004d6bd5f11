"""Replays on a real Apache Kafka: what was published is sent again, marked, and nothing else changes."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.cli.options.replay import Selected
from pipelines.ledger.entry import LedgerEntry, TopicOfAnother, ledger_key, read_entry
from pipelines.publishing.next_generation.generation_planner import NeverPublished
from pipelines.publishing.request import PublishRequest, Replay
from pipelines.publishing.selection import Selection, read_keys
from pipelines.reconciling.reconciler import reconcile_window
from resources.errors import SluiceError
from resources.kafka.transactions import TransactionalProducer

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import Row, Seen, World

WINDOW = "2013-01-01"
ROWS: list["Row"] = [(f"k{n % 5}", n * 10, n) for n in range(30)]


def asked(request: str = "first", **how: Any) -> dict[str, Any]:
    reason = how.pop("reason", "billing lost its state")
    return {"reason": reason, "requested_by": "anna", "replay": Replay(request, **how)}


def entry(world: "World", topic: str | None = None) -> LedgerEntry:
    key = ledger_key(topic or world.topic, WINDOW)
    found = read_entry(key, world.platform().ledger.latest(key))
    assert found is not None
    return found


def again(world: "World") -> list["Seen"]:
    """What was published a second time, according to its headers."""
    return [record for record in world.seen() if record.headers.get("sluice_kind") == "replay"]


def verdict(world: "World", found: LedgerEntry) -> str:
    return reconcile_window(world.event, WINDOW, world.platform(), entry=found).verdict


def at(minute: int) -> datetime:
    return datetime(2013, 1, 1, minute // 60, minute % 60, tzinfo=UTC)


def test_a_replay_publishes_every_event_again_with_its_id_and_says_so(world: "World") -> None:
    world.define(
        more='event_id="event_id",', extra_fields=[{"name": "event_id", "type": "string", "doc": "id"}]
    )
    world.deliver(ROWS)
    first = {record.row: record.event_id for record in world.seen()}
    # The warehouse has changed; a replay does not read it.
    world.rows([("other", 1, 1)])

    result = world.publish(**asked())
    assert (result.action, result.generation, result.published, result.skipped) == ("replay", 2, 30, 0)
    replayed = again(world)
    assert Counter(record.row for record in replayed) == Counter(ROWS)
    assert {record.row: record.value and record.value["event_id"] for record in replayed} == first
    assert {record.event_id for record in replayed} == set(first.values())
    marks = {(r.headers["sluice_generation"], r.headers["sluice_reason"]) for r in replayed}
    assert marks == {("2", "billing lost its state")}

    told = entry(world)
    assert (told.kind, told.status, told.reason, told.requested_by) == (
        "replay", "published", "billing lost its state", "anna",
    )  # fmt: skip
    assert told.selection is None
    assert verdict(world, told) == "agrees"
    # The state of the topic has not changed: publishing the window finds nothing to do.
    assert world.deliver(ROWS).action == "nothing"


def test_a_retry_of_a_replay_does_not_replay_again_and_another_request_does(world: "World") -> None:
    world.deliver(ROWS)
    assert world.publish(**asked("run-1")).published == 30
    retried = world.publish(**asked("run-1"))
    assert (retried.action, retried.published) == ("nothing", 0)
    assert world.publish(**asked("run-2")).published == 30
    assert len(world.seen()) == 90


def test_an_interrupted_replay_goes_on_exactly_there(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    world.deliver(ROWS)
    real, commits = TransactionalProducer.commit, 0

    def commit(self: TransactionalProducer) -> Any:
        nonlocal commits
        commits += 1
        if commits == 3:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(TransactionalProducer, "commit", commit)
    slow = {"transaction_rows": 7}
    with pytest.raises(KeyboardInterrupt):
        world.publish(world.platform(**slow), **asked("run-1"))
    assert (entry(world).rows_done, entry(world).status) == (14, "publishing")

    # The same request would resume it.
    # Here a publication finishes it, because the ledger says that it is unfinished.
    result = world.publish()
    assert (result.action, result.published, result.generation) == ("resume", 16, 2)
    assert Counter(record.row for record in again(world)) == Counter(ROWS)
    assert world.publish(**asked("run-1")).action == "nothing"
    assert verdict(world, entry(world)) == "agrees"


def test_an_interrupted_replay_is_finished_before_another_request_is_met(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver(ROWS)
    real, commits = TransactionalProducer.commit, 0

    def commit(self: TransactionalProducer) -> Any:
        nonlocal commits
        commits += 1
        if commits == 2:
            raise KeyboardInterrupt
        return real(self)

    keys = Selection(frozenset({"k1", "k3"}))
    monkeypatch.setattr(TransactionalProducer, "commit", commit)
    with pytest.raises(KeyboardInterrupt):
        world.publish(world.platform(transaction_rows=5), **asked("run-1", selection=keys))
    result = world.publish(**asked("run-2"))
    assert (result.action, result.generation, result.published) == ("replay", 3, 7 + 30)
    by_generation = Counter(record.headers["sluice_generation"] for record in again(world))
    assert by_generation == {"2": 12, "3": 30}


@pytest.mark.parametrize(
    ("selection", "wanted", "told"),
    [
        (Selection(frozenset({"k1", "k3", "none"})), lambda row: row[0] in ("k1", "k3"), "3 keys: k1, k3, none"),
        (
            Selection(since=at(100), until=at(200)),
            lambda row: 100 <= row[1] < 200,
            "event time 2013-01-01T01:40:00Z..2013-01-01T03:20:00Z",
        ),
        (
            Selection(frozenset({"k2"}), since=at(150)),
            lambda row: row[0] == "k2" and row[1] >= 150,
            "1 key: k2; event time 2013-01-01T02:30:00Z..",
        ),
    ],
)  # fmt: skip
def test_keys_and_a_range_of_event_time_select(
    world: "World", selection: Selection, wanted: Any, told: str
) -> None:
    world.deliver(ROWS)
    result = world.publish(**asked(selection=selection))
    expected = Counter(row for row in ROWS if wanted(row))
    assert 0 < result.published == sum(expected.values()) < 30
    assert Counter(record.row for record in again(world)) == expected
    assert entry(world).selection == told
    assert verdict(world, entry(world)) == "agrees"
    assert world.deliver(ROWS).action == "nothing"


def test_a_selection_without_events_leaves_no_mark(world: "World") -> None:
    world.deliver(ROWS)
    before = entry(world)
    result = world.publish(**asked(selection=Selection(frozenset({"nobody"}))))
    assert (result.action, result.published, result.because) == (
        "nothing",
        0,
        "none of its events is selected",
    )
    assert len(world.seen()) == 30
    assert entry(world) == before


def test_a_shadow_topic_gets_the_replay_and_the_events_topic_nothing(world: "World") -> None:
    world.define(
        more='event_id="event_id",', extra_fields=[{"name": "event_id", "type": "string", "doc": "id"}]
    )
    world.deliver(ROWS)
    first, before = {record.row: record.event_id for record in world.seen()}, entry(world)
    shadow = f"{world.topic}.shadow"
    result = world.publish(**asked(topic=shadow))
    assert (result.action, result.generation, result.published, result.topic) == ("replay", 1, 30, shadow)
    there = world.seen(topic=shadow)
    # The events' own ids, in the field as in the header: a consumer compares the two topics by them.
    assert {record.row: record.value and record.value["event_id"] for record in there} == first
    assert {record.headers["sluice_event_id"] for record in there} == set(first.values())
    assert len(world.seen()) == 30
    assert entry(world) == before
    assert (entry(world, shadow).shadow_of, entry(world, shadow).kind) == (world.topic, "replay")
    assert verdict(world, entry(world, shadow)) == "agrees"
    assert world.publish(**asked("second", topic=shadow)).generation == 2


def test_a_fresh_replay_publishes_what_the_warehouse_holds_now(world: "World") -> None:
    world.define(more="tombstones=True,")
    world.deliver([*ROWS, ("gone", 5, 5)])
    changed = [*ROWS[:-1], ("k4", 290, 999)]
    result = world.deliver(changed, **asked(source="fresh"))
    assert (result.action, result.generation, result.published, result.tombstones) == ("replay", 2, 31, 1)
    assert Counter(record.row for record in again(world) if record.value) == Counter(changed)
    assert [record.key for record in again(world) if record.value is None] == ["gone"]
    assert verdict(world, entry(world)) == "agrees"
    assert world.deliver(changed).action == "nothing"


def test_a_fresh_replay_of_some_keys_corrects_first(world: "World") -> None:
    world.deliver(ROWS)
    changed = [*ROWS[:-1], ("k4", 290, 999)]
    result = world.deliver(changed, **asked(source="fresh", selection=Selection(frozenset({"k4"}))))
    assert (result.action, result.generation) == ("replay", 3)
    kinds = Counter(record.headers.get("sluice_kind") for record in world.seen())
    assert kinds == {None: 30, "correction": 1, "replay": 6}
    assert result.published == 7
    assert {r.row for r in again(world)} == {row for row in changed if row[0] == "k4"}


def test_a_fresh_replay_of_some_keys_publishes_no_window_for_the_first_time(world: "World") -> None:
    """It corrects first, and a correction of a window that was never published would be a publication."""
    world.rows(ROWS)
    world.prepare()
    with pytest.raises(NeverPublished, match="never published"):
        world.publish(**asked(source="fresh", selection=Selection(frozenset({"k4"}))))
    assert world.publish().action == "backfill"


def test_a_replay_that_was_corrected_since_is_not_replayed_again_by_its_retry(world: "World") -> None:
    world.deliver(ROWS)
    world.publish(**asked("run-1"))
    changed = [*ROWS[:-1], ("k4", 290, 999)]
    assert world.deliver(changed).action == "correct"
    retried = world.publish(**asked("run-1"))
    assert (retried.action, retried.published) == ("nothing", 0)
    assert "as generation 2" in retried.because
    assert world.publish(**asked("run-2")).generation == 4


def test_a_finished_generation_counts_also_where_nothing_is_selected(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver(ROWS)
    real, commits = TransactionalProducer.commit, 0

    def commit(self: TransactionalProducer) -> Any:
        nonlocal commits
        commits += 1
        if commits == 2:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(TransactionalProducer, "commit", commit)
    with pytest.raises(KeyboardInterrupt):
        world.publish(world.platform(transaction_rows=7), **asked("run-1"))
    result = world.publish(**asked("run-2", selection=Selection(frozenset({"nobody"}))))
    assert (result.action, result.published, result.generation) == ("finish", 23, 2)


def test_a_shadow_topic_is_nothing_elses(world: "World") -> None:
    """The ledger knows a topic's windows by the topic's name: two owners would overwrite each other's
    entries."""
    world.deliver(ROWS)
    first = world.event
    for topic, problem in (
        (world.topic, "is the event's own topic"),
        (f"{world.name}.ledger", "is the ledger"),
    ):
        with pytest.raises(SluiceError, match=problem):
            world.publish(**asked(topic=topic, source="fresh", selection=Selection(frozenset({"k1"}))))

    shadow = f"{world.name}.rehearsal.v1"
    world.publish(**asked(topic=shadow, selection=Selection(frozenset({"k1"}))))
    # If it were another event's own topic, the few replayed rows would look like the whole window.
    world.define(topic=shadow)
    world.rows(ROWS)
    world.prepare()
    with pytest.raises(
        TopicOfAnother, match=r"holds replays of .*happened.v1 in window .* publish to another"
    ):
        world.publish()

    other = f"{world.name}.other.v1"
    world.define(topic=other)
    world.deliver(ROWS)
    for topic, problem in ((first.topic, "holds the events of"), (shadow, "holds replays of")):
        with pytest.raises(TopicOfAnother, match=problem):
            world.publish(**asked(topic=topic))


def test_a_changed_definition_can_be_replayed_as_a_new_generation(world: "World") -> None:
    world.deliver(ROWS)
    world.define("return rows.assign(amount=rows['amount'].mask(rows['amount'] > 20, rows['amount'] + 100))")
    result = world.deliver(on_definition_change="replay", reason="amounts over 20 were wrong")
    assert (result.published, result.generation) == (30, 2)
    replayed = again(world)
    assert len(replayed) == 30
    assert {record.headers["sluice_reason"] for record in replayed} == {"amounts over 20 were wrong"}
    assert Counter(r.row[2] > 100 for r in replayed) == {True: 9, False: 21}
    assert world.deliver().action == "nothing"


def test_a_stored_window_is_replayed_under_the_contract_it_was_published_with(world: "World") -> None:
    world.deliver(ROWS)
    before = world.seen()[0]
    note = {"name": "note", "type": ["null", "string"], "default": None, "doc": "n"}
    world.define("return rows.assign(note=None)", extra_fields=[note])
    assert world.publish(**asked()).published == 30
    assert {frozenset(record.value or {}) for record in again(world)} == {frozenset(before.value or {})}
    assert verdict(world, entry(world)) == "agrees"


def test_what_was_never_published_is_not_replayed(world: "World") -> None:
    world.rows(ROWS)
    world.prepare()
    with pytest.raises(NeverPublished, match=r"was never published .* next: sluice publish tests/happened"):
        world.publish(**asked())
    with pytest.raises(NeverPublished, match="never published"):
        world.publish(**asked(topic=f"{world.topic}.shadow"))
    assert world.publish().action == "backfill"


def test_a_replay_needs_a_reason() -> None:
    for reason in (None, "", "  "):
        with pytest.raises(SluiceError, match="has no reason"):
            PublishRequest(reason=reason, replay=Replay("r"))


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    # A byte order mark and line ends are not part of a key; blanks are.
    (tmp_path / "keys.txt").write_bytes(b"\xef\xbb\xbfa\n\n b \r\nc\td\x0b\n   \ne\rf\nc")
    assert read_keys(str(tmp_path / "keys.txt")) == {"a", " b ", "c\td\x0b", "   ", "e\rf", "c"}
    told = Selected((), str(tmp_path / "keys.txt"), None, None, False, None, False).config()
    assert told["keys"] == ["a", " b ", "c\td\x0b", "   ", "e\rf", "c"], "the command line reads it likewise"
    assert read_keys("") == frozenset()
    (tmp_path / "empty.txt").write_text("\n")
    for name, problem in (("empty.txt", "holds no key"), ("absent.txt", "cannot be read")):
        with pytest.raises(SluiceError, match=problem):
            read_keys(str(tmp_path / name))


def test_a_selection_is_cut_to_its_window() -> None:
    from pipelines import daily

    day = daily("2013-01-01").window(WINDOW)
    whole = Selection(since=at(0), until=replace(day, key="x").end)
    assert whole.within(day).everything
    assert not Selection(until=at(0)).touches(day) and not Selection(since=day.end).touches(day)
    assert Selection(since=at(10), until=at(20)).touches(day)
